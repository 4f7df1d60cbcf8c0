package pipeline

import (
	"context"
	"crypto/sha1" //nolint:gosec // what UUIDs of version 5 are made of
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"
	"unicode/utf8"

	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"chat-messaging/handlers"
	"chat-messaging/middleware/failpoint"
)

// The headers that a poisoned message has beside its own.
const (
	// HeaderPoisonID is the id of the poisoned message, which its replays carry
	// too. HeaderPoisonAttempt is the number of the replay that came back as this
	// copy; a message that was not replayed has none.
	HeaderPoisonID      = "x-poison-id"
	HeaderPoisonAttempt = "x-poison-attempt"
	// HeaderPoisonGeneration tells how often the broker had delivered the message
	// before: a copy of an earlier delivery may be in the queue already, under
	// another id.
	HeaderPoisonGeneration = "x-poison-generation"
	// HeaderPoisonMessageID is the original's message id. It is missing if there
	// was none, where the copy has one that is made of its content.
	HeaderPoisonMessageID = "x-poison-message-id"
	// HeaderPoisonCode is the stable code of the reason; HeaderPoisonStage the
	// handler that gave it, HeaderPoisonReason the sentence for people.
	HeaderPoisonCode   = "x-poison-code"
	HeaderPoisonStage  = "x-poison-stage"
	HeaderPoisonReason = "x-poison-reason"
	// HeaderPoisonExchange, HeaderPoisonRoutingKey and HeaderPoisonQueue are
	// where it came from and where to put it back.
	HeaderPoisonExchange   = "x-poison-exchange"
	HeaderPoisonRoutingKey = "x-poison-routing-key"
	HeaderPoisonQueue      = "x-poison-queue"
	// HeaderPoisonFirstSeen is when it arrived here, in RFC 3339 with nanoseconds,
	// HeaderPoisonSequence its place among the arrivals of that moment.
	HeaderPoisonFirstSeen = "x-poison-first-seen"
	HeaderPoisonSequence  = "x-poison-sequence"
	// Properties that would act on the copy are kept as headers: an expiration
	// would make it vanish, a user id that is not ours would be refused, and a
	// copy is always persistent.
	HeaderPoisonExpiration   = "x-poison-expiration"
	HeaderPoisonUserID       = "x-poison-user-id"
	HeaderPoisonDeliveryMode = "x-poison-delivery-mode"
	// HeaderPoisonCC holds the original's CC header, which would route the copy
	// to other queues.
	HeaderPoisonCC = "x-poison-cc"
	// HeaderPoisonDropped tells how many headers were left out because they did
	// not fit.
	HeaderPoisonDropped = "x-poison-dropped-headers"
	// HeaderReplayCount is on a replayed message, beside HeaderPoisonID: which
	// replay of it this is, from 1.
	HeaderReplayCount = "x-replay-count"
)

const (
	// maxPoisonReason bounds the reason in characters.
	maxPoisonReason = 512
	// maxPoisonHeaders bounds the headers in octets: all of them must fit into one
	// frame of 128 KiB, or the broker closes the connection.
	maxPoisonHeaders = 100 << 10
)

// parked is what a copy for the poison queue is made of.
type parked struct {
	delivery  *amqp.Delivery
	failure   *handlers.Failure
	queue     string
	firstSeen time.Time
	origin    origin
}

type parkedKey struct{}

// parker copies messages into the poison queue.
type parker struct {
	publisher *Publisher
	input     string
	poison    string
	// ensure looks for the poison queue when a copy found none.
	ensure func(context.Context) error
}

// park publishes a copy and returns when the broker has confirmed it.
func (p *parker) park(ctx context.Context, msg *message.Message, reason error) error {
	var failure *handlers.Failure
	if !errors.As(reason, &failure) {
		return fmt.Errorf("parking a message that did not fail: %w", reason)
	}
	delivery := DeliveryFrom(msg.Context())
	if delivery == nil {
		return errors.New("parking a message that came in no delivery")
	}
	id := delivery.MessageId
	if id == "" {
		id = poisonID(delivery)
	}
	dup := message.NewMessage(id, delivery.Body)
	dup.SetContext(context.WithValue(ctx, parkedKey{}, &parked{
		delivery: delivery, failure: failure, queue: p.input, firstSeen: receivedAt(msg.Context()),
		origin: originOf(delivery, receivedAt(msg.Context())),
	}))
	err := p.publisher.Publish(p.poison, dup)
	if errors.Is(err, ErrUnroutable) {
		// It was deleted after the channel was prepared. The caller tries again.
		err = errors.Join(err, p.ensure(ctx))
	}
	if err != nil {
		return fmt.Errorf("publishing to the poison queue: %w", err)
	}
	failpoint.Hit(failpoint.PoisonAfterConfirm)
	return nil
}

