package callflowtest

import (
	"context"
	"slices"
	"time"

	"redial/call"
	"redial/followup"
)

// settleAfterDial is how long a request may take after it was sent until its answer is in doubt; until then, and a window longer,
// it counts against the account's rate.
const settleAfterDial = 25 * time.Second

// settleFor is how long a flow is kept from dialing while the news of its last attempt is on its way to it.
const settleFor = 10 * time.Second

// Clear asks for leave to place one call, and records the intent when it is given.
func (l *Ledger) Clear(_ context.Context, r followup.ClearanceRequest) (followup.Clearance, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, refusal, err := l.claim(r.Claim(), r.Begins())
	if err != nil {
		return followup.Clearance{}, err
	}
	if refusal != nil {
		l.decide(c.WorkflowID, Decided{N: r.N, Kind: "refused", Reason: refusal.Reason, Rule: refusal.Rule})
		return followup.Clearance{Refused: refusal}, nil
	}
	a := l.attempts[r.Key]
	if a != nil && !l.sendAgain(a) {
		return followup.Clearance{Recorded: true, Attempt: a.Attempt}, nil
	}
	if !c.closedAt.IsZero() {
		return followup.Clearance{Refused: &followup.Refusal{Outcome: c.outcome, Reason: c.reason, Rule: c.rule}}, nil
	}
	if l.settledSince(r) {
		h := followup.Hold{Reason: followup.ReasonCall, Rule: "the last attempt has ended after all, and is decided on first", Until: l.now().Add(settleFor)}
		return followup.Clearance{Held: &h}, l.hold(c, r, h)
	}
	p, version := l.policyOf(c, followup.Policy{})
	if version > 0 && version != r.FollowsVersion {
		h := l.stale(c, version, r)
		return followup.Clearance{Held: &h}, nil
	}
	if version > 0 {
		r.Rules, r.Lifetime = p.Rules(), time.Duration(p.Lifetime)
	}
	f := l.count(r, c)
	hold, refusal := followup.Clear(f)
	switch {
	case refusal != nil:
		open := r.Others && refusal.OfTarget()
		return followup.Clearance{Refused: refusal, Open: open}, l.refuse(c, r, *refusal, open)
	case hold != nil:
		return followup.Clearance{Held: hold}, l.hold(c, r, *hold)
	}
	a = l.intend(c, a, r)
	l.decide(c.WorkflowID, Decided{N: r.N, Kind: "cleared", Reason: "no rule forbids the call", Rule: "clearance"})
	return followup.Clearance{Cleared: true, SendBy: a.sendBy, Attempt: a.Attempt}, nil
}

// sendAgain tells whether a recorded attempt may be sent once more: only one that provably placed no call, and on which nothing was
// decided yet. One whose answer was not recorded was in other hands, which may have sent it.
func (l *Ledger) sendAgain(a *attempt) bool {
	if before := a.State; before == call.StateDialing {
		a.Answer(call.DialAnswer{Class: call.AnswerUnknown, Message: "the worker that dialed did not record an answer"})
		l.doubt(a, before)
		l.store(a)
		return false
	}
	return a.State == call.StateNotPlaced && !a.Permanent && a.resend && a.decidedOn == ""
}

// settledSince tells whether the attempt before this one has become something else than was decided on.
func (l *Ledger) settledSince(r followup.ClearanceRequest) bool {
	before := l.attempts[call.AttemptKey(r.WorkflowID, r.FirstRunID, r.N-1)]
	return before != nil && before.decidedOn != "" && before.Disposition != "" && before.decidedOn != before.Disposition
}

