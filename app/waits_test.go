package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	historypb "go.temporal.io/api/history/v1"

	"redial/followup"
	"redial/ledger"
	"redial/starter"
	"redial/workflows"
)

// watcher follows what redial show says of every open contact, for as long as the product is tortured. Its waits are judged at the end.
//
// The end that a wait names proves true when
//   - nothing was dialed for the contact while it lasted, by the gateway's own record,
//   - it did not end before the time it named, unless what would end it sooner has happened: the contact was woken from the queue,
//     or an attempt in doubt has ended after all, and
//   - it ended at that time, or soon after, in its turn: the contact dialed, waited for something else, or ended. Where a busy machine
//     kept it longer, redial show has to have said so: that the wait is over, and the flow has not gone on.
//
// A wait that named no reason of the closed list, no rule, or no end, is false whatever came of it. Waits that are over between two
// looks are in the decision log, which is judged in the same way. A call under way is no wait.
type watcher struct {
	*world
	stop  func()
	over  chan struct{}
	seen  map[seenWait]span
	owned map[seenWait]bool // redial show has said that the wait is over, and the flow has not gone on
	wrong []string
}

// seenWait is a wait as redial show names it.
type seenWait struct {
	workflowID string
	reason     followup.Reason
	rule       string
	end        time.Time // zero: an event alone
}

// span is from when to when a wait was seen at least: after the first look, and before the last.
type span struct{ from, to time.Time }

const (
	lookEvery = 100 * time.Millisecond
	// soon is how long after the end of its wait a contact may go on unnoticed: its timer or its wake, a turn of its flow among hundreds,
	// and the transaction. From ten seconds on redial show says that the wait is over.
	soon = 12 * time.Second
	// ever is how long it may take on a machine that is too busy.
	ever = 2 * time.Minute
	// skew is how far two clocks of one machine, or the beginning and the commit of a transaction, may be apart.
	skew = 2 * time.Second
)

// watch begins to follow the open contacts.
func (w *world) watch() *watcher {
	ctx, stop := context.WithCancel(w.t.Context())
	v := &watcher{world: w, stop: stop, over: make(chan struct{}), seen: map[seenWait]span{}, owned: map[seenWait]bool{}}
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

func (v *watcher) accuse(format string, args ...any) {
	v.wrong = append(v.wrong, fmt.Sprintf(format, args...))
}

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
		w := waitOf(line.ContactRow)
		if s, known := v.seen[w]; known {
			v.seen[w] = span{s.from, at}
			v.owned[w] = v.owned[w] || strings.Contains(printed(ledger.Contact{ContactRow: line.ContactRow}, at), "its wait is over")
		} else if c, err := v.ledger.Show(ctx, line.WorkflowID); err == nil && c.Wait != nil {
			v.show(c, at)
		}
	}
}

// waitOf is what an open contact waits for, with a time as exact as the decision log has it.
func waitOf(r ledger.ContactRow) seenWait {
	return seenWait{r.WorkflowID, r.Wait.Reason, r.Wait.Rule, r.Wait.Next().Truncate(time.Microsecond)}
}

// printed is what redial show prints of what the contact does now.
func printed(c ledger.Contact, now time.Time) string {
	return strings.Join(shown{Contact: c}.present(now, clock{zone: time.UTC}), "\n")
}

// show takes in what one picture of the ledger says of an open contact: its wait has to be what was decided last.
func (v *watcher) show(c ledger.Contact, at time.Time) {
	w, all := waitOf(c.ContactRow), steps(c)
	switch {
	case len(all) > 0 && all[len(all)-1].Kind == "cleared" && w.reason == followup.ReasonCall:
		return // it is in a call
	case len(all) == 0 || !announces(all[len(all)-1], w):
		v.accuse("%s waits for %+v, and what was decided is %+v", c.WorkflowID, *c.Wait, all)
	case w.end.IsZero() && c.Wait.Event == "":
		v.accuse("%s waits without an end: %+v", c.WorkflowID, *c.Wait)
	}
	for _, words := range []string{string(w.reason), plainLine(w.rule), waitsFor[w.reason]} {
		if said := printed(c, at); words == "" || !strings.Contains(said, words) {
			v.accuse("%s: redial show leaves out %q: %s", c.WorkflowID, words, said)
		}
	}
	v.seen[w] = span{time.Now(), at}
}

// steps are the entries of a decision log that say what a contact does from then on, the same wait that is said again once, and at last
// its outcome.
func steps(c ledger.Contact) []ledger.Decision {
	all := slices.DeleteFunc(slices.Clone(c.Decisions), func(d ledger.Decision) bool { return d.Kind == kindNote || d.Kind == kindDoubted })
	all = slices.CompactFunc(all, func(a, b ledger.Decision) bool {
		return awaited(a) != "" && awaited(a) == awaited(b) && a.Rule == b.Rule && a.Until.Equal(b.Until)
	})
	if c.Outcome != "" {
		all = append(all, ledger.Decision{At: c.ClosedAt, Kind: kindOutcome, Reason: string(c.Outcome), Rule: c.Rule})
	}
	return all
}

// awaited is what a contact waits for after an entry of its decision log; empty: it does not wait.
func awaited(d ledger.Decision) followup.Reason {
	switch {
	case d.Kind == kindHeld:
		return followup.Reason(d.Reason)
	case (d.Kind == "decided" || d.Kind == "replanned") && !d.Until.IsZero():
		return followup.ReasonRetry
	}
	return ""
}

