package callflowtest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"redial/call"
	"redial/followup"
)

// Answer records what came of the dial request that owner sent. An answer that settles a doubt which the flow was told of meanwhile
// is delivered to it.
func (l *Ledger) Answer(_ context.Context, key, owner string, d call.DialAnswer) (call.Attempt, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, err := l.known(key)
	if err != nil {
		return call.Attempt{}, err
	}
	if a.owner != owner {
		return call.Attempt{}, fmt.Errorf("attempt %s is in other hands: its answer is not recorded", key)
	}
	before := a.State
	doubted := before == call.StateUnknown
	a.Attempt.Answer(d)
	l.pace(a, d)
	l.doubt(a, before)
	if doubted && a.State == call.StateNotPlaced {
		l.oweAttempt(a, l.now())
	}
	l.store(a)
	if !a.resend {
		l.grant() // requests get through: the next may leave
	}
	return a.Attempt, nil
}

// pace draws from an answer when this attempt may be sent again, and whether the account must slow down. Of requests that fail
// together the first has told all, unless a later one states a longer wait.
func (l *Ledger) pace(a *attempt, d call.DialAnswer) {
	now, acc := l.now(), &l.account
	a.rateUntil = now.Add(acc.window)
	l.occupy(a)
	a.resend = d.Class == call.AnswerThrottled || d.Class == call.AnswerNotPlaced
	held := now.Before(acc.pausedUntil)
	if !a.resend {
		if acc.refusals > 0 && !held { // else it left before the refusal that the account waits for
			acc.refusals, acc.pausedUntil, acc.pausedFor = 0, time.Time{}, ""
		}
		return
	}
	if held && d.RetryAfter == 0 {
		return
	}
	if !held {
		acc.refusals++
	}
	wait := followup.Outage(acc.refusals)
	acc.pausedFor = followup.ReasonUnreachable
	if d.Class == call.AnswerThrottled {
		acc.pausedFor, wait = followup.ReasonThrottled, followup.Throttle(d.RetryAfter, acc.refusals)
	}
	if until := now.Add(wait); until.After(acc.pausedUntil) {
		acc.pausedUntil = until
	}
}

// Restore puts back an attempt that was dialed, and that the ledger has lost before its answer could be recorded.
func (l *Ledger) Restore(ctx context.Context, r followup.ClearanceRequest, dialed call.Attempt, d call.DialAnswer) (call.Attempt, error) {
	l.restore(r, dialed)
	return l.Answer(ctx, r.Key, r.Owner, d)
}

func (l *Ledger) restore(r followup.ClearanceRequest, dialed call.Attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.attempts[r.Key] != nil {
		return
	}
	c := l.contacts[r.WorkflowID]
	if c == nil {
		c = l.open(r.Claim())
	}
	l.record(c, nil, r, dialed, 0)
	l.decide(c.WorkflowID, Decided{N: r.N, Kind: "restored", Reason: followup.ErrLost.Error(), Rule: "a request that has left is not forgotten"})
}

// Receive folds one notification about an attempt into it. The flow is told at the end of the call, and in mid-call where it has
// asked for that.
func (l *Ledger) Receive(_ context.Context, key string, events ...call.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.attempts[key]
	if a == nil {
		return nil // kept for people to look at
	}
	before, tell, changed := a.Attempt, false, false
	for _, e := range events {
		e.ReceivedAt = l.now()
		f := a.Fold(e)
		changed = changed || f.Changed
		tell = tell || a.midCall && (f.Answered || f.Verdict)
		l.heard(a, e, f)
	}
	if !changed {
		return nil
	}
	switch ended := a.State == call.StateEnded; {
	case ended && before.State == call.StateEnded && a.SettledAt.Equal(before.SettledAt): // owed already, and delivered as it stands then
	case ended:
		l.oweAttempt(a, a.SettledAt)
	case tell:
		l.oweAttempt(a, l.now())
	}
	l.store(a)
	return nil
}

// heard shows an event.
func (l *Ledger) heard(a *attempt, e call.Event, f call.Effect) {
	shown := Event{At: e.ReceivedAt, WorkflowID: a.contact.WorkflowID, N: a.N}
	note := ""
	switch {
	case f.Anomaly != "":
		note = f.Anomaly
	case f.Late:
		note = "late: it changes nothing"
	case !f.Changed:
		note = "heard again"
	}
	switch {
	case f.Ended:
		shown.Kind, shown.Text = KindEnd, describe(a.Attempt)
	case e.Status.Terminal():
		shown.Kind, shown.Text = KindEnd, string(e.Status)
	case e.AMD != "":
		shown.Kind, shown.Text = KindVerdict, string(e.AMD)
	default:
		shown.Kind = Kind(e.Status)
	}
	shown.Rule = note
	l.observe(shown)
}

// ReceiveResult takes in what a bot says that a conversation came to. The first result of an attempt stands, and is told to the
// flow of a contact that is open.
func (l *Ledger) ReceiveResult(_ context.Context, key string, r call.BotResult) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.attempts[key]
	if a == nil {
		return nil
	}
	now := l.now()
	r.AttemptKey = key
	if slices.ContainsFunc(a.said, func(have call.BotResult) bool {
		return have.Kind == r.Kind && have.At.Equal(r.At) && bytes.Equal(have.Data, r.Data)
	}) {
		return nil // the same again
	}
	r.ReceivedAt = now
	a.said = append(a.said, r)
	if r.Kind == call.Refused || r.Kind == call.OptedOut {
		a.refusedAt = now
	}
	if r.Kind == call.OptedOut { // also in a second result: whoever does not want to be called is not
		l.suppressCalled(a, true, "", "bot", "opted out in attempt "+key)
	}
	shown := Event{At: now, WorkflowID: a.contact.WorkflowID, N: a.N, Kind: KindResult, Text: describeResult(r)}
	if len(a.said) > 1 {
		shown.Rule = "a second result: it changes nothing"
	}
	l.observe(shown)
	if len(a.said) == 1 {
		l.owe(Delivery{WorkflowID: a.contact.WorkflowID, Result: &r, about: a, Due: now})
	}
	return nil
}

// GiveUp stops listening for the end of an attempt and returns it as it stands: ended if an end was heard, else unknown.
func (l *Ledger) GiveUp(_ context.Context, key, why string) (call.Attempt, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, err := l.known(key)
	if err != nil {
		return call.Attempt{}, err
	}
	before := a.State
	a.Close(l.now(), why)
	l.doubt(a, before)
	l.observe(Event{At: l.now(), WorkflowID: a.contact.WorkflowID, N: a.N, Kind: KindGivenUp, Text: string(a.Disposition), Rule: why})
	l.store(a)
	return a.Attempt, nil
}

// doubt writes down when an attempt has come into doubt. A timeline tells that by what led to it.
func (l *Ledger) doubt(a *attempt, before call.State) {
	if before == call.StateUnknown || a.State != call.StateUnknown {
		return
	}
	id := a.contact.WorkflowID
	l.decisions[id] = append(l.decisions[id], Decided{At: l.now(), N: a.N, Kind: "doubted", Reason: a.Error, Rule: "a request that may have left is not sent again"})
}
