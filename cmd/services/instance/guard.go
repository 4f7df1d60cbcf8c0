package instance

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"
)

// guard watches over frozen processes. A frozen process takes no notice of its
// parent's death, so without it a test that is killed while a server is paused
// would leave that server frozen for ever.
type guard struct {
	frozen []entry
	input  *os.File
	shell  *os.Process
}

// wakeOnEOF reads one line. It comes when the guard is dismissed; the end of
// the input instead means that the guarding process is dead.
const wakeOnEOF = `read -r line || kill -s CONT "$@"`

func watchFrozen(frozen []entry) (*guard, error) {
	output, input, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("guarding frozen processes: %w", err)
	}
	defer output.Close()

	args := []string{"sh", "-c", wakeOnEOF, "sh"}
	for _, e := range frozen {
		args = append(args, strconv.Itoa(e.PID))
	}

	shell, err := os.StartProcess("/bin/sh", args, &os.ProcAttr{
		Files: []*os.File{output, nil, nil},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		_ = input.Close()
		return nil, fmt.Errorf("guarding frozen processes: %w", err)
	}

	return &guard{frozen: frozen, input: input, shell: shell}, nil
}

// dismiss ends the guard and returns the processes, still frozen.
func (g *guard) dismiss() ([]entry, error) {
	_, err := io.WriteString(g.input, "dismissed\n")
	_ = g.input.Close()

	if err != nil {
		return g.frozen, fmt.Errorf("dismissing the guard of frozen processes: %w", err)
	}

	if _, err := g.shell.Wait(); err != nil {
		return g.frozen, fmt.Errorf("dismissing the guard of frozen processes: %w", err)
	}

	return g.frozen, nil
}
