package main

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// problem is one setting that cannot be used.
type problem struct {
	key     string
	value   string // as it may be printed; empty when it is unset or secret
	reason  string
	allowed string
}

func (p problem) String() string {
	var text strings.Builder
	text.WriteString(p.key)
	if p.value != "" {
		text.WriteString("=" + p.value)
	}
	text.WriteString(": " + p.reason)
	if p.allowed != "" {
		text.WriteString(" (allowed: " + p.allowed + ")")
	}
	return text.String()
}

// configError is everything that is wrong with the configuration.
type configError struct {
	problems []problem
}

func (e *configError) Error() string {
	var text strings.Builder
	text.WriteString("invalid configuration:")
	for _, p := range e.problems {
		text.WriteString("\n  " + p.String())
	}
	return text.String()
}

// problems gathers what is wrong, at most one thing a setting.
type problems struct {
	values map[string]string
	specs  map[string]spec
	list   []problem
}

func (ps *problems) add(key, reason string) {
	if ps.has(key) {
		return
	}
	ps.list = append(ps.list, problem{
		key:     key,
		value:   printable(ps.specs[key].kind, ps.values[key]),
		reason:  reason,
		allowed: ps.specs[key].allowed,
	})
}

func (ps *problems) has(keys ...string) bool {
	return slices.ContainsFunc(ps.list, func(p problem) bool { return slices.Contains(keys, p.key) })
}

// printable is a value as an error may repeat it.
func printable(kind reflect.Type, value string) string {
	const longest = 80
	switch {
	case value == "" || kind == reflect.TypeFor[Secret]():
		return ""
	case kind == reflect.TypeFor[SecretURL]():
		value = redactURL(value)
	}
	if len(value) > longest {
		value = value[:longest] + "…"
	}
	return strconv.Quote(value)
}
