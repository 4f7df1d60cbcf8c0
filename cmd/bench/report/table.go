package report

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
)

// none stands in the place of what was not measured.
const none = "–"

// WriteTable writes the report for a person.
func (r Report) WriteTable(w io.Writer) error {
	t := &tableWriter{}
	t.line("%s × %d, PostgreSQL %s (%s), RabbitMQ %s, %s", r.Machine.Processor, r.Machine.Processors,
		r.Machine.Postgres, r.Machine.Durability, r.Machine.RabbitMQ, r.Machine.Go)
	t.line("")
	t.rows(r.Rows)
	if len(r.Verdicts) > 0 {
		t.line("")
		t.verdicts(r.Verdicts)
	}
	if _, err := io.WriteString(w, t.text.String()); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	return nil
}

type tableWriter struct {
	text strings.Builder
}

func (t *tableWriter) line(format string, args ...any) {
	_, _ = fmt.Fprintf(&t.text, format+"\n", args...) // a strings.Builder takes everything
}

func (t *tableWriter) rows(rows []Row) {
	t.aligned([]string{
		"workload", "queue", "variant", "msg/s", "min–max", "p50 ms", "p99", "p99.9",
		"CPU µs/msg: contender", "postgres", "rabbitmq", "allocs/msg", "peak RSS",
	}, len(rows), func(i int) []string {
		row := rows[i]
		return []string{
			row.Workload, row.Queue, row.Variant,
			known(row.Rate.Median, Thousands), known(row.Rate.Median, func(float64) string {
				return Thousands(row.Rate.Min) + "–" + Thousands(row.Rate.Max)
			}),
			known(row.Latency.P50.Median, millis), known(row.Latency.P99.Median, millis), known(row.Latency.P999.Median, millis),
			// What uses no processor at all shows as 0.0, next to others that do.
			known(row.Rate.Median, func(float64) string { return short(row.CPU.Contender) }),
			known(row.Rate.Median, func(float64) string { return short(row.CPU.Postgres) }),
			known(row.Rate.Median, func(float64) string { return short(row.CPU.RabbitMQ) }),
			known(row.Allocations.Count, short),
			fmt.Sprintf("%.0f MiB", row.PeakRSS.Median/(1<<20)),
		}
	})
}

func (t *tableWriter) verdicts(verdicts []Verdict) {
	t.aligned([]string{"bar", "workload", "queue", "what", "median", "min–max", "bar at", "verdict"},
		len(verdicts), func(i int) []string {
			v := verdicts[i]
			at, verdict := none, none
			if v.Limit > 0 {
				at, verdict = "≥ "+limit(v.Limit), "pass"
				if v.AtMost {
					at = "≤ " + limit(v.Limit)
				}
				if !v.Pass {
					verdict = "FAIL"
				}
			}
			return []string{
				v.Name, v.Of.Workload, v.Of.Queue, v.what(),
				fmt.Sprintf("%.2f", v.Value.Median), fmt.Sprintf("%.2f–%.2f", v.Value.Min, v.Value.Max), at, verdict,
			}
		})
}

// what tells what is compared.
func (c Comparison) what() string {
	if c.To == nil {
		return fmt.Sprintf("%s of %s", c.Metric, c.Of.Variant)
	}
	return fmt.Sprintf("%s of %s / %s", c.Metric, c.Of.Variant, c.To.Variant)
}

func (t *tableWriter) aligned(heading []string, rows int, row func(i int) []string) {
	columns := tabwriter.NewWriter(&t.text, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(columns, strings.Join(heading, "\t"))
	for i := range rows {
		_, _ = fmt.Fprintln(columns, strings.Join(row(i), "\t"))
	}
	_ = columns.Flush()
}

// known shows a figure that was measured.
func known(v float64, show func(float64) string) string {
	if v == 0 {
		return none
	}
	return show(v)
}

// limit is a bar as it was given: 0.7, 20.
func limit(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// millis shows a time: to the hundredth where it is short.
func millis(v float64) string {
	if v < 10 {
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return short(v)
}

// short shows a figure with a decimal where it is small enough to matter.
func short(v float64) string {
	if v < 100 {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return Thousands(v)
}

// Thousands is a whole number with its thousands apart: 34,210.
func Thousands(v float64) string {
	digits := strconv.FormatInt(int64(math.Round(v)), 10)
	var b strings.Builder
	for i, digit := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	return b.String()
}
