package http_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"chat-messaging/queries/queriestest"
)

// noon is when the tests with a fixed clock take place.
var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func segment(text string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

// forge makes a token of the texts as they are, with a genuine signature.
func forge(header, claims string) string {
	return forgeWith(sha256.New, secret, header, claims)
}

func forgeWith(algorithm func() hash.Hash, key, header, claims string) string {
	signed := segment(header) + "." + segment(claims)
	mac := hmac.New(algorithm, []byte(key))
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

const hs256 = `{"alg":"HS256","typ":"JWT"}`

// claimsOf are claims that are valid at noon, with more.
func claimsOf(more string) string {
	return `{"exp":1767357000,"iat":1767355200` + more + `}` // 12:30 and 12:00
}

func forgeSHA512(header, claims string) string {
	return forgeWith(sha512.New, secret, header, claims)
}

func signWith(t testing.TB, method jwt.SigningMethod, key any, headers map[string]any) string {
	t.Helper()
	token := jwt.NewWithClaims(method, jwt.MapClaims{"user_id": 1, "exp": time.Now().Add(time.Hour).Unix()})
	maps.Copy(token.Header, headers)
	signed, err := token.SignedString(key)
	require.NoError(t, err)
	return signed
}

// flip changes one bit of the signature's first byte.
func flip(signature string) string {
	raw, _ := base64.RawURLEncoding.DecodeString(signature)
	raw[0] ^= 1
	return base64.RawURLEncoding.EncodeToString(raw)
}

// hs256Swap puts other claims into a signed token.
func hs256Swap(token, claims string) string {
	parts := strings.Split(token, ".")
	return parts[0] + "." + segment(claims) + "." + parts[2]
}

// chatOf stores a chat and returns its id as on the wire.
func chatOf(t testing.TB, b *bundle, members ...int64) string {
	t.Helper()
	return strconv.FormatInt(queriestest.Chat(t, b.db, members...), 10)
}
