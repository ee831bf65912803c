package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"

	"redial/followup"
	"redial/ledger"
	"redial/starter"
	"redial/workflows"
)

// watcher follows what redial show says of every open contact, for as long as the product is tortured.
//
// Its waits are judged at the end. The end that a wait names proves true when
//   - nothing was dialed for the contact while it lasted, by the gateway's own record,
//   - it did not end before the time it named, unless what would end it sooner has happened: the contact was woken from the queue,
//     or an attempt in doubt has ended after all, and
//   - it ended at that time, give or take what a busy machine needs: the contact dialed, waited for something else, or ended.
//
// A wait that named no reason of the closed list, no rule, or no end, is false whatever came of it. Waits that are over between two
// looks are in the decision log, which is judged in the same way.
type watcher struct {
	*world
	stop   func()
	over   chan struct{}
	seen   map[seenWait]span
	wrong []string
}

// seenWait is a wait as redial show names it.
type seenWait struct {
	workflowID string
	reason     followup.Reason
	rule       string
	end        time.Time // zero: an event alone
}

type span struct{ from, to time.Time }

const (
	lookEvery = 100 * time.Millisecond
	// tardy is how long after the end of its wait a contact may go on: its timer or its wake, a turn of its flow on a machine that does
	// hundreds at once, and the transaction. From ten seconds on redial show itself says that the wait is over.
	tardy = 20 * time.Second
	// skew is how far two clocks of one machine, or the beginning and the commit of a transaction, may be apart.
	skew = 2 * time.Second
)

// watch begins to follow the open contacts.
func (w *world) watch() *watcher {
	ctx, stop := context.WithCancel(w.t.Context())
	v := &watcher{world: w, stop: stop, over: make(chan struct{}), seen: map[seenWait]span{}}
	go func() {
		defer close(v.over)
		ticker := time.NewTicker(lookEvery)
		defer ticker.Stop()
		for ctx.Err() == nil {
			v.look(ctx)
			select {
			case <-ctx.Done():
			case <-ticker.C:
			}
		}
	}()
	return v
}

func (v *watcher) accuse(format string, args ...any) { v.wrong = append(v.wrong, fmt.Sprintf(format, args...)) }

// look asks for every open contact, and shows those that wait for something new.
func (v *watcher) look(ctx context.Context) {
	at := time.Now()
	open, err := v.ledger.Contacts(ctx, ledger.ContactFilter{Open: true})
	if err != nil {
		return // the next look is soon
	}
	for _, line := range open {
		if line.Wait == nil {
			v.accuse("%s is open, and neither calls nor waits", line.WorkflowID)
			continue
		}
		key := v.key(line.ContactRow)
		if s, known := v.seen[key]; known {
			v.seen[key] = span{s.from, at}
			continue
		}
		if c, err := v.ledger.Show(ctx, line.WorkflowID); err == nil && c.Wait != nil {
			v.show(c, at)
		}
	}
}

func (v *watcher) key(r ledger.ContactRow) seenWait {
	return seenWait{r.WorkflowID, r.Wait.Reason, r.Wait.Rule, r.Wait.Next()}
}

// show takes in what one picture of the ledger says of an open contact: its wait has to be what was decided last.
func (v *watcher) show(c ledger.Contact, at time.Time) {
	last := steps(c)
	if len(last) == 0 {
		v.accuse("%s waits for %s, and nothing was decided", c.WorkflowID, c.Wait.Reason)
		return
	}
	d := last[len(last)-1]
	if d.Kind == "cleared" && c.Wait.Reason == followup.ReasonCall {
		return // in a call
	}
	if !announces(d, v.key(c.ContactRow)) {
		v.accuse("%s waits for %+v, and what was decided last is %+v", c.WorkflowID, *c.Wait, d)
	}
	if c.Wait.Until.IsZero() && c.Wait.Event == "" {
		v.accuse("%s waits without an end: %+v", c.WorkflowID, *c.Wait)
	}
	text := strings.Join(shown{Contact: c}.present(at, clock{zone: time.UTC}), "\n")
	for _, words := range []string{string(c.Wait.Reason), plainLine(c.Wait.Rule), waitsFor[c.Wait.Reason]} {
		if words == "" || !strings.Contains(text, words) {
			v.accuse("%s: redial show leaves out %q: %s", c.WorkflowID, words, text)
		}
	}
	if _, known := v.seen[v.key(c.ContactRow)]; !known {
		v.seen[v.key(c.ContactRow)] = span{at, at}
	}
}

// steps are the entries of a decision log that say what a contact does from then on.
func steps(c ledger.Contact) []ledger.Decision {
	return slices.DeleteFunc(slices.Clone(c.Decisions), func(d ledger.Decision) bool { return d.Kind == kindNote })
}

// reasonOf is what a contact waits for after an entry of its decision log; empty: it does not wait.
func reasonOf(d ledger.Decision) followup.Reason {
	switch {
	case d.Kind == kindHeld:
		return followup.Reason(d.Reason)
	case d.Kind == "decided" && !d.Until.IsZero():
		return followup.ReasonRetry
	}
	return ""
}

func announces(d ledger.Decision, w seenWait) bool {
	return reasonOf(d) == w.reason && d.Rule == w.rule && d.Until.Equal(w.end)
}

