package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// names is a flag with a list of names.
type names []string

// String implements flag.Value.
func (n *names) String() string { return strings.Join(*n, ",") }

// Set implements flag.Value.
func (n *names) Set(text string) error {
	*n = strings.Split(text, ",")
	return nil
}

func (n *names) among(flag string, known ...string) error {
	for i, name := range *n {
		if !slices.Contains(known, name) {
			return fmt.Errorf("-%s has %q and may have %s", flag, name, strings.Join(known, ", "))
		}
		if slices.Contains((*n)[:i], name) {
			return fmt.Errorf("-%s has %q twice", flag, name)
		}
	}
	return nil
}

// counts is a flag with a list of numbers that are at least 1, each once.
type counts []int

// String implements flag.Value.
func (c *counts) String() string {
	var all []string
	for _, n := range *c {
		all = append(all, strconv.Itoa(n))
	}
	return strings.Join(all, ",")
}

// Set implements flag.Value.
func (c *counts) Set(text string) error {
	var all []int
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 {
			return fmt.Errorf("%q is no number above 0", part)
		}
		if slices.Contains(all, n) {
			return fmt.Errorf("it has %d twice", n)
		}
		all = append(all, n)
	}
	*c = all
	return nil
}

// pairs is a flag that gives a name a value and may be repeated.
type pairs map[string]string

// String implements flag.Value.
func (p pairs) String() string { return joined(p) }

// Set implements flag.Value.
func (p pairs) Set(text string) error {
	name, value, found := strings.Cut(text, "=")
	if !found || name == "" {
		return errors.New("it must be name=value")
	}
	p[name] = value
	return nil
}

// limits is a flag that gives a bar its limit and may be repeated.
type limits map[string]float64

// String implements flag.Value.
func (l limits) String() string { return joined(l) }

// Set implements flag.Value.
func (l limits) Set(text string) error {
	name, value, found := strings.Cut(text, "=")
	if !found || name == "" {
		return errors.New("it must be name=value")
	}
	limit, err := strconv.ParseFloat(value, 64)
	if err != nil || limit < 0 {
		return fmt.Errorf("%q is no number from 0", value)
	}
	l[name] = limit
	return nil
}

func joined[V any](values map[string]V) string {
	var all []string
	for name, value := range values {
		all = append(all, fmt.Sprintf("%s=%v", name, value))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}
