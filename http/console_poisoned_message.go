package http

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gorilla/mux"

	"chat-messaging/queries"
)

// Verdict is what validation says of a body.
type Verdict struct {
	// Outcome is valid, rejected or poisoned.
	Outcome string `json:"outcome"`
	// Code and Detail tell why it is not valid.
	Code   string `json:"reason"`
	Detail string `json:"detail"`
}

// The outcomes of validation.
const (
	OutcomeValid    = "valid"
	OutcomeRejected = "rejected"
	OutcomePoisoned = "poisoned"
)

// Class and Title are how it is shown.
func (v Verdict) Class() string {
	switch v.Outcome {
	case OutcomeValid:
		return "good"
	case OutcomeRejected:
		return "warn"
	default:
		return "bad"
	}
}

// Title says what would happen.
func (v Verdict) Title() string {
	switch v.Outcome {
	case OutcomeValid:
		return "would pass validation"
	case OutcomeRejected:
		return "would be rejected, and its sender told"
	default:
		return "would be poisoned again"
	}
}

// poisonedMessagePage is what one message's page shows.
type poisonedMessagePage struct {
	Entry               *queries.PoisonedMessage
	Attempts            []queries.PoisonAttempt
	Verdict             Verdict
	Properties, Headers string
	// Body is nil until it is asked for.
	Body  *shownBodies
	Fault string
}

type shownBodies struct {
	Original shownBody
	Edited   *shownBody
	// Draft is what the editor begins with.
	Draft    string
	Editable bool
}

type shownBody struct{ Pretty, Raw, Note string }

func (s *Server) showPoisonedMessage(w http.ResponseWriter, r *http.Request) error {
	return s.showEntry(w, r, http.StatusOK, false, "")
}

// revealPoisonedBody shows the message with its body, which is recorded first.
func (s *Server) revealPoisonedBody(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := s.databaseContext(r)
	defer cancel()
	id := entryID(r)
	selection, err := json.Marshal(queries.PoisonFilter{IDs: []int64{id}})
	if err != nil {
		return err
	}
	by := actor(r)
	err = s.cfg.DB.RecordAudit(ctx, queries.AuditRecord{
		Who: by.Who, Via: by.Via, Action: "poison.show", Selection: selection, Affected: 1, Result: queries.AuditDone,
	})
	if err != nil {
		return err
	}
	return s.showEntry(w, r, http.StatusOK, true, "")
}

// showEntry shows the message as it is now.
func (s *Server) showEntry(w http.ResponseWriter, r *http.Request, status int, withBody bool, fault string) error {
	ctx, cancel := s.databaseContext(r)
	defer cancel()
	m, attempts, err := s.cfg.DB.PoisonedMessage(ctx, entryID(r))
	if err != nil {
		return err
	}
	page := poisonedMessagePage{
		Entry: m, Attempts: attempts, Verdict: s.inspect(m), Fault: fault,
		Properties: indented(m.Properties), Headers: indented(m.Headers),
	}
	if withBody {
		page.Body = bodiesOf(m)
	}
	return s.showAs(w, r, status, "poisoned_message", "Poisoned message "+strconv.FormatInt(m.ID, 10), "poisoned", page)
}

func entryID(r *http.Request) int64 { return positive(mux.Vars(r)["id"]) }

// inspect asks validation about what a replay would send.
func (s *Server) inspect(m *queries.PoisonedMessage) Verdict {
	var properties struct {
		ContentEncoding string `json:"content_encoding"`
	}
	// An encoding that is not text is none that validation knows.
	_ = json.Unmarshal(m.Properties, &properties)
	return s.cfg.Inspect(m.Outgoing(), properties.ContentEncoding)
}

func (s *Server) editPoisoned(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := s.databaseContext(r)
	defer cancel()
	id := entryID(r)
	m, _, err := s.cfg.DB.PoisonedMessage(ctx, id)
	if err != nil {
		return err
	}
	body := r.PostForm.Get("body")
	if !bytes.Contains(m.Body, []byte("\r\n")) {
		body = strings.ReplaceAll(body, "\r\n", "\n") // a browser writes line ends so, whatever they were
	}
	return s.afterChange(w, r, s.cfg.DB.EditPoisoned(ctx, id, []byte(body), actor(r)))
}

func (s *Server) revertPoisoned(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := s.databaseContext(r)
	defer cancel()
	return s.afterChange(w, r, s.cfg.DB.RevertPoisoned(ctx, entryID(r), actor(r)))
}

// afterChange shows the message as it is after a change, or why it is not changed.
func (s *Server) afterChange(w http.ResponseWriter, r *http.Request, err error) error {
	switch {
	case errors.Is(err, queries.ErrNotWaiting):
		return s.showEntry(w, r, http.StatusConflict, false, "It does not wait any more, so it cannot be changed.")
	case errors.Is(err, queries.ErrTooLong):
		return s.showEntry(w, r, http.StatusUnprocessableEntity, false, "That is too long. Nothing was changed.")
	case err != nil:
		return err
	}
	redirect(w, pathPoisoned+"/"+strconv.FormatInt(entryID(r), 10))
	return nil
}

func bodiesOf(m *queries.PoisonedMessage) *shownBodies {
	bodies := &shownBodies{Original: shownBodyOf(m.Body), Editable: isText(m.Outgoing()), Draft: string(m.Outgoing())}
	if m.EditedAt != nil {
		edited := shownBodyOf(m.EditedBody)
		bodies.Edited = &edited
	}
	return bodies
}

// maxHexBytes is how much of what is not text is shown.
const maxHexBytes = 4 << 10

func shownBodyOf(body []byte) shownBody {
	switch {
	case len(body) == 0:
		return shownBody{Note: "It is empty."}
	case !isText(body):
		shown := shownBody{Raw: hex.Dump(body[:min(len(body), maxHexBytes)]), Note: "It is not text, so its bytes are shown."}
		if len(body) > maxHexBytes {
			shown.Note += " These are the first 4 KiB."
		}
		return shown
	default:
		return shownBody{Pretty: indented(body), Raw: string(body)}
	}
}

// isText tells whether a browser can show and send back the body as it is.
func isText(body []byte) bool {
	return utf8.Valid(body) && !bytes.ContainsFunc(body, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' && r != '\r' })
}

// indented is JSON in a form for reading, "" if it is not JSON.
func indented(text []byte) string {
	var pretty bytes.Buffer
	if json.Indent(&pretty, bytes.TrimSpace(text), "", "  ") != nil {
		return ""
	}
	return pretty.String()
}
