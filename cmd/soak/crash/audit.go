package crash

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"chat-messaging/middleware/failpoint"
)

// Invariant is one of those in the package comment.
type Invariant int

// The invariants.
const (
	I1 Invariant = 1 + iota
	I2
	I3
	I4
	I5
	I6
	I7
	I8
	I9
	I10
)

// String returns the invariant's name.
func (i Invariant) String() string { return fmt.Sprintf("I%d", int(i)) }

// Violation is an invariant that does not hold.
type Violation struct {
	Times    int
	Examples []string // the first few
}

// Audit is what has become of a run. Every message is counted once, however
// often it was published.
type Audit struct {
	Name string
	// Messages = Stored + Rejected + Repeated + Poisoned + Lost.
	Messages, Stored, Rejected, Repeated, Poisoned, Lost int
	StoredTwice, OutOfOrder                              int
	// Duplicates are events that were dispatched again because of a fault, and
	// DuplicateBound is how many that may be.
	Duplicates, DuplicateBound int
	// Deaths are those of the service, by failpoint; at "" it was killed at some
	// moment. The others were killed at any moment too.
	Deaths                                     map[failpoint.Point]int
	RecorderDeaths, DatabaseKills, BrokerKills int
	Violations                                 map[Invariant]*Violation
}

// Passed tells whether every invariant holds.
func (a *Audit) Passed() bool { return len(a.Violations) == 0 }

// Kills is how often the service died.
func (a *Audit) Kills() int {
	n := 0
	for _, deaths := range a.Deaths {
		n += deaths
	}
	return n
}

// Violated returns the invariants that do not hold.
func (a *Audit) Violated() []Invariant {
	return slices.Sorted(maps.Keys(a.Violations))
}

func (a *Audit) violated(i Invariant, format string, args ...any) {
	if a.Violations == nil {
		a.Violations = map[Invariant]*Violation{}
	}
	v := a.Violations[i]
	if v == nil {
		v = &Violation{}
		a.Violations[i] = v
	}
	if v.Times++; v.Times <= 3 {
		v.Examples = append(v.Examples, fmt.Sprintf(format, args...))
	}
}

// Write prints the audit.
func (a *Audit) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", a.Name)
	for _, line := range []struct {
		name  string
		value int
	}{
		{"messages in", a.Messages},
		{"stored", a.Stored},
		{"rejected", a.Rejected},
		{"repeated", a.Repeated},
		{"poisoned", a.Poisoned},
		{"lost", a.Lost},
		{"stored twice", a.StoredTwice},
		{"out of order", a.OutOfOrder},
		{"duplicates dispatched", a.Duplicates},
		{"  and their bound", a.DuplicateBound},
		{"kills of the service", a.Kills()},
		{"kills of the recorder", a.RecorderDeaths},
		{"kills of Postgres", a.DatabaseKills},
		{"kills of RabbitMQ", a.BrokerKills},
	} {
		fmt.Fprintf(&b, "  %-22s %9d\n", line.name, line.value)
	}
	if a.Kills() > 0 {
		b.WriteString("  the service died\n")
		for _, point := range append(failpoint.Points(), "") {
			name := string(point)
			if point == "" {
				name = "at any moment"
			}
			fmt.Fprintf(&b, "    %-22s %7d\n", name, a.Deaths[point])
		}
	}
	if a.Passed() {
		b.WriteString("  I1 to I10 hold\n")
	}
	for _, i := range a.Violated() {
		v := a.Violations[i]
		fmt.Fprintf(&b, "  %s IS VIOLATED, %d times:\n", i, v.Times)
		for _, example := range v.Examples {
			fmt.Fprintf(&b, "    %s\n", example)
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the audit: %w", err)
	}
	return nil
}

// audit holds what is there against the script.
func (r *Run) audit(ctx context.Context, a *Audit, poisoned []amqp.Delivery) error {
	entries := append(slices.Clone(r.script.Entries(0, r.script.Len())), r.direct...)
	a.Messages, a.Deaths, a.RecorderDeaths = len(entries), maps.Clone(r.deaths), r.recorder.deaths()
	a.DatabaseKills, a.BrokerKills = r.serverKills()

	rows, err := r.auditRows(ctx, a, entries)
	if err != nil {
		return err
	}
	rejections := r.auditEvents(a, entries, rows)
	copies := auditPoison(a, entries, poisoned)
	for _, e := range entries {
		switch {
		case e.Kind == Good && rows[e.ID] != nil:
			a.Stored++
		case e.Kind == Repeat && rows[e.ID] != nil:
			a.Repeated++
		case e.Kind.code() != "" && rejections[e] != nil:
			a.Rejected++
		case e.Kind.poisoned() && copies[string(e.Payload)]:
			a.Poisoned++
		default:
			a.Lost++
			a.violated(I1, "nothing came of %s", e.Payload)
		}
	}
	return nil
}

// auditPoison holds the poison queue against the script, and returns the bodies
// that are in it.
func auditPoison(a *Audit, entries []*Entry, poisoned []amqp.Delivery) map[string]bool {
	known := map[string]bool{}
	for _, e := range entries {
		if e.Kind.poisoned() {
			known[string(e.Payload)] = true
		}
	}
	copies := map[string]bool{}
	for _, d := range poisoned {
		if !known[string(d.Body)] {
			a.violated(I1, "%s was poisoned: %v", d.Body, d.Headers["x-poison-code"])
		}
		copies[string(d.Body)] = true
	}
	return copies
}
