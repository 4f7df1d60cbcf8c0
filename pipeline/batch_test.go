package pipeline_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chat-messaging/handlers"
	"chat-messaging/pipeline"
	"chat-messaging/queries/queriestest"
)

// hundred is the size of the batches in these tests.
const hundred = 100

// These texts are what a handler of the tests stumbles over: one panics, the
// other makes the database refuse a value, which spoils the whole transaction.
const (
	panicking = "boom"
	refused   = "refuse me"
)

// said is one message of a mix.
type said struct {
	kind   string // what is wrong with it, if anything
	key    int    // which idempotency key of the mix
	sender int64
	other  bool // in the other one of the two chats
	text   string
}

// mix is a hundred messages.
type mix []said

// anyMix returns one of which half the messages are good, the others are of every
// other kind, and many repeat or contradict an earlier one.
func anyMix(random *rand.Rand) mix {
	m := make(mix, hundred)
	for i := range m {
		m[i] = said{key: i, sender: 1, other: random.IntN(3) == 0, text: "hello"}
		if !m[i].other && random.IntN(2) == 0 {
			m[i].sender = 2
		}
		switch kind := random.IntN(20); {
		case kind < 4 && i > 0: // an earlier one to the letter, good or not
			m[i] = m[random.IntN(i)]
		case kind < 6 && i > 0: // another text under an earlier one's key
			m[i] = m[random.IntN(i)]
			m[i].text = "something else"
		case kind < 12:
			kinds := []string{"no text", "no chat", "stranger", "no JSON", "nobody", panicking, refused}
			m[i].kind = kinds[random.IntN(len(kinds))]
		}
	}
	return m
}

// sequentialOracle knows what must become of messages, one after the other.
type sequentialOracle struct {
	stored map[string]string // text by sender and key
	seq    map[bool]int64    // last position by chat
}

// judge returns the outcome of a message, with its position if it is accepted.
func (o *sequentialOracle) judge(round int, s said) string {
	switch s.kind {
	case "no JSON":
		return "poisoned malformed_json"
	case "nobody":
		return "poisoned no_sender"
	case "no text":
		return "rejected invalid_body"
	case "no chat":
		return "rejected unknown_chat"
	case "stranger":
		return "rejected not_related"
	case panicking:
		return "poisoned panic"
	case refused:
		return "poisoned data_error"
	}
	key := fmt.Sprint(round, s.sender, "/", s.key)
	switch text, known := o.stored[key]; {
	case !known:
		o.stored[key] = s.text
		o.seq[s.other]++
		return "accepted"
	case text == s.text:
		return "repeated"
	default:
		return "rejected duplicated"
	}
}

func isPoisoned(outcome string) bool { return strings.HasPrefix(outcome, "poisoned ") }

// station is one service and what it has to say.
type station struct {
	*service
	events <-chan event
	chats  map[bool]int64
	mu     sync.Mutex
	sizes  []int // of the batches that the handlers saw
	sent   int
}

func newStation(t *testing.T, batchSize int, linger time.Duration) *station {
	t.Helper()
	b := newBench(t)
	st := &station{events: b.dispatcher(), chats: map[bool]int64{
		false: queriestest.Chat(t, b.db, 1, 2), true: queriestest.Chat(t, b.db, 1, 3),
	}}
	st.service = b.serve(func(c *pipeline.Config) {
		c.BatchSize, c.BatchLinger, c.Prefetch = batchSize, linger, 2*hundred
		c.BeforePersist = append(c.BeforePersist, st.note, handlers.Each(stumble))
	})
	return st
}

func (st *station) note(_ context.Context, b *handlers.Batch) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.sizes = append(st.sizes, len(b.Items))
	return nil
}

// stumble is a handler with faults.
func stumble(ctx context.Context, b *handlers.Batch, i *handlers.Item) error {
	switch i.Message.Body {
	case panicking:
		panic("a handler with a fault")
	case refused:
		_, err := b.Tx.ExecContext(ctx, "SELECT 1 / 0")
		return err
	}
	return nil
}

// payload is the message as it is sent in this station's chats.
func (st *station) payload(round int, s said) string {
	chat, from, to, text := st.chats[s.other], s.sender, int64(2), s.text
	switch {
	case s.other:
		to = 3
	case from == 2:
		to = 1
	}
	switch s.kind {
	case "no JSON":
		return fmt.Sprint("no JSON ", round, " ", s.key)
	case "nobody":
		return fmt.Sprintf(`{"body":"%d %d"}`, round, s.key)
	case "no text":
		text = " "
	case "no chat":
		chat++
	case "stranger":
		from = 9
	case panicking, refused:
		text = s.kind
	}
	return say(chat, from, to, fmt.Sprint(round, " ", s.key), text)
}

// send publishes a mix.
func (st *station) send(round int, m mix) {
	bodies := make([]string, len(m))
	for i, s := range m {
		bodies[i] = st.payload(round, s)
	}
	st.mu.Lock()
	st.sizes = nil
	st.mu.Unlock()
	st.b.send(bodies...)
	st.sent += len(m)
}

