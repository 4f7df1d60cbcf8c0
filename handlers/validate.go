package handlers

import "context"

const stageValidate = "validate"

// Validate returns the first handler of the chain: it decodes every delivery
// and settles those that are no message or break a rule. It touches no database.
func Validate(limits Limits) Handler {
	decoder := NewDecoder(limits)
	return Each(func(_ context.Context, _ *Batch, item *Item) error {
		message, rejection, failure := decoder.Decode(item.Payload, item.ContentEncoding)
		item.Message = message
		switch {
		case failure != nil:
			item.Fail(failure.Stage, failure.Code, failure.Detail)
		case rejection != nil:
			item.Reject(*rejection)
		}
		return nil
	})
}

// invalid is a failure of this stage.
func invalid(code, detail string) *Failure {
	return &Failure{Stage: stageValidate, Code: code, Detail: detail}
}
