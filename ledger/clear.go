package ledger

import (
	"fmt"
	"time"

	"redial/call"
	"redial/followup"
)

// settleAfterDial is how long a request may take after it was sent until its answer is in doubt; until then, and a
// window longer, it counts against the account's rate.
const settleAfterDial = 25 * time.Second

// Clear asks for leave to place one call, and records the intent in the same transaction when it is given. It claims
// the contact's id for the run that asks first. Whatever is held or refused is recorded too.
func (l *Ledger) Clear(ctx ctx, r followup.ClearanceRequest) (followup.Clearance, error) {
	var c followup.Clearance
	err := l.update(ctx, whole.of(r.Key), "clear "+r.Key, func(t *tx) (err error) {
		c, err = l.clear(t, r)
		return err
	})
	return c, err
}

func (l *Ledger) clear(t *tx, r followup.ClearanceRequest) (followup.Clearance, error) {
	contact, refusal, err := t.claim(r.Claim(), r.Begins())
	switch {
	case err != nil:
		return followup.Clearance{}, err
	case refusal != nil:
		return followup.Clearance{Refused: refusal}, t.decide(decision{workflowID: r.WorkflowID, attemptKey: r.Key, kind: "refused", reason: refusal.Reason, rule: refusal.Rule})
	}
	row, found, err := t.attempt(r.Key)
	if err != nil {
		return followup.Clearance{}, err
	}
	if found {
		if t.again && row.owner == r.Owner && row.attempt.State == call.StateDialing {
			return t.cleared(row.attempt), nil // by this very request, whose commit was in doubt: nothing has been sent
		}
		again, err := t.sendAgain(&row)
		if err != nil || !again {
			return followup.Clearance{Recorded: true, Attempt: row.attempt}, err
		}
	}
	if !contact.closedAt.IsZero() {
		return followup.Clearance{Refused: &followup.Refusal{Outcome: contact.outcome, Reason: contact.reason, Rule: contact.rule}}, nil
	}
	switch settled, err := t.settledSince(r); {
	case err != nil:
		return followup.Clearance{}, err
	case settled:
		h := followup.Hold{Reason: followup.ReasonCall, Rule: "the last attempt has ended after all, and is decided on first", Until: t.now.Add(settleFor)}
		return t.held(h), t.hold(r, h)
	}
	switch v, found, err := t.followed(contact); {
	case err != nil:
		return followup.Clearance{}, err
	case found && v.Version != r.FollowsVersion:
		h, err := t.stale(v, r)
		return t.held(h), err
	case found:
		r.Rules, r.Lifetime = v.Policy.Rules(), time.Duration(v.Policy.Lifetime)
	}
	facts, err := l.count(t, r, contact, row)
	if err != nil {
		return followup.Clearance{}, err
	}
	hold, refusal := followup.Clear(facts)
	switch {
	case refusal != nil:
		open := r.Others && refusal.OfTarget()
		return followup.Clearance{Refused: refusal, Open: open}, t.refuse(r, *refusal, open)
	case hold != nil:
		return t.held(*hold), t.hold(r, *hold)
	}
	a, err := t.intend(r, row, facts)
	return t.cleared(a), err
}

// held is a wait that ends at a time of this machine's clock.
func (t *tx) held(h followup.Hold) followup.Clearance {
	h.Until, h.NotBefore = t.here(h.Until), t.here(h.NotBefore)
	return followup.Clearance{Held: &h}
}

// cleared is leave to send, until a time by this machine's clock.
func (t *tx) cleared(a call.Attempt) followup.Clearance {
	return followup.Clearance{Cleared: true, SendBy: t.here(a.DialedAt.Add(followup.SendWithin)), Attempt: a}
}

// settleFor is how long a flow is kept from dialing while the news of its last attempt is on its way to it.
const settleFor = 10 * time.Second

// settledSince tells whether the attempt before this one has become something else than was decided on.
func (t *tx) settledSince(r followup.ClearanceRequest) (bool, error) {
	if r.N < 2 {
		return false, nil
	}
	row, _, err := t.attempt(call.AttemptKey(r.WorkflowID, r.FirstRunID, r.N-1))
	return row.decision.Disposition != "" && row.attempt.Disposition != "" && row.decision.Disposition != row.attempt.Disposition, err
}

