package main

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/caarlos0/env/v11"
)

// The parts of the service that COMPONENTS switches on.
const (
	componentPipeline = "pipeline"
	componentRelay    = "relay"
	componentHTTP     = "http"
	componentPoison   = "poison"
)

// Config is every setting of the service, as its environment gives it. An
// empty variable counts as unset. The tags are the one place that says what a
// setting is called, what it is when unset and what it may be; env_example.txt
// explains each to the operator, and a test keeps the two equal.
type Config struct {
	// Where the service's own state is.
	DatabaseURL SecretURL `env:"DATABASE_URL" envDefault:"postgres://postgres@127.0.0.1:5432/chat_messaging?sslmode=disable" allowed:"postgres://user:password@host:port/database?sslmode=…"`

	// The broker and the names on it.
	RabbitMQURL          SecretURL `env:"RABBITMQ_URL" envDefault:"amqp://guest:guest@127.0.0.1:5672/" allowed:"amqp://user:password@host:port/vhost or amqps://…, reserved characters percent-encoded"`
	DatabaseExchangeName string    `env:"DATABASE_EXCHANGE_NAME" envDefault:"database" maxlen:"255"`
	DatabaseQueueName    string    `env:"DATABASE_QUEUE_NAME" envDefault:"database.primary" maxlen:"255"`
	DeliveryExchangeName string    `env:"DELIVERY_EXCHANGE_NAME" envDefault:"delivery" maxlen:"255"`
	DeliveryRouting      string    `env:"DELIVERY_ROUTING" envDefault:"fanin" oneof:"fanin user"`
	PoisonQueueName      string    `env:"POISON_QUEUE_NAME" allowed:"a name of at most 255 bytes"` // unset: the queue's name and ".poison"
	AMQPDeclare          bool      `env:"AMQP_DECLARE" envDefault:"true"`
	QueueType            string    `env:"QUEUE_TYPE" envDefault:"quorum" oneof:"quorum classic"`

	// How much is in flight at once.
	Prefetch     int           `env:"PREFETCH" envDefault:"2000" min:"1" max:"65535"`
	BatchSize    int           `env:"BATCH_SIZE" envDefault:"1000" min:"1" max:"65535"` // unset: never above Prefetch
	BatchLinger  time.Duration `env:"BATCH_LINGER" envDefault:"0s" min:"0s" max:"1s"`
	MaxBodyBytes int           `env:"MAX_BODY_BYTES" envDefault:"16384" min:"1" max:"262144"`

	// What this process does.
	Components    commaList     `env:"COMPONENTS" envDefault:"pipeline,relay,http,poison" allowed:"one or more of pipeline, relay, http, poison, separated by commas"`
	ShutdownGrace time.Duration `env:"SHUTDOWN_GRACE" envDefault:"10s" min:"1ms" max:"10m"`
	PolicyFile    string        `env:"POLICY_FILE" allowed:"the path of a readable file of Cedar policies"` // unset: the embedded policies

	// Poisoned messages.
	PoisonRetention time.Duration `env:"POISON_RETENTION" envDefault:"720h" min:"0s" max:"87600h"`

	// The REST API.
	HTTPAddr       string    `env:"HTTP_ADDR" envDefault:":8002" allowed:"host:port or :port, with a port from 0 to 65535"`
	CORSOrigins    commaList `env:"CORS_ORIGINS" envDefault:"http://localhost:3000" allowed:"origins such as https://chat.example.org, separated by commas; no *, because credentials are allowed"`
	Key            Secret    `env:"KEY" allowed:"what the auth service signs with: a secret of 32 bytes or more for HS*, else a PEM public key"`
	KeyAllowShort  bool      `env:"KEY_ALLOW_SHORT" envDefault:"false"`
	Algorithm      string    `env:"ALGORITHM" envDefault:"HS256" oneof:"HS256 HS384 HS512 RS256 RS384 RS512 ES256 ES384 ES512 EdDSA"`
	JWKSURL        SecretURL `env:"JWKS_URL" allowed:"http://… or https://…"`
	AuthBackendURL SecretURL `env:"AUTH_BACKEND_URL" envDefault:"http://auth_backend:8000" allowed:"http://… or https://…"`
	RESTRateLimit  int       `env:"REST_RATE_LIMIT" envDefault:"200" min:"0" max:"1000000"` // 0: no bound

	// Operators.
	ConsoleTokens    Secret `env:"CONSOLE_TOKENS" allowed:"name:role:secret, separated by commas; the role viewer or operator, the secret 16 or more letters, digits, -, _ and ."`
	ConsoleRoleClaim string `env:"CONSOLE_ROLE_CLAIM" maxlen:"255"` // unset: no user is an operator

	// Logs and traces.
	LogLevel  string `env:"LOG_LEVEL" envDefault:"info" oneof:"trace debug info warn error"`
	LogFormat string `env:"LOG_FORMAT" envDefault:"json" oneof:"json text"`

	CollectorURL SecretURL `env:"OPENTELEMETRY_COLLECTOR_URL" allowed:"http://… or https://…"` // unset: no traces
}

// Has tells whether COMPONENTS names the component.
func (c Config) Has(component string) bool {
	return slices.Contains(c.Components, component)
}

// loadConfig reads the settings from environ ("NAME=value", as os.Environ has
// them) and, for names that are not in it, from envFile. All that is wrong is
// reported at once, in a *configError; secrets are not printed.
//
// A verb that needs a few settings names them in only: it then works whatever
// the others are. Without names every setting must be right.
func loadConfig(environ []string, file envFile, only ...string) (Config, error) {
	values, err := readEnvironment(environ, file)
	if err != nil {
		return Config{}, err
	}
	cfg, found, err := parseConfig(values)
	if err != nil {
		return Config{}, err
	}
	cfg.complete(values)
	cfg.validate(found)

	if len(only) > 0 {
		found.list = slices.DeleteFunc(found.list, func(p problem) bool {
			return !slices.Contains(only, p.key)
		})
	}
	if len(found.list) > 0 {
		return Config{}, &configError{problems: found.list}
	}
	return cfg, nil
}

// parseConfig fills the fields and collects the values that are not even of
// the right type.
func parseConfig(values map[string]string) (Config, *problems, error) {
	var cfg Config
	found := &problems{values: values, specs: configSpecs()}
	err := env.ParseWithOptions(&cfg, env.Options{Environment: values})
	if err == nil {
		return cfg, found, nil
	}
	var all env.AggregateError
	if !errors.As(err, &all) {
		return Config{}, nil, fmt.Errorf("reading the environment: %w", err)
	}
	for _, one := range all.Errors {
		var parse env.ParseError
		if !errors.As(one, &parse) {
			return Config{}, nil, fmt.Errorf("reading the environment: %w", one)
		}
		field, _ := reflect.TypeFor[Config]().FieldByName(parse.Name)
		found.add(field.Tag.Get("env"), parseFault(field.Type, parse.Err))
	}
	return cfg, found, nil
}

// complete fills in the defaults that depend on other settings.
func (c *Config) complete(values map[string]string) {
	if c.PoisonQueueName == "" {
		c.PoisonQueueName = c.DatabaseQueueName + ".poison"
	}
	if values["BATCH_SIZE"] == "" && c.Prefetch > 0 {
		c.BatchSize = min(c.BatchSize, c.Prefetch)
	}
	c.Key = unescapePEM(c.Key, c.Algorithm)
}
