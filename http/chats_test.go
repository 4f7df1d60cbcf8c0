package http_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"chat-messaging/queries/queriestest"
)

// create makes a chat and returns its id.
func (b *bundle) create(t testing.TB, user, other int64) string {
	t.Helper()
	a := b.post(t, user, "/chats/", fmt.Sprintf(`{"user_ids":[%d,%d]}`, user, other))
	require.Equal(t, http.StatusOK, a.status, "%s", a.body)
	var chat struct{ ID string }
	a.decode(t, &chat)
	return chat.ID
}

func (b *bundle) fill(t testing.TB, chat string, n int) {
	t.Helper()
	var id int64
	_, err := fmt.Sscan(chat, &id)
	require.NoError(t, err)
	fill(t, b.db, id, n)
}

func TestCreateChat(t *testing.T) {
	t.Parallel()
	b := start(t)

	t.Run("the order of the users does not matter, nor does the path's spelling", func(t *testing.T) {
		t.Parallel()
		first := b.post(t, 1, "/chats/", `{"user_ids":[1,2]}`)
		require.Equal(t, http.StatusOK, first.status, "%s", first.body)
		for _, path := range []string{"/chats/", "/chats", "/messaging/chats/", "/messaging/chats"} {
			again := b.post(t, 2, path, `{"user_ids":[2,1]}`)
			require.Equal(t, string(first.body), string(again.body), path)
		}
	})
	t.Run("details are those of the auth service, whole, by id", func(t *testing.T) {
		t.Parallel()
		a := b.post(t, 4, "/chats/", `{"user_ids":[4,3],"other":"ignored"}`)
		var chat struct {
			ID           string `json:"id"`
			RelatedUsers any    `json:"related_users"`
		}
		a.decode(t, &chat)
		require.JSONEq(t, `{"id":"`+chat.ID+`","related_users":[`+userObject(3)+`,`+userObject(4)+`]}`, string(a.body))
		require.Contains(t, string(a.body), "1.50", "values are handed on as they were written")
	})
	t.Run("fifty at once make one", func(t *testing.T) {
		t.Parallel()
		ids := make([]string, 50)
		var wg sync.WaitGroup
		for i := range ids {
			wg.Go(func() { ids[i] = b.create(t, int64(5+i%2), int64(6-i%2)) })
		}
		wg.Wait()
		for _, id := range ids {
			require.Equal(t, ids[0], id)
		}
		var n int
		require.NoError(t, b.db.Get(&n, `SELECT count(*) FROM chats WHERE member_ids = '{5,6}'`))
		require.Equal(t, 1, n)
	})
	t.Run("unknown users are named and nothing is stored", func(t *testing.T) {
		t.Parallel()
		a := b.post(t, 7, "/chats/", `{"user_ids":[7,100]}`)
		require.Equal(t, http.StatusUnprocessableEntity, a.status)
		p := a.problem(t)
		require.Equal(t, "urn:chat-messaging:problem:unknown-users", p.Type)
		require.Equal(t, []int64{100}, p.UserIDs)
		var n int
		require.NoError(t, b.db.Get(&n, `SELECT (SELECT count(*) FROM chats WHERE 7 = ANY (member_ids)) + (SELECT count(*) FROM users WHERE id = 7)`))
		require.Zero(t, n)
	})
	t.Run("others' chats are not for me to make", func(t *testing.T) {
		t.Parallel()
		a := b.post(t, 8, "/chats/", `{"user_ids":[9,10]}`)
		require.Equal(t, http.StatusForbidden, a.status)
		require.Contains(t, b.logs.String(), `"access denied"`)
	})
	t.Run("users without details get them when they can be had", func(t *testing.T) {
		t.Parallel()
		id := queriestest.Chat(t, b.db, 11, 12)
		a := b.post(t, 11, "/chats/", `{"user_ids":[11,12]}`)
		require.JSONEq(t, fmt.Sprintf(`{"id":"%d","related_users":[%s,%s]}`, id, userObject(11), userObject(12)), string(a.body))
	})
}

