package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

var slackSaid = regexp.MustCompile(`"msg":"schedule".*"timer_slack":"([^"]+)"`)

func TestServeRelaxesTheTimersOfThisProcess(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		slack time.Duration
		mark  []string
		args  []string
		want  time.Duration
	}{
		{"unless somebody else has", usualSlack, nil, []string{"serve", "--migrate"}, timerSlack},
		{"also behind a flag", usualSlack, nil, []string{"--env-file", os.DevNull, "serve", "--migrate"}, timerSlack},
		{"as the operator has", 70 * time.Microsecond, nil, []string{"serve", "--migrate"}, 70 * time.Microsecond},
		{"unless it is told not to", usualSlack, []string{keepTimers + "=1"}, []string{"serve", "--migrate"}, usualSlack},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			// It ends by itself, because nothing listens there.
			environ := append([]string{
				runMain + "=1", "COMPONENTS=relay", "DATABASE_URL=postgres://nobody@127.0.0.1:1/nothing?sslmode=disable",
			}, test.mark...)
			said, err := startSlack(t, test.slack, environ, test.args...)
			require.ErrorContains(t, err, fmt.Sprint("exit status ", exitFailed), "%s", said)
			found := slackSaid.FindSubmatch(said)
			require.NotNil(t, found, "%s", said)
			require.Equal(t, test.want.String(), string(found[1]))
		})
	}
}

// startSlack runs the program from a thread that has the slack, and returns what it
// says.
func startSlack(t *testing.T, slack time.Duration, environ []string, args ...string) ([]byte, error) {
	t.Helper()
	cmd := exec.CommandContext(within(t, patience), os.Args[0], args...)
	cmd.Dir, cmd.Env = t.TempDir(), slices.Clone(environ)
	type answer struct {
		said []byte
		err  error
	}
	answered := make(chan answer)
	go func() {
		runtime.LockOSThread() // and no unlock: the thread ends with its slack
		if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0); err != nil {
			answered <- answer{nil, err}
			return
		}
		said, err := cmd.CombinedOutput()
		answered <- answer{said, err}
	}()
	a := <-answered
	return a.said, a.err
}

func TestOnlyTheServiceRelaxesTimers(t *testing.T) {
	t.Parallel()
	require.True(t, serves([]string{"serve"}))
	require.True(t, serves([]string{"--env-file", "x", "serve", "--migrate"}))
	for _, args := range [][]string{nil, {"version"}, {"send", "serve"}, {"help", "serve"}, {"bogus"}} {
		require.False(t, serves(args), "%v", args)
	}
}
