package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// printer writes results in the form that was asked for.
type printer struct {
	form string
}

func (o *printer) flag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.form, "output", "o", "table", "table, json, ndjson or yaml")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions( // the flag exists
		[]string{"table", "json", "ndjson", "yaml"}, cobra.ShellCompDirectiveNoFileComp))
}

func (o *printer) check() error {
	switch o.form {
	case "table", "json", "ndjson", "yaml":
		return nil
	default:
		return usagef("--output %q: table, json, ndjson and yaml are there", o.form)
	}
}

// list writes values, as a table with these columns. A row that alerts is
// coloured on a terminal.
func list[T any](cmd *cobra.Command, o printer, values []T, head string, row func(T) (cells []any, alert bool)) error {
	out := cmd.OutOrStdout()
	if o.form != "table" {
		return o.write(out, values, func(each func(any) error) error {
			for _, v := range values {
				if err := each(v); err != nil {
					return err
				}
			}
			return nil
		})
	}
	var text bytes.Buffer
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, head)
	alerts := make([]bool, 0, len(values))
	for _, v := range values {
		cells, alert := row(v)
		alerts = append(alerts, alert)
		words := make([]string, 0, len(cells))
		for _, cell := range cells {
			words = append(words, harmless(fmt.Sprint(cell)))
		}
		_, _ = fmt.Fprintln(table, strings.Join(words, "\t"))
	}
	_ = table.Flush()
	// Whole lines are coloured, behind the table's back: it would count the codes
	// as characters.
	paint := painter(out)
	for i, line := range strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n") {
		line = strings.TrimRight(line, " ")
		switch {
		case i == 0:
			line = paint("1", line)
		case alerts[i-1]:
			line = paint("33", line)
		}
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	return nil
}

// one writes a single value.
func (o printer) one(out io.Writer, value any) error {
	return o.write(out, value, func(each func(any) error) error { return each(value) })
}

func (o printer) write(out io.Writer, whole any, lines func(each func(any) error) error) error {
	switch o.form {
	case "ndjson":
		return lines(json.NewEncoder(out).Encode)
	case "yaml":
		// By way of JSON, so that the names are the same.
		text, err := json.Marshal(whole)
		if err != nil {
			return err
		}
		var plain any
		if err := yaml.Unmarshal(text, &plain); err != nil {
			return err
		}
		return yaml.NewEncoder(out).Encode(plain)
	default:
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(whole)
	}
}

// painter returns what colours a text, if anybody sees it.
func painter(out io.Writer) func(code, text string) string {
	if !onTerminal(out) || os.Getenv("NO_COLOR") != "" {
		return func(_, text string) string { return text }
	}
	return func(code, text string) string { return "\x1b[" + code + "m" + text + "\x1b[0m" }
}

// harmless keeps what strangers have written from steering the terminal.
func harmless(text string) string { return harmlessBut(text, "") }

// harmlessBut is harmless that leaves some control characters.
func harmlessBut(text, allowed string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(allowed, r) {
			return r
		}
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return '\uFFFD'
		}
		return r
	}, text)
}

// moment is a time in a table.
func moment(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

// orDash is the text, or a dash where there is none.
func orDash[T comparable](value T) string {
	var zero T
	if value == zero {
		return "-"
	}
	return fmt.Sprint(value)
}

// shortened cuts a text for a table.
func shortened(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}
