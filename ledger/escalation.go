package ledger

import (
	"encoding/json"
	"fmt"
	"time"

	"redial/call"
	"redial/followup"
)

// Escalation is where the word to people stands.
type Escalation struct {
	URL string `json:"url,omitempty"` // empty: the inbox, and the sink of a deployment that has one
	// DeliveredAt is when the webhook, or the sink, has taken it; zero: it has not.
	DeliveredAt time.Time `json:"delivered_at,omitzero"`
	Tries       int       `json:"tries"`
	LastError   string    `json:"last_error,omitempty"`
	NextTryAt   time.Time `json:"next_try_at,omitzero"` // by the webhook, or by a sink that has tried before; zero: there is none to come
	// AckedAt is when somebody has said that it is seen to; zero: nobody has.
	AckedAt   time.Time `json:"acked_at,omitzero"`
	AckedBy   string    `json:"acked_by,omitempty"`
	AckedNote string    `json:"acked_note,omitempty"`
}

// escalationColumns are the columns of an Escalation, of the table outbox as o.
const escalationColumns = `o.url, CASE WHEN o.url = '' THEN o.sink_at ELSE o.delivered_at END, o.tries, o.last_error, o.due_at, o.acked_at, o.acked_by, o.acked_note`

// scan scans escalationColumns, and the columns that come after them into more.
func (e *Escalation) scan(scan func(...any) error, more ...any) error {
	var delivered, due, acked int64
	err := scan(append([]any{&e.URL, &delivered, &e.Tries, &e.LastError, &due, &acked, &e.AckedBy, &e.AckedNote}, more...)...)
	e.DeliveredAt, e.AckedAt = moment(delivered), moment(acked)
	if delivered == 0 && (e.URL != "" || e.Tries > 0 && acked == 0) {
		e.NextTryAt = moment(due)
	}
	return err
}

// escalation is where the word on a contact stands; nil: it was not escalated.
func (t *tx) escalation(workflowID string) (*Escalation, error) {
	var found *Escalation
	err := t.each(`SELECT `+escalationColumns+` FROM outbox o WHERE o.topic = ?`, []any{kindWebhook + "/" + workflowID}, func(scan func(...any) error) error {
		found = &Escalation{}
		return found.scan(scan)
	})
	return found, err
}

// Story is what people are told of a contact that was escalated: all that has happened.
type Story struct {
	followup.Escalated
	Decisions []Decision `json:"decisions"` // holds, decisions and notes, in order; the last 500 at most
	Results   []Result   `json:"results"`   // of bots
}

// mostTold is how many decisions people are told of with an escalation: the last ones.
const mostTold = 500

// withStory is the body of an escalation with what was decided, noted and said by bots before it.
func (t *tx) withStory(workflowID, body string) (string, error) {
	var told Story
	err := json.Unmarshal([]byte(body), &told.Escalated)
	if err != nil {
		return "", err
	}
	if told.Decisions, err = t.decisions(workflowID); err != nil {
		return "", err
	}
	told.Decisions = told.Decisions[max(0, len(told.Decisions)-mostTold):]
	if told.Results, err = t.results(workflowID); err != nil {
		return "", err
	}
	return encode(told)
}

// EscalationLine is one escalation in a list, without a number.
type EscalationLine struct {
	ID         int64            `json:"id"` // given by the ledger, in order
	WorkflowID string           `json:"workflow_id"`
	ContactID  string           `json:"contact_id"`
	Campaign   string           `json:"campaign,omitempty"`
	At         time.Time        `json:"at"`
	Reason     string           `json:"reason"`
	Rule       string           `json:"rule"`
	Attempts   int              `json:"attempts"`
	Last       call.Disposition `json:"last_disposition,omitempty"` // of the last attempt
	Escalation
}

// EscalationFilter says which escalations are listed; the zero filter is those that wait for somebody: in the inbox and acknowledged
// by nobody, or to be delivered yet.
type EscalationFilter struct {
	Undelivered bool  // only those that a webhook, or a sink that has tried, has not taken yet
	All         bool  // also what is delivered, or acknowledged
	Before      int64 // only those with a smaller ID; 0: all
	Limit       int   // at most so many; 0: no limit
}

func (f EscalationFilter) where() where {
	var w where
	w.and("o.kind = ?", kindWebhook)
	switch {
	case f.Undelivered:
		w.and("(o.delivered_at = 0 OR o.url = '' AND o.sink_at = 0 AND o.acked_at = 0 AND o.tries > 0)")
	case !f.All:
		w.and("o.acked_at = 0 AND (o.delivered_at = 0 OR o.url = '' AND o.sink_at = 0)")
	}
	if f.Before != 0 {
		w.and("o.id < ?", f.Before)
	}
	return w
}

// Escalations lists escalations, the newest first. The next page comes before the last ID of this one.
func (l *Ledger) Escalations(ctx ctx, f EscalationFilter) (list []EscalationLine, err error) {
	err = l.view(ctx, "list escalations", func(t *tx) error {
		list, err = t.escalations(f.where(), f.Limit)
		return err
	})
	return list, err
}

func (t *tx) escalations(w where, limit int) ([]EscalationLine, error) {
	list := []EscalationLine{}
	query := `SELECT ` + escalationColumns + `, o.id, o.body FROM outbox o WHERE ` + w.String() + ` ORDER BY o.id DESC`
	if limit > 0 {
		query, w.args = query+` LIMIT CAST(? AS INTEGER)`, append(w.args, limit)
	}
	err := t.each(query, w.args, func(scan func(...any) error) error {
		var line EscalationLine
		var told followup.Escalated
		if err := line.scan(scan, &line.ID, document{&told}); err != nil {
			return err
		}
		line.WorkflowID, line.ContactID, line.Campaign = told.WorkflowID, told.ContactID, told.Campaign
		line.At, line.Reason, line.Rule, line.Attempts = told.At, told.Reason, told.Rule, len(told.Attempts)
		if line.Attempts > 0 {
			line.Last = told.Attempts[line.Attempts-1].Disposition
		}
		list = append(list, line)
		return nil
	})
	return list, err
}

// Acknowledge records who has seen to the escalation of a contact, which is named by its workflow id or its contact id, and tells
// whether nobody had before: the first stands. A webhook that was not delivered yet stays owed; to a sink nothing is given any more that
// somebody has seen to.
func (l *Ledger) Acknowledge(ctx ctx, id, by, note string) (e EscalationLine, first bool, err error) {
	err = l.update(ctx, apart, "acknowledge the escalation of "+id, func(t *tx) error {
		workflowID, err := t.named(id)
		if err != nil {
			return err
		}
		topic := kindWebhook + "/" + workflowID
		n, err := t.change(`UPDATE outbox SET acked_at = ?, acked_by = ?, acked_note = ? WHERE topic = ? AND acked_at = 0`, micros(t.now), by, note, topic)
		if err != nil {
			return err
		}
		list, err := t.escalations(where{[]string{"o.topic = ?"}, []any{topic}}, 1)
		if err == nil && len(list) == 0 {
			err = fmt.Errorf("%s was not escalated: see redial escalations list", workflowID)
		}
		if err != nil {
			return err
		}
		e = list[0]
		first = n == 1 || t.again && e.AckedBy == by && e.AckedNote == note
		return nil
	})
	return e, first, err
}
