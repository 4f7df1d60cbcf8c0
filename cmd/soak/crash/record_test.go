package crash

import (
	"os"
	"path/filepath"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
)

func TestARecordingGoesOnBehindItsLastWholeLine(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "recording")
	write := func(deliveries ...amqp.Delivery) {
		file, err := openRecording(path)
		require.NoError(t, err)
		require.NoError(t, (&recorder{file: file}).write(deliveries))
		require.NoError(t, file.Close())
	}
	write(delivered("a", 1, false))
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteString(`{"ID":"torn`) // the recorder died in the midst of it
	require.NoError(t, err)
	require.NoError(t, file.Close())

	r := newRecording(path)
	n, err := r.read()
	require.NoError(t, err)
	require.Equal(t, 1, n, "what is torn does not count")
	write(delivered("b", 2, false), delivered("a", 1, true), delivered("a", 1, false))
	n, err = r.read()
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Empty(t, r.odd)
	require.Equal(t, 2, r.byID["a"].fresh)
	require.Equal(t, 1, r.byID["a"].again, "the recorder's own doing")
	require.Equal(t, 1, r.byID["a"].farthest)

	n, err = newRecording(filepath.Join(t.TempDir(), "none")).read()
	require.NoError(t, err)
	require.Zero(t, n, "the recorder has not begun")
}
