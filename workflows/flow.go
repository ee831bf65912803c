package workflows

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"redial/activities"
	"redial/call"
	"redial/followup"
)

// Flow is the handle with which a call flow is written. It dials, waits for what the gateway reports, and keeps what an
// operator sees up to date. It owns the flow's signals and its timers; there is one Flow to a workflow.
type Flow struct {
	in       Input
	info     *workflow.Info
	attempts []call.Attempt // in the order of their numbers, each as it was last heard of
	status   Status
	told     call.Disposition // of the last attempt, as the flow was last given it

	heard workflow.ReceiveChannel // SignalAttempt
	wakes workflow.ReceiveChannel // SignalWake
}

// errCanceled ends a flow that was asked to stop before its contact had an outcome.
var errCanceled = errors.New("canceled")

// errSettled stops an attempt before it is dialed: the one before it, which was in doubt, has ended after all.
var errSettled = errors.New("the last attempt has ended after all")

// refusedError ends a flow whose contact got its outcome without a call.
type refusedError struct{ followup.Refusal }

func (e refusedError) Error() string { return e.Reason }

// NewFlow starts a flow. It refuses a run that Temporal repeats by a retry policy or a cron schedule: the keys of its
// attempts would be those of the first run.
func NewFlow(ctx workflow.Context, in Input) (*Flow, error) {
	info := workflow.GetInfo(ctx)
	if info.Attempt > 1 || info.CronSchedule != "" {
		return nil, temporal.NewNonRetryableApplicationError(
			"a call flow must not be started with a retry policy or a cron schedule: it retries by itself", "RepeatedRun", nil)
	}
	f := &Flow{in: in, info: info, status: Status{State: StateCalling},
		heard: workflow.GetSignalChannel(ctx, SignalAttempt), wakes: workflow.GetSignalChannel(ctx, SignalWake)}
	err := workflow.SetQueryHandlerWithOptions(ctx, QueryStatus, func() (Status, error) {
		s := f.status
		s.Attempts = f.attempts
		return s, nil
	}, workflow.QueryHandlerOptions{Description: "Where the call flow stands, its attempts, and what it waits for"})
	return f, err
}

// Last is the attempt dialed last, as it was last heard of.
func (f *Flow) Last() call.Attempt { return f.attempts[len(f.attempts)-1] }

// Call makes one attempt and returns when it is over, however long it has to wait for leave to dial. What is in the air
// cannot be hung up: a flow that is canceled meanwhile gets the attempt first. When the attempt before was in doubt, and its
// end is heard before this one is dialed, nothing is dialed and that attempt is returned: what follows it is to be decided anew.
func (f *Flow) Call(ctx workflow.Context) (call.Attempt, error) {
	n := len(f.attempts) + 1
	attempt, err := f.dial(ctx, n)
	switch {
	case errors.Is(err, errSettled):
		f.told = f.Last().Disposition
		return f.Last(), nil
	case err != nil:
		return call.Attempt{}, err
	}
	f.attempts = append(f.attempts, attempt)
	ended, err := f.awaitEnd(ctx)
	f.told = ended.Disposition
	return ended, err
}

// settledAfterAll tells whether the last attempt has become something else than the flow was told.
func (f *Flow) settledAfterAll() bool {
	f.listen()
	return len(f.attempts) > 0 && f.Last().Disposition != "" && f.Last().Disposition != f.told
}

// dial asks for leave and dials, as often as it is held.
func (f *Flow) dial(ctx workflow.Context, n int) (call.Attempt, error) {
	in := activities.DialoutInput{N: n, FirstRunID: f.info.FirstRunID, ContactID: f.in.ContactID, Campaign: f.in.Campaign,
		To: f.in.To, Caller: f.in.Caller, Trunk: f.in.Trunk, Metadata: f.in.Metadata, Dial: f.in.Policy.Dial, Lifetime: f.in.Policy.Lifetime}
	for {
		if ctx.Err() != nil {
			return call.Attempt{}, errCanceled
		}
		if f.settledAfterAll() {
			return call.Attempt{}, errSettled
		}
		f.show(ctx, StateCalling, nil, fmt.Sprintf("Dialing attempt %d.", n))
		f.forgetWakes()
		result, err := f.dialout(ctx, in)
		switch {
		case err != nil:
			return call.Attempt{}, err
		case result.Refused != nil:
			return call.Attempt{}, refusedError{*result.Refused}
		case result.Attempt != nil:
			return *result.Attempt, nil
		}
		if err := f.hold(ctx, n, *result.Held); err != nil {
			return call.Attempt{}, err
		}
	}
}

