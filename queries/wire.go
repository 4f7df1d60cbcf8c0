package queries

import (
	"bufio"
	"bytes"
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"sync"

	"github.com/lib/pq"
)

// A transaction's BEGIN and COMMIT need no round trips of their own. The driver
// sends one message and waits for its answer, so the wire under it decides when they
// are sent: BEGIN in front of the first statement, COMMIT behind the last.
//
//	driver   BEGIN ▸ ◂ ok   first ▸ …        last ▸ …  ◂ rows   COMMIT ▸ ◂ committed
//	wire             BEGIN, first ▸ …   last, COMMIT ▸ …
//	server                        ◂ begun, rows         ◂ rows, committed
//
// What the server answers is what the driver reads, but for the answer to a BEGIN
// that was only kept: the driver has been told before that it had begun. There is no
// Sync between BEGIN and the first statement, so where the one fails the server passes
// the other over, and the driver takes the error for that of its statement. A COMMIT
// behind a statement that failed is a rollback to the server, as is the ROLLBACK that
// the driver then sends.
//
// Messages and their order are those of the protocol's version 3:
// https://www.postgresql.org/docs/current/protocol-flow.html
//
// This needs to see the messages. On an encrypted connection the wire only passes
// bytes on, and each of the two costs its round trip.

// wire is a connection to the server. Like the driver's it serves one goroutine at a
// time.
type wire struct {
	net.Conn
	in    *bufio.Reader
	await func() error // an answer is expected from now on
	done  func()       // called at the end

	phase phase
	keep  bool // the next BEGIN waits for the statement behind it
	along bool // COMMIT goes with the next message

	kept   bool   // a BEGIN waits
	told   []byte // what the driver has not read yet of an answer that is not the server's
	begun  bool   // the server's answer to a BEGIN that was kept is still to come
	lost   bool   // that BEGIN has failed, and the driver does not know
	passed int    // bytes of a message in front of that one, which are the driver's
	ended  bool   // COMMIT is sent, and the driver's own is still to come
	piece  []byte // see pieceBytes
}

// phase is how far a connection is on its way to the first statement.
type phase int

const (
	opening phase = iota // nothing was said
	plain                // the start was readable, so all is
	sealed               // it was not
)

// Types of messages, of which some mean one thing from us and another from the server.
const (
	kindQuery           = 'Q'
	kindParse           = 'P'
	kindBind            = 'B'
	kindExecute         = 'E'
	kindTerminate       = 'X'
	kindParseComplete   = '1'
	kindBindComplete    = '2'
	kindCommandComplete = 'C'
	kindReadyForQuery   = 'Z'
	kindErrorResponse   = 'E'
	headerBytes         = 5 // the type, and the length of all but the type
)

// What the driver sends, and is told where nothing is sent.
var (
	sslRequest       = []byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f}
	driverBegin      = protocolMessage(kindQuery, "BEGIN\x00")
	driverCommit     = protocolMessage(kindQuery, "COMMIT\x00")
	driverRollback   = protocolMessage(kindQuery, "ROLLBACK\x00")
	begunAnswer      = slices.Concat(protocolMessage(kindCommandComplete, "BEGIN\x00"), protocolMessage(kindReadyForQuery, "T"))
	committedAnswer  = slices.Concat(protocolMessage(kindCommandComplete, "COMMIT\x00"), protocolMessage(kindReadyForQuery, "I"))
	rolledBackAnswer = slices.Concat(protocolMessage(kindCommandComplete, "ROLLBACK\x00"), protocolMessage(kindReadyForQuery, "I"))
)

// keptBegin is BEGIN as the first part of what a single Sync ends: the statement and
// the portal without a name, no parameters, all rows.
var keptBegin = slices.Concat(
	protocolMessage(kindParse, "\x00BEGIN\x00\x00\x00"),
	protocolMessage(kindBind, "\x00\x00\x00\x00\x00\x00\x00\x00"),
	protocolMessage(kindExecute, "\x00\x00\x00\x00\x00"),
)

func protocolMessage(kind byte, body string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4)) //nolint:gosec // a few bytes
	return append(b, body...)
}

// newWire makes a wire of a connection on which nothing was said yet. await begins
// the wait for an answer, as each write does anyway.
func newWire(conn net.Conn, await func() error) *wire {
	return &wire{Conn: conn, in: bufio.NewReader(conn), await: await, done: func() {}}
}

// keepBegin has the next BEGIN wait for the statement behind it.
func (w *wire) keepBegin() {
	w.keep = w.phase == plain
}

// commitAlong has COMMIT go with the next message, and tells whether it will.
func (w *wire) commitAlong() bool {
	w.along = w.phase == plain
	return w.along
}

// commitAlone takes commitAlong back where nothing was sent since.
func (w *wire) commitAlone() { w.along = false }

var (
	errSimpleFirst = errors.New("the first statement of a transaction is not a prepared one")
	errOutside     = errors.New("a statement outside of its transaction, which has failed to begin or is at its end")
)

