package http_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"chat-messaging/handlers"
	rest "chat-messaging/http"
	"chat-messaging/queries"
	"chat-messaging/queries/queriestest"
)

func publicPEM(t testing.TB, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func privatePEM(t testing.TB, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func rsaKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	if bits < 1024 {
		t.Fatal("too small to make")
	}
	key, err := rsa.GenerateKey(rand.Reader, bits)
	require.NoError(t, err)
	return key
}

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	require.NoError(t, err)
	return key
}

func (b *bundle) statusOf(t testing.TB, token string) int {
	t.Helper()
	r := b.request(t, 0, http.MethodGet, "/chats/get-chats", "")
	r.Header.Set("Authorization", "Bearer "+token)
	return b.do(t, r).status
}

func TestAsymmetricKeys(t *testing.T) {
	t.Parallel()
	db := queriestest.New(t)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	for algorithm, key := range map[string]crypto.Signer{
		"RS256": rsaKey(t, 2048), "RS512": rsaKey(t, 2048),
		"ES256": ecKey(t, elliptic.P256()), "ES384": ecKey(t, elliptic.P384()), "ES512": ecKey(t, elliptic.P521()),
		"EdDSA": edKey,
	} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			public := publicPEM(t, key)
			b := startOn(t, db, func(c *rest.Config) {
				c.Algorithm, c.Key = algorithm, strings.ReplaceAll(public, "\n", `\n`)
			})
			good, err := rest.NewToken(algorithm, privatePEM(t, key), 1, time.Hour)
			require.NoError(t, err)
			require.Equal(t, 200, b.statusOf(t, good))
			require.Equal(t, 401, b.statusOf(t, signWith(t, jwt.SigningMethodHS256, []byte(public), nil)), "the public key is no secret")
			require.Equal(t, 401, b.statusOf(t, signWith(t, jwt.SigningMethodHS256, []byte(strings.TrimSpace(public)), nil)))
			require.Equal(t, 401, b.statusOf(t, signWith(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil)))
			require.Equal(t, 401, b.statusOf(t, signWith(t, jwt.SigningMethodRS256, rsaKey(t, 2048), nil)), "another key")
		})
	}
}

func TestRemoteKeys(t *testing.T) {
	t.Parallel()
	keys := map[string]*rsa.PrivateKey{"first": rsaKey(t, 2048), "second": rsaKey(t, 2048)}
	var away atomic.Bool
	away.Store(true)
	var named atomic.Value
	named.Store("first")
	jwks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if away.Load() {
			http.Error(w, "away", http.StatusBadGateway)
			return
		}
		name, _ := named.Load().(string)
		public := keys[name].PublicKey
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []map[string]string{{
			"kty": "RSA", "kid": name, "alg": "RS256", "use": "sig",
			"n": base64.RawURLEncoding.EncodeToString(public.N.Bytes()),
			"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(public.E)).Bytes()),
		}}})
	}))
	t.Cleanup(jwks.Close)
	b := start(t, func(c *rest.Config) { c.Algorithm, c.Key, c.JWKSURL = "RS256", "", jwks.URL })
	good := signWith(t, jwt.SigningMethodRS256, keys["first"], map[string]any{"kid": "first"})

	require.Equal(t, http.StatusServiceUnavailable, b.statusOf(t, good), "without keys nobody can be refused for good")
	away.Store(false)
	require.Eventually(t, func() bool { return b.statusOf(t, good) == http.StatusOK }, 15*time.Second, 100*time.Millisecond,
		"the keys are read when they can be")
	require.Equal(t, http.StatusOK, b.statusOf(t, signWith(t, jwt.SigningMethodRS256, keys["first"], nil)), "no kid")
	require.Equal(t, http.StatusUnauthorized, b.statusOf(t, signWith(t, jwt.SigningMethodRS256, keys["second"], map[string]any{"kid": "first"})))
	require.Equal(t, http.StatusUnauthorized, b.statusOf(t, signWith(t, jwt.SigningMethodRS256, keys["second"], map[string]any{"kid": "unknown"})))
	require.Equal(t, http.StatusUnauthorized, b.statusOf(t, signWith(t, jwt.SigningMethodHS256, []byte(publicPEM(t, keys["first"])), map[string]any{"kid": "first"})))
	named.Store("second")
	next := signWith(t, jwt.SigningMethodRS256, keys["second"], map[string]any{"kid": "second"})
	require.Eventually(t, func() bool { return b.statusOf(t, next) == http.StatusOK }, 15*time.Second, 100*time.Millisecond,
		"a key that is new is found")
}

