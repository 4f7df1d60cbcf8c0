package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// step is one way to come by a server.
type step struct {
	what string
	try  func(ctx context.Context) (found, error)
}

// found is a server that can be used.
type found struct {
	url string
	how string // continues the sentence "PostgreSQL: …"
}

// errNotApplicable is returned by a step that does not concern this machine;
// it is not reported as a failure.
var errNotApplicable = errors.New("not applicable")

// decidedError is a failure after which no other step may be tried, because
// the user has decided for this one.
type decidedError struct{ error }

func (e decidedError) Unwrap() error { return e.error }

// first returns what the first successful step found. Its error lists every
// step with the reason why it failed, and what the user can do.
func first(ctx context.Context, server, hint string, steps []step) (found, error) {
	var report strings.Builder

	for _, st := range steps {
		f, err := st.try(ctx)
		if err == nil {
			return f, nil
		}

		if decided, ok := errors.AsType[decidedError](err); ok {
			return found{}, fmt.Errorf("%s: %w", server, decided)
		}

		if ctx.Err() != nil {
			return found{}, fmt.Errorf("%s: interrupted while trying %s: %w", server, st.what, ctx.Err())
		}

		if !errors.Is(err, errNotApplicable) {
			reason := strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "\n      ")
			fmt.Fprintf(&report, "\n  - %s: %s", st.what, reason)
		}
	}

	return found{}, fmt.Errorf("no %s could be found or started. Tried, in this order:%s\n%s", server, &report, hint)
}
