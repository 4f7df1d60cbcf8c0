package pipeline_test

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"chat-messaging/handlers"
	"chat-messaging/pipeline"
)

// tableReader makes a header table of any bytes. Texts may be far longer than
// those, up to a sum that is beyond what a frame carries.
type tableReader struct {
	rest  []byte
	spent int
}

func (r *tableReader) next() byte {
	if len(r.rest) == 0 {
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *tableReader) number() int64 {
	var b [8]byte
	r.rest = r.rest[copy(b[:], r.rest):]
	return int64(binary.BigEndian.Uint64(b[:]))
}

func (r *tableReader) text() string {
	n := min(int(r.next()), len(r.rest))
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	times := 1 + int(r.next())*int(r.next())/32 // now and then a huge one
	if r.spent += n * times; r.spent > 400<<10 {
		return s
	}
	return strings.Repeat(s, times)
}

// value reads one of every type that a delivery can have, and of some that it
// cannot.
func (r *tableReader) value(depth int) any {
	switch kind := r.next() % 16; kind {
	case 0:
		return nil
	case 1:
		return r.next()%2 == 0
	case 2:
		return int8(r.next())
	case 3:
		return r.next()
	case 4:
		return int16(r.number())
	case 5:
		return int32(r.number())
	case 6:
		return r.number()
	case 7:
		return float32(r.number())
	case 8:
		return float64(r.number())
	case 9:
		return amqp.Decimal{Scale: r.next(), Value: int32(r.number())}
	case 10:
		return []byte(r.text())
	case 11:
		return time.Unix(r.number()/1e9, 0)
	case 12, 13:
		if depth > 4 {
			return struct{}{}
		}
		if kind == 12 {
			return r.table(depth + 1)
		}
		list := []any{}
		for range r.next() % 8 {
			list = append(list, r.value(depth+1))
		}
		return list
	default:
		return r.text()
	}
}

func (r *tableReader) table(depth int) amqp.Table {
	table := amqp.Table{}
	for range r.next() {
		if len(r.rest) == 0 {
			break
		}
		key := r.text()
		table[key[:min(len(key), 255)]] = r.value(depth)
	}
	return table
}

// FuzzHeaders: whatever headers a delivery has, it is read, only its texts become
// metadata, and a copy for the poison queue can be published: it says why it is
// there, keeps what fits, and counts what does not.
func FuzzHeaders(f *testing.F) {
	f.Add([]byte("\x03\x04text\x00\x00\x0f\x02hi\x00\x00\x06number\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00\x07"), "malformed_json", "not JSON")
	f.Add([]byte("\x01\x02CC\x00\x00\x0d\x02\x0f\x01a\x00\x00\x05"), "panic", strings.Repeat("ü", 1000))
	f.Add([]byte("\x02\x0dx-poison-code\x00\x00\x0f\x01x\x00\x00\x05giant\x00\x00\x0e\xffx\xff\xff"), "\xff", "\xff\xfe")
	f.Add([]byte("\x01\x01t\x00\x00\x0c\x01\x01u\x00\x00\x0c\x01\x01v\x00\x00\x0d\x03\x00\x01\x02"), "", "")
	f.Fuzz(func(t *testing.T, bytes []byte, code, detail string) {
		headers := (&tableReader{rest: bytes}).table(0)
		delivery := amqp.Delivery{Headers: headers, Body: []byte("body"), DeliveryTag: 7, UserId: "user", Expiration: "1"}

		msg, err := pipeline.Marshaler{}.Unmarshal(delivery)
		require.NoError(t, err, "a delivery that cannot be read would come back for ever")
		for key, value := range msg.Metadata {
			require.Equal(t, headers[key], value)
		}

		copied, err := pipeline.PoisonCopy(&delivery, &handlers.Failure{Stage: "validate", Code: code, Detail: detail})
		if utf8.ValidString(code) && len(code) < 255 { // ours always are
			require.NoError(t, err, "a copy that cannot be published keeps its message in the queue for ever")
		}
		require.NoError(t, copied.Headers.Validate())
		require.Less(t, pipeline.HeaderOctets(copied.Headers), 120<<10, "they fit into a frame")
		require.Equal(t, code, copied.Headers[pipeline.HeaderPoisonCode])
		require.Equal(t, int64(7), copied.Headers[pipeline.HeaderPoisonSequence])
		reason, _ := copied.Headers[pipeline.HeaderPoisonReason].(string)
		require.True(t, utf8.ValidString(reason))
		require.LessOrEqual(t, utf8.RuneCountInString(reason), 512)
		require.NotContains(t, copied.Headers, "CC")
		require.NotContains(t, copied.Headers, "BCC")

		missing := 0
		for key := range headers {
			if _, kept := copied.Headers[key]; !kept && key != "CC" && key != "BCC" && !strings.HasPrefix(key, "x-poison-") {
				missing++
			}
		}
		dropped, _ := copied.Headers[pipeline.HeaderPoisonDropped].(int32)
		// CC and BCC share one header, and either may be among what did not fit.
		require.InDelta(t, missing, int(dropped), 2, "what is missing is counted")
	})
}
