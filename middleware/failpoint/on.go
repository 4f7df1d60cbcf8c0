//go:build failpoints

package failpoint

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// Built tells whether this program was built to crash.
const Built = true

// A failpoint is reached from every layer and must not change a signature on its
// way, so what is armed are variables of the package. They are set before the
// service begins, and only exist in this build.
var (
	last   Point // where to die
	visits atomic.Int64
	mutant Mutant
)

// Arm reads from the environment where to die and which mistake to make. Call it
// once, before anything else.
func Arm(environ []string) error {
	for _, assignment := range environ {
		name, value, _ := strings.Cut(assignment, "=")
		switch name {
		case EnvPoint:
			point, n, _ := strings.Cut(value, ":")
			count, err := strconv.ParseInt(n, 10, 64)
			if err != nil || count < 1 || !slices.Contains(Points(), Point(point)) {
				return fmt.Errorf("%s is %q and must be a failpoint and the number of the visit, such as %s:3", name, value, AfterCommit)
			}
			last = Point(point)
			visits.Store(count)
		case EnvMutant:
			if mutant = Mutant(value); !slices.Contains(Mutants(), mutant) {
				return errors.New(name + " names no mutant: " + value)
			}
		}
	}
	return nil
}

// Hit ends the process with SIGKILL if this is the visit that it was armed for:
// nothing is flushed, closed or said.
func Hit(p Point) {
	if p != last || visits.Add(-1) != 0 {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // nothing behind the place happens any more
}

// Mutated tells whether the mistake is to be made.
func Mutated(m Mutant) bool { return m == mutant }