// forgetWakes drops wakes that came when nobody was waiting for them.
func (f *Flow) forgetWakes() {
	for f.wakes.ReceiveAsync(nil) {
	}
}

// dialout runs the activity that dials. It is never retried into a second call, because the ledger knows the attempt's
// key; so it may be retried for as long as the ledger or the worker is away. A flow that is canceled before the activity has
// started dials nothing; one that has started is heard out.
func (f *Flow) dialout(ctx workflow.Context, in activities.DialoutInput) (activities.DialoutResult, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           DialTaskQueue,
		WaitForCancellation: true,
		StartToCloseTimeout: activities.DialoutTimeout,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 30 * time.Second},
		Summary:             fmt.Sprintf("attempt %d", in.N),
	})
	var result activities.DialoutResult
	err := workflow.ExecuteActivity(ctx, activities.NameDialout, in).Get(ctx, &result)
	if err != nil && ctx.Err() != nil {
		err = errCanceled
	}
	return result, err
}

// hold sleeps until the hold ends, by its time or by a wake.
func (f *Flow) hold(ctx workflow.Context, n int, h followup.Hold) error {
	err := f.upsert(ctx, StateHeld, AttributeReason.ValueSet(string(h.Reason)), AttributeNextAction.ValueSet(h.Until))
	if err != nil {
		return err
	}
	f.show(ctx, StateHeld, &h, fmt.Sprintf("Attempt %d is held: **%s** (%s), until %s at the latest.",
		n, h.Reason, h.Rule, h.Until.Format(time.RFC3339)))
	woken := ear{f.wakes, func() bool { f.forgetWakes(); return true }}
	_, err = f.sleep(ctx, h.Until, "held: "+string(h.Reason), woken, ear{f.heard, f.settledAfterAll})
	return err
}

// awaitEnd waits for the end of the attempt dialed last. When nothing is heard until the call must be over, the ledger
// gives it up and says what it is.
func (f *Flow) awaitEnd(ctx workflow.Context) (call.Attempt, error) {
	// What the relay tells is settled; what the dial itself has learned may still be within the hold for a late verdict.
	if told := f.listen(); told && f.Last().Disposition != "" || f.settled(ctx) {
		return f.Last(), nil
	}
	f.show(ctx, StateCalling, nil, fmt.Sprintf("Attempt %d is under way.", f.Last().N))
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	heard, err := f.sleep(ctx, f.Last().HearUntil, fmt.Sprintf("give up on attempt %d if its end is not heard", f.Last().N),
		ear{f.heard, func() bool { return f.listen() && f.Last().Disposition != "" }})
	if err != nil || heard {
		return f.Last(), err
	}
	var attempt call.Attempt
	if err := workflow.ExecuteActivity(f.lightly(ctx, "no end was heard"), activities.NameGiveUp, f.Last().Key).Get(ctx, &attempt); err != nil {
		return call.Attempt{}, err
	}
	f.learn(attempt)
	return f.Last(), nil
}

// settled tells whether the attempt dialed last needs no more listening: its disposition is final.
func (f *Flow) settled(ctx workflow.Context) bool {
	last := f.Last()
	return last.Disposition != "" && !last.SettledAt.After(workflow.Now(ctx))
}

// listen takes in every signal that has arrived about an attempt, and tells whether one was about the last.
func (f *Flow) listen() (ofLast bool) {
	for {
		var a call.Attempt
		if !f.heard.ReceiveAsync(&a) {
			return ofLast
		}
		f.learn(a)
		ofLast = ofLast || len(f.attempts) > 0 && a.Key == f.Last().Key
	}
}

