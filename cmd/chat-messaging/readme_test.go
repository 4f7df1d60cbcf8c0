package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// The README's tables are what people read first, so they may not fall behind.
func TestTheReadmeNamesEverySettingAndCommand(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	for name := range configSpecs() {
		require.Contains(t, string(text), "`"+name+"`", "a setting is missing in the README's table")
	}
	root, _ := newRoot(nil)
	for _, verb := range root.Commands() {
		if verb.Name() == "help" || verb.Name() == "completion" {
			continue
		}
		require.Contains(t, string(text), program+" "+verb.Name(), "a command is missing in the README's table")
	}
}
