package pipeline_test

import (
	"context"
	"sync"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"chat-messaging/pipeline"
)

func (w *wire) topology(kind string, declare bool) pipeline.Topology {
	return pipeline.Topology{
		DatabaseExchange: w.name(), DatabaseQueue: w.name(), PoisonQueue: w.name(), DeliveryExchange: w.name(),
		QueueType: kind, Declare: declare,
	}
}

func ensure(conn *pipeline.Connection, t pipeline.Topology) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := t.EnsureInput(ctx, conn); err != nil {
		return err
	}
	return t.EnsureDelivery(ctx, conn)
}

// send publishes to an exchange and tells whether a queue took it.
func (w *wire) send(exchange, key string, p amqp.Publishing) (routed bool) {
	w.t.Helper()
	w.on(func(ch *amqp.Channel) error {
		returns := ch.NotifyReturn(make(chan amqp.Return, 1))
		if err := ch.Confirm(false); err != nil {
			return err
		}
		confirm, err := ch.PublishWithDeferredConfirm(exchange, key, true, false, p)
		if err != nil {
			return err
		}
		confirm.Wait()
		routed = len(returns) == 0
		return nil
	})
	return routed
}

func TestWhatIsMissingIsCreated(t *testing.T) {
	t.Parallel()
	for kind, args := range map[string]amqp.Table{
		pipeline.QueueClassic: {"x-queue-type": "classic"},
		pipeline.QueueQuorum:  {"x-queue-type": "quorum", "x-single-active-consumer": true, "x-delivery-limit": int32(1_000_000)},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			top := w.topology(kind, true)
			conn := w.connection(brokerURL())
			require.NoError(t, ensure(conn, top))
			require.NoError(t, ensure(conn, top), "a second time")
			require.True(t, w.send(top.DatabaseExchange, "", amqp.Publishing{Body: []byte("x")}))
			ready, _ := w.state(top.DatabaseQueue)
			require.Equal(t, 1, ready)
			args["x-dead-letter-exchange"], args["x-dead-letter-routing-key"] = "", top.PoisonQueue
			w.declare(top.DatabaseQueue, args)
			w.declare(top.PoisonQueue, amqp.Table{"x-queue-type": kind})
			require.False(t, w.send(top.DeliveryExchange, "", amqp.Publishing{}), "nobody was to be bound to it")
		})
	}
}

func TestWhatTheBrokerItselfDropsGoesToThePoisonQueue(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	top := w.topology(pipeline.QueueClassic, true)
	require.NoError(t, ensure(w.connection(brokerURL()), top))
	w.send(top.DatabaseExchange, "", amqp.Publishing{Expiration: "1", Body: []byte("late")})
	until(t, "the expired message is in the poison queue", func() bool { n, _ := w.state(top.PoisonQueue); return n == 1 })
	require.Equal(t, []string{"late"}, deliveredBodies(w.take(top.PoisonQueue)))
}

func TestWhatIsThereIsUsedAsItIs(t *testing.T) {
	t.Parallel()
	for name, args := range map[string]amqp.Table{
		"classic":              nil,
		"with limits":          {"x-max-length": int32(10), "x-message-ttl": int32(60000), "x-queue-mode": "lazy"},
		"quorum":               {"x-queue-type": "quorum"},
		"a dead-letter target": {"x-dead-letter-exchange": "elsewhere"},
	} {
		for _, kind := range []string{pipeline.QueueClassic, pipeline.QueueQuorum} {
			t.Run(name+" where we would make "+kind, func(t *testing.T) {
				t.Parallel()
				w := newWire(t)
				top := w.topology(kind, true)
				exchanges := func(ch *amqp.Channel) error {
					if err := ch.ExchangeDeclare(top.DatabaseExchange, "topic", false, true, false, false, nil); err != nil {
						return err
					}
					return ch.ExchangeDeclare(top.DeliveryExchange, "fanout", true, false, false, false, amqp.Table{"alternate-exchange": "amq.fanout"})
				}
				w.on(exchanges)
				w.declare(top.DatabaseQueue, args)
				w.declare(top.PoisonQueue, args)
				require.NoError(t, ensure(w.connection(brokerURL()), top))
				w.on(exchanges)
				w.declare(top.DatabaseQueue, args)
				w.declare(top.PoisonQueue, args)
			})
		}
	}
}

func TestWhatIsMissingIsAnErrorWhereNothingMayBeCreated(t *testing.T) {
	t.Parallel()
	for name, take := range map[string]func(*wire, pipeline.Topology) (missing string){
		"the exchange": func(w *wire, top pipeline.Topology) string {
			w.on(func(ch *amqp.Channel) error { return ch.ExchangeDelete(top.DatabaseExchange, false, false) })
			return top.DatabaseExchange
		},
		"the queue": func(w *wire, top pipeline.Topology) string {
			w.remove(top.DatabaseQueue)
			return top.DatabaseQueue
		},
		"the poison queue": func(w *wire, top pipeline.Topology) string {
			w.remove(top.PoisonQueue)
			return top.PoisonQueue
		},
		"the delivery exchange": func(w *wire, top pipeline.Topology) string {
			w.on(func(ch *amqp.Channel) error { return ch.ExchangeDelete(top.DeliveryExchange, false, false) })
			return top.DeliveryExchange
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			top := w.topology(pipeline.QueueClassic, true)
			conn := w.connection(brokerURL())
			require.NoError(t, ensure(conn, top))
			top.Declare = false
			require.NoError(t, ensure(conn, top))
			missing := take(w, top)
			for range 2 { // looking has not created it
				err := ensure(conn, top)
				require.ErrorIs(t, err, pipeline.ErrMissing)
				require.ErrorContains(t, err, missing)
			}
			top.Declare = true
			require.NoError(t, ensure(conn, top))
		})
	}
}

func TestNothingIsBoundWhereNothingMayBeCreated(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	top := w.topology(pipeline.QueueClassic, true)
	conn := w.connection(brokerURL())
	require.NoError(t, ensure(conn, top))
	w.on(func(ch *amqp.Channel) error { return ch.QueueUnbind(top.DatabaseQueue, "", top.DatabaseExchange, nil) })
	top.Declare = false
	require.NoError(t, ensure(conn, top))
	require.False(t, w.send(top.DatabaseExchange, "", amqp.Publishing{}))
}

func TestReplicasMayCreateTheSameAtTheSameTime(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	top := w.topology(pipeline.QueueQuorum, true)
	var wg sync.WaitGroup
	for range 6 {
		conn := w.connection(brokerURL())
		wg.Go(func() {
			if err := ensure(conn, top); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestABrokerThatIsAwayIsNotAMissingQueue(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	top := w.topology(pipeline.QueueClassic, false)
	err := ensure(w.connection("amqp://guest:guest@127.0.0.1:1/"), top)
	require.Error(t, err)
	require.NotErrorIs(t, err, pipeline.ErrMissing)
}

func TestLookingIsBoundedByItsContext(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	top := w.topology(pipeline.QueueClassic, true)
	l := newLink(t, brokerURL())
	conn := w.connection(l.url)
	require.NoError(t, ensure(conn, top))
	l.swallow()
	ctx, cancel := context.WithTimeout(context.Background(), patience/100)
	defer cancel()
	within(t, patience/10, func() { require.Error(t, top.EnsureInput(ctx, conn)) })
}
