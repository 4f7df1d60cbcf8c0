package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chat-messaging/cmd/soak/crash"
	"chat-messaging/middleware/failpoint"
	"chat-messaging/pipeline"
)

// usualSeed makes the short run: SOAK_SEED makes another one.
const usualSeed = 20251216

func seed(t *testing.T) uint64 {
	t.Helper()
	if given := os.Getenv("SOAK_SEED"); given != "" {
		n, err := strconv.ParseUint(given, 10, 64)
		require.NoError(t, err, "SOAK_SEED must be a number")
		return n
	}
	return usualSeed
}

// The service dies at random failpoints and moments, and the dispatcher with it,
// and nothing is lost, stored twice, out of order or dispatched to a stranger;
// and of six mistakes each is noticed, so that this means something. `make soak`
// does the same for longer, and kills the servers too.
func TestTheServiceMayDieAnywhere(t *testing.T) {
	t.Parallel()
	s := settings{Seed: seed(t), Rate: 1000, Ahead: 400, Race: true, Volatile: true}
	t.Logf("SOAK_SEED=%d", s.Seed)
	var progress bytes.Buffer
	r, err := newRig(t.Context(), s, &progress)
	t.Cleanup(func() { require.NoError(t, r.close()) })
	require.NoError(t, err)

	t.Run("on a quorum queue, with a delivery service and a standby", func(t *testing.T) {
		t.Parallel()
		dieOften(t, r, 2, crash.GroundConfig{Name: "quorum_fan_in", QueueType: pipeline.QueueQuorum, Routing: pipeline.RoutingFanIn, Chats: 20})
	})
	t.Run("on a classic queue, with a queue a user", func(t *testing.T) {
		t.Parallel()
		dieOften(t, r, 1, crash.GroundConfig{Name: "classic_by_user", QueueType: pipeline.QueueClassic, Routing: pipeline.RoutingUser, Chats: 20})
	})
	t.Run("and every mistake is noticed", func(t *testing.T) {
		t.Parallel()
		trials, err := r.tries(t.Context())
		require.NoError(t, err)
		var table strings.Builder
		require.NoError(t, writeTrials(&table, trials))
		t.Log("\n" + table.String())
		for _, trial := range trials {
			var audits strings.Builder
			require.NoError(t, trial.mistaken.Write(&audits))
			require.NoError(t, trial.control.Write(&audits))
			require.True(t, trial.caught(), "mutant %q is not caught by %s:\n%s", trial.mutant.Name, trial.mutant.CaughtBy, &audits)
		}
	})
	t.Run("but only where and how it can be told", func(t *testing.T) {
		t.Parallel()
		for _, setting := range []string{
			failpoint.EnvPoint + "=nowhere:1", failpoint.EnvPoint + "=after_commit", failpoint.EnvPoint + "=after_commit:0",
			failpoint.EnvMutant + "=forget_everything",
		} {
			cmd := exec.CommandContext(t.Context(), r.service, "version")
			cmd.Env = []string{setting}
			said, err := cmd.CombinedOutput()
			require.Error(t, err, setting)
			require.Equal(t, exitUsage, cmd.ProcessState.ExitCode(), "%s: %s", setting, said)
			require.Contains(t, string(said), "CHAT_MESSAGING_")
		}
	})
}

// shortKills is how often the service dies in a lane of the short run: once at each
// failpoint, and four times at any moment.
const shortKills = 20

func dieOften(t *testing.T, r *rig, instances int, ground crash.GroundConfig) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cfg := r.config()
	cfg.Ground = ground
	run, err := crash.Open(ctx, cfg)
	require.NoError(t, err)
	defer run.Close()
	require.NoError(t, run.Storm(ctx, crash.StormConfig{Kills: shortKills, Instances: instances, Rate: r.settings.Rate, Ahead: r.settings.Ahead}))
	audit, err := run.Finish(ctx)
	require.NoError(t, err)
	var text strings.Builder
	require.NoError(t, audit.Write(&text))
	t.Log("\n" + text.String())
	require.True(t, audit.Passed(), "an invariant is violated")
	require.GreaterOrEqual(t, audit.Kills(), shortKills)
	require.Zero(t, audit.Lost+audit.StoredTwice+audit.OutOfOrder)
	require.Greater(t, audit.Stored, 100, "too little has happened to prove anything")
}
