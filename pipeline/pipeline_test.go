package pipeline_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"chat-messaging/pipeline"
	"chat-messaging/queries/queriestest"
)

func TestAConversationPassesThrough(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{pipeline.QueueClassic, pipeline.QueueQuorum} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, withQueueType(kind))
			chat := queriestest.Chat(t, b.db, 1, 2)
			events := b.dispatcher()
			b.serve()
			b.send(say(chat, 1, 2, "a", "hello"), say(chat, 2, 1, "b", "hi"))
			got := next(t, events, 2)
			require.Equal(t, "delivered", got[0].Status)
			require.Equal(t, "a", *got[0].ClientMessageID)
			require.Equal(t, fmt.Sprintf("%d-1", chat), *got[0].ID)
			require.EqualValues(t, 1, *got[0].Seq)
			require.EqualValues(t, 2, *got[1].Seq)
		})
	}
}
