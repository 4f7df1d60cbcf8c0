//go:build !failpoints

package failpoint

// Built tells whether this program was built to crash.
const Built = false

// Arm does nothing: this program was not built to crash.
func Arm([]string) error { return nil }

// Hit does nothing.
func Hit(Point) {}

// Mutated is false.
func Mutated(Mutant) bool { return false }
