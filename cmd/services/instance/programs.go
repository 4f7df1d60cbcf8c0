package instance

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ErrNotInstalled means that the server's programs are not on this machine.
// The error's text names the command that installs them.
var ErrNotInstalled = errors.New("not installed on this machine; `make services-install` installs it")

// PostgresInstalled returns nil where StartPostgres would find its programs,
// and ErrNotInstalled otherwise.
func PostgresInstalled() error {
	_, err := postgresPrograms("")
	return err
}

// RabbitMQInstalled returns nil where StartRabbitMQ would find its programs,
// and ErrNotInstalled otherwise.
func RabbitMQInstalled() error {
	_, err := rabbitPrograms()
	return err
}

// postgresPrograms returns the folder with postgres and initdb: of the given
// major version, because data can be read by their own version only, or of the
// newest one when that is empty.
func postgresPrograms(version string) (string, error) {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // fails for a bad pattern only
	slices.SortFunc(dirs, func(a, b string) int { return cmp.Compare(majorVersion(b), majorVersion(a)) })

	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(path))
		}
	}

	for _, dir := range dirs {
		wrong := version != "" && strings.HasPrefix(dir, "/usr/lib/postgresql/") &&
			dir != filepath.Join("/usr/lib/postgresql", version, "bin")
		if !wrong && executable(filepath.Join(dir, "postgres")) && executable(filepath.Join(dir, "initdb")) {
			return dir, nil
		}
	}

	if version != "" && len(dirs) > 0 {
		return "", fmt.Errorf("looking for PostgreSQL %s, whose data these are: %w", version, ErrNotInstalled)
	}

	return "", fmt.Errorf("looking for the PostgreSQL server: %w", ErrNotInstalled)
}

func majorVersion(binDir string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(binDir))) // anything else sorts last
	return n
}

// rabbitmq is where the broker's programs are.
type rabbitmq struct {
	server, ctl, epmd string
}

func rabbitPrograms() (rabbitmq, error) {
	// Debian's programs in /usr/sbin are wrappers that insist on the machine's
	// own server; the real ones come first.
	dirs := []string{"/usr/lib/rabbitmq/bin"}
	if path, err := exec.LookPath("rabbitmq-server"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(path))
		}
	}

	epmd, err := exec.LookPath("epmd")
	if err != nil {
		found, _ := filepath.Glob("/usr/lib/erlang/erts-*/bin/epmd")
		if len(found) == 0 {
			return rabbitmq{}, fmt.Errorf("looking for Erlang's epmd: %w", ErrNotInstalled)
		}
		epmd = found[0]
	}

	for _, dir := range dirs {
		r := rabbitmq{server: filepath.Join(dir, "rabbitmq-server"), ctl: filepath.Join(dir, "rabbitmqctl"), epmd: epmd}
		if executable(r.server) && executable(r.ctl) {
			return r, nil
		}
	}

	return rabbitmq{}, fmt.Errorf("looking for the RabbitMQ server: %w", ErrNotInstalled)
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

// serverEnvironment is all that a server sees of ours. Everything else stays
// out: a PGDATA or RABBITMQ_NODENAME meant for the machine's own server must
// not reach a private one.
func serverEnvironment(home string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH") + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=" + home,
		"LANG=C.UTF-8",
	}
}
