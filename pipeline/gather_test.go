package pipeline_test

import (
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"chat-messaging/middleware"
	"chat-messaging/pipeline"
)

// unpack returns what the messages carry, or are.
func unpack(msgs []*message.Message) []*message.Message {
	var all []*message.Message
	for _, msg := range msgs {
		if members := middleware.GroupFrom(msg.Context()); members != nil {
			all = append(all, members...)
			continue
		}
		all = append(all, msg)
	}
	return all
}

// A window that waits to be handed out comes in groups. A group keeps the order,
// is one place in the window, and its members are what they would be alone.
func TestWhatHasArrivedIsHandedOutInGroups(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.queue(nil)
	w.fill(queue, numbered(0, 100)...)
	s := w.subscriber(brokerURL(), func(c *pipeline.SubscriberConfig) { c.Prefetch, c.Group = 100, 7 })
	msgs := subscribe(t, s, queue)
	var window []*message.Message
	for len(unpack(window)) < 100 {
		window = append(window, receive(t, msgs, 1)...)
	}
	members := unpack(window)
	require.Equal(t, numbers(0, 100), bodies(members))
	for i, member := range members {
		d := pipeline.DeliveryFrom(member.Context())
		require.NotNil(t, d)
		require.Equal(t, uint64(i+1), d.DeliveryTag)
		require.Equal(t, string(d.Body), string(member.Payload))
		require.Nil(t, middleware.GroupFrom(member.Context()), "a member carries nothing itself")
	}
	for _, msg := range window {
		require.LessOrEqual(t, len(middleware.GroupFrom(msg.Context())), 7)
	}

	// All but the first group are settled: nothing can be acknowledged before it.
	for _, msg := range window[1:] {
		msg.Ack()
	}
	first := unpack(window[:1])
	require.NoError(t, first[0].Context().Err())
	window[0].Ack()
	ended(t, first[0].Context())
	ended(t, members[99].Context())
	require.NoError(t, s.Close())
	require.Empty(t, w.take(queue))
}

func TestANackedGroupComesAgainWhole(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	queue := w.queue(nil)
	w.fill(queue, numbered(0, 30)...)
	msgs := subscribe(t, w.subscriber(brokerURL(), func(c *pipeline.SubscriberConfig) { c.Prefetch, c.Group = 30, 30 }), queue)
	var window []*message.Message
	for len(unpack(window)) < 30 {
		window = append(window, receive(t, msgs, 1)...)
	}
	window[0].Nack()
	var again []*message.Message
	for len(unpack(again)) < 30 {
		again = append(again, receive(t, msgs, 1)...)
	}
	require.Equal(t, numbers(0, 30), bodies(unpack(again)), "the order is lost, or a message")
	for _, msg := range again {
		msg.Ack()
	}
}

func TestAGroupIsCheckedLikeEverySetting(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	_, err := pipeline.NewSubscriber(pipeline.SubscriberConfig{
		Connection: w.connection(brokerURL()), Logger: testLogger(t), Prefetch: 5, Group: 6,
	})
	require.ErrorContains(t, err, "Group is 6")
}
