package main

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	t.Parallel()
	got := execute(t, nil, "version")
	if got.code != exitOK || !strings.Contains(got.stdout, runtime.Version()) || strings.Count(got.stdout, "\n") != 4 {
		t.Errorf("exit code %d, stdout %q", got.code, got.stdout)
	}
	var b build
	if err := json.Unmarshal([]byte(execute(t, nil, "version", "-o", "json").stdout), &b); err != nil {
		t.Fatal(err)
	}
	if b.Go != runtime.Version() || b.Version == "" || b.Platform != runtime.GOOS+"/"+runtime.GOARCH {
		t.Errorf("%+v", b)
	}
	if got := execute(t, nil, "--version").stdout; got != "chat-messaging "+b.Version+"\n" {
		t.Errorf("--version prints %q", got)
	}
}
