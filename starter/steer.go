package starter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"redial/workflows"
)

// SteerWithin is how long a run may take to answer: a worker that is busy goes through its history first, and an opt-out is written to
// the ledger before it is answered.
const SteerWithin = 15 * time.Second

// Errors of steering, told apart with errors.Is. A run that refuses what it was asked is a *RefusedError.
var (
	ErrNoRun    = errors.New("no such run")
	ErrRunOver  = errors.New("the run is over")
	ErrNoAnswer = errors.New("no worker answers")
)

// RefusedError is why a run does not do what it was asked. Nothing was changed.
type RefusedError struct {
	WorkflowID string
	Update     string
	Reason     string // in one line
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s refuses to %s: %s", e.WorkflowID, verbs[e.Update], e.Reason)
}

// verbs are the updates as people say them.
var verbs = map[string]string{
	workflows.UpdatePause: "pause", workflows.UpdateResume: "resume", workflows.UpdateCallNow: "call now",
	workflows.UpdateChangePolicy: "change its policy", workflows.UpdateReschedule: "be rescheduled", workflows.UpdateOptOut: "opt out", workflows.UpdateCancel: "be canceled",
}

// Steer asks a run, by its workflow id, for one of the updates of package workflows, such as workflows.UpdatePause, and waits until that
// is done, for SteerWithin at most. It returns where the flow stood when it answered; what follows, such as the end of a run that is
// canceled, may take longer. Errors are a *RefusedError, or wrap ErrNoRun, ErrRunOver or ErrNoAnswer; after ErrNoAnswer the run may still
// do what it was asked, when a worker is back.
func (s Starter) Steer(ctx context.Context, workflowID, update string, with workflows.Steering) (workflows.Status, error) {
	if verbs[update] == "" {
		return workflows.Status{}, &InputError{"update", fmt.Sprintf("%.40q is none: use one of package workflows, such as pause", update)}
	}
	within, cancel := context.WithTimeout(ctx, SteerWithin)
	defer cancel()
	var status workflows.Status
	handle, err := s.Client.UpdateWorkflow(within, client.UpdateWorkflowOptions{WorkflowID: workflowID, UpdateName: update,
		Args: []any{with}, WaitForStage: client.WorkflowUpdateStageCompleted})
	if err == nil {
		err = handle.Get(within, &status)
	}
	if err != nil {
		return workflows.Status{}, s.unsteered(ctx, workflowID, update, err)
	}
	return status, nil
}

// unsteered tells why an update was not done.
func (s Starter) unsteered(ctx context.Context, workflowID, update string, err error) error {
	var refused *temporal.ApplicationError
	var late *client.WorkflowUpdateServiceTimeoutOrCanceledError
	var absent *serviceerror.NotFound
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s %s: %w", update, workflowID, ctx.Err())
	case errors.As(err, &absent), errors.As(err, &refused) && refused.Type() == endedMeanwhile:
		return s.whyAbsent(ctx, workflowID, err)
	case errors.As(err, &refused):
		return &RefusedError{workflowID, update, refused.Message()}
	case errors.As(err, &late):
		return fmt.Errorf("%w for %s within %s: start one (redial up, or redial worker); what was asked may still be done when one is back",
			ErrNoAnswer, workflowID, SteerWithin)
	}
	return fmt.Errorf("%s %s: %w", update, workflowID, err)
}

// endedMeanwhile is the server's type of failure for an update of a run that came to its end before it was done.
const endedMeanwhile = "AcceptedUpdateCompletedWorkflow"

// whyAbsent tells a run that is over from one that never was.
func (s Starter) whyAbsent(ctx context.Context, workflowID string, err error) error {
	d, failed := s.Client.DescribeWorkflow(ctx, workflowID, "")
	var absent *serviceerror.NotFound
	switch {
	case errors.As(failed, &absent):
		return fmt.Errorf("%w: %s", ErrNoRun, workflowID)
	case failed != nil:
		return fmt.Errorf("look for workflow %s: %w", workflowID, failed)
	case d.Status == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
		return fmt.Errorf("workflow %s: %w", workflowID, err)
	}
	outcome, _ := d.TypedSearchAttributes.GetKeyword(workflows.AttributeOutcome)
	if outcome == "" {
		return fmt.Errorf("%w: %s", ErrRunOver, workflowID)
	}
	return fmt.Errorf("%w: %s ended as %s", ErrRunOver, workflowID, outcome)
}

// Pause keeps a run from dialing until it is resumed.
func (s Starter) Pause(ctx context.Context, workflowID, by, reason string) (workflows.Status, error) {
	return s.Steer(ctx, workflowID, workflows.UpdatePause, workflows.Steering{By: by, Reason: reason})
}

// Resume takes a pause back.
func (s Starter) Resume(ctx context.Context, workflowID, by, reason string) (workflows.Status, error) {
	return s.Steer(ctx, workflowID, workflows.UpdateResume, workflows.Steering{By: by, Reason: reason})
}

// CallNow ends a run's wait for its next attempt. The rules for calling still hold.
func (s Starter) CallNow(ctx context.Context, workflowID, by, reason string) (workflows.Status, error) {
	return s.Steer(ctx, workflowID, workflows.UpdateCallNow, workflows.Steering{By: by, Reason: reason})
}

// Reschedule makes a run wait until a time to come.
func (s Starter) Reschedule(ctx context.Context, workflowID string, at time.Time, by, reason string) (workflows.Status, error) {
	return s.Steer(ctx, workflowID, workflows.UpdateReschedule, workflows.Steering{By: by, Reason: reason, At: at})
}

// OptOut suppresses a run's contact and the number that it was called at, and ends the run.
func (s Starter) OptOut(ctx context.Context, workflowID, by, reason string) (workflows.Status, error) {
	return s.Steer(ctx, workflowID, workflows.UpdateOptOut, workflows.Steering{By: by, Reason: reason})
}

// Cancel ends a run as soon as nothing is in the air.
func (s Starter) Cancel(ctx context.Context, workflowID, by, reason string) (workflows.Status, error) {
	return s.Steer(ctx, workflowID, workflows.UpdateCancel, workflows.Steering{By: by, Reason: reason})
}

// ChangePolicy lets a run go by another policy from now on, or, where to names one, follow a policy of the ledger: what it waits for is planned
// anew, as if it had been decided under that policy.
func (s Starter) ChangePolicy(ctx context.Context, workflowID string, to workflows.Under, by, reason string) (workflows.Status, error) {
	with := workflows.Steering{By: by, Reason: reason, Follows: to.Follows}
	if to.Follows == "" {
		var err error
		if with.Policy, err = json.Marshal(to.Policy); err != nil {
			return workflows.Status{}, fmt.Errorf("the policy cannot be written as JSON: %w", err)
		}
	}
	return s.Steer(ctx, workflowID, workflows.UpdateChangePolicy, with)
}
