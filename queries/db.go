package queries

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
)

// Config says how to reach the database.
type Config struct {
	// URL is a connection string in either of Postgres' forms. Required.
	// search_path may be given in it to use a schema other than the user's own.
	URL string
	// ApplicationName is shown in pg_stat_activity. Default chat-messaging.
	ApplicationName string
	// MaxConns bounds the pool, dedicated sessions included. Default 20.
	MaxConns int
	// StatementTimeout ends a statement that hangs. Default 5 s. A statement_timeout
	// in the URL wins.
	StatementTimeout time.Duration
}

func (c *Config) setDefaults() {
	if c.ApplicationName == "" {
		c.ApplicationName = "chat-messaging"
	}
	if c.MaxConns == 0 {
		c.MaxConns = 20
	}
	if c.StatementTimeout == 0 {
		c.StatementTimeout = 5 * time.Second
	}
}

// answerGrace is how much longer than its own time limit a statement is waited
// for: the server that is to end it must be dead by then.
const answerGrace = 10 * time.Second

// DB is a pool of connections. It is safe for concurrent use.
type DB struct {
	*sqlx.DB
	url       string
	connector *connector
}

// Open prepares a pool. It does not connect: a database that is away at start
// is found by the first statement, and by Ready.
func Open(c Config) (*DB, error) {
	c.setDefaults()
	cfg, err := pq.NewConfig(c.URL)
	if err != nil {
		// The driver's own text may quote the password.
		return nil, fmt.Errorf("parsing the database URL: it is not a valid Postgres connection string")
	}
	// One round trip a statement instead of two, and arrays in binary form.
	cfg.BinaryParameters = true
	cfg.ApplicationName = c.ApplicationName
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 5 * time.Second
	}
	if cfg.Runtime == nil {
		cfg.Runtime = map[string]string{}
	}
	statementTimeout := fmt.Sprintf("%dms", c.StatementTimeout.Milliseconds())
	for name, value := range map[string]string{
		"statement_timeout": statementTimeout,
		// A session whose client died must give its locks back.
		"idle_in_transaction_session_timeout": "15s",
		"tcp_keepalives_idle":                 "5",
		"tcp_keepalives_interval":             "5",
		"tcp_keepalives_count":                "3",
		// Each statement has one good plan whatever its parameters, as the plan
		// tests show. Left to itself the server takes its guess of a LIMIT that
		// is a parameter for a reason to plan anew every time, which costs more
		// than a page of history does.
		"plan_cache_mode": "force_generic_plan",
	} {
		if _, given := cfg.Runtime[name]; !given {
			cfg.Runtime[name] = value
		}
	}
	driver, err := pq.NewConnectorConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("preparing the database connector: %w", err)
	}
	answer := c.StatementTimeout + answerGrace
	if cfg.Runtime["statement_timeout"] != statementTimeout {
		answer = 0 // somebody else's decision, and perhaps there is none
	}
	driver.Dialer(newDialer(answer))
	dials := &connector{Connector: driver}
	db := sql.OpenDB(dials)
	db.SetMaxOpenConns(c.MaxConns)
	db.SetMaxIdleConns(c.MaxConns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return &DB{DB: sqlx.NewDb(db, "postgres"), url: c.URL, connector: dials}, nil
}

// database/sql begins every transaction READ WRITE. A probe has to fail where
// the transactions of others are read-only, as on a server that is filling up.
const probeModeStatement = `
SELECT set_config('transaction_read_only', current_setting('default_transaction_read_only'), true)`

const probeStatement = `
INSERT INTO outbox (events) VALUES ('probe')`

// Probe proves that the database takes writes at this moment: it writes a row
// in a transaction that it rolls back.
func (db *DB) Probe(ctx context.Context) error {
	tx, err := db.BeginTxx(ctx, nil)
	if err != nil {
		return fmt.Errorf("probing the database: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	for _, statement := range []string{probeModeStatement, probeStatement} {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("probing the database: %w", err)
		}
	}
	return nil
}
