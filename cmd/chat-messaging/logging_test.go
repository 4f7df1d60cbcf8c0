package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/google/go-cmp/cmp"
)

// records decodes JSON log lines.
func records(t *testing.T, out *bytes.Buffer) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(out.String()) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, record)
	}
	return all
}

func TestARecordHasTheSameKeysWhoeverLogsIt(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger := newLogger(&out, "info", "json")
	logger.Error("storing a batch", "err", errors.New("no connection"), "took", 1500*time.Millisecond)
	watermillLogger(logger).Error("storing a batch", errors.New("no connection"), watermill.LogFields{"took": 1500 * time.Millisecond})

	got := records(t, &out)
	for _, record := range got {
		at, err := time.Parse(time.RFC3339Nano, record["time"].(string))
		if err != nil || !strings.HasSuffix(record["time"].(string), "Z") || time.Since(at).Abs() > time.Minute {
			t.Errorf("time %v, %v: want now in UTC", record["time"], err)
		}
		delete(record, "time")
	}
	want := []map[string]any{
		{"level": "ERROR", "msg": "storing a batch", "err": "no connection", "took": "1.5s"},
		{"level": "ERROR", "msg": "storing a batch", "err": "no connection", "took": "1.5s", "component": "watermill"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLevels(t *testing.T) {
	t.Parallel()
	all := []string{"trace", "debug", "info", "warn", "error"}
	for i, level := range all {
		var out bytes.Buffer
		logger := newLogger(&out, level, "json")
		for _, name := range all {
			logger.Log(t.Context(), logLevel(name), name) //nolint:sloglint // the level is the message
		}
		var got []string
		for _, record := range records(t, &out) {
			got = append(got, record["msg"].(string))
			if record["level"] != strings.ToUpper(record["msg"].(string)) {
				t.Errorf("%s is logged as %s", record["msg"], record["level"])
			}
		}
		if !slices.Equal(got, all[i:]) {
			t.Errorf("LOG_LEVEL=%s writes %v, want %v", level, got, all[i:])
		}
	}
}

func TestEveryLevelAndFormatThatIsAllowedIsKnownToTheLogger(t *testing.T) {
	t.Parallel()
	specs := configSpecs()
	seen := map[slog.Level]string{}
	for _, name := range specs["LOG_LEVEL"].oneOf {
		if other, ok := seen[logLevel(name)]; ok {
			t.Errorf("%s is the same as %s", name, other)
		}
		seen[logLevel(name)] = name
	}
	for _, format := range specs["LOG_FORMAT"].oneOf {
		var out bytes.Buffer
		newLogger(&out, "info", format).Info("x")
		if isJSON := json.Valid(out.Bytes()); isJSON != (format == "json") {
			t.Errorf("LOG_FORMAT=%s writes %q", format, out.String())
		}
	}
}

func TestWatermillIsAStepQuieterThanItThinks(t *testing.T) {
	t.Parallel()
	tests := []struct {
		level string
		want  []string
	}{
		{"info", []string{"error"}},
		{"debug", []string{"error", "info"}},
		{"trace", []string{"error", "info", "debug", "trace"}},
	}
	for _, test := range tests {
		var out bytes.Buffer
		logger := watermillLogger(newLogger(&out, test.level, "json")).With(watermill.LogFields{"handler": "h"})
		logger.Error("error", errors.New("e"), nil)
		logger.Info("info", nil)
		logger.Debug("debug", nil)
		logger.Trace("trace", nil)
		var got []string
		for _, record := range records(t, &out) {
			got = append(got, record["msg"].(string))
			if record["component"] != "watermill" || record["handler"] != "h" {
				t.Errorf("record %v", record)
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("LOG_LEVEL=%s shows %v of Watermill, want %v", test.level, got, test.want)
		}
	}
}

func TestKeysInGroupsAreLeftAlone(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	newLogger(&out, "info", "json").Info("x", slog.Group("event", "error", "as it was", "time", "noon"))
	want := map[string]any{"error": "as it was", "time": "noon"}
	if diff := cmp.Diff(want, records(t, &out)[0]["event"]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
