package main

import (
	"bytes"
	"io"
	"log/slog"
	"sync"
	"time"
)

// maxLogBacklog is how many records wait for a reader that is slow.
const maxLogBacklog = 4096

// logSink passes log records on in the background. A pipe that is full and that
// nobody reads blocks whoever writes to it, and the logger has one lock: without
// this a stuck log collector stops the service. Records that find no room are
// dropped and counted, and the count is logged once there is room again.
//
// Safe for concurrent use. Close it before the process ends, or the last records
// are lost.
type logSink struct {
	w       io.Writer
	about   *slog.Logger // of the sink itself, straight to w
	written chan struct{}

	mu      sync.Mutex
	records chan []byte // nil after Close
	dropped int
}

// newLogSink starts the sink; level and format are those of the logger on it.
func newLogSink(w io.Writer, level, format string) *logSink {
	s := &logSink{
		w: w, about: newLogger(w, level, format),
		written: make(chan struct{}), records: make(chan []byte, maxLogBacklog),
	}
	go s.write(s.records)
	return s
}

// Write implements io.Writer; it never fails and never waits.
func (s *logSink) Write(record []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.records == nil {
		return len(record), nil
	}
	select {
	case s.records <- bytes.Clone(record):
	default:
		s.dropped++
	}
	return len(record), nil
}

func (s *logSink) write(records <-chan []byte) {
	defer close(s.written)
	for record := range records {
		_, _ = s.w.Write(record) // there is nobody else to tell
		s.mu.Lock()
		dropped := s.dropped
		s.dropped = 0
		s.mu.Unlock()
		if dropped > 0 {
			s.about.Warn("log records were dropped, because nobody took them", "records", dropped)
		}
	}
}

// Close writes what is still waiting, for as long as a second, and drops
// whatever is logged afterwards. Safe to call twice.
func (s *logSink) Close() {
	s.mu.Lock()
	if s.records != nil {
		close(s.records)
		s.records = nil
	}
	s.mu.Unlock()
	select {
	case <-s.written:
	case <-time.After(time.Second):
	}
}
