package callflowtest

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"redial/call"
	"redial/followup"
)

// wakeFor is how long a woken contact's capacity is kept for it. After it the wake passes on to the next.
const wakeFor = 10 * time.Second

// mostWoken is how many are woken at once where nothing limits the account.
const mostWoken = 256

// Classes of the queue, first served first.
const (
	classPromised = 0
	classRetry    = 1
	classFirst    = 2
)

// queued is a contact that waits for leave to dial.
type queued struct {
	workflowID, target string
	class              int
	arrivedAt          time.Time
	notBefore          time.Time // when what it waits for happens at the earliest
	wokenUntil         time.Time // zero: it was not woken
	missed             bool      // it was woken and did not come in time
}

// precedes orders the queue: retries, then first dials; then arrival.
func (q *queued) precedes(o *queued) bool {
	return cmp.Or(q.class-o.class, q.arrivedAt.Compare(o.arrivedAt), cmp.Compare(q.workflowID, o.workflowID)) < 0
}

// queue holds those who wait. Those whose time has not come are apart, so that they are not looked at until then.
type queue struct {
	byID     map[string]*queued
	asleep   []*queued // those whose time has not come, the first to come first
	ripe     []*queued // the others, in their order
	arrivals []*queued // the same, in the order in which they came
	byTarget map[string][]*queued
	promised []*queued // those of the ripe that were woken, and some that are gone
}

func newQueue() queue { return queue{byID: map[string]*queued{}, byTarget: map[string][]*queued{}} }

// add takes in a contact that is not in the queue.
func (q *queue) add(e *queued, now time.Time) {
	q.byID[e.workflowID] = e
	if e.notBefore.After(now) {
		i := sort.Search(len(q.asleep), func(i int) bool { return q.asleep[i].notBefore.After(e.notBefore) })
		q.asleep = slices.Insert(q.asleep, i, e)
		return
	}
	i := sort.Search(len(q.ripe), func(i int) bool { return e.precedes(q.ripe[i]) })
	q.ripe = slices.Insert(q.ripe, i, e)
	i = sort.Search(len(q.arrivals), func(i int) bool { return q.arrivals[i].arrivedAt.After(e.arrivedAt) })
	q.arrivals = slices.Insert(q.arrivals, i, e)
	q.byTarget[e.target] = append(q.byTarget[e.target], e)
}

// remove takes a contact out of the queue; nil when it was not there.
func (q *queue) remove(workflowID string) *queued {
	e := q.byID[workflowID]
	if e == nil {
		return nil
	}
	delete(q.byID, workflowID)
	is := func(o *queued) bool { return o == e }
	if i := slices.IndexFunc(q.asleep, is); i >= 0 {
		q.asleep = slices.Delete(q.asleep, i, i+1)
		return e
	}
	q.ripe, q.arrivals = slices.DeleteFunc(q.ripe, is), slices.DeleteFunc(q.arrivals, is)
	if q.byTarget[e.target] = slices.DeleteFunc(q.byTarget[e.target], is); len(q.byTarget[e.target]) == 0 {
		delete(q.byTarget, e.target)
	}
	return e
}

// ripen lets those take their places whose time has come.
func (q *queue) ripen(now time.Time) {
	n := sort.Search(len(q.asleep), func(i int) bool { return q.asleep[i].notBefore.After(now) })
	come := slices.Clone(q.asleep[:n])
	q.asleep = slices.Delete(q.asleep, 0, n)
	for _, e := range come {
		q.add(e, now)
	}
}

// before is how many came earlier whose time has come.
func (q *queue) before(at time.Time) int {
	return sort.Search(len(q.arrivals), func(i int) bool { return !q.arrivals[i].arrivedAt.Before(at) })
}

// wake makes a contact a promise.
func (q *queue) wake(e *queued, until time.Time) {
	e.wokenUntil = until
	q.promised = append(q.promised, e)
}

// woken are how many promises last, and when the first of them is over.
func (q *queue) woken(now time.Time) (n int, next time.Time) {
	q.promised = slices.DeleteFunc(q.promised, func(e *queued) bool { return q.byID[e.workflowID] != e || e.wokenUntil.IsZero() })
	for _, e := range q.promised {
		if e.wokenUntil.After(now) {
			n++
			next = sooner(next, e.wokenUntil)
		}
	}
	return n, next
}

