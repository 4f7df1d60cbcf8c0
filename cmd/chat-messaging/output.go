package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/user"
	"slices"
	"strings"
	"unicode"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// The forms in which a verb writes its answer.
const (
	formTable = "table"
	formJSON  = "json"
	formYAML  = "yaml"
)

// outputFlag adds -o, which takes the forms; the first is the default.
func outputFlag(cmd *cobra.Command, form *string, forms ...string) {
	list := strings.Join(forms[:len(forms)-1], ", ") + " or " + forms[len(forms)-1]
	cmd.Flags().StringVarP(form, "output", "o", forms[0], "`form` of the answer: "+list)
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(forms, cobra.ShellCompDirectiveNoFileComp))
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if !slices.Contains(forms, *form) {
			return usagef("there is no output %q, only %s", *form, list)
		}
		return nil
	}
}

// writeDocument writes v as JSON or YAML, with the same names and in the same
// order.
func writeDocument(w io.Writer, form string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the answer: %w", err)
	}
	if form == formJSON {
		_, err := w.Write(append(text, '\n'))
		return err
	}
	// JSON is YAML: read as that it keeps its order, and only looks different.
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return fmt.Errorf("encoding the answer: %w", err)
	}
	plain(&document)
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(&document); err != nil {
		return fmt.Errorf("encoding the answer: %w", err)
	}
	return encoder.Close()
}

// plain takes JSON's brackets away; quotes come back where a text needs them.
func plain(n *yaml.Node) {
	if len(n.Content) > 0 || n.Kind == yaml.ScalarNode {
		n.Style = 0
	}
	for _, child := range n.Content {
		plain(child)
	}
}

// screen is where a person may be looking.
type screen struct {
	io.Writer
	terminal, colors bool
}

// newScreen finds out what w is. Colours are for terminals only, and NO_COLOR
// turns them off (https://no-color.org).
func newScreen(w io.Writer, environ []string) screen {
	file, ok := w.(*os.File)
	terminal := ok && isatty.IsTerminal(file.Fd())
	return screen{Writer: w, terminal: terminal, colors: terminal && wantsColors(environ)}
}

func wantsColors(environ []string) bool {
	for _, assignment := range environ {
		name, value, _ := strings.Cut(assignment, "=")
		if name == "NO_COLOR" && value != "" || name == "TERM" && value == "dumb" {
			return false
		}
	}
	return true
}

// The colours: of the terminal's own palette, which its owner can read.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
)

func (s screen) paint(color, text string) string {
	if !s.colors {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// redraw replaces what the terminal shows without a flicker: each line is
// overwritten, and what is left of the old ones erased.
func (s screen) redraw(text []byte) error {
	text = bytes.ReplaceAll(text, []byte("\n"), []byte("\x1b[K\n"))
	_, err := s.Write(slices.Concat([]byte("\x1b[H"), text, []byte("\x1b[J")))
	return err
}

// oneLine is a text of somebody else's on one line, without what could steer
// the terminal.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf) {
			return ' '
		}
		return r
	}, text)
}

// operatorFlag adds --as, by which the audit knows who acted.
func operatorFlag(cmd *cobra.Command, name *string) {
	cmd.Flags().StringVar(name, "as", "", "`name` for the audit; default: your user name and this machine's")
}

// operatorAs is who acts.
func operatorAs(name string) string {
	if name = strings.TrimSpace(oneLine(name)); name != "" {
		return name
	}
	who := "unknown"
	if u, err := user.Current(); err == nil {
		who = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		who += "@" + host
	}
	return who
}
