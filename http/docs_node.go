package http

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// node is a value of a JSON document as a template walks it: with its members in
// the order in which they were written, and references followed.
type node struct {
	value   jsontext.Value
	members []docsMember
	items   []*node
	root    *node
}

// docsMember is a member of an object.
type docsMember struct {
	Name  string
	Value *node
}

// parseEventsDocument reads an AsyncAPI document for its page.
func parseEventsDocument(text []byte) (*node, error) {
	root := &node{}
	root.root = root
	if err := root.read(text); err != nil {
		return nil, err
	}
	return root, root.check()
}

func (n *node) read(value jsontext.Value) error {
	n.value = bytes.TrimSpace(value)
	d := jsontext.NewDecoder(bytes.NewReader(n.value))
	kind := d.PeekKind()
	if kind != jsontext.KindBeginObject && kind != jsontext.KindBeginArray {
		return nil
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != jsontext.KindEndObject && d.PeekKind() != jsontext.KindEndArray {
		child := &node{root: n.root}
		if kind == jsontext.KindBeginObject {
			name, err := d.ReadToken()
			if err != nil {
				return err
			}
			n.members = append(n.members, docsMember{name.String(), child})
		} else {
			n.items = append(n.items, child)
		}
		value, err := d.ReadValue()
		if err != nil {
			return err
		}
		if err := child.read(value.Clone()); err != nil {
			return err
		}
	}
	return nil
}

// check fails if a reference leads nowhere.
func (n *node) check() error {
	if n.resolve() == nil {
		return fmt.Errorf("%s leads nowhere", n.member("$ref").Text())
	}
	var errs []error
	for _, m := range n.members {
		errs = append(errs, m.Value.check())
	}
	for _, item := range n.items {
		errs = append(errs, item.check())
	}
	return errors.Join(errs...)
}

func (n *node) member(name string) *node {
	for _, m := range n.members {
		if m.Name == name {
			return m.Value
		}
	}
	return nil
}

// resolve follows a reference, which is always one within the document.
func (n *node) resolve() *node {
	reference := n.member("$ref")
	if reference == nil {
		return n
	}
	return n.root.Get(strings.Split(strings.TrimPrefix(reference.Text(), "#/"), "/")...)
}

// Target is the last name of the place that a reference leads to.
func (n *node) Target() string {
	reference := n.member("$ref").Text()
	return reference[strings.LastIndexByte(reference, '/')+1:]
}

// Get walks down by names, and returns nil if there is nothing.
func (n *node) Get(names ...string) *node {
	for _, name := range names {
		if n == nil {
			return nil
		}
		if n = n.resolve(); n != nil {
			n = n.member(name)
		}
	}
	if n == nil {
		return nil
	}
	return n.resolve()
}

// Members of an object, none of other values.
func (n *node) Members() []docsMember {
	if n == nil {
		return nil
	}
	return n.members
}

// Items of an array, none of other values.
func (n *node) Items() []*node {
	if n == nil {
		return nil
	}
	return n.items
}

// Text is a string's text, and any other scalar as JSON.
func (n *node) Text() string {
	if n == nil {
		return ""
	}
	var text string
	if err := json.Unmarshal(n.value, &text); err != nil {
		return string(n.value)
	}
	return text
}

// JSON is the value, indented.
func (n *node) JSON() (string, error) {
	indented := n.value.Clone()
	if err := indented.Indent(jsontext.WithIndent("  ")); err != nil {
		return "", fmt.Errorf("indenting an example: %w", err)
	}
	return string(indented), nil
}
