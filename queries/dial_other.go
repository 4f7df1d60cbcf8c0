//go:build !linux

package queries

import "syscall"

// setUserTimeout has no counterpart here; keepalives find most of it.
func setUserTimeout(string, string, syscall.RawConn) error { return nil }