// contact is a contact's row.
type contact struct {
	firstRunID         string
	openedAt, closedAt time.Time
	outcome            call.Outcome
	reason, rule       string
	follows            string // the policy by whose newest version it goes; empty: it goes by its run's own
}

func (t *tx) contact(workflowID string) (c contact, found bool, err error) {
	if err := t.contactSoon(workflowID, &c, &found); err != nil {
		return c, false, err
	}
	err = t.wait()
	return c, found, err
}

// contactSoon is contact by the time that the next answer is waited for.
func (t *tx) contactSoon(workflowID string, c *contact, found *bool) error {
	return t.soon(`SELECT first_run_id, opened_at, closed_at, outcome, reason, rule, follows FROM contacts WHERE workflow_id = ?`, []any{workflowID},
		func(scan func(...any) error) error {
			var opened, closed int64
			err := scan(&c.firstRunID, &opened, &closed, &c.outcome, &c.reason, &c.rule, &c.follows)
			c.openedAt, c.closedAt, *found = moment(opened), moment(closed), true
			return err
		})
}

// claim makes the contact this run's own, or refuses a run that comes second. Begins is whether the ledger may not have heard of
// it before.
func (t *tx) claim(r followup.Claim, begins bool) (contact, *followup.Refusal, error) {
	c, found, err := t.contact(r.WorkflowID)
	switch {
	case err != nil:
		return c, nil, err
	case !found && !begins:
		return c, nil, fmt.Errorf("%w (contact %s was dialed before)", followup.ErrLost, r.WorkflowID)
	case !found:
		c = contact{firstRunID: r.FirstRunID, openedAt: t.now, follows: r.Follows}
		return c, nil, t.open(r)
	case c.firstRunID != r.FirstRunID:
		refusal := followup.Refusal{Outcome: call.OutcomeDuplicateID, Rule: "one run per contact id",
			Reason: "the contact id " + r.ContactID + " was dialed by an earlier run, " + c.firstRunID}
		return c, &refusal, nil
	}
	return c, nil, nil
}

