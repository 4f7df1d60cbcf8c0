//go:build !linux

package process

import (
	"errors"
	"io/fs"
	"syscall"
)

// ended tells whether reading of a process failed because there is none.
func ended(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// attributes of a measured process.
func attributes() *syscall.SysProcAttr { return nil }

// InMemory tells whether what is written to dir never reaches a disk, so that
// flushing it costs nothing. If in doubt it says no.
func InMemory(string) bool { return false }
