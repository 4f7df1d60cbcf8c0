package instance_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chat-messaging/cmd/services/instance"
)

func TestDetachedServersAreFoundAgain(t *testing.T) {
	t.Parallel()

	dir, ctx := t.TempDir(), within(t, 2*time.Minute)
	_, err := instance.AttachPostgres(filepath.Join(dir, "postgres"))
	require.ErrorIs(t, err, instance.ErrNotRunning)
	_, err = instance.AttachRabbitMQ(filepath.Join(dir, "rabbitmq"))
	require.ErrorIs(t, err, instance.ErrNotRunning)

	p := startPostgres(t, instance.PostgresConfig{Dir: filepath.Join(dir, "postgres"), Detached: true})
	r := startRabbitMQ(t, instance.RabbitMQConfig{Dir: filepath.Join(dir, "rabbitmq"), Detached: true})

	sameP := startPostgres(t, instance.PostgresConfig{Dir: filepath.Join(dir, "postgres")})
	require.Equal(t, p.URL(), sameP.URL(), "starting where a server runs takes it over")

	attachedP, err := instance.AttachPostgres(filepath.Join(dir, "postgres"))
	require.NoError(t, err)
	require.Equal(t, p.URL(), attachedP.URL())
	require.NoError(t, attachedP.Stop(ctx))
	require.False(t, p.Running())

	attachedR, err := instance.AttachRabbitMQ(filepath.Join(dir, "rabbitmq"))
	require.NoError(t, err)
	require.Equal(t, r.URL(), attachedR.URL())

	out, err := attachedR.Ctl(ctx, "eval", "1 + 1.")
	require.NoError(t, err)
	require.Equal(t, "2\n", out)
	require.NoError(t, attachedR.Stop(ctx))
	require.False(t, r.Running())

	again := startPostgres(t, instance.PostgresConfig{Dir: filepath.Join(dir, "postgres")})
	require.Equal(t, p.URL(), again.URL(), "the folder keeps port and password")
}

// parentDir, set, makes this test program the parent in TestServersDieWithTheirParent.
const parentDir = "INSTANCE_TEST_PARENT_DIR"

func TestServersDieWithTheirParent(t *testing.T) {
	t.Parallel()

	if dir := os.Getenv(parentDir); dir != "" {
		beParent(t, dir)
	}

	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	cmd := exec.CommandContext(within(t, time.Minute), os.Args[0], "-test.run=^TestServersDieWithTheirParent$")
	cmd.Env = append(os.Environ(), parentDir+"="+dir)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())

	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "started") {
		t.Log(lines.Text())
	}
	require.Equal(t, "started", lines.Text())

	var left []string
	ends(t, func() bool { left = processesIn(t, dir); return len(left) > 0 }, "the servers run")

	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait(), "it was killed")
	ends(t, func() bool { left = processesIn(t, dir); return len(left) == 0 }, "processes outlive their parent")

	_, err = instance.AttachPostgres(filepath.Join(dir, "frozen"))
	require.ErrorIs(t, err, instance.ErrNotRunning)
}

// beParent starts a running and a frozen server and waits for its end.
func beParent(t *testing.T, dir string) {
	t.Helper()

	startRabbitMQ(t, instance.RabbitMQConfig{Dir: filepath.Join(dir, "rabbitmq")})
	startPostgres(t, instance.PostgresConfig{Dir: filepath.Join(dir, "running"), Volatile: true})
	frozen := startPostgres(t, instance.PostgresConfig{Dir: filepath.Join(dir, "frozen"), Volatile: true})
	require.NoError(t, frozen.Pause())

	fmt.Println("started") // for the test that started us
	<-context.Background().Done()
}

// processesIn lists the command lines of processes whose working folder lies
// in dir: every process of an instance has its own data folder as such.
func processesIn(t *testing.T, dir string) []string {
	t.Helper()

	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	require.NoError(t, err)

	var found []string
	for _, link := range links {
		cwd, err := os.Readlink(link)
		if errors.Is(err, os.ErrNotExist) || err != nil || !strings.HasPrefix(cwd, dir) {
			continue
		}

		line, err := os.ReadFile(filepath.Join(filepath.Dir(link), "cmdline"))
		if err == nil && len(line) > 0 { // empty: a zombie
			found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}

	return found
}
