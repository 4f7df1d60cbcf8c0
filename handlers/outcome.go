package handlers

import "fmt"

// Verdict is what became of one delivery. Every delivery ends with exactly one.
type Verdict uint8

const (
	// Open items are not decided yet: the next handler gets them.
	Open Verdict = iota
	// Accepted items are stored by this batch and answered with an event.
	Accepted
	// Rejected items are answered with an event to their sender.
	Rejected
	// Repeated items were published again by the client with the content that
	// is already stored; the answer is the stored event, with its old id.
	Repeated
	// Replayed items were stored before the broker delivered them again. Their
	// event is in the outbox or already out, so they are only acknowledged.
	Replayed
	// Failed items can never be processed and name nobody to answer: they go to
	// the poison queue with the reason.
	Failed
	// Held items are of a chat that somebody else has locked. They are no outcome:
	// the delivery is decided anew in a later batch, behind those of its chat that
	// were held before it.
	Held
)

// String returns the verdict as it stands in metrics and logs.
func (v Verdict) String() string {
	switch v {
	case Accepted:
		return "accepted"
	case Rejected:
		return "rejected"
	case Repeated:
		return "repeated"
	case Replayed:
		return "replayed"
	case Failed:
		return "poisoned"
	case Held:
		return "held"
	default:
		return "open"
	}
}

// Rejection is a reason that the sender is told: Code is stable and for
// programs, Reason is the sentence that clients show.
type Rejection struct {
	Code   string
	Reason string
}

// The rejections. The first three sentences are known to clients to the letter.
var (
	RejectDuplicated     = Rejection{"duplicated", "Duplicated client_message_id."}
	RejectUnknownChat    = Rejection{"unknown_chat", "An invalid chat id. Such chat does not exist in the database."}
	RejectNotRelated     = Rejection{"not_related", "The sender and/or the recipient are not related to the specified chat."}
	RejectInvalidMessage = Rejection{"invalid_message", "A required field is missing or not of its type."}
	RejectInvalidBody    = Rejection{"invalid_body", "The body must be a text that is not empty and holds no NUL."}
	RejectBodyTooLong    = Rejection{"body_too_long", "The body is too long."}
	RejectInvalidSentAt  = Rejection{"invalid_sent_at", "The field sent_at is not a valid date and time."}
	RejectDuplicateKey   = Rejection{"duplicate_key", "A field is given twice."}
)

// Failure is a permanent failure: why a delivery goes to the poison queue. Code
// is stable (operators group by it), Detail is for people and never holds the
// payload or a stack.
type Failure struct {
	Stage  string
	Code   string
	Detail string
}

// Error implements error.
func (f *Failure) Error() string {
	return fmt.Sprintf("%s: %s: %s", f.Stage, f.Code, f.Detail)
}

// The failure codes of the validate stage.
const (
	FailEmpty         = "empty"
	FailMalformedJSON = "malformed_json"
	FailNotAnObject   = "not_an_object"
	FailEncoding      = "encoding"
	FailTooDeep       = "too_deep"
	FailTooLarge      = "too_large"
	FailDuplicateKey  = "duplicate_key"
	FailNoSender      = "no_sender"
	FailBadSender     = "bad_sender"
	FailLoop          = "loop"
)
