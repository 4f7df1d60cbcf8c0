package main

import (
	"context"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chat-messaging/cmd/services/instance"
)

// strangersPostgres is a server that this command knows nothing about, with the
// password of many fresh installations.
func strangersPostgres(t *testing.T) (host string, admin *sql.DB) {
	t.Helper()

	ctx := within(t, time.Minute)
	p, err := instance.StartPostgres(ctx, instance.PostgresConfig{Dir: t.TempDir(), Volatile: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Stop(context.Background())) })

	admin, err = connect(ctx, p.URL())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, admin.Close()) })
	change(t, admin, "ALTER USER postgres PASSWORD 'postgres'")

	u, err := url.Parse(p.URL())
	require.NoError(t, err)

	return u.Host, admin
}

func change(t *testing.T, db *sql.DB, statement string) {
	t.Helper()

	_, err := db.ExecContext(t.Context(), statement)
	require.NoError(t, err)
}

func TestAStrangersPostgresGetsOurDatabaseAndNothingElse(t *testing.T) {
	t.Parallel()

	host, admin := strangersPostgres(t)
	s, messages := newMachine(t, nil)
	s.postgresAddress = host
	ctx := within(t, time.Minute)

	s.lookOnly = true
	_, err := first(ctx, "PostgreSQL", "", s.postgresSteps())
	require.NoError(t, err)
	require.Empty(t, databases(t, admin), "looking creates nothing")

	s.lookOnly = false
	f, err := first(ctx, "PostgreSQL", "", s.postgresSteps())
	require.NoError(t, err, messages)
	require.Equal(t, "postgres://postgres:postgres@"+host+"/chat_messaging?sslmode=disable", f.url)
	require.Contains(t, f.how, "created just now")
	require.Equal(t, []string{"chat_messaging"}, databases(t, admin))

	f, err = first(ctx, "PostgreSQL", "", s.postgresSteps())
	require.NoError(t, err)
	require.NotContains(t, f.how, "created")
}

func TestWhereNoDatabaseIsPermittedASchemaIsUsed(t *testing.T) {
	t.Parallel()

	host, admin := strangersPostgres(t)
	change(t, admin, "CREATE DATABASE tenant")
	change(t, admin, "CREATE ROLE tenant LOGIN PASSWORD 'secret'; GRANT CREATE ON DATABASE tenant TO tenant")
	change(t, admin, "REVOKE CONNECT ON DATABASE postgres FROM public")

	env := map[string]string{"PGUSER": "tenant", "PGPASSWORD": "secret"}
	s, _ := newMachine(t, env)
	s.postgresAddress = host
	// No way round through accounts that may more.
	change(t, admin, "ALTER USER postgres PASSWORD 'unknown'")

	ctx := within(t, time.Minute)
	for range 2 {
		f, err := first(ctx, "PostgreSQL", "", s.postgresSteps()[:2])
		require.NoError(t, err)
		require.Contains(t, f.url, "/tenant?search_path=chat_messaging")
		inSchema(t, f.url)
	}
}

// inSchema checks that tables land in our schema without being told so.
func inSchema(t *testing.T, address string) {
	t.Helper()

	db, err := connect(t.Context(), address)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()

	change(t, db, "CREATE TABLE IF NOT EXISTS thing (n int)")

	var schema string
	require.NoError(t, db.QueryRowContext(t.Context(),
		"SELECT schemaname FROM pg_tables WHERE tablename = 'thing'").Scan(&schema))
	require.Equal(t, "chat_messaging", schema)
}

func databases(t *testing.T, admin *sql.DB) []string {
	t.Helper()

	rows, err := admin.QueryContext(t.Context(),
		"SELECT datname FROM pg_database WHERE datname NOT IN ('postgres', 'template0', 'template1')")
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()

	var names []string
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		names = append(names, name)
	}
	require.NoError(t, rows.Err())

	return names
}

