package main

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// publicPEM and privatePEM encode keys as openssl would.
func publicPEM(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func privatePEM(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func TestWhichKeyGoesWithWhichAlgorithm(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaPEM, ecPEM, edPEM := publicPEM(t, rsaKey.Public()), publicPEM(t, p256.Public()), publicPEM(t, edKey.Public())
	const jwks = "JWKS_URL=https://auth.example/keys"

	tests := []struct {
		name    string
		environ []string
		problem string // the variable, empty when all is well
		want    string
	}{
		{"secret of 32 bytes", []string{"KEY=" + strings.Repeat("k", 32)}, "", ""},
		{"secret of 31 bytes", []string{"KEY=" + strings.Repeat("k", 31)}, "KEY", "KEY_ALLOW_SHORT=true"},
		{"short secret, allowed", []string{"KEY=k", "KEY_ALLOW_SHORT=true"}, "", ""},
		{"no secret", nil, "KEY", "not set"},
		{"no secret, though short ones are allowed", []string{"KEY_ALLOW_SHORT=true"}, "KEY", "not set"},
		{"no secret where there is no API", []string{"COMPONENTS=pipeline,relay"}, "", ""},
		{"public keys for a secret's algorithm", []string{goodKey, jwks}, "JWKS_URL", "HS256"},
		{"RSA key", []string{"ALGORITHM=RS256", "KEY=" + rsaPEM}, "", ""},
		{"RSA key on one line", []string{"ALGORITHM=rs512", "KEY=" + strings.ReplaceAll(rsaPEM, "\n", `\n`)}, "", ""},
		{"EC key", []string{"ALGORITHM=ES256", "KEY=" + ecPEM}, "", ""},
		{"Ed25519 key", []string{"ALGORITHM=EdDSA", "KEY=" + edPEM}, "", ""},
		{"EC key of another curve", []string{"ALGORITHM=ES384", "KEY=" + ecPEM}, "KEY", "another curve"},
		{"EC key for RSA", []string{"ALGORITHM=RS256", "KEY=" + ecPEM}, "KEY", "not a PEM public key for RS256"},
		{"RSA key for EC", []string{"ALGORITHM=ES256", "KEY=" + rsaPEM}, "KEY", "not a PEM public key for ES256"},
		{"RSA key for Ed25519", []string{"ALGORITHM=EdDSA", "KEY=" + rsaPEM}, "KEY", "not a PEM public key for EdDSA"},
		{"secret for RSA", []string{"ALGORITHM=RS256", goodKey}, "KEY", "not a PEM public key"},
		{"private key", []string{"ALGORITHM=RS256", "KEY=" + privatePEM(t, rsaKey)}, "KEY", "private key"},
		{"public keys by URL", []string{"ALGORITHM=RS256", jwks}, "", ""},
		{"neither key nor URL", []string{"ALGORITHM=RS256"}, "KEY", "not set"},
		{"both key and URL", []string{"ALGORITHM=RS256", "KEY=" + rsaPEM, jwks}, "JWKS_URL", "not clear"},
		{"URL of another kind", []string{"ALGORITHM=RS256", "JWKS_URL=file:///keys"}, "JWKS_URL", "not an HTTP URL"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := loadConfig(test.environ, noFile)
			var want []string
			if test.problem != "" {
				want = []string{test.problem}
			}
			if diff := cmp.Diff(want, problemKeys(t, err)); diff != "" {
				t.Fatalf("problems (-want +got):\n%s%v", diff, err)
			}
			if err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v\ndoes not say %q", err, test.want)
			}
			if err != nil && (strings.Contains(err.Error(), "BEGIN") || strings.Contains(err.Error(), "kkkk")) {
				t.Errorf("the error repeats the key: %v", err)
			}
		})
	}
}

func TestAWeakRSAKeyIsRefused(t *testing.T) {
	t.Parallel()
	// 1024 bits; made with openssl, because Go no longer generates such keys.
	const weak = `-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCw2Hl/+IIpcybmdzprMyLzvg62
z8T/AqYhHradU+vVGWB0hq6LvmdD/LBiiPvTtrmIRrKQnzQAvjFKdjdCwawruZEp
Mzyz8LfVr5YitnavLBQgiDdrmmAoIyrS6NylWamTmWQgA7XCVfZgKSOukujOFDij
iX1SIdVe+KMUcx8DUwIDAQAB
-----END PUBLIC KEY-----`
	if _, err := verificationKey("RS256", weak); err == nil || !strings.Contains(err.Error(), "less than 2048 bits") {
		t.Error(err)
	}
}

func TestTheVerificationKeyHasTheTypeThatTheAlgorithmNeeds(t *testing.T) {
	t.Parallel()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if key, err := verificationKey("HS256", "secret"); err != nil || !cmp.Equal(key, []byte("secret")) {
		t.Errorf("HS256: %T, %v", key, err)
	}
	if key, err := verificationKey("EdDSA", Secret(publicPEM(t, public))); err != nil || !public.Equal(key.(ed25519.PublicKey)) {
		t.Errorf("EdDSA: %T, %v", key, err)
	}
	if key, err := verificationKey("none", "secret"); err == nil {
		t.Errorf("none: %T", key)
	}
}

func TestWhatShouldNotBeUsedInProductionIsWarnedOf(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		environ []string
		want    string
	}{
		{"good key", []string{goodKey}, ""},
		{"sample key", []string{"KEY=" + sampleKey}, "sample"},
		{"short key", []string{"KEY=k", "KEY_ALLOW_SHORT=true"}, "short"},
		{"no API", []string{"KEY=" + sampleKey, "COMPONENTS=relay"}, ""},
	}
	for _, test := range tests {
		cfg, err := loadConfig(test.environ, noFile)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(cfg.Warnings(), "\n")
		if (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: warnings %q, want %q", test.name, got, test.want)
		}
	}
}