// learn replaces what is known of an attempt, unless newer things are known.
func (f *Flow) learn(a call.Attempt) {
	for i := range f.attempts {
		if f.attempts[i].Key == a.Key && f.attempts[i].Seq < a.Seq {
			f.attempts[i] = a
		}
	}
}

// ear is a channel that is listened to while sleeping: heard takes in what has arrived on it, and says whether that is
// enough.
type ear struct {
	channel workflow.ReceiveChannel
	heard   func() bool
}

// sleep waits until a time, or until what arrives on a channel is enough. It leaves no timer running. It returns errCanceled
// when the flow is canceled meanwhile.
func (f *Flow) sleep(ctx workflow.Context, until time.Time, summary string, ears ...ear) (enough bool, err error) {
	timerCtx, stop := workflow.WithCancel(ctx)
	defer stop()
	timer := workflow.NewTimerWithOptions(timerCtx, max(0, until.Sub(workflow.Now(ctx))), workflow.TimerOptions{Summary: summary})
	over := false
	selector := workflow.NewSelector(ctx)
	for _, e := range ears {
		selector.AddReceive(e.channel, func(workflow.ReceiveChannel, bool) { enough = e.heard() || enough })
	}
	selector.AddFuture(timer, func(t workflow.Future) {
		over = true
		if t.Get(ctx, nil) != nil {
			err = errCanceled
		}
	})
	for !over && !enough {
		selector.Select(ctx)
	}
	return enough, err
}

// Conclude lets the policy decide what follows an attempt. The decision is made by the ledger, in one local activity,
// and is in the history: it is never worked out again.
func (f *Flow) Conclude(ctx workflow.Context, a call.Attempt) (followup.Decision, error) {
	free, _ := workflow.NewDisconnectedContext(ctx)
	in := activities.ConcludeInput{WorkflowID: f.info.WorkflowExecution.ID, Key: a.Key, Policy: f.in.Policy}
	var d followup.Decision
	local := workflow.WithLocalActivityOptions(free, workflow.LocalActivityOptions{
		ScheduleToCloseTimeout: 5 * time.Second,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: 200 * time.Millisecond, BackoffCoefficient: 2},
		Summary:                fmt.Sprintf("what follows attempt %d: %s", a.N, a.Disposition),
	})
	err := workflow.ExecuteLocalActivity(local, activities.NameConclude, in).Get(free, &d)
	if err != nil {
		// A ledger that is away longer must not keep a workflow task open.
		err = workflow.ExecuteActivity(f.lightly(free, "what follows attempt"), activities.NameConclude, in).Get(free, &d)
	}
	if err != nil {
		return d, err
	}
	if d.Action == followup.ActionRetry {
		if ctx.Err() != nil {
			return d, errCanceled
		}
		return d, f.upsert(ctx, StateWaiting, AttributeReason.ValueSet(string(a.Disposition)), AttributeNextAction.ValueSet(d.At))
	}
	f.status.Outcome, f.status.Reason = d.Outcome, ""
	if d.Outcome != call.Outcome(a.Disposition) {
		f.status.Reason = d.Reason
	}
	return d, f.upsert(free, StateDone, AttributeOutcome.ValueSet(string(d.Outcome)), AttributeReason.ValueSet(string(a.Disposition)), AttributeNextAction.ValueUnset())
}

// WaitForRetry sleeps until the next attempt is due. It returns early, with settled set, when the end of an attempt that
// was unknown is heard after all.
func (f *Flow) WaitForRetry(ctx workflow.Context, d followup.Decision) (settled bool, err error) {
	f.show(ctx, StateWaiting, &followup.Hold{Reason: followup.ReasonRetry, Rule: d.Rule, Until: d.At},
		fmt.Sprintf("%s. Attempt %d at **%s** (%s).", d.Reason, len(f.attempts)+1, d.At.Format(time.RFC3339), d.Rule))
	settled, err = f.sleep(ctx, d.At, d.Reason, ear{f.heard, f.settledAfterAll})
	if settled {
		f.told = f.Last().Disposition
	}
	return settled, err
}

