package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestURLsAreShownWithoutTheirSecrets(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, url, want string }{
		{"nothing", "", ""},
		{"no secret", "amqp://mq:5672/chat", "amqp://mq:5672/chat"},
		{"user without a password", "postgres://postgres@h/d", "postgres://postgres@h/d"},
		{"password", "amqp://u:hunter2@mq/chat", "amqp://u:xxxxx@mq/chat"},
		{"empty user", "amqp://:hunter2@mq/chat", "amqp://:xxxxx@mq/chat"},
		{"password as a parameter", "postgres://h/d?password=hunter2&sslmode=disable", "postgres://h/d?password=xxxxx&sslmode=disable"},
		{"token as a parameter", "https://h/keys?api_Token=hunter2", "https://h/keys?api_Token=xxxxx"},
		{"token as the user", "https://hunter2@h/", "https://xxxxx@h/"},
		{"slash in the password", "amqp://u:1/hunter2@mq", "xxxxx"},
		{"question mark in the password", "amqp://u:1?hunter2@mq", "xxxxx"},
		{"hash in the password", "amqp://u:1#hunter2@mq", "xxxxx"},
		{"no scheme", "u:hunter2@mq", "xxxxx"},
		{"no slashes", "amqp:u:hunter2@mq", "xxxxx"},
		{"not a URL", "amqp://u:hunter2@mq:port", "xxxxx"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := SecretURL(test.url).String(); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestNoWayOfPrintingShowsTheSecretsOfAConfig(t *testing.T) {
	t.Parallel()
	cfg, err := loadConfig([]string{
		"KEY=hunter2-hunter2-hunter2-hunter2-hunter2",
		"DATABASE_URL=postgres://u:hunter2@h/d",
		"RABBITMQ_URL=amqp://u:hunter2@h/v",
		"AUTH_BACKEND_URL=http://u:hunter2@h",
		"CONSOLE_TOKENS=anna:operator:hunter2-hunter2-hunter2",
	}, noFile)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, value := range []any{cfg, &cfg, cfg.Key, cfg.DatabaseURL, cfg.Redacted()} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			_, _ = fmt.Fprintf(&out, format+"\n", value)
		}
		if err := json.NewEncoder(&out).Encode(value); err != nil {
			t.Error(err)
		}
		newLogger(&out, "info", "json").Info("configuration", "config", value)
		newLogger(&out, "info", "text").Info("configuration", "config", value)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("configuration", "config", value)
	}
	if text := out.String(); strings.Contains(text, "hunter2") {
		i := strings.Index(text, "hunter2")
		t.Errorf("shown in …%s…", text[max(0, i-200):i+20])
	}
}

func TestTheConfigurationIsLoggedByTheNamesOfItsVariables(t *testing.T) {
	t.Parallel()
	cfg, err := loadConfig([]string{goodKey}, noFile)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	newLogger(&out, "info", "json").Info("configuration", "config", cfg)
	var line struct{ Config map[string]string }
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	for key := range configSpecs() {
		if _, ok := line.Config[key]; !ok {
			t.Errorf("%s is missing", key)
		}
	}
	for key, want := range map[string]string{
		"RABBITMQ_URL": "amqp://guest:xxxxx@127.0.0.1:5672/", "KEY": "xxxxx", "JWKS_URL": "",
		"COMPONENTS": "pipeline,relay,http,poison", "POISON_RETENTION": "720h0m0s", "SHUTDOWN_GRACE": "10s", "PREFETCH": "2000",
		"POISON_QUEUE_NAME": "database.primary.poison", "AMQP_DECLARE": "true",
	} {
		if got := line.Config[key]; got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
}
