package instance

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ErrUnreachable means that the account a server has to run as may not enter
// the folder it was given. The error's text names the folder that is closed.
var ErrUnreachable = errors.New("the server's account may not enter the folder")

// account is whom a server runs as.
type account struct {
	name     string
	uid, gid int
	// foreign says that it is not the account of this process: then folders
	// must be handed over, which only root can do.
	foreign bool
}

// serverAccount is the account of this process, or, for root, the first of the
// wanted ones that exists.
func serverAccount(wanted ...string) (account, error) {
	if os.Geteuid() != 0 {
		return account{uid: os.Geteuid(), gid: os.Getegid()}, nil
	}

	for _, name := range wanted {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}

		uid, uidErr := strconv.Atoi(u.Uid)
		gid, gidErr := strconv.Atoi(u.Gid)
		if uidErr == nil && gidErr == nil {
			return account{name: name, uid: uid, gid: gid, foreign: true}, nil
		}
	}

	return account{}, fmt.Errorf("choosing an account: none of %s exists, and the server must not run as root",
		strings.Join(wanted, ", "))
}

func (a account) credential() *syscall.Credential {
	if !a.foreign {
		return nil
	}

	return &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)} //nolint:gosec // read from the system's own account list
}

// own gives a file or folder to the account.
func (a account) own(path string) error {
	if !a.foreign {
		return nil
	}

	if err := os.Chown(path, a.uid, a.gid); err != nil {
		return fmt.Errorf("handing over %s: %w", path, err)
	}

	return nil
}

// enter makes sure that the account can reach dir. Folders on the way that lie
// in the system's folder for temporary files and are our own are opened for it
// (entering only, not listing): the test package creates them for their owner
// alone. Any other closed folder is somebody's decision, and is an error.
func (a account) enter(dir string) error {
	if !a.foreign {
		return nil
	}

	temporary, err := filepath.EvalSymlinks(os.TempDir())
	if err != nil {
		return fmt.Errorf("finding the folder for temporary files: %w", err)
	}

	for dir != "/" {
		info, err := os.Stat(dir)
		if err != nil {
			return fmt.Errorf("looking at %s: %w", dir, err)
		}

		if !a.mayEnter(info) {
			if !strings.HasPrefix(dir, temporary+"/") || owner(info) != os.Geteuid() {
				return fmt.Errorf("%w: %s is closed to the account %s", ErrUnreachable, dir, a.name)
			}

			if err := os.Chmod(dir, info.Mode().Perm()|0o011); err != nil {
				return fmt.Errorf("opening %s: %w", dir, err)
			}
		}

		dir = filepath.Dir(dir)
	}

	return nil
}

func (a account) mayEnter(info os.FileInfo) bool {
	mode := info.Mode().Perm()

	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return true
	case int(stat.Uid) == a.uid:
		return mode&0o100 != 0
	case int(stat.Gid) == a.gid:
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}

func owner(info os.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}

	return -1
}
