package report

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
)

// WriteTable writes the report for a person.
func (r Report) WriteTable(w io.Writer) error {
	t := &tableWriter{}
	t.line("%s × %d, PostgreSQL %s (%s), RabbitMQ %s, %s", r.Machine.Processor, r.Machine.Processors,
		r.Machine.Postgres, r.Machine.Durability, r.Machine.RabbitMQ, r.Machine.Go)
	t.line("")
	t.rows(r.Rows)
	if len(r.Ratios) > 0 {
		t.line("")
		t.ratios(r.Ratios)
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
	t.aligned([]string{"queue", "contender", "msg/s", "min–max", "CPU µs/msg: contender", "postgres", "rabbitmq", "peak RSS"},
		len(rows), func(i int) []string {
			row := rows[i]
			return []string{
				row.Queue, row.Contender,
				grouped(row.Rate.Median), grouped(row.Rate.Min) + "–" + grouped(row.Rate.Max),
				micros(row.CPU.Contender), micros(row.CPU.Postgres), micros(row.CPU.RabbitMQ),
				fmt.Sprintf("%.0f MiB", float64(row.PeakRSS)/(1<<20)),
			}
		})
}

func (t *tableWriter) ratios(ratios []Ratio) {
	t.aligned([]string{"queue", "ratio of msg/s", "median", "min–max", "floor", "verdict"},
		len(ratios), func(i int) []string {
			ratio := ratios[i]
			verdict := "pass"
			if !ratio.Pass {
				verdict = "FAIL"
			}
			return []string{
				ratio.Queue, ratio.Of + " / " + ratio.To, fmt.Sprintf("%.2f", ratio.Value.Median),
				fmt.Sprintf("%.2f–%.2f", ratio.Value.Min, ratio.Value.Max), fmt.Sprintf("%.2f", ratio.Floor), verdict,
			}
		})
}

func (t *tableWriter) aligned(heading []string, rows int, row func(i int) []string) {
	columns := tabwriter.NewWriter(&t.text, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(columns, strings.Join(heading, "\t"))
	for i := range rows {
		_, _ = fmt.Fprintln(columns, strings.Join(row(i), "\t"))
	}
	_ = columns.Flush()
}

// micros shows a cost: with a decimal where it is small enough to matter.
func micros(v float64) string {
	if v < 100 {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return grouped(v)
}

// grouped is a whole number with its thousands apart: 34,210.
func grouped(v float64) string {
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
