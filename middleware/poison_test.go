package middleware_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"chat-messaging/middleware"
)

func poisoning(t *testing.T, c middleware.PoisonConfig, err error) message.HandlerFunc {
	t.Helper()
	c.Permanent = func(err error) bool { return errors.Is(err, errFinal) }
	m, configErr := middleware.Poison(c)
	require.NoError(t, configErr)
	return m(func(msg *message.Message) ([]*message.Message, error) { return []*message.Message{msg}, err })
}

func TestAPermanentFailureIsParkedAndSettled(t *testing.T) {
	t.Parallel()
	msg := message.NewMessage("1", []byte("bad"))
	var parked []*message.Message
	produced, err := poisoning(t, middleware.PoisonConfig{
		Park: func(_ context.Context, m *message.Message, reason error) error {
			require.ErrorIs(t, reason, errFinal)
			parked = append(parked, m)
			return nil
		},
	}, errFinal)(msg)
	require.NoError(t, err, "it stays unacknowledged")
	require.Empty(t, produced)
	require.Equal(t, []*message.Message{msg}, parked)
	require.Empty(t, msg.Metadata, "the message was changed")
}

func TestWhatIsNotPermanentIsNeverParked(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"success": nil, "an outage": errOutage, "a shutdown": context.Canceled, "a closed outbox": middleware.ErrClosed,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			msg := message.NewMessage("1", nil)
			produced, got := poisoning(t, middleware.PoisonConfig{
				Park: func(context.Context, *message.Message, error) error {
					t.Error("it was parked")
					return nil
				},
			}, err)(msg)
			require.Equal(t, err, got)
			require.Equal(t, []*message.Message{msg}, produced)
		})
	}
}

func TestParkingIsTriedAgainWithGrowingPauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		var pauses []time.Duration
		started := time.Now()
		_, err := poisoning(t, middleware.PoisonConfig{
			MaxInterval: time.Second,
			Park: func(context.Context, *message.Message, error) error {
				if tries++; tries <= 10 {
					return errOutage
				}
				return nil
			},
			OnParkFailure: func(err error, pause time.Duration) {
				require.ErrorIs(t, err, errOutage)
				pauses = append(pauses, pause)
			},
		}, errFinal)(message.NewMessage("1", nil))
		require.NoError(t, err)
		require.Equal(t, 11, tries)
		require.Len(t, pauses, 10)
		var total time.Duration
		for _, pause := range pauses {
			require.LessOrEqual(t, pause, 1500*time.Millisecond)
			total += pause
		}
		require.Equal(t, total, time.Since(started))
		require.Greater(t, pauses[9], pauses[0])
	})
}

func TestAMessageThatCannotBeParkedGoesBackWhenItsChannelGoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("the channel is lost")
		ctx, cancel := context.WithCancelCause(context.Background())
		time.AfterFunc(10*time.Minute, func() { cancel(gone) })
		msg := message.NewMessage("1", nil)
		msg.SetContext(ctx)
		_, err := poisoning(t, middleware.PoisonConfig{
			Park: func(context.Context, *message.Message, error) error { return errOutage },
		}, errFinal)(msg)
		require.ErrorIs(t, err, gone)
		require.NotErrorIs(t, err, errFinal)
	})
}

func TestPoisonNeedsItsParts(t *testing.T) {
	t.Parallel()
	_, err := middleware.Poison(middleware.PoisonConfig{Permanent: func(error) bool { return true }})
	require.Error(t, err)
	_, err = middleware.Poison(middleware.PoisonConfig{
		Park: func(context.Context, *message.Message, error) error { return nil },
	})
	require.Error(t, err)
}
