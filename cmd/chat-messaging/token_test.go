package main

import (
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func TestATokenIsWhatTheAuthServiceWouldSign(t *testing.T) {
	t.Parallel()
	_, key, _ := strings.Cut(goodKey, "=")
	for _, algorithm := range []string{"HS256", "HS384", "HS512"} {
		got := execute(t, []string{goodKey, "ALGORITHM=" + algorithm}, "token", "--user", "9007199254740993", "--ttl", "90m")
		if got.code != exitOK {
			t.Fatalf("%s: exit code %d, stderr %q", algorithm, got.code, got.stderr)
		}
		var claims tokenClaims
		_, err := jwt.ParseWithClaims(strings.TrimSpace(got.stdout), &claims,
			func(*jwt.Token) (any, error) { return []byte(key), nil },
			jwt.WithValidMethods([]string{algorithm}), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
		if err != nil {
			t.Fatalf("%s: %v", algorithm, err)
		}
		if claims.UserID != 9007199254740993 {
			t.Errorf("%s: user %d", algorithm, claims.UserID)
		}
		if ttl := claims.ExpiresAt.Sub(claims.IssuedAt.Time); ttl != 90*time.Minute {
			t.Errorf("%s: valid for %v", algorithm, ttl)
		}
		if age := time.Since(claims.IssuedAt.Time); age < 0 || age > time.Minute {
			t.Errorf("%s: issued %v ago", algorithm, age)
		}
	}
}

func TestATokenNeedsASharedSecret(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		environ []string
		want    string
	}{
		{"no key", nil, "KEY"},
		{"no key and no API", []string{"COMPONENTS=relay"}, "KEY is not set"},
		{"algorithm with a public key", []string{"ALGORITHM=RS256", "COMPONENTS=relay"}, "RS256"},
		{"unknown algorithm", []string{goodKey, "ALGORITHM=none"}, "ALGORITHM"},
	}
	for _, test := range tests {
		got := execute(t, test.environ, "token", "--user", "1")
		if got.code != exitFailed || !strings.Contains(got.stderr, test.want) || got.stdout != "" {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", test.name, got.code, got.stdout, got.stderr)
		}
	}
}