func TestConfigRefused(t *testing.T) {
	t.Parallel()
	policy, err := handlers.DefaultPolicy()
	require.NoError(t, err)
	db, err := queries.Open(queries.Config{URL: queriestest.ServerURL()})
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	good := func() rest.Config {
		return rest.Config{Logger: slog.New(slog.DiscardHandler), API: true, DB: db, Policy: policy, Key: secret}
	}
	_, err = rest.New(good())
	require.NoError(t, err)
	for name, c := range map[string]struct {
		change func(*rest.Config)
		want   string
	}{
		"no logger":                           {func(c *rest.Config) { c.Logger = nil }, "Logger"},
		"no database":                         {func(c *rest.Config) { c.DB = nil }, "DB"},
		"no policy":                           {func(c *rest.Config) { c.Policy = nil }, "Policy"},
		"KEY empty":                           {func(c *rest.Config) { c.Key = "" }, "KEY is missing"},
		"KEY empty though short is all right": {func(c *rest.Config) { c.Key, c.AllowShortKey = "", true }, "KEY is missing"},
		"KEY short":                           {func(c *rest.Config) { c.Key = "short" }, "shorter than 32"},
		"KEY public, ALGORITHM secret":        {func(c *rest.Config) { c.Key = publicPEM(t, ecKey(t, elliptic.P256())) }, "PEM"},
		"KEY secret, ALGORITHM public":        {func(c *rest.Config) { c.Algorithm = "RS256" }, "PEM"},
		"KEY empty, ALGORITHM public":         {func(c *rest.Config) { c.Algorithm, c.Key = "RS256", "" }, "PEM"},
		"KEY of another kind":                 {func(c *rest.Config) { c.Algorithm, c.Key = "RS256", publicPEM(t, ecKey(t, elliptic.P256())) }, "not for this"},
		"KEY of another curve":                {func(c *rest.Config) { c.Algorithm, c.Key = "ES256", publicPEM(t, ecKey(t, elliptic.P384())) }, "not for this"},
		"KEY too weak":                        {func(c *rest.Config) { c.Algorithm, c.Key = "RS256", publicPEM(t, rsaKey(t, 1024)) }, "2048"},
		"ALGORITHM none":                      {func(c *rest.Config) { c.Algorithm = "none" }, "ALGORITHM"},
		"ALGORITHM unknown":                   {func(c *rest.Config) { c.Algorithm = "HS1" }, "ALGORITHM"},
		"ALGORITHM in lower case":             {func(c *rest.Config) { c.Algorithm = "hs256" }, "ALGORITHM"},
		"JWKS_URL with a secret":              {func(c *rest.Config) { c.JWKSURL = "http://auth/jwks" }, "JWKS_URL"},
		"JWKS_URL that is none":               {func(c *rest.Config) { c.Algorithm, c.JWKSURL = "RS256", "file:///etc/passwd" }, "JWKS_URL"},
		"AUTH_BACKEND_URL that is none":       {func(c *rest.Config) { c.AuthBackendURL = "auth_backend" }, "AUTH_BACKEND_URL"},
		"any origin":                          {func(c *rest.Config) { c.CORSOrigins = []string{"*"} }, "origin"},
		"a null origin":                       {func(c *rest.Config) { c.CORSOrigins = []string{"null"} }, "origin"},
		"an origin with a path":               {func(c *rest.Config) { c.CORSOrigins = []string{"http://localhost:3000/"} }, "origin"},
		"a check without a name":              {func(c *rest.Config) { c.Ready = []rest.Check{{}} }, "Ready"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := good()
			c.change(&config)
			_, err := rest.New(config)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), secret)
		})
	}
	t.Run("a short KEY, on request", func(t *testing.T) {
		t.Parallel()
		config := good()
		config.Key, config.AllowShortKey = "short", true
		_, err := rest.New(config)
		require.NoError(t, err)
	})
	t.Run("without the API nothing of it is needed", func(t *testing.T) {
		t.Parallel()
		_, err := rest.New(rest.Config{Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
	})
}
