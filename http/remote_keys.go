package http

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

const (
	keysTimeout = 2 * time.Second
	keysMaxAge  = 5 * time.Minute
	// keysMinAge bounds how often tokens with an unknown key id make us ask.
	keysMinAge   = 5 * time.Second
	keysMaxBytes = 1 << 20
)

// errKeysAway tells a key that cannot be looked up now from a token
// that names a wrong one.
var errKeysAway = errors.New("no keys have been read yet")

// remoteKeys are the public keys behind JWKS_URL. They are read at start, every
// few minutes, and when a token names a key that is not among them.
type remoteKeys struct {
	url       string
	algorithm string
	log       *slog.Logger
	transport *http.Transport
	cancel    context.CancelFunc
	keys      keyfunc.Keyfunc
}

func newRemoteKeys(c Config) *remoteKeys {
	return &remoteKeys{url: c.JWKSURL, algorithm: c.Algorithm, log: c.Logger, transport: &http.Transport{}}
}

// start reads the keys. That they cannot be read now is no reason not to start.
func (k *remoteKeys) start() error {
	ctx, cancel := context.WithCancel(context.Background())
	keys, err := keyfunc.NewDefaultOverrideCtx(ctx, []string{k.url}, keyfunc.Override{
		Client:            &http.Client{Transport: &cappedTransport{k.transport, keysMaxBytes}, Timeout: keysTimeout},
		HTTPTimeout:       keysTimeout,
		RefreshInterval:   keysMaxAge,
		RefreshUnknownKID: rate.NewLimiter(rate.Every(keysMinAge), 1),
		// This bounds the wait for the limiter and the request after it.
		RateLimitWaitMax: keysTimeout,
		RefreshErrorHandlerFunc: func(string) func(context.Context, error) {
			return func(ctx context.Context, err error) {
				k.log.LogAttrs(ctx, slog.LevelError, "reading the token keys failed", slog.Any("err", err))
			}
		},
	})
	if err != nil {
		cancel()
		return fmt.Errorf("reading JWKS_URL: %w", err)
	}
	k.keys, k.cancel = keys, cancel
	return nil
}

func (k *remoteKeys) stop() {
	if k.cancel != nil {
		k.cancel()
	}
	k.transport.CloseIdleConnections()
}

func (k *remoteKeys) key(ctx context.Context, token *jwt.Token) (any, error) {
	found, err := k.keys.KeyfuncCtx(ctx)(token)
	set, isSet := found.(jwt.VerificationKeySet)
	if err == nil && !isSet {
		return found, fits(k.algorithm, found)
	}
	if err == nil && len(set.Keys) > 0 {
		return k.fitting(set), nil
	}
	if err == nil {
		// The token names no key, and there are none: any name makes us ask again.
		_, err = k.keys.Storage().KeyRead(ctx, "")
	}
	if all, readErr := k.keys.Storage().KeyReadAll(ctx); readErr == nil && len(all) == 0 {
		return nil, errors.Join(errKeysAway, err)
	}
	return nil, fmt.Errorf("looking for the token's key: %w", err)
}

// fitting are the keys for a token that names none.
func (k *remoteKeys) fitting(set jwt.VerificationKeySet) jwt.VerificationKeySet {
	var usable jwt.VerificationKeySet
	for _, key := range set.Keys {
		if fits(k.algorithm, key) == nil {
			usable.Keys = append(usable.Keys, key)
		}
	}
	return usable
}

// cappedTransport cuts off answers that are larger than anything sensible.
type cappedTransport struct {
	next http.RoundTripper
	max  int64
}

// RoundTrip implements http.RoundTripper.
func (t *cappedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(r)
	if err == nil {
		response.Body = &cappedBody{io.LimitReader(response.Body, t.max), response.Body}
	}
	return response, err
}

type cappedBody struct {
	io.Reader
	io.Closer
}
