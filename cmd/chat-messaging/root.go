package main

import (
	"slices"

	"github.com/spf13/cobra"
)

// settings gives a verb its configuration. A verb that needs a few variables
// names them and works whatever the others are; without names all are checked.
type settings func(only ...string) (Config, error)

const (
	groupService = "service"
	groupTry     = "try"
	groupOperate = "operate"
)

// verbs is every command. A new one is a function that returns it and a word
// in this list.
func verbs(load settings, environ []string) []*cobra.Command {
	return slices.Concat(
		in(groupService, newServe(load), newMigrate(load)),
		in(groupTry, newDemo(load), newChat(load), newSend(load), newWatch(load), newToken(load)),
		in(groupOperate, newStatus(load, environ), newPause(load), newResume(load), newMessages(load),
			newPoison(load), newHealthcheck(load), newVersion()),
	)
}

func in(group string, commands ...*cobra.Command) []*cobra.Command {
	for _, command := range commands {
		command.GroupID = group
	}
	return commands
}

// newRoot builds the command line over the environment. started tells, after
// the run, whether a verb had begun when it ended.
func newRoot(environ []string) (root *cobra.Command, started func() bool) {
	root = &cobra.Command{
		Use:           program,
		Short:         "Store and dispatch the messages of a chat system",
		Long:          rootLong,
		Example:       rootExample,
		Version:       readBuild().Version,
		SilenceErrors: true, // run prints them, once
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs, // so that RunE answers an unknown word
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownVerb(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	var file envFile
	root.PersistentFlags().StringVar(&file.path, "env-file", ".env", "`file` to read more settings from")
	load := func(only ...string) (Config, error) {
		file.required = root.PersistentFlags().Changed("env-file")
		return loadConfig(environ, file, only...)
	}

	root.AddGroup(
		&cobra.Group{ID: groupService, Title: "Service:"},
		&cobra.Group{ID: groupTry, Title: "Try it:"},
		&cobra.Group{ID: groupOperate, Title: "Operate:"},
	)
	root.AddCommand(verbs(load, environ)...)
	root.SetHelpCommand(newHelp())
	root.SetHelpCommandGroupID(groupOperate)
	root.SetCompletionCommandGroupID(groupOperate)
	root.SetUsageTemplate(usageText())
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")

	begun := false
	noteStart(root, &begun)
	return root, func() bool { return begun }
}

// noteStart sets begun as soon as any of the commands runs.
func noteStart(cmd *cobra.Command, begun *bool) {
	if inner := cmd.RunE; inner != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			*begun = true
			return inner(cmd, args)
		}
	}
	for _, child := range cmd.Commands() {
		noteStart(child, begun)
	}
}
