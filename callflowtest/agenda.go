package callflowtest

import (
	"container/heap"
	"slices"
	"time"

	"redial/workflows"
)

// agenda is what is to happen, soonest first; of things at the same time the one that was noted first.
type agenda struct {
	items appointments
	noted int
}

type appointment struct {
	at time.Time
	n  int
	do func()
}

type appointments []appointment

func (a appointments) Len() int { return len(a) }
func (a appointments) Less(i, j int) bool {
	return a[i].at.Before(a[j].at) || a[i].at.Equal(a[j].at) && a[i].n < a[j].n
}
func (a appointments) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *appointments) Push(x any)   { *a = append(*a, x.(appointment)) }
func (a *appointments) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

// schedule does something at a time: in the main loop of the environment, where there is one.
func (k *Kit) schedule(at time.Time, do func()) {
	k.mu.Lock()
	k.agenda.noted++
	heap.Push(&k.agenda.items, appointment{at, k.agenda.noted, do})
	k.mu.Unlock()
	k.arm(at)
}

// arm makes the environment come back at a time.
func (k *Kit) arm(at time.Time) {
	if k.env != nil {
		k.env.RegisterDelayedCallback(k.keepAppointments, max(0, at.Sub(k.env.Now())))
	}
}

// rearm tells a new environment of what an earlier one was to do, and of signals that its flow did not take any more.
func (k *Kit) rearm(transit []Delivery) {
	k.mu.Lock()
	items := slices.Clone(k.agenda.items)
	k.mu.Unlock()
	for _, d := range transit {
		k.deliver(d)
	}
	for _, a := range items {
		k.arm(a.at)
	}
}

// due takes what is due now.
func (k *Kit) due() (do func(), ok bool) {
	now := k.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.agenda.items) == 0 || k.agenda.items[0].at.After(now) {
		return nil, false
	}
	return heap.Pop(&k.agenda.items).(appointment).do, true
}

func (k *Kit) keepAppointments() {
	for do, ok := k.due(); ok; do, ok = k.due() {
		do()
	}
}

// windUp lets happen what comes after the end of a flow: the ends of calls that were given up, and late words of the bot.
func (k *Kit) windUp() {
	for len(k.agenda.items) > 0 {
		if next := k.agenda.items[0].at; next.After(k.at) {
			k.at = next.In(k.zone)
		}
		k.keepAppointments()
	}
}

// pump delivers what the ledger owes, and comes back when it owes more.
func (k *Kit) pump() {
	for {
		for _, d := range k.ledger.Due() {
			k.deliver(d)
		}
		next := k.ledger.Tick()
		if next.IsZero() || next.After(k.Now()) {
			if k.env != nil && k.ticks(next) {
				k.schedule(next, k.pump)
			}
			return
		}
	}
}

// ticks tells whether pump has to be called at a time, because it will not be called before.
func (k *Kit) ticks(next time.Time) bool {
	now := k.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if !next.After(now) || k.tick.After(now) && !next.Before(k.tick) {
		return false
	}
	k.tick = next
	return true
}

// deliver signals the flow. One that has just ended gets it in its next run, if there is one.
func (k *Kit) deliver(d Delivery) {
	if k.run == nil || d.WorkflowID != k.run.id || k.env == nil || d.Wake && k.wakeless {
		return
	}
	k.mu.Lock()
	k.run.inTransit = append(k.run.inTransit, d)
	k.mu.Unlock()
	switch {
	case d.Attempt != nil:
		k.env.SignalWorkflow(workflows.SignalAttempt, *d.Attempt)
	case d.Result != nil:
		k.env.SignalWorkflow(workflows.SignalResult, *d.Result)
	case d.Wake:
		text := "what the contact waited for has happened"
		if d.Replan {
			text = "the policy that the contact follows has changed"
		}
		k.observe(Event{At: k.Now(), WorkflowID: d.WorkflowID, Kind: KindWake, Text: text})
		if d.Recheck || d.Replan {
			k.env.SignalWorkflow(workflows.SignalWake, workflows.Wake{Recheck: d.Recheck, Replan: d.Replan})
		} else {
			k.env.SignalWorkflow(workflows.SignalWake, nil)
		}
	}
	k.env.RegisterDelayedCallback(func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.run.inTransit = k.run.inTransit[1:]
	}, 0)
}
