package http

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// family is a kind of signature; it decides what a key must look like.
type family int

const (
	familySecret family = iota
	familyRSA
	familyECDSA
	familyEdDSA
)

// algorithms are those that tokens may be signed with. There is no "none".
var algorithms = map[string]family{
	"HS256": familySecret, "HS384": familySecret, "HS512": familySecret,
	"RS256": familyRSA, "RS384": familyRSA, "RS512": familyRSA,
	"PS256": familyRSA, "PS384": familyRSA, "PS512": familyRSA,
	"ES256": familyECDSA, "ES384": familyECDSA, "ES512": familyECDSA,
	"EdDSA": familyEdDSA,
}

// curveBits ties an ECDSA algorithm to its curve, as RFC 7518 does.
var curveBits = map[string]int{"ES256": 256, "ES384": 384, "ES512": 521}

const minRSABits = 2048

// newKeySource loads the key, or says where it will come from.
func newKeySource(c Config) (keySource, error) {
	kind, known := algorithms[c.Algorithm]
	if !known {
		return nil, fmt.Errorf("ALGORITHM %q is none of HS256/384/512, RS*, PS*, ES*, EdDSA", c.Algorithm)
	}
	if c.JWKSURL != "" {
		if kind == familySecret {
			return nil, fmt.Errorf("JWKS_URL holds public keys: ALGORITHM cannot be %s", c.Algorithm)
		}
		return newRemoteKeys(c), nil
	}
	if kind == familySecret {
		if err := checkSecret(c); err != nil {
			return nil, err
		}
		return fixedKey{[]byte(c.Key)}, nil
	}
	key, err := parsePublicKey(c.Algorithm, c.Key)
	if err != nil {
		return nil, fmt.Errorf("KEY for %s: %w", c.Algorithm, err)
	}
	return fixedKey{key}, nil
}

func checkSecret(c Config) error {
	switch {
	case c.Key == "":
		return errors.New("KEY is missing: an empty one would accept anybody's tokens")
	case strings.Contains(c.Key, "-----BEGIN "):
		return fmt.Errorf("KEY is a PEM key, which others may know: as a secret for %s it would accept anybody's tokens", c.Algorithm)
	case len(c.Key) < minKeyBytes && !c.AllowShortKey:
		return fmt.Errorf("KEY is shorter than %d bytes and could be guessed from one token", minKeyBytes)
	}
	return nil
}

// fixedKey is the one key from the configuration.
type fixedKey struct{ value any }

func (k fixedKey) key(context.Context, *jwt.Token) (any, error) { return k.value, nil }
func (k fixedKey) start() error                                 { return nil }
func (k fixedKey) stop()                                        {}

// parsePublicKey reads a public key, a certificate or a private key, of which
// it takes the public half. Line ends may be written as \n, as .env files do.
func parsePublicKey(algorithm, text string) (crypto.PublicKey, error) {
	key, err := parsePEM(text)
	if err != nil {
		return nil, err
	}
	if private, ok := key.(crypto.Signer); ok {
		key = private.Public()
	}
	if err := fits(algorithm, key); err != nil {
		return nil, err
	}
	return key, nil
}

func parsePEM(text string) (any, error) {
	block, _ := pem.Decode([]byte(strings.ReplaceAll(text, `\n`, "\n")))
	if block == nil {
		return nil, errors.New("it must be a key in PEM")
	}
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return certificate.PublicKey, nil
	case "PRIVATE KEY":
		return x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, errors.New("the PEM block is not a key")
	}
}

// fits tells whether the public key is one for the algorithm.
func fits(algorithm string, key any) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if algorithms[algorithm] != familyRSA {
			break
		}
		if k.N.BitLen() < minRSABits {
			return fmt.Errorf("an RSA key needs at least %d bits", minRSABits)
		}
		return nil
	case *ecdsa.PublicKey:
		if k.Curve.Params().BitSize == curveBits[algorithm] {
			return nil
		}
	case ed25519.PublicKey:
		if algorithms[algorithm] == familyEdDSA {
			return nil
		}
	}
	return fmt.Errorf("a %T is not for this algorithm", key)
}
