package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

const rootLong = `Takes chat messages from RabbitMQ, stores them in Postgres in the order they
came, and sends every outcome out as an event, once in effect. Serves the REST
API of chats and messages.`

const rootExample = `  chat-messaging demo                see it at work, from message to event
  chat-messaging serve --migrate     prepare the database, then run until Ctrl-C
  chat-messaging watch               print events as they are dispatched
  chat-messaging token --user 1      a bearer token for the REST API
  chat-messaging help send           more about one command`

const rootEnd = `
Environment:
  DATABASE_URL   Postgres; default %s
  RABBITMQ_URL   RabbitMQ; default %s
  KEY            what the auth service signs tokens with; required for the REST API
  HTTP_ADDR      where REST API, health checks and metrics listen; default %s
  COMPONENTS     what this process runs; default %s
  LOG_LEVEL      trace, debug, info, warn or error; default %s
  There are more: env_example.txt explains every one. They are read from the
  environment, and what is not set there from .env in the working directory.

Exit codes:
  0  done
  1  failed
  2  called in a wrong way
  3  nothing found
  4  done in part
`

// usageTemplate is cobra's with the pointless line "[flags]" left out for a
// command that only holds others.
const usageTemplate = `Usage:
  {{if .HasAvailableSubCommands}}{{.CommandPath}} <command>{{else}}{{.UseLine}}{{end}}
{{- if .HasExample}}

Examples:
{{.Example}}{{end}}
{{- if .HasAvailableSubCommands}}{{$commands := .Commands}}
{{- range $group := .Groups}}

{{.Title}}{{range $commands}}{{if and (eq .GroupID $group.ID) (or .IsAvailableCommand (eq .Name "help"))}}
  {{rpad .Name .NamePadding}}  {{.Short}}{{end}}{{end}}{{end}}
{{- if not .AllChildCommandsHaveGroup}}

Commands:{{range $commands}}{{if and (eq .GroupID "") .IsAvailableCommand}}
  {{rpad .Name .NamePadding}}  {{.Short}}{{end}}{{end}}{{end}}{{end}}
{{- if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}
{{- if .HasAvailableInheritedFlags}}

Flags of every command:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}
{{if not .HasParent}}%s{{end}}`

// usageText is the template with the defaults of the main settings in it.
func usageText() string {
	specs := configSpecs()
	var defaults []any
	for _, key := range []string{"DATABASE_URL", "RABBITMQ_URL", "HTTP_ADDR", "COMPONENTS", "LOG_LEVEL"} {
		defaults = append(defaults, specs[key].fallback)
	}
	return fmt.Sprintf(usageTemplate, fmt.Sprintf(rootEnd, defaults...))
}

// newHelp replaces cobra's command, which exits with 0 after an unknown word.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:     "help [command]",
		Short:   "Explain a command",
		Example: "  chat-messaging help migrate down",
		RunE: func(cmd *cobra.Command, args []string) error {
			topic, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unknownVerb(topic, args[len(args)-len(rest)])
			}
			topic.InitDefaultHelpFlag()
			return topic.Help()
		},
	}
}

// usageError is a wrong call that only the verb itself could notice.
type usageError struct{ message string }

func (e usageError) Error() string { return e.message }

// usagef is for a verb to refuse the way it was called: exit code 2, with a
// pointer to its help.
func usagef(format string, args ...any) error {
	return usageError{message: fmt.Sprintf(format, args...)}
}

// requireVerb makes a command that only holds others refuse to be called
// alone, which a script would take for success, and with any unknown word.
func requireVerb(cmd *cobra.Command) {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return unknownVerb(cmd, args[0])
		}
		var names []string
		for _, child := range cmd.Commands() {
			names = append(names, child.Name())
		}
		return usagef("%s needs one of: %s", cmd.CommandPath(), strings.Join(names, ", "))
	}
}

func unknownVerb(parent *cobra.Command, word string) error {
	message := fmt.Sprintf("unknown command %q", word)
	// The distance below which a word counts as a misspelling is cobra's own
	// default, which it only sets on the path that we replace.
	parent.SuggestionsMinimumDistance = 2
	if near := parent.SuggestionsFor(word); len(near) > 0 {
		message += fmt.Sprintf(", did you mean %q?", strings.Join(near, `" or "`))
	}
	return usageError{message: message}
}
