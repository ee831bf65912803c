package ledger

import (
	"fmt"
	"time"

	"redial/call"
	"redial/followup"
)

// attemptRow is an attempt with what only the ledger needs of it.
type attemptRow struct {
	attempt    call.Attempt
	workflowID string
	owner      string
	sends      int
	resend     bool // provably no call, and it may be sent again
	lineUntil  time.Time
	rateUntil  time.Time
	midCall    bool
	decision   recordedDecision
}

// recordedDecision is what was decided on an attempt, and on which disposition of it.
type recordedDecision struct {
	Disposition call.Disposition  `json:"disposition"`
	Decision    followup.Decision `json:"decision"`
}

// keptAttempt is an attempt that was read ahead.
type keptAttempt struct {
	row   attemptRow
	found bool
}

const (
	attemptColumns = `attempt, workflow_id, owner, sends, resend, line_until, rate_until, mid_call, decision`
	attemptWhere   = `SELECT ` + attemptColumns + ` FROM attempts WHERE key `
	attemptAndKey  = `SELECT ` + attemptColumns + `, key FROM attempts WHERE key `
)

func (t *tx) attempt(key string) (row attemptRow, found bool, err error) {
	if kept, there := t.kept[key]; there {
		delete(t.kept, key) // it is not what is stored for long
		return kept.row, kept.found, nil
	}
	err = t.each(attemptWhere+`= ?`+t.forUpdate(), []any{key}, func(scan func(...any) error) error {
		found = true
		return row.scan(scan)
	})
	return row, found, err
}

func (row *attemptRow) scan(scan func(...any) error) error {
	var line, rate int64
	err := scan(document{&row.attempt}, &row.workflowID, &row.owner, &row.sends, &row.resend, &line, &rate, &row.midCall, document{&row.decision})
	row.lineUntil, row.rateUntil = moment(line), moment(rate)
	return err
}

// known is attempt for callers that have seen the row before.
func (t *tx) known(key string) (attemptRow, error) {
	row, found, err := t.attempt(key)
	if err == nil && !found {
		err = fmt.Errorf("%w (%s)", followup.ErrLost, key)
	}
	return row, err
}

// store writes the row back. What a call no longer occupies is given to those who wait.
func (t *tx) store(row *attemptRow) error {
	a := row.attempt
	folded, err := encode(a)
	if err != nil {
		return err
	}
	decided := ""
	if row.decision.Disposition != "" {
		if decided, err = encode(row.decision); err != nil {
			return err
		}
	}
	over := a.Over() || a.Disposition != ""
	switch {
	case !over:
		row.lineUntil = a.HearUntil // taken again by a call that was refused and is reported on all the same
	case t.now.Before(row.lineUntil):
		row.lineUntil = t.now
	}
	if err := t.exec(`UPDATE attempts SET state = ?, disposition = ?, attempt = ?, resend = ?, line_until = ?, rate_until = ?, decision = ?, ended_at = ? WHERE key = ?`,
		a.State, a.Disposition, folded, row.resend, micros(row.lineUntil), micros(row.rateUntil), decided, micros(a.EndedAt), a.Key); err != nil {
		return err
	}
	if !over {
		return nil
	}
	return t.grant()
}

// Restore puts back an attempt that was dialed, and that the ledger has lost before its answer could be recorded. A request that has
// left is never to be forgotten: the next one would be made.
func (l *Ledger) Restore(ctx ctx, r followup.ClearanceRequest, dialed call.Attempt, d call.DialAnswer) (call.Attempt, error) {
	err := l.update(ctx, whole, "restore "+r.Key, func(t *tx) error {
		_, found, err := t.attempt(r.Key)
		if err != nil || found {
			return err
		}
		if _, found, err = t.contact(r.WorkflowID); err == nil && !found {
			err = t.open(r.Claim())
		}
		if err == nil {
			err = t.record(r, dialed, 0)
		}
		if err != nil {
			return err
		}
		return t.decide(decision{workflowID: r.WorkflowID, attemptKey: r.Key, kind: "restored", reason: followup.ErrLost.Error(), rule: "a request that has left is not forgotten"})
	})
	if err != nil {
		return call.Attempt{}, err
	}
	return l.Answer(ctx, r.Key, r.Owner, d)
}

// Answer records what came of the dial request that owner sent. An answer that settles a doubt which the flow was told
// of meanwhile is delivered to it.
func (l *Ledger) Answer(ctx ctx, key, owner string, d call.DialAnswer) (call.Attempt, error) {
	needs := whole
	if d.Class == call.AnswerPlaced {
		needs = part // its slot of the rate ends sooner than the intent said, and the account need not slow down
	}
	var a call.Attempt
	err := l.update(ctx, needs.of(key), "record the answer of "+key, func(t *tx) error {
		row, err := t.known(key)
		if err != nil {
			return err
		}
		if row.owner != owner {
			return fmt.Errorf("attempt %s is in other hands: its answer is not recorded", key)
		}
		before := row.attempt.State
		doubted := before == call.StateUnknown
		row.attempt.Answer(d)
		if err := t.pace(&row, d); err != nil {
			return err
		}
		a = row.attempt
		if err := t.doubt(row, before); err != nil {
			return err
		}
		if doubted && a.State == call.StateNotPlaced {
			if err := t.oweAttempt(row, t.now); err != nil {
				return err
			}
		}
		if err := t.store(&row); err != nil || row.resend {
			return err
		}
		return t.grant() // requests get through: the next may leave
	})
	return a, err
}

