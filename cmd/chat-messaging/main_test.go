package main

import (
	"bytes"
	"context"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// The tests of this package are inside it because a program cannot be imported.

// runMain makes the test binary behave as the program itself.
const runMain = "CHAT_MESSAGING_TEST_RUNS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(runMain) != "" {
		main()
		return
	}
	// Most tests here wait for servers and not for a processor. A flag of the
	// command line, which is read later, wins.
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	// A proxy that is removed may leave this behind, with what it has just read and
	// nobody who takes it. It is not ours.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run"))
}

type result struct {
	code           int
	stdout, stderr string
}

// execute runs the program in this process. environ is all it sees: there is
// no .env in the folder of the tests.
func execute(t *testing.T, environ []string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), args, strings.NewReader(""), &stdout, &stderr, environ)
	return result{code: code, stdout: stdout.String(), stderr: stderr.String()}
}

func TestAWrongCallExitsWith2AndPointsToTheHelp(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		args []string
		want string
		help string
	}{
		{"unknown verb", []string{"bogus"}, `unknown command "bogus"`, "chat-messaging --help"},
		{"misspelt verb", []string{"migrat"}, `did you mean "migrate"?`, "chat-messaging --help"},
		{"unknown verb below a verb", []string{"migrate", "sideways"}, `unknown command "sideways"`, "chat-messaging migrate --help"},
		{"verb that needs another", []string{"migrate"}, "down, grant, status, up", "chat-messaging migrate --help"},
		{"unknown flag", []string{"migrate", "up", "--bogus"}, "unknown flag: --bogus", "chat-messaging migrate up --help"},
		{"unknown shorthand", []string{"version", "-x"}, "unknown shorthand flag", "chat-messaging version --help"},
		{"flag of the wrong type", []string{"token", "--user", "me"}, "invalid argument", "chat-messaging token --help"},
		{"flag without its value", []string{"token", "--user"}, "needs an argument", "chat-messaging token --help"},
		{"word too many", []string{"version", "now"}, `unknown command "now"`, "chat-messaging version --help"},
		{"help for an unknown verb", []string{"help", "bogus"}, `unknown command "bogus"`, "chat-messaging help --help"},
		{"rolling back without saying yes", []string{"migrate", "down"}, "--yes", "chat-messaging migrate down --help"},
		{"token for nobody", []string{"token"}, "--user", "chat-messaging token --help"},
		{"token for an impossible user", []string{"token", "--user", "-3"}, "--user", "chat-messaging token --help"},
		{"token that is not valid at all", []string{"token", "--user", "1", "--ttl", "0s"}, "--ttl", "chat-messaging token --help"},
		{"unknown output", []string{"version", "-o", "xml"}, `"xml"`, "chat-messaging version --help"},
		{"health check of no URL", []string{"healthcheck", "--url", "localhost"}, "--url", "chat-messaging healthcheck --help"},
		{"completion for an unknown shell", []string{"completion", "bash", "more"}, `"more"`, "chat-messaging completion bash --help"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := execute(t, nil, test.args...)
			if got.code != exitUsage {
				t.Errorf("exit code %d, want %d", got.code, exitUsage)
			}
			if got.stdout != "" {
				t.Errorf("on stdout: %q", got.stdout)
			}
			lines := strings.Split(strings.TrimSpace(got.stderr), "\n")
			if len(lines) != 2 || !strings.HasPrefix(lines[0], "chat-messaging: ") || !strings.Contains(lines[0], test.want) {
				t.Errorf("stderr %q, want one line with %q and a hint", got.stderr, test.want)
			}
			if !strings.Contains(got.stderr, test.help) {
				t.Errorf("stderr %q does not point to %q", got.stderr, test.help)
			}
		})
	}
}

func TestHelpIsForPeople(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"help"}, {"--help"}, {"-h"}} {
		got := execute(t, nil, args...)
		if got.code != exitOK || got.stderr != "" {
			t.Errorf("%v: exit code %d, stderr %q", args, got.code, got.stderr)
		}
		for _, want := range []string{
			"Service:\n", "Try it:\n", "Operate:\n", "Examples:\n", "Exit codes:\n",
			"migrate ", "token ", "healthcheck ", "version ", "completion ",
			"DATABASE_URL", "RABBITMQ_URL", "default :8002", "env_example.txt",
		} {
			if !strings.Contains(got.stdout, want) {
				t.Errorf("%v: the help lacks %q", args, want)
			}
		}
	}
}

func TestEveryVerbExplainsItself(t *testing.T) {
	t.Parallel()
	root, _ := newRoot(nil)
	for _, verb := range root.Commands() {
		if verb.GroupID == "" || verb.Short == "" {
			t.Errorf("%s: group %q, short %q", verb.Name(), verb.GroupID, verb.Short)
		}
		for _, args := range [][]string{{"help", verb.Name()}, {verb.Name(), "--help"}} {
			got := execute(t, nil, args...)
			if got.code != exitOK || !strings.Contains(got.stdout, "Usage:\n  chat-messaging "+verb.Name()) {
				t.Errorf("%v: exit code %d, stdout %q, stderr %q", args, got.code, got.stdout, got.stderr)
			}
			if strings.Contains(got.stdout, "Exit codes:") {
				t.Errorf("%v: repeats what the main help says", args)
			}
		}
	}
}

