package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"chat-messaging/cmd/soak/crash"
)

// mutantsAtOnce is how many scenarios run side by side: they wait for the most
// part.
const mutantsAtOnce = 4

// scenarioTimeout bounds a scenario, which takes seconds.
const scenarioTimeout = 5 * time.Minute

// trial is a mutant's scenario with the mistake and without.
type trial struct {
	mutant            crash.Mutant
	mistaken, control *crash.Audit
}

// caught tells whether the audit has noticed the mistake, and nothing else.
func (t *trial) caught() bool {
	return slices.Contains(t.mistaken.Violated(), t.mutant.CaughtBy) && t.control.Passed()
}

// tries runs all scenarios.
func (r *rig) tries(ctx context.Context) ([]*trial, error) {
	var g errgroup.Group
	g.SetLimit(mutantsAtOnce)
	trials := make([]*trial, 0, len(crash.Mutants()))
	for _, m := range crash.Mutants() {
		t := &trial{mutant: m}
		trials = append(trials, t)
		for _, one := range []struct {
			mistaken bool
			audit    **crash.Audit
		}{{true, &t.mistaken}, {false, &t.control}} {
			g.Go(func() (err error) {
				limited, cancel := context.WithTimeout(ctx, scenarioTimeout)
				defer cancel()
				*one.audit, err = m.Run(limited, r.config(), one.mistaken)
				return err
			})
		}
	}
	return trials, g.Wait()
}

// mutants prints which mistakes are noticed and by what.
func (r *rig) mutants(ctx context.Context, stdout io.Writer) error {
	_, _ = fmt.Fprintf(stdout, "seed %d\n", r.settings.Seed)
	trials, err := r.tries(ctx)
	if err != nil {
		return err
	}
	if err := writeTrials(stdout, trials); err != nil {
		return err
	}
	for _, t := range trials {
		if !t.caught() {
			err = errors.Join(err, fmt.Errorf("mutant %q is not caught by %s", t.mutant.Name, t.mutant.CaughtBy),
				t.mistaken.Write(stdout), t.control.Write(stdout))
		}
	}
	return err
}

func writeTrials(w io.Writer, trials []*trial) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "mutant\tcaught by invariant\twithout the mistake\tmost telling")
	for _, t := range trials {
		names := make([]string, 0, 10)
		for _, i := range t.mistaken.Violated() {
			names = append(names, i.String())
		}
		caught, control, telling := strings.Join(names, " "), "holds", ""
		if !slices.Contains(t.mistaken.Violated(), t.mutant.CaughtBy) {
			caught = strings.TrimSpace("NOT CAUGHT " + caught)
		} else {
			v := t.mistaken.Violations[t.mutant.CaughtBy]
			telling = fmt.Sprintf("%s, %d times: %.80s", t.mutant.CaughtBy, v.Times, v.Examples[0])
		}
		if !t.control.Passed() {
			control = "FAILS"
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", t.mutant.Name, caught, control, telling)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	return nil
}
