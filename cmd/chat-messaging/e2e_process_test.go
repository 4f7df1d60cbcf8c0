package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// process is the program in a process of its own: this test binary, which
// TestMain turns into it.
type process struct {
	t      testing.TB
	cmd    *exec.Cmd
	stdout output
	stderr output
	ended  chan struct{}
}

// output is what a process has written so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// start runs the program; at the end of the test it is killed if it still runs.
func start(t testing.TB, environ []string, args ...string) *process {
	t.Helper()
	return startProgram(t, os.Args[0], environ, args...)
}

// startProgram is start with another build of the program.
func startProgram(t testing.TB, path string, environ []string, args ...string) *process {
	t.Helper()
	return startWriting(t, path, nil, environ, args...)
}

// startWriting is startProgram with a log that goes elsewhere, unless that is nil.
func startWriting(t testing.TB, path string, log *os.File, environ []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(path, args...), ended: make(chan struct{})}
	// A data race in the process ends it, so that the test notices.
	p.cmd.Env = slices.Concat(environ, []string{runMain + "=1", "GORACE=halt_on_error=1"})
	p.cmd.Dir = t.TempDir() // there is no .env
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if log != nil {
		p.cmd.Stderr = log
	}
	dieWithUs(p.cmd)
	started := make(chan error)
	go func() {
		defer close(p.ended)
		// The kernel takes the end of the thread that started a process for
		// the end of the process's parent.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait()
		}
	}()
	require.NoError(t, <-started)
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("process %d said:\n%s", p.cmd.Process.Pid, tail(p.stderr.String(), 20))
		}
	})
	return p
}

// kill ends the process at once, as a machine that fails does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(s))
}

// running tells whether the process has not ended yet.
func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// exitCode waits for the end; -1 is a signal.
func (p *process) exitCode() int {
	p.t.Helper()
	eventually(p.t, "the process does not end", func() bool { return !p.running() })
	return p.cmd.ProcessState.ExitCode()
}

// stop drains the service, which must end well. One that has just been started
// may not even listen to signals yet.
func (p *process) stop() {
	p.t.Helper()
	p.url()
	p.signal(syscall.SIGTERM)
	require.Equal(p.t, exitOK, p.exitCode(), "the service did not end well")
}

// said waits for a log record with the message, and returns it.
func (p *process) said(message string) map[string]any {
	p.t.Helper()
	var found map[string]any
	eventually(p.t, "the process does not say "+message, func() bool {
		require.True(p.t, p.running() || strings.Contains(p.stderr.String(), message), "the process ended")
		for line := range strings.Lines(p.stderr.String()) {
			var record map[string]any
			if json.Unmarshal([]byte(line), &record) == nil && record["msg"] == message {
				found = record
				return true
			}
		}
		return false
	})
	return found
}

// url is where the service answers.
func (p *process) url() string {
	p.t.Helper()
	url, _ := p.said("serving")["url"].(string)
	return url
}

func tail(text string, n int) string {
	lines := strings.SplitAfter(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "")
}
