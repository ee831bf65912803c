package workflows

import (
	"errors"
	"fmt"
	"strings"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"redial/activities"
	"redial/call"
	"redial/followup"
)

// Conclude lets the policy decide what follows an attempt, and does it when that ends the contact: a decision that is Final
// needs nothing more, people have been told where it escalates. What remains otherwise is to WaitForRetry and to Call. The
// decision is made by the ledger and is in the history: it is never worked out again.
func (f *Flow) Conclude(ctx workflow.Context, a call.Attempt) (followup.Decision, error) {
	d, err := step(ctx, f, "Conclude", func(ctx workflow.Context) (d followup.Decision, err error) {
		if a.Key == "" {
			return d, temporal.NewNonRetryableApplicationError("Flow.Conclude was given no attempt: call first", "Input", nil)
		}
		if f.steer.end == errOptedOut {
			return d, errOptedOut // whatever became of the call, nothing follows it
		}
		in := activities.ConcludeInput{WorkflowID: f.info.WorkflowExecution.ID, Key: a.Key, Policy: f.under.Policy, Numbers: f.conclusive(), Notes: f.take()}
		if err := f.write(ctx, fmt.Sprintf("what follows attempt %d: %s", a.N, a.Disposition), activities.NameConclude, in, &d); err != nil {
			return d, err
		}
		return d, f.follow(ctx, a, d)
	})
	f.concluded = d
	return d, err
}

// follow does what was decided on an attempt, as far as that is not a wait or a call.
func (f *Flow) follow(ctx workflow.Context, a call.Attempt, d followup.Decision) error {
	if f.promised = d.Promised; d.Target != nil {
		f.to = *d.Target
	}
	if d.Action == followup.ActionRetry {
		if err := f.stopped(ctx); err != nil {
			return err
		}
		return f.upsert(ctx, StateWaiting, AttributeReason.ValueSet(string(a.Disposition)), AttributeNextAction.ValueSet(d.At))
	}
	reason := ""
	if d.Outcome != call.Outcome(a.Disposition) {
		reason = d.Reason
	}
	if err := f.done(ctx, d.Outcome, reason, string(a.Disposition)); err != nil || d.Action != followup.ActionEscalate {
		return err
	}
	return f.escalate(ctx, d.Reason, d.Rule)
}

// conclusive are the numbers among which a decision may choose; none, where there is only one.
func (f *Flow) conclusive() []call.Target {
	if len(f.in.Further) == 0 {
		return nil
	}
	return f.numbers()
}

// Finish ends the contact with an outcome of the flow's own: the disposition that settles it, or one of the other outcomes. The
// reason is for people. A contact that has its outcome keeps it.
func (f *Flow) Finish(ctx workflow.Context, outcome call.Outcome, reason string) error {
	_, err := step(ctx, f, "Finish", func(ctx workflow.Context) (struct{}, error) { return struct{}{}, f.finish(ctx, outcome, reason) })
	return err
}

func (f *Flow) finish(ctx workflow.Context, outcome call.Outcome, reason string) error {
	if !outcome.Valid() {
		return temporal.NewNonRetryableApplicationError(fmt.Sprintf("Flow.Finish: %q is no outcome: take a disposition, or one of the outcomes of package call", outcome),
			"Input", nil)
	}
	if f.status.Outcome != "" && len(f.notes) == 0 {
		return nil // the first one stands
	}
	if f.status.Outcome != "" {
		outcome, reason = f.status.Outcome, f.status.Reason
	}
	in := activities.FinishInput{WorkflowID: f.info.WorkflowExecution.ID, Outcome: outcome, Reason: reason, Notes: f.take(), Claim: f.unheardOf()}
	if err := f.write(ctx, "outcome: "+string(outcome), activities.NameFinish, in, &outcome); err != nil {
		return err
	}
	return f.done(ctx, outcome, reason, string(outcome))
}

// unheardOf is the contact for a ledger that may not know it, because nothing was dialed; nil: it does.
func (f *Flow) unheardOf() *followup.Claim {
	if len(f.attempts) > 0 {
		return nil
	}
	c := f.claim(f.to.URI)
	return &c
}

// Escalate tells people about the contact, with all that happened, and ends it. The reason is the headline of what they read.
func (f *Flow) Escalate(ctx workflow.Context, reason string) error {
	_, err := step(ctx, f, "Escalate", func(ctx workflow.Context) (struct{}, error) {
		if err := f.escalate(ctx, reason, "flow "+f.name); err != nil || f.status.Outcome != "" {
			return struct{}{}, err
		}
		return struct{}{}, f.done(ctx, call.OutcomeEscalated, reason, string(call.OutcomeEscalated))
	})
	return err
}

