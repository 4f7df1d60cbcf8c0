package crash

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"chat-messaging/pipeline"
	"chat-messaging/queries/queriestest"
)

// delivered is the event of the n-th message of the first chat, which its first
// member has sent.
func delivered(id string, n int64, redelivered bool, changes ...func(map[string]any)) amqp.Delivery {
	fields := map[string]any{
		"id": fmt.Sprintf("1000-%d", n), "client_message_id": fmt.Sprintf("m%d", n-1), "chat_id": "1000", "sender_id": 1, "recipient_id": 2,
		"sent_at": sentAt, "body": "text", "status": statusDelivered, "reject_code": nil, "seq": n,
	}
	for _, change := range changes {
		change(fields)
	}
	body, err := json.Marshal(fields)
	if err != nil {
		panic(err) // texts and numbers
	}
	return amqp.Delivery{MessageId: id, Redelivered: redelivered, RoutingKey: "2", Body: body}
}

// The mutants break the service; what none of them breaks is broken here.
func TestTheAuditNoticesWhatIsWrongWithEvents(t *testing.T) {
	t.Parallel()
	set := func(name string, value any) func(map[string]any) {
		return func(fields map[string]any) { fields[name] = value }
	}
	one, two, three := delivered("a", 1, false), delivered("b", 2, false), delivered("c", 3, false)
	elsewhere := three
	elsewhere.RoutingKey = "4"
	tests := []struct {
		name   string
		events []amqp.Delivery
		want   []Invariant
	}{
		{"nothing is wrong", []amqp.Delivery{one, two, three}, nil},
		{"an event is missing", []amqp.Delivery{one, two}, []Invariant{I5}},
		{"an event has another content than its row", []amqp.Delivery{one, two, delivered("c", 3, false, set("body", "other"))}, []Invariant{I5}},
		{"an event comes again with another content", []amqp.Delivery{one, two, three, delivered("c", 3, true, set("body", "other"))}, []Invariant{I5, I8}},
		{"a message has two events", []amqp.Delivery{one, two, three, delivered("d", 3, false)}, []Invariant{I5}},
		{"an event has no row", []amqp.Delivery{one, two, three, delivered("d", 9, false)}, []Invariant{I6}},
		{"a rejection is of no message", []amqp.Delivery{one, two, three, delivered("d", 9, false, set("status", statusRejected))}, []Invariant{I6}},
		{"an event is of no status", []amqp.Delivery{one, two, three, delivered("d", 9, false, set("status", "sent"))}, []Invariant{I6}},
		{"events change places", []amqp.Delivery{one, three, two}, []Invariant{I7}},
		{"an event comes again without a fault", []amqp.Delivery{one, two, three, three}, []Invariant{I8}},
		{"an event comes again to a recorder that lives", []amqp.Delivery{one, two, three, delivered("c", 3, true)}, []Invariant{I8}},
		{"an event goes to a stranger", []amqp.Delivery{one, two, elsewhere}, []Invariant{I9}},
		{"an event names a stranger", []amqp.Delivery{one, two, delivered("c", 3, false, set("recipient_id", 7))}, []Invariant{I5, I9}},
		{"an event is none", []amqp.Delivery{one, two, three, {MessageId: "d", Body: []byte("?")}}, []Invariant{I5}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			script := NewScript(1, chats(2))
			rows := map[string]*row{}
			for i := range int64(3) {
				script.Add(Good, 0)
				e := script.Entries(0, script.Len())[i]
				e.Sender, e.Recipient, e.Body, e.Publishes = 1, 2, "text", 1
				rows[e.ID] = &row{ChatID: 1000, Seq: i + 1, SenderID: 1, RecipientID: 2, ID: e.ID, SentAt: sentAt, Body: "text"}
			}
			r := &Run{
				cfg: Config{Servers: &Servers{}}, ground: &ground{cfg: GroundConfig{Routing: pipeline.RoutingUser}, chats: chats(2)},
				script: script, recording: newRecording(""), window: relayWindow,
			}
			r.recording.add(test.events)
			a := &Audit{}
			r.auditEvents(a, script.Entries(0, 3), rows)
			require.Equal(t, test.want, a.Violated(), "%+v", a.Violations)
		})
	}
}

