//go:build linux && (amd64 || arm64)

package instance

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// releaseSharedMemory removes the segment that a killed postmaster left. The
// next start would do it, but a test that ends with a kill has none, and the
// kernel gives out only 4096 segments until the next boot. A server that
// stopped in order left neither segment nor file.
func releaseSharedMemory(data string) {
	const removeID = 0 // IPC_RMID

	text, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return
	}

	lines := strings.Split(string(text), "\n")
	if len(lines) < 7 {
		return
	}

	keyAndID := strings.Fields(lines[6])
	if len(keyAndID) != 2 {
		return
	}

	id, err := strconv.ParseUint(keyAndID[1], 10, 32)
	if err != nil {
		return
	}
	// Nothing depends on the outcome: what stays is some bytes.
	_, _, _ = syscall.Syscall(syscall.SYS_SHMCTL, uintptr(id), removeID, 0)
}