// pace draws from an answer when this attempt may be sent again, and whether the account must slow down.
func (t *tx) pace(row *attemptRow, d call.DialAnswer) error {
	var window, paused int64
	var refusals int
	if _, err := t.get(`SELECT rate_window, paused_until, refusals FROM accounts WHERE name = ?`, []any{account}, &window, &paused, &refusals); err != nil {
		return err
	}
	row.rateUntil = t.now.Add(time.Duration(window) * time.Microsecond)
	row.resend = d.Class == call.AnswerThrottled || d.Class == call.AnswerNotPlaced
	if err := t.watch(); err != nil { // the slot may end sooner than the intent said
		return err
	}
	switch {
	case row.resend:
		return t.pause(d, moment(paused), refusals)
	case refusals > 0 && !t.now.Before(moment(paused)): // else it left before the refusal that the account waits for
		return t.exec(`UPDATE accounts SET refusals = 0, paused_until = 0, paused_for = '' WHERE name = ?`, account)
	}
	return nil
}

// pause holds the whole account after a request that did not get through. Of requests that fail together the first has
// told all, unless a later one states a longer wait.
func (t *tx) pause(d call.DialAnswer, paused time.Time, refusals int) error {
	held := t.now.Before(paused)
	if held && d.RetryAfter == 0 {
		return nil
	}
	if !held {
		refusals++
	}
	reason, wait := followup.ReasonUnreachable, followup.Outage(refusals)
	if d.Class == call.AnswerThrottled {
		reason, wait = followup.ReasonThrottled, followup.Throttle(d.RetryAfter, refusals)
	}
	return t.exec(`UPDATE accounts SET refusals = ?, paused_until = CASE WHEN paused_until > CAST(? AS BIGINT) THEN paused_until ELSE CAST(? AS BIGINT) END, paused_for = ?
		WHERE name = ?`, refusals, micros(t.now.Add(wait)), micros(t.now.Add(wait)), reason, account)
}

// Receive stores one notification about an attempt and folds its events into it, in one transaction: when Receive
// returns nil, what was heard is on disk, and whatever follows from it is owed. A body that could not be read comes with
// the reason and no events, and is kept for people to look at.
func (l *Ledger) Receive(ctx ctx, key string, raw []byte, events []call.Event, unreadable string) error {
	if raw == nil {
		raw = []byte{} // an empty body is kept too, and NULL would not be
	}
	var tried []time.Time
	return l.update(ctx, part.of(key), "receive a notification for "+key, func(t *tx) error {
		note := unreadable
		row, found, err := t.attempt(key)
		if err == nil && t.again {
			var stored bool
			if stored, err = t.stored(key, raw, tried); stored {
				t.owed = true
				return nil
			}
		}
		tried = append(tried, t.now)
		switch {
		case err != nil:
			return err
		case !found:
			note = "no such attempt"
		default:
			if note, err = t.fold(&row, events, note); err != nil {
				return err
			}
		}
		return t.exec(`INSERT INTO notifications (attempt_key, received_at, raw, note) VALUES (?, ?, ?, ?)`, key, micros(t.now), raw, note)
	})
}

// stored tells whether a try at one of these times, whose commit was in doubt, has stored a notification. What else it wrote is there
// too then.
func (t *tx) stored(key string, raw []byte, tried []time.Time) (found bool, err error) {
	for _, at := range tried {
		if !found && err == nil {
			found, err = t.get(`SELECT 1 FROM notifications WHERE attempt_key = ? AND received_at = ? AND raw = ?`, []any{key, micros(at), raw}, new(int))
		}
	}
	return found, err
}

// fold folds events into the row, stores it, and owes the flow what it has to know. It returns what is odd about them.
func (t *tx) fold(row *attemptRow, events []call.Event, note string) (string, error) {
	before, tell, changed := row.attempt, false, false
	for _, e := range events {
		e.ReceivedAt = t.now
		f := row.attempt.Fold(e)
		changed = changed || f.Changed
		tell = tell || row.midCall && (f.Answered || f.Verdict)
		switch {
		case f.Anomaly != "":
			note = f.Anomaly
		case f.Late:
			note = "late"
		}
	}
	if !changed {
		return note, nil
	}
	var err error
	switch ended := row.attempt.State == call.StateEnded; {
	case ended && before.State == call.StateEnded && row.attempt.SettledAt.Equal(before.SettledAt): // owed already, and delivered as it stands then
	case ended:
		err = t.oweAttempt(*row, row.attempt.SettledAt)
	case tell:
		err = t.oweAttempt(*row, t.now)
	}
	if err != nil {
		return note, err
	}
	return note, t.store(row)
}

// GiveUp stops listening for the end of an attempt, at the hard watchdog, and returns it as it stands: ended if an end was heard, else
// unknown.
func (l *Ledger) GiveUp(ctx ctx, key, why string) (call.Attempt, error) {
	var a call.Attempt
	err := l.update(ctx, part.of(key), "give up on "+key, func(t *tx) error {
		row, err := t.known(key)
		if err != nil {
			return err
		}
		before := row.attempt.State
		row.attempt.Close(t.now, why)
		a = row.attempt
		if err := t.doubt(row, before); err != nil {
			return err
		}
		return t.store(&row)
	})
	return a, err
}

// doubt writes down when an attempt has come into doubt. The attempt itself keeps no time of that: it may end yet.
func (t *tx) doubt(row attemptRow, before call.State) error {
	if before == call.StateUnknown || row.attempt.State != call.StateUnknown {
		return nil
	}
	return t.decide(decision{workflowID: row.workflowID, attemptKey: row.attempt.Key, kind: "doubted", reason: row.attempt.Error,
		rule: "a request that may have left is not sent again"})
}
