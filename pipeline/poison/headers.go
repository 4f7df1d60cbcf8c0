package poison

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	amqp "github.com/rabbitmq/amqp091-go"
)

// text is a string that survives JSON whatever its octets are: as a string if it
// is UTF-8, else {"base64": "…"}.
type text string

type textBytes struct {
	Base64 []byte `json:"base64"`
}

// MarshalJSON implements json.Marshaler.
func (t text) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return json.Marshal(string(t))
	}
	return json.Marshal(textBytes{[]byte(t)})
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err == nil {
		*t = text(s)
		return nil
	}
	var b textBytes
	if err := json.Unmarshal(data, &b); err != nil {
		return fmt.Errorf("neither a text nor base64: %w", err)
	}
	*t = text(b.Base64)
	return nil
}

// field is a header with its AMQP type, which JSON alone does not tell:
//
//	{"type": "int32", "value": 5}      {"type": "bytes", "value": "AP8="}
//
// A replay must not turn a 5 into a 5.0: who reads the header may care.
type field struct {
	Type  string          `json:"type"`
	Value json.RawMessage `json:"value,omitempty"`
}

// encodeHeaders writes a table as JSON.
func encodeHeaders(table amqp.Table) (json.RawMessage, error) {
	fields := make(map[string]field, len(table))
	for key, value := range table {
		f, err := encodeField(value)
		if err != nil {
			return nil, fmt.Errorf("header %.60q: %w", key, err)
		}
		fields[key] = f
	}
	return json.Marshal(fields)
}

func encodeField(value any) (field, error) {
	kind, content := "", any(nil)
	switch v := value.(type) {
	case nil:
		return field{Type: "void"}, nil
	case bool:
		kind, content = "bool", v
	case int8:
		kind, content = "int8", v
	case uint8:
		kind, content = "uint8", v
	case int16:
		kind, content = "int16", v
	case uint16:
		kind, content = "uint16", v
	case int32:
		kind, content = "int32", v
	case uint32:
		kind, content = "uint32", v
	case int64:
		kind, content = "int64", v
	case int:
		kind, content = "int64", int64(v)
	case float32:
		// As texts, because JSON has no NaN and no infinity.
		kind, content = "float32", strconv.FormatFloat(float64(v), 'g', -1, 32)
	case float64:
		kind, content = "float64", strconv.FormatFloat(v, 'g', -1, 64)
	case amqp.Decimal:
		kind, content = "decimal", v
	case string:
		kind, content = "string", text(v)
	case []byte:
		kind, content = "bytes", v
	case time.Time:
		kind, content = "timestamp", v.UTC()
	case amqp.Table:
		kind = "table"
		inner, err := encodeHeaders(v)
		return field{Type: kind, Value: inner}, err
	case []any:
		kind = "array"
		list := make([]field, 0, len(v))
		for _, one := range v {
			f, err := encodeField(one)
			if err != nil {
				return field{}, err
			}
			list = append(list, f)
		}
		content = list
	default:
		return field{}, fmt.Errorf("a value of type %T", value)
	}
	raw, err := json.Marshal(content)
	return field{Type: kind, Value: raw}, err
}

// decodeHeaders reads what encodeHeaders wrote.
func decodeHeaders(data []byte) (amqp.Table, error) {
	var fields map[string]field
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, fmt.Errorf("reading headers: %w", err)
	}
	table := make(amqp.Table, len(fields))
	for key, f := range fields {
		value, err := f.decode()
		if err != nil {
			return nil, fmt.Errorf("reading header %.60q: %w", key, err)
		}
		table[key] = value
	}
	return table, nil
}

func (f field) decode() (any, error) {
	switch f.Type {
	case "void":
		return nil, nil //nolint:nilnil // a value of AMQP
	case "bool":
		return decodeAs[bool](f)
	case "int8":
		return decodeAs[int8](f)
	case "uint8":
		return decodeAs[uint8](f)
	case "int16":
		return decodeAs[int16](f)
	case "uint16":
		return decodeAs[uint16](f)
	case "int32":
		return decodeAs[int32](f)
	case "uint32":
		return decodeAs[uint32](f)
	case "int64":
		return decodeAs[int64](f)
	case "float32":
		number, err := f.float(32)
		return float32(number), err
	case "float64":
		return f.float(64)
	case "decimal":
		return decodeAs[amqp.Decimal](f)
	case "string":
		t, err := decodeAs[text](f)
		return string(t), err
	case "bytes":
		return decodeAs[[]byte](f)
	case "timestamp":
		return decodeAs[time.Time](f)
	case "table":
		return decodeHeaders(f.Value)
	case "array":
		return f.array()
	default:
		return nil, fmt.Errorf("an unknown type %.40q", f.Type)
	}
}

func decodeAs[T any](f field) (T, error) {
	var value T
	if f.Value == nil {
		return value, errors.New("the value is missing")
	}
	err := json.Unmarshal(f.Value, &value)
	return value, err
}

func (f field) float(bits int) (float64, error) {
	digits, err := decodeAs[string](f)
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(digits, bits)
}

func (f field) array() (any, error) {
	fields, err := decodeAs[[]field](f)
	if err != nil {
		return nil, err
	}
	list := make([]any, 0, len(fields))
	for _, one := range fields {
		value, err := one.decode()
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	return list, nil
}
