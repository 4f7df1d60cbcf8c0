package pipeline_test

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	amqp "github.com/rabbitmq/amqp091-go"

	"chat-messaging/pipeline"
)

// suite is what Watermill's own tests are run with.
type suite struct {
	features tests.Features
	inFlight int // 0: the whole window
}

// notClaimed is the one place that names what the suite covers and we do not
// claim.
func notClaimed(features tests.Features) tests.Features {
	// A topic is one queue, and a queue has one group of consumers. Who wants a
	// second group binds a second queue to the exchange.
	features.ConsumerGroups = false
	// A message comes again after a nack and after a lost connection. Exactly once
	// in effect is the work of the unique keys in the database, and of the
	// Deduplicator at the consumers of events.
	features.ExactlyOnceDelivery = false
	// An acknowledged message is gone from its queue: RabbitMQ is no log.
	features.NewSubscriberReceivesOldMessages = false
	// A message crosses the network, where a context cannot follow it.
	features.ContextPreserved = false
	// The suite's reconnect test restarts the broker that all tests share. It
	// also appends to the list of published messages in one goroutine while it
	// compares it in another, which the race detector reports. Ours are in
	// subscriber_loss_test.go and publisher_loss_test.go.
	features.RestartServiceCommand = nil
	return features
}

func TestWatermillsSuiteInAWindow(t *testing.T) {
	t.Parallel()
	suite{features: notClaimed(tests.Features{
		Persistent: true,
		// Messages are handed out in order, many at a time, and nothing makes who
		// reads them finish in order; that is what the tickets and the outbox are
		// for. The suite's word for order includes that the second message waits
		// for the first one's ack, and the window is there so that it does not.
		GuaranteedOrder: false,
	})}.run(t)
}

func TestWatermillsSuiteOneMessageAtATime(t *testing.T) {
	t.Parallel()
	suite{inFlight: 1, features: notClaimed(tests.Features{
		Persistent:      true,
		GuaranteedOrder: true,
		// With several consumers of a queue each gets a part of it. The pipeline
		// keeps its queue to one.
		GuaranteedOrderWithSingleSubscriber: true,
	})}.run(t)
}

// The same ten times at once, or as often as STRESS_TEST_COUNT says. It takes
// minutes, so it runs only when that is set.
func TestWatermillsSuiteUnderStress(t *testing.T) {
	t.Parallel()
	if os.Getenv("STRESS_TEST_COUNT") == "" {
		t.Skip("STRESS_TEST_COUNT is not set")
	}
	s, topics := suite{features: notClaimed(tests.Features{Persistent: true})}, newTopics(t)
	tests.TestPubSubStressTest(t, s.features, func(t *testing.T) (message.Publisher, message.Subscriber) {
		return s.pubSub(t, topics)
	}, nil)
}

func (s suite) run(t *testing.T) {
	topics := newTopics(t)
	tests.TestPubSub(t, s.features, func(t *testing.T) (message.Publisher, message.Subscriber) {
		return s.pubSub(t, topics)
	}, nil)
}

// pubSub returns a pair with connections of their own: the suite closes each
// half more than once.
func (s suite) pubSub(t *testing.T, topics *topics) (message.Publisher, message.Subscriber) {
	w := &wire{t: t, logger: testLogger(t)}
	subscriber := w.subscriber(brokerURL(), func(c *pipeline.SubscriberConfig) {
		c.InFlight = s.inFlight
		c.Prepare = topics.declare
		// The suite nacks three hundred times in a row.
		c.MaxPause = 5 * time.Millisecond
	})
	return w.publisher(brokerURL()), subscriber
}

// topics are the queues that a run of the suite makes; they are deleted at its
// end.
type topics struct {
	wire *wire
	mu   sync.Mutex
	made map[string]bool
}

func newTopics(t testing.TB) *topics {
	ts := &topics{wire: newWire(t), made: map[string]bool{}}
	t.Cleanup(func() {
		for topic := range ts.made {
			ts.wire.remove(topic)
		}
	})
	return ts
}

func (ts *topics) declare(_ context.Context, topic string) error {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.made[topic] {
		return nil
	}
	ts.made[topic] = true
	return ts.wire.try(func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(topic, true, false, false, false, nil)
		return err
	})
}
