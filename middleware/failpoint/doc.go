// Package failpoint names the places at which a crash hurts most, and the
// mistakes that this service is built not to make. In the product both are
// nothing: Hit is an empty function and Mutated a constant false, which the
// compiler removes together with what depends on them. Built with
//
//	go build -tags failpoints ./cmd/chat-messaging
//
// the service can be told to kill itself at a place, as a machine that fails
// does, and to make a mistake on purpose. That is for cmd/soak, which proves
// that nothing is lost by the one and that it would notice the other.
//
// It imports nothing of ours, so every layer may use it.
package failpoint

// Point is a place in a message's way.
type Point string

// The places, in the order in which a message passes them.
const (
	AfterDeliver Point = "after_deliver" // a delivery has come, nothing is done yet
	AfterBegin   Point = "after_begin"   // the batch has a transaction, which opens with its first statement
	AfterDecode  Point = "after_decode"  // the batch is decoded and judged
	AfterLock    Point = "after_lock"    // its chats are locked
	AfterInsert  Point = "after_insert"  // its messages have their positions
	BeforeCommit Point = "before_commit" // its events are made
	AfterCommit  Point = "after_commit"  // it is durable, and nobody knows
	BeforeAck    Point = "before_ack"    // it has its verdicts
	AfterAck     Point = "after_ack"     // the acknowledgement is written

	RelayAfterSelect  Point = "relay_after_select"  // a window of events is read
	RelayMidWindow    Point = "relay_mid_window"    // some of it is published
	RelayAfterConfirm Point = "relay_after_confirm" // all of it is confirmed
	RelayBeforeMark   Point = "relay_before_mark"   // it is known which rows are done
	RelayAfterMark    Point = "relay_after_mark"    // they are deleted

	PoisonBeforeConfirm Point = "poison_before_confirm" // the copy is sent
	PoisonAfterConfirm  Point = "poison_after_confirm"  // it is safe, the message not acknowledged
)

// Points returns all of them.
func Points() []Point {
	return []Point{
		AfterDeliver, AfterBegin, AfterDecode, AfterLock, AfterInsert, BeforeCommit, AfterCommit, BeforeAck, AfterAck,
		RelayAfterSelect, RelayMidWindow, RelayAfterConfirm, RelayBeforeMark, RelayAfterMark,
		PoisonBeforeConfirm, PoisonAfterConfirm,
	}
}

// Mutant is a mistake that costs one of the guarantees.
type Mutant string

// The mistakes. The schema's unique key has no switch in the code, because no
// code stands for it: whoever wants to see it missed drops it.
const (
	AckBeforeCommit     Mutant = "ack_before_commit"
	MarkBeforeConfirm   Mutant = "mark_before_confirm"
	NackOnDatabaseError Mutant = "nack_on_database_error"
	HighWaterOffset     Mutant = "high_water_offset"
	IgnoreReturns       Mutant = "ignore_returns"
)

// Mutants returns all of them.
func Mutants() []Mutant {
	return []Mutant{AckBeforeCommit, MarkBeforeConfirm, NackOnDatabaseError, HighWaterOffset, IgnoreReturns}
}

// The variables of the environment that Arm reads.
const (
	// EnvPoint is POINT:N, the place and which visit to it is the last.
	EnvPoint = "CHAT_MESSAGING_FAILPOINT"
	// EnvMutant is the mistake to make.
	EnvMutant = "CHAT_MESSAGING_MUTANT"
)