func TestDatabaseURLIsUsedExactlyAsGiven(t *testing.T) {
	t.Parallel()

	host, admin := strangersPostgres(t)
	env := map[string]string{"DATABASE_URL": "postgres://postgres:postgres@" + host + "/postgres?sslmode=disable&application_name=x"}
	s, _ := newMachine(t, env)
	ctx := within(t, time.Minute)

	f, err := first(ctx, "PostgreSQL", "", s.postgresSteps())
	require.NoError(t, err)
	require.Equal(t, env["DATABASE_URL"], f.url)
	require.Empty(t, databases(t, admin))

	env["DATABASE_URL"] = "postgres://postgres:postgres@" + host + "/elsewhere?sslmode=disable"
	_, err = first(ctx, "PostgreSQL", "", s.postgresSteps())
	require.ErrorContains(t, err, "DATABASE_URL is set but cannot be used")
	require.ErrorContains(t, err, "only one called chat_messaging is created for you")
	require.Empty(t, databases(t, admin))

	// What a copy of the example settings names is made.
	env["DATABASE_URL"] = "postgres://postgres:postgres@" + host + "/chat_messaging?sslmode=disable"
	f, err = first(ctx, "PostgreSQL", "", s.postgresSteps())
	require.NoError(t, err)
	require.Equal(t, env["DATABASE_URL"], f.url)

	env["DATABASE_URL"] = "postgres://postgres@" + closedAddress + "/postgres"
	_, err = first(ctx, "PostgreSQL", "", s.postgresSteps())
	require.ErrorContains(t, err, "unset DATABASE_URL")
}

func TestAStrangersRabbitMQ(t *testing.T) {
	t.Parallel()

	ctx := within(t, 2*time.Minute)
	r, err := instance.StartRabbitMQ(ctx, instance.RabbitMQConfig{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Stop(context.Background())) })

	u, err := url.Parse(r.URL())
	require.NoError(t, err)

	env := map[string]string{}
	s, _ := newMachine(t, env)
	s.rabbitAddress = u.Host

	_, err = s.usualRabbitMQ(ctx)
	require.ErrorContains(t, err, "could not be used as guest")

	for _, command := range [][]string{
		{"add_user", "guest", "guest"}, {"set_permissions", "guest", ".*", ".*", ".*"},
	} {
		_, err = r.Ctl(ctx, command...)
		require.NoError(t, err)
	}

	f, err := first(ctx, "RabbitMQ", "", s.rabbitSteps())
	require.NoError(t, err)
	require.Equal(t, "amqp://guest:guest@"+u.Host+"/", f.url)

	env["RABBITMQ_URL"] = r.URL()
	f, err = first(ctx, "RabbitMQ", "", s.rabbitSteps())
	require.NoError(t, err)
	require.Equal(t, r.URL(), f.url)

	env["RABBITMQ_URL"] = "amqp://guest:wrong@" + u.Host + "/"
	_, err = first(ctx, "RabbitMQ", "", s.rabbitSteps())
	require.ErrorContains(t, err, "unset RABBITMQ_URL")
}

// docker is a stand-in for the command only: it says what an engine would say
// and writes down what it was asked. The servers behind the ports are real.
const docker = `#!/bin/sh
echo "$POSTGRES_PORT: $*" >>"$DOCKER_TEST_LOG"
case "$*" in
*" port postgres 5432") test ! -e "$DOCKER_TEST_UP" || cat "$DOCKER_TEST_UP" ;;
*" up "*postgres) echo "$DOCKER_TEST_ADDRESS" >"$DOCKER_TEST_UP" ;;
*" up "*rabbitmq) echo "no space left on device" >&2; exit 17 ;;
esac
`

// Not parallel: it changes the environment.
func TestComposeStartsWhatIsMissingAndDownStopsIt(t *testing.T) {
	host, _ := strangersPostgres(t)
	s, _ := newMachine(t, nil)
	bin := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(bin, "docker"), []byte(docker), 0o755))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("DOCKER_TEST_LOG", filepath.Join(bin, "log"))
	t.Setenv("DOCKER_TEST_UP", filepath.Join(bin, "up"))
	t.Setenv("DOCKER_TEST_ADDRESS", host)

	lock, err := s.lock()
	require.NoError(t, err)
	require.NoError(t, lock.Close())

	ctx := within(t, time.Minute)
	_, err = s.composePostgres(ctx)
	require.Error(t, err, "nothing runs on the port that it would have been published on")

	for range 2 {
		f, err := s.composePostgres(ctx)
		require.NoError(t, err)
		require.Equal(t, "postgres://postgres:postgres@"+host+"/chat_messaging?sslmode=disable", f.url)
	}

	_, err = s.composeRabbitMQ(ctx)
	require.ErrorContains(t, err, "no space left on device")

	require.NoError(t, s.down(ctx, false))
	log, err := os.ReadFile(filepath.Join(bin, "log"))
	require.NoError(t, err)

	compose := "compose --file " + filepath.Join(s.root, "docker-compose.yaml") + " "
	require.Contains(t, string(log), "1: "+compose+"up --detach --wait postgres\n", "on the usual port, which is free")
	require.Contains(t, string(log), ": "+compose+"stop rabbitmq\n", "what did not get well is stopped")
	require.Contains(t, string(log), ": "+compose+"stop postgres\n")
	require.NoFileExists(t, s.composeMark("postgres"))
}
