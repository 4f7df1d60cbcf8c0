package http_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHistoryParameters(t *testing.T) {
	t.Parallel()
	b := start(t)
	mine, other, unknown := chatOf(t, b, 1, 2), chatOf(t, b, 1, 3), "4611686018427387904"
	foreign := chatOf(t, b, 2, 3)
	for _, id := range []string{mine, other, foreign} {
		b.fill(t, id, 25)
	}
	cursorOf := func(user int64, id string) string {
		var page struct{ Cursor string }
		b.get(t, user, "/messages/get-messages?chat_id="+id).decode(t, &page)
		require.NotEmpty(t, page.Cursor)
		return page.Cursor
	}
	cursor := cursorOf(1, mine)
	long := strings.Repeat("1", 10000)
	for _, c := range []struct {
		name, query string
		want        int
	}{
		{"a chat that is not mine", "chat_id=" + foreign, 404},
		{"an unknown chat", "chat_id=" + unknown, 404},
		{"no chat_id", "", 422},
		{"chat_id empty", "chat_id=", 422},
		{"chat_id twice", "chat_id=" + mine + "&chat_id=" + mine, 422},
		{"chat_id of 10,000 digits", "chat_id=" + long, 422},
		{"chat_id with NUL", "chat_id=1%00", 422},
		{"chat_id with quotes", "chat_id=%27%20OR%201=1--", 422},
		{"chat_id like a path", "chat_id=../../etc/passwd", 422},
		{"chat_id with a sign", "chat_id=%2B" + mine, 422},
		{"chat_id negative", "chat_id=-" + mine, 422},
		{"chat_id with a leading zero", "chat_id=0" + mine, 422},
		{"chat_id with a space", "chat_id=+" + mine, 422},
		{"chat_id in other digits", "chat_id=" + url.QueryEscape("１２"), 422},
		{"chat_id 0", "chat_id=0", 422},
		{"chat_id 2^63", "chat_id=9223372036854775808", 422},

		{"the chat's own cursor", "chat_id=" + mine + "&cursor=" + cursor, 200},
		{"a cursor of another chat of mine", "chat_id=" + mine + "&cursor=" + cursorOf(1, other), 422},
		{"a cursor of a foreign chat", "chat_id=" + mine + "&cursor=" + cursorOf(2, foreign), 422},
		{"my cursor at a foreign chat", "chat_id=" + foreign + "&cursor=" + cursorOf(2, foreign), 404},
		{"a cursor with one character changed", "chat_id=" + mine + "&cursor=" + "B" + cursor[1:], 422},
		{"a cursor with its position changed", "chat_id=" + mine + "&cursor=" + cursor[:10] + "zz" + cursor[12:], 422},
		{"a truncated cursor", "chat_id=" + mine + "&cursor=" + cursor[:20], 422},
		{"a cursor with more behind", "chat_id=" + mine + "&cursor=" + cursor + "AA", 422},
		{"cursor -1", "chat_id=" + mine + "&cursor=-1", 422},
		{"cursor null", "chat_id=" + mine + "&cursor=null", 422},
		{"cursor huge", "chat_id=" + mine + "&cursor=" + long, 422},
		{"cursor with NUL", "chat_id=" + mine + "&cursor=%00", 422},
		{"cursor twice", "chat_id=" + mine + "&cursor=" + cursor + "&cursor=" + cursor, 422},
		{"cursor empty is the first page", "chat_id=" + mine + "&cursor=", 200},

		{"limit 0", "chat_id=" + mine + "&limit=0", 422},
		{"limit -1", "chat_id=" + mine + "&limit=-1", 422},
		{"limit 101", "chat_id=" + mine + "&limit=101", 422},
		{"limit 1e9", "chat_id=" + mine + "&limit=1e9", 422},
		{"limit abc", "chat_id=" + mine + "&limit=abc", 422},
		{"limit empty", "chat_id=" + mine + "&limit=", 422},
		{"limit 1", "chat_id=" + mine + "&limit=1", 200},
		{"limit 100", "chat_id=" + mine + "&limit=100", 200},
		{"before 0", "chat_id=" + mine + "&before=0", 422},
		{"before 2^63-1", "chat_id=" + mine + "&before=9223372036854775807", 200},
		{"before 2^63", "chat_id=" + mine + "&before=9223372036854775808", 422},
		{"after -1", "chat_id=" + mine + "&after=-1", 422},
		{"after 2^63-1", "chat_id=" + mine + "&after=9223372036854775807", 200},
		{"around 1.5", "chat_id=" + mine + "&around=1.5", 422},
		{"around 2^63-1", "chat_id=" + mine + "&around=9223372036854775807&limit=100", 200},
		{"before and after", "chat_id=" + mine + "&before=9&after=3", 422},
		{"cursor and around", "chat_id=" + mine + "&around=9&cursor=" + cursor, 422},
		{"order sideways", "chat_id=" + mine + "&order=sideways", 422},
		{"unknown parameters", "chat_id=" + mine + "&utm_source=x&CHAT_ID=y", 200},
		{"a semicolon", "chat_id=" + mine + ";limit=1", 400},
		{"a bad escape", "chat_id=" + mine + "&x=%zz", 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := b.get(t, 1, "/messages/get-messages?"+c.query)
			require.Equal(t, c.want, a.status, "%s", a.body)
			require.NotContains(t, string(a.body), foreign)
		})
	}
	t.Run("a foreign chat is answered like an unknown one", func(t *testing.T) {
		t.Parallel()
		for _, path := range []string{"/messages/get-messages?chat_id=%s", "/chats/%s", "/messages/%s-1"} {
			var bodies []string
			for _, id := range []string{foreign, unknown} {
				r := b.request(t, 1, http.MethodGet, fmt.Sprintf(path, id), "")
				r.Header.Set("X-Request-Id", "the-same")
				a := b.do(t, r)
				a.header.Del("Date")
				bodies = append(bodies, fmt.Sprint(a.status, a.header, string(a.body)))
			}
			require.Equal(t, bodies[0], bodies[1])
		}
	})
}

