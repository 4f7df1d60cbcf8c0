//go:build !linux

package main

import (
	"errors"
	"time"
)

// relaxTimers does nothing: only Linux has a slack that can be chosen.
func relaxTimers() error { return nil }

func slackOfThread() (time.Duration, error) { return 0, errors.ErrUnsupported }
