package queries_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"chat-messaging/queries"
)

var filterNow = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func TestPoisonFilterIsReadFromOneLine(t *testing.T) {
	t.Parallel()
	id := uuid.MustParse("6f2c1c1e-6a5e-4b0e-9d4d-0a2f6b7a1c11")
	for line, want := range map[string]queries.PoisonFilter{
		"":                             {},
		"reason:empty":                 {Reasons: []string{"empty"}},
		"reason:empty,loop reason:big": {Reasons: []string{"empty", "loop", "big"}},
		"stage:validate state:waiting": {Stages: []string{"validate"}, States: []queries.PoisonState{queries.PoisonWaiting}},
		"state:any":                    {States: queries.PoisonStates},
		"chat:007 sender:5 limit:10":   {Chat: "007", Sender: 5, Limit: 10},
		"since:2h until:2026-03-05":    {Since: filterNow.Add(-2 * time.Hour), Until: time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC)},
		"since:7d":                     {Since: filterNow.Add(-7 * 24 * time.Hour)},
		"since:2026-03-01T10:00:00+02:00": {
			Since: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC),
		},
		`contains:"two words"`:   {Contains: "two words"},
		`contains:"a \"b\" \\"`:  {Contains: `a "b" \`},
		"free text chat:1":       {Contains: "free text", Chat: "1"},
		"http://example.org":     {},
		"id:3,4," + id.String():  {IDs: []int64{3, 4}, PoisonIDs: []uuid.UUID{id}},
		"  reason:empty\t\n x  ": {Reasons: []string{"empty"}, Contains: "x"},
	} {
		got, err := queries.ParsePoisonFilterText(line, filterNow)
		if line == "http://example.org" {
			require.Error(t, err, "an unknown field is not taken for text")
			continue
		}
		require.NoError(t, err, line)
		require.Empty(t, cmp.Diff(want, got), line)

		again, err := queries.ParsePoisonFilterText(got.String(), filterNow)
		require.NoError(t, err, got.String())
		require.Empty(t, cmp.Diff(got, again), "written as %q", got.String())
	}
}

func TestPoisonFilterSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for line, field := range map[string]string{
		"colour:red":                        "colour",
		"sender:0":                          "sender",
		"sender:bob":                        "sender",
		"since:soon":                        "since",
		"since:-2h":                         "since",
		"limit:0":                           "limit",
		"limit:99999999999":                 "limit",
		"id:x":                              "id",
		"state:lost":                        "state",
		"chat:1 chat:2":                     "chat",
		"since:2026-03-02 until:2026-03-02": "until",
		`contains:"open`:                    "contains",
		`"open`:                             "contains",
	} {
		_, err := queries.ParsePoisonFilterText(line, filterNow)
		var fault *queries.FilterError
		if assert.ErrorAs(t, err, &fault, line) {
			assert.Equal(t, field, fault.Field, line)
			assert.NotEmpty(t, fault.Reason, line)
		}
	}
}
