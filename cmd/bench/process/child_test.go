package process_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"chat-messaging/cmd/bench/process"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestChild(t *testing.T) {
	t.Parallel()
	shell := func(t *testing.T, script string) *process.Child {
		t.Helper()
		child, err := process.Start(process.Command{
			Path: "/bin/sh", Args: []string{"-c", script}, Env: []string{"PATH=" + os.Getenv("PATH")}, Dir: t.TempDir(),
		})
		require.NoError(t, err)
		return child
	}
	within := func(t *testing.T, d time.Duration) context.Context {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), d)
		t.Cleanup(cancel)
		return ctx
	}
	const obeys = `sleep 60 & trap 'kill $!; exit 0' TERM; touch ready; wait`

	t.Run("is asked to end and does", func(t *testing.T) {
		t.Parallel()
		child := shell(t, obeys)
		require.Eventually(t, func() bool {
			_, err := os.Stat(child.Dir() + "/ready")
			return err == nil
		}, 10*time.Second, time.Millisecond)
		require.NoError(t, child.Stop(within(t, 10*time.Second)))
		require.NoError(t, child.Stop(within(t, 10*time.Second)), "twice is once")
	})
	t.Run("is killed when it does not end", func(t *testing.T) {
		t.Parallel()
		child := shell(t, `trap '' TERM; touch ready; exec sleep 60`)
		require.Eventually(t, func() bool {
			_, err := os.Stat(child.Dir() + "/ready")
			return err == nil
		}, 10*time.Second, time.Millisecond)
		err := child.Stop(within(t, 50*time.Millisecond))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "killed instead")
	})
	t.Run("is killed at once", func(t *testing.T) {
		t.Parallel()
		child := shell(t, `trap '' TERM; exec sleep 60`)
		child.Kill()
		require.True(t, child.Killed())
		child.Kill()
	})
	t.Run("tells a kill from an end in order", func(t *testing.T) {
		t.Parallel()
		child := shell(t, `exit 0`)
		<-child.Ended()
		require.False(t, child.Killed())
	})
	t.Run("tells how it ended by itself and what it said last", func(t *testing.T) {
		t.Parallel()
		child := shell(t, `echo no database >&2; exit 3`)
		select {
		case <-child.Ended():
		case <-time.After(10 * time.Second):
			require.Fail(t, "it has not ended")
		}
		require.ErrorContains(t, child.Err(), "exit status 3")
		require.ErrorContains(t, child.Err(), "no database")
	})
	t.Run("that does not exist is an error", func(t *testing.T) {
		t.Parallel()
		_, err := process.Start(process.Command{Path: "/does/not/exist"})
		require.ErrorContains(t, err, "starting exist")
	})
}
