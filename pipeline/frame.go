package pipeline

import (
	"fmt"
	"unicode/utf8"

	amqp "github.com/rabbitmq/amqp091-go"
)

// maxHeaders bounds the headers in octets: all of them must fit into one frame
// of 128 KiB beside the other properties.
const maxHeaders = 120 << 10

// checkPublishing refuses what AMQP cannot carry. The broker, or the library
// before it, would answer such a publishing by closing the connection, with all
// that is under way on it.
func checkPublishing(routingKey string, p *amqp.Publishing) error {
	for _, s := range [...]struct{ what, value string }{
		{"routing key", routingKey},
		{"content type", p.ContentType},
		{"content encoding", p.ContentEncoding},
		{"correlation id", p.CorrelationId},
		{"reply-to", p.ReplyTo},
		{"expiration", p.Expiration},
		{"message id", p.MessageId},
		{"type", p.Type},
		{"user id", p.UserId},
		{"app id", p.AppId},
	} {
		if len(s.value) > maxShortString {
			return checkShortString(s.what, s.value)
		}
	}
	if len(p.Headers) == 0 {
		return nil
	}
	if err := checkTable(p.Headers); err != nil {
		return err
	}
	if size := tableSize(p.Headers); size > maxHeaders {
		return fmt.Errorf("the headers have %d octets and one frame carries %d", size, maxHeaders)
	}
	return nil
}

// checkTable refuses keys that are too long and values of types that AMQP does
// not have.
func checkTable(table amqp.Table) error {
	if err := table.Validate(); err != nil {
		return fmt.Errorf("checking the headers: %w", err)
	}
	for key, value := range table {
		if len(key) > maxShortString {
			return checkShortString("header name", key)
		}
		if inner, ok := value.(amqp.Table); ok {
			if err := checkTable(inner); err != nil {
				return err
			}
		}
	}
	return nil
}

// tableSize is an upper bound of a table's octets on the wire.
func tableSize(v any) int {
	switch v := v.(type) {
	case amqp.Table:
		size := 5
		for key, value := range v {
			size += 1 + len(key) + tableSize(value)
		}
		return size
	case []any:
		size := 5
		for _, value := range v {
			size += tableSize(value)
		}
		return size
	case string:
		return 5 + len(v)
	case []byte:
		return 5 + len(v)
	default:
		return 9
	}
}

// maxShortString is what AMQP calls a short string at most, in octets.
const maxShortString = 255

// checkShortString refuses what AMQP could not carry as a short string.
func checkShortString(what, s string) error {
	if len(s) > maxShortString {
		return fmt.Errorf("the %s has %d octets and AMQP carries %d", what, len(s), maxShortString)
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("the %s is not valid UTF-8", what)
	}
	return nil
}
