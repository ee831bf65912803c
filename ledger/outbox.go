package ledger

import (
	"context"
	"time"

	"redial/call"
)

type ctx = context.Context

// Kinds of deliveries.
const (
	kindAttempt = "attempt" // the folded attempt, to its flow
	kindResult  = "result"  // the bot's result, to its flow
	kindWake    = "wake"    // capacity for a held contact, to its flow
	kindWebhook = "webhook" // an escalation, to somebody's system
)

// delivery is something owed.
type delivery struct {
	kind, workflowID, attemptKey string
	url, body                    string
	due                          time.Time
}

// bodyRecheck marks a wake of a contact that may not be called any more.
const bodyRecheck = "recheck"

// owedAgain is what becomes of a delivery that is owed already.
const owedAgain = `ON CONFLICT (topic) DO UPDATE SET due_at = excluded.due_at, url = excluded.url, body = excluded.body,
	version = outbox.version + 1, tries = 0, delivered_at = 0, last_error = ''`

// owe records that something has to be delivered. What is owed already is owed again, with its newest content.
func (t *tx) owe(d delivery) error {
	t.owed = true
	subject := d.attemptKey
	if d.kind != kindAttempt && d.kind != kindResult {
		subject = d.workflowID
	}
	if d.kind == kindWebhook {
		var err error
		if d.body, err = t.withStory(d.workflowID, d.body); err != nil {
			return err
		}
	}
	return t.exec(`INSERT INTO outbox (topic, kind, workflow_id, attempt_key, url, body, due_at) VALUES (?, ?, ?, ?, ?, ?, ?)
		`+owedAgain,
		d.kind+"/"+subject, d.kind, d.workflowID, d.attemptKey, d.url, d.body, micros(d.due))
}

// Delivery is one thing that is due. Exactly one of Attempt, Result, Wake, Webhook and Story is set.
type Delivery struct {
	ID, Version int64
	WorkflowID  string
	Tries       int // made before this one
	Attempt     *call.Attempt
	Result      *call.BotResult
	Wake        bool
	Recheck     bool // of a wake: whether the contact may still be called has to be asked
	Replan      bool // of a wake: the contact's policy has changed
	Webhook     *Webhook
	Story       []byte // of an escalation in the inbox: a Story in JSON

	kind, attemptKey string
}

// Webhook is a signed message to somebody's system.
type Webhook struct {
	ID   string // the same for every try
	URL  string
	Body []byte
}

// Lane parts deliveries by whom they go to, so that a system that does not answer holds up no call.
type Lane string

// Lanes of deliveries.
const (
	ToFlows   Lane = "flows"   // signals, wakes included
	ToSystems Lane = "systems" // webhooks
	ToSink    Lane = "sink"    // what is in the inbox, and was acknowledged by nobody, for a deployment that has a sink
)

// forSink is the condition of an escalation that a sink may have. It is in the inbox as well, and counts as delivered there: relays without a
// sink, and those of the version before, leave it where it is.
const forSink = `kind = '` + kindWebhook + `' AND url = '' AND sink_at = 0 AND acked_at = 0`

// owedIn are the conditions of what was not delivered yet in each lane. Kinds of a version to come are left to it.
var owedIn = map[Lane]string{
	ToFlows:   `delivered_at = 0 AND kind IN ('` + kindAttempt + `', '` + kindResult + `', '` + kindWake + `')`,
	ToSystems: `delivered_at = 0 AND kind = '` + kindWebhook + `'`,
	ToSink:    forSink,
}

// leaseFor is how long a delivery is out before it is due again, should its relay die with it.
const leaseFor = 30 * time.Second

// Due takes up to limit deliveries of a lane that are due. They are due again after a while unless Delivered or Failed is
// said.
func (l *Ledger) Due(ctx ctx, lane Lane, limit int) ([]Delivery, error) {
	var due []Delivery
	err := l.update(ctx, apart, "take deliveries", func(t *tx) error {
		taken, err := t.take(lane, limit)
		if err != nil {
			return err
		}
		due = due[:0]
		for _, d := range taken {
			if err := t.load(&d); err != nil {
				return err
			}
			if err := t.exec(`UPDATE outbox SET due_at = ?, tries = outbox.tries + 1 WHERE id = ?`, micros(t.now.Add(leaseFor)), d.ID); err != nil {
				return err
			}
			if d.Attempt != nil || d.Result != nil || d.Wake || d.Webhook != nil || d.Story != nil { // else the ledger was restored without the attempt
				due = append(due, d)
			}
		}
		return nil
	})
	return due, err
}

// take keeps deliveries that are due from other relays.
func (t *tx) take(lane Lane, limit int) (due []Delivery, err error) {
	// SQLite compiles a query with a bare LIMIT ? anew for every value; the cast keeps it from that.
	err = t.each(`SELECT id, version, kind, workflow_id, attempt_key, topic, url, body, tries FROM outbox
			WHERE `+owedIn[lane]+` AND due_at <= ? ORDER BY due_at LIMIT CAST(? AS INTEGER)`+t.leaveOut(),
		[]any{micros(t.now), limit},
		func(scan func(...any) error) error {
			var d Delivery
			var topic, url, body string
			err := scan(&d.ID, &d.Version, &d.kind, &d.WorkflowID, &d.attemptKey, &topic, &url, &body, &d.Tries)
			switch {
			case d.kind == kindWake:
				d.Wake, d.Recheck, d.Replan = true, body == bodyRecheck, body == bodyReplan
			case d.kind == kindWebhook && url == "":
				d.Story = []byte(body)
			case d.kind == kindWebhook:
				d.Webhook = &Webhook{ID: topic, URL: url, Body: []byte(body)}
			}
			due = append(due, d)
			return err
		})
	return due, err
}

