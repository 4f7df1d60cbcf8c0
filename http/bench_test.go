package http_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	rest "chat-messaging/http"
	"chat-messaging/queries/queriestest"
)

// benchRounds is how many times the HTTP clients and pgbench take turns, so that
// whatever else the machine does meets both.
const benchRounds = 4

// gcPercent is the program's own setting.
const gcPercent = 200

// BenchmarkREST asks over loopback with a real client. Where pgbench is
// installed it runs the very statements that the server sends, prepared and with
// as many clients, in turn with the server; "ratio" is the server's rate over
// pgbench's. "planned" is pgbench once more with the one setting by which the
// server's own sessions differ from everybody's: that statements are planned
// once. Run it with
//
//	go test -run '^$' -bench REST -benchtime 5s ./http
func BenchmarkREST(b *testing.B) {
	const messages, depth = 1_000_000, 500_000
	databaseURL := queriestest.SchemaURL(b)
	db := queriestest.Open(b, databaseURL, true)
	defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	s := startOn(b, db, func(c *rest.Config) {
		c.Logger = discard()
		c.DB.SetMaxOpenConns(64 + 8) // eight are not for requests
		c.DB.SetMaxIdleConns(64 + 8)
	})
	chat := queriestest.Chat(b, db, 1, 2)
	fill(b, db, chat, messages)
	for other := int64(3); other < 22; other++ {
		s.fill(b, s.create(b, 1, other), 5)
	}
	for _, table := range []string{"messages", "chats", "members", "users"} {
		_, err := db.Exec(`VACUUM ANALYZE ` + table)
		require.NoError(b, err)
	}
	statements := capture(b, databaseURL)

	position := func() string { return strconv.Itoa(11 + rand.IntN(messages-11)) }
	history := fmt.Sprintf("/messages/get-messages?chat_id=%d", chat)
	for _, c := range []struct {
		name      string
		path      func() string
		statement string
		variables []string
		clients   []int // how much is asked at the same time
	}{
		{
			"history/newest", func() string { return history }, statements.history,
			[]string{fmt.Sprint(chat), "0", "9223372036854775807", "10"},
			[]int{8, 16, 32, 64},
		},
		{
			"history/deep", func() string { return history + "&before=" + strconv.Itoa(depth) }, statements.history,
			[]string{fmt.Sprint(chat), "0", strconv.Itoa(depth), "10"},
			[]int{8, 32},
		},
		{
			"history/random", func() string { return history + "&before=" + position() }, statements.history,
			[]string{fmt.Sprint(chat), "0", fmt.Sprintf("random(11, %d)", messages), "10"},
			[]int{8, 32},
		},
		{"chats", func() string { return "/chats/get-chats" }, statements.chats, []string{"1", "0", "1001"}, []int{8, 32}},
		{
			"chats/last_message", func() string { return "/chats/get-chats?include=last_message" }, statements.chatsLastMessage,
			[]string{"1", "0", "1001"},
			[]int{8, 32},
		},
	} {
		for _, clients := range c.clients {
			b.Run(fmt.Sprintf("%s/clients=%d", c.name, clients), func(b *testing.B) {
				b.ReportAllocs()
				var latencies []time.Duration
				var bare, planned float64
				b.ResetTimer()
				for round := range benchRounds {
					b.StopTimer()
					bare += barePerSecond(b, databaseURL, clients, c.statement, c.variables) / benchRounds
					planned += barePerSecond(b, databaseURL, clients, c.statement, c.variables, "plan_cache_mode=force_generic_plan") / benchRounds
					b.StartTimer()
					latencies = append(latencies, s.load(b, clients, b.N*(round+1)/benchRounds-b.N*round/benchRounds, c.path)...)
				}
				b.StopTimer()
				slices.Sort(latencies)
				rate := float64(b.N) / b.Elapsed().Seconds()
				b.ReportMetric(rate, "req/s")
				b.ReportMetric(float64(latencies[len(latencies)/2].Microseconds()), "p50-µs")
				b.ReportMetric(float64(latencies[len(latencies)*99/100].Microseconds()), "p99-µs")
				if bare > 0 {
					b.ReportMetric(bare, "bare/s")
					b.ReportMetric(rate/bare, "ratio")
					b.ReportMetric(planned, "planned/s")
					b.ReportMetric(rate/planned, "ratio-planned")
				}
			})
		}
	}
}

