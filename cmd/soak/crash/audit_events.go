package crash

import (
	"fmt"
	"strconv"

	"chat-messaging/pipeline"
)

// auditEvents holds the recording against the script and the rows, and returns
// the events of the rejected messages.
func (r *Run) auditEvents(a *Audit, entries []*Entry, rows map[string]*row) map[*Entry]*dispatch {
	rec := r.recording
	rec.mu.Lock()
	defer rec.mu.Unlock()
	for _, odd := range rec.odd {
		a.violated(I5, "%s", odd)
	}
	w := &eventAudit{
		Run: r, Audit: a, rows: rows,
		goods: map[string]*Entry{}, rejected: map[string]*Entry{}, publishes: map[*Entry]int{},
		delivered: map[string]*dispatch{}, rejections: map[*Entry]*dispatch{}, next: map[string]int64{},
	}
	for _, e := range entries {
		switch {
		case e.Kind == Good:
			w.goods[e.ID] = e
			w.publishes[e] += e.Publishes
		case e.Kind == Repeat:
			// Each repeat may be answered with the stored event again.
			w.publishes[w.goods[e.ID]] += e.Publishes
		case e.Kind.code() != "":
			w.rejected[e.ID+"\x00"+e.Body] = e
			w.publishes[e] += e.Publishes
		}
	}
	again := 0
	for _, d := range rec.order {
		again += d.again
		switch d.Status {
		case statusDelivered:
			w.checkDelivered(d)
		case statusRejected:
			w.checkRejected(d)
		default:
			a.violated(I6, "an event of status %q: %+v", d.Status, d.event)
		}
	}
	for id, m := range rows {
		if w.delivered[id] == nil {
			a.violated(I5, "no event of %+v", *m)
		}
	}
	w.checkDuplicates(again)
	return w.rejections
}

// eventAudit is the audit of one recording.
type eventAudit struct {
	*Run
	*Audit
	rows       map[string]*row
	goods      map[string]*Entry // by client_message_id
	rejected   map[string]*Entry // by client_message_id and body
	publishes  map[*Entry]int    // how often the sender has asked for the event
	delivered  map[string]*dispatch
	rejections map[*Entry]*dispatch
	next       map[string]int64 // last seq by chat
}

func (w *eventAudit) checkDelivered(d *dispatch) {
	e, m := w.goods[d.ClientMessageID], w.rows[d.ClientMessageID]
	if e == nil || m == nil {
		w.violated(I6, "an event without a row: %+v", d.event)
		return
	}
	if other := w.delivered[d.ClientMessageID]; other != nil {
		w.violated(I5, "two events of message %s: %+v and %+v", d.ClientMessageID, other.event, d.event)
		return
	}
	w.delivered[d.ClientMessageID] = d
	id := fmt.Sprintf("%d-%d", m.ChatID, m.Seq)
	if d.ID == nil || *d.ID != id || d.ChatID != strconv.FormatInt(m.ChatID, 10) || d.Seq != m.Seq || d.SenderID != m.SenderID ||
		d.RecipientID != m.RecipientID || d.SentAt != m.SentAt || d.Body != m.Body || d.RejectCode != nil {
		w.violated(I5, "an event that is not its row's: %+v of %+v", d.event, *m)
	}
	if d.Seq != w.next[d.ChatID]+1 {
		w.violated(I7, "in chat %s event %d comes behind %d", d.ChatID, d.Seq, w.next[d.ChatID])
	}
	w.next[d.ChatID] = d.Seq
	w.checkAddressee(d, e, d.RecipientID)
}

func (w *eventAudit) checkRejected(d *dispatch) {
	e := w.rejected[d.ClientMessageID+"\x00"+d.Body]
	if e == nil || e.Kind.code() != d.code() || e.Sender != d.SenderID || e.Recipient != d.RecipientID || d.ID != nil || d.Seq != 0 {
		w.violated(I6, "a rejection of nothing: %s %+v", d.code(), d.event)
		return
	}
	if w.rejections[e] != nil {
		w.violated(I5, "two rejections of one message: %+v", d.event)
	}
	w.rejections[e] = d
	w.checkAddressee(d, e, d.SenderID)
}

// checkAddressee makes sure that the event went to whom it is for, and names
// nobody who is not in the chat, but for the sender of a rejected message.
func (w *eventAudit) checkAddressee(d *dispatch, e *Entry, addressee int64) {
	if w.ground.cfg.Routing == pipeline.RoutingUser && d.routingKey != strconv.FormatInt(addressee, 10) {
		w.violated(I9, "an event for user %d went to %s", addressee, d.routingKey)
	}
	members := w.ground.chats[e.Chat].Members
	for _, user := range []int64{d.SenderID, d.RecipientID} {
		if user != members[0] && user != members[1] && (d.Status == statusDelivered || user != e.Sender) {
			w.violated(I9, "user %d is told of a chat of others: %+v", user, d.event)
		}
	}
}

// checkDuplicates counts what was dispatched more often than anybody had asked
// for. A fault can repeat what is under way: a window of the relay, and the
// rejections in a window of the consumer, which are decided again. So not only
// their number has a bound, but also how far back they reach. What comes
// again because the recorder died is its own doing, and bounded by what it had
// in hand.
func (w *eventAudit) checkDuplicates(again int) {
	for e, publishes := range w.publishes {
		d := w.rejections[e]
		if e.Kind == Good {
			d = w.delivered[e.ID]
		}
		if d == nil || d.fresh <= publishes {
			continue
		}
		w.Duplicates += d.fresh - publishes
		if publishes == 1 && d.farthest > w.window+prefetch {
			w.violated(I8, "an event was dispatched again %d events later, and %d are the most that are under way: %+v",
				d.farthest, w.window+prefetch, d.event)
		}
	}
	faults := w.kills() + w.faults + w.DatabaseKills + w.BrokerKills
	w.DuplicateBound = faults * (w.window + prefetch)
	if w.Duplicates > w.DuplicateBound {
		w.violated(I8, "%d events were dispatched again, and %d are the most for %d faults", w.Duplicates, w.DuplicateBound, faults)
	}
	if most := (w.RecorderDeaths + w.BrokerKills) * recorderPrefetch; again > most {
		w.violated(I8, "%d events came again to a recorder that had died, and %d are the most", again, most)
	}
}
