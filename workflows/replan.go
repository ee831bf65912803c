package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"redial/activities"
	"redial/followup"
)

// A policy may change under a run: the one that the run was given, by an update, or the one of the ledger that it follows, of which a wake
// tells. Rules and decisions are the new policy's from then on; what the run waits for already is planned anew here, once.

// NoteOtherPolicy begins the note of a change_policy in the decision log.
const NoteOtherPolicy = "another policy was given"

// Under is the policy by which a run goes.
type Under struct {
	Policy  followup.Policy `json:"policy"`
	Follows string          `json:"follows,omitempty"` // as of Input
	Version int             `json:"version,omitempty"` // of Policy, where it is the one that is followed; 0: it is not known to be
}

// Policy is the policy by which the run goes now: that of its input, until it is given another one, or the one that it follows has changed.
func (f *Flow) Policy() followup.Policy { return f.under.Policy }

func (f *Flow) refuseChange(_ time.Time, s Steering) error {
	if given := len(s.Policy) > 0 && string(s.Policy) != "null"; given == (s.Follows != "") {
		return errors.New("policy: give either a policy, or the name of one that the ledger keeps")
	}
	return nil
}

// changePolicy takes up another policy. It is checked outside of the flow, for a check depends on presets and zones.
func (f *Flow) changePolicy(ctx workflow.Context, s Steering) error {
	c := f.claim(f.to.URI)
	c.Follows = s.Follows
	before := f.take()
	f.noteDown(ctx, s.words(NoteOtherPolicy))
	in := activities.ChangePolicyInput{Claim: c, Policy: s.Policy, Targets: f.numbers(), Consent: f.in.Consent, Notes: append(before, f.take()...)}
	var result activities.ChangePolicyResult
	if err := f.write(ctx, s.words(NoteOtherPolicy), activities.NameChangePolicy, in, &result); err != nil {
		return err
	}
	if result.Refused != "" {
		f.notes = append(before, f.notes...)
		return temporal.NewApplicationError(result.Refused, "Refused")
	}
	f.under, f.given, f.changed = Under{*result.Policy, s.Follows, result.Version}, true, true
	f.woken++ // who is held asks for leave again
	return nil
}

// refresh takes up the policy as it is now. With decide, what follows the last attempt is decided anew, where the flow goes by what was decided
// on it; nil: it does not.
func (f *Flow) refresh(ctx workflow.Context, decide bool) (*followup.Decision, error) {
	f.changed = false
	follows := f.under.Follows
	in := activities.ReplanInput{WorkflowID: f.info.WorkflowExecution.ID, Policy: f.under.Policy, Notes: f.take()}
	if decide && f.planned && !f.settledAfterAll() {
		in.Key, in.Numbers = f.Last().Key, f.conclusive()
	}
	var plan followup.Plan
	if err := f.write(ctx, "the policy has changed", activities.NameReplan, in, &plan); err != nil {
		return nil, err
	}
	if plan.Policy != nil && f.under.Follows == follows { // nobody has given it another one meanwhile
		f.under, f.given = Under{*plan.Policy, follows, plan.Version}, true
	}
	return plan.Decision, nil
}

// replan takes up the policy as it is now. Where the flow waits for a retry that the policy has decided on, it does what is decided now; a
// decision that ends the contact is returned as a *RefusedError. Nil: nothing was decided anew, because it waits for something else.
func (f *Flow) replan(ctx workflow.Context) (*followup.Decision, error) {
	last := f.Last()
	d, err := f.refresh(ctx, true)
	if err != nil || d == nil {
		return nil, err
	}
	f.concluded = *d
	if err := f.follow(ctx, last, *d); err != nil {
		return nil, err
	}
	if d.Final() {
		return nil, &RefusedError{Refusal: followup.Refusal{Outcome: d.Outcome, Reason: d.Reason, Rule: d.Rule}, told: true}
	}
	return d, nil
}

// replanWait is replan in a wait, which is returned as it is from now on.
func (f *Flow) replanWait(ctx workflow.Context, h followup.Hold) (followup.Hold, error) {
	d, err := f.replan(ctx)
	if err != nil || d == nil {
		return h, err
	}
	f.showRetry(ctx, *d)
	return *f.status.Wait, nil
}

// replanCall is replan before a dial. A retry that is due later now is waited for first.
func (f *Flow) replanCall(ctx workflow.Context, r request) error {
	if r.dial.First != 0 { // beside others: none of them is a retry
		_, err := f.refresh(ctx, false)
		return err
	}
	d, err := f.replan(ctx)
	if err != nil || d == nil {
		return err
	}
	if d.At.After(workflow.Now(ctx)) {
		f.showRetry(ctx, *d)
		if err := f.rest(ctx, *f.status.Wait, d.Reason, f.newlySettled); err != nil {
			return err
		}
	}
	if !r.other && f.to != r.dial.To {
		return errMoved
	}
	return nil
}
