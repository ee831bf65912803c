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
	kindWake    = "wake"    // capacity for a held contact, to its flow
	kindWebhook = "webhook" // an escalation, to somebody's system
)

// delivery is something owed.
type delivery struct {
	kind, workflowID, attemptKey string
	url, body                    string
	due                          time.Time
}

// owe records that something has to be delivered. What is owed already is owed again, with its newest content.
func (t *tx) owe(d delivery) error {
	t.owed = true
	subject := d.attemptKey
	if d.kind != kindAttempt {
		subject = d.workflowID
	}
	return t.exec(`INSERT INTO outbox (topic, kind, workflow_id, attempt_key, url, body, due_at) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (topic) DO UPDATE SET due_at = excluded.due_at, url = excluded.url, body = excluded.body,
			version = outbox.version + 1, tries = 0, delivered_at = 0, last_error = ''`,
		d.kind+"/"+subject, d.kind, d.workflowID, d.attemptKey, d.url, d.body, micros(d.due))
}

// Delivery is one thing that is due. Exactly one of Attempt, Wake and Webhook is set.
type Delivery struct {
	ID, Version int64
	WorkflowID  string
	Tries       int // made before this one
	Attempt     *call.Attempt
	Wake        bool
	Webhook     *Webhook
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
	ToFlows   Lane = "flows"   // signals and wakes
	ToSystems Lane = "systems" // webhooks
)

// leaseFor is how long a delivery is out before it is due again, should its relay die with it.
const leaseFor = 30 * time.Second

// Due takes up to limit deliveries of a lane that are due. They are due again after a while unless Delivered or Failed is
// said.
func (l *Ledger) Due(ctx ctx, lane Lane, limit int) ([]Delivery, error) {
	var due []Delivery
	err := l.update(ctx, apart, "take deliveries", func(t *tx) error {
		due = due[:0]
		// SQLite compiles a query with a bare LIMIT ? anew for every value; the cast keeps it from that.
		err := t.each(`SELECT o.id, o.version, o.kind, o.workflow_id, o.topic, o.url, o.body, o.tries, COALESCE(a.attempt, '')
				FROM outbox o LEFT JOIN attempts a ON a.key = o.attempt_key
				WHERE o.delivered_at = 0 AND o.due_at <= ? AND (o.kind = ?) = ? ORDER BY o.due_at LIMIT CAST(? AS INTEGER)`+t.leaveOut("o"),
			[]any{micros(t.now), kindWebhook, lane == ToSystems, limit},
			func(scan func(...any) error) error {
				var d Delivery
				var kind, topic, url, body string
				var a call.Attempt
				if err := scan(&d.ID, &d.Version, &kind, &d.WorkflowID, &topic, &url, &body, &d.Tries, document{&a}); err != nil {
					return err
				}
				switch kind {
				case kindAttempt:
					d.Attempt = &a
				case kindWake:
					d.Wake = true
				case kindWebhook:
					d.Webhook = &Webhook{ID: topic, URL: url, Body: []byte(body)}
				}
				due = append(due, d)
				return nil
			})
		for _, d := range due {
			if err == nil {
				err = t.exec(`UPDATE outbox SET due_at = ?, tries = outbox.tries + 1 WHERE id = ?`, micros(t.now.Add(leaseFor)), d.ID)
			}
		}
		return err
	})
	return due, err
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
		if d.Webhook != nil {
			err = t.exec(`UPDATE outbox SET delivered_at = ? WHERE id = ? AND version = ?`, micros(t.now), d.ID, d.Version)
		} else {
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
// ended, or a dial that left the window, has made room. It returns when it has to be called next, by this machine's clock; zero: when
// something changes.
func (l *Ledger) Tick(ctx ctx) (next time.Time, err error) {
	var waiting bool
	look := func(t *tx) (err error) {
		next, err = t.next()
		return err
	}
	err = l.view(ctx, "tick", func(t *tx) (err error) {
		if waiting, err = t.waiting(); err != nil || waiting {
			return err
		}
		return look(t)
	})
	if err != nil || !waiting {
		return next, err
	}
	err = l.update(ctx, whole, "tick", func(t *tx) error {
		if err := t.grant(); err != nil {
			return err
		}
		return look(t)
	})
	return next, err
}

// next is when something becomes due, or room is made for somebody who waits, by this machine's clock.
func (t *tx) next() (time.Time, error) {
	now := micros(t.now)
	var at int64
	_, err := t.get(`SELECT COALESCE(MIN(at), 0) FROM (
			SELECT MIN(due_at) AS at FROM outbox WHERE delivered_at = 0
			UNION ALL SELECT MIN(woken_until) FROM queue WHERE woken_until > ?
			UNION ALL SELECT MIN(line_until) FROM attempts WHERE line_until > ? AND EXISTS (SELECT 1 FROM queue)
			UNION ALL SELECT MIN(rate_until) FROM attempts WHERE rate_until > ? AND EXISTS (SELECT 1 FROM queue)
			UNION ALL SELECT MIN(paused_until) FROM accounts WHERE paused_until > ? AND EXISTS (SELECT 1 FROM queue)
			UNION ALL SELECT MIN(send_by) + ? FROM attempts WHERE state = 'dialing' AND send_by > ? AND EXISTS (SELECT 1 FROM queue)
		) AS times WHERE at IS NOT NULL`,
		[]any{now, now, now, now, settleAfterDial.Microseconds(), micros(t.now.Add(-settleAfterDial))}, &at)
	return t.here(moment(at)), err
}
