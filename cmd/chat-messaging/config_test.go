package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const goodKey = "KEY=0123456789abcdef0123456789abcdef"

// noFile is a settings file that is not there, as in most deployments.
var noFile = envFile{path: "there-is-no-such.env"}

// writeFile returns the path of a file with the text, gone after the test.
func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "settings")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// problemKeys are the variables that the error complains of, in its order.
func problemKeys(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var invalid *configError
	if !errors.As(err, &invalid) {
		t.Fatalf("not a configError: %v", err)
	}
	var keys []string
	for _, p := range invalid.problems {
		keys = append(keys, p.key)
	}
	return keys
}

func TestEveryVariableReachesItsField(t *testing.T) {
	t.Parallel()
	policies := writeFile(t, "")
	got, err := loadConfig([]string{
		"DATABASE_URL=postgresql://u:p@db/chat", "RABBITMQ_URL=amqps://u:p@mq/chat",
		"DATABASE_EXCHANGE_NAME=in", "DATABASE_QUEUE_NAME=in.q", "DELIVERY_EXCHANGE_NAME=websockets",
		"DELIVERY_ROUTING=user", "POISON_QUEUE_NAME=bad", "AMQP_DECLARE=false", "QUEUE_TYPE=classic",
		"PREFETCH=300", "BATCH_SIZE=200", "BATCH_LINGER=2ms", "MAX_BODY_BYTES=100",
		"COMPONENTS=http, pipeline", "SHUTDOWN_GRACE=1m", "POLICY_FILE=" + policies, "POISON_RETENTION=24h",
		"HTTP_ADDR=127.0.0.1:0", "CORS_ORIGINS=https://a.example, http://b.example:81",
		"KEY=short", "KEY_ALLOW_SHORT=true", "ALGORITHM=HS512", "AUTH_BACKEND_URL=https://auth/base", "REST_RATE_LIMIT=7",
		"CONSOLE_TOKENS=anna:viewer:0123456789abcdef", "CONSOLE_ROLE_CLAIM=role",
		"LOG_LEVEL=DEBUG", "LOG_FORMAT=text",
	}, noFile)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		DatabaseURL: "postgresql://u:p@db/chat", RabbitMQURL: "amqps://u:p@mq/chat",
		DatabaseExchangeName: "in", DatabaseQueueName: "in.q", DeliveryExchangeName: "websockets",
		DeliveryRouting: "user", PoisonQueueName: "bad", AMQPDeclare: false, QueueType: "classic",
		Prefetch: 300, BatchSize: 200, BatchLinger: 2 * time.Millisecond, MaxBodyBytes: 100,
		Components: commaList{"http", "pipeline"}, ShutdownGrace: time.Minute, PolicyFile: policies, PoisonRetention: 24 * time.Hour,
		HTTPAddr: "127.0.0.1:0", CORSOrigins: commaList{"https://a.example", "http://b.example:81"},
		Key: "short", KeyAllowShort: true, Algorithm: "HS512", AuthBackendURL: "https://auth/base", RESTRateLimit: 7,
		ConsoleTokens: "anna:viewer:0123456789abcdef", ConsoleRoleClaim: "role",
		LogLevel: "debug", LogFormat: "text",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !got.Has("http") || got.Has("relay") {
		t.Errorf("components %v: Has is wrong", got.Components)
	}
}

func TestDefaultsThatDependOnOtherSettings(t *testing.T) {
	t.Parallel()
	got, err := loadConfig([]string{goodKey, "DATABASE_QUEUE_NAME=inbox", "PREFETCH=10"}, noFile)
	if err != nil {
		t.Fatal(err)
	}
	if got.PoisonQueueName != "inbox.poison" {
		t.Errorf("poison queue %q", got.PoisonQueueName)
	}
	if got.BatchSize != 10 {
		t.Errorf("batch size %d, want no more than PREFETCH", got.BatchSize)
	}
}

