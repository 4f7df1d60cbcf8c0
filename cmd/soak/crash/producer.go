package crash

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// producerWindow is how many messages are published before their confirms are
// waited for.
const producerWindow = 100

// producer publishes a script in order, whatever becomes of the broker: what is
// not confirmed is published again.
type producer struct {
	broker, exchange string
	script           *Script
	confirmed        atomic.Int64
}

// send returns when the first until messages of the script are confirmed. One
// call at a time.
func (p *producer) send(ctx context.Context, until int) error {
	for int(p.confirmed.Load()) < until {
		err := p.sendWhileConnected(ctx, until)
		if ctx.Err() != nil {
			return fmt.Errorf("sending: %w", errors.Join(context.Cause(ctx), err))
		}
		if err != nil {
			pause(ctx, 100*time.Millisecond)
		}
	}
	return nil
}

func (p *producer) sendWhileConnected(ctx context.Context, until int) error {
	return onChannel(ctx, p.broker, func(ch *amqp.Channel) error {
		if err := ch.Confirm(false); err != nil {
			return fmt.Errorf("asking for confirms: %w", err)
		}
		for from := int(p.confirmed.Load()); from < until; from = int(p.confirmed.Load()) {
			if err := p.sendWindow(ctx, ch, p.script.Entries(from, min(until, from+producerWindow))); err != nil {
				return err
			}
		}
		return nil
	})
}

func (p *producer) sendWindow(ctx context.Context, ch *amqp.Channel, entries []*Entry) error {
	confirms := make([]*amqp.DeferredConfirmation, len(entries))
	for i, e := range entries {
		e.Publishes++
		var err error
		confirms[i], err = ch.PublishWithDeferredConfirmWithContext(ctx, p.exchange, "", false, false,
			amqp.Publishing{ContentType: "application/json", ContentEncoding: "utf-8", DeliveryMode: amqp.Persistent, Body: e.Payload})
		if err != nil {
			return fmt.Errorf("publishing: %w", err)
		}
	}
	for _, confirm := range confirms {
		limited, cancel := context.WithTimeout(ctx, 30*time.Second)
		ok, err := confirm.WaitContext(limited)
		cancel()
		if err != nil || !ok {
			return errors.Join(err, errors.New("not confirmed"))
		}
		p.confirmed.Add(1)
	}
	return nil
}

// onChannel runs fn on a channel of a connection of its own, which the end of
// the context breaks.
func onChannel(ctx context.Context, broker string, fn func(*amqp.Channel) error) error {
	conn, err := amqp.DialConfig(broker, amqp.Config{Dial: amqp.DefaultDial(5 * time.Second), Heartbeat: 5 * time.Second})
	if err != nil {
		return fmt.Errorf("connecting to the broker: %w", err)
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	ch, err := conn.Channel()
	if err != nil {
		return fmt.Errorf("opening a channel: %w", err)
	}
	return fn(ch)
}

// pause returns after d or at the end of the context.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
