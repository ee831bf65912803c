package ledger

import (
	"context"
	"slices"
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
	topic := d.kind
	if d.body == bodyReplan { // apart from wakes for another reason, which are due at once
		topic = bodyReplan
	}
	return t.exec(`INSERT INTO outbox (topic, kind, workflow_id, attempt_key, url, body, due_at) VALUES (?, ?, ?, ?, ?, ?, ?)
		`+owedAgain,
		topic+"/"+subject, d.kind, d.workflowID, d.attemptKey, d.url, d.body, micros(d.due))
}

// oweAttempt owes a flow one of its attempts as it stands. It comes before what the attempt frees is granted: see grant.
func (t *tx) oweAttempt(row attemptRow, due time.Time) error {
	return t.owe(delivery{kind: kindAttempt, workflowID: row.workflowID, attemptKey: row.attempt.Key, due: due})
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

// Lane is whom it goes to.
func (d Delivery) Lane() Lane {
	switch {
	case d.Webhook != nil:
		return ToSystems
	case d.Story != nil:
		return ToSink
	}
	return ToFlows
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

var lanes = []Lane{ToFlows, ToSystems, ToSink}

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
	due, _, err := l.Exchange(ctx, nil, map[Lane]int{lane: limit})
	return due, err
}

// Agenda is what a relay goes by until it asks again.
type Agenda struct {
	// Next is when something becomes due, by this machine's clock; zero: when something changes.
	Next time.Time
	// Tick is whether there is something to do now that only Tick does.
	Tick bool
}

// Exchange settles deliveries, as Delivered does, and takes of each lane up to so many that are due, as Due does, in one transaction.
func (l *Ledger) Exchange(ctx ctx, delivered []Delivery, room map[Lane]int) (due []Delivery, a Agenda, err error) {
	var c calendar
	err = l.update(ctx, apart, "exchange deliveries", func(t *tx) error {
		for _, d := range delivered {
			if err := t.settle(d); err != nil {
				return err
			}
		}
		if due, err = t.take(room); err != nil {
			return err
		}
		for i := range due {
			if err := t.lease(&due[i]); err != nil {
				return err
			}
		}
		return t.look(&c)
	})
	if err != nil {
		return nil, a, err
	}
	return slices.DeleteFunc(due, Delivery.empty), Agenda{Next: c.next, Tick: c.waiting || c.imported || c.changed}, nil
}

// take keeps deliveries that are due from other relays.
func (t *tx) take(room map[Lane]int) (due []Delivery, err error) {
	for _, lane := range lanes {
		if room[lane] == 0 {
			continue
		}
		// SQLite compiles a query with a bare LIMIT ? anew for every value; the cast keeps it from that.
		err := t.soon(`SELECT id, version, kind, workflow_id, attempt_key, topic, url, body, tries FROM outbox
				WHERE `+owedIn[lane]+` AND due_at <= ? ORDER BY due_at LIMIT CAST(? AS INTEGER)`+t.leaveOut(),
			[]any{micros(t.now), room[lane]},
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
		if err != nil {
			return nil, err
		}
	}
	err = t.wait()
	return due, err
}

// lease reads what a delivery is about, by the time that the next answer is waited for, and keeps it for as long as its relay may take. To
// read it takes a statement of its own: one that took the delivery as well could come by a newer version of it with an older attempt, and
// the newer attempt would never be told.
func (t *tx) lease(d *Delivery) (err error) {
	switch d.kind {
	case kindResult:
		err = t.result(d.attemptKey, &d.Result)
	case kindAttempt:
		err = t.soon(`SELECT attempt FROM attempts WHERE key = ?`, []any{d.attemptKey}, func(scan func(...any) error) error {
			d.Attempt = &call.Attempt{}
			return scan(document{d.Attempt})
		})
	}
	if err != nil {
		return err
	}
	return t.exec(`UPDATE outbox SET due_at = ?, tries = outbox.tries + 1 WHERE id = ?`, micros(t.now.Add(leaseFor)), d.ID)
}

// empty tells whether there is nothing to deliver: the ledger was restored without the attempt.
func (d Delivery) empty() bool {
	return d.Attempt == nil && d.Result == nil && !d.Wake && d.Webhook == nil && d.Story == nil
}

// Delivered settles a delivery, unless it was owed again meanwhile. With gone the flow is not there any more: nothing is
// kept for it in the queue.
func (l *Ledger) Delivered(ctx ctx, d Delivery, gone bool) error {
	needs := apart
	if gone {
		needs = part
	}
	return l.update(ctx, needs, "settle a delivery", func(t *tx) error {
		if err := t.settle(d); err != nil || !gone {
			return err
		}
		return t.quit(d.WorkflowID)
	})
}

// settle passes over a row that somebody else changes at this moment, most likely because it is owed again: waiting for it, with others
// already changed, could be waiting in a circle. One that is not owed again is delivered again when its lease ends.
func (t *tx) settle(d Delivery) error {
	this := ` WHERE id = (SELECT id FROM outbox WHERE id = ? AND version = ?` + t.leaveOut() + `)`
	switch {
	case d.Webhook != nil:
		return t.exec(`UPDATE outbox SET delivered_at = ?`+this, micros(t.now), d.ID, d.Version)
	case d.Story != nil:
		return t.exec(`UPDATE outbox SET sink_at = ?`+this, micros(t.now), d.ID, d.Version)
	}
	return t.exec(`DELETE FROM outbox`+this, d.ID, d.Version)
}

// Failed puts a delivery off for a while, which is over sooner than the relay knows of.
func (l *Ledger) Failed(ctx ctx, d Delivery, why string, pause time.Duration) error {
	return l.update(ctx, apart, "put off a delivery", func(t *tx) error {
		t.owed = true
		return t.exec(`UPDATE outbox SET due_at = ?, last_error = ? WHERE id = ? AND version = ?`, micros(t.now.Add(pause)), why, d.ID, d.Version)
	})
}

// Tick does what only time brings about: it passes on wakes that were not used, and wakes those for whom a lease that
// ended, or a dial that left the window, has made room. It also wakes those whom an import of suppressions concerns, and those who follow a policy that has changed, some at a time. It
// returns when it has to be called next, by this machine's clock; zero: when something changes.
func (l *Ledger) Tick(ctx ctx) (next time.Time, err error) {
	var c calendar
	err = l.view(ctx, "tick", func(t *tx) error {
		if err := t.look(&c); err != nil {
			return err
		}
		return t.wait()
	})
	if err == nil && c.waiting {
		err = l.update(ctx, whole, "tick", func(t *tx) error {
			if err := t.grant(); err != nil {
				return err
			}
			return t.look(&c)
		})
	}
	if err == nil && c.changed {
		err = l.tellFollowers(ctx)
	}
	if err != nil || !c.imported {
		return c.next, err
	}
	if soon := time.Now().Add(tellEvery); c.next.IsZero() || c.next.After(soon) {
		c.next = soon
	}
	return c.next, l.tellImport(ctx)
}

// calendar is what only time brings about.
type calendar struct {
	next     time.Time // when something becomes due, or room is made for somebody who waits, by this machine's clock
	waiting  bool      // somebody is in the queue whose time has come
	imported bool      // contacts are to be told of an import of suppressions
	changed  bool      // contacts are to be told that the policy which they follow has changed
}

// look reads the calendar by the time that the next answer is waited for.
func (t *tx) look(c *calendar) error {
	now := micros(t.now)
	return t.soon(`SELECT COALESCE(MIN(at), 0), EXISTS (`+whoWaits+`), EXISTS (SELECT 1 FROM suppression_imports WHERE `+toTell+`), EXISTS (SELECT 1 FROM policies WHERE `+toTellFollowers+`) FROM (
			SELECT MIN(due_at) AS at FROM outbox WHERE delivered_at = 0
			UNION ALL SELECT MIN(tell_at) FROM policies WHERE tell_at > 0
			UNION ALL SELECT MIN(woken_until) FROM queue WHERE woken_until > ?
			UNION ALL SELECT MIN(not_before) FROM queue WHERE not_before > ?
			UNION ALL SELECT MIN(line_until) FROM attempts WHERE line_until > ? AND EXISTS (SELECT 1 FROM queue)
			UNION ALL SELECT MIN(rate_until) FROM attempts WHERE rate_until > ? AND EXISTS (SELECT 1 FROM queue)
			UNION ALL SELECT MIN(paused_until) FROM accounts WHERE paused_until > ? AND EXISTS (SELECT 1 FROM queue)
			UNION ALL SELECT MIN(send_by) + ? FROM attempts WHERE state = 'dialing' AND send_by > ? AND EXISTS (SELECT 1 FROM queue)
		) AS times WHERE at IS NOT NULL`,
		[]any{now, now, now, now, now, now, now, settleAfterDial.Microseconds(), micros(t.now.Add(-settleAfterDial))},
		func(scan func(...any) error) error {
			var at int64
			err := scan(&at, &c.waiting, &c.imported, &c.changed)
			c.next = t.here(moment(at))
			return err
		})
}
