package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"github.com/joho/godotenv"
)

// envFile is the file that settings may come from beside the environment.
type envFile struct {
	path     string
	required bool // asked for by name, so that its absence is an error
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)

// readEnvironment returns environ and the file's variables as one map, never
// nil. What is set in environ wins, even when it is set to nothing.
func readEnvironment(environ []string, file envFile) (map[string]string, error) {
	values, err := file.read()
	if err != nil {
		return nil, err
	}
	for _, assignment := range environ {
		name, value, _ := strings.Cut(assignment, "=")
		values[name] = value
	}
	return values, nil
}

// read never repeats what the file says in an error: godotenv's errors quote
// the text around a fault, and there may be a password in it.
func (f envFile) read() (map[string]string, error) {
	text, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) && !f.required {
		return map[string]string{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading settings: %w", err)
	}
	values, err := godotenv.UnmarshalBytes(text)
	if err != nil {
		return nil, fmt.Errorf("reading settings: %s, line %d: "+
			"not NAME=value, or a quote that is not closed", f.path, faultyLine(text))
	}
	for name := range values {
		if !variableName.MatchString(name) {
			return nil, fmt.Errorf("reading settings: %s: a line is not NAME=value", f.path)
		}
	}
	return values, nil
}

// faultyLine is the number of the line at which the first statement starts
// that cannot be read: the file is good as far as the line before it.
func faultyLine(text []byte) int {
	lines := bytes.SplitAfter(text, []byte("\n"))
	for n := len(lines) - 1; n > 0; n-- {
		if _, err := godotenv.UnmarshalBytes(bytes.Join(lines[:n], nil)); err == nil {
			return n + 1
		}
	}
	return 1
}
