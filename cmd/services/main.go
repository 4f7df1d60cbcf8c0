// Command services prepares the two servers that the chat service needs,
// PostgreSQL and RabbitMQ, on whatever machine it finds itself on:
//
//	eval "$(go run ./cmd/services up)"
//
// For each server on its own it takes the first of these that works: the one
// the environment (or .env) names; one on the usual port; one that it started
// earlier; Docker Compose; Debian's package, run privately under .data/. It
// says on standard error what it found or did, and prints the addresses on
// standard output as shell commands. It never starts, stops or changes the
// configuration of a server that it did not start itself: on a server that it
// found it only creates the database chat_messaging.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const usage = `Prepares PostgreSQL and RabbitMQ for the chat service.

  services up [--binaries]       find or start both, print their addresses for the shell
                                 --binaries: also make sure that the tests can start private
                                 servers and a browser, installing them if need be
  services down [--delete-data]  stop the servers that "up" started
  services status                tell what "up" would use now
  services install               install the programs of both (Debian packages) and the browser
                                 of the tests, start nothing
`

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()

	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		cancel()

		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "\nservices: "+err.Error())
		}

		os.Exit(1) //nolint:gocritic // cancel has been called
	}
}

func run(ctx context.Context, args []string, out, messages io.Writer) error {
	verb := "help"
	if len(args) > 0 {
		verb, args = args[0], args[1:]
	}

	flags := flag.NewFlagSet("services "+verb, flag.ContinueOnError)
	flags.SetOutput(messages)
	binaries := flags.Bool("binaries", false, "also make sure that private servers and a browser can be started")
	deleteData := flags.Bool("delete-data", false, "delete what the stopped servers stored")

	if err := flags.Parse(args); err != nil {
		return err //nolint:wrapcheck // flag has told the user already
	}

	if flags.NArg() > 0 {
		return fmt.Errorf("%s takes no argument %q\n\n%s", verb, flags.Arg(0), usage)
	}

	if verb == "help" || verb == "-h" || verb == "--help" {
		_, err := io.WriteString(out, usage)
		return err //nolint:wrapcheck // nothing to add
	}

	s, err := newSetup(messages)
	if err != nil {
		return err
	}

	switch verb {
	case "up":
		return s.up(ctx, out, *binaries)
	case "down":
		return s.down(ctx, *deleteData)
	case "status":
		return s.status(ctx)
	case "install":
		return s.install(ctx, debianPackages)
	default:
		return fmt.Errorf("there is no verb %q\n\n%s", verb, usage)
	}
}
