package http

import (
	"errors"
	"maps"
	"net/url"
	"strings"

	"chat-messaging/queries"
)

// askedFilter is a filter as somebody wrote it.
type askedFilter struct {
	// Text is what they wrote.
	Text   string
	Filter queries.PoisonFilter
	// link is the query that leads to it again.
	link url.Values
}

// Narrowed tells whether not everything that waits was asked for.
func (f askedFilter) Narrowed() bool { return f.Text != "" }

// readFilter reads the filter of an address. What was looked for in the text of
// messages stands there sealed: it is text of messages itself, and addresses end
// up in histories and logs.
func (s *Server) readFilter(query url.Values) (askedFilter, error) {
	text := query.Get("filter")
	if sealed := query.Get("sealed"); sealed != "" {
		plain, err := s.access.sessions.openText(sealed, sealedFilter)
		if err != nil {
			return askedFilter{}, &queries.FilterError{Field: "filter", Reason: "the address is not valid any more"}
		}
		text = string(plain)
	}
	return s.parseFilter(text)
}

// parseFilter reads what somebody wrote. Without a state they mean what waits.
func (s *Server) parseFilter(text string) (askedFilter, error) {
	asked := askedFilter{Text: strings.TrimSpace(text), link: url.Values{}}
	var err error
	if asked.Filter, err = queries.ParsePoisonFilterText(asked.Text, s.console.now()); err != nil {
		return asked, err
	}
	if len(asked.Filter.States) == 0 {
		asked.Filter.States = []queries.PoisonState{queries.PoisonWaiting}
	}
	switch {
	case asked.Filter.Contains != "":
		asked.link.Set("sealed", s.access.sessions.sealText([]byte(asked.Text), sealedFilter))
	case asked.Text != "":
		asked.link.Set("filter", asked.Text)
	}
	return asked, nil
}

// page is the address of the list from an entry on; 0 is its beginning.
func (f askedFilter) page(before string) string {
	link := maps.Clone(f.link)
	if link == nil { // a filter that could not be read
		link = url.Values{}
	}
	if before != "" {
		link.Set("before", before)
	}
	if len(link) == 0 {
		return pathPoisoned
	}
	return pathPoisoned + "?" + link.Encode()
}

// filterFault is what is wrong with a filter, for its writer.
func filterFault(err error) (string, bool) {
	fault, ok := errors.AsType[*queries.FilterError](err)
	if !ok {
		return "", false
	}
	return fault.Error(), true
}
