package main

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// commaList is a setting of several values: "a, b" is a and b.
type commaList []string

// UnmarshalText never fails; empty parts are left out.
func (l *commaList) UnmarshalText(text []byte) error {
	*l = nil
	for part := range strings.SplitSeq(string(text), ",") {
		if part = strings.TrimSpace(part); part != "" && !slices.Contains(*l, part) {
			*l = append(*l, part)
		}
	}
	return nil
}

func (l commaList) String() string { return strings.Join(l, ",") }

// spec is what the tags of a Config field say.
type spec struct {
	key      string
	fallback string
	field    int
	kind     reflect.Type
	oneOf    []string
	min, max string
	maxLen   int
	allowed  string // for the operator: what would have been right
}

// configSpecs returns the specs by variable name.
func configSpecs() map[string]spec {
	config := reflect.TypeFor[Config]()
	specs := make(map[string]spec, config.NumField())
	for i := range config.NumField() {
		tag := config.Field(i).Tag
		s := spec{
			key:      tag.Get("env"),
			fallback: tag.Get("envDefault"),
			field:    i,
			kind:     config.Field(i).Type,
			oneOf:    strings.Fields(tag.Get("oneof")),
			min:      tag.Get("min"),
			max:      tag.Get("max"),
			allowed:  tag.Get("allowed"),
		}
		s.maxLen, _ = strconv.Atoi(tag.Get("maxlen"))
		switch {
		case len(s.oneOf) > 0:
			s.allowed = strings.Join(s.oneOf, ", ")
		case s.max != "":
			s.allowed = s.min + " to " + s.max
		case s.maxLen > 0:
			s.allowed = fmt.Sprintf("a name of at most %d bytes", s.maxLen)
		case s.kind.Kind() == reflect.Bool:
			s.allowed = "true, false"
		}
		specs[s.key] = s
	}
	return specs
}

// check tests a field against its tags and returns what is wrong, "" when
// nothing is. A value of a list is put into the list's spelling.
func (s spec) check(field reflect.Value) string {
	switch {
	case len(s.oneOf) > 0:
		for _, value := range s.oneOf {
			if strings.EqualFold(value, field.String()) {
				field.SetString(value)
				return ""
			}
		}
		return "not one of the known values"
	case s.max != "":
		if field.Int() < s.bound(s.min) || field.Int() > s.bound(s.max) {
			return "out of range"
		}
	case s.maxLen > 0:
		if field.Len() > s.maxLen {
			return "too long"
		}
	}
	return ""
}

// bound reads min or max, which are written like the setting itself.
func (s spec) bound(text string) int64 {
	if s.kind == reflect.TypeFor[time.Duration]() {
		d, _ := time.ParseDuration(text)
		return int64(d)
	}
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

// parseFault says why a value could not be read, without the library's text,
// which repeats the value.
func parseFault(kind reflect.Type, err error) string {
	switch {
	case errors.Is(err, strconv.ErrRange):
		return "out of range"
	case kind == reflect.TypeFor[time.Duration]():
		return "not a duration: a number with its unit, such as 500ms or 10s"
	case kind.Kind() == reflect.Int:
		return "not a whole number"
	case kind.Kind() == reflect.Bool:
		return "neither true nor false"
	default:
		return "cannot be read"
	}
}
