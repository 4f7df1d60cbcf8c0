package queries

import (
	"database/sql/driver"
	"encoding/binary"
	"fmt"

	"github.com/lib/pq/oid"
)

// array is a one-dimensional Postgres array in its binary form, ready to be
// sent as it is. Text arrays cost the server about a third more CPU. The format
// is that of array_recv: dimensions, null flag, element type, length, lower
// bound, then each element behind its own length.
//
// A zero array must be reset before use. Not safe for concurrent use.
type array struct {
	buf     []byte
	element oid.Oid
	n       int
}

const arrayHeader = 20

// reset empties the array for up to n elements of about size bytes and keeps
// its memory.
func (a *array) reset(element oid.Oid, n, size int) {
	a.element, a.n = element, 0
	if want := arrayHeader + n*(4+size); cap(a.buf) < want {
		a.buf = make([]byte, arrayHeader, want)
	}
	a.buf = a.buf[:arrayHeader]
	clear(a.buf)
}

func (a *array) int8(v int64) {
	a.n++
	a.buf = binary.BigEndian.AppendUint32(a.buf, 8)
	a.buf = binary.BigEndian.AppendUint64(a.buf, uint64(v)) //nolint:gosec // two's complement is what Postgres reads
}

// int8s makes the array one of these values.
func (a *array) int8s(values []int64) {
	a.reset(oid.T_int8, len(values), 8)
	for _, v := range values {
		a.int8(v)
	}
}

func (a *array) int4(v int) {
	a.n++
	a.buf = binary.BigEndian.AppendUint32(a.buf, 4)
	a.buf = binary.BigEndian.AppendUint32(a.buf, uint32(v)) //nolint:gosec // small, and two's complement is what Postgres reads
}

func (a *array) text(s string) {
	a.n++
	a.buf = binary.BigEndian.AppendUint32(a.buf, uint32(len(s))) //nolint:gosec // a payload is far below 4 GiB
	a.buf = append(a.buf, s...)
}

func (a *array) bytes(b []byte) {
	a.n++
	a.buf = binary.BigEndian.AppendUint32(a.buf, uint32(len(b))) //nolint:gosec // a payload is far below 4 GiB
	a.buf = append(a.buf, b...)
}

// BinaryValue gives lib/pq the bytes; it copies them before it returns.
func (a *array) BinaryValue() ([]byte, error) {
	binary.BigEndian.PutUint32(a.buf[8:], uint32(a.element))
	if a.n == 0 {
		return a.buf[:12], nil
	}
	binary.BigEndian.PutUint32(a.buf[0:], 1)
	binary.BigEndian.PutUint32(a.buf[12:], uint32(a.n)) //nolint:gosec // bounded by the batch size
	binary.BigEndian.PutUint32(a.buf[16:], 1)
	return a.buf, nil
}

// Value exists for connections without binary parameters, which Open rules out:
// the bytes would be read as text.
func (a *array) Value() (driver.Value, error) {
	return nil, fmt.Errorf("sending a binary array over a connection without binary_parameters")
}

// String keeps a logged statement short and its values out of the log.
func (a *array) String() string {
	return fmt.Sprintf("<%d values>", a.n)
}

// parseInt8s reads the text form of a bigint[] without nulls.
func parseInt8s(text []byte) ([]int64, error) {
	if len(text) < 2 || text[0] != '{' || text[len(text)-1] != '}' {
		return nil, fmt.Errorf("reading a bigint[]: no braces")
	}
	values := make([]int64, 0, 2)
	var v int64
	var negative, digits bool
	for _, c := range text[1:] {
		switch {
		case c >= '0' && c <= '9':
			v, digits = v*10+int64(c-'0'), true
		case c == '-' && !digits:
			negative = true
		case (c == ',' || c == '}') && digits:
			if negative {
				v = -v
			}
			values = append(values, v)
			v, negative, digits = 0, false, false
		case c == '}' && len(values) == 0:
			return values, nil
		default:
			return nil, fmt.Errorf("reading a bigint[]: unexpected %q", c)
		}
	}
	return values, nil
}
