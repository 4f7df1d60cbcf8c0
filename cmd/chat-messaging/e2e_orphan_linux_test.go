package main

import (
	"os/exec"
	"syscall"
)

// dieWithUs makes the kernel end the process when this one ends, however.
func dieWithUs(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
