package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os/user"
	"time"

	"github.com/lib/pq"

	"chat-messaging/cmd/services/instance"
)

const postgresHint = "What you can do: set DATABASE_URL to a server of yours, start Docker, or run `make services-install` as root."

// postgresSteps is the order in which a PostgreSQL server is looked for. Only
// the last two, left out when only looking, start anything.
func (s *setup) postgresSteps() []step {
	steps := []step{
		{"DATABASE_URL", s.configuredPostgres},
		{"a server on " + s.postgresAddress, s.usualPostgres},
		{"a private server in " + s.privateFolder("postgres"), s.runningPostgres},
	}
	if s.lookOnly {
		return steps
	}

	return append(steps,
		step{"Docker Compose", s.composePostgres},
		step{"a private server from Debian's package", s.privatePostgres},
	)
}

func (s *setup) configuredPostgres(ctx context.Context) (found, error) {
	address := s.env("DATABASE_URL")
	if address == "" || s.gaveOut("postgres", address) {
		return found{}, errNotApplicable
	}

	how := "using the database that DATABASE_URL names"

	db, err := connect(ctx, address)
	if missingDatabase(err) && !s.lookOnly {
		db, err = s.createNamed(ctx, address)
		how += ", created just now"
	}

	if err != nil {
		return found{}, decidedError{fmt.Errorf("DATABASE_URL is set but cannot be used: %w\n"+
			"What you can do: start that server, correct the address, or unset DATABASE_URL to let this command find or start one", err)}
	}

	return found{url: address, how: how}, db.Close()
}

// createNamed creates the missing database that a configured address names, if
// it has the name of our own: a fresh copy of the example settings does.
func (s *setup) createNamed(ctx context.Context, address string) (*sql.DB, error) {
	u, err := url.Parse(address)
	if err != nil || u.Path != "/"+databaseName {
		return nil, fmt.Errorf("there is no such database, and only one called %s is created for you", databaseName)
	}

	u.Path = "/postgres"

	db, err := connect(ctx, u.String())
	if err != nil {
		return nil, err
	}
	defer db.Close()

	if _, err := createDatabase(ctx, db); err != nil {
		return nil, err
	}

	return connect(ctx, address)
}

func (s *setup) usualPostgres(ctx context.Context) (found, error) {
	if err := listens(ctx, s.postgresAddress); err != nil {
		return found{}, err
	}

	var refusals []error

	for _, login := range s.postgresLogins() {
		for _, database := range []string{"postgres", login.Username()} {
			address := url.URL{
				Scheme: "postgres", User: login, Host: s.postgresAddress, Path: "/" + database, RawQuery: "sslmode=disable",
			}

			f, err := s.prepareDatabase(ctx, address, "using the server on "+s.postgresAddress+" as "+login.Username())
			if err == nil {
				return f, nil
			}

			refusals = append(refusals, fmt.Errorf("as %s: %w", login.Username(), err))
			if !missingDatabase(err) && !notPermitted(err) {
				break // this login is refused, whatever the database
			}
		}
	}

	return found{}, fmt.Errorf("a server listens there but could not be used:\n%w", errors.Join(refusals...))
}

// postgresLogins are the accounts worth trying on a server that we know
// nothing about: what psql would use, and what fresh installations have.
func (s *setup) postgresLogins() []*url.Userinfo {
	var logins []*url.Userinfo

	if name := s.env("PGUSER"); name != "" {
		logins = append(logins, login(name, s.env("PGPASSWORD")))
	}

	logins = append(logins, login("postgres", ""), login("postgres", "postgres"))

	if u, err := user.Current(); err == nil && u.Username != "postgres" {
		logins = append(logins, login(u.Username, s.env("PGPASSWORD")))
	}

	return logins
}

func login(name, password string) *url.Userinfo {
	if password == "" {
		return url.User(name)
	}

	return url.UserPassword(name, password)
}

func (s *setup) runningPostgres(ctx context.Context) (found, error) {
	server, err := instance.AttachPostgres(s.privateFolder("postgres"))
	if errors.Is(err, instance.ErrNotRunning) {
		return found{}, instance.ErrNotRunning // said in full by the step's name
	}

	if err != nil {
		return found{}, fmt.Errorf("looking for it: %w", err)
	}

	return s.ourPostgres(ctx, server.URL(), "using the private server that runs in "+s.privateFolder("postgres"))
}

// ourPostgres prepares the database on a server that this command started.
func (s *setup) ourPostgres(ctx context.Context, address, how string) (found, error) {
	u, err := url.Parse(address)
	if err != nil {
		return found{}, fmt.Errorf("reading the server's address: %w", err)
	}

	f, err := s.prepareDatabase(ctx, *u, how)
	if err != nil {
		return found{}, err
	}

	if s.lookOnly {
		return f, nil
	}

	return f, s.remember("postgres", f.url)
}

func connect(ctx context.Context, address string) (*sql.DB, error) {
	connector, err := pq.NewConnector(address)
	if err != nil {
		return nil, fmt.Errorf("reading the address: %w", err)
	}

	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()

	db := sql.OpenDB(connector)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("connecting: %w", err), db.Close())
	}

	return db, nil
}

// listens says in plain words why nothing can be reached at an address.
func listens(ctx context.Context, address string) error {
	dialer := net.Dialer{Timeout: 3 * time.Second}

	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("nothing answers there: %w", err)
	}

	_ = conn.Close() // it was only to see that it opens

	return nil
}