func TestTheHelpNamesOnlySettingsThatExist(t *testing.T) {
	t.Parallel()
	_, environment, _ := strings.Cut(execute(t, nil, "help").stdout, "Environment:\n")
	specs := configSpecs()
	named := 0
	for line := range strings.Lines(environment) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "" || name != strings.ToUpper(name) || !strings.HasPrefix(line, "  ") || len(name) < 3 {
			continue
		}
		named++
		if _, ok := specs[name]; !ok {
			t.Errorf("there is no setting %s", name)
		}
	}
	if named < 5 {
		t.Errorf("found only %d settings in %q", named, environment)
	}
}

func TestCompletionsAreKept(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if got := execute(t, nil, "completion", shell); got.code != exitOK || len(got.stdout) < 1000 {
			t.Errorf("%s: exit code %d, %d bytes, stderr %q", shell, got.code, len(got.stdout), got.stderr)
		}
	}
	if got := execute(t, nil, "__complete", "migrate", ""); !strings.Contains(got.stdout, "status") {
		t.Errorf("completing migrate: %q", got.stdout)
	}
}

func TestSecretsAreNotPrintedWhateverFails(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	file := writeFile(t, "DATABASE_URL='postgres://u:hunter2@h/d\n")
	tests := []struct {
		name    string
		environ []string
		args    []string
	}{
		{"database URL that is none", []string{"DATABASE_URL=postgres://u:hunter2@h:port/d"}, []string{"migrate", "status"}},
		{"reserved character in the password", []string{"DATABASE_URL=postgres://u:1/hunter2@h/d"}, []string{"migrate", "status"}},
		{"database URL of another kind", []string{"DATABASE_URL=mysql://u:hunter2@h/d"}, []string{"migrate", "status"}},
		{"password as a parameter", []string{"DATABASE_URL=postgres://h/?password=hunter2"}, []string{"migrate", "status"}},
		{"keywords instead of a URL", []string{"DATABASE_URL=host=h password=hunter2"}, []string{"migrate", "status"}},
		{"database that is not there", []string{"DATABASE_URL=postgres://u:hunter2@127.0.0.1:1/d?sslmode=disable"}, []string{"migrate", "status"}},
		{"unknown mode of encryption", []string{"DATABASE_URL=postgres://u:hunter2@127.0.0.1:1/d?sslmode=maybe"}, []string{"migrate", "status"}},
		{"short key", []string{"KEY=hunter2"}, []string{"token", "--user", "1"}},
		{"key of another kind", []string{"KEY=hunter2", "ALGORITHM=RS256"}, []string{"token", "--user", "1"}},
		{"broken settings file", nil, []string{"migrate", "status", "--env-file", file}},
		{"health check with a password", nil, []string{"healthcheck", "--url", "http://u:hunter2@127.0.0.1:1/"}},
		{"health check with a token", nil, []string{"healthcheck", "--url", "http://127.0.0.1:1/?token=hunter2"}},
		{"health check of a strange URL", nil, []string{"healthcheck", "--url", "http://u:hunter2@127.0.0.1:x/"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := execute(t, test.environ, test.args...)
			if got.code == exitOK {
				t.Error("succeeded")
			}
			if strings.Contains(got.stdout+got.stderr, secret) {
				t.Errorf("the secret is in %q", got.stdout+got.stderr)
			}
			if !strings.HasPrefix(got.stderr, "chat-messaging: ") {
				t.Errorf("stderr %q", got.stderr)
			}
		})
	}
}

func TestTheFirstSignalCancelsAndTheSecondExits(t *testing.T) {
	t.Parallel()
	signals := make(chan os.Signal)
	codes := make(chan int)
	ctx, cancel := context.WithCancel(t.Context())
	var stderr bytes.Buffer
	go obeySignals(signals, cancel, &stderr, func(code int) { codes <- code })

	signals <- syscall.SIGTERM
	<-ctx.Done()
	signals <- syscall.SIGINT
	if code := <-codes; code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	if !strings.Contains(stderr.String(), "second signal") {
		t.Errorf("stderr %q", stderr.String())
	}
}

func TestTheProcessEndsWhatItDoesAtASignal(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			asked := make(chan struct{})
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				close(asked)
				<-r.Context().Done()
			}))
			defer server.Close()

			var stderr bytes.Buffer
			process := exec.CommandContext(t.Context(), os.Args[0], "healthcheck", "--timeout", "1m", "--url", server.URL)
			process.Env = append(slices.Clone(os.Environ()), runMain+"=1")
			process.Stderr = &stderr
			if err := process.Start(); err != nil {
				t.Fatal(err)
			}
			<-asked
			if err := process.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			_ = process.Wait()
			if code := process.ProcessState.ExitCode(); code != exitFailed {
				t.Errorf("exit code %d, want %d", code, exitFailed)
			}
			if stderr.String() != "chat-messaging: interrupted\n" {
				t.Errorf("stderr %q", stderr.String())
			}
		})
	}
}