func TestAnEmptyVariableCountsAsUnset(t *testing.T) {
	t.Parallel()
	unset, err := loadConfig([]string{goodKey}, noFile)
	if err != nil {
		t.Fatal(err)
	}
	environ := []string{}
	for key := range configSpecs() {
		environ = append(environ, key+"=")
	}
	empty, err := loadConfig(append(environ, goodKey), noFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(unset, empty); diff != "" {
		t.Errorf("(-unset +empty):\n%s", diff)
	}
}

func TestUnusableValuesAreNamedWithWhatIsAllowed(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("q", 256)
	tests := []struct {
		name    string
		environ string
		key     string
		want    string
	}{
		{"database of another kind", "DATABASE_URL=mysql://h/d", "DATABASE_URL", `"mysql://h/d"`},
		{"database URL without a host", "DATABASE_URL=postgres:///d", "DATABASE_URL", "names no host"},
		{"database URL without a database", "DATABASE_URL=postgres://h", "DATABASE_URL", "names no database"},
		{"database URL with a wrong parameter", "DATABASE_URL=postgres://h/d?sslmode=maybe", "DATABASE_URL", "parameter"},
		{"broker of another kind", "RABBITMQ_URL=http://h", "RABBITMQ_URL", "allowed: amqp://"},
		{"broker URL with a blank", "RABBITMQ_URL=amqp://h/my vhost", "RABBITMQ_URL", "not a usable AMQP URL"},
		{"name too long for AMQP", "DATABASE_QUEUE_NAME=" + long, "DATABASE_QUEUE_NAME", "at most 255 bytes"},
		{"queue name too long for its poison queue", "DATABASE_QUEUE_NAME=" + long[:250], "POISON_QUEUE_NAME", "at most 255 bytes"},
		{"poison queue name too long", "POISON_QUEUE_NAME=" + long, "POISON_QUEUE_NAME", "at most 255 bytes"},
		{"exchange name too long", "DATABASE_EXCHANGE_NAME=" + long, "DATABASE_EXCHANGE_NAME", "at most 255 bytes"},
		{"events that come back in", "DELIVERY_EXCHANGE_NAME=database", "DELIVERY_EXCHANGE_NAME", "come back"},
		{"poison that comes back in", "POISON_QUEUE_NAME=database.primary", "POISON_QUEUE_NAME", "come back"},
		{"unknown routing", "DELIVERY_ROUTING=fanout", "DELIVERY_ROUTING", `="fanout": not one of the known values (allowed: fanin, user)`},
		{"unknown queue type", "QUEUE_TYPE=stream", "QUEUE_TYPE", "allowed: quorum, classic"},
		{"neither true nor false", "AMQP_DECLARE=yes", "AMQP_DECLARE", "allowed: true, false"},
		{"no prefetch", "PREFETCH=0", "PREFETCH", "allowed: 1 to 65535"},
		{"prefetch beyond AMQP", "PREFETCH=65536", "PREFETCH", "out of range"},
		{"number beyond all bounds", "PREFETCH=99999999999999999999", "PREFETCH", "out of range"},
		{"no number", "PREFETCH=many", "PREFETCH", `="many": not a whole number`},
		{"no batch", "BATCH_SIZE=0", "BATCH_SIZE", "out of range"},
		{"batch above prefetch", "BATCH_SIZE=2001", "BATCH_SIZE", "PREFETCH, which is 2000"},
		{"linger below zero", "BATCH_LINGER=-1ms", "BATCH_LINGER", "allowed: 0s to 1s"},
		{"linger too long", "BATCH_LINGER=1001ms", "BATCH_LINGER", "out of range"},
		{"duration without a unit", "SHUTDOWN_GRACE=10", "SHUTDOWN_GRACE", "such as 500ms or 10s"},
		{"no grace", "SHUTDOWN_GRACE=0s", "SHUTDOWN_GRACE", "allowed: 1ms to 10m"},
		{"empty bodies only", "MAX_BODY_BYTES=-1", "MAX_BODY_BYTES", "allowed: 1 to 262144"},
		{"body above the payload", "MAX_BODY_BYTES=262145", "MAX_BODY_BYTES", "out of range"},
		{"unknown component", "COMPONENTS=pipeline,htttp", "COMPONENTS", `no component "htttp"`},
		{"no component", "COMPONENTS=,", "COMPONENTS", "names no component"},
		{"policies that are not there", "POLICY_FILE=/no/such/file", "POLICY_FILE", "cannot be opened"},
		{"policies that are a folder", "POLICY_FILE=/", "POLICY_FILE", "not a file"},
		{"address without a port", "HTTP_ADDR=localhost", "HTTP_ADDR", "not an address"},
		{"port by name", "HTTP_ADDR=:http", "HTTP_ADDR", "from 0 to 65535"},
		{"port too high", "HTTP_ADDR=:65536", "HTTP_ADDR", "from 0 to 65535"},
		{"any origin", "CORS_ORIGINS=*", "CORS_ORIGINS", "not an origin"},
		{"origins by pattern", "CORS_ORIGINS=https://*.example.org", "CORS_ORIGINS", "not an origin"},
		{"origin with a path", "CORS_ORIGINS=https://a.example,https://b.example/", "CORS_ORIGINS", "nothing after them"},
		{"origin without a scheme", "CORS_ORIGINS=localhost:3000", "CORS_ORIGINS", "not an origin"},
		{"unknown algorithm", "ALGORITHM=HS1", "ALGORITHM", "allowed: HS256, "},
		{"no signature", "ALGORITHM=none", "ALGORITHM", `="none": not one of the known values`},
		{"auth service without a scheme", "AUTH_BACKEND_URL=auth_backend:8000", "AUTH_BACKEND_URL", "not an HTTP URL"},
		{"unknown level", "LOG_LEVEL=verbose", "LOG_LEVEL", "allowed: trace, debug, info, warn, error"},
		{"level by number", "LOG_LEVEL=INFO+2", "LOG_LEVEL", "not one of the known values"},
		{"unknown format", "LOG_FORMAT=xml", "LOG_FORMAT", "allowed: json, text"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := loadConfig([]string{goodKey, test.environ}, noFile)
			if diff := cmp.Diff([]string{test.key}, problemKeys(t, err)); diff != "" {
				t.Fatalf("problems (-want +got):\n%s%v", diff, err)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v\ndoes not say %q", err, test.want)
			}
		})
	}
}

