package main

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/lib/pq"
	amqp "github.com/rabbitmq/amqp091-go"
)

const longestName = 255 // bytes, the bound of AMQP

// validate adds all that is wrong with c to found, and puts values of fixed
// lists into the lists' spelling.
func (c *Config) validate(found *problems) {
	fields := reflect.ValueOf(c).Elem()
	for i := range fields.NumField() {
		s := found.specs[fields.Type().Field(i).Tag.Get("env")]
		if reason := s.check(fields.Field(i)); reason != "" {
			found.add(s.key, reason)
		}
	}
	c.checkStores(found)
	c.checkNames(found)
	c.checkSizes(found)
	c.checkProcess(found)
	c.checkHTTP(found)
	c.checkKey(found)
	c.checkOperators(found)
	slices.SortStableFunc(found.list, func(a, b problem) int {
		return found.specs[a.key].field - found.specs[b.key].field
	})
}

func (c *Config) checkStores(found *problems) {
	if fault := databaseURLFault(string(c.DatabaseURL)); fault != "" {
		found.add("DATABASE_URL", fault)
	} else if fault := certificateFault(string(c.DatabaseURL), "sslrootcert", "sslcert", "sslkey"); fault != "" {
		found.add("DATABASE_URL", fault)
	}
	// The library's error quotes the URL, so only the fact is passed on.
	if _, err := amqp.ParseURI(string(c.RabbitMQURL)); err != nil {
		found.add("RABBITMQ_URL", "not a usable AMQP URL")
	} else if fault := certificateFault(string(c.RabbitMQURL), "cacertfile", "certfile", "keyfile"); fault != "" {
		found.add("RABBITMQ_URL", fault)
	}
}

// certificateFault looks at the files that a URL names for TLS. Without this the
// service would start and say at each try that it cannot connect; and of a
// certificate without its key the broker's client would say nothing at all.
func certificateFault(text, authority, certificate, key string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	query := u.Query()
	if (query.Get(certificate) == "") != (query.Get(key) == "") {
		return "has one of " + certificate + " and " + key + " without the other"
	}
	for _, name := range []string{authority, certificate, key} {
		if path := query.Get(name); path != "" && path != "system" { // of Postgres: the system's authorities
			if fault := fileFault(path); fault != "" {
				return "the file of its " + name + ": " + fault
			}
		}
	}
	return ""
}

func databaseURLFault(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "not a URL: reserved characters in a password must be percent-encoded"
	}
	query := u.Query()
	switch {
	case u.Scheme != "postgres" && u.Scheme != "postgresql":
		return "not a URL of Postgres"
	case u.Host == "" && query.Get("host") == "":
		return "names no host"
	case strings.Trim(u.Path, "/") == "" && query.Get("dbname") == "":
		return "names no database"
	}
	if _, err := pq.NewConfig(text); err != nil {
		return "has a parameter that is unknown or wrong, or a PG… variable is"
	}
	return ""
}

// checkNames refuses the two cycles that names can make: an event that comes
// back in as a message, and a poisoned message that is consumed again.
func (c *Config) checkNames(found *problems) {
	if c.DeliveryExchangeName == c.DatabaseExchangeName {
		found.add("DELIVERY_EXCHANGE_NAME", "the same as DATABASE_EXCHANGE_NAME: events would come back as messages")
	}
	switch {
	case found.has("DATABASE_QUEUE_NAME"):
	case c.PoisonQueueName == c.DatabaseQueueName:
		found.add("POISON_QUEUE_NAME", "the same as DATABASE_QUEUE_NAME: poisoned messages would come back")
	case len(c.PoisonQueueName) > longestName:
		found.add("POISON_QUEUE_NAME", "too long: unless it is set it is DATABASE_QUEUE_NAME and .poison")
	}
}

func (c *Config) checkSizes(found *problems) {
	if c.BatchSize > c.Prefetch && !found.has("PREFETCH", "BATCH_SIZE") {
		found.add("BATCH_SIZE", fmt.Sprintf("more than PREFETCH, which is %d: a batch holds what is in flight", c.Prefetch))
	}
}

func (c *Config) checkProcess(found *problems) {
	known := []string{componentPipeline, componentRelay, componentHTTP, componentPoison}
	for _, name := range c.Components {
		if !slices.Contains(known, name) {
			found.add("COMPONENTS", fmt.Sprintf("there is no component %.40q", name))
		}
	}
	if len(c.Components) == 0 {
		found.add("COMPONENTS", "names no component")
	}
	if c.PolicyFile != "" {
		if fault := fileFault(c.PolicyFile); fault != "" {
			found.add("POLICY_FILE", fault)
		}
	}
}

func fileFault(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return "cannot be opened"
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err != nil || info.IsDir() {
		return "not a file"
	}
	return ""
}

func (c *Config) checkHTTP(found *problems) {
	_, port, err := net.SplitHostPort(c.HTTPAddr)
	if err != nil {
		found.add("HTTP_ADDR", "not an address")
	} else if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		found.add("HTTP_ADDR", "the port is not a number from 0 to 65535")
	}
	for _, origin := range c.CORSOrigins {
		if !isOrigin(origin) {
			found.add("CORS_ORIGINS", "not an origin: scheme, host and port, nothing after them")
		}
	}
	if !isHTTPURL(string(c.AuthBackendURL)) {
		found.add("AUTH_BACKEND_URL", "not an HTTP URL")
	}
	if c.CollectorURL != "" && !isHTTPURL(string(c.CollectorURL)) {
		found.add("OPENTELEMETRY_COLLECTOR_URL", "not an HTTP URL")
	}
	if c.JWKSURL != "" && !isHTTPURL(string(c.JWKSURL)) {
		found.add("JWKS_URL", "not an HTTP URL")
	}
}

func isHTTPURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// isOrigin tells whether a browser could send the text as Origin.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	return err == nil && isHTTPURL(text) && text == u.Scheme+"://"+u.Host &&
		!strings.Contains(u.Host, "*") && text == strings.ToLower(text)
}
