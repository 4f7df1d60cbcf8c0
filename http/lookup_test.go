package http_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	rest "chat-messaging/http"
	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

// testEvent is the id of every event of the tests, and testEventKey its key.
const testEvent = "Xtvwqkl-Qt-7xHJXySE"

var testEventKey = uuid.MustParse("5edbf0aa-497e-42df-bbc4-7257c9210000")

func TestAdminMessages(t *testing.T) {
	t.Parallel()
	b := start(t, operated)
	one, two := queriestest.Chat(t, b.db, 1, 2), queriestest.Chat(t, b.db, 1, 3)
	fill(t, b.db, one, 9) // 2 sends the odd positions, 1 the even ones
	fill(t, b.db, two, 4)
	audited := func() int {
		records, _, err := b.db.ListAudit(t.Context(), queries.AuditFilter{Action: "messages.body"})
		require.NoError(t, err)
		return len(records)
	}

	for query, want := range map[string]string{
		fmt.Sprintf("chat_id=%d&limit=2", one):                                 fmt.Sprintf("%d-8 %d-9", one, one),
		"sender_id=2&limit=3":                                                  fmt.Sprintf("%d-9 %d-7 %d-5", one, one, one),
		fmt.Sprintf("sender_id=1&chat_id=%d", two):                             fmt.Sprintf("%d-4 %d-2", two, two),
		fmt.Sprintf("sender_id=1&client_message_id=%d-4", one):                 fmt.Sprintf("%d-4", one),
		fmt.Sprintf("chat_id=%d&client_message_id=%d-5", one, one):             fmt.Sprintf("%d-5", one),
		fmt.Sprintf("sender_id=1&chat_id=%d&client_message_id=%d-4", two, one): "",
		"sender_id=1&client_message_id=nothing":                                "",
		"chat_id=7":                                                            "",
		"chat_id=7&client_message_id=x":                                        "",
	} {
		a := b.ask(t, viewerSecret, http.MethodGet, "/admin/messages?"+query, "")
		require.Equal(t, http.StatusOK, a.status, "%s: %s", query, a.body)
		var answer rest.Found
		a.decode(t, &answer)
		var ids []string
		for _, m := range answer.Messages {
			require.Nil(t, m.Body)
			require.Positive(t, m.BodyBytes)
			ids = append(ids, m.ID)
		}
		require.Equal(t, want, strings.Join(ids, " "), query)
	}
	require.Zero(t, audited())
	poison(t, b.db, 1, one, "lost")
	poison(t, b.db, 1, one, "other")
	for query, want := range map[string]int{
		"sender_id=1&client_message_id=lost": 1, "sender_id=2&client_message_id=lost": 0, "sender_id=1": 0,
		fmt.Sprintf("chat_id=%d&client_message_id=lost", one): 1, fmt.Sprintf("chat_id=%d&client_message_id=lost", two): 0,
	} {
		a := b.ask(t, viewerSecret, http.MethodGet, "/admin/messages?"+query, "")
		require.Equal(t, http.StatusOK, a.status, "%s: %s", query, a.body)
		var answer rest.Found
		a.decode(t, &answer)
		require.Len(t, answer.Poisoned, want, query)
		if want > 0 {
			require.Equal(t, "data_error", answer.Poisoned[0].Reason)
			require.Equal(t, queries.PoisonWaiting, answer.Poisoned[0].State)
		}
	}
	for query, field := range map[string]string{
		"": "sender_id", "client_message_id=x": "sender_id", "chat_id=0": "chat_id", "sender_id=x": "sender_id",
		"chat_id=1&limit=1000": "limit", "chat_id=1&body=yes": "body",
	} {
		refused := b.ask(t, viewerSecret, http.MethodGet, "/admin/messages?"+query, "")
		require.Equal(t, http.StatusUnprocessableEntity, refused.status, query)
		require.Equal(t, field, refused.problem(t).Errors[0].Field, query)
	}

	show := func(query string) (p rest.MessagePath) {
		t.Helper()
		a := b.ask(t, viewerSecret, http.MethodGet, fmt.Sprintf("/admin/messages/%d-5?%s", one, query), "")
		require.Equal(t, http.StatusOK, a.status, "%s", a.body)
		a.decode(t, &p)
		return p
	}
	p := show("around=2")
	require.EqualValues(t, 4, p.Before[0].Seq)
	require.EqualValues(t, 6, p.After[0].Seq)
	require.Equal(t, []int64{1, 2}, p.Members)
	require.EqualValues(t, 9, p.LastSeq)
	require.Equal(t, rest.Decision{Permit: true, Policy: "members-send"}, p.Decision)
	require.Equal(t, rest.Event{ID: testEvent, State: rest.EventDispatched}, p.Event)
	require.Nil(t, p.Message.Body)

	_, err := b.db.Exec(`INSERT INTO outbox (event_id, user_id, name, payload) VALUES ($1, 1, 'x', '')`, testEventKey)
	require.NoError(t, err)
	p = show("body=true&around=0")
	require.Equal(t, rest.EventWaiting, p.Event.State)
	require.NotNil(t, p.Event.WaitingSince)
	require.Equal(t, "message 5", *p.Message.Body)
	require.Empty(t, p.Before)
	require.Equal(t, 1, audited())
	b.ask(t, viewerSecret, http.MethodGet, "/admin/messages?sender_id=1&body=true", "")
	require.Equal(t, 2, audited())

	for _, id := range []string{fmt.Sprintf("%d-10", one), "7-1", fmt.Sprintf("%d-0", one), "9999999999999999999-1"} {
		require.Equal(t, http.StatusNotFound, b.ask(t, viewerSecret, http.MethodGet, "/admin/messages/"+id+"?body=true", "").status, id)
	}
	require.Equal(t, 2, audited(), "nothing was shown")
}

// A body that cannot be audited is not shown.
func TestWithoutAnAuditThereAreNoBodies(t *testing.T) {
	t.Parallel()
	b := start(t, operated)
	chat := queriestest.Chat(t, b.db, 1, 2)
	fill(t, b.db, chat, 1)
	_, err := b.db.Exec(`DROP TABLE audit`)
	require.NoError(t, err)
	for _, path := range []string{fmt.Sprintf("/admin/messages/%d-1", chat), fmt.Sprintf("/admin/messages?chat_id=%d&x=", chat)} {
		separator := "?"
		if strings.Contains(path, "?") {
			separator = "&"
		}
		require.Equal(t, http.StatusOK, b.ask(t, viewerSecret, http.MethodGet, path, "").status)
		a := b.ask(t, viewerSecret, http.MethodGet, path+separator+"body=true", "")
		require.NotEqual(t, http.StatusOK, a.status)
		require.NotContains(t, string(a.body), "message 1")
	}
}

// poison stores a poisoned message of the sender.
func poison(t *testing.T, db *queries.DB, sender, chat int64, clientID string) {
	t.Helper()
	_, err := db.CollectPoisoned(t.Context(), []queries.NewPoisoned{{
		PoisonID: uuid.New(), Code: "data_error", Stage: "persist", Queue: "q", FirstSeen: noon, LastSeen: noon,
		ChatID: fmt.Sprint(chat), SenderID: sender, ClientMessageID: clientID,
		Properties: []byte(`{}`), Headers: []byte(`{}`), Body: []byte(clientID),
	}})
	require.NoError(t, err)
}
