package process

import (
	"errors"
	"io/fs"
	"syscall"
)

// ended tells whether reading of a process failed because there is none.
func ended(err error) bool {
	// The second is for a process that ends between opening and reading.
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

// attributes of a measured process.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		// Ctrl-C in the terminal reaches the benchmark only, which then stops the
		// process in order.
		Setpgid: true,
		// A benchmark that is killed leaves nothing running.
		Pdeathsig: syscall.SIGKILL,
	}
}

// InMemory tells whether what is written to dir never reaches a disk, so that
// flushing it costs nothing. If in doubt it says no.
func InMemory(dir string) bool {
	const tmpfs, ramfs = 0x01021994, 0x858458f6
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return false
	}
	kind := uint32(stat.Type) //nolint:gosec // a magic number of 32 bits, whatever its type here
	return kind == tmpfs || kind == ramfs
}
