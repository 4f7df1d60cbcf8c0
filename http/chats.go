package http

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/gorilla/mux"

	"chat-messaging/queries"
)

const maxChatsLimit = 1000

// getChats answers GET /chats/get-chats. The answer is a bare list, as it always
// was; the next page, if there is one, is in the Link header.
func (s *Server) getChats(w http.ResponseWriter, r *http.Request) error {
	user := exchangeOf(r.Context()).user
	page, err := s.chatPage(r, user)
	if err != nil {
		return err
	}
	ctx, cancel := s.databaseContext(r)
	defer cancel()
	limit := page.Limit
	page.Limit++ // one more than asked for tells whether there are more
	chats, err := s.reader.ListChats(ctx, user, page)
	if err != nil {
		return err
	}
	if len(chats) > limit {
		chats = chats[:limit]
		w.Header().Set("Link", s.nextChats(r, user, chats[limit-1].ID))
	}
	chats = slices.DeleteFunc(chats, func(c queries.UserChat) bool {
		return !s.permitted(r, actionRead, c.Members, 0)
	})
	return respondJSON(w, r, func(dst []byte) []byte {
		dst = append(dst, '[')
		for i := range chats {
			if i > 0 {
				dst = append(dst, ',')
			}
			if page.LastMessage {
				dst = appendFullChat(dst, &chats[i])
			} else {
				dst = appendChat(dst, &chats[i])
			}
		}
		return append(dst, ']')
	})
}

func (s *Server) chatPage(r *http.Request, user int64) (queries.Page, error) {
	p := newParameters(r.URL)
	page := queries.Page{Limit: p.limit(maxChatsLimit, maxChatsLimit)}
	switch p.text("include") {
	case "":
	case "last_message":
		page.LastMessage = true
	default:
		p.fault("include", "must be last_message")
	}
	if text := p.text("cursor"); text != "" {
		at, err := s.cursors.decode(text, cursorOfChats, user)
		if err != nil {
			p.fault("cursor", "must be a cursor from an answer to you")
		}
		page.After = at.position
	}
	return page, p.err()
}

// nextChats is relative to the request, so that it holds with and without prefix.
func (s *Server) nextChats(r *http.Request, user, last int64) string {
	query := r.URL.Query()
	query.Set("cursor", s.cursors.encode(cursor{list: cursorOfChats, owner: user, direction: queries.Newer, position: last}))
	kept := url.Values{}
	for _, name := range []string{"cursor", "include", "limit"} {
		if query.Has(name) {
			kept.Set(name, query.Get(name))
		}
	}
	return `<?` + kept.Encode() + `>; rel="next"`
}

// getChat answers GET /chats/{id}.
func (s *Server) getChat(w http.ResponseWriter, r *http.Request) error {
	chatID, ok := id(mux.Vars(r)["id"])
	if !ok {
		return problemNotFound
	}
	ctx, cancel := s.databaseContext(r)
	defer cancel()
	chat, err := s.reader.UserChat(ctx, chatID)
	if err != nil {
		return err
	}
	if !s.permitted(r, actionRead, chat.Members, 0) {
		return problemNotFound
	}
	return respondJSON(w, r, func(dst []byte) []byte { return appendFullChat(dst, chat) })
}

// createChat answers POST /chats. What exists is returned without asking anybody.
func (s *Server) createChat(w http.ResponseWriter, r *http.Request) error {
	members, err := readMembers(w, r)
	if err != nil {
		return err
	}
	if !s.permitted(r, actionCreateChat, members, 0) {
		return problemForbidden
	}
	chat, err := s.ensureChat(r, members)
	if err != nil {
		return err
	}
	return respondJSON(w, r, func(dst []byte) []byte { return appendChat(dst, chat) })
}

// ensureChat finds the chat or makes it. The users' details are stored first, so
// that no chat appears without them; that the chat is made once, however many
// ask, is the database's promise.
func (s *Server) ensureChat(r *http.Request, members []int64) (*queries.UserChat, error) {
	ctx, cancel := s.databaseContext(r)
	chat, now, err := s.reader.FindChat(ctx, members)
	cancel()
	if err != nil || chat != nil && !chat.Incomplete {
		return chat, err
	}
	users, err := s.auth.users(r.Context(), members)
	if err != nil {
		if chat != nil {
			return chat, nil // without the details of somebody, but it is there
		}
		return nil, err
	}
	ctx, cancel = s.databaseContext(r)
	defer cancel()
	if err := s.reader.SaveUsers(ctx, now, users); err != nil {
		return nil, err
	}
	if _, err := s.reader.EnsureChat(ctx, members); err != nil {
		return nil, err
	}
	chat, _, err = s.reader.FindChat(ctx, members)
	if err == nil && chat == nil {
		err = errors.New("a chat that was just made is not there")
	}
	return chat, err
}

// readMembers reads the two users of a chat, ascending.
func readMembers(w http.ResponseWriter, r *http.Request) ([]int64, error) {
	var body struct {
		UserIDs jsontext.Value `json:"user_ids"`
	}
	if err := readBody(w, r, &body); err != nil {
		return nil, err
	}
	elements, ok := elementsOf(body.UserIDs)
	if !ok || len(elements) != 2 {
		return nil, invalid(fieldFault{"user_ids", "must be a list of two user ids"})
	}
	members := make([]int64, 0, len(elements))
	for i, element := range elements {
		member, err := positiveInteger(element)
		if err != nil {
			return nil, invalid(fieldFault{"user_ids/" + strconv.Itoa(i), "must be a positive integer"})
		}
		members = append(members, member)
	}
	if slices.Sort(members); members[0] == members[1] {
		return nil, invalid(fieldFault{"user_ids", "must be two different users"})
	}
	return members, nil
}
