package main

import (
	"errors"
	"fmt"
	"slices"
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

// pairs is a flag that gives a name a value and may be repeated.
type pairs map[string]string

// String implements flag.Value.
func (p pairs) String() string {
	var all []string
	for name, value := range p {
		all = append(all, name+"="+value)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// Set implements flag.Value.
func (p pairs) Set(text string) error {
	name, value, found := strings.Cut(text, "=")
	if !found || name == "" {
		return errors.New("it must be name=value")
	}
	p[name] = value
	return nil
}