func TestListChats(t *testing.T) {
	t.Parallel()
	b := start(t)
	var withMessages []string
	for other := int64(2); other <= 6; other++ {
		id := b.create(t, 1, other)
		b.fill(t, id, int(other))
		withMessages = append(withMessages, id)
	}
	b.create(t, 1, 7) // has no messages
	b.fill(t, b.create(t, 2, 3), 1)

	t.Run("objects equal those that POST answers", func(t *testing.T) {
		t.Parallel()
		var listed []any
		b.get(t, 1, "/chats/get-chats").decode(t, &listed)
		require.Len(t, listed, len(withMessages))
		for other := int64(2); other <= 6; other++ {
			var made any
			b.post(t, 1, "/chats/", fmt.Sprintf(`{"user_ids":[%d,1]}`, other)).decode(t, &made)
			require.Contains(t, listed, made)
		}
	})
	t.Run("nobody's list is empty, not null", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, "[]", string(b.get(t, 50, "/chats/get-chats").body))
	})
	t.Run("pages follow the Link header", func(t *testing.T) {
		t.Parallel()
		path, seen := "/messaging/chats/get-chats/?limit=2&include=last_message&unknown=1", []string{}
		for range 3 {
			a := b.get(t, 1, path)
			require.Equal(t, http.StatusOK, a.status, "%s", a.body)
			var page []struct {
				ID          string
				LastSeq     int64 `json:"last_seq"`
				LastMessage struct {
					Seq    int64
					ChatID string `json:"chat_id"`
				} `json:"last_message"`
			}
			a.decode(t, &page)
			for _, c := range page {
				seen = append(seen, c.ID)
				require.Equal(t, c.LastSeq, c.LastMessage.Seq)
				require.Equal(t, c.ID, c.LastMessage.ChatID)
			}
			link := a.header.Get("Link")
			if link == "" {
				path = ""
				break
			}
			next, found := strings.CutSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
			require.True(t, found, link)
			path = "/messaging/chats/get-chats/" + next
		}
		require.Empty(t, path, "the last page has no Link")
		require.ElementsMatch(t, withMessages, seen)
	})
	t.Run("parameters are checked", func(t *testing.T) {
		t.Parallel()
		mine := b.get(t, 1, "/chats/get-chats?limit=1").header.Get("Link")
		cursor := strings.TrimPrefix(strings.Split(mine, "&")[0], "<?")
		for _, query := range []string{"limit=0", "limit=1001", "limit=x", "limit=1&limit=2", "include=x", "cursor=x"} {
			require.Equal(t, http.StatusUnprocessableEntity, b.get(t, 1, "/chats/get-chats?"+query).status, query)
		}
		require.Equal(t, http.StatusUnprocessableEntity, b.get(t, 2, "/chats/get-chats?"+cursor).status, "another user's cursor")
		require.Equal(t, http.StatusOK, b.get(t, 1, "/chats/get-chats?"+cursor).status)
	})
}

func TestReadOneChat(t *testing.T) {
	t.Parallel()
	b := start(t)
	id := b.create(t, 1, 2)
	require.JSONEq(t, `{"id":"`+id+`","related_users":[`+userObject(1)+`,`+userObject(2)+`],"last_seq":0,"last_message":null}`,
		string(b.get(t, 1, "/chats/"+id).body))
	b.fill(t, id, 3)
	var chat struct {
		LastSeq     int64               `json:"last_seq"`
		LastMessage struct{ ID string } `json:"last_message"`
	}
	b.get(t, 2, "/messaging/chats/"+id+"/").decode(t, &chat)
	require.Equal(t, int64(3), chat.LastSeq)
	require.Equal(t, id+"-3", chat.LastMessage.ID)
}

func TestUpdateUser(t *testing.T) {
	t.Parallel()
	b := start(t)
	const path = "/messaging/chats/update-chat-related-user"
	for _, other := range []int64{2, 3} {
		b.fill(t, b.create(t, 1, other), 1)
	}
	update := func(body string) answer { return b.post(t, 1, path, body) }

	a := update(`{"id":1,"username":"new name","avatar_url":"https://example.com/a.png","extra":"not taken"}`)
	require.Equal(t, http.StatusNoContent, a.status, "%s", a.body)
	require.Empty(t, a.body)
	mine := `{"id":1,"username":"new name","avatar_url":"https://example.com/a.png","extra":{"rank":1.50,"tags":["a","b"]}}`
	var listed []struct {
		RelatedUsers []any `json:"related_users"`
	}
	b.get(t, 1, "/chats/get-chats").decode(t, &listed)
	require.Len(t, listed, 2)
	for _, chat := range listed {
		require.Len(t, chat.RelatedUsers, 2)
	}
	made := b.post(t, 1, "/chats/", `{"user_ids":[1,2]}`)
	require.Contains(t, string(made.body), `"username" : "new name"`)
	var chat struct {
		RelatedUsers []any `json:"related_users"`
	}
	made.decode(t, &chat)
	require.JSONEq(t, mine, toJSON(t, chat.RelatedUsers[0]))
	require.JSONEq(t, mine, toJSON(t, listed[0].RelatedUsers[0]))
	require.JSONEq(t, mine, toJSON(t, listed[1].RelatedUsers[0]))

	require.Equal(t, http.StatusNoContent, update(`{"id":1,"username":"last"}`).status, "what is left out stays")
	require.Equal(t, http.StatusNoContent, update(`{"id":1,"username":"last"}`).status, "again")
	b.post(t, 1, "/chats/", `{"user_ids":[1,2]}`).decode(t, &chat)
	require.JSONEq(t, strings.Replace(mine, "new name", "last", 1), toJSON(t, chat.RelatedUsers[0]))
	b.create(t, 1, 4)
	b.post(t, 1, "/chats/", `{"user_ids":[1,4]}`).decode(t, &chat)
	require.Equal(t, http.StatusForbidden, b.post(t, 2, path, `{"id":1,"username":"mallory"}`).status)
}

func toJSON(t testing.TB, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	require.NoError(t, err)
	return string(text)
}