func announces(d ledger.Decision, w seenWait) bool {
	return awaited(d) == w.reason && d.Rule == w.rule && d.Until.Equal(w.end)
}

// judge stops watching, and judges every wait of contacts that have their outcome.
func (v *watcher) judge(calls []starter.Call) {
	v.t.Helper()
	v.stop()
	<-v.over
	judged, latest, dials := map[followup.Reason]int{}, time.Duration(0), v.dials()
	for _, one := range calls {
		c, err := v.ledger.Show(v.t.Context(), one.WorkflowID)
		require.NoError(v.t, err)
		t := trial{v, one, c, dials[one.WorkflowID]}
		all := steps(c)
		for i, d := range all {
			if d.Rule == "" || d.Reason == "" {
				v.accuse("%s: no reason, or no rule: %+v", one.WorkflowID, d)
			}
			if reason := awaited(d); reason != "" && i+1 < len(all) {
				judged[reason]++
				latest = max(latest, all[i+1].At.Sub(d.Until))
				t.judge(d, all[i+1])
			}
		}
	}
	shown := map[followup.Reason]int{}
	for w := range v.seen {
		shown[w.reason]++
	}
	v.t.Logf("waits judged: %v; seen in redial show: %v; the latest went on %s after its end", judged, shown, latest.Round(time.Millisecond))
	require.Empty(v.t, v.wrong[:min(len(v.wrong), 10)], "%d times what was said of a wait is false", len(v.wrong))
	require.NotEmpty(v.t, judged, "nobody waited")
	require.NotEmpty(v.t, shown, "nobody was seen to wait")
}

// dials are when the gateway was really dialed for each contact, by its own record.
func (v *watcher) dials() map[string][]time.Time {
	v.t.Helper()
	all := map[string][]time.Time{}
	for key, at := range v.dialed() {
		workflowID := key[:strings.LastIndex(key[:strings.LastIndex(key, "/")], "/")]
		all[workflowID] = append(all[workflowID], at...)
	}
	return all
}

// trial is the judgement of one contact's waits.
type trial struct {
	*watcher
	call    starter.Call
	contact ledger.Contact
	dials   []time.Time
}

// judge judges the wait that one entry of the decision log begins and the next one ends.
func (t trial) judge(d, next ledger.Decision) {
	reason := awaited(d)
	w := seenWait{t.call.WorkflowID, reason, d.Rule, d.Until}
	accuse := func(what string) {
		t.accuse("%s: %s: it waited since %s for %s [%s] until %s, then at %s %s: %s [%s]", w.workflowID, what, moment(d.At), reason, d.Rule,
			moment(d.Until), moment(next.At), next.Kind, next.Reason, next.Rule)
	}
	if !slices.Contains(ledger.Reasons(), reason) {
		accuse("the reason is none of the list")
	}
	if d.Until.IsZero() {
		accuse("no end is named")
	}
	for _, at := range t.dials {
		if at.After(d.At) && at.Before(next.At) {
			accuse("the gateway was dialed meanwhile, at " + moment(at))
		}
	}
	if s, seen := t.seen[w]; seen && (s.from.Before(d.At.Add(-skew)) || s.to.After(next.At.Add(skew))) {
		accuse(fmt.Sprintf("it was shown from %s to %s", moment(s.from), moment(s.to)))
	}
	switch late := next.At.Sub(d.Until); {
	case late < 0 && !t.settled(d, next) && !t.woken(reason, d.At, next.At):
		accuse("it ended too early, and nothing has ended it")
	case late > soon && !t.owned[w] && !inTurn[reason], late > ever:
		accuse("it was over, and the contact did not go on")
	}
}

// settled tells whether an attempt that was in doubt has ended after all, and was decided on anew.
func (t trial) settled(d, next ledger.Decision) bool {
	return next.Kind == "decided" && slices.ContainsFunc(t.contact.Attempts, func(a ledger.ContactAttempt) bool {
		return a.Key == next.AttemptKey && a.SettledAt.After(d.At.Add(-skew)) && a.SettledAt.Before(next.At.Add(skew))
	})
}

// inTurn are the reasons for which a contact waits until a time and then for its turn; queued are those for which it waits for its turn.
var (
	inTurn = map[followup.Reason]bool{followup.ReasonLimit: true, followup.ReasonWindow: true, followup.ReasonQuiet: true}
	queued = map[followup.Reason]bool{followup.ReasonLinesBusy: true, followup.ReasonRate: true, followup.ReasonNumber: true,
		followup.ReasonThrottled: true, followup.ReasonUnreachable: true}
)

// woken tells whether the run has got a wake while it waited in the queue, by Temporal's record.
func (t trial) woken(reason followup.Reason, from, to time.Time) bool {
	return queued[reason] && slices.ContainsFunc(t.history(t.call), func(e *historypb.HistoryEvent) bool {
		at := e.GetEventTime().AsTime()
		return e.GetWorkflowExecutionSignaledEventAttributes().GetSignalName() == workflows.SignalWake && at.After(from.Add(-skew)) && at.Before(to.Add(skew))
	})
}

func moment(t time.Time) string { return t.UTC().Format("15:04:05.000") }
