package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

const (
	shortestKey = 32   // bytes, for HMAC
	shortestRSA = 2048 // bits

	// sampleKey is the KEY of env_example.txt.
	sampleKey = "sample-key-for-local-use-only-replace-me"
)

// checkKey makes sure that tokens can be verified, and by nobody else's key:
// the wrong key for an algorithm is how a public key becomes an HMAC secret.
func (c *Config) checkKey(found *problems) {
	if !c.Has(componentHTTP) || found.has("ALGORITHM") {
		return
	}
	switch {
	case isHMAC(c.Algorithm) && c.JWKSURL != "":
		found.add("JWKS_URL", "set although ALGORITHM is "+c.Algorithm+", whose key is KEY and not public")
	case c.Key != "" && c.JWKSURL != "":
		found.add("JWKS_URL", "set beside KEY: which of the two holds is not clear")
	case c.JWKSURL != "":
		return
	case c.Key == "":
		found.add("KEY", "not set, and COMPONENTS has http")
	case isHMAC(c.Algorithm) && c.KeyAllowShort:
		return
	case isHMAC(c.Algorithm) && len(c.Key) < shortestKey:
		found.add("KEY", fmt.Sprintf("shorter than %d bytes, so that it can be guessed; "+
			"KEY_ALLOW_SHORT=true accepts it all the same", shortestKey))
	default:
		if _, err := verificationKey(c.Algorithm, c.Key); err != nil {
			found.add("KEY", err.Error())
		}
	}
}

// Warnings are the settings that work but should not be used in production.
func (c Config) Warnings() []string {
	if !c.Has(componentHTTP) || !isHMAC(c.Algorithm) {
		return nil
	}
	var warnings []string
	if c.Key == sampleKey {
		warnings = append(warnings, "KEY is the sample of env_example.txt: anyone can sign tokens")
	}
	if len(c.Key) < shortestKey {
		warnings = append(warnings, "KEY is short enough to be guessed: anyone may come to sign tokens")
	}
	return warnings
}

func isHMAC(algorithm string) bool { return strings.HasPrefix(algorithm, "HS") }

// verificationKey returns KEY as what the algorithm verifies with: []byte for
// HS*, *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey. Its errors do
// not repeat the key.
func verificationKey(algorithm string, key Secret) (any, error) {
	if strings.Contains(string(key), "PRIVATE KEY") {
		return nil, errors.New("a private key, which only the auth service may have: give the public one")
	}
	unreadable := fmt.Errorf("not a PEM public key for %s", algorithm)
	switch method := jwt.GetSigningMethod(algorithm).(type) {
	case *jwt.SigningMethodHMAC:
		return []byte(key), nil
	case *jwt.SigningMethodRSA:
		public, err := jwt.ParseRSAPublicKeyFromPEM([]byte(key))
		if err != nil {
			return nil, unreadable
		}
		if public.N.BitLen() < shortestRSA {
			return nil, fmt.Errorf("an RSA key of less than %d bits", shortestRSA)
		}
		return public, nil
	case *jwt.SigningMethodECDSA:
		public, err := jwt.ParseECPublicKeyFromPEM([]byte(key))
		if err != nil {
			return nil, unreadable
		}
		if public.Curve.Params().BitSize != method.CurveBits {
			return nil, fmt.Errorf("on another curve than that of %s", algorithm)
		}
		return public, nil
	case *jwt.SigningMethodEd25519:
		public, err := jwt.ParseEdPublicKeyFromPEM([]byte(key))
		if err != nil {
			return nil, unreadable
		}
		return public, nil
	default:
		return nil, fmt.Errorf("no key fits the unknown algorithm %q", algorithm)
	}
}

// unescapePEM turns \n into line ends: files for containers cannot hold a
// variable of several lines, so that is how public keys are written there.
func unescapePEM(key Secret, algorithm string) Secret {
	if isHMAC(strings.ToUpper(algorithm)) {
		return key
	}
	return Secret(strings.ReplaceAll(string(key), `\n`, "\n"))
}
