package main

import (
	"context"
	"errors"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFirstReportsEveryStepThatFailed(t *testing.T) {
	t.Parallel()

	fails := func(err error) func(context.Context) (found, error) {
		return func(context.Context) (found, error) { return found{}, err }
	}

	_, err := first(t.Context(), "Thing", "Buy one.", []step{
		{"the cellar", fails(errors.New("dark"))},
		{"the moon", fails(errNotApplicable)},
		{"the attic", fails(errors.New("dusty\nand warm"))},
	})
	require.EqualError(t, err, `no Thing could be found or started. Tried, in this order:
  - the cellar: dark
  - the attic: dusty
      and warm
Buy one.`)

	_, err = first(t.Context(), "Thing", "Buy one.", []step{
		{"the shop", fails(decidedError{errors.New("closed")})},
		{"the cellar", func(context.Context) (found, error) { return found{url: "thing"}, nil }},
	})
	require.EqualError(t, err, "Thing: closed", "what the user decided is final")

	f, err := first(t.Context(), "Thing", "Buy one.", []step{
		{"the attic", fails(errors.New("dusty"))},
		{"the cellar", func(context.Context) (found, error) { return found{url: "thing"}, nil }},
		{"the shop", fails(errors.New("asked though there was one"))},
	})
	require.NoError(t, err)
	require.Equal(t, "thing", f.url)
}

func TestQuotedTextReachesTheShellUnchanged(t *testing.T) {
	t.Parallel()

	for _, text := range []string{"", "plain", "a b", `it's "$HOME" & more; \n`, "'", "''"} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "x="+quote(text)+`; printf %s "$x"`).Output()
		require.NoError(t, err)
		require.Equal(t, text, string(out))
	}
}

func TestInstallScriptIsValid(t *testing.T) {
	t.Parallel()

	out, err := exec.CommandContext(t.Context(), "bash", "-n", "install.sh").CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// Not parallel: it changes the environment.
func TestInstallNamesWhatIsMissing(t *testing.T) {
	s, _ := newMachine(t, nil)
	t.Setenv("PATH", t.TempDir())
	require.ErrorContains(t, s.install(t.Context(), debianPackages), "there is no apt-get")
	require.ErrorContains(t, s.dockerAnswers(t.Context()), "there is no docker command")
}
