package crash

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// RecorderSetup is what a recording dispatcher needs to know.
type RecorderSetup struct {
	Broker string
	Queue  string
	// File is what it appends to.
	File string
	// Exclusive: the queue is a classic one, which has no other means to keep an
	// old recorder and a new one apart.
	Exclusive bool
	// DieAfter is after how many writes it kills itself: when what it got is safe
	// and nobody knows. 0: never.
	DieAfter int
}

// recorded is a line of the recording: an event as a dispatcher gets it.
type recorded struct {
	ID          string
	Redelivered bool
	RoutingKey  string
	Type        string
	Body        []byte
}

func record(d amqp.Delivery) recorded {
	return recorded{ID: d.MessageId, Redelivered: d.Redelivered, RoutingKey: d.RoutingKey, Type: d.Type, Body: d.Body}
}

// recorderPrefetch is how many events a recorder that dies may get again.
const recorderPrefetch = 200

// Record writes down every event until the context ends, and acknowledges it
// when it is safe. It comes back after the broker. It is the body of a process
// that is killed at any moment.
func Record(ctx context.Context, setup RecorderSetup) error {
	file, err := openRecording(setup.File)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	r := &recorder{setup: setup, file: file}
	for ctx.Err() == nil {
		err := onChannel(ctx, setup.Broker, func(ch *amqp.Channel) error { return r.listen(ctx, ch) })
		if _, disk := errors.AsType[*os.PathError](err); disk {
			return err
		}
		pause(ctx, 50*time.Millisecond)
	}
	return nil
}

// openRecording opens the file behind its last whole line: one that is torn was
// not acknowledged.
func openRecording(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the recording: %w", err)
	}
	whole, err := wholeLines(file)
	if err == nil {
		if err = file.Truncate(whole); err == nil {
			_, err = file.Seek(whole, io.SeekStart)
		}
	}
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("opening the recording: %w", err)
	}
	return file, nil
}

// wholeLines is the length of the file without what stands behind its last line.
func wholeLines(file *os.File) (int64, error) {
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	const torn = 4 << 20 // far more than one write
	from := max(0, size-torn)
	text := make([]byte, size-from)
	if _, err := file.ReadAt(text, from); err != nil {
		return 0, err
	}
	return from + int64(bytes.LastIndexByte(text, '\n')+1), nil
}

type recorder struct {
	setup  RecorderSetup
	file   *os.File
	writes int
}

func (r *recorder) listen(ctx context.Context, ch *amqp.Channel) error {
	if err := ch.Qos(recorderPrefetch, 0, false); err != nil {
		return fmt.Errorf("setting the prefetch: %w", err)
	}
	deliveries, err := ch.ConsumeWithContext(ctx, r.setup.Queue, "", false, r.setup.Exclusive, false, false, nil)
	if err != nil {
		return fmt.Errorf("consuming: %w", err)
	}
	for d := range deliveries {
		batch := []amqp.Delivery{d}
		for len(batch) < recorderPrefetch && len(deliveries) > 0 {
			if d, ok := <-deliveries; ok {
				batch = append(batch, d)
			}
		}
		if err := r.write(batch); err != nil {
			return err
		}
		if err := batch[len(batch)-1].Ack(true); err != nil {
			return fmt.Errorf("acknowledging: %w", err)
		}
	}
	return errors.New("the consumer ended")
}

// write makes the events durable.
func (r *recorder) write(batch []amqp.Delivery) error {
	var text bytes.Buffer
	lines := json.NewEncoder(&text)
	for _, d := range batch {
		if err := lines.Encode(record(d)); err != nil {
			return fmt.Errorf("recording: %w", err)
		}
	}
	if _, err := r.file.Write(text.Bytes()); err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	if err := r.file.Sync(); err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	if r.writes++; r.writes == r.setup.DieAfter {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return nil
}
