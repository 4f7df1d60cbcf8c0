package http_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	rest "chat-messaging/http"
	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

// working is an instance that does everything.
func working() queries.Report {
	return queries.Report{
		Host: "one", PID: 1, Version: "v1", Components: []string{"pipeline", "relay", "http"},
		Consumer: "consuming", Relay: queries.RelayLeading, InHand: 5, Window: 500, BatchLimit: 250,
	}
}

func source(db *queries.DB) rest.StatusSource {
	return rest.StatusSource{DB: db, InputQueue: "q", Queues: func(context.Context) (input, poison rest.Queue, err error) {
		return rest.Queue{Name: "q", Messages: 3, Consumers: 1}, rest.Queue{Name: "q.poison", Messages: 2}, nil
	}}
}

// beat stores a heartbeat as changed, and one before that.
func beat(t *testing.T, db *queries.DB, change ...func(*queries.Report)) {
	t.Helper()
	id, report := uuid.New(), working()
	require.NoError(t, db.Heartbeat(t.Context(), id, report))
	for _, fn := range change {
		fn(&report)
	}
	require.NoError(t, db.Heartbeat(t.Context(), id, report))
}

func TestStatusAddsUpWhatInstancesReport(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	id := uuid.New()
	before := working()
	require.NoError(t, db.Heartbeat(t.Context(), id, before))
	after := working()
	after.Totals = queries.Totals{Accepted: 200, Rejected: 20, Poisoned: 2, Dispatched: 220, Batches: 4, BatchMessages: 222}
	require.NoError(t, db.Heartbeat(t.Context(), id, after))
	_, err := db.Exec(`UPDATE instances SET earlier_at = seen_at - interval '2 seconds'`)
	require.NoError(t, err)

	s := rest.ReadStatus(t.Context(), source(db))
	require.True(t, s.Healthy, s.Reasons)
	require.Empty(t, s.Reasons)
	require.Empty(t, s.Notes)
	require.InDelta(t, 111, s.Rates.In, .01)
	require.InDelta(t, 100, s.Rates.Accepted, .01)
	require.InDelta(t, 10, s.Rates.Rejected, .01)
	require.InDelta(t, 1, s.Rates.Poisoned, .01)
	require.InDelta(t, 110, s.Rates.Dispatched, .01)
	require.InDelta(t, 55.5, s.Rates.Batch, .01)
	require.Equal(t, 5, s.InHand)
	require.Equal(t, 500, s.Window)
	require.Equal(t, 250, s.BatchLimit)
	require.Equal(t, id.String(), *s.Leader)
	require.Equal(t, rest.Queue{Name: "q", Messages: 3, Consumers: 1}, *s.Input)
	require.Equal(t, 2, s.Poison.Messages)
	require.Equal(t, rest.Outbox{}, *s.Outbox)

	beat(t, db, func(r *queries.Report) {
		r.Host, r.Version, r.Consumer, r.Relay, r.InHand = "two", "v2", "standby", queries.RelayStandby, 0
	})
	s = rest.ReadStatus(t.Context(), source(db))
	require.True(t, s.Healthy, s.Reasons)
	require.Len(t, s.Instances, 2)
	require.Equal(t, []string{"the instances are of 2 different builds"}, s.Notes)
	require.InDelta(t, 100, s.Rates.Accepted, .01)
	require.Equal(t, 500, s.Window, "one instance consumes")
}

