package http_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	rest "chat-messaging/http"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	var fetched atomic.Int32
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fetched.Add(1) }))
	t.Cleanup(trap.Close)
	b := start(t, func(c *rest.Config) { c.Now = func() time.Time { return noon } })
	good := forge(hs256, claimsOf(`,"user_id":1`))
	dot := strings.LastIndex(good, ".")
	user := func(value string) string { return forge(hs256, claimsOf(`,"user_id":`+value)) }
	at := func(claim, value string) string {
		return forge(hs256, `{"user_id":1,"exp":1767357000,"`+claim+`":`+value+`}`)
	}
	expiring := func(value string) string { return forge(hs256, `{"user_id":1,"exp":`+value+`}`) }
	const seconds = 1767355200 // noon
	bearer := func(token string) []string { return []string{"Bearer " + token} }

	cases := []struct {
		name          string
		authorization []string
		want          int
	}{
		{"a good token", bearer(good), 200},
		{"no header", nil, 401},
		{"an empty header", []string{""}, 401},
		{"the scheme alone", []string{"Bearer"}, 401},
		{"no token behind the scheme", []string{"Bearer "}, 401},
		{"another scheme", []string{"Basic " + good}, 401},
		{"the scheme in lower case", []string{"bearer " + good}, 200},
		{"two spaces", []string{"Bearer  " + good}, 401},
		{"two headers", []string{"Bearer " + good, "Bearer " + good}, 401},
		{"a list", []string{"Bearer " + good + ", Bearer " + good}, 401},
		{"no scheme", []string{good}, 401},

		{"alg none, no signature", bearer(segment(`{"alg":"none"}`) + "." + segment(claimsOf(`,"user_id":1`)) + "."), 401},
		{"alg none, signed", bearer(forge(`{"alg":"none"}`, claimsOf(`,"user_id":1`))), 401},
		{"alg None", bearer(forge(`{"alg":"None"}`, claimsOf(`,"user_id":1`))), 401},
		{"alg NONE", bearer(forge(`{"alg":"NONE"}`, claimsOf(`,"user_id":1`))), 401},
		{"alg nOnE", bearer(forge(`{"alg":"nOnE"}`, claimsOf(`,"user_id":1`))), 401},
		{"alg missing", bearer(forge(`{"typ":"JWT"}`, claimsOf(`,"user_id":1`))), 401},
		{"alg a number", bearer(forge(`{"alg":256}`, claimsOf(`,"user_id":1`))), 401},
		{"alg of another case", bearer(forge(`{"alg":"hs256"}`, claimsOf(`,"user_id":1`))), 401},
		{"HS512 with our key", bearer(forgeSHA512(`{"alg":"HS512"}`, claimsOf(`,"user_id":1`))), 401},
		{"HS384 with our key", bearer(forgeSHA512(`{"alg":"HS384"}`, claimsOf(`,"user_id":1`))), 401},
		{"RS256 signed with our secret", bearer(forge(`{"alg":"RS256"}`, claimsOf(`,"user_id":1`))), 401},

		{"kid that is a path", bearer(forge(`{"alg":"HS256","kid":"../../dev/null"}`, claimsOf(`,"user_id":1`))), 200},
		{"kid that is SQL", bearer(forge(`{"alg":"HS256","kid":"' OR 1=1 --"}`, claimsOf(`,"user_id":1`))), 200},
		{"kid, jku, x5u and jwk that point elsewhere", bearer(forge(
			`{"alg":"HS256","kid":"`+trap.URL+`","jku":"`+trap.URL+`","x5u":"`+trap.URL+`","jwk":{"kty":"oct","k":"AA"}}`,
			claimsOf(`,"user_id":1`))), 200},
		{"crit that must be understood", bearer(forge(`{"alg":"HS256","crit":["b64"],"b64":false}`, claimsOf(`,"user_id":1`))), 401},

		{"long expired", bearer(expiring(fmt.Sprint(seconds - 3600))), 401},
		{"expired by the leeway", bearer(expiring(fmt.Sprint(seconds - 30))), 401},
		{"expired by less than the leeway", bearer(expiring(fmt.Sprint(seconds - 29))), 200},
		{"no exp", bearer(forge(hs256, `{"user_id":1}`)), 401},
		{"exp null", bearer(expiring("null")), 401},
		{"nbf in the future", bearer(at("nbf", fmt.Sprint(seconds+31))), 401},
		{"nbf within the leeway", bearer(at("nbf", fmt.Sprint(seconds+30))), 200},
		{"iat in the future", bearer(at("iat", fmt.Sprint(seconds+31))), 401},
		{"iat within the leeway", bearer(at("iat", fmt.Sprint(seconds+30))), 200},
		{"nbf a string", bearer(at("nbf", `"1"`)), 401},
		{"exp a string", bearer(expiring(`"9999999999"`)), 401},
		{"exp beyond any number", bearer(expiring("1e400")), 401},
		{"exp in milliseconds", bearer(expiring("1767357000000")), 401},
		{"exp negative", bearer(expiring("-1")), 401},
		{"exp with a fraction", bearer(expiring("1767357000.5")), 200},
		{"exp twice", bearer(forge(hs256, `{"user_id":1,"exp":1767357000,"exp":1767357000}`)), 401},

		{"another key's signature", bearer(forgeWith(sha256.New, "another secret", hs256, claimsOf(`,"user_id":1`))), 401},
		{"an empty signature", bearer(good[:dot+1]), 401},
		{"one bit off", bearer(good[:dot+1] + flip(good[dot+1:])), 401},
		{"a truncated signature", bearer(good[:len(good)-4]), 401},
		{"other claims under the signature", bearer(hs256Swap(good, claimsOf(`,"user_id":2`))), 401},
		{"two parts", bearer(good[:dot]), 401},
		{"four parts", bearer(good + ".x"), 401},
		{"padding", bearer(good + "="), 401},
		{"whitespace inside", bearer(good[:10] + "\t" + good[10:]), 401},
		{"a space behind", bearer(good + " x"), 401},
		{"characters of the other base64", bearer(strings.ReplaceAll(good, "-", "+") + "/"), 401},
		{"claims that are not JSON", bearer(forge(hs256, "x")), 401},
		{"claims that are a list", bearer(forge(hs256, `[{"user_id":1}]`)), 401},
		{"claims with something behind", bearer(forge(hs256, claimsOf(`,"user_id":1`)+"{}")), 401},
		{"claims that are null", bearer(forge(hs256, `null`)), 401},
		{"claims in bad UTF-8", bearer(forge(hs256, claimsOf(`,"user_id":1,"x":"`+"\xff"+`"`))), 401},
		{"claims nested deeply", bearer(forge(hs256, claimsOf(`,"user_id":1,"x":`+strings.Repeat("[", 3000)+strings.Repeat("]", 3000)))), 200},

		{"user_id missing", bearer(forge(hs256, claimsOf(``))), 401},
		{"user_id null", bearer(user("null")), 401},
		{"user_id a string", bearer(user(`"5"`)), 401},
		{"user_id 5.0", bearer(user("5.0")), 401},
		{"user_id 5.5", bearer(user("5.5")), 401},
		{"user_id 5e0", bearer(user("5e0")), 401},
		{"user_id true", bearer(user("true")), 401},
		{"user_id a list", bearer(user("[5]")), 401},
		{"user_id an object", bearer(user("{}")), 401},
		{"user_id 0", bearer(user("0")), 401},
		{"user_id negative", bearer(user("-5")), 401},
		{"user_id 2^63", bearer(user("9223372036854775808")), 401},
		{"user_id of thirty digits", bearer(user(strings.Repeat("9", 30))), 401},
		{"user_id 2^63-1", bearer(user("9223372036854775807")), 200},
		{"USER_ID", bearer(forge(hs256, claimsOf(`,"USER_ID":1`))), 401},
		{"user_id with a long s", bearer(forge(hs256, claimsOf(`,"u\u017fer_id":1`))), 401},
		{"user_id written with escapes", bearer(forge(hs256, claimsOf(`,"\u0075ser_id":1`))), 200},
		{"user_id twice", bearer(forge(hs256, claimsOf(`,"user_id":1,"user_id":2`))), 401},
		{"user_id twice, once with escapes", bearer(forge(hs256, claimsOf(`,"user_id":1,"\u0075ser_id":2`))), 401},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := b.request(t, 0, http.MethodGet, "/chats/get-chats", "")
			if c.authorization != nil {
				r.Header["Authorization"] = c.authorization
			}
			a := b.do(t, r)
			require.Equal(t, c.want, a.status, "%s", a.body)
			if c.want == http.StatusUnauthorized {
				require.Equal(t, "urn:chat-messaging:problem:unauthenticated", a.problem(t).Type)
				require.True(t, strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer "))
			}
		})
	}
	t.Run("a token elsewhere is no token, and is not logged", func(t *testing.T) {
		t.Parallel()
		r := b.request(t, 0, http.MethodGet, "/chats/get-chats?token="+good+"&access_token="+good, "")
		r.AddCookie(&http.Cookie{Name: "token", Value: good})
		require.Equal(t, http.StatusUnauthorized, b.do(t, r).status)
		require.Equal(t, http.StatusNotFound, b.get(t, 0, "/"+good).status)
		require.NotContains(t, b.logs.String(), good[:20])
	})
	t.Run("2^53+1 is not the user next to it", func(t *testing.T) {
		t.Parallel()
		const exact, neighbour = "9007199254740993", "9007199254740992"
		_, err := b.db.Exec(`INSERT INTO users (id, details) VALUES (` + exact + `, '{"id":` + exact + `}'), (2, '{"id":2}')`)
		require.NoError(t, err)
		id := chatOf(t, b, 2, 9007199254740993)
		for claim, want := range map[string]int{exact: 200, neighbour: 404} {
			r := b.request(t, 0, http.MethodGet, "/chats/"+id, "")
			r.Header.Set("Authorization", "Bearer "+user(claim))
			require.Equal(t, want, b.do(t, r).status, claim)
		}
	})
	t.Cleanup(func() { require.Zero(t, fetched.Load(), "nothing that a token names may be fetched") })
}

func TestTokenGoesOutWhileInUse(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	now.Store(noon.Unix())
	b := start(t, func(c *rest.Config) { c.Now = func() time.Time { return time.Unix(now.Load(), 0) } })
	short := forge(hs256, fmt.Sprintf(`{"user_id":1,"exp":%d}`, noon.Unix()+5))
	long := forge(hs256, claimsOf(`,"user_id":1`))
	for range 3 {
		require.Equal(t, http.StatusOK, b.statusOf(t, short))
		require.Equal(t, http.StatusOK, b.statusOf(t, long))
	}
	now.Add(5 + 29)
	require.Equal(t, http.StatusOK, b.statusOf(t, short), "within the leeway")
	now.Add(1)
	require.Equal(t, http.StatusUnauthorized, b.statusOf(t, short))
	now.Add(120)
	require.Equal(t, http.StatusOK, b.statusOf(t, long))
	now.Add(3600)
	require.Equal(t, http.StatusUnauthorized, b.statusOf(t, long))
}
