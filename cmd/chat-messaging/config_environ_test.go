package main

import (
	"strings"
	"testing"
)

func TestTheEnvironmentWinsOverTheFile(t *testing.T) {
	t.Parallel()
	file := envFile{path: writeFile(t, "PREFETCH=1500\nLOG_LEVEL=warn # less\nexport LOG_FORMAT='text'\nQUEUE_TYPE=classic\n")}
	cfg, err := loadConfig([]string{goodKey, "PREFETCH=1200", "QUEUE_TYPE="}, file)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Prefetch != 1200 || cfg.LogLevel != "warn" || cfg.LogFormat != "text" {
		t.Errorf("prefetch %d, level %s, format %s", cfg.Prefetch, cfg.LogLevel, cfg.LogFormat)
	}
	if cfg.QueueType != "quorum" {
		t.Errorf("queue type %s: the variable that is set to nothing lost to the file", cfg.QueueType)
	}
}

func TestAFileThatIsNotThere(t *testing.T) {
	t.Parallel()
	if _, err := loadConfig([]string{goodKey}, envFile{path: "no-such-file"}); err != nil {
		t.Errorf("the usual file: %v", err)
	}
	_, err := loadConfig([]string{goodKey}, envFile{path: "no-such-file", required: true})
	if err == nil || !strings.Contains(err.Error(), "no-such-file") {
		t.Errorf("a file asked for by name: %v", err)
	}
	if got := execute(t, nil, "token", "--user", "1", "--env-file", "no-such-file"); got.code != exitFailed {
		t.Errorf("exit code %d, stderr %q", got.code, got.stderr)
	}
}

func TestAFileThatCannotBeReadIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := loadConfig([]string{goodKey}, envFile{path: t.TempDir()}); err == nil {
		t.Error("a folder was taken for settings")
	}
}

func TestABrokenFileIsAnErrorWithItsLineAndWithoutItsText(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, line string }{
		{"quote that is not closed", "A=1\n\nKEY='hunter2\nB=2\n", "line 3"},
		{"strange character in a name", "# settings\nhunter2-x=1\nB=2\n", "line 2"},
		{"line without an assignment", "A=1\nB=2\nhunter2\nC=3\n", "line 3"},
		{"fault after a value of several lines", "A=\"1\n2\n3\"\nB=1\n*hunter2=1\n", "line 5"},
		{"fault in the first line", "=hunter2 ?\n?=1", "settings"},
		{"last line without an assignment", "A=1\nhunter2", "settings"},
		{"blank in a name", "my key=hunter2\n", "settings"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := loadConfig([]string{goodKey}, envFile{path: writeFile(t, test.text)})
			if err == nil || !strings.Contains(err.Error(), test.line) {
				t.Fatalf("%v, want an error with %q", err, test.line)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error repeats the file: %v", err)
			}
		})
	}
}

func TestEveryVerbReadsTheFile(t *testing.T) {
	t.Parallel()
	broken := writeFile(t, "'\n")
	for _, args := range [][]string{
		{"migrate", "up"},
		{"migrate", "down", "--yes"},
		{"migrate", "status"},
		{"token", "--user", "1"},
		{"healthcheck"},
	} {
		got := execute(t, nil, append(args, "--env-file", broken)...)
		if got.code != exitFailed || !strings.Contains(got.stderr, "reading settings") {
			t.Errorf("%v: exit code %d, stderr %q", args, got.code, got.stderr)
		}
	}
}
