package instance

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// postgresProgramsFor finds the programs that can read the folder's data.
func postgresProgramsFor(f folder) (string, error) {
	version, err := os.ReadFile(filepath.Join(f.data(), "PG_VERSION"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("reading the version of the data: %w", err)
	}

	return postgresPrograms(strings.TrimSpace(string(version)))
}

// initialize creates the server's data where there are none. It is made beside
// its place and moved there, so that an interrupted one is not taken for data.
func (p *Postgres) initialize(ctx context.Context, log *os.File) error {
	if _, err := os.Stat(p.dir.data()); err == nil {
		return nil
	}

	// Left for the next process before there are data: without the password
	// they would be of no use.
	p.known.Password = rand.Text()
	if p.config.StandbyOf != "" {
		primary, err := url.Parse(p.config.StandbyOf)
		if err != nil {
			return errors.New("copying a server: its URL is not valid") // the text may quote the password
		}
		p.known.Password, _ = primary.User.Password()
	}
	if err := p.dir.remember(p.known); err != nil {
		return err
	}

	unfinished := filepath.Join(p.dir.path, "unfinished")
	if err := os.RemoveAll(unfinished); err != nil {
		return fmt.Errorf("creating the data folder: %w", err)
	}

	if err := os.MkdirAll(filepath.Join(unfinished, "data"), 0o700); err != nil {
		return fmt.Errorf("creating the data folder: %w", err)
	}

	create := p.initdb
	if p.config.StandbyOf != "" {
		create = p.copyPrimary
	}
	if err := create(ctx, unfinished, log); err != nil {
		return err
	}

	if err := os.Rename(filepath.Join(unfinished, "data"), p.dir.data()); err != nil {
		return fmt.Errorf("creating the data folder: %w", err)
	}

	if err := os.RemoveAll(unfinished); err != nil {
		return fmt.Errorf("creating the data folder: %w", err)
	}

	return nil
}

func (p *Postgres) initdb(ctx context.Context, dir string, log *os.File) error {
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte(p.known.Password+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing the password for initdb: %w", err)
	}

	for _, path := range []string{dir, filepath.Join(dir, "data"), password} {
		if err := p.account.own(path); err != nil {
			return err
		}
	}

	args := []string{
		"--pgdata=" + filepath.Join(dir, "data"), "--username=postgres", "--encoding=UTF8", "--locale=C",
		// Not "trust": every account of this machine can reach the port, and
		// the superuser can run programs.
		"--auth=scram-sha-256", "--pwfile=" + password,
	}
	if p.config.Volatile {
		args = append(args, "--no-sync")
	}

	return p.create(ctx, dir, log, "initdb", args...)
}

// copyPrimary makes the data of a standby, which finds its primary by the
// settings that the copying leaves in them.
func (p *Postgres) copyPrimary(ctx context.Context, dir string, log *os.File) error {
	for _, path := range []string{dir, filepath.Join(dir, "data")} {
		if err := p.account.own(path); err != nil {
			return err
		}
	}

	return p.create(ctx, dir, log, "pg_basebackup", "--pgdata="+filepath.Join(dir, "data"),
		"--dbname="+withoutPassword(p.config.StandbyOf), "--checkpoint=fast", "--wal-method=stream", "--write-recovery-conf")
}

func withoutPassword(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return address
	}
	u.User = url.User(u.User.Username())

	return u.String()
}

// create runs a program that makes the server's data.
func (p *Postgres) create(ctx context.Context, dir string, log *os.File, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, p.Program(program), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	// Not among the arguments, which everybody on this machine can see.
	cmd.Env = append(serverEnvironment(dir), "PGPASSWORD="+p.known.Password)
	cmd.SysProcAttr = sysProcAttr(command{account: p.account})

	if err := cmd.Run(); err != nil {
		return fmt.Errorf("running %s: %w\n%s", program, err, p.dir.logTail())
	}

	return nil
}

func (p *Postgres) arguments(secure map[string]string) []string {
	settings := map[string]string{
		"listen_addresses": "127.0.0.1",
		"port":             strconv.Itoa(p.known.Port),
		// No socket file: the folder's path may be longer than one may be.
		"unix_socket_directories": "",
	}
	if p.config.Volatile {
		settings["fsync"] = "off"
		settings["full_page_writes"] = "off"
		settings["synchronous_commit"] = "off"
	}

	maps.Copy(settings, secure)
	maps.Copy(settings, p.config.Settings)

	args := []string{"-D", p.dir.data()}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}

	return args
}
