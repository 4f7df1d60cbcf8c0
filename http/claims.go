package http

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"
)

// claims are what a token says that matters here. jwt's own types would turn
// 2^53+1 into the user next to it, take "5" for a number and let the last of two
// user_id claims win.
type claims struct {
	userID                     int64
	expires, notBefore, issued *jwt.NumericDate
	// roleClaim is the name of the claim that makes a user an operator, "" if none
	// does; the parser's user sets it.
	roleClaim string
	role      Role
}

// UnmarshalJSON reads the claims, names to the letter and each at most once.
func (c *claims) UnmarshalJSON(data []byte) error {
	d := jsontext.NewDecoder(bytes.NewReader(data)) // refuses repeated names and bad UTF-8
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return errors.New("the claims are not an object")
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return fmt.Errorf("reading a claim: %w", err)
		}
		claim := name.String()
		value, err := d.ReadValue()
		if err != nil {
			return fmt.Errorf("reading a claim: %w", err)
		}
		if err := c.set(claim, value); err != nil {
			return err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return fmt.Errorf("reading the claims: %w", err)
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the claims")
	}
	if c.userID == 0 {
		return errors.New("user_id is missing")
	}
	return nil
}

func (c *claims) set(name string, value jsontext.Value) (err error) {
	switch name {
	case "user_id":
		if c.userID, err = positiveInteger(value); err != nil {
			return fmt.Errorf("user_id: %w", err)
		}
	case "exp":
		c.expires, err = numericDate(value)
	case "nbf":
		c.notBefore, err = numericDate(value)
	case "iat":
		c.issued, err = numericDate(value)
	default:
		if name == c.roleClaim && name != "" {
			c.role = roleIn(value)
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

var errNotAnID = errors.New("not a positive integer")

// positiveInteger reads a JSON integer from 1 to 2^63-1, written as one: not a
// string, and without fraction or exponent.
func positiveInteger(value jsontext.Value) (int64, error) {
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, errNotAnID
		}
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || n == 0 {
		return 0, errNotAnID
	}
	return n, nil
}

// roleIn reads the highest role that a claim names, alone or in a list. A claim
// that holds something else is somebody else's and makes nobody an operator.
func roleIn(value jsontext.Value) Role {
	var names []string
	var name string
	if json.Unmarshal(value, &name) == nil {
		names = []string{name}
	} else if json.Unmarshal(value, &names) != nil {
		return ""
	}
	var found Role
	for _, role := range []Role{RoleViewer, RoleOperator} {
		if slices.Contains(names, string(role)) {
			found = role
		}
	}
	return found
}

// lastSecond is the end of the year 9999. What lies beyond is not a date but a
// mistake in the unit.
const lastSecond = 253402300799

// numericDate reads seconds since 1970, as a JSON number.
func numericDate(value jsontext.Value) (*jwt.NumericDate, error) {
	if value.Kind() != '0' {
		return nil, errors.New("not a number")
	}
	seconds, err := strconv.ParseFloat(string(value), 64)
	if err != nil || seconds < 0 || seconds > lastSecond {
		return nil, errors.New("not a date")
	}
	return &jwt.NumericDate{Time: time.UnixMilli(int64(seconds * 1000))}, nil
}

// The rest implements jwt.Claims.

func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.expires, nil }
func (c *claims) GetNotBefore() (*jwt.NumericDate, error)      { return c.notBefore, nil }
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error)       { return c.issued, nil }
func (c *claims) GetIssuer() (string, error)                   { return "", nil }
func (c *claims) GetSubject() (string, error)                  { return "", nil }
func (c *claims) GetAudience() (jwt.ClaimStrings, error)       { return nil, nil }
