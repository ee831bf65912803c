package ledger

import (
	"time"

	"redial/followup"
)

// wakeFor is how long a woken contact's capacity is kept for it. A flow on a live worker asks again within a fraction
// of that; after it the wake passes on to the next.
const wakeFor = 10 * time.Second

// Classes of the queue, first served first.
const (
	classPromised = 0
	classRetry    = 1
	classFirst    = 2
)

func classOf(r followup.ClearanceRequest) int {
	switch {
	case r.Promised:
		return classPromised
	case r.N > 1:
		return classRetry
	}
	return classFirst
}

// account is the one gateway account of a deployment.
const account = "default"

// SetLimits sets how many calls the account may carry at the same time and how many dials it may make in a window; 0 is
// no limit. A raised limit wakes those who can dial now.
func (l *Ledger) SetLimits(ctx ctx, lines, rate int, window time.Duration) error {
	return l.update(ctx, whole, "set limits", func(t *tx) error {
		err := t.exec(`INSERT INTO accounts (name, lines, rate, rate_window) VALUES (?, ?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET lines = excluded.lines, rate = excluded.rate, rate_window = excluded.rate_window`,
			account, lines, rate, window.Microseconds())
		if err != nil {
			return err
		}
		return t.grant()
	})
}

// place is where a contact stands in the queue.
type place struct {
	arrived, woken int64 // 0: it is not there; it was not woken
	missed         bool
	waits          bool // somebody is there whose time has come
}

// place reads a place by the time that the next answer is waited for.
func (t *tx) place(workflowID string) (*place, error) {
	p := &place{}
	if err := t.soon(`SELECT arrived_at, woken_until, missed FROM queue WHERE workflow_id = ?`, []any{workflowID},
		func(scan func(...any) error) error { return scan(&p.arrived, &p.woken, &p.missed) }); err != nil {
		return p, err
	}
	return p, t.soon(whoWaits, []any{micros(t.now)}, func(func(...any) error) error {
		p.waits = true
		return nil
	})
}

// capacity counts what the account carries and what it has promised.
func (t *tx) capacity(f *followup.Facts) error {
	f.Now = t.now
	now := micros(t.now)
	if err := t.soon(`SELECT lines, rate, rate_window, paused_until, paused_for, refusals > 0 FROM accounts WHERE name = ?`, []any{account},
		func(scan func(...any) error) error {
			var window, paused int64
			err := scan(&f.Lines, &f.Rate, &window, &paused, &f.PausedFor, &f.Failing)
			f.PausedUntil, f.Window = moment(paused), time.Duration(window)*time.Microsecond
			return err
		}); err != nil {
		return err
	}
	if err := t.taken(linesTaken, &f.LinesUsed, &f.LinesUntil); err != nil {
		return err
	}
	if err := t.taken(rateTaken, &f.RateUsed, &f.NextRateAt); err != nil {
		return err
	}
	if _, err := t.get(`SELECT COUNT(*) FROM queue WHERE woken_until > ?`, []any{now}, &f.LinesReserved); err != nil || !f.Failing {
		return err
	}
	var err error
	f.Probing, err = t.get(`SELECT 1 FROM attempts WHERE state = 'dialing' AND send_by > ? LIMIT 1`, []any{micros(t.now.Add(-settleAfterDial))}, new(int))
	return err
}

// What attempts take of what has a limit, and until when one of them does. Without a limit no attempt is looked at: there may be many. SQLite
// keeps to the order of a cross join.
const (
	linesTaken = `SELECT COUNT(*), COALESCE(MAX(a.line_until), 0) FROM accounts x CROSS JOIN attempts a WHERE x.name = ? AND x.lines > 0 AND a.line_until > ?`
	rateTaken  = `SELECT COUNT(*), COALESCE(MIN(a.rate_until), 0) FROM accounts x CROSS JOIN attempts a WHERE x.name = ? AND x.rate > 0 AND a.rate_until > ?`
)

// taken asks one of these, by the time that the next answer is waited for.
func (t *tx) taken(query string, n *int, until *time.Time) error {
	return t.soon(query, []any{account, micros(t.now)}, func(scan func(...any) error) error {
		var at int64
		err := scan(n, &at)
		*until = moment(at)
		return err
	})
}

// free is how many more dials the account could make now; -1 is no limit.
func free(f followup.Facts) int {
	n := -1
	if f.Lines > 0 {
		n = max(0, f.Lines-f.LinesUsed-f.LinesReserved)
	}
	if f.Rate > 0 {
		pace := max(0, f.Rate-f.RateUsed-f.LinesReserved)
		if n < 0 || pace < n {
			n = pace
		}
	}
	return n
}

