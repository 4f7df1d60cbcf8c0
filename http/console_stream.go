package http

import (
	"bytes"
	"context"
	"net/http"
	"sync"
	"time"
)

const (
	// streamInterval is how old a live part may be.
	streamInterval = 2 * time.Second
	// streamAlive is how long nothing may be sent: a proxy in front cuts off what is
	// silent for longer, and a browser that went away is noticed only by writing.
	streamAlive = 15 * time.Second
	// maxStreams keeps pages that are left open from taking the API's places.
	maxStreams = 32
)

// streams are the live pages: server-sent events that last until the browser
// goes, its session expires or the server stops.
type streams struct {
	slots chan struct{}
	done  chan struct{}
	once  sync.Once
}

func newStreams() *streams {
	return &streams{slots: make(chan struct{}, maxStreams), done: make(chan struct{})}
}

func (l *streams) stop() { l.once.Do(func() { close(l.done) }) }

var problemTooManyStreams = problem{
	Type: problemType + "overloaded", Title: "Overloaded", Status: http.StatusServiceUnavailable,
	Detail: "Too many live pages are open.", retryAfter: 30,
}

// stream sends what fragment renders, at once and then whenever it has changed.
// An error of fragment's ends nothing: the page has its last state, and fragment
// shows what is wrong where that can be shown.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, fragment func(ctx context.Context) ([]byte, error)) error {
	select {
	case s.console.streams.slots <- struct{}{}:
		defer func() { <-s.console.streams.slots }()
	default:
		return problemTooManyStreams
	}
	expires := exchangeOf(r.Context()).session.Expires
	connection := http.NewResponseController(w)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	if r.Method == http.MethodHead {
		return nil // there is nothing to follow
	}
	ticker := time.NewTicker(streamInterval)
	defer ticker.Stop()
	var shown []byte
	written := time.Now()
	for {
		html, err := fragment(r.Context())
		if err != nil && r.Context().Err() == nil {
			s.logFailure(r, problemOf(r.Context(), err), err)
		}
		var event []byte
		switch {
		case err == nil && !bytes.Equal(html, shown):
			event, shown = asEvent(html), html
		case time.Since(written) >= streamAlive:
			event = []byte(":\n\n")
		}
		if event != nil {
			written = time.Now()
			if err := connection.SetWriteDeadline(written.Add(s.cfg.WriteTimeout)); err != nil {
				return nil // the browser has gone
			}
			if _, err := w.Write(event); err != nil || connection.Flush() != nil {
				return nil // the browser has gone
			}
		}
		select {
		case <-r.Context().Done():
			return nil
		case <-s.console.streams.done:
			return nil
		case <-ticker.C:
		}
		if !s.console.now().Before(expires) {
			return nil
		}
	}
}

// asEvent writes HTML as one server-sent event.
func asEvent(html []byte) []byte {
	var event bytes.Buffer
	for line := range bytes.Lines(html) {
		event.WriteString("data: ")
		event.Write(bytes.TrimRight(line, "\r\n"))
		event.WriteByte('\n')
	}
	event.WriteByte('\n')
	return event.Bytes()
}