func TestBodies(t *testing.T) {
	t.Parallel()
	b := start(t)
	long := strings.Repeat("x", 10000)
	create := func(ids string) string { return `{"user_ids":` + ids + `}` }
	update := func(members string) string { return `{"id":1,` + members + `}` }
	const chats, profile = "/chats/", "/chats/update-chat-related-user"
	many := strings.TrimSuffix(strings.Repeat("1,", 10000), ",")
	for _, c := range []struct {
		name, path, body string
		want             int
	}{
		{"the caller is not among the users", chats, create(`[2,3]`), 403},
		{"no users", chats, create(`[]`), 422},
		{"only me", chats, create(`[1]`), 422},
		{"me twice", chats, create(`[1,1]`), 422},
		{"three users", chats, create(`[1,2,3]`), 422},
		{"ten thousand users", chats, create(`[` + many + `]`), 422},
		{"an id as a string", chats, create(`["1",2]`), 422},
		{"an id with a fraction", chats, create(`[1,2.5]`), 422},
		{"an id with a point", chats, create(`[1,2.0]`), 422},
		{"an id with an exponent", chats, create(`[1,2e0]`), 422},
		{"a null id", chats, create(`[1,null]`), 422},
		{"a true id", chats, create(`[1,true]`), 422},
		{"a nested id", chats, create(`[1,[2]]`), 422},
		{"a negative id", chats, create(`[1,-1]`), 422},
		{"id 0", chats, create(`[1,0]`), 422},
		{"id 2^63", chats, create(`[1,9223372036854775808]`), 422},
		{"an unknown user", chats, create(`[1,100]`), 422},
		{"user_ids missing", chats, `{}`, 422},
		{"user_ids in capitals", chats, `{"USER_IDS":[1,2]}`, 422},
		{"user_ids null", chats, create(`null`), 422},
		{"user_ids an object", chats, create(`{"1":2}`), 422},
		{"user_ids a string", chats, create(`"12"`), 422},

		{"not JSON", chats, `user_ids=1`, 400},
		{"cut off", chats, `{"user_ids":[1,2]`, 400},
		{"something behind", chats, create(`[1,2]`) + `{}`, 400},
		{"a name twice", chats, `{"user_ids":[1,2],"user_ids":[1,3]}`, 400},
		{"a name twice, deeper", chats, `{"user_ids":[1,2],"x":{"a":1,"a":2}}`, 400},
		{"a name twice, once with escapes", chats, `{"user_ids":[1,2],"\u0075ser_ids":[1,3]}`, 400},
		{"a list", chats, `[1,2]`, 400},
		{"null", chats, `null`, 400},
		{"empty but for a space", chats, ` `, 400},
		{"nested deeply", chats, `{"user_ids":[1,2],"x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`, 400},
		{"nested deeply and cut off", chats, `{"user_ids":` + strings.Repeat("[", 60000), 400},
		{"bad UTF-8", chats, "{\"user_ids\":[1,2],\"x\":\"\xff\"}", 400},
		{"a lone surrogate", chats, `{"user_ids":[1,2],"x":"\ud800"}`, 400},
		{"a byte order mark", chats, "\ufeff" + create(`[1,2]`), 400},
		{"too large", chats, `{"x":"` + strings.Repeat("x", 64<<10) + `"}`, 413},

		{"somebody else's details", profile, `{"id":2,"username":"x"}`, 403},
		{"id missing", profile, `{"username":"x"}`, 422},
		{"id a string", profile, `{"id":"1","username":"x"}`, 422},
		{"id with a fraction, of the profile", profile, `{"id":1.0,"username":"x"}`, 422},
		{"username missing", profile, `{"id":1}`, 422},
		{"username null", profile, update(`"username":null`), 422},
		{"username empty", profile, update(`"username":""`), 422},
		{"username blank", profile, update(`"username":" \t "`), 422},
		{"username of 10 KB", profile, update(`"username":"` + long + `"`), 422},
		{"username with NUL", profile, update(`"username":"a\u0000b"`), 422},
		{"username with a line break", profile, update(`"username":"a\nb"`), 422},
		{"username with a C1 control", profile, update(`"username":"a\u0085b"`), 422},
		{"username of many alphabets", profile, update(`"username":"Žofie 王 👩‍👩‍👧"`), 204},
		{"avatar javascript:", profile, update(`"username":"x","avatar_url":"javascript:alert(1)"`), 422},
		{"avatar JavaScript: with a tab", profile, update(`"username":"x","avatar_url":"Java\tScript:alert(1)"`), 422},
		{"avatar javascript: behind a space", profile, update(`"username":"x","avatar_url":" javascript:alert(1)"`), 422},
		{"avatar data:", profile, update(`"username":"x","avatar_url":"data:text/html,x"`), 422},
		{"avatar file:", profile, update(`"username":"x","avatar_url":"file:///etc/passwd"`), 422},
		{"avatar of 10 KB", profile, update(`"username":"x","avatar_url":"https://e.com/` + long + `"`), 422},
		{"avatar without a host", profile, update(`"username":"x","avatar_url":"https:///x"`), 422},
		{"avatar with backslashes", profile, update(`"username":"x","avatar_url":"\\\\evil\\x"`), 422},
		{"avatar a number", profile, update(`"username":"x","avatar_url":5`), 422},
		{"avatar with NUL", profile, update(`"username":"x","avatar_url":"/a\u0000"`), 422},
		{"avatar null", profile, update(`"username":"x","avatar_url":null`), 204},
		{"avatar a path", profile, update(`"username":"x","avatar_url":"/media/1.png"`), 204},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := b.post(t, 1, c.path, c.body)
			require.Equal(t, c.want, a.status, "%s", a.body)
		})
	}
	t.Run("too large, in chunks, ends the connection", func(t *testing.T) {
		t.Parallel()
		r := b.request(t, 1, http.MethodPost, chats, "x")
		r.Body, r.ContentLength = io.NopCloser(io.MultiReader(strings.NewReader(strings.Repeat(" ", 65<<10)))), -1
		response, err := client.Do(r)
		require.NoError(t, err)
		_ = response.Body.Close()
		require.Equal(t, http.StatusRequestEntityTooLarge, response.StatusCode)
		require.True(t, response.Close)
	})
	t.Run("no body", func(t *testing.T) {
		t.Parallel()
		r := b.request(t, 1, http.MethodPost, chats, "")
		r.Header.Set("Content-Type", "application/json")
		require.Equal(t, http.StatusBadRequest, b.do(t, r).status)
	})
	t.Cleanup(func() {
		var n int
		require.NoError(t, b.db.Get(&n, `SELECT (SELECT count(*) FROM users WHERE id <> 1) + (SELECT count(*) FROM chats)`))
		require.Zero(t, n, "nothing may be stored for a request that is refused")
	})
}
