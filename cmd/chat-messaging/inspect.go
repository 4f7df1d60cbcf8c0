package main

import (
	"chat-messaging/handlers"
	"chat-messaging/http"
)

// inspector tells operators what the pipeline's validation says of a body.
func (c Config) inspector() func(body []byte, contentEncoding string) http.Verdict {
	decoder := handlers.NewDecoder(handlers.Limits{MaxBodyBytes: c.MaxBodyBytes})
	return func(body []byte, contentEncoding string) http.Verdict {
		_, rejection, failure := decoder.Decode(body, contentEncoding)
		switch {
		case failure != nil:
			return http.Verdict{Outcome: http.OutcomePoisoned, Code: failure.Code, Detail: failure.Detail}
		case rejection != nil:
			return http.Verdict{Outcome: http.OutcomeRejected, Code: rejection.Code, Detail: rejection.Reason}
		default:
			return http.Verdict{Outcome: http.OutcomeValid}
		}
	}
}