func TestTheAuditNoticesAnEventThatComesFromFarBack(t *testing.T) {
	t.Parallel()
	d := &dispatch{fresh: 2, farthest: 1001 + prefetch}
	e := &Entry{Kind: NotRelated}
	w := &eventAudit{
		Run: &Run{window: 1000, faults: 1}, Audit: &Audit{}, publishes: map[*Entry]int{e: 1}, rejections: map[*Entry]*dispatch{e: d},
	}
	w.checkDuplicates(0)
	require.Equal(t, []Invariant{I8}, w.Violated())
	require.Equal(t, 1, w.Duplicates)
	require.Equal(t, 1000+prefetch, w.DuplicateBound)
}

func TestTheAuditNoticesWhatIsWrongWithRows(t *testing.T) {
	t.Parallel()
	const insert = `INSERT INTO messages (chat_id, seq, sender_id, recipient_id, delivered_at, fingerprint, client_message_id, sent_at, body)
VALUES ($1, $2, $3, $4, now(), '', $5, $6, $7)`
	tests := []struct {
		name   string
		places []int // which message is at which position; 0: none
		handed int
		change string
		want   []Invariant
	}{
		{"nothing is wrong", []int{1, 2, 3}, 3, "", nil},
		{"a position is missing", []int{1, 0, 2, 3}, 3, "", []Invariant{I3}},
		{"a position was handed out for nothing", []int{1, 2, 3}, 4, "", []Invariant{I3}},
		{"a message is stored twice", []int{1, 2, 3, 2}, 4, "", []Invariant{I2}},
		{"messages change places", []int{1, 3, 2}, 3, "", []Invariant{I4}},
		{"a message is not what was sent", []int{1, 2, 3}, 3, "UPDATE messages SET body = 'x' WHERE seq = 2", []Invariant{I1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			db := queriestest.New(t)
			_, err := db.Exec(loseUniqueKeyStatement)
			require.NoError(t, err)
			id := queriestest.Chat(t, db, 1, 2)
			r := &Run{ground: &ground{db: db, chats: []Chat{{ID: id, Members: [2]int64{1, 2}}}}}
			r.script = NewScript(1, r.ground.chats)
			for range 3 {
				r.script.Add(Good, 0)
			}
			entries := r.script.Entries(0, 3)
			for i, place := range test.places {
				if place == 0 {
					continue
				}
				e := entries[place-1]
				_, err := db.Exec(insert, id, i+1, e.Sender, e.Recipient, e.ID, sentAt, e.Body)
				require.NoError(t, err)
			}
			_, err = db.Exec("UPDATE chats SET last_seq = $1", test.handed)
			require.NoError(t, err)
			if test.change != "" {
				_, err = db.Exec(test.change)
				require.NoError(t, err)
			}
			a := &Audit{}
			_, err = r.auditRows(t.Context(), a, entries)
			require.NoError(t, err)
			require.Equal(t, test.want, a.Violated(), "%+v", a.Violations)
		})
	}
}

func TestTheAuditNoticesWhatIsWrongInThePoisonQueue(t *testing.T) {
	t.Parallel()
	entries := []*Entry{{Kind: Broken, Payload: []byte("{")}, {Kind: Good, Payload: []byte("{}")}}
	a := &Audit{}
	copies := auditPoison(a, entries, []amqp.Delivery{{Body: []byte("{")}, {Body: []byte("{")}})
	require.True(t, copies["{"])
	require.Empty(t, a.Violated(), "a second copy is no fault")
	auditPoison(a, entries, []amqp.Delivery{{Body: []byte("{}")}})
	require.Equal(t, []Invariant{I1}, a.Violated(), "a good message is not to be poisoned")
}

func TestAnAuditTellsWhatItHasFound(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	a := &Audit{Name: "one", Messages: 7}
	require.NoError(t, a.Write(&text))
	require.Contains(t, text.String(), "I1 to I10 hold")
	require.True(t, a.Passed())
	for i := range 5 {
		a.violated(I10, "thing %d", i)
	}
	a.violated(I2, "another")
	text.Reset()
	require.NoError(t, a.Write(&text))
	require.False(t, a.Passed())
	require.Equal(t, []Invariant{I2, I10}, a.Violated())
	require.Contains(t, text.String(), "I10 IS VIOLATED, 5 times:\n    thing 0\n    thing 1\n    thing 2\n")
}
