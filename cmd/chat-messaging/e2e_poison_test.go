package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"chat-messaging/pipeline"
	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

// poisonReasons are four ways to be poisoned, each with its code.
var poisonReasons = map[string]string{
	"malformed_json": `{"chat_id":"%d","sender_id":%d,"client_message_id":"%d","body":"cut o`,
	"no_sender":      `{"chat_id":"%d","sender":%d,"client_message_id":"%d","body":"x"}`,
	"bad_sender":     `{"chat_id":"%d","sender_id":-%d,"client_message_id":"%d","body":"x"}`,
	"loop":           `{"chat_id":"%d","sender_id":%d,"client_message_id":"%d","body":"x","status":"delivered"}`,
}

// poisoning is a corner whose table is full of messages that the real pipeline has
// poisoned.
type poisoning struct {
	*corner
	each int // messages of each reason
}

const poisonedChats = 300

// newPoisoning sends the messages in the order of their client_message_id and
// waits until they are collected.
func newPoisoning(t testing.TB, n int) *poisoning {
	t.Helper()
	p := &poisoning{corner: newCorner(t, "PREFETCH=500", "BATCH_SIZE=250"), each: n / len(poisonReasons)}
	var bodies []string
	for i := range p.each {
		for _, format := range poisonReasons {
			bodies = append(bodies, fmt.Sprintf(format, i%poisonedChats+1, i%7+1, i))
		}
	}
	app := p.run()
	p.send(bodies...)
	eventually(t, "messages are not collected", func() bool { return p.count("poisoned") == len(bodies) })
	app.drain()
	require.Zero(t, p.left(p.config().PoisonQueueName))
	return p
}

// tool runs a verb of poison and reads its JSON.
func (p *poisoning) tool(into any, args ...string) int {
	p.t.Helper()
	got := p.execute(context.Background(), "", append([]string{"poison", "--as", "ann"}, args...)...)
	if into != nil {
		require.NoError(p.t, json.Unmarshal([]byte(got.stdout), into), "%v: %s", args, got.stderr)
	}
	p.t.Logf("%v: %d %s", args, got.code, got.stderr)
	return got.code
}

// replays is everything that comes into the input queue, in its order.
type replays struct {
	mu   sync.Mutex
	list []amqp.Delivery
}

// intercept takes the place of the pipeline.
func (p *poisoning) intercept() (r *replays, stop func()) {
	p.t.Helper()
	conn, err := amqp.Dial(p.broker)
	require.NoError(p.t, err)
	ch, err := conn.Channel()
	require.NoError(p.t, err)
	deliveries, err := ch.Consume(p.config().DatabaseQueueName, "", true, false, false, false, nil)
	require.NoError(p.t, err)
	r = &replays{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for d := range deliveries {
			r.mu.Lock()
			r.list = append(r.list, d)
			r.mu.Unlock()
		}
	}()
	return r, sync.OnceFunc(func() { _ = conn.Close(); <-done })
}

// distinct returns the first of each replay, and how many came again.
func (r *replays) distinct() (first []amqp.Delivery, again int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := map[string]bool{}
	for _, d := range r.list {
		key := fmt.Sprint(d.Headers[pipeline.HeaderPoisonID], d.Headers[pipeline.HeaderReplayCount])
		if seen[key] {
			again++
			continue
		}
		seen[key] = true
		first = append(first, d)
	}
	return first, again
}

// requireInOrder makes sure that they are n messages of one reason, each chat's
// in the order in which they were sent.
func requireInOrder(t testing.TB, list []amqp.Delivery, n int, reason string) {
	t.Helper()
	require.Len(t, list, n)
	last, ids := map[string]int{}, map[any]bool{}
	for _, d := range list {
		var chat, sender, number int
		_, err := fmt.Sscanf(string(d.Body), poisonReasons[reason], &chat, &sender, &number)
		require.NoError(t, err, "%s is not of %s", d.Body, reason)
		require.Greater(t, number+1, last[fmt.Sprint(chat)], "chat %d", chat)
		last[fmt.Sprint(chat)] = number + 1
		ids[d.Headers[pipeline.HeaderPoisonID]] = true
		require.Equal(t, int32(1), d.Headers[pipeline.HeaderReplayCount])
	}
	require.Len(t, ids, n)
}