// judge stops watching, and judges every wait of contacts that have their outcome.
func (v *watcher) judge(calls []starter.Call) {
	v.t.Helper()
	v.stop()
	<-v.over
	judged, latest := map[followup.Reason]int{}, time.Duration(0)
	dials := map[string][]time.Time{}
	for _, c := range v.simulator.Calls() {
		number := dialed(c.Target)
		dials[number] = append(dials[number], c.ReceivedAt)
	}
	shown := map[string]ledger.Contact{}
	for _, one := range calls {
		c, err := v.ledger.Show(v.t.Context(), one.WorkflowID)
		require.NoError(v.t, err)
		shown[one.WorkflowID] = c
		t := trial{watcher: v, call: one, contact: c, dials: dials[dialed(c.Target)]}
		all := steps(c)
		for i, d := range all {
			reason := reasonOf(d)
			if d.Rule == "" || d.Reason == "" {
				v.accuse("%s: no reason, or no rule: %+v", one.WorkflowID, d)
			}
			if reason == "" {
				continue
			}
			judged[reason]++
			next := ledger.Decision{Kind: kindOutcome, At: c.ClosedAt}
			if i+1 < len(all) {
				next = all[i+1]
			}
			latest = max(latest, next.At.Sub(d.Until))
			t.judge(d, next)
		}
	}
	for w, s := range v.seen {
		v.recall(shown[w.workflowID], w, s)
	}
	v.t.Logf("waits judged: %v; seen by redial show: %v; the latest went on %s after its end", judged, v.counts(), latest.Round(time.Millisecond))
	require.Empty(v.t, v.wrong[:min(len(v.wrong), 10)], "%d of the waits prove false", len(v.wrong))
	require.NotEmpty(v.t, judged, "nobody waited")
	require.NotEmpty(v.t, v.seen, "nobody was seen to wait")
}

func (v *watcher) counts() map[followup.Reason]int {
	n := map[followup.Reason]int{}
	for w := range maps.Keys(v.seen) {
		n[w.reason]++
	}
	return n
}

// recall finds a wait that was seen in the decision log, and requires that it was shown while it lasted, and no longer.
func (v *watcher) recall(c ledger.Contact, w seenWait, s span) {
	all := steps(c)
	for i, d := range all {
		if !announces(d, w) {
			continue
		}
		ended := c.ClosedAt
		if i+1 < len(all) {
			ended = all[i+1].At
		}
		if !s.from.Before(d.At.Add(-skew)) && !s.to.After(ended.Add(skew)) {
			return
		}
	}
	v.accuse("%s was shown from %s to %s, and its decision log says otherwise: %+v", w.workflowID, s.from, s.to, w)
}

// trial is the judgement of one contact's waits.
type trial struct {
	*watcher
	call    starter.Call
	contact ledger.Contact
	dials   []time.Time // by the gateway's record
}

// judge judges the wait that an entry of the decision log begins and the next one ends.
func (t trial) judge(d, next ledger.Decision) {
	reason := reasonOf(d)
	accuse := func(what string) {
		t.accuse("%s: %s: it waited since %s for %s [%s] until %s, then at %s %s: %s [%s]", t.call.WorkflowID, what, clockTime(d.At), reason, d.Rule,
			clockTime(d.Until), clockTime(next.At), next.Kind, next.Reason, next.Rule)
	}
	if !slices.Contains(ledger.Reasons(), reason) {
		accuse("the reason is none of the list")
	}
	if d.Until.IsZero() {
		accuse("no end is named")
	}
	for _, at := range t.dials {
		if at.After(d.At) && at.Before(next.At) {
			accuse("the gateway was dialed in between, at " + clockTime(at))
		}
	}
	switch {
	case next.At.Before(d.Until) && !t.settled(d, next) && !t.woken(reason, d.At, next.At):
		accuse("it ended too early, and nothing has ended it")
	case next.At.After(d.Until.Add(tardy)):
		accuse("it was over, and the contact did not go on")
	}
}

// settled tells whether an attempt that was in doubt has ended after all, and was decided on anew.
func (t trial) settled(d, next ledger.Decision) bool {
	if next.Kind != "decided" {
		return false
	}
	for _, a := range t.contact.Attempts {
		if a.Key == next.AttemptKey {
			return !a.SettledAt.Before(d.At.Add(-skew)) && !a.SettledAt.After(next.At.Add(skew))
		}
	}
	return false
}

// queued are the reasons for which contacts wait in the queue, which wakes them.
var queued = []followup.Reason{followup.ReasonLinesBusy, followup.ReasonRate, followup.ReasonNumber, followup.ReasonThrottled, followup.ReasonUnreachable}

// woken tells whether the run has got a wake while it waited, by Temporal's record.
func (t trial) woken(reason followup.Reason, from, to time.Time) bool {
	if !slices.Contains(queued, reason) {
		return false
	}
	for _, e := range t.history(t.call) {
		if e.EventType == enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED && e.GetWorkflowExecutionSignaledEventAttributes().SignalName == workflows.SignalWake {
			if at := e.EventTime.AsTime(); at.After(from.Add(-skew)) && at.Before(to.Add(skew)) {
				return true
			}
		}
	}
	return false
}

// dialed is the number of a target, however it is written.
func dialed(target string) string { return target[strings.LastIndexAny(target, ":+")+1:] }

func clockTime(t time.Time) string { return t.UTC().Format("15:04:05.000") }
