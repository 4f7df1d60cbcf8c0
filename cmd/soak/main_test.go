package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if setup, ok := os.LookupEnv(recorderVariable); ok {
		os.Exit(runRecorder(context.Background(), setup, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}

func TestAWrongCallExitsWith2(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"no time", []string{"-minutes", "0"}, "-minutes is 0"},
		{"no messages", []string{"-rate", "0", "-ahead", "-1"}, "-ahead is -1"},
		{"kills that cannot be", []string{"-least-kills", "-1"}, "-least-kills is -1"},
		{"a word too many", []string{"mutants", "all"}, "unexpected argument"},
		{"an unknown flag", []string{"-forever"}, "not defined"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			require.Equal(t, exitUsage, run(t.Context(), test.args, &stdout, &stderr))
			require.Contains(t, stderr.String(), test.want)
			require.Empty(t, stdout.String())
		})
	}
}

func TestHelpIsNoFault(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	require.Equal(t, exitOK, run(t.Context(), []string{"-h"}, &stdout, &stderr))
	for _, flag := range []string{"-minutes", "-seed", "mutants"} {
		require.Contains(t, stderr.String(), flag)
	}
}

func TestARecorderWithoutASetupFails(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	require.Equal(t, exitFailed, runRecorder(t.Context(), "{", &stderr))
	require.True(t, strings.HasPrefix(stderr.String(), "recorder: "), stderr.String())
}