// open writes the contact's row.
func (t *tx) open(r followup.Claim) error {
	return t.exec(`INSERT INTO contacts (workflow_id, contact_id, campaign, first_run_id, target, zone, opened_at, follows) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		r.WorkflowID, r.ContactID, r.Campaign, r.FirstRunID, r.Target, r.Zone, micros(t.now), r.Follows)
}

// sendAgain tells whether an attempt that has a row may be sent once more: only one that provably placed no call, and on
// which nothing was decided yet. One whose intent is recorded and whose answer is not was in other hands, which may have
// sent it: it is unknown.
func (t *tx) sendAgain(row *attemptRow) (bool, error) {
	switch {
	case row.attempt.State == call.StateDialing:
		before := row.attempt.State
		row.attempt.Answer(call.DialAnswer{Class: call.AnswerUnknown, Message: "the worker that dialed did not record an answer"})
		if err := t.doubt(*row, before); err != nil {
			return false, err
		}
		return false, t.store(row)
	case row.attempt.State == call.StateNotPlaced && !row.attempt.Permanent && row.resend && row.decision.Disposition == "":
		return true, nil
	}
	return false, nil
}

// count gathers what clearance is decided from.
func (l *Ledger) count(t *tx, r followup.ClearanceRequest, c contact, row attemptRow) (followup.Facts, error) {
	f := followup.Facts{Allowed: l.allow(r.Request.To.URI)}
	if r.Lifetime > 0 {
		f.ExpiresAt = c.openedAt.Add(r.Lifetime)
	}
	r.Rules.Ceilings = l.ceilings
	if err := t.rules(r, &f); err != nil {
		return f, err
	}
	if err := t.suppression(r, &f); err != nil {
		return f, err
	}
	var numberUntil int64
	if err := t.soon(`SELECT COALESCE(MAX(line_until), 0) FROM attempts WHERE target = ? AND line_until > ?`, []any{r.Request.To.URI, micros(t.now)},
		func(scan func(...any) error) error { return scan(&numberUntil) }); err != nil {
		return f, err
	}
	place, err := t.place(r.WorkflowID)
	if err != nil {
		return f, err
	}
	if err := t.capacity(&f); err != nil {
		return f, err
	}
	f.NumberUntil = moment(numberUntil)
	if !place.waits {
		return f, nil
	}
	if place.arrived == 0 {
		// Who comes now must not take what those who wait are owed.
		if err := t.grant(); err != nil {
			return f, err
		}
		if err := t.capacity(&f); err != nil {
			return f, err
		}
		place.arrived = micros(t.now)
	}
	switch {
	case place.woken > micros(t.now):
		f.LinesReserved-- // its own promise
	case place.missed || place.woken > 0:
		// It was woken and comes late. It is here, and those who were promised its place meanwhile are not: were it sent
		// away, a worker slower than a promise lasts would never dial at all.
		f.LinesReserved = 0
	}
	if err := t.promised(r, place.arrived, &f); err != nil {
		return f, err
	}
	_, err = t.get(`SELECT COUNT(*) FROM queue WHERE arrived_at < ? AND not_before <= ?`, []any{place.arrived, micros(t.now)}, &f.Ahead)
	return f, err
}

// promised is until when the number is kept for another contact that was woken for it, and whether one waits before this one and is
// woken next.
func (t *tx) promised(r followup.ClearanceRequest, arrived int64, f *followup.Facts) error {
	now := micros(t.now)
	var kept int64
	_, err := t.get(`SELECT COALESCE(MAX(woken_until), 0), COUNT(CASE WHEN woken_until <= ? THEN 1 END) > 0 FROM queue
		WHERE target = ? AND workflow_id <> ? AND (woken_until > ?
			OR NOT missed AND not_before <= ? AND (class, -weight, arrived_at, workflow_id) < (?, 0, ?, ?))`,
		[]any{now, r.Request.To.URI, r.WorkflowID, now, now, classOf(r), arrived, r.WorkflowID}, &kept, &f.Awaited)
	f.KeptUntil = moment(kept)
	return err
}

// intend records that the call is about to be dialed: the line, the number and the rate are taken from now on.
func (t *tx) intend(r followup.ClearanceRequest, row attemptRow, f followup.Facts) (call.Attempt, error) {
	hearUntil := t.now.Add(followup.SendWithin + r.HearFor)
	row.attempt = call.Attempt{N: r.N, Key: r.Key, State: call.StateDialing, Seq: row.attempt.Seq + 1, DialedAt: t.now, HearUntil: hearUntil,
		Detection: r.Request.MachineDetection.Enabled()}
	if err := t.record(r, row.attempt, f.Window); err != nil {
		return call.Attempt{}, err
	}
	if err := t.exec(leaveQueue, r.WorkflowID); err != nil {
		return call.Attempt{}, err
	}
	if err := t.waitFor(r.WorkflowID, followup.Hold{Reason: followup.ReasonCall, Rule: "the call is under way", Until: hearUntil,
		Event: "the gateway reports its end"}); err != nil {
		return call.Attempt{}, err
	}
	return row.attempt, t.decide(decision{workflowID: r.WorkflowID, attemptKey: r.Key, kind: "cleared", reason: "no rule forbids the call",
		rule: "clearance", evidence: cleared{asked{r.Request.To}, f.Evidence(), f.Lines, f.LinesUsed, f.Rate, f.RateUsed, f.LinesReserved}})
}

// asked is the evidence of who was to be called: a contact may have several numbers.
type asked struct {
	Target call.Target `json:"target"`
}

// cleared is the evidence that a dial leaves.
type cleared struct {
	asked
	followup.Evidence
	Lines     int `json:"lines"`
	LinesUsed int `json:"lines_used"`
	Rate      int `json:"rate"`
	RateUsed  int `json:"rate_used"`
	Reserved  int `json:"reserved"`
}

// record writes the row of an attempt that is dialed, its first or over one that provably placed no call.
func (t *tx) record(r followup.ClearanceRequest, a call.Attempt, window time.Duration) error {
	request, err := encode(r.Request)
	if err != nil {
		return err
	}
	folded, err := encode(a)
	if err != nil {
		return err
	}
	sendBy := a.DialedAt.Add(followup.SendWithin)
	changed, err := t.change(`INSERT INTO attempts (key, workflow_id, n, target, state, attempt, request, owner, sends, send_by, rate_until, line_until, mid_call, dialed_at, contact_id, subject)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (key) DO UPDATE SET state = excluded.state, disposition = '', attempt = excluded.attempt, owner = excluded.owner,
			target = excluded.target, request = excluded.request, mid_call = excluded.mid_call, dialed_at = excluded.dialed_at,
			contact_id = excluded.contact_id, subject = excluded.subject,
			sends = attempts.sends + 1, resend = FALSE, send_by = excluded.send_by, rate_until = excluded.rate_until, line_until = excluded.line_until
		WHERE attempts.state = 'not_placed'`,
		r.Key, r.WorkflowID, r.N, r.Request.To.URI, a.State, folded, request, r.Owner, micros(sendBy),
		micros(sendBy.Add(settleAfterDial+window)), micros(a.HearUntil), r.MidCall, micros(a.DialedAt), r.ContactID, r.SubjectKey())
	if err == nil && changed != 1 {
		err = fmt.Errorf("attempt %s changed hands: it may not be sent", r.Key)
	}
	return err
}

func (t *tx) hold(r followup.ClearanceRequest, h followup.Hold) error {
	if h.Queued {
		if err := t.enqueue(r, h.NotBefore); err != nil {
			return err
		}
		// It may have been woken and cannot use it: the next may.
		if err := t.grant(); err != nil {
			return err
		}
	} else if err := t.quit(r.WorkflowID); err != nil {
		return err
	}
	if err := t.waitFor(r.WorkflowID, h); err != nil {
		return err
	}
	return t.decide(decision{workflowID: r.WorkflowID, attemptKey: r.Key, kind: "held", reason: string(h.Reason), rule: h.Rule, until: h.Next(),
		evidence: asked{r.Request.To}})
}

// refuse ends the contact, unless it is left open: then it waits no more for what it was refused.
func (t *tx) refuse(r followup.ClearanceRequest, f followup.Refusal, open bool) error {
	end := func() error { return t.close(r.WorkflowID, f.Outcome, false, f.Reason, f.Rule) }
	if open {
		end = func() error { return t.quit(r.WorkflowID) }
	}
	if err := end(); err != nil {
		return err
	}
	return t.decide(decision{workflowID: r.WorkflowID, attemptKey: r.Key, kind: "refused", reason: f.Reason, rule: f.Rule, evidence: asked{r.Request.To}})
}

// waitFor notes what the contact waits for.
func (t *tx) waitFor(workflowID string, h followup.Hold) error {
	wait, err := encode(h)
	if err != nil {
		return err
	}
	return t.exec(`UPDATE contacts SET wait = ? WHERE workflow_id = ?`, wait, workflowID)
}

// close gives the contact its outcome; the first one stands.
func (t *tx) close(workflowID string, outcome call.Outcome, escalated bool, reason, rule string) error {
	if err := t.quit(workflowID); err != nil {
		return err
	}
	return t.exec(`UPDATE contacts SET outcome = ?, escalated = ?, reason = ?, rule = ?, closed_at = ?, wait = '' WHERE workflow_id = ? AND closed_at = 0`,
		outcome, escalated, reason, rule, micros(t.now), workflowID)
}

// decision is a row of the decision log.
type decision struct {
	workflowID, attemptKey string
	kind, reason, rule     string
	until                  time.Time
	evidence               any
}

func (t *tx) decide(d decision) error {
	evidence := ""
	if d.evidence != nil {
		var err error
		if evidence, err = encode(d.evidence); err != nil {
			return err
		}
	}
	return t.exec(`INSERT INTO decisions (workflow_id, attempt_key, at, kind, reason, rule, until, evidence) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		d.workflowID, d.attemptKey, micros(t.now), d.kind, d.reason, d.rule, micros(d.until), evidence)
}
