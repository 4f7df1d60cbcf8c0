package http_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	rest "chat-messaging/http"
)

// FuzzCursor: a text is a cursor only if it is exactly what we would write, and
// only of the chat that it was written for.
func FuzzCursor(f *testing.F) {
	codec, err := rest.NewCodec(secret)
	require.NoError(f, err)
	other, err := rest.NewCodec(secret + "!")
	require.NoError(f, err)
	for _, position := range []int64{0, 1, 42, 1<<63 - 1, -1} {
		f.Add(codec.Encode(7, position, position%2 == 0, true), int64(7))
		f.Add(other.Encode(7, position, false, false), int64(7))
	}
	f.Add("", int64(1))
	f.Add("null", int64(1))
	f.Add(strings.Repeat("A", 35), int64(1))
	f.Fuzz(func(t *testing.T, text string, owner int64) {
		position, newer, ascending, err := codec.Decode(text, owner)
		if err != nil {
			return
		}
		require.GreaterOrEqual(t, position, int64(0))
		require.Equal(t, text, codec.Encode(owner, position, newer, ascending))
		_, _, _, err = codec.Decode(text, owner+1)
		require.Error(t, err)
		_, _, _, err = other.Decode(text, owner)
		require.Error(t, err)
	})
}

// FuzzClaims: whatever claims are signed, the user is the one that stands there
// letter by letter, or nobody.
func FuzzClaims(f *testing.F) {
	for _, claims := range []string{
		claimsOf(`,"user_id":1`), claimsOf(`,"user_id":9007199254740993`), claimsOf(`,"user_id":"1"`), claimsOf(`,"user_id":1.0`),
		claimsOf(`,"user_id":1,"user_id":2`), claimsOf(`,"USER_ID":1`), `{"user_id":1,"exp":"1767357000"}`, `{"user_id":1,"exp":1e400}`,
		`{"user_id":1}`, `[]`, `null`, ``, `{`, claimsOf(`,"user_id":1`) + `x`, `{"user_id":1,"exp":1767357000,"nbf":null}`,
	} {
		f.Add(hs256, claims)
	}
	f.Add(`{"alg":"none"}`, claimsOf(`,"user_id":1`))
	f.Add(`{"alg":"HS256","crit":[]}`, claimsOf(`,"user_id":1`))
	f.Fuzz(func(t *testing.T, header, claims string) {
		user, err := rest.VerifyToken(secret, noon, forge(header, claims))
		if err != nil {
			require.Zero(t, user)
			return
		}
		require.Positive(t, user)
		var members map[string]json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(claims), &members))
		require.Equal(t, strconv.FormatInt(user, 10), string(members["user_id"]))
		var expires float64
		require.NoError(t, json.Unmarshal(members["exp"], &expires))
		require.Greater(t, expires+30, float64(noon.Unix()))
		var head struct{ Alg string }
		require.NoError(t, json.Unmarshal([]byte(header), &head))
	})
}

// FuzzToken: without the secret no text is a token.
func FuzzToken(f *testing.F) {
	good := forge(hs256, claimsOf(`,"user_id":1`))
	f.Add(good[:len(good)-1])
	f.Add("a.b.c")
	f.Add("..")
	f.Add(segment(`{"alg":"none"}`) + "." + segment(claimsOf(`,"user_id":1`)) + ".")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.NewReplacer("\r", "", "\n", "").Replace(text) == good { // base64 skips them; bearer does not let them in
			return
		}
		_, err := rest.VerifyToken(secret, noon, text)
		require.Error(t, err)
	})
}
