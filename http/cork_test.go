package http_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAnswersOfEverySizeArrive goes with the size of an answer over everything
// that net/http and the connection below it gather, one connection for all.
func TestAnswersOfEverySizeArrive(t *testing.T) {
	t.Parallel()
	b := start(t)
	chat := b.create(t, 1, 2)
	const least, most, sizes = 2500, 4300, 200_000 // of the bodies; and one far beyond
	_, err := b.db.Exec(`
INSERT INTO messages (chat_id, seq, sender_id, recipient_id, delivered_at, fingerprint, client_message_id, sent_at, body)
SELECT $1, n, 1, 2, now(), '\x00', n::text, '', repeat('x', CASE WHEN n > $3 - $2 THEN $4 ELSE $2 + n END)
FROM generate_series(1, $3::int - $2::int + 1) AS n`, chat, least, most, sizes)
	require.NoError(t, err)
	_, err = b.db.Exec(`UPDATE chats SET last_seq = $2 WHERE id = $1`, chat, most-least+1)
	require.NoError(t, err)

	conn := b.dial(t)
	answers := bufio.NewReader(conn)
	for seq := 1; seq <= most-least+1; seq++ {
		_, err := io.WriteString(conn, withToken(t, fmt.Sprintf("GET /messages/%s-%d HTTP/1.1\r\n\r\n", chat, seq)))
		require.NoError(t, err)
		response, err := http.ReadResponse(answers, nil)
		require.NoError(t, err, "message %d", seq)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, response.StatusCode)
		length := least + seq
		if seq > most-least {
			length = sizes
		}
		require.Contains(t, string(body), `"body":"`+strings.Repeat("x", length)+`",`)
	}
}

// TestPagesArriveAtOnce holds that a page is one write, also where it is the last
// thing on its connection.
func TestPagesArriveAtOnce(t *testing.T) {
	t.Parallel()
	b := start(t)
	chat := b.create(t, 1, 2)
	b.fill(t, chat, 20)
	for _, last := range []bool{false, true} {
		conn := b.dial(t)
		end := "\r\n"
		if last {
			end = "Connection: close\r\n\r\n"
		}
		_, err := io.WriteString(conn, withToken(t, fmt.Sprintf("GET /messages/get-messages?chat_id=%s&limit=20 HTTP/1.1\r\n%s", chat, end)))
		require.NoError(t, err)
		buffer := make([]byte, 64<<10)
		n, err := conn.Read(buffer)
		require.NoError(t, err)
		require.Greater(t, n, 6000)
		require.Equal(t, "}", string(buffer[n-1:n]))
	}
}
