package http

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cenkalti/backoff/v5"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sony/gobreaker/v2"

	"chat-messaging/queries"
)

const (
	maxUsersInfo   = 1 << 20
	breakAfter     = 5
	retryPause     = 50 * time.Millisecond
	retryPauseMost = 500 * time.Millisecond
)

// authService asks the auth service for details of users. It sends ids and
// nothing else: no token of a user ever reaches it from here.
type authService struct {
	url     string
	client  *http.Client
	breaker *gobreaker.CircuitBreaker[[]queries.User]
	tries   uint
	openFor time.Duration
	asked   *prometheus.CounterVec
}

func newAuthService(c Config, m *metrics) *authService {
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: c.AuthTimeout}).DialContext,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     30 * time.Second,
	}
	return &authService{
		url:     strings.TrimSuffix(c.AuthBackendURL, "/") + "/users/get-users-info",
		client:  &http.Client{Transport: transport, Timeout: c.AuthTimeout, CheckRedirect: stayHome},
		tries:   uint(max(c.AuthRetries, 0)) + 1,
		openFor: c.AuthOpenFor,
		asked:   m.auth,
		breaker: gobreaker.NewCircuitBreaker[[]queries.User](gobreaker.Settings{
			Name: "auth service", Timeout: c.AuthOpenFor,
			ReadyToTrip: func(counts gobreaker.Counts) bool { return counts.ConsecutiveFailures >= breakAfter },
			// An answer that makes no sense is an answer.
			IsSuccessful: func(err error) bool { return !errors.Is(err, errAway) },
			IsExcluded:   func(err error) bool { return errors.Is(err, context.Canceled) },
		}),
	}
}

func (a *authService) close() {
	a.client.CloseIdleConnections()
}

// stayHome follows a redirect to a different spelling of the path, and never one
// to another host or one that would turn the request into a GET.
func stayHome(next *http.Request, via []*http.Request) error {
	first := via[0]
	if len(via) > 2 || next.Method != first.Method || next.URL.Host != first.URL.Host || next.URL.Scheme != first.URL.Scheme {
		return http.ErrUseLastResponse
	}
	return nil
}

// errAway is what is worth another try.
var errAway = errors.New("the auth service does not answer")

// users returns the details of the users, ascending by id like ids. The error is
// a problem: which users are unknown, or that nothing can be known now.
func (a *authService) users(ctx context.Context, ids []int64) ([]queries.User, error) {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = retryPause, retryPauseMost
	found, err := backoff.Retry(ctx, func() ([]queries.User, error) {
		found, err := a.breaker.Execute(func() ([]queries.User, error) { return a.ask(ctx, ids) })
		a.count(err)
		if err != nil && !errors.Is(err, errAway) {
			return nil, backoff.Permanent(err)
		}
		return found, err
	}, backoff.WithBackOff(pause), backoff.WithMaxTries(a.tries))
	var p problem
	switch {
	case err == nil:
	case errors.As(err, &p):
		return nil, err
	case ctx.Err() != nil:
		return nil, fmt.Errorf("asking the auth service: %w", ctx.Err())
	default:
		p = problemAuthServiceAway
		p.retryAfter = max(int(a.openFor.Seconds()), 1)
		return nil, fmt.Errorf("%w: %w", p, err)
	}
	if unknown := missing(ids, found); len(unknown) > 0 {
		return nil, unknownUsers(unknown)
	}
	return found, nil
}

func (a *authService) count(err error) {
	outcome := "ok"
	switch {
	case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests):
		outcome = "skipped"
	case errors.Is(err, errAway):
		outcome = "away"
	case err != nil:
		outcome = "fault"
	}
	a.asked.WithLabelValues(outcome).Inc()
}

// ask makes one request.
func (a *authService) ask(ctx context.Context, ids []int64) ([]queries.User, error) {
	question, err := json.Marshal(map[string][]int64{"user_ids": ids})
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, bytes.NewReader(question))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	r.Header.Set(headerRequestID, exchangeOf(ctx).id)
	response, err := a.client.Do(r)
	if err != nil {
		return nil, away(ctx, err)
	}
	defer func() { _ = response.Body.Close() }()
	switch {
	case response.StatusCode >= http.StatusInternalServerError || response.StatusCode == http.StatusTooManyRequests:
		return nil, fmt.Errorf("%w: status %d", errAway, response.StatusCode)
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%w: status %d", problemAuthService, response.StatusCode)
	}
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxUsersInfo+1))
	if err != nil {
		return nil, away(ctx, err)
	}
	return parseUsers(answer, ids)
}

func away(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err() // the client went, not the auth service
	}
	return fmt.Errorf("%w: %w", errAway, err)
}

// parseUsers reads the answer. Nothing of it is used unless all of it is about
// users who were asked for.
func parseUsers(answer []byte, ids []int64) ([]queries.User, error) {
	senseless := func(what string) error { return fmt.Errorf("%w: %s", problemAuthService, what) }
	if len(answer) > maxUsersInfo {
		return nil, senseless("the answer is too large")
	}
	if !utf8.Valid(answer) || tooDeep(answer) || !jsontext.Value(answer).IsValid() {
		return nil, senseless("the answer is not valid JSON")
	}
	if bytes.Contains(answer, []byte(`\u0000`)) {
		return nil, senseless("it contains NUL, which is no text to Postgres")
	}
	objects, ok := elementsOf(answer)
	if !ok {
		return nil, senseless("the answer is not a list")
	}
	var users []queries.User
	for _, object := range objects {
		user, err := userID(object)
		switch {
		case err != nil:
			return nil, senseless(err.Error())
		case !slices.Contains(ids, user):
			return nil, senseless("it is about a user who was not asked for")
		case slices.ContainsFunc(users, func(u queries.User) bool { return u.ID == user }):
			return nil, senseless("a user comes twice")
		}
		if err := object.Compact(); err != nil {
			return nil, senseless("a user is not valid JSON")
		}
		users = append(users, queries.User{ID: user, Details: object})
	}
	slices.SortFunc(users, func(a, b queries.User) int { return int(a.ID - b.ID) })
	return users, nil
}

// userID reads the id of a user object.
func userID(object jsontext.Value) (int64, error) {
	if object.Kind() != '{' {
		return 0, errors.New("a user is not an object")
	}
	d := jsontext.NewDecoder(bytes.NewReader(object))
	_, _ = d.ReadToken()
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return 0, errors.New("a user is not valid JSON")
		}
		isID := name.String() == "id"
		value, err := d.ReadValue()
		if err != nil {
			return 0, errors.New("a user is not valid JSON")
		}
		if isID {
			return positiveInteger(value)
		}
	}
	return 0, errors.New("a user has no id")
}

func missing(ids []int64, users []queries.User) []int64 {
	var unknown []int64
	for _, want := range ids {
		if !slices.ContainsFunc(users, func(u queries.User) bool { return u.ID == want }) {
			unknown = append(unknown, want)
		}
	}
	return unknown
}
