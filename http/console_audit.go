package http

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"chat-messaging/queries"
)

// auditPage is what the audit's page shows.
type auditPage struct {
	Who, Action string
	Records     []shownRecord
	// Next is the address of the older records, "" if there are none.
	Next string
}

// Narrowed tells whether not everything was asked for.
func (p auditPage) Narrowed() bool { return p.Who != "" || p.Action != "" }

type shownRecord struct {
	queries.AuditRecord
	About, Class string
}

func (s *Server) showAudit(w http.ResponseWriter, r *http.Request) error {
	asked := r.URL.Query()
	page := auditPage{Who: strings.TrimSpace(asked.Get("who")), Action: strings.TrimSpace(asked.Get("action"))}
	ctx, cancel := s.databaseContext(r)
	defer cancel()
	records, next, err := s.cfg.DB.ListAudit(ctx, queries.AuditFilter{
		Who: page.Who, Action: page.Action, Before: positive(asked.Get("before")),
	})
	if err != nil {
		return err
	}
	for _, record := range records {
		page.Records = append(page.Records, shownRecord{record, aboutOf(record.Selection), classOf(record.Result)})
	}
	if next > 0 {
		query := url.Values{"before": {strconv.FormatInt(next, 10)}}
		for name, value := range map[string]string{"who": page.Who, "action": page.Action} {
			if value != "" {
				query.Set(name, value)
			}
		}
		page.Next = "/console/audit?" + query.Encode()
	}
	return s.show(w, r, "audit", "Audit", "audit", page)
}

// positive reads a positive number, and takes everything else for 0.
func positive(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return max(0, n)
}

func classOf(result queries.AuditResult) string {
	switch result {
	case queries.AuditDone:
		return "good"
	case queries.AuditStarted:
		return "plain"
	case queries.AuditPartly:
		return "warn"
	default:
		return "bad"
	}
}

// aboutOf writes a selection as the filter language does, as far as it has only
// values and lists of them.
func aboutOf(selection json.RawMessage) string {
	var fields map[string]any
	if json.Unmarshal(selection, &fields) != nil {
		return string(selection)
	}
	var parts []string
	for name, value := range fields {
		if list, ok := value.([]any); ok {
			texts := make([]string, len(list))
			for i, one := range list {
				texts[i] = plainText(one)
			}
			parts = append(parts, name+":"+strings.Join(texts, ","))
		} else {
			parts = append(parts, name+":"+plainText(value))
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

func plainText(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		text, _ := json.Marshal(v) // it was JSON before
		return string(text)
	}
}