// load reads the attempt, or the result, that a delivery is about, by a statement of its own: one that took the delivery as well could
// come by a newer version of it with an older attempt, and the newer attempt would never be told.
func (t *tx) load(d *Delivery) (err error) {
	switch d.kind {
	case kindWake, kindWebhook:
		return nil
	case kindResult:
		d.Result, err = t.result(d.attemptKey)
		return err
	}
	d.Attempt = &call.Attempt{}
	found, err := t.get(`SELECT attempt FROM attempts WHERE key = ?`, []any{d.attemptKey}, document{d.Attempt})
	if !found {
		d.Attempt = nil
	}
	return err
}

// Delivered settles a delivery, unless it was owed again meanwhile. With gone the flow is not there any more: nothing is
// kept for it in the queue.
func (l *Ledger) Delivered(ctx ctx, d Delivery, gone bool) error {
	needs := apart
	if gone {
		needs = part
	}
	return l.update(ctx, needs, "settle a delivery", func(t *tx) error {
		var err error
		switch {
		case d.Webhook != nil:
			err = t.exec(`UPDATE outbox SET delivered_at = ? WHERE id = ? AND version = ?`, micros(t.now), d.ID, d.Version)
		case d.Story != nil:
			err = t.exec(`UPDATE outbox SET sink_at = ? WHERE id = ? AND version = ?`, micros(t.now), d.ID, d.Version)
		default:
			err = t.exec(`DELETE FROM outbox WHERE id = ? AND version = ?`, d.ID, d.Version)
		}
		if err != nil || !gone {
			return err
		}
		return t.quit(d.WorkflowID)
	})
}

// Failed puts a delivery off for a while, which is over sooner than the relay knows of.
func (l *Ledger) Failed(ctx ctx, d Delivery, why string, pause time.Duration) error {
	return l.update(ctx, apart, "put off a delivery", func(t *tx) error {
		t.owed = true
		return t.exec(`UPDATE outbox SET due_at = ?, last_error = ? WHERE id = ? AND version = ?`, micros(t.now.Add(pause)), why, d.ID, d.Version)
	})
}

// Tick does what only time brings about: it passes on wakes that were not used, and wakes those for whom a lease that
// ended, or a dial that left the window, has made room. It also wakes those whom an import of suppressions concerns, some at a time. It
// returns when it has to be called next, by this machine's clock; zero: when something changes.
func (l *Ledger) Tick(ctx ctx) (next time.Time, err error) {
	var waiting, imported bool
	look := func(t *tx) (err error) {
		next, imported, err = t.next()
		return err
	}
	err = l.view(ctx, "tick", func(t *tx) (err error) {
		if waiting, err = t.waiting(); err != nil || waiting {
			return err
		}
		return look(t)
	})
	if err == nil && waiting {
		err = l.update(ctx, whole, "tick", func(t *tx) error {
			if err := t.grant(); err != nil {
				return err
			}
			return look(t)
		})
	}
	if err != nil || !imported {
		return next, err
	}
	if soon := time.Now().Add(tellEvery); next.IsZero() || next.After(soon) {
		next = soon
	}
	return next, l.tellImport(ctx)
}

// next is when something becomes due, or room is made for somebody who waits, by this machine's clock; and whether contacts are to be told
// of an import of suppressions.
func (t *tx) next() (next time.Time, imported bool, err error) {
	now := micros(t.now)
	var at int64
	_, err = t.get(`SELECT COALESCE(MIN(at), 0), EXISTS (SELECT 1 FROM suppression_imports WHERE `+toTell+`) FROM (
			SELECT MIN(due_at) AS at FROM outbox WHERE delivered_at = 0
			UNION ALL SELECT MIN(woken_until) FROM queue WHERE woken_until > ?
			UNION ALL SELECT MIN(not_before) FROM queue WHERE not_before > ?
			UNION ALL SELECT MIN(line_until) FROM attempts WHERE line_until > ? AND EXISTS (SELECT 1 FROM queue)
			UNION ALL SELECT MIN(rate_until) FROM attempts WHERE rate_until > ? AND EXISTS (SELECT 1 FROM queue)
			UNION ALL SELECT MIN(paused_until) FROM accounts WHERE paused_until > ? AND EXISTS (SELECT 1 FROM queue)
			UNION ALL SELECT MIN(send_by) + ? FROM attempts WHERE state = 'dialing' AND send_by > ? AND EXISTS (SELECT 1 FROM queue)
		) AS times WHERE at IS NOT NULL`,
		[]any{now, now, now, now, now, settleAfterDial.Microseconds(), micros(t.now.Add(-settleAfterDial))}, &at, &imported)
	return t.here(moment(at)), imported, err
}
