package callflowtest

import (
	"cmp"
	"slices"
	"time"

	"redial/call"
)

// Delivery is something that a flow is owed. Exactly one of Attempt, Result and Wake is set.
type Delivery struct {
	WorkflowID string
	Attempt    *call.Attempt   // to be signalled as workflows.SignalAttempt
	Result     *call.BotResult // as workflows.SignalResult
	Wake       bool            // as workflows.SignalWake
	Recheck    bool            // of a wake: it carries a workflows.Wake that says so
	Replan     bool            // as Recheck
	Due        time.Time

	about *attempt
	order int64
}

// owe notes a delivery. What is owed already is owed again, with its newest content.
func (l *Ledger) owe(d Delivery) {
	topic := "wake/" + d.WorkflowID
	switch {
	case d.Replan:
		topic = "replan/" + d.WorkflowID
	case d.Attempt != nil:
		topic = "attempt/" + d.about.Key
	case d.Result != nil:
		topic = "result/" + d.about.Key
	}
	l.owed++
	d.order = l.owed
	l.outbox[topic] = d
}

func (l *Ledger) oweAttempt(a *attempt, due time.Time) {
	l.owe(Delivery{WorkflowID: a.contact.WorkflowID, Attempt: &call.Attempt{}, about: a, Due: due})
}

// Due takes the deliveries that are due, in the order in which they came about.
func (l *Ledger) Due() (due []Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	for topic, d := range l.outbox {
		if d.Due.After(now) {
			continue
		}
		delete(l.outbox, topic)
		if d.Attempt != nil {
			newest := d.about.Attempt
			d.Attempt = &newest
		}
		due = append(due, d)
	}
	slices.SortFunc(due, func(a, b Delivery) int { return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.order, b.order)) })
	return due
}

// Tick does what only time brings about: it passes on wakes that were not used, and wakes those for whom time has made room. It
// returns when it has to be called next; zero: when something changes.
func (l *Ledger) Tick() (next time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.grant()
	for _, d := range l.outbox {
		next = sooner(next, d.Due)
	}
	if len(l.queue.byID) == 0 {
		return next
	}
	if len(l.queue.asleep) > 0 {
		next = sooner(next, l.queue.asleep[0].notBefore)
	}
	now := l.now()
	_, woken := l.queue.woken(now)
	next = sooner(next, woken)
	later := func(at time.Time) {
		if at.After(now) {
			next = sooner(next, at)
		}
	}
	for _, a := range l.live {
		later(a.lineUntil)
		later(a.rateUntil)
		if a.State == call.StateDialing {
			later(a.sendBy.Add(settleAfterDial))
		}
	}
	later(l.account.pausedUntil)
	return next
}
