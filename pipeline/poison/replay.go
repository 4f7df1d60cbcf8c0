package poison

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"

	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"chat-messaging/pipeline"
	"chat-messaging/queries"
)

// replayOf makes the publishing of an entry: the original, with its edited body if
// it has one, under the id of the entry and the number of the attempt.
func replayOf(m *queries.PoisonedMessage) (amqp.Publishing, error) {
	var kept properties
	if err := json.Unmarshal(m.Properties, &kept); err != nil {
		return amqp.Publishing{}, fmt.Errorf("reading the properties: %w", err)
	}
	headers, err := decodeHeaders(m.Headers)
	if err != nil {
		return amqp.Publishing{}, err
	}
	maps.DeleteFunc(headers, func(key string, _ any) bool {
		// CC and BCC would send copies to queues that have had them; the broker's
		// account of earlier deaths is not ours to write.
		return key == "CC" || key == "BCC" || strings.HasPrefix(key, "x-poison-") || strings.HasPrefix(key, "x-death") ||
			strings.HasPrefix(key, "x-first-death-") || strings.HasPrefix(key, "x-last-death-")
	})
	headers[pipeline.HeaderPoisonID] = m.PoisonID.String()
	headers[pipeline.HeaderReplayCount] = int32(min(m.Attempts, 1<<30)) //nolint:gosec // bounded
	out := kept.publishing()
	out.Headers, out.Body = headers, m.Outgoing()
	if out.MessageId == "" {
		// Without one a message that no queue takes could not be told from another.
		out.MessageId = m.PoisonID.String()
	}
	return out, nil
}

type replayKey struct{}

// replayMarshaler takes the publishing out of the message's context, where replays
// put it: a Watermill message has no place for typed headers.
type replayMarshaler struct{ pipeline.Marshaler }

var _ wamqp.Marshaler = replayMarshaler{}

// Marshal implements wamqp.Marshaler.
func (replayMarshaler) Marshal(msg *message.Message) (amqp.Publishing, error) {
	p, ok := msg.Context().Value(replayKey{}).(amqp.Publishing)
	if !ok {
		return amqp.Publishing{}, errors.New("the message carries nothing to replay")
	}
	return p, nil
}

// sender publishes replays with confirms, through one publisher for each exchange
// that messages came from.
type sender struct {
	conn   *pipeline.Connection
	logger *slog.Logger

	mu         sync.Mutex
	publishers map[string]*pipeline.Publisher
}

func newSender(conn *pipeline.Connection, logger *slog.Logger) *sender {
	return &sender{conn: conn, logger: logger, publishers: map[string]*pipeline.Publisher{}}
}

// send publishes the entries in their order, and returns an error or nil for each.
func (s *sender) send(ctx context.Context, list []queries.PoisonedMessage) []error {
	errs := make([]error, 0, len(list))
	for start := 0; start < len(list); {
		end := start + 1
		for end < len(list) && list[end].Exchange == list[start].Exchange {
			end++
		}
		errs = append(errs, s.sendTo(ctx, list[start].Exchange, list[start:end])...)
		start = end
	}
	return errs
}

// sendTo publishes entries of one exchange.
func (s *sender) sendTo(ctx context.Context, exchange string, list []queries.PoisonedMessage) []error {
	errs := make([]error, len(list))
	publisher, err := s.publisher(exchange)
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	var msgs []*message.Message
	var places []int
	for i := range list {
		publishing, err := replayOf(&list[i])
		if err != nil {
			errs[i] = fmt.Errorf("%w: %w", pipeline.ErrUnsendable, err)
			continue
		}
		msg := message.NewMessage(publishing.MessageId, publishing.Body)
		msg.Metadata.Set(routingKeyMetadata, list[i].RoutingKey)
		msg.SetContext(context.WithValue(ctx, replayKey{}, publishing))
		msgs, places = append(msgs, msg), append(places, i)
	}
	if len(msgs) == 0 {
		return errs
	}
	for i, err := range publisher.PublishEach(ctx, "", msgs) {
		errs[places[i]] = err
	}
	return errs
}

const routingKeyMetadata = "routing_key"

func (s *sender) publisher(exchange string) (*pipeline.Publisher, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := s.publishers[exchange]; ok {
		return p, nil
	}
	p, err := pipeline.NewPublisher(pipeline.PublisherConfig{
		Connection: s.conn,
		Exchange:   exchange,
		RoutingKey: func(_ string, msg *message.Message) string { return msg.Metadata.Get(routingKeyMetadata) },
		Marshaler:  replayMarshaler{},
		// Publishing to an exchange that is not there closes the channel, and says
		// of no message that it was the fault.
		Prepare: func(ctx context.Context) error { return pipeline.FindExchange(ctx, s.conn, exchange) },
		Logger:  s.logger,
	})
	if err != nil {
		return nil, err
	}
	s.publishers[exchange] = p
	return p, nil
}

// close closes the publishers, not the connection.
func (s *sender) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.publishers {
		_ = p.Close()
	}
	clear(s.publishers)
}

// refusal returns why the broker will not take the message however often it is
// sent, "" if trying again can mend it.
func refusal(err error) string {
	switch {
	case errors.Is(err, pipeline.ErrUnroutable):
		return "no queue takes it: nothing is bound with its routing key to the exchange that it came by"
	case errors.Is(err, pipeline.ErrNoExchange):
		return "the exchange that it came by is gone"
	case errors.Is(err, pipeline.ErrUnsendable):
		return err.Error()
	default:
		return ""
	}
}
