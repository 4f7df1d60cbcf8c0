package main

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
)

// dispatched is an event as a dispatcher gets it.
type dispatched struct {
	EventID         string `json:"-"`
	Raw             string `json:"-"`
	Redelivered     bool   `json:"-"`
	Type            string `json:"-"`
	ID              string `json:"id"`
	ChatID          string `json:"chat_id"`
	ClientMessageID string `json:"client_message_id"`
	SenderID        int64  `json:"sender_id"`
	RecipientID     int64  `json:"recipient_id"`
	Body            string `json:"body"`
	Status          string `json:"status"`
	RejectCode      string `json:"reject_code"`
	Seq             int    `json:"seq"`
}

// recorder is a dispatcher that remembers everything in the order in which it
// came, repeats too. Its queue is durable, and it comes back after the broker.
type recorder struct {
	c     *corner
	queue string

	mu     sync.Mutex
	events []dispatched
	ids    map[string]struct{}
}

// record starts a recorder, which misses nothing from here on and stops at the
// end of the test.
func (c *corner) record(queueType string) *recorder {
	c.t.Helper()
	exchange := c.config().DeliveryExchangeName
	r := &recorder{c: c, queue: exchange + ".recorder", ids: map[string]struct{}{}}
	c.onChannel(func(ch *amqp.Channel) {
		require.NoError(c.t, ch.ExchangeDeclare(exchange, "direct", true, false, false, false, nil))
		_, err := ch.QueueDeclare(r.queue, true, false, false, false, amqp.Table{"x-queue-type": queueType})
		require.NoError(c.t, err)
		require.NoError(c.t, ch.QueueBind(r.queue, "", exchange, false, nil))
	})
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for ctx.Err() == nil {
			_ = r.listen(ctx)
			wait(ctx, 100*time.Millisecond)
		}
	}()
	c.t.Cleanup(func() {
		cancel()
		<-stopped
		if conn, err := amqp.Dial(c.broker); err == nil { // a private broker may be gone
			defer func() { _ = conn.Close() }()
			if ch, err := conn.Channel(); err == nil {
				_, _ = ch.QueueDelete(r.queue, false, false, false)
			}
		}
	})
	return r
}

// listen records until the connection or the context ends.
func (r *recorder) listen(ctx context.Context) error {
	conn, err := amqp.DialConfig(r.c.broker, amqp.Config{Dial: amqp.DefaultDial(5 * time.Second), Heartbeat: 5 * time.Second})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	if err := ch.Qos(500, 0, false); err != nil {
		return err
	}
	deliveries, err := ch.Consume(r.queue, "", false, true, false, false, nil)
	if err != nil {
		return err
	}
	for d := range deliveries {
		r.add(d)
		if err := d.Ack(false); err != nil {
			return err
		}
	}
	return errors.New("the consumer ended")
}

func (r *recorder) add(d amqp.Delivery) {
	e := dispatched{EventID: d.MessageId, Raw: string(d.Body), Redelivered: d.Redelivered, Type: d.Type}
	if err := json.Unmarshal(d.Body, &e); err != nil {
		e.Status = "unreadable: " + err.Error()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	r.ids[e.EventID] = struct{}{}
}

// all returns the events so far.
func (r *recorder) all() []dispatched {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// distinct returns how many different events there are so far.
func (r *recorder) distinct() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ids)
}

// await waits until there are n different events. It gives up only when none
// has come for the time that patience lasts.
func (r *recorder) await(n int) {
	r.c.t.Helper()
	for before := r.distinct(); before < n; before = r.distinct() {
		eventually(r.c.t, "events are missing", func() bool { return r.distinct() > before })
	}
}

// first waits for n events, and returns them with all that came since.
func (r *recorder) first(n int) []dispatched {
	r.c.t.Helper()
	eventually(r.c.t, "events are missing", func() bool { return len(r.all()) >= n })
	return r.all()
}