func TestStatusJudges(t *testing.T) {
	t.Parallel()
	pause := func(t *testing.T, db *queries.DB) {
		t.Helper()
		_, _, err := db.SetConsumption(t.Context(), "q", true, queries.Operator{Who: "ann", Via: "cli"}, "a migration")
		require.NoError(t, err)
	}
	for name, c := range map[string]struct {
		arrange      func(t *testing.T, db *queries.DB)
		reason, note string // the beginnings; "" is none
		brokenQueues bool
	}{
		"nothing runs": {arrange: func(*testing.T, *queries.DB) {}, reason: "no instance has been heard of"},
		"nothing consumes": {arrange: func(t *testing.T, db *queries.DB) {
			beat(t, db, func(r *queries.Report) { r.Consumer = "waiting" })
		}, reason: "no instance consumes q"},
		"nothing dispatches": {arrange: func(t *testing.T, db *queries.DB) {
			beat(t, db, func(r *queries.Report) { r.Relay = queries.RelayStandby })
		}, reason: "no relay dispatches"},
		"an instance is not ready": {arrange: func(t *testing.T, db *queries.DB) {
			beat(t, db, func(r *queries.Report) { r.Problems = map[string]string{"broker": "connection refused"} })
		}, reason: "one/1: broker: connection refused"},
		"events are stuck": {arrange: func(t *testing.T, db *queries.DB) {
			beat(t, db)
			_, err := db.Exec(`INSERT INTO outbox (event_id, user_id, name, payload, created_at)
VALUES (gen_random_uuid(), 1, 'x', '', now() - interval '5 minutes')`)
			require.NoError(t, err)
		}, reason: "the oldest event has been waiting in the outbox for 5m"},
		"the broker is away": {arrange: func(t *testing.T, db *queries.DB) { beat(t, db) }, brokenQueues: true, reason: "the broker: connection refused"},
		"paused": {arrange: func(t *testing.T, db *queries.DB) {
			pause(t, db)
			beat(t, db, func(r *queries.Report) { r.Consumer = "paused" })
		}, note: "consumption is paused by ann: a migration"},
		"one has died": {arrange: func(t *testing.T, db *queries.DB) {
			beat(t, db, func(r *queries.Report) { r.Host = "two" })
			_, err := db.Exec(`UPDATE instances SET seen_at = now() - interval '40 seconds'`)
			require.NoError(t, err)
			beat(t, db)
		}, note: "two/1 has been silent for 40s"},
		"all have died": {arrange: func(t *testing.T, db *queries.DB) {
			beat(t, db)
			_, err := db.Exec(`UPDATE instances SET seen_at = now() - interval '40 seconds'`)
			require.NoError(t, err)
		}, reason: "no instance has been heard of", note: "one/1 has been silent"},
		"the schema is missing": {arrange: func(t *testing.T, db *queries.DB) {
			_, err := db.Exec(`DROP TABLE consumption`)
			require.NoError(t, err)
		}, reason: "the database: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := queriestest.New(t)
			c.arrange(t, db)
			from := source(db)
			if c.brokenQueues {
				from.Queues = func(context.Context) (input, poison rest.Queue, err error) {
					return input, poison, errors.New("connection refused")
				}
			}
			s := rest.ReadStatus(t.Context(), from)
			require.Equal(t, c.reason == "", s.Healthy)
			starts(t, s.Reasons, c.reason)
			starts(t, s.Notes, c.note)
		})
	}
}

// starts demands one text with that beginning, or none.
func starts(t *testing.T, texts []string, with string) {
	t.Helper()
	if with == "" {
		require.Empty(t, texts)
		return
	}
	require.Len(t, texts, 1)
	require.True(t, strings.HasPrefix(texts[0], with), texts[0])
}

func TestAdminStatus(t *testing.T) {
	t.Parallel()
	b := start(t, operated)
	a := b.ask(t, viewerSecret, http.MethodGet, "/admin/status", "")
	require.Equal(t, http.StatusOK, a.status, "%s", a.body)
	var s rest.Status
	a.decode(t, &s)
	require.False(t, s.Healthy)
	beat(t, b.db, func(r *queries.Report) { r.Totals.Accepted = 3 })
	a = b.ask(t, viewerSecret, http.MethodGet, "/admin/status", "")
	require.Equal(t, http.StatusOK, a.status)
	a.decode(t, &s)
	require.True(t, s.Healthy, s.Reasons)
	require.Len(t, s.Instances, 1)
	require.Positive(t, s.Rates.Accepted)

	_, err := b.db.Exec(`DROP TABLE instances`)
	require.NoError(t, err)
	a = b.ask(t, viewerSecret, http.MethodGet, "/admin/status", "")
	require.Equal(t, http.StatusOK, a.status, "what is broken has a status too")
}

func TestAdminConsumption(t *testing.T) {
	t.Parallel()
	b := start(t, operated)
	read := func(a answer) (c rest.Consumption) {
		t.Helper()
		require.Equal(t, http.StatusOK, a.status, "%s", a.body)
		a.decode(t, &c)
		return c
	}
	put := func(body string) answer { return b.ask(t, operatorSecret, http.MethodPut, "/admin/consumption", body) }

	require.Equal(t, rest.Consumption{Queue: "q"}, read(b.ask(t, viewerSecret, http.MethodGet, "/admin/consumption", "")))
	paused := read(put(`{"paused":true,"reason":" moving the database "}`))
	require.True(t, paused.Paused)
	require.Equal(t, "otto", paused.ChangedBy)
	require.Equal(t, "moving the database", paused.Reason)
	require.NotNil(t, paused.ChangedAt)
	require.Equal(t, paused, read(put(`{"paused":true,"reason":"again"}`)))
	require.Equal(t, paused, read(b.ask(t, viewerSecret, http.MethodGet, "/admin/consumption", "")))
	require.False(t, read(put(`{"paused":false}`)).Paused)

	for body, field := range map[string]string{
		`{}`: "paused", `{"paused":null,"reason":"x"}`: "paused", `{"paused":true}`: "reason", `{"paused":true,"reason":"  "}`: "reason",
		`{"paused":false,"reason":"` + strings.Repeat("x", 501) + `"}`: "reason", `{"paused":true,"reason":"a\u0000b"}`: "reason",
	} {
		refused := put(body)
		require.Equal(t, http.StatusUnprocessableEntity, refused.status, body)
		require.Equal(t, field, refused.problem(t).Errors[0].Field, body)
	}
	records, _, err := b.db.ListAudit(t.Context(), queries.AuditFilter{})
	require.NoError(t, err)
	require.Len(t, records, 3)
	require.Equal(t, "rest", records[0].Via)
}
