//go:build !failpoints

package failpoint_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"chat-messaging/middleware/failpoint"
)

// The other build is exercised by cmd/soak, which dies and errs by it.
func TestTheProductNeitherDiesNorErrsOnPurpose(t *testing.T) {
	t.Parallel()
	require.False(t, failpoint.Built)
	for _, p := range failpoint.Points() {
		require.NoError(t, failpoint.Arm([]string{failpoint.EnvPoint + "=" + string(p) + ":1"}))
		failpoint.Hit(p)
	}
	for _, m := range failpoint.Mutants() {
		require.NoError(t, failpoint.Arm([]string{failpoint.EnvMutant + "=" + string(m)}))
		require.False(t, failpoint.Mutated(m))
	}
}
