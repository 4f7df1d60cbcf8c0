package http

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// NewToken signs a token as the auth service does, for the tests of package http_test. key
// is the secret, or for an asymmetric algorithm the private key in PEM.
func NewToken(algorithm, key string, user int64, validFor time.Duration) (string, error) {
	if user <= 0 {
		return "", errors.New("signing a token: the user id must be a positive integer")
	}
	kind, known := algorithms[algorithm]
	if !known {
		return "", fmt.Errorf("signing a token: unknown algorithm %q", algorithm)
	}
	var signer any = []byte(key)
	if kind != familySecret {
		var err error
		if signer, err = parsePEM(key); err != nil {
			return "", fmt.Errorf("signing a token: %w", err)
		}
	} else if strings.TrimSpace(key) == "" {
		return "", errors.New("signing a token: KEY is missing")
	}
	now := time.Now()
	token, err := jwt.NewWithClaims(jwt.GetSigningMethod(algorithm), jwt.MapClaims{
		"user_id": user, "iat": now.Unix(), "exp": now.Add(validFor).Unix(),
	}).SignedString(signer)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return token, nil
}
