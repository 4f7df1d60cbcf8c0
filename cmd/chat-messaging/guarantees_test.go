package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A promise whose test was renamed or removed is not proved any more; so what the
// documentation names must be there.
func TestTheDocumentedTestsAndFilesExist(t *testing.T) {
	t.Parallel()
	exist := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	require.NoError(t, filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, match := range declared.FindAllStringSubmatch(string(text), -1) {
			exist[match[1]] = true
		}
		return err
	}))
	require.Greater(t, len(exist), 200, "the search for tests finds few")

	pages, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	pages = append(pages, "../../README.md")
	named := regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w+)`")
	linked := regexp.MustCompile(`\]\(([^)#:]+)\)`)
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		names := named.FindAllStringSubmatch(string(text), -1)
		if filepath.Base(page) == "guarantees.md" {
			require.Greater(t, len(names), 50, "the search for names finds few")
		}
		for _, match := range names {
			require.True(t, exist[match[1]], "%s names %s, and there is no such test", page, match[1])
		}
		for _, match := range linked.FindAllStringSubmatch(string(text), -1) {
			require.FileExists(t, filepath.Join(filepath.Dir(page), match[1]), "a link in %s", page)
		}
	}
}

// Each promise of the table has at least one test.
func TestEveryPromiseIsProved(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/guarantees.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(text), "## What is promised")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n## ")
	promises := 0
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| promise ") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		require.Len(t, cells, 3, line)
		require.Regexp(t, "`(Test|Fuzz)", cells[2], line)
		promises++
	}
	require.Greater(t, promises, 15)
}
