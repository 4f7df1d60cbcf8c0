package http

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"chat-messaging/queries"
)

const pathPoisoned = pathConsole + "/poisoned"

// consolePatience is what a page waits for the database. It is longer than the
// API's: an operator's question may go through many entries, and who asks it
// rather waits.
const consolePatience = 20 * time.Second

// consoleLongest is what counting a selection may take, which looks at every
// message of it.
const consoleLongest = time.Minute

func consoleContext(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), consolePatience)
}

// actor is who acts on a page, for the audit.
func actor(r *http.Request) queries.Operator {
	return queries.Operator{Who: operatorOf(r.Context()).name, Via: viaConsole}
}

// poisonedPage is what the list of poisoned messages shows.
type poisonedPage struct {
	poisonedGroups
	Filter askedFilter
	// Fault is what is wrong with the filter.
	Fault   string
	Entries []queries.Poisoned
	// First and Next are addresses, "" where there is nothing to go to.
	First, Next string
}

// poisonedGroups is the live part of it.
type poisonedGroups struct {
	Groups []poisonedGroup
	Jobs   []queries.Job
}

type poisonedGroup struct {
	queries.PoisonGroup
	Link string
}

func (s *Server) showPoisoned(w http.ResponseWriter, r *http.Request) error {
	asked, err := s.readFilter(r.URL.Query())
	return s.showPoisonedPage(w, r, asked, err)
}

// findPoisoned takes the filter from the form, and sends the browser to its
// address.
func (s *Server) findPoisoned(w http.ResponseWriter, r *http.Request) error {
	asked, err := s.parseFilter(r.PostForm.Get("filter"))
	if err != nil {
		return s.showPoisonedPage(w, r, asked, err)
	}
	redirect(w, asked.page(""))
	return nil
}

func (s *Server) showPoisonedPage(w http.ResponseWriter, r *http.Request, asked askedFilter, faulty error) error {
	ctx, cancel := consoleContext(r)
	defer cancel()
	groups, err := s.readPoisonedGroups(ctx)
	if err != nil {
		return err
	}
	page := poisonedPage{poisonedGroups: groups, Filter: asked}
	if fault, ok := filterFault(faulty); ok {
		page.Fault = fault
		return s.showAs(w, r, http.StatusUnprocessableEntity, "poisoned", "Poisoned messages", "poisoned", page)
	}
	before := positive(r.URL.Query().Get("before"))
	list, err := s.cfg.DB.ListPoisoned(ctx, asked.Filter, before)
	if err != nil {
		return err
	}
	page.Entries = list.Entries
	if before > 0 {
		page.First = asked.page("")
	}
	if list.Next > 0 {
		page.Next = asked.page(strconv.FormatInt(list.Next, 10))
	}
	return s.show(w, r, "poisoned", "Poisoned messages", "poisoned", page)
}

func (s *Server) readPoisonedGroups(ctx context.Context) (poisonedGroups, error) {
	groups, err := s.cfg.DB.PoisonGroups(ctx, queries.PoisonFilter{States: []queries.PoisonState{queries.PoisonWaiting}})
	if err != nil {
		return poisonedGroups{}, err
	}
	var shown poisonedGroups
	for _, g := range groups {
		text := queries.PoisonFilter{Reasons: []string{g.Code}, Stages: []string{g.Stage}}.String()
		shown.Groups = append(shown.Groups, poisonedGroup{g, pathPoisoned + "?" + url.Values{"filter": {text}}.Encode()})
	}
	shown.Jobs, _, err = s.cfg.DB.ListJobs(ctx, true, 0, 10)
	return shown, err
}

func (s *Server) streamPoisoned(w http.ResponseWriter, r *http.Request) error {
	return s.stream(w, r, func(ctx context.Context) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, consolePatience)
		defer cancel()
		groups, err := s.readPoisonedGroups(ctx)
		if err != nil {
			return nil, err
		}
		return s.render(r, "poisoned", "groups", "", "", groups)
	})
}

// stateClass is how a state looks.
func stateClass(state queries.PoisonState) string {
	switch state {
	case queries.PoisonWaiting:
		return "warn"
	case queries.PoisonReplayed:
		return "good"
	default:
		return "plain"
	}
}
