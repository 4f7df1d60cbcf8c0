package http

import (
	"net/http"

	"github.com/gorilla/mux"

	"chat-messaging/queries"
)

const (
	defaultFound  = 20
	maxFound      = 200
	defaultAround = 6
	maxAround     = 50
)

// lookup is what this server's configuration makes of a Lookup.
func (s *Server) lookup() *Lookup {
	return &Lookup{DB: s.cfg.DB, Reader: s.reader, Policy: s.cfg.Policy, EventID: s.cfg.EventID}
}

// findMessages answers with messages, and with none where there are none: a chat
// that does not exist is no mistake of who looks for it.
func (s *Server) findMessages(w http.ResponseWriter, r *http.Request) error {
	p := newParameters(r.URL)
	q := MessageQuery{ClientMessageID: p.text("client_message_id")}
	q.ChatID, _ = p.integer("chat_id", 1, 1<<63-1)
	q.SenderID, _ = p.integer("sender_id", 1, 1<<63-1)
	q.Limit = p.limit(defaultFound, maxFound)
	reader := p.reader(r)
	if q.ChatID == 0 && q.SenderID == 0 {
		p.fault("sender_id", "must be given, or chat_id: no index begins with the client's id")
	}
	if err := p.err(); err != nil {
		return err
	}
	ctx, cancel := s.databaseContext(r)
	defer cancel()
	found, err := s.lookup().FindAll(ctx, q, reader)
	if err != nil {
		return err
	}
	return respondAdmin(w, http.StatusOK, found)
}

// showMessage answers with a message's path.
func (s *Server) showMessage(w http.ResponseWriter, r *http.Request) error {
	p := newParameters(r.URL)
	around := defaultAround
	if n, given := p.integer("around", 0, maxAround); given {
		around = int(n)
	}
	reader := p.reader(r)
	if err := p.err(); err != nil {
		return err
	}
	chat, isChat := id(mux.Vars(r)["chat"])
	seq, isSeq := id(mux.Vars(r)["seq"])
	if !isChat || !isSeq {
		return problemNotFound
	}
	ctx, cancel := s.databaseContext(r)
	defer cancel()
	path, err := s.lookup().Path(ctx, chat, seq, around, reader)
	if err != nil {
		return err
	}
	return respondAdmin(w, http.StatusOK, path)
}

// reader is who asks for bodies, nil if nobody does.
func (p *parameters) reader(r *http.Request) *queries.Operator {
	switch p.text("body") {
	case "":
		return nil
	case "true":
		by := byREST(r)
		return &by
	default:
		p.fault("body", "must be true or left out")
		return nil
	}
}
