package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"chat-messaging/http"
)

// Set by the linker in release builds: -ldflags "-X main.version=v1.2.3 …".
// Otherwise what the go command recorded is used.
var version, commit, built string

// build says what this binary was made from; unknown parts are empty.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"`
	Modified bool   `json:"modified"` // there were uncommitted changes
	Built    string `json:"built"`    // time of the commit, or of the build if the linker was told
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func readBuild() build {
	b := build{
		Version:  version,
		Commit:   commit,
		Built:    built,
		Go:       runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		b.Version = cmp.Or(b.Version, info.Main.Version)
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				b.Commit = cmp.Or(b.Commit, s.Value)
			case "vcs.time":
				b.Built = cmp.Or(b.Built, s.Value)
			case "vcs.modified":
				b.Modified = s.Value == "true"
			}
		}
	}
	b.Version = cmp.Or(b.Version, "(devel)")
	return b
}

// settings are the build as the console shows it.
func (b build) settings() []http.Setting {
	commit := cmp.Or(b.Commit, "unknown")
	if b.Modified {
		commit += " (modified)"
	}
	return []http.Setting{
		{Name: program, Value: b.Version},
		{Name: "commit", Value: commit},
		{Name: "built", Value: cmp.Or(b.Built, "unknown")},
		{Name: "go", Value: b.Go + " " + b.Platform},
	}
}

func newVersion() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Say which build this is",
		Args:    cobra.NoArgs,
		Example: "  chat-messaging version -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := readBuild()
			switch output {
			case "text":
				return printBuild(cmd, b)
			case "json":
				return json.NewEncoder(cmd.OutOrStdout()).Encode(b)
			default:
				return usagef("there is no output %q, only text and json", output)
			}
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "`form` of the answer: text or json")
	return cmd
}

func printBuild(cmd *cobra.Command, b build) error {
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, line := range b.settings() {
		_, _ = fmt.Fprintf(table, "%s\t%s\n", line.Name, line.Value)
	}
	return table.Flush()
}
