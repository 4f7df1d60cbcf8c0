package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"chat-messaging/http"
)

// printStatus writes a status for people: the verdict, the flow from left to
// right, and the instances. It fits a screen of 80 columns unless names are long.
func printStatus(w io.Writer, to screen, s http.Status) {
	verdict := to.paint(green, "healthy")
	if !s.Healthy {
		verdict = to.paint(red, "NOT HEALTHY")
	}
	_, _ = fmt.Fprintf(w, "%s  %s\n", verdict, s.At.Format(time.DateTime+" UTC"))
	for _, reason := range s.Reasons {
		_, _ = fmt.Fprintf(w, "  %s\n", to.paint(red, oneLine(reason)))
	}
	for _, note := range s.Notes {
		_, _ = fmt.Fprintf(w, "  %s\n", to.paint(yellow, oneLine(note)))
	}
	_, _ = fmt.Fprintln(w)
	lines := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, line := range [][2]string{
		{"in", toldIntake(s.Rates)},
		{"input queue", toldQueue(s.Input)},
		{"consumption", toldPause(s.Consumption)},
		{"window", toldWindow(s)},
		{"batch", toldBatch(s)},
		{"out", toldDispatch(s.Rates)},
		{"outbox", toldOutbox(s.Outbox)},
		{"relay", toldLeader(s)},
		{"poison queue", toldQueue(s.Poison)},
	} {
		_, _ = fmt.Fprintf(lines, "%s\t%s\n", line[0], line[1])
	}
	_ = lines.Flush()
	printPoisoned(w, s)
	printInstances(w, s)
}

func toldIntake(r *http.PerSecond) string {
	if r == nil {
		return "unknown yet"
	}
	return fmt.Sprintf("%s/s: accepted %s, rejected %s, repeated %s, replayed %s, poisoned %s",
		rate(r.In), rate(r.Accepted), rate(r.Rejected), rate(r.Repeated), rate(r.Replayed), rate(r.Poisoned))
}

func toldDispatch(r *http.PerSecond) string {
	if r == nil {
		return "unknown yet"
	}
	return rate(r.Dispatched) + "/s dispatched"
}

func toldWindow(s http.Status) string {
	if s.Window == 0 {
		return fmt.Sprintf("%d in hand", s.InHand)
	}
	return fmt.Sprintf("%d of %d in hand", s.InHand, s.Window)
}

func rate(perSecond float64) string {
	if perSecond == 0 || perSecond >= 10 {
		return fmt.Sprintf("%.0f", perSecond)
	}
	return fmt.Sprintf("%.1f", perSecond)
}

func toldQueue(q *http.Queue) string {
	if q == nil {
		return "unknown"
	}
	return fmt.Sprintf("%s: %s waiting, %s", oneLine(q.Name), counted(q.Messages, "message"), counted(q.Consumers, "consumer"))
}

func toldPause(c *http.Consumption) string {
	switch {
	case c == nil:
		return "unknown"
	case !c.Paused:
		return "on"
	}
	return fmt.Sprintf("PAUSED by %s since %s: %s",
		oneLine(c.ChangedBy), c.ChangedAt.Format(time.DateTime+" UTC"), oneLine(c.Reason))
}

func toldBatch(s http.Status) string {
	if s.Rates == nil || s.Rates.Batch == 0 {
		return fmt.Sprintf("none now, of at most %d", s.BatchLimit)
	}
	return fmt.Sprintf("%.0f on average, of at most %d", s.Rates.Batch, s.BatchLimit)
}

func toldOutbox(o *http.Outbox) string {
	switch {
	case o == nil:
		return "unknown"
	case o.Rows == 0:
		return "empty"
	case o.Rows > 10_000:
		return fmt.Sprintf("more than 10000 events, the oldest for %s", brief(o.OldestSeconds))
	}
	return fmt.Sprintf("%s, the oldest for %s", counted(o.Rows, "event"), brief(o.OldestSeconds))
}

func toldLeader(s http.Status) string {
	for _, i := range s.Instances {
		if s.Leader != nil && i.ID == *s.Leader {
			return "led by " + instanceName(i)
		}
	}
	return "nobody leads"
}

func printPoisoned(w io.Writer, s http.Status) {
	if len(s.Poisoned) == 0 {
		return
	}
	_, _ = fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "POISONED\tREASON\tSTAGE\tLAST SEEN")
	const most = 8 // of a screen
	for _, group := range s.Poisoned[:min(most, len(s.Poisoned))] {
		last := "-"
		if group.LastSeen != nil {
			last = group.LastSeen.Format(time.DateTime)
		}
		_, _ = fmt.Fprintf(table, "%d\t%s\t%s\t%s\n", group.Entries, oneLine(group.Code), oneLine(group.Stage), last)
	}
	_ = table.Flush()
	if more := len(s.Poisoned) - most; more > 0 {
		_, _ = fmt.Fprintf(w, "and %s\n", counted(more, "smaller group"))
	}
}

func printInstances(w io.Writer, s http.Status) {
	if len(s.Instances) == 0 {
		return
	}
	_, _ = fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "INSTANCE\tVERSION\tUP\tCONSUMER\tRELAY\tIN HAND\tIN/S\tSTATE")
	for _, i := range s.Instances {
		perSecond := "-"
		if i.Rates != nil {
			perSecond = rate(i.Rates.In)
		}
		state := "ready"
		switch {
		case i.Lost:
			state = "silent for " + brief(i.SilentSeconds)
		case len(i.Problems) > 0:
			state = "not ready: " + strings.Join(slices.Sorted(maps.Keys(i.Problems)), ", ")
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d/%d\t%s\t%s\n",
			instanceName(i), oneLine(i.Version), brief(s.At.Sub(i.StartedAt).Seconds()),
			cmp.Or(i.Consumer, "-"), cmp.Or(i.Relay, "-"), i.InHand, i.Window, perSecond, oneLine(state))
	}
	_ = table.Flush()
}

func instanceName(i http.Instance) string {
	return fmt.Sprintf("%s/%d", oneLine(i.Host), i.PID)
}

// brief is a duration to the unit that matters.
func brief(seconds float64) string {
	d := time.Duration(max(0, seconds) * float64(time.Second))
	switch {
	case d < time.Hour:
		d = d.Round(time.Second)
	case d < 48*time.Hour:
		d = d.Round(time.Minute)
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
