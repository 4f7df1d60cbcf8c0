package queries_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

func TestListChats(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	reader := queries.NewReader(db)
	t.Cleanup(reader.Close)
	require.NoError(t, reader.SaveUsers(t.Context(), time.Now(), []queries.User{
		{ID: 1, Details: []byte(`{"id":1,"username":"one","extra":{"deep":[1.0]}}`)},
		{ID: 2, Details: []byte(`{"id":2,"username":"two"}`)},
	}))
	var ids []int64
	for other := int64(2); other <= 6; other++ {
		chat := queriestest.Chat(t, db, 1, other)
		fill(t, db, chat, int(other))
		ids = append(ids, chat)
	}
	queriestest.Chat(t, db, 1, 100) // has no messages
	fill(t, db, queriestest.Chat(t, db, 2, 3), 1)

	t.Run("pages cover every chat with messages once", func(t *testing.T) {
		t.Parallel()
		var seen []int64
		after := int64(0)
		for {
			page, err := reader.ListChats(t.Context(), 1, queries.Page{After: after, Limit: 2, LastMessage: true})
			require.NoError(t, err)
			for _, c := range page {
				seen = append(seen, c.ID)
				after = c.ID
				require.Equal(t, c.LastSeq, c.LastMessage.Seq)
				require.Equal(t, c.ID, c.LastMessage.ChatID)
				require.Equal(t, c.Members[1], c.LastSeq)
			}
			if len(page) < 2 {
				break
			}
		}
		require.ElementsMatch(t, ids, seen)
		require.IsIncreasing(t, seen)
	})
	t.Run("details are those of the members, as stored", func(t *testing.T) {
		t.Parallel()
		want := map[int64]string{
			2: `[{"id":1,"username":"one","extra":{"deep":[1.0]}},{"id":2,"username":"two"}]`,
			3: `[{"id":1,"username":"one","extra":{"deep":[1.0]}},{"id":3,"username":null,"avatar_url":null}]`,
		}
		page, err := reader.ListChats(t.Context(), 1, queries.Page{Limit: 100})
		require.NoError(t, err)
		for _, c := range page {
			require.Nil(t, c.LastMessage)
			require.Equal(t, c.Members[1] != 2, c.Incomplete)
			if text, ok := want[c.Members[1]]; ok {
				require.Equal(t, text, string(c.RelatedUsers))
			}
		}
	})
	t.Run("one chat", func(t *testing.T) {
		t.Parallel()
		c, err := reader.UserChat(t.Context(), ids[0])
		require.NoError(t, err)
		require.Equal(t, []int64{1, 2}, c.Members)
		require.Equal(t, int64(2), c.LastMessage.Seq)
		_, err = reader.UserChat(t.Context(), 5)
		require.ErrorIs(t, err, queries.ErrNotFound)
	})
	t.Run("the chat of a set of users", func(t *testing.T) {
		t.Parallel()
		c, now, err := reader.FindChat(t.Context(), []int64{1, 2})
		require.NoError(t, err)
		require.Equal(t, ids[0], c.ID)
		require.False(t, c.Incomplete)
		require.WithinDuration(t, time.Now(), now, time.Minute)
		c, _, err = reader.FindChat(t.Context(), []int64{1, 77})
		require.NoError(t, err)
		require.Nil(t, c)
	})
}

func TestUserDetails(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	reader := queries.NewReader(db)
	t.Cleanup(reader.Close)
	queriestest.Chat(t, db, 1, 2)
	details := func() string {
		c, _, err := reader.FindChat(t.Context(), []int64{1, 2})
		require.NoError(t, err)
		return string(c.RelatedUsers)
	}
	save := func(askedAt time.Time, object string) {
		require.NoError(t, reader.SaveUsers(t.Context(), askedAt, []queries.User{{ID: 1, Details: []byte(object)}}))
	}
	const unknown = `{"id":2,"username":null,"avatar_url":null}`
	before := time.Now().Add(-time.Hour)

	save(before, `{"id":1,"username":"first","n":1.50,"big":12345678901234567890}`)
	require.NoError(t, reader.UpdateUser(t.Context(), 1, []byte(`{"id":1,"username":"second"}`)))
	require.JSONEq(t, `[{"id":1,"username":"second","n":1.5,"big":12345678901234567890},`+unknown+`]`, details())
	require.Contains(t, details(), "1.50", "a value's text must be kept")

	save(before, `{"id":1,"username":"stale","more":true}`)
	require.JSONEq(t, `[{"id":1,"username":"second","n":1.5,"big":12345678901234567890,"more":true},`+unknown+`]`, details(),
		"an older answer only adds what is missing")

	save(time.Now().Add(time.Hour), `{"id":1,"username":"newest"}`)
	require.JSONEq(t, `[{"id":1,"username":"newest"},`+unknown+`]`, details(), "a newer answer replaces")

	require.NoError(t, reader.UpdateUser(t.Context(), 2, []byte(`{"id":2,"username":"early"}`)))
	require.JSONEq(t, `[{"id":1,"username":"newest"},{"id":2,"username":"early"}]`, details(),
		"details of a user who was never asked for are kept for when they are")
}