// load sends n requests from so many clients and returns how long each took.
func (b *bundle) load(t *testing.B, clients, n int, path func() string) []time.Duration {
	t.Helper()
	head := " HTTP/1.1\r\nHost: chat\r\nUser-Agent: benchmark\r\nAuthorization: Bearer " + token(t, 1) + "\r\n\r\n"
	var left atomic.Int64
	left.Store(int64(n))
	var mu sync.Mutex
	var all []time.Duration
	var wg sync.WaitGroup
	for range clients {
		conn, err := net.Dial("tcp", b.server.Addr())
		require.NoError(t, err)
		wg.Go(func() {
			defer func() { _ = conn.Close() }()
			answers := bufio.NewReaderSize(conn, 16<<10)
			var mine []time.Duration
			for left.Add(-1) >= 0 {
				started := time.Now()
				_, err := io.WriteString(conn, "GET "+path()+head)
				if err == nil {
					err = skipAnswer(answers)
				}
				if err != nil {
					t.Errorf("asking: %v", err)
					return
				}
				mine = append(mine, time.Since(started))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, mine...)
		})
	}
	wg.Wait()
	return all
}

// skipAnswer reads one answer whole. pgbench, beside which this stands, does not
// look at what it gets either; net/http's client would cost half as much again
// as the server.
func skipAnswer(r *bufio.Reader) error {
	status, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("answered %q", status)
	}
	length := -1
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return errors.New("an answer without a length")
	}
	_, err = r.Discard(length)
	return err
}

// captured are the statements as the server sends them.
type captured struct{ history, chats, chatsLastMessage string }

// capture learns them from the list of what a connection has prepared.
func capture(b *testing.B, databaseURL string) captured {
	b.Helper()
	db := queriestest.Open(b, databaseURL, false)
	s := startOn(b, db)
	db.SetMaxOpenConns(1)
	prepared := func(path string) string {
		require.Equal(b, http.StatusOK, s.get(b, 1, path).status, path)
		var text string
		require.NoError(b, db.Get(&text, `
SELECT statement FROM pg_prepared_statements WHERE statement NOT LIKE '%pg_prepared_statements%' ORDER BY prepare_time DESC LIMIT 1`))
		return text
	}
	var id string
	require.NoError(b, db.Get(&id, `SELECT chat_id FROM members WHERE user_id = 1 LIMIT 1`))
	return captured{
		history:          prepared("/messages/get-messages?chat_id=" + id),
		chats:            prepared("/chats/get-chats"),
		chatsLastMessage: prepared("/chats/get-chats?include=last_message"),
	}
}

var (
	arrayPlaceholder = regexp.MustCompile(`\$(\d)::int8\[\]`)
	placeholder      = regexp.MustCompile(`\$(\d)`)
	tps              = regexp.MustCompile(`tps = ([0-9.]+)`)
)

// barePerSecond is pgbench's rate for the statement, 0 where there is no pgbench,
// and for the first trial of a benchmark, which only finds out how long it takes.
func barePerSecond(b *testing.B, databaseURL string, clients int, statement string, variables []string, settings ...string) float64 {
	b.Helper()
	pgbench, err := exec.LookPath("pgbench")
	if err != nil || b.N == 1 {
		return 0
	}
	var script strings.Builder
	for i, value := range variables {
		fmt.Fprintf(&script, "\\set v%d %s\n", i+1, value)
	}
	// A colon before a name would be a variable to pgbench.
	text := strings.ReplaceAll(statement, `":null`, `": null`)
	// The server's statement is for many pages; a single one is what a client asks for.
	text = arrayPlaceholder.ReplaceAllString(text, "ARRAY[(:v$1)::int8]")
	script.WriteString(placeholder.ReplaceAllString(text, "(:v$1)::int8") + ";\n")
	file := filepath.Join(b.TempDir(), "bare.sql")
	require.NoError(b, os.WriteFile(file, []byte(script.String()), 0o600))
	// libpq has no search_path in its URLs.
	address, err := url.Parse(databaseURL)
	require.NoError(b, err)
	query := address.Query()
	schema := query.Get("search_path")
	query.Del("search_path")
	address.RawQuery = query.Encode()
	command := exec.CommandContext(b.Context(), pgbench, "--no-vacuum", "--protocol=prepared",
		"--client="+strconv.Itoa(clients), "--jobs=2", "--time=1", "--file="+file, address.String())
	command.Env = append(os.Environ(), "PGOPTIONS=-c "+strings.Join(append(settings, "search_path="+schema), " -c "))
	output, err := command.CombinedOutput()
	require.NoError(b, err, "%s", output)
	match := tps.FindSubmatch(output)
	require.NotNil(b, match, "%s", output)
	rate, err := strconv.ParseFloat(string(match[1]), 64)
	require.NoError(b, err)
	return rate
}
