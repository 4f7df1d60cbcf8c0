package http_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	rest "chat-messaging/http"
	"chat-messaging/queries/queriestest"
)

// dial opens a connection to the server, with a deadline for all of it.
func (b *bundle) dial(t testing.TB) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", b.server.Addr())
	require.NoError(t, err)
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// raw sends text as it is and returns the statuses of the answers until the
// server closes the connection.
func (b *bundle) raw(t testing.TB, text string) []int {
	t.Helper()
	conn := b.dial(t)
	_, err := io.WriteString(conn, text)
	require.NoError(t, err)
	return statuses(t, conn)
}

func statuses(t testing.TB, conn net.Conn) []int {
	t.Helper()
	var list []int
	for r := bufio.NewReader(conn); ; {
		response, err := http.ReadResponse(r, nil)
		if err != nil {
			return list
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		list = append(list, response.StatusCode)
	}
}

// withToken puts the Authorization header and a Host into a raw request.
func withToken(t testing.TB, text string) string {
	t.Helper()
	return strings.Replace(text, "\r\n", "\r\nHost: chat\r\nAuthorization: Bearer "+token(t, 1)+"\r\n", 1)
}

func TestFraming(t *testing.T) {
	t.Parallel()
	b := start(t)
	const (
		body     = "{\"user_ids\":[1,2]}"
		chunks   = "12\r\n" + body + "\r\n0\r\n\r\n"
		post     = "POST /chats/ HTTP/1.1\r\nContent-Type: application/json\r\n"
		get      = "GET /chats/get-chats HTTP/1.1\r\n"
		done     = "Connection: close\r\n\r\n"
		smuggled = "GET /healthz HTTP/1.1\r\nHost: chat\r\nConnection: close\r\n\r\n"
	)
	for name, c := range map[string]struct {
		text string
		want []int
	}{
		"a well-formed request":                       {post + "Content-Length: 18\r\n" + done + body, []int{200}},
		"two different lengths":                       {post + "Content-Length: 18\r\nContent-Length: 17\r\n" + done + body, []int{400}},
		"a length that is a list":                     {post + "Content-Length: 18, 17\r\n" + done + body, []int{400}},
		"a signed length":                             {post + "Content-Length: +18\r\n" + done + body, []int{400}},
		"length and chunks: nothing may follow":       {post + "Content-Length: 18\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + smuggled, []int{200}},
		"a short length and chunks":                   {post + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + smuggled, []int{200}},
		"an unknown transfer encoding":                {post + "Transfer-Encoding: xchunked\r\n" + done + chunks, []int{501}},
		"two transfer encodings":                      {post + "Transfer-Encoding: chunked, identity\r\n" + done + chunks, []int{501}},
		"a repeated transfer encoding":                {post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" + done + chunks, []int{501}},
		"chunks with a bad size":                      {post + "Transfer-Encoding: chunked\r\n\r\n-1\r\n" + body + "\r\n0\r\n\r\n" + smuggled, []int{400}},
		"a folded header stays one header":            {get + "X-A: a\r\n Transfer-Encoding: chunked\r\n" + done, []int{200}},
		"a chunk whose size ends in a bare line feed": {post + "Transfer-Encoding: chunked\r\n\r\n12\n" + body + "\r\n0\r\n\r\n" + smuggled, []int{400}},
		"bare line feeds end lines and nothing else":  {"GET /healthz HTTP/1.1\nHost: chat\nConnection: close\n\n" + smuggled, []int{200}},
		"a bare carriage return in a value":           {get + "X-A: a\rX-B: b\r\n" + done, []int{400}},
		"a NUL in a value":                            {get + "X-A: a\x00b\r\n" + done, []int{400}},
		"a space before the colon":                    {get + "X-A : a\r\n" + done, []int{400}},
		"a line break smuggled into an origin":        {get + "Origin: http://localhost:3000\rX: y\r\n" + done, []int{400}},
		"a line break smuggled into a request id":     {get + "X-Request-Id: a\rb\r\n" + done, []int{400}},
		"HTTP/3.0":                         {"GET /healthz HTTP/3.0\r\n" + done, []int{505}},
		"a malformed path":                 {"GET /chats/%zz HTTP/1.1\r\n" + done, []int{400}},
		"CONNECT with a path":              {"CONNECT /chats/ HTTP/1.1\r\n" + done, []int{405}},
		"CONNECT with a host":              {"CONNECT other:80 HTTP/1.1\r\n" + done, []int{404}},
		"another host in the request line": {"GET http://other/healthz HTTP/1.1\r\n" + done, []int{200}},
		"OPTIONS *":                        {"OPTIONS * HTTP/1.1\r\n" + done, []int{200}},
		"two hosts":                        {get + "Host: other\r\n" + done, []int{400}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, b.raw(t, withToken(t, c.text)))
		})
	}
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	b := start(t, func(c *rest.Config) {
		c.HeaderTimeout, c.ReadTimeout, c.WriteTimeout, c.IdleTimeout = 300*time.Millisecond, 600*time.Millisecond, time.Second, 300*time.Millisecond
	})

	t.Run("headers that do not end", func(t *testing.T) {
		t.Parallel()
		require.Empty(t, b.raw(t, "GET /chats/get-chats HTTP/1.1\r\nHost: chat\r\nX-A: "), "closed without an answer")
	})
	t.Run("a body that does not end", func(t *testing.T) {
		t.Parallel()
		text := withToken(t, "POST /chats/ HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\r\n{")
		require.Equal(t, []int{408}, b.raw(t, text))
	})
	t.Run("a connection that is only held open", func(t *testing.T) {
		t.Parallel()
		require.Empty(t, b.raw(t, ""))
		require.Equal(t, []int{200}, b.raw(t, "GET /healthz HTTP/1.1\r\nHost: chat\r\n\r\n"))
	})
	t.Run("a client that does not read", func(t *testing.T) {
		t.Parallel()
		id := queriestest.Chat(t, b.db, 1, 2)
		fill(t, b.db, id, 100)
		_, err := b.db.Exec(`UPDATE messages SET body = repeat('x', 16000)`)
		require.NoError(t, err)
		conn := b.dial(t)
		tcp, _ := conn.(*net.TCPConn)
		require.NoError(t, tcp.SetReadBuffer(4096))
		const requests = 20 // 1.6 MB each: more than the sockets hold
		text := withToken(t, fmt.Sprintf("GET /messages/get-messages?chat_id=%d&limit=100 HTTP/1.1\r\n\r\n", id))
		_, err = io.WriteString(conn, strings.Repeat(text, requests))
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			_, probe := b.metric(t, "chat_messaging_http_requests_in_progress")
			done, _ := b.metric(t, `chat_messaging_http_requests_total{method="GET",route="get_messages",status="200"}`)
			return done > 0 && probe == 1
		}, 15*time.Second, 50*time.Millisecond, "the server must give up")
		require.Less(t, len(statuses(t, conn)), requests)
	})
}