// poisonNamespace makes the ids of copies whose original has none.
var poisonNamespace = uuid.UUID{0x0b, 0x1c, 0x9d, 0x52, 0x7a, 0x11, 0x4e, 0x63, 0x8f, 0x35, 0x60, 0xce, 0x99, 0x02, 0x4d, 0x7e}

// poisonID is the same each time that the same delivery is parked, which
// happens again when the service dies between the confirm and the ack.
func poisonID(d *amqp.Delivery) string {
	// The sum of uuid.NewSHA1, without a copy of a body that may be huge.
	h := sha1.New() //nolint:gosec // what UUIDs of version 5 are made of
	h.Write(poisonNamespace[:])
	_, _ = io.WriteString(h, d.Exchange+"\x00"+d.RoutingKey+"\x00")
	h.Write(d.Body)
	var id uuid.UUID
	copy(id[:], h.Sum(nil))
	id[6] = id[6]&0x0f | 5<<4
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}

// parkMarshaler makes the copy: the body to the byte, every property and header
// that does not act on the copy itself, and the reason.
type parkMarshaler struct{ Marshaler }

var _ wamqp.Marshaler = parkMarshaler{}

// Marshal implements wamqp.Marshaler.
func (parkMarshaler) Marshal(msg *message.Message) (amqp.Publishing, error) {
	p, ok := msg.Context().Value(parkedKey{}).(*parked)
	if !ok {
		return amqp.Publishing{}, errors.New("the message carries nothing to park")
	}
	d := p.delivery
	return amqp.Publishing{
		Headers:         p.headers(),
		ContentType:     d.ContentType,
		ContentEncoding: d.ContentEncoding,
		DeliveryMode:    amqp.Persistent,
		Priority:        d.Priority,
		CorrelationId:   d.CorrelationId,
		ReplyTo:         d.ReplyTo,
		MessageId:       msg.UUID,
		Timestamp:       d.Timestamp,
		Type:            d.Type,
		AppId:           d.AppId,
		Body:            d.Body,
	}, nil
}

func (p *parked) headers() amqp.Table {
	d := p.delivery
	ours := amqp.Table{
		HeaderPoisonID:           p.origin.id.String(),
		HeaderPoisonGeneration:   p.origin.generation,
		HeaderPoisonCode:         p.failure.Code,
		HeaderPoisonStage:        p.failure.Stage,
		HeaderPoisonReason:       shorten(p.failure.Detail, maxPoisonReason),
		HeaderPoisonExchange:     d.Exchange,
		HeaderPoisonRoutingKey:   d.RoutingKey,
		HeaderPoisonQueue:        p.queue,
		HeaderPoisonFirstSeen:    p.firstSeen.UTC().Format(time.RFC3339Nano),
		HeaderPoisonSequence:     int64(d.DeliveryTag), //nolint:gosec // counts deliveries of a channel
		HeaderPoisonDeliveryMode: int32(d.DeliveryMode),
	}
	if p.origin.attempt > 0 {
		ours[HeaderPoisonAttempt] = p.origin.attempt
	}
	if d.MessageId != "" {
		ours[HeaderPoisonMessageID] = d.MessageId
	}
	if d.Expiration != "" {
		ours[HeaderPoisonExpiration] = d.Expiration
	}
	if d.UserId != "" {
		ours[HeaderPoisonUserID] = d.UserId
	}
	size := tableSize(ours)
	dropped := int32(0)
	for key, value := range d.Headers {
		switch {
		case key == "CC" || key == "BCC":
			key = HeaderPoisonCC
		case strings.HasPrefix(key, "x-poison-"):
			// A stranger's, or those of an earlier visit: ours are the true ones.
			continue
		case key == HeaderReplayCount && p.origin.attempt > 0:
			continue // told as the attempt
		}
		one := amqp.Table{key: value}
		if one.Validate() != nil {
			value = shorten(fmt.Sprint(value), maxPoisonReason)
			one = amqp.Table{key: value}
		}
		if grown := size + tableSize(one); grown > maxPoisonHeaders {
			dropped++
			continue
		} else {
			size = grown
		}
		maps.Copy(ours, one)
	}
	if dropped > 0 {
		ours[HeaderPoisonDropped] = dropped
	}
	return ours
}

// shorten cuts a text after max characters and makes it valid UTF-8.
func shorten(s string, maxChars int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if utf8.RuneCountInString(s) <= maxChars {
		return s
	}
	return string([]rune(s)[:maxChars-1]) + "…"
}