// POISON_MESSAGES makes the run longer.
func TestPoisonedMessagesAreReplayedOnceWhateverHappens(t *testing.T) {
	t.Parallel()
	p := newPoisoning(t, scale(t, "POISON_MESSAGES", 2000))
	var groups []queries.PoisonGroup
	require.Equal(t, exitOK, p.tool(&groups, "groups", "-o", "json"))
	require.Len(t, groups, len(poisonReasons))
	for _, g := range groups {
		require.Equal(t, int64(p.each), g.Entries, g.Code)
	}
	var plan planned
	require.Equal(t, exitOK, p.tool(&plan, "replay", "reason:malformed_json", "--dry-run", "-o", "json"))
	require.Equal(t, int64(p.each), plan.Preview.Count)
	require.Equal(t, int64(min(p.each, poisonedChats)), plan.Preview.Chats)
	require.Equal(t, exitNothing, p.tool(nil, "replay", "--chat", "999999", "--yes"))
	require.Equal(t, 4*p.each, p.count("poisoned WHERE state = 'waiting'"), "a dry run changes nothing")

	t.Run("a worker that is killed half-way", p.killedHalfWay)
	t.Run("two operators at once", p.twoOperators)
	t.Run("what comes back is the same entry", p.comesBack)

	var records []queries.AuditRecord
	require.Equal(t, exitOK, p.tool(&records, "audit", "--action", "poison.", "-o", "json", "--limit", "100"))
	told := map[string]int{}
	affected := map[queries.AuditResult]int64{}
	for _, r := range records {
		require.Equal(t, "ann", r.Who)
		told[r.Action+" "+string(r.Result)]++
		affected[r.Result] += r.Affected
	}
	require.Equal(t, int64(3*p.each), affected[queries.AuditDone]+affected[queries.AuditPartly]+affected[queries.AuditFailed], "%v", told)
	require.GreaterOrEqual(t, told["poison.replay started"], 3)
}

func (p *poisoning) killedHalfWay(t *testing.T) {
	r, stop := p.intercept()
	defer stop()
	began := time.Now()
	worker := start(t, append(slices.Clone(p.environ), "COMPONENTS=poison"), "serve")
	job, err := p.db.CreateJob(t.Context(), queries.NewJob{
		Kind: queries.JobReplay, Filter: queries.PoisonFilter{Reasons: []string{"malformed_json"}}, Rate: 500,
		By: queries.Operator{Who: "ann", Via: "rest"},
	})
	require.NoError(t, err)
	eventually(t, "the job does not begin", func() bool { return p.job(job.ID).Done > int64(p.each/4) })
	worker.kill()
	half := p.job(job.ID)
	require.Equal(t, queries.JobRunning, half.State)
	require.Less(t, half.Done, int64(p.each))
	t.Logf("killed with %d of %d done", half.Done, half.Expected)
	// Nobody works now: whoever watches does.
	require.Equal(t, exitOK, p.tool(nil, "jobs", "watch", fmt.Sprint(job.ID)))
	first, again := r.distinct()
	eventually(t, "replays are missing", func() bool { first, again = r.distinct(); return len(first) == p.each })
	requireInOrder(t, first, p.each, "malformed_json")
	require.LessOrEqual(t, again, 200, "at most what was under way is sent again, under its attempt")
	require.Equal(t, p.each, p.count("poisoned WHERE state = 'replayed' AND code = 'malformed_json'"))
	require.Zero(t, p.count("poisoned WHERE state = 'replaying'"))
	t.Logf("%d replayed in %s, %d sent twice", p.each, time.Since(began).Round(time.Millisecond), again)
}

