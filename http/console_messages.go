package http

import (
	"net/http"
	"strings"

	"github.com/gorilla/mux"

	"chat-messaging/queries"
)

// messagesPage is what the search for messages shows.
type messagesPage struct {
	// ID to Client are what was asked for, as it was written.
	ID, Chat, Seq, Sender, Client string
	Fault                         string
	Asked, More                   bool
	Found                         []messageRow
	// Poisoned are those that were not stored, as far as they tell whose they are.
	Poisoned []FoundPoisoned
}

type messageRow struct {
	FoundMessage
	// Here is the message that the page is about.
	Here bool
}

const pathMessages = pathConsole + "/messages"

func (s *Server) searchMessages(w http.ResponseWriter, r *http.Request) error {
	asked := r.URL.Query()
	text := func(name string) string { return strings.TrimSpace(asked.Get(name)) }
	page := messagesPage{ID: text("id"), Chat: text("chat"), Seq: text("seq"), Sender: text("sender"), Client: text("client_message_id")}
	if page.ID+page.Chat+page.Seq+page.Sender+page.Client == "" {
		return s.show(w, r, "messages", "Messages", "messages", page)
	}
	if chat, seq, ok := page.position(); ok {
		redirect(w, pathMessages+"/"+chat+"-"+seq)
		return nil
	}
	query := MessageQuery{ClientMessageID: page.Client, Limit: defaultFound}
	if query.ChatID, query.SenderID, page.Fault = page.numbers(); page.Fault != "" {
		return s.showAs(w, r, http.StatusUnprocessableEntity, "messages", "Messages", "messages", page)
	}
	ctx, cancel := consoleContext(r)
	defer cancel()
	found, err := s.lookup().FindAll(ctx, query, nil)
	if err != nil {
		return err
	}
	page.Asked, page.More, page.Poisoned = true, len(found.Messages) == query.Limit, found.Poisoned
	for _, m := range found.Messages {
		page.Found = append(page.Found, messageRow{FoundMessage: m})
	}
	return s.show(w, r, "messages", "Messages", "messages", page)
}

// position is the one message that was asked for, if it was one.
func (p messagesPage) position() (chat, seq string, ok bool) {
	chat, seq = p.Chat, p.Seq
	if p.ID != "" {
		chat, seq, _ = strings.Cut(p.ID, "-")
	}
	return chat, seq, positive(chat) > 0 && positive(seq) > 0
}

// numbers reads what was written, or says what is wrong with it.
func (p messagesPage) numbers() (chat, sender int64, fault string) {
	chat, sender = positive(p.Chat), positive(p.Sender)
	switch {
	case p.ID != "":
		fault = "A message's id is the chat's and the position in it, such as 123-4."
	case p.Chat != "" && chat == 0:
		fault = "The id of a chat is a positive number."
	case p.Sender != "" && sender == 0:
		fault = "The id of a sender is a positive number."
	case p.Seq != "":
		fault = "A position is a positive number, and needs a chat."
	case chat == 0 && sender == 0:
		fault = "Name a chat or a sender beside the client's id: no index begins with that."
	}
	return chat, sender, fault
}

// messagePage is what one message's page shows.
type messagePage struct {
	Path     *MessagePath
	Around   []messageRow
	Revealed bool
}

func (s *Server) showMessagePath(w http.ResponseWriter, r *http.Request) error {
	return s.showPath(w, r, nil)
}

// revealBodies shows the bodies too, which is recorded.
func (s *Server) revealBodies(w http.ResponseWriter, r *http.Request) error {
	by := actor(r)
	return s.showPath(w, r, &by)
}

func (s *Server) showPath(w http.ResponseWriter, r *http.Request, reader *queries.Operator) error {
	ctx, cancel := consoleContext(r)
	defer cancel()
	vars := mux.Vars(r)
	path, err := s.lookup().Path(ctx, positive(vars["chat"]), positive(vars["seq"]), defaultAround, reader)
	if err != nil {
		return err
	}
	page := messagePage{Path: path, Revealed: reader != nil}
	for _, m := range path.Before {
		page.Around = append(page.Around, messageRow{FoundMessage: m})
	}
	page.Around = append(page.Around, messageRow{path.Message, true})
	for _, m := range path.After {
		page.Around = append(page.Around, messageRow{FoundMessage: m})
	}
	return s.show(w, r, "message", "Message "+path.Message.ID, "messages", page)
}
