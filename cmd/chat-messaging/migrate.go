package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/lib/pq"
	"github.com/spf13/cobra"

	"chat-messaging/migrations"
)

// connectTimeout keeps migrate from hanging where no database answers; the
// migrations themselves may take as long as they need.
const connectTimeout = 15 * time.Second

func newMigrate(load settings) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Prepare the database",
		Long: `Create and change the tables of the service in DATABASE_URL, in the schema that
comes first on its search_path. Safe to run from several places at once.`,
		Example: `  chat-messaging migrate up
  chat-messaging migrate status
  chat-messaging migrate down --yes`,
	}
	cmd.AddCommand(newMigrateUp(load), newMigrateDown(load), newMigrateStatus(load), newMigrateGrant(load))
	requireVerb(cmd)
	return cmd
}

func newMigrateUp(load settings) *cobra.Command {
	var to int64
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Apply what is pending",
		Args:  cobra.NoArgs,
	}
	cmd.Flags().Int64Var(&to, "to", 0, "go no further than this `version`")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withDatabase(cmd.Context(), load, func(ctx context.Context, db *sql.DB) error {
			var done []migrations.Applied
			var err error
			if cmd.Flags().Changed("to") {
				done, err = migrations.UpTo(ctx, db, to)
			} else {
				done, err = migrations.Up(ctx, db)
			}
			return errors.Join(err, printApplied(cmd.OutOrStdout(), "applied", done, err))
		})
	}
	return cmd
}

func newMigrateDown(load settings) *cobra.Command {
	var to int64
	var yes bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Roll the newest migration back, with its data",
		Long: `Roll the newest migration back, or with --to every one above a version. The data
in the tables that go is lost, which is why --yes is asked for.`,
		Example: `  chat-messaging migrate down --yes
  chat-messaging migrate down --to 0 --yes      back to an empty schema`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().Int64Var(&to, "to", 0, "roll back everything above this `version`")
	cmd.Flags().BoolVar(&yes, "yes", false, "yes, lose the data")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !yes {
			return usagef("migrate down loses the data of the tables that it removes: add --yes if that is meant")
		}
		return withDatabase(cmd.Context(), load, func(ctx context.Context, db *sql.DB) error {
			var done []migrations.Applied
			var err error
			if cmd.Flags().Changed("to") {
				done, err = migrations.DownTo(ctx, db, to)
			} else {
				done, err = migrations.Down(ctx, db)
			}
			return errors.Join(err, printApplied(cmd.OutOrStdout(), "rolled back", done, err))
		})
	}
	return cmd
}

func newMigrateStatus(load settings) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "List what is applied and what is pending; changes nothing",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withDatabase(cmd.Context(), load, func(ctx context.Context, db *sql.DB) error {
				states, err := migrations.Status(ctx, db)
				if err != nil {
					return err
				}
				return printStates(cmd.OutOrStdout(), states)
			})
		},
	}
}

func newMigrateGrant(load settings) *cobra.Command {
	var role string
	cmd := &cobra.Command{
		Use:   "grant",
		Short: "Let a database role run the service, and nothing more",
		Long: `Give a role what serve needs of the tables, and take back whatever else it was
given there: it reads and writes rows, and can neither change the schema nor
delete a message. Run it as the role that migrates, again after each migrate up.

The role itself is made with SQL:

  CREATE ROLE chat_serve LOGIN PASSWORD '…'`,
		Example: `  chat-messaging migrate grant --role chat_serve`,
		Args:    cobra.NoArgs,
	}
	cmd.Flags().StringVar(&role, "role", "", "the `name` of the role that serve connects as")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if role == "" {
			return usagef("migrate grant needs --role")
		}
		return withDatabase(cmd.Context(), load, func(ctx context.Context, db *sql.DB) error {
			if err := migrations.Grant(ctx, db, role); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s may serve\n", role)
			return err
		})
	}
	return cmd
}

// withDatabase calls do with a pool on DATABASE_URL that has answered once.
func withDatabase(ctx context.Context, load settings, do func(context.Context, *sql.DB) error) error {
	cfg, err := load("DATABASE_URL")
	if err != nil {
		return err
	}
	connector, err := pq.NewConnector(string(cfg.DatabaseURL))
	if err != nil {
		// The library's error may quote the URL.
		return fmt.Errorf("connecting to %s: not a usable URL of Postgres", cfg.DatabaseURL)
	}
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }()

	connecting, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := db.PingContext(connecting); err != nil {
		return fmt.Errorf("connecting to %s: %w", cfg.DatabaseURL, err)
	}
	return do(ctx, db)
}

// printApplied tells what was done, also when that ended with failure.
func printApplied(w io.Writer, action string, done []migrations.Applied, failure error) error {
	if len(done) == 0 {
		if failure == nil {
			_, err := fmt.Fprintln(w, "nothing to do")
			return err
		}
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "VERSION\tMIGRATION\tACTION\tTOOK")
	for _, m := range done {
		_, _ = fmt.Fprintf(table, "%d\t%s\t%s\t%s\n", m.Version, m.Name, action, m.Took.Round(time.Millisecond))
	}
	return table.Flush()
}

func printStates(w io.Writer, states []migrations.State) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "VERSION\tMIGRATION\tSTATE\tSINCE")
	for _, s := range states {
		switch {
		case s.AppliedAt.IsZero():
			_, _ = fmt.Fprintf(table, "%d\t%s\tpending\t-\n", s.Version, s.Name)
		case s.Name == "":
			_, _ = fmt.Fprintf(table, "%d\t(of a newer build)\tapplied\t%s\n", s.Version, s.AppliedAt.UTC().Format(time.RFC3339))
		default:
			_, _ = fmt.Fprintf(table, "%d\t%s\tapplied\t%s\n", s.Version, s.Name, s.AppliedAt.UTC().Format(time.RFC3339))
		}
	}
	return table.Flush()
}