// metric reads a value from /metrics, and how many requests are in progress.
func (b *bundle) metric(t testing.TB, series string) (value, inProgress float64) {
	t.Helper()
	a := b.get(t, 0, "/metrics")
	require.Equal(t, http.StatusOK, a.status)
	for line := range strings.Lines(string(a.body)) {
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			value, _ = strconv.ParseFloat(strings.TrimSpace(rest), 64)
		}
		if rest, ok := strings.CutPrefix(line, "chat_messaging_http_requests_in_progress "); ok {
			inProgress, _ = strconv.ParseFloat(strings.TrimSpace(rest), 64)
		}
	}
	return value, inProgress
}

func TestConnectionCap(t *testing.T) {
	t.Parallel()
	b := start(t, func(c *rest.Config) { c.MaxConnections = 3 })
	var idle []net.Conn
	for range 20 {
		idle = append(idle, b.dial(t))
	}
	require.Equal(t, []int{200}, b.raw(t, "GET /healthz HTTP/1.1\r\nHost: chat\r\nConnection: close\r\n\r\n"), "there is room for one who asks")
	for _, conn := range idle[:17] {
		require.Empty(t, statuses(t, conn), "the longest idle ones were closed")
	}
}

func TestHeaderLimits(t *testing.T) {
	t.Parallel()
	b := start(t)
	get := func(headers string) []int {
		return b.raw(t, "GET /healthz HTTP/1.1\r\nHost: chat\r\nConnection: close\r\n"+headers+"\r\n")
	}
	many := func(n int) string {
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, "a%d: b\r\n", i)
		}
		return text.String()
	}
	require.Equal(t, []int{200}, get(many(50)))
	require.Equal(t, []int{431}, get(many(1000)))
	require.Equal(t, []int{431}, get("X-A: "+strings.Repeat("a", 17<<10)+"\r\n"))
	require.Equal(t, []int{431}, get("Authorization: Bearer "+strings.Repeat("a", 1<<20)+"\r\n"))
}