func (p *poisoning) job(id int64) *queries.Job {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	job, err := p.db.Job(ctx, id)
	require.NoError(p.t, err)
	return job
}

func (p *poisoning) twoOperators(t *testing.T) {
	r, stop := p.intercept()
	defer stop()
	codes := make([]int, 2)
	var both sync.WaitGroup
	for i := range codes {
		both.Go(func() { codes[i] = p.tool(nil, "replay", "--reason", "no_sender", "--yes") })
	}
	both.Wait()
	require.NotContains(t, codes, exitUsage)
	first, again := r.distinct()
	eventually(t, "replays are missing", func() bool { first, again = r.distinct(); return len(first) == p.each })
	require.Zero(t, again, "nothing is sent twice")
	if codes[0] == exitOK || codes[1] == exitOK {
		requireInOrder(t, first, p.each, "no_sender") // the two have not shared the work
	}
	require.Equal(t, p.each, p.count("poisoned WHERE state = 'replayed' AND code = 'no_sender'"))
}

func (p *poisoning) comesBack(t *testing.T) {
	app := p.run("COMPONENTS=pipeline,poison")
	defer app.drain()
	require.Equal(t, exitOK, p.tool(nil, "replay", "reason:bad_sender", "--yes"))
	eventually(t, "they do not come back", func() bool {
		return p.count("poisoned WHERE code = 'bad_sender' AND state = 'waiting' AND attempts = 1 AND returned = 1") == p.each
	})
	require.Equal(t, 4*p.each, p.count("poisoned"), "no new entries")
	var jobs []queries.Job
	require.Equal(t, exitOK, p.tool(&jobs, "jobs", "-o", "json", "--limit", "1"))
	require.Equal(t, int64(p.each), jobs[0].Returned)
}

// A bad message is seen, mended, replayed, stored and delivered.
func TestABadMessageIsMendedAndDelivered(t *testing.T) {
	t.Parallel()
	c := newCorner(t)
	p := &poisoning{corner: c}
	chat := fmt.Sprint(queriestest.Chat(t, c.db, 1, 2))
	r, app := c.record("classic"), c.run()
	awaitReady(t, app.url)
	good := say(t, chat, "m-1", 1, 2, "Hello")
	c.send(good[:len(good)-1])
	eventually(t, "it is not collected", func() bool { return c.count("poisoned") == 1 })

	var entries []queries.Poisoned
	require.Equal(t, exitOK, p.tool(&entries, "list", "reason:malformed_json", "contains:hello", "-o", "json"))
	require.Len(t, entries, 1)
	require.Equal(t, chat, entries[0].ChatID)
	id := fmt.Sprint(entries[0].ID)
	var seen shown
	require.Equal(t, exitOK, p.tool(&seen, "show", id, "-o", "json"))
	require.Equal(t, "poisoned", seen.Validation.Outcome)
	require.Equal(t, good[:len(good)-1], string(seen.Message.Body))

	require.Equal(t, exitFailed, p.tool(nil, "edit", id, "--body", "{"), "what would be poisoned again is not taken")
	require.Equal(t, exitUsage, p.tool(nil, "edit", id))
	require.Equal(t, exitUsage, p.tool(nil, "edit", id, "--body", good, "--replay"), "nobody can be asked")
	require.Equal(t, exitOK, p.tool(nil, "edit", id, "--body", good, "--replay", "--yes"))
	events := r.first(1)
	require.Equal(t, "Hello", events[0].Body)
	require.Equal(t, "delivered", events[0].Status)
	require.Equal(t, 1, c.count("messages"))
	require.Equal(t, exitOK, p.tool(&seen, "show", entries[0].PoisonID.String(), "-o", "json"))
	require.Equal(t, queries.PoisonReplayed, seen.Message.State)
	require.Equal(t, good, string(seen.Message.EditedBody))
	require.Equal(t, good[:len(good)-1], string(seen.Message.Body), "the original is kept")
	require.Len(t, seen.History, 1)
}

