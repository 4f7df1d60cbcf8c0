package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// settings are what the command line gives.
type settings struct {
	Minutes float64
	Seed    uint64
	Rate    int
	Ahead   int
	// LeastKills of the service in each minute; a run with fewer has proved too
	// little.
	LeastKills float64
	Race       bool
	Volatile   bool
	Dir        string
	Mutants    bool
}

const intro = `Kill the service, its servers and its dispatcher over and over, and audit what has
become of every message; or show that the audit notices six mistakes.

  go run ./cmd/soak [flags] [mutants]

`

func parseSettings(args []string, stderr io.Writer) (settings, error) {
	var s settings
	set := flag.NewFlagSet("soak", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.Usage = func() {
		_, _ = io.WriteString(stderr, intro)
		set.PrintDefaults()
	}
	set.Float64Var(&s.Minutes, "minutes", 20, "`length` of the run")
	set.Uint64Var(&s.Seed, "seed", 0, "`number` that makes the messages and the order of the deaths; 0: any, it is printed")
	set.IntVar(&s.Rate, "rate", 200, "`messages` a second and lane")
	set.IntVar(&s.Ahead, "ahead", 400, "`number` of events that may be missing before no more messages are sent")
	set.Float64Var(&s.LeastKills, "least-kills", 10, "least `number` of deaths of the service in a minute")
	set.BoolVar(&s.Race, "race", false, "build the service with the race detector")
	set.BoolVar(&s.Volatile, "volatile", false, "let Postgres not wait for the disk, which a process that is killed does not need")
	set.StringVar(&s.Dir, "dir", "", "existing `folder` for the servers' data; empty: the one for temporary files")
	if err := set.Parse(args); err != nil {
		return s, err //nolint:wrapcheck // the package has told the user already
	}
	switch {
	case set.NArg() == 1 && set.Arg(0) == "mutants":
		s.Mutants = true
	case set.NArg() > 0:
		return s, fmt.Errorf("unexpected argument %q", set.Arg(0))
	}
	if s.Seed == 0 {
		s.Seed = 1 + rand.Uint64N(1_000_000) //nolint:gosec // it is printed
	}
	return s, s.validate()
}

func (s *settings) validate() error {
	var faults []error
	if s.Minutes <= 0 {
		faults = append(faults, fmt.Errorf("-minutes is %g and must be positive", s.Minutes))
	}
	if s.LeastKills < 0 {
		faults = append(faults, fmt.Errorf("-least-kills is %g and must not be negative", s.LeastKills))
	}
	for name, value := range map[string]int{"-rate": s.Rate, "-ahead": s.Ahead} {
		if value < 1 {
			faults = append(faults, fmt.Errorf("%s is %d and must be at least 1", name, value))
		}
	}
	return errors.Join(faults...)
}

func (s *settings) length() time.Duration {
	return time.Duration(s.Minutes * float64(time.Minute))
}
