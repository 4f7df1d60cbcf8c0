package http

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"chat-messaging/queries"
)

// mediaTypeLines is that of an export: a JSON object a line.
const mediaTypeLines = "application/x-ndjson"

const (
	// maxImportBytes bounds one import; a larger one comes in several.
	maxImportBytes = 256 << 20
	// maxImportLine is room for the largest body that the collector takes, in
	// base64 and beside its edited version.
	maxImportLine = 64 << 20
	// importChunk and importChunkBytes bound a transaction.
	importChunk      = 200
	importChunkBytes = 16 << 20
)

// poisonImport is one import and how far it is.
type poisonImport struct {
	Added      int `json:"added"`
	Known      int `json:"known"`
	Unreadable int `json:"unreadable"`
}

// adminImportPoisoned adds the entries of an export. What is there stays as it is,
// so an import that was broken off is just sent again.
func (s *Server) adminImportPoisoned(w http.ResponseWriter, r *http.Request) error {
	if given := r.Header["Content-Type"]; len(given) != 1 || given[0] != mediaTypeLines || len(r.Header["Content-Encoding"]) > 0 {
		return problemMediaType
	}
	var done poisonImport
	err := s.importLines(w, r, &done)
	by := actor(r)
	record := queries.AuditRecord{
		Who: by.Who, Via: by.Via, Action: "poison.import", Affected: int64(done.Added), Result: queries.AuditDone,
		Detail: fmt.Sprintf("%d were there, %d lines were no messages", done.Known, done.Unreadable),
	}
	switch {
	case err != nil:
		record.Result, record.Detail = queries.AuditFailed, "broken off"
	case done.Unreadable > 0:
		record.Result = queries.AuditPartly
	}
	if err := errors.Join(err, s.cfg.DB.RecordAudit(r.Context(), record)); err != nil {
		return err
	}
	return respondAdmin(w, http.StatusOK, done)
}

func (s *Server) importLines(w http.ResponseWriter, r *http.Request, done *poisonImport) error {
	lines := bufio.NewScanner(http.MaxBytesReader(w, r.Body, maxImportBytes))
	lines.Buffer(nil, maxImportLine)
	connection := http.NewResponseController(w)
	var chunk []queries.PoisonedMessage
	size := 0
	flush := func() error {
		if len(chunk) == 0 {
			return nil
		}
		added, err := s.cfg.DB.ImportPoisoned(r.Context(), chunk)
		if err != nil {
			return err
		}
		done.Added, done.Known = done.Added+added, done.Known+len(chunk)-added
		chunk, size = nil, 0
		// As long as it gets on it may take its time.
		return errors.Join(connection.SetReadDeadline(time.Now().Add(s.cfg.ReadTimeout)),
			connection.SetWriteDeadline(time.Now().Add(s.cfg.WriteTimeout)))
	}
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var m queries.PoisonedMessage
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			done.Unreadable++
			continue
		}
		chunk, size = append(chunk, m), size+len(lines.Bytes())
		if len(chunk) == importChunk || size > importChunkBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	_, tooLarge := errors.AsType[*http.MaxBytesError](lines.Err())
	switch {
	case tooLarge || errors.Is(lines.Err(), bufio.ErrTooLong):
		return problemTooLarge
	case errors.Is(lines.Err(), os.ErrDeadlineExceeded):
		return problemSlowRequest
	case lines.Err() != nil:
		return fmt.Errorf("%w: %w", problemMalformedBody, lines.Err())
	}
	return nil
}