// Escalate tells people about the contact, with all that happened.
func (f *Flow) Escalate(ctx workflow.Context, d followup.Decision) error {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	f.show(ctx, StateEscalating, nil, "Escalating: "+d.Reason+".")
	in := activities.EscalateInput{Webhook: f.in.Policy.Escalate.Webhook, Contact: followup.Escalated{
		WorkflowID: f.info.WorkflowExecution.ID, ContactID: f.in.ContactID, Campaign: f.in.Campaign, To: f.in.To.URI,
		Reason: d.Reason, Rule: d.Rule, At: workflow.Now(ctx), Metadata: f.in.Metadata, Attempts: f.attempts}}
	return workflow.ExecuteActivity(f.lightly(ctx, "escalate: "+d.Reason), activities.NameEscalate, in).Get(ctx, nil)
}

// End is how a flow returns: it turns what stopped the flow into the contact's outcome, takes in what is still on its
// way, and makes the result.
func (f *Flow) End(ctx workflow.Context, err error) (call.Result, error) {
	var refused refusedError
	switch {
	case errors.As(err, &refused):
		f.status.Outcome, f.status.Reason = refused.Outcome, refused.Reason
	case errors.Is(err, errCanceled):
		if err := f.finish(ctx, call.OutcomeCanceled, "the run was canceled"); err != nil {
			return call.Result{}, err
		}
	case err != nil:
		return call.Result{}, err
	}
	if err != nil { // else Conclude has said so
		ctx, _ = workflow.NewDisconnectedContext(ctx)
		if err := f.upsert(ctx, StateDone, AttributeOutcome.ValueSet(string(f.status.Outcome)),
			AttributeReason.ValueSet(string(f.status.Outcome)), AttributeNextAction.ValueUnset()); err != nil {
			return call.Result{}, err
		}
	}
	f.listen()
	f.forgetWakes()
	f.show(ctx, StateDone, nil, fmt.Sprintf("Done: **%s**. %s", f.status.Outcome, f.status.Reason))
	return call.Result{WorkflowID: f.info.WorkflowExecution.ID, RunID: f.info.WorkflowExecution.RunID, Outcome: f.status.Outcome,
		Escalated: f.status.Outcome == call.OutcomeEscalated, Reason: f.status.Reason, Attempts: f.attempts}, nil
}

func (f *Flow) finish(ctx workflow.Context, outcome call.Outcome, reason string) error {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	in := activities.FinishInput{WorkflowID: f.info.WorkflowExecution.ID, Outcome: outcome, Reason: reason}
	err := workflow.ExecuteActivity(f.lightly(ctx, reason), activities.NameFinish, in).Get(ctx, &f.status.Outcome)
	f.status.Reason = reason
	return err
}

// lightly are the options of activities that only write to the ledger: quick, and repeated until they succeed.
func (f *Flow) lightly(ctx workflow.Context, summary string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 15 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
		Summary:             shorten(summary),
	})
}

// upsert tells visibility where the flow stands: once an attempt, and once a hold.
func (f *Flow) upsert(ctx workflow.Context, s State, updates ...temporal.SearchAttributeUpdate) error {
	updates = append(updates, AttributeState.ValueSet(string(s)), AttributeAttempts.ValueSet(int64(len(f.attempts))))
	return workflow.UpsertTypedSearchAttributes(ctx, updates...)
}

// show puts the state on the run's page in the Temporal UI; it writes nothing to the history.
func (f *Flow) show(ctx workflow.Context, s State, wait *followup.Hold, text string) {
	f.status.State, f.status.Wait = s, wait
	for _, a := range f.attempts {
		text += fmt.Sprintf("\n\n- attempt %d: %s", a.N, describe(a))
	}
	workflow.SetCurrentDetails(ctx, text)
}

func describe(a call.Attempt) string {
	if a.Disposition == "" {
		return string(a.State)
	}
	text := "**" + string(a.Disposition) + "**"
	if a.Reason != "" {
		text += " (" + a.Reason + ")"
	}
	return text
}

// shorten keeps a summary within what the server stores.
func shorten(s string) string {
	const most = 180
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
