package http

import (
	"math"
	"net/http"
	"slices"
	"strconv"

	"github.com/gorilla/mux"

	"chat-messaging/queries"
)

const (
	historyLimit    = 10
	maxHistoryLimit = 100
)

// historyRequest is a page of a chat's history, as asked for.
type historyRequest struct {
	chatID    int64
	window    queries.Window
	ascending bool
}

// getMessages answers GET /messages/get-messages.
func (s *Server) getMessages(w http.ResponseWriter, r *http.Request) error {
	request, err := s.historyRequest(r)
	if err != nil {
		return err
	}
	ctx, cancel := s.databaseContext(r)
	defer cancel()
	history, err := s.reader.History(ctx, request.chatID, request.window)
	if err != nil {
		return err
	}
	if !s.permitted(r, actionRead, history.Members, 0) {
		return problemNotFound
	}
	return respondJSON(w, r, func(dst []byte) []byte {
		return s.appendHistory(dst, request, history)
	})
}

// historyRequest reads the parameters. At most one of cursor, before, after and
// around says where the page lies; without any it is the newest, or with order=asc
// the oldest.
func (s *Server) historyRequest(r *http.Request) (historyRequest, error) {
	p := newParameters(r.URL)
	var h historyRequest
	var ok bool
	if h.chatID, ok = id(p.text("chat_id")); !ok {
		p.fault("chat_id", "must be the id of a chat")
		return h, p.err()
	}
	order := p.text("order")
	if order != "" && order != "asc" && order != "desc" {
		p.fault("order", "must be asc or desc")
	}
	h.ascending = order == "asc"
	h.window = queries.Window{Direction: queries.Older, Anchor: math.MaxInt64, Limit: p.limit(historyLimit, maxHistoryLimit)}
	if h.ascending {
		h.window.Direction, h.window.Anchor = queries.Newer, 0
	}
	anchors := 0
	anchor := func(name string, least int64, direction queries.Direction) {
		if position, given := p.integer(name, least, math.MaxInt64); given {
			h.window.Direction, h.window.Anchor = direction, position
			anchors++
		}
	}
	anchor("before", 1, queries.Older)
	anchor("after", 0, queries.Newer)
	anchor("around", 1, queries.Around)
	if text := p.text("cursor"); text != "" {
		at, err := s.cursors.decode(text, cursorOfHistory, h.chatID)
		if err != nil {
			p.fault("cursor", "must be a cursor from an answer about this chat")
		}
		h.window.Direction, h.window.Anchor = at.direction, at.position
		h.ascending = order == "asc" || order == "" && at.ascending
		anchors++
	}
	if anchors > 1 {
		p.fault("cursor", "only one of cursor, before, after and around may be given")
	}
	return h, p.err()
}

// appendHistory writes the page. Positions have no gaps, so whether there is more
// on either side is known from the page and the chat's last position.
func (s *Server) appendHistory(dst []byte, request historyRequest, h *queries.History) []byte {
	first, last := span(request.window, h)
	previous, next := first > 1, last < h.LastSeq
	if !request.ascending {
		slices.Reverse(h.Messages)
	}
	dst = append(dst, `{"messages":[`...)
	for i := range h.Messages {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendMessage(dst, &h.Messages[i])
	}
	at := cursor{list: cursorOfHistory, owner: request.chatID, direction: queries.Older, ascending: request.ascending, position: first}
	more := previous
	if request.window.Direction == queries.Newer {
		at.direction, at.position, more = queries.Newer, last, next
	}
	dst = append(dst, `],"cursor":"`...)
	if more {
		dst = append(dst, s.cursors.encode(at)...)
	}
	dst = append(dst, `","previous_messages_exist":`...)
	dst = strconv.AppendBool(dst, previous)
	dst = append(dst, `,"next_messages_exist":`...)
	dst = strconv.AppendBool(dst, next)
	dst = append(dst, `,"last_seq":`...)
	dst = strconv.AppendInt(dst, h.LastSeq, 10)
	return append(dst, '}')
}

// span is the first and the last position of the page; of an empty one, the two
// sides of the place where it would be.
func span(w queries.Window, h *queries.History) (first, last int64) {
	if n := len(h.Messages); n > 0 {
		return h.Messages[0].Seq, h.Messages[n-1].Seq
	}
	if w.Direction == queries.Newer {
		return h.LastSeq + 1, h.LastSeq
	}
	return 1, 0
}

// getMessage answers GET /messages/{chat}-{seq}.
func (s *Server) getMessage(w http.ResponseWriter, r *http.Request) error {
	vars := mux.Vars(r)
	chatID, isChat := id(vars["chat"])
	seq, isSeq := id(vars["seq"])
	if !isChat || !isSeq {
		return problemNotFound
	}
	ctx, cancel := s.databaseContext(r)
	defer cancel()
	h, err := s.reader.Message(ctx, chatID, seq)
	if err != nil {
		return err
	}
	if !s.permitted(r, actionRead, h.Members, 0) || len(h.Messages) == 0 {
		return problemNotFound
	}
	return respondJSON(w, r, func(dst []byte) []byte {
		return appendMessage(dst, &h.Messages[0])
	})
}