// outcome returns what became of the mix that was sent: the events in their order,
// and the codes of the copies in the poison queue.
func (st *station) outcome(t *testing.T, want []string) (events, poisoned []string) {
	t.Helper()
	parked := 0
	for _, outcome := range want {
		if isPoisoned(outcome) {
			parked++
		}
	}
	answers := len(want) - parked
	st.awaitOutcomes(t, st.sent)
	for _, e := range next(t, st.events, answers) {
		code := ""
		if e.RejectCode != nil {
			code = *e.RejectCode
		}
		seq := int64(0)
		if e.Seq != nil {
			seq = *e.Seq
		}
		events = append(events, fmt.Sprint(e.Status, " ", code, " ", e.SenderID, " ", *e.ClientMessageID, " ", seq, " ", *e.Body))
	}
	for _, d := range st.b.poisoned(parked) {
		var message struct {
			ID string `json:"client_message_id"`
		}
		body := string(d.Body)
		if json.Unmarshal(d.Body, &message) == nil && message.ID != "" {
			body = message.ID
		}
		poisoned = append(poisoned, fmt.Sprint(d.Headers[pipeline.HeaderPoisonCode], " ", body))
	}
	slices.Sort(poisoned) // copies are made side by side
	return events, poisoned
}

// rows are what is stored, chat by chat in the order of the positions.
func (st *station) rows(t *testing.T) []string {
	t.Helper()
	var list []string
	for _, other := range []bool{false, true} {
		var rows []string
		require.NoError(t, st.b.db.Select(&rows, `
SELECT concat_ws(' ', seq, sender_id, recipient_id, client_message_id, sent_at, body)
FROM messages WHERE chat_id = $1 ORDER BY seq`, st.chats[other]))
		list = append(append(list, strconv.FormatBool(other)), rows...)
	}
	return list
}

// pair is two services that process the same mixes, one in batches of a hundred and the
// other message by message.
type pair struct {
	together, alone *station
	oracle          sequentialOracle
	round           int
}

func newPair(t *testing.T) *pair {
	t.Helper()
	return &pair{
		together: newStation(t, hundred, patience), alone: newStation(t, 1, 0),
		oracle: sequentialOracle{stored: map[string]string{}, seq: map[bool]int64{}},
	}
}

// agree runs a mix through both and holds them against each other and the oracle.
func (p *pair) agree(t *testing.T, m mix) {
	t.Helper()
	p.round++
	want := make([]string, len(m))
	for i, s := range m {
		want[i] = p.oracle.judge(p.round, s)
	}
	p.together.send(p.round, m)
	p.alone.send(p.round, m)
	events, poisoned := p.together.outcome(t, want)
	require.Equal(t, hundred, p.together.sizes[0], "they were to share a batch")
	aloneEvents, alonePoisoned := p.alone.outcome(t, want)
	require.Equal(t, aloneEvents, events, "the events, their positions and their order")
	require.Equal(t, alonePoisoned, poisoned, "the poison queue")

	for i, position := 0, 0; i < len(m); i++ {
		if isPoisoned(want[i]) {
			continue
		}
		status := map[string]string{"accepted": "delivered", "repeated": "delivered"}[want[i]]
		if status == "" {
			status = want[i]
		}
		require.Contains(t, events[position], status, "message %d", i)
		position++
	}
	rows := p.together.rows(t)
	require.Equal(t, p.alone.rows(t), rows, "the rows")
	require.Len(t, rows, 2+int(p.oracle.seq[false]+p.oracle.seq[true]))
	for _, other := range []bool{false, true} {
		var gapless bool
		require.NoError(t, p.together.b.db.Get(&gapless, `
SELECT last_seq = $2 AND last_seq = (SELECT count(*) FROM messages WHERE chat_id = $1 AND seq BETWEEN 1 AND $2)
FROM chats WHERE id = $1`, p.together.chats[other], p.oracle.seq[other]))
		require.True(t, gapless)
	}
}

// A batch is only a faster way of taking its messages one by one: whatever it is
// made of, the outcomes, the positions, the rows and the order are the same.
func TestABatchIsItsMessagesOneByOne(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 4 {
		p.agree(t, anyMix(random))
	}
}

// However many of a hundred are to blame, and wherever they are, the others are
// stored in their order.
func TestTheBadOnesOfAHundredDoNotFailTheOthers(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	all := make([]int, hundred)
	for i := range all {
		all[i] = i + 1
	}
	for _, c := range []struct {
		name string
		bad  []int
	}{
		{"the first", all[:1]},
		{"the fiftieth", all[49:50]},
		{"the last", all[99:]},
		{"the first and the last", []int{1, hundred}},
		{"the first half", all[:50]},
		{"all", all},
	} {
		for _, kind := range []string{panicking, refused} {
			t.Run(c.name+" "+kind, func(t *testing.T) {
				m := make(mix, hundred)
				for i := range m {
					m[i] = said{key: i, sender: 1, text: "hello"}
				}
				for _, position := range c.bad {
					m[position-1].kind = kind
				}
				p.agree(t, m)
			})
		}
	}
}
