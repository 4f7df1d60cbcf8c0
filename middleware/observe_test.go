package middleware_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"chat-messaging/middleware"
)

func TestObserveTellsTheTimeAndTheResult(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type observation struct {
			took time.Duration
			err  error
		}
		var got []observation
		handle := middleware.Observe(func(took time.Duration, err error) {
			got = append(got, observation{took, err})
		})(func(msg *message.Message) ([]*message.Message, error) {
			<-time.After(time.Second)
			if msg.UUID == "bad" {
				return nil, errOutage
			}
			return []*message.Message{msg}, nil
		})
		msg := message.NewMessage("good", nil)
		produced, err := handle(msg)
		require.NoError(t, err)
		require.Equal(t, []*message.Message{msg}, produced)
		_, err = handle(message.NewMessage("bad", nil))
		require.ErrorIs(t, err, errOutage)
		require.Equal(t, []observation{{time.Second, nil}, {time.Second, errOutage}}, got)
	})
}
