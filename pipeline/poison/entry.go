package poison

import (
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"chat-messaging/pipeline"
	"chat-messaging/queries"
)

// The reasons of messages that the pipeline has not parked.
const (
	// codeDeadLettered and what the broker says, such as dead_lettered_maxlen: it
	// has moved the message itself.
	codeDeadLettered = "dead_lettered_"
	// codeForeign: somebody has put it into the queue, and nothing tells where it
	// is from.
	codeForeign = "foreign"

	stageBroker = "broker"
)

// foreignNamespace makes the ids of messages that the pipeline has not parked.
var foreignNamespace = uuid.UUID{0x55, 0x7e, 0x3a, 0x91, 0x0d, 0x6f, 0x4b, 0x0c, 0x91, 0x2e, 0x18, 0xd4, 0x77, 0xa0, 0x3c, 0x25}

// entryOf reads a message of the poison queue. It never fails: what the headers
// lack has a default, because a message that could not be read would stand in the
// way of all behind it.
func entryOf(d *amqp.Delivery, t pipeline.Topology, received time.Time) queries.NewPoisoned {
	who := identify(d.Body)
	n := queries.NewPoisoned{
		FirstSeen: received, LastSeen: received,
		ChatID: who.chatID, SenderID: who.senderID, ClientMessageID: who.clientMessageID,
		Body: d.Body,
	}
	kept := propertiesOf(d)
	if id, err := uuid.Parse(textHeader(d.Headers, pipeline.HeaderPoisonID)); err == nil &&
		textHeader(d.Headers, pipeline.HeaderPoisonCode) != "" {
		n.PoisonID = id
		readParked(&n, d.Headers)
		kept.restore(d.Headers)
	} else {
		readForeign(&n, d, t)
	}
	n.Properties, _ = json.Marshal(kept) // texts and numbers: cannot fail
	n.Headers = originalHeaders(d.Headers)
	return n
}

// readParked reads what park.go has written.
func readParked(n *queries.NewPoisoned, headers amqp.Table) {
	n.Code = textHeader(headers, pipeline.HeaderPoisonCode)
	n.Stage = textHeader(headers, pipeline.HeaderPoisonStage)
	n.Detail = textHeader(headers, pipeline.HeaderPoisonReason)
	n.Exchange = textHeader(headers, pipeline.HeaderPoisonExchange)
	n.RoutingKey = textHeader(headers, pipeline.HeaderPoisonRoutingKey)
	n.Queue = textHeader(headers, pipeline.HeaderPoisonQueue)
	n.Sequence = intHeader(headers, pipeline.HeaderPoisonSequence)
	n.Generation = int(intHeader(headers, pipeline.HeaderPoisonGeneration))
	n.Attempt = int(intHeader(headers, pipeline.HeaderPoisonAttempt))
	if at, err := time.Parse(time.RFC3339Nano, textHeader(headers, pipeline.HeaderPoisonFirstSeen)); err == nil {
		n.FirstSeen, n.LastSeen = at.UTC(), at.UTC()
	}
}

// readForeign makes an entry of a message that the pipeline has not parked: dead
// letters of the broker, and what people put there. Nothing tells two deliveries of
// it from two messages but the broker's own word that it delivers it again.
func readForeign(n *queries.NewPoisoned, d *amqp.Delivery, t pipeline.Topology) {
	n.Stage, n.Code, n.Detail = stageBroker, codeForeign, "it was put into the poison queue by something else"
	n.Exchange, n.RoutingKey, n.Queue = t.DatabaseExchange, "", t.DatabaseQueue
	n.Sequence = int64(d.DeliveryTag) //nolint:gosec // counts deliveries of a channel
	n.Generation = pipeline.DeliveredBefore(d)
	n.PoisonID = uuid.NewSHA1(foreignNamespace, []byte(strings.Join([]string{
		n.FirstSeen.Format(time.RFC3339Nano), d.ConsumerTag, strconv.FormatUint(d.DeliveryTag, 10), string(d.Body),
	}, "\x00")))
	deaths, _ := d.Headers["x-death"].([]any)
	if len(deaths) > 0 {
		if death, ok := deaths[0].(amqp.Table); ok {
			readDeath(n, death)
		}
	}
	// A replay that the broker itself has moved here comes back too.
	id, err := uuid.Parse(textHeader(d.Headers, pipeline.HeaderPoisonID))
	if attempt := intHeader(d.Headers, pipeline.HeaderReplayCount); err == nil && attempt > 0 {
		n.PoisonID, n.Attempt = id, int(attempt)
	}
}

func readDeath(n *queries.NewPoisoned, death amqp.Table) {
	n.Code = codeDeadLettered + textHeader(death, "reason")
	n.Queue = textHeader(death, "queue")
	n.Detail = "the broker took it out of queue " + n.Queue
	n.Exchange = textHeader(death, "exchange")
	if keys, _ := death["routing-keys"].([]any); len(keys) > 0 {
		n.RoutingKey, _ = keys[0].(string)
	}
	if at, ok := death["time"].(time.Time); ok {
		n.FirstSeen, n.LastSeen = at.UTC(), at.UTC()
	}
}

// originalHeaders are the message's own headers, without ours and without those
// that the broker counts deliveries with.
func originalHeaders(all amqp.Table) json.RawMessage {
	own := maps.Clone(all)
	maps.DeleteFunc(own, func(key string, _ any) bool {
		switch key {
		case pipeline.HeaderReplayCount, "x-delivery-count", "x-acquired-count":
			return true
		default:
			return strings.HasPrefix(key, "x-poison-") && key != pipeline.HeaderPoisonCC && key != pipeline.HeaderPoisonDropped
		}
	})
	encoded, err := encodeHeaders(own)
	if err != nil {
		// A type that the client library reads and we do not know: a body is worth
		// more than a header.
		return json.RawMessage(`{}`)
	}
	return encoded
}