// count gathers what clearance is decided from.
func (l *Ledger) count(r followup.ClearanceRequest, c *contact) followup.Facts {
	uri := r.Request.To.URI
	waiting := l.queue.byID[r.WorkflowID]
	if waiting == nil {
		l.grant() // who comes now must not take what those who wait are owed
	}
	f := l.capacity()
	l.queue.ripen(f.Now)
	f.Allowed = l.allow(uri)
	if r.Lifetime > 0 {
		f.ExpiresAt = c.openedAt.Add(r.Lifetime)
	}
	r.Rules.Ceilings = l.ceilings
	l.rules(r, &f)
	l.suppression(r, &f)
	switch {
	case waiting == nil:
		f.Ahead = l.queue.before(f.Now)
	case waiting.wokenUntil.After(f.Now):
		f.LinesReserved-- // its own promise
	case waiting.missed || !waiting.wokenUntil.IsZero():
		f.LinesReserved = 0 // it was woken and comes late; those who were promised its place are not here
	}
	if waiting != nil {
		f.Ahead = l.queue.before(waiting.arrivedAt)
	}
	for _, a := range l.live {
		if a.target == uri && a.lineUntil.After(f.Now) && a.lineUntil.After(f.NumberUntil) {
			f.NumberUntil = a.lineUntil
		}
	}
	l.promised(r, waiting, &f)
	return f
}

// promised is until when the number is kept for another contact that was woken for it, and whether one waits before this one and is
// woken next.
func (l *Ledger) promised(r followup.ClearanceRequest, own *queued, f *followup.Facts) {
	if own == nil {
		own = &queued{workflowID: r.WorkflowID, class: classOf(r), arrivedAt: l.now()}
	}
	for _, o := range l.queue.byTarget[r.Request.To.URI] {
		switch {
		case o == own:
		case o.wokenUntil.After(f.Now):
			if o.wokenUntil.After(f.KeptUntil) {
				f.KeptUntil = o.wokenUntil
			}
		case !o.missed && o.precedes(own):
			f.Awaited = true
		}
	}
}

// intend records that the call is about to be dialed: the line, the number and the rate are taken from now on.
func (l *Ledger) intend(c *contact, a *attempt, r followup.ClearanceRequest) *attempt {
	now := l.now()
	var seq int64
	if a != nil {
		seq = a.Seq
	}
	folded := call.Attempt{N: r.N, Key: r.Key, State: call.StateDialing, Seq: seq + 1, DialedAt: now,
		HearUntil: now.Add(followup.SendWithin + r.HearFor), Detection: r.Request.MachineDetection.Enabled()}
	a = l.record(c, a, r, folded, l.account.window)
	l.queue.remove(r.WorkflowID)
	c.wait = followup.Hold{Reason: followup.ReasonCall, Rule: "the call is under way", Until: a.HearUntil, Event: "the gateway reports its end"}
	return a
}

// record writes down an attempt that is dialed, its first or over one that provably placed no call.
func (l *Ledger) record(c *contact, a *attempt, r followup.ClearanceRequest, folded call.Attempt, window time.Duration) *attempt {
	if a == nil {
		a = &attempt{contact: c}
		l.attempts[r.Key] = a
		at, _ := slices.BinarySearchFunc(c.attempts, r.N, func(have *attempt, n int) int { return have.N - n })
		c.attempts = slices.Insert(c.attempts, at, a)
	}
	a.Attempt, a.target, a.owner, a.midCall, a.request = folded, r.Request.To.URI, r.Owner, r.MidCall, r.Request
	l.register(a, r.Keys())
	a.sends++
	a.resend = false
	a.sendBy = folded.DialedAt.Add(followup.SendWithin)
	a.rateUntil, a.lineUntil = a.sendBy.Add(settleAfterDial+window), folded.HearUntil
	l.occupy(a)
	return a
}

func (l *Ledger) hold(c *contact, r followup.ClearanceRequest, h followup.Hold) error {
	if h.Queued {
		l.enqueue(r, h.NotBefore)
		l.grant() // it may have been woken and cannot use it: the next may
	} else {
		l.quit(r.WorkflowID)
	}
	c.wait = h
	l.decide(c.WorkflowID, Decided{N: r.N, Kind: "held", Reason: string(h.Reason), Rule: h.Rule, Until: h.Next()})
	return nil
}

func (l *Ledger) refuse(c *contact, r followup.ClearanceRequest, f followup.Refusal, open bool) error {
	l.decide(c.WorkflowID, Decided{N: r.N, Kind: "refused", Reason: f.Reason, Rule: f.Rule})
	if open {
		l.quit(c.WorkflowID) // it waits no more for what it was refused
	} else {
		l.close(c, f.Outcome, false, f.Reason, f.Rule)
	}
	return nil
}
