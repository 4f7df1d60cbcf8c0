package http

import (
	"encoding/json"
	"net/http"
	"time"

	"chat-messaging/queries"
)

// exportPage is how many entries are read at a time.
const exportPage = 200

// exportPoisoned sends what a form of the list selects.
func (s *Server) exportPoisoned(w http.ResponseWriter, r *http.Request) error {
	asked, err := s.selectionOf(r)
	if err != nil {
		return asProblem(err)
	}
	return s.sendPoisoned(w, r, asked.Filter)
}

// adminExportPoisoned sends what the parameters select.
func (s *Server) adminExportPoisoned(w http.ResponseWriter, r *http.Request) error {
	f, err := s.filterOf(r)
	if err != nil {
		return err
	}
	return s.sendPoisoned(w, r, f)
}

// sendPoisoned sends the selection as lines of JSON, to the byte. It is recorded
// first, because it shows what people have written.
func (s *Server) sendPoisoned(w http.ResponseWriter, r *http.Request, f queries.PoisonFilter) error {
	selection, err := json.Marshal(f)
	if err != nil {
		return err
	}
	by := actor(r)
	err = s.cfg.DB.RecordAudit(r.Context(), queries.AuditRecord{
		Who: by.Who, Via: by.Via, Action: "poison.export", Selection: selection, Result: queries.AuditStarted,
	})
	if err != nil {
		return err
	}
	list, err := s.cfg.DB.ReadPoisoned(r.Context(), f, 0, exportPage)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return asProblem(queries.ErrNothingMatches)
	}
	h := w.Header()
	h.Set("Content-Type", mediaTypeLines)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Disposition", `attachment; filename="poisoned.ndjson"`)
	out, connection := json.NewEncoder(w), http.NewResponseController(w)
	for len(list) > 0 {
		if err := connection.SetWriteDeadline(time.Now().Add(s.cfg.WriteTimeout)); err != nil {
			return err
		}
		for i := range list {
			if err := out.Encode(list[i]); err != nil {
				panic(http.ErrAbortHandler) // only a broken connection tells that it is not whole
			}
		}
		last := list[len(list)-1].ID
		if list, err = s.cfg.DB.ReadPoisoned(r.Context(), f, last, exportPage); err != nil {
			s.logFailure(r, problemOf(r.Context(), err), err)
			panic(http.ErrAbortHandler)
		}
	}
	return nil
}