func TestPoisonedMessagesAreExportedImportedDiscardedAndPurged(t *testing.T) {
	t.Parallel()
	c := newCorner(t)
	p := &poisoning{corner: c}
	app := c.run()
	awaitReady(t, app.url)
	c.send("one", "two", "\x00\xff")
	eventually(t, "they are not collected", func() bool { return c.count("poisoned") == 3 })
	exported := c.execute(t.Context(), "", "poison", "export")
	require.Equal(t, exitOK, exported.code, exported.stderr)

	require.Equal(t, exitUsage, p.tool(nil, "discard", "--yes"), "a reason is asked for")
	require.Equal(t, exitUsage, p.tool(nil, "discard", "--because", "a test"), "nobody can be asked")
	require.Equal(t, exitOK, p.tool(nil, "discard", "--because", "a test", "--yes"))
	require.Equal(t, exitNothing, p.tool(nil, "list"))
	require.Equal(t, exitOK, p.tool(nil, "list", "state:discarded", "-o", "yaml"))
	require.Equal(t, exitOK, p.tool(nil, "purge", "--yes"))
	require.Zero(t, c.count("poisoned"))

	dry := c.execute(t.Context(), exported.stdout, "poison", "import", "--dry-run")
	require.Contains(t, dry.stderr, "3 messages added, 0 were there")
	require.Zero(t, c.count("poisoned"))
	for range 2 {
		imported := c.execute(t.Context(), exported.stdout, "poison", "import")
		require.Equal(t, exitOK, imported.code, imported.stderr)
		require.Equal(t, 3, c.count("poisoned"))
	}
	broken := c.execute(t.Context(), exported.stdout+"{}\n", "poison", "import")
	require.Equal(t, exitPartly, broken.code, broken.stderr)
	again := c.execute(t.Context(), "", "poison", "export")
	require.Contains(t, again.stdout, `"body_base64":"AP8="`)
	require.Equal(t, contentOf(t, exported.stdout), contentOf(t, again.stdout))
}

// contentOf returns what the lines of an export hold, by poison id.
func contentOf(t testing.TB, ndjson string) map[string]string {
	t.Helper()
	content := map[string]string{}
	for line := range strings.Lines(ndjson) {
		var fields map[string]json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(line), &fields))
		for _, name := range []string{"body", "body_base64", "properties", "headers", "first_seen", "sequence", "reason"} {
			content[string(fields["poison_id"])] += name + "=" + string(fields[name]) + " "
		}
	}
	require.Len(t, content, 3)
	return content
}

func TestPoisonRefusesAWrongCall(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"poison"},
		{"poison", "eat"},
		{"poison", "list", "colour:red"},
		{"poison", "list", "--since", "soon"},
		{"poison", "list", "-o", "xml"},
		{"poison", "show"},
		{"poison", "replay", "--rate", "-1"},
		{"poison", "replay", "--max-attempts", "0"},
		{"poison", "jobs", "pause", "x"},
		{"poison", "discard", "--yes"},
		{"poison", "replay", "--state", "any"},
	} {
		got := execute(t, nil, args...)
		require.Equal(t, exitUsage, got.code, "%v: %s", args, got.stderr)
		require.Empty(t, got.stdout)
	}
}

func TestCompletionKnowsTheReasons(t *testing.T) {
	t.Parallel()
	c := newCorner(t)
	_, err := c.db.CollectPoisoned(t.Context(), []queries.NewPoisoned{{
		Code: "data_error", Stage: "handling", FirstSeen: time.Now(), LastSeen: time.Now(),
		Properties: json.RawMessage(`{}`), Headers: json.RawMessage(`{}`),
	}})
	require.NoError(t, err)
	require.Contains(t, c.execute(t.Context(), "", "__complete", "poison", "list", "--reason", "").stdout, "data_error\t1 message")
	require.Contains(t, c.execute(t.Context(), "", "__complete", "poison", "replay", "reason:").stdout, "reason:data_error")
	require.Contains(t, c.execute(t.Context(), "", "__complete", "poison", "replay", "").stdout, "contains:")
}
