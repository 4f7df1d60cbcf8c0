package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chat-messaging/http"
)

func TestOperators(t *testing.T) {
	t.Parallel()
	const secret, other = "hunter2-hunter2-", "hunter2.hunter2_"
	anna := http.Operator{Name: "anna", Role: http.RoleOperator, Secret: secret}
	tests := []struct {
		name, tokens string
		want         []http.Operator // nil: refused
	}{
		{"one", "anna:operator:" + secret, []http.Operator{anna}},
		{
			"two, with blanks and a comma at the end", " anna:operator:" + secret + " , bert@x:viewer:" + other + ",",
			[]http.Operator{anna, {Name: "bert@x", Role: http.RoleViewer, Secret: other}},
		},
		{"a secret of 15 characters", "anna:operator:" + secret[1:], nil},
		{"a secret that no header can carry", "anna:operator:hunter2 hunter2 hunter2", nil},
		{"a colon in the secret", "anna:operator:" + secret + ":", nil},
		{"no secret", "anna:operator", nil},
		{"no role", "anna::" + secret, nil},
		{"another role", "anna:admin:" + secret, nil},
		{"the role in capitals", "anna:Operator:" + secret, nil},
		{"no name", ":operator:" + secret, nil},
		{"a blank in the name", "a b:operator:" + secret, nil},
		{"two of one name", "anna:operator:" + secret + ",anna:viewer:" + other, nil},
		{"two of one secret", "anna:operator:" + secret + ",bert:viewer:" + secret, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cfg, err := loadConfig([]string{goodKey, "CONSOLE_TOKENS=" + test.tokens}, noFile)
			if test.want == nil {
				if diff := cmp.Diff([]string{"CONSOLE_TOKENS"}, problemKeys(t, err)); diff != "" {
					t.Errorf("problems (-want +got):\n%s", diff)
				}
				if strings.Contains(err.Error(), "hunter2") {
					t.Errorf("the error shows the secret: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, cfg.operators()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheRoleClaimIsOneOfItsOwn(t *testing.T) {
	t.Parallel()
	_, err := loadConfig([]string{goodKey, "CONSOLE_ROLE_CLAIM=user_id"}, noFile)
	if diff := cmp.Diff([]string{"CONSOLE_ROLE_CLAIM"}, problemKeys(t, err)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}
