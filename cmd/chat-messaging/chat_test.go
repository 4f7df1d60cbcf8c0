package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestChatPrintsTheOneChatOfTwoUsers(t *testing.T) {
	t.Parallel()
	c := newCorner(t)
	first := c.execute(t.Context(), "", "chat", "--users", "1,2")
	require.Equal(t, exitOK, first.code, first.stderr)
	require.Regexp(t, `^[1-9][0-9]*\n$`, first.stdout)
	require.Empty(t, first.stderr)

	require.Equal(t, first, c.execute(t.Context(), "", "chat", "--users", "2,1"), "whatever their order")
	other := c.execute(t.Context(), "", "chat", "--users", "1", "--users", "3")
	require.Equal(t, exitOK, other.code)
	require.NotEqual(t, first.stdout, other.stdout)
	require.Equal(t, 2, c.count("chats"))
	require.Equal(t, 4, c.count("members"))
}

func TestChatSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"nobody":      {},
		"one user":    {"--users", "1"},
		"three users": {"--users", "1,2,3"},
		"the same":    {"--users", "1,1"},
		"no user":     {"--users", "0,1"},
		"no number":   {"--users", "1,you"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := execute(t, nil, append([]string{"chat"}, args...)...)
			require.Equal(t, exitUsage, got.code)
			require.Contains(t, got.stderr, "--users")
			require.Empty(t, got.stdout)
		})
	}
	t.Run("a schema without tables", func(t *testing.T) {
		t.Parallel()
		got := execute(t, []string{emptySchema(t)}, "chat", "--users", "1,2")
		require.Equal(t, exitFailed, got.code)
		require.Contains(t, got.stderr, "chats")
	})
}