func TestAllProblemsAreReportedAtOnceInTheOrderOfTheFile(t *testing.T) {
	t.Parallel()
	_, err := loadConfig([]string{"LOG_LEVEL=loud", "PREFETCH=x", "QUEUE_TYPE=y", "SHUTDOWN_GRACE=never"}, noFile)
	want := []string{"QUEUE_TYPE", "PREFETCH", "SHUTDOWN_GRACE", "KEY", "LOG_LEVEL"}
	if diff := cmp.Diff(want, problemKeys(t, err)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if lines := strings.Count(err.Error(), "\n"); lines != len(want) {
		t.Errorf("%d lines of problems in %q, want %d", lines, err, len(want))
	}
}

func TestAVerbThatNeedsOneSettingIgnoresTheOthers(t *testing.T) {
	t.Parallel()
	environ := []string{"PREFETCH=x", "DATABASE_URL=postgres://h/d"}
	cfg, err := loadConfig(environ, noFile, "DATABASE_URL")
	if err != nil || cfg.DatabaseURL != "postgres://h/d" {
		t.Errorf("%v, %v", cfg.DatabaseURL, err)
	}
	_, err = loadConfig(environ, noFile, "PREFETCH", "DATABASE_URL")
	if diff := cmp.Diff([]string{"PREFETCH"}, problemKeys(t, err)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestUnusedVariablesAreNotAProblem(t *testing.T) {
	t.Parallel()
	if _, err := loadConfig([]string{goodKey, "PREFECH=1", "HOME=/", "BROKEN"}, noFile); err != nil {
		t.Error(err)
	}
}

func TestASocketOfPostgresMayBeNamed(t *testing.T) {
	t.Parallel()
	if _, err := loadConfig([]string{goodKey, "DATABASE_URL=postgres:///chat?host=/var/run/postgresql&sslmode=disable"}, noFile); err != nil {
		t.Error(err)
	}
}