func (f *Flow) escalate(ctx workflow.Context, reason, rule string) error {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	f.show(ctx, StateEscalating, nil, reason)
	in := activities.EscalateInput{Webhook: f.under.Policy.Escalate.Webhook, Notes: f.take(), Claim: f.unheardOf(), Contact: followup.Escalated{
		WorkflowID: f.info.WorkflowExecution.ID, ContactID: f.in.ContactID, Campaign: f.in.Campaign, To: f.in.To.URI,
		Reason: reason, Rule: rule, At: workflow.Now(ctx), Metadata: f.in.Metadata, Attempts: f.attempts}}
	return workflow.ExecuteActivity(f.lightly(ctx, "escalate: "+reason), activities.NameEscalate, in).Get(ctx, nil)
}

// done notes the outcome, and tells visibility.
func (f *Flow) done(ctx workflow.Context, outcome call.Outcome, reason, shown string) error {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	f.status.Outcome, f.status.Reason = outcome, reason
	return f.upsert(ctx, StateDone, AttributeOutcome.ValueSet(string(outcome)), AttributeReason.ValueSet(shown), AttributeNextAction.ValueUnset())
}

// end is how a run ends: it hears out what is in the air, turns what stopped the flow into the contact's outcome, takes in what
// is still on its way, and makes the result. An error of the flow's own escalates the contact and fails the run.
func (f *Flow) end(ctx workflow.Context, err error) (call.Result, error) {
	free, _ := workflow.NewDisconnectedContext(ctx)
	if err := workflow.Await(free, func() bool { f.listen(); return f.calls == 0 }); err != nil {
		return call.Result{}, err
	}
	if workflow.IsContinueAsNewError(err) {
		err = temporal.NewNonRetryableApplicationError("a call flow must not continue itself as new: its handle does so, between attempts", "ContinuedAsNew", nil)
	}
	failed, err := f.settle(free, err)
	if err == nil {
		err = failed
	}
	if err != nil {
		return call.Result{}, err
	}
	// What somebody has asked meanwhile is answered.
	if err := workflow.Await(free, func() bool { f.listen(); return f.calls == 0 }); err != nil {
		return call.Result{}, err
	}
	f.show(free, StateDone, nil, strings.TrimSuffix(fmt.Sprintf("**%s**, %s", f.status.Outcome, f.status.Reason), ", "))
	return call.Result{WorkflowID: f.info.WorkflowExecution.ID, RunID: f.info.WorkflowExecution.RunID, Outcome: f.status.Outcome,
		Escalated: f.status.Outcome == call.OutcomeEscalated, Reason: f.status.Reason, Attempts: f.attempts}, nil
}

// settle gives the contact its outcome, where it has none, from what the flow returned. Failed is an error of the flow's own.
func (f *Flow) settle(ctx workflow.Context, returned error) (failed, err error) {
	var refused *RefusedError
	switch {
	case errors.As(returned, &refused) && refused.open:
		return nil, f.finish(ctx, refused.Outcome, refused.Reason)
	case refused != nil && refused.told && len(f.notes) == 0:
		return nil, nil
	case refused != nil && refused.told:
		return nil, f.finish(ctx, f.status.Outcome, f.status.Reason)
	case refused != nil:
		return nil, f.done(ctx, refused.Outcome, refused.Reason, string(refused.Outcome))
	case f.steer.end == errOptedOut && f.status.Outcome == "":
		return nil, f.finish(ctx, call.OutcomeOptedOut, f.steer.ending.words("opted out"))
	case errors.Is(returned, ErrCanceled) || temporal.IsCanceledError(returned):
		return nil, f.cancel(ctx)
	case returned != nil && f.status.Outcome == "":
		reason := "the flow failed: " + shorten(returned.Error())
		if err := f.escalate(ctx, reason, "flow "+f.name); err != nil {
			return returned, err
		}
		return returned, f.done(ctx, call.OutcomeEscalated, reason, string(call.OutcomeEscalated))
	case returned == nil && f.status.Outcome == "" && f.Last().Disposition != "":
		return nil, f.finish(ctx, call.Outcome(f.Last().Disposition), "")
	case returned == nil && f.status.Outcome == "":
		return nil, f.finish(ctx, call.OutcomeCanceled, "the flow ended without a call")
	case len(f.notes) > 0:
		return returned, f.finish(ctx, f.status.Outcome, f.status.Reason)
	}
	return returned, nil
}

// cancel ends a contact whose run was asked to stop. An outcome that it has stands.
func (f *Flow) cancel(ctx workflow.Context) error {
	reason := "the run was canceled"
	if f.steer.ending != nil {
		reason = f.steer.ending.words("canceled")
	}
	outcome := call.OutcomeCanceled
	in := activities.FinishInput{WorkflowID: f.info.WorkflowExecution.ID, Outcome: outcome, Reason: reason, Notes: f.take(), Claim: f.unheardOf()}
	if err := workflow.ExecuteActivity(f.lightly(ctx, reason), activities.NameFinish, in).Get(ctx, &outcome); err != nil {
		return err
	}
	return f.done(ctx, outcome, reason, string(outcome))
}
