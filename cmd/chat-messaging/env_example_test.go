package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/joho/godotenv"
)

const envExample = "../../env_example.txt"

func TestTheExampleHasEverySettingWithItsDefault(t *testing.T) {
	t.Parallel()
	inFile, err := godotenv.Read(envExample)
	if err != nil {
		t.Fatal(err)
	}
	specs := configSpecs()
	for key, s := range specs {
		value, ok := inFile[key]
		want := s.fallback
		if key == "KEY" {
			want = sampleKey
		}
		if !ok || value != want {
			t.Errorf("%s: in the file %t, as %q, want %q", key, ok, value, want)
		}
	}
	for key := range inFile {
		if _, ok := specs[key]; !ok {
			t.Errorf("%s is in the file, but there is no such setting", key)
		}
	}
}

func TestTheExampleAsItIsGivesTheDefaults(t *testing.T) {
	t.Parallel()
	got, err := loadConfig(nil, envFile{path: envExample, required: true})
	if err != nil {
		t.Fatal(err)
	}
	want, err := loadConfig([]string{"KEY=" + sampleKey}, noFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-defaults +file):\n%s", diff)
	}
}

func TestTheExampleExplainsEverySetting(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(envExample)
	if err != nil {
		t.Fatal(err)
	}
	// A paragraph is comment lines followed by the settings that they explain.
	for paragraph := range strings.SplitSeq(string(text), "\n\n") {
		comment, setting := false, false
		for line := range strings.Lines(paragraph) {
			if strings.HasPrefix(line, "#") {
				comment = true
			} else {
				setting = true
			}
			if len([]rune(line)) > 120 {
				t.Errorf("too long to read: %s", line)
			}
		}
		if setting && !comment {
			t.Errorf("not explained: %s", paragraph)
		}
	}
}

func TestTheExampleNamesTheBoundsAndTheKnownValues(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(envExample)
	if err != nil {
		t.Fatal(err)
	}
	flat := strings.Join(strings.Fields(strings.ReplaceAll(string(text), "\n#", " ")), " ")
	for key, s := range configSpecs() {
		words := append([]string{}, s.oneOf...)
		if s.max != "" && key != "BATCH_SIZE" {
			words = append(words, s.min+" to "+s.max)
		}
		for _, word := range words {
			if !strings.Contains(flat, word) {
				t.Errorf("%s: the file does not mention %q", key, word)
			}
		}
	}
}
