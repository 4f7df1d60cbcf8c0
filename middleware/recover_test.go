package middleware_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"chat-messaging/middleware"
)

func TestAPanicBecomesAShortError(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]any{
		"a text":      strings.Repeat("very long ", 100_000),
		"an error":    errors.New("a fault"),
		"a struct":    struct{ A, B int }{1, 2},
		"a nil panic": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			produced, err := middleware.Recover(func(*message.Message) ([]*message.Message, error) {
				panic(value)
			})(message.NewMessage("1", nil))
			require.Nil(t, produced)
			var panicked *middleware.PanicError
			require.ErrorAs(t, err, &panicked)
			require.LessOrEqual(t, len(err.Error()), 300, "it may become a header")
			require.NotContains(t, err.Error(), "goroutine")
			require.Contains(t, string(panicked.Stack), "recover_test.go")
		})
	}
}

func TestRecoverLeavesEverythingElseAlone(t *testing.T) {
	t.Parallel()
	msg := message.NewMessage("1", nil)
	produced, err := middleware.Recover(func(msg *message.Message) ([]*message.Message, error) {
		return []*message.Message{msg}, errFinal
	})(msg)
	require.Equal(t, []*message.Message{msg}, produced)
	require.Equal(t, errFinal, err)
}
