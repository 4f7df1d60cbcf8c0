package main

import (
	"fmt"
	"regexp"
	"strings"

	"chat-messaging/http"
)

var (
	operatorName = regexp.MustCompile(`^[\p{L}\p{N}._@-]{1,64}$`)
	// operatorSecret is what may stand in a bearer header.
	operatorSecret = regexp.MustCompile(`^[A-Za-z0-9._-]{16,}$`)
)

// operators reads CONSOLE_TOKENS, which the validation has found to be right.
func (c Config) operators() []http.Operator {
	operators, _ := parseOperators(string(c.ConsoleTokens))
	return operators
}

// parseOperators reads "anna:operator:secret,bert:viewer:other", and says what is
// wrong with it without repeating it.
func parseOperators(text string) (operators []http.Operator, fault string) {
	names, secrets := map[string]bool{}, map[string]bool{}
	for entry := range strings.SplitSeq(text, ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		name, rest, _ := strings.Cut(entry, ":")
		role, secret, whole := strings.Cut(rest, ":")
		operators = append(operators, http.Operator{Name: name, Role: http.Role(role), Secret: secret})
		what := ""
		switch {
		case !whole:
			what = "is not name:role:secret"
		case !operatorName.MatchString(name):
			what = "has a name of other than 1 to 64 letters, digits, ., _, @ and -"
		case names[name]:
			what = "has the name of another one"
		case role != string(http.RoleViewer) && role != string(http.RoleOperator):
			what = "is neither viewer nor operator"
		case !operatorSecret.MatchString(secret):
			what = "has a secret that is too short, or that no header can carry"
		case secrets[secret]:
			what = "has the secret of another one"
		}
		if what != "" {
			return nil, fmt.Sprintf("entry %d %s", len(operators), what)
		}
		names[name], secrets[secret] = true, true
	}
	return operators, ""
}

func (c *Config) checkOperators(found *problems) {
	if _, fault := parseOperators(string(c.ConsoleTokens)); fault != "" {
		found.add("CONSOLE_TOKENS", fault)
	}
	switch c.ConsoleRoleClaim {
	case "user_id", "exp", "nbf", "iat":
		found.add("CONSOLE_ROLE_CLAIM", "that claim means something else")
	}
}