// expire ends the promises that were not used in time.
func (q *queue) expire(now time.Time) {
	for _, e := range q.promised {
		if !e.wokenUntil.IsZero() && !e.wokenUntil.After(now) {
			e.wokenUntil, e.missed = time.Time{}, true
		}
	}
}

func classOf(r followup.ClearanceRequest) int {
	switch {
	case r.Promised:
		return classPromised
	case r.N > 1:
		return classRetry
	}
	return classFirst
}

// enqueue puts a held contact into the queue, or keeps it at its place there; a promise made to it is over.
func (l *Ledger) enqueue(r followup.ClearanceRequest, notBefore time.Time) {
	e := &queued{workflowID: r.WorkflowID, class: classOf(r), arrivedAt: l.now()}
	if was := l.queue.remove(r.WorkflowID); was != nil {
		e.class, e.arrivedAt = was.class, was.arrivedAt
	}
	e.target, e.notBefore = r.Request.To.URI, notBefore
	l.queue.add(e, l.now())
}

// quit takes a contact out of the queue that does not dial now: what it was promised, or stood in the way of, passes on.
func (l *Ledger) quit(workflowID string) {
	if l.queue.remove(workflowID) != nil {
		l.grant()
	}
}

// capacity counts what the account carries and what it has promised.
func (l *Ledger) capacity() followup.Facts {
	l.prune()
	now := l.now()
	f := followup.Facts{Now: now, PausedUntil: l.account.pausedUntil, PausedFor: l.account.pausedFor,
		Lines: l.account.lines, Rate: l.account.rate, Window: l.account.window, Failing: l.account.refusals > 0}
	for _, a := range l.live {
		if a.lineUntil.After(now) && f.Lines > 0 {
			f.LinesUsed++
			if a.lineUntil.After(f.LinesUntil) {
				f.LinesUntil = a.lineUntil
			}
		}
		if a.rateUntil.After(now) && f.Rate > 0 {
			f.RateUsed++
			f.NextRateAt = sooner(f.NextRateAt, a.rateUntil)
		}
		f.Probing = f.Probing || f.Failing && a.State == call.StateDialing && a.sendBy.After(now.Add(-settleAfterDial))
	}
	f.LinesReserved, _ = l.queue.woken(now)
	return f
}

// free is how many more dials the account could make now.
func free(f followup.Facts) int {
	n := mostWoken
	if f.Lines > 0 {
		n = min(n, max(0, f.Lines-f.LinesUsed-f.LinesReserved))
	}
	if f.Rate > 0 {
		n = min(n, max(0, f.Rate-f.RateUsed-f.LinesReserved))
	}
	return n
}

// grant wakes as many waiting contacts as can dial now, in the order of the queue. Who was woken and did not ask in time is not
// woken again, and who has news of another call on its way is woken after that: it may be that no further call is needed.
func (l *Ledger) grant() {
	now := l.now()
	l.queue.ripen(now)
	if len(l.queue.ripe) == 0 {
		return
	}
	l.queue.expire(now)
	f := l.capacity()
	n := free(f)
	if n == 0 || now.Before(f.PausedUntil) || f.Failing && (f.Probing || f.LinesReserved > 0) {
		return
	}
	if f.Failing {
		n = 1
	}
	busy := map[string]bool{}
	for _, a := range l.live {
		busy[a.target] = busy[a.target] || a.lineUntil.After(now)
	}
	news := map[string]bool{}
	for _, d := range l.outbox {
		news[d.WorkflowID] = news[d.WorkflowID] || d.Attempt != nil
	}
	for _, e := range l.queue.next(n, busy, news) {
		l.queue.wake(e, now.Add(wakeFor))
		l.owe(Delivery{WorkflowID: e.workflowID, Wake: true, Due: now})
	}
}

// next are the first n who can dial: whose number is not busy, and who wait for no news. Two contacts of one number are not woken
// together: the second would only be held again.
func (q *queue) next(n int, busy, news map[string]bool) (next []*queued) {
	for _, e := range q.ripe {
		if len(next) == n {
			break
		}
		inTheWay := func(o *queued) bool { return o != e && (!o.wokenUntil.IsZero() || !o.missed && o.precedes(e)) }
		if e.wokenUntil.IsZero() && !e.missed && !busy[e.target] && !news[e.workflowID] && !slices.ContainsFunc(q.byTarget[e.target], inTheWay) {
			next = append(next, e)
		}
	}
	return next
}

// sooner is the earlier of two times of which the zero one is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
