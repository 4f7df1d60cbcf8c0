package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"chat-messaging/queries"
)

func newChat(load settings) *cobra.Command {
	var users []int64
	cmd := &cobra.Command{
		Use:   "chat",
		Short: "Get or create a chat, and print its id",
		Long: `Print the id of the chat of exactly these users, and create the chat if there is
none. Straight in the database: in production clients use POST /chats/.`,
		Example: `  chat-messaging chat --users 1,2`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(users) != 2 || users[0] == users[1] || users[0] < 1 || users[1] < 1 {
				return usagef("--users takes the positive ids of two different users, such as 1,2")
			}
			cfg, err := load("DATABASE_URL")
			if err != nil {
				return err
			}
			db, err := queries.Open(queries.Config{URL: string(cfg.DatabaseURL)})
			if err != nil {
				return err
			}
			defer func() { _ = db.Close() }()
			id, err := db.EnsureChat(cmd.Context(), users)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), id)
			return err
		},
	}
	cmd.Flags().Int64SliceVar(&users, "users", nil, "the `ids` of its two users")
	return cmd
}