// Write implements net.Conn. The driver writes whole messages.
func (w *wire) Write(p []byte) (int, error) {
	switch {
	case w.phase == opening:
		w.open(p)
	case w.keep && bytes.Equal(p, driverBegin):
		w.keep, w.kept, w.told = false, true, begunAnswer
		return len(p), nil
	case w.kept && bytes.Equal(p, driverCommit):
		w.kept, w.told = false, committedAnswer
		return len(p), nil
	case w.kept && bytes.Equal(p, driverRollback):
		w.kept, w.told = false, rolledBackAnswer
		return len(p), nil
	case w.ended && (bytes.Equal(p, driverCommit) || bytes.Equal(p, driverRollback)):
		w.ended = false
		return len(p), w.await()
	case (w.ended || w.lost) && p[0] != kindTerminate:
		return 1, errOutside // not 0, behind which the driver would try again
	case w.kept && p[0] == kindQuery:
		// If BEGIN failed the server would pass over this for want of a Sync, and we
		// wait for its answer.
		return 1, errSimpleFirst
	}
	if !w.kept && !w.along {
		return w.Conn.Write(p) //nolint:wrapcheck // the driver looks into it
	}
	return w.writeAround(p)
}

// pieceBytes is up to which length a message is copied to leave in one piece with what
// goes with it: a system call less here, and a wake-up less there.
const pieceBytes = 16 << 10

// writeAround sends p with what goes with it.
func (w *wire) writeAround(p []byte) (int, error) {
	var before, behind []byte
	if w.kept {
		before = keptBegin
	}
	if w.along {
		behind = driverCommit
	}
	w.begun, w.ended = w.kept, w.along
	w.kept, w.along = false, false
	pieces := [][]byte{before, p, behind}
	if len(p) <= pieceBytes {
		w.piece = append(append(append(w.piece[:0], before...), p...), behind...)
		pieces = [][]byte{w.piece}
	}
	for _, piece := range pieces {
		if len(piece) == 0 {
			continue
		}
		if _, err := w.Conn.Write(piece); err != nil {
			return 1, err //nolint:wrapcheck // not 0, behind which the driver would try again
		}
	}
	return len(p), nil
}

// open looks at what the driver says first. Behind a request for encryption comes the
// same again, readable if it was refused.
func (w *wire) open(p []byte) {
	const startup3 = 3 // the major version, in the upper half of the second word
	switch {
	case bytes.Equal(p, sslRequest):
	case len(p) >= 8 && int(binary.BigEndian.Uint32(p)) == len(p) && binary.BigEndian.Uint16(p[4:]) == startup3:
		w.phase = plain
	default:
		w.phase = sealed
	}
}

// Read implements net.Conn.
func (w *wire) Read(p []byte) (int, error) {
	if len(w.told) > 0 {
		n := copy(p, w.told)
		w.told = w.told[n:]
		return n, nil
	}
	for w.begun && w.passed == 0 {
		if err := w.readBegun(); err != nil {
			return 0, err
		}
	}
	if w.passed > 0 {
		p = p[:min(len(p), w.passed)]
	}
	n, err := w.in.Read(p)
	if w.passed > 0 {
		w.passed -= n
	}
	return n, err //nolint:wrapcheck // the driver looks into it
}

// readBegun reads on in the server's answer to a BEGIN that was kept. What else comes
// in between is the driver's: notices, parameters, and an error.
func (w *wire) readBegun() error {
	header, err := w.in.Peek(headerBytes)
	if err != nil {
		return err //nolint:wrapcheck // the driver looks into it
	}
	size := 1 + int(binary.BigEndian.Uint32(header[1:]))
	switch header[0] {
	case kindParseComplete, kindBindComplete, kindCommandComplete:
		w.begun = header[0] != kindCommandComplete
		if _, err := w.in.Discard(size); err != nil {
			return err //nolint:wrapcheck // the driver looks into it
		}
		if w.in.Buffered() == 0 {
			return w.await() // this was an answer, but not yet the statement's
		}
	case kindErrorResponse:
		w.begun, w.lost = false, true
	default:
		w.passed = size
	}
	return nil
}

// Close implements net.Conn.
func (w *wire) Close() error {
	w.done()
	return w.Conn.Close() //nolint:wrapcheck // the driver looks into it
}

// connector makes the driver's connections and knows the wire of each.
type connector struct {
	*pq.Connector
	wires sync.Map // driver.Conn → *wire
}

type wireKey struct{}

// Connect implements driver.Connector.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	var w *wire // the last that is dialled: the others are hosts that did not do
	conn, err := c.Connector.Connect(context.WithValue(ctx, wireKey{}, &w))
	if err != nil || w == nil {
		return conn, err //nolint:wrapcheck // database/sql looks into it
	}
	c.wires.Store(conn, w)
	w.done = func() { c.wires.Delete(conn) }
	return conn, nil
}

// wireOf returns the wire of a connection. One that we have not dialled has none, which
// is as good as one that cannot be read.
func (c *connector) wireOf(conn any) *wire {
	if c != nil {
		if w, ok := c.wires.Load(conn); ok {
			return w.(*wire) //nolint:forcetypeassert // see Connect
		}
	}
	return &wire{phase: sealed}
}