// grant wakes as many waiting contacts as can dial now, in the order of the queue. It runs in the transaction that frees
// something, so that no capacity is left unpromised while somebody waits for it; where that has a part of the ledger only, a relay
// sees to it right after.
//
// Who was woken and did not ask in time is not woken again: a wake is durable, so that it still asks when its worker is
// back, and an outage must not fill its history with wakes. Who has news of another call on its way is woken after that: it may be that
// no further call is needed.
func (t *tx) grant() error {
	if t.partial {
		return t.watch()
	}
	waiting, err := t.waiting()
	if err != nil || !waiting {
		return err
	}
	now := micros(t.now)
	if err := t.exec(`UPDATE queue SET woken_until = 0, missed = TRUE WHERE woken_until > 0 AND woken_until <= ?`, now); err != nil {
		return err
	}
	var f followup.Facts
	if err := t.capacity(&f); err != nil {
		return err
	}
	n := free(f)
	if n == 0 || t.now.Before(f.PausedUntil) {
		return nil
	}
	if n < 0 {
		n = maxGroup
	}
	if f.Failing {
		if f.Probing || f.LinesReserved > 0 {
			return nil
		}
		n = 1
	}
	// Two contacts of one number must not be woken together: the second would only be held again.
	var next []string
	// The cast in LIMIT keeps SQLite from compiling the query anew for every value.
	err = t.each(`SELECT q.workflow_id FROM queue q WHERE +q.woken_until = 0 AND NOT q.missed AND q.not_before <= ?
			AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.target = q.target AND a.line_until > ?)
			AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.workflow_id = q.workflow_id AND kind = '`+kindAttempt+`' AND delivered_at = 0)
			AND NOT EXISTS (SELECT 1 FROM queue o WHERE o.target = q.target AND o.workflow_id <> q.workflow_id AND o.not_before <= ?
				AND (o.woken_until > 0 OR NOT o.missed
					AND (o.class, -o.weight, o.arrived_at, o.workflow_id) < (q.class, -q.weight, q.arrived_at, q.workflow_id)))
			ORDER BY q.class, q.weight DESC, q.arrived_at, q.workflow_id LIMIT CAST(? AS INTEGER)`, []any{now, now, now, n},
		func(scan func(...any) error) error {
			var id string
			err := scan(&id)
			next = append(next, id)
			return err
		})
	if err != nil {
		return err
	}
	for _, id := range next {
		if err := t.exec(`UPDATE queue SET woken_until = ? WHERE workflow_id = ?`, micros(t.now.Add(wakeFor)), id); err != nil {
			return err
		}
		if err := t.owe(delivery{kind: kindWake, workflowID: id, due: t.now}); err != nil {
			return err
		}
	}
	return nil
}

// waiting tells whether anybody is in the queue whose time has come.
func (t *tx) waiting() (bool, error) {
	return t.get(whoWaits, []any{micros(t.now)}, new(int))
}

const whoWaits = `SELECT 1 FROM queue WHERE not_before <= ? LIMIT 1`

// watch makes the relay look at its clock again when somebody waits: what it slept for may come sooner now.
func (t *tx) watch() error {
	return t.soon(whoWaits, []any{micros(t.now)}, func(func(...any) error) error {
		t.owed = true
		return nil
	})
}

// enqueue puts a held contact into the queue, or keeps it at its place there; a promise made to it is over. What it waits
// for may be a matter of time alone, and the relay has to know that somebody waits.
func (t *tx) enqueue(r followup.ClearanceRequest, notBefore time.Time) error {
	t.owed = true
	return t.exec(`INSERT INTO queue (workflow_id, target, class, arrived_at, not_before) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (workflow_id) DO UPDATE SET woken_until = 0, missed = FALSE, target = excluded.target, not_before = excluded.not_before`,
		r.WorkflowID, r.Request.To.URI, classOf(r), micros(t.now), micros(notBefore))
}

// leave takes a contact out of the queue, and tells whether it was there.
func (t *tx) leave(workflowID string) (bool, error) {
	n, err := t.change(leaveQueue, workflowID)
	return n > 0, err
}

const leaveQueue = `DELETE FROM queue WHERE workflow_id = ?`

// quit is leave for a contact that does not dial now: what it was promised, or stood in the way of, passes on.
func (t *tx) quit(workflowID string) error {
	if t.partial {
		return t.soon(leaveQueue+` RETURNING 1`, []any{workflowID}, func(func(...any) error) error {
			t.owed = true
			return nil
		})
	}
	was, err := t.leave(workflowID)
	if err != nil || !was {
		return err
	}
	return t.grant()
}
