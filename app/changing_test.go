package app

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/workflow"

	"redial/call"
	"redial/callflowtest"
	"redial/followup"
	"redial/internal/config"
	"redial/starter"
	"redial/workflows"
)

// The flows below are those of docs/changing-flows.md, which quotes them.

// Remind calls until the policy has had enough.
func Remind(ctx workflow.Context, f *workflows.Flow, _ workflows.None) error {
	for {
		attempt, err := f.Call(ctx)
		if err != nil {
			return err
		}
		next, err := f.Conclude(ctx, attempt)
		if err != nil || next.Final() {
			return err
		}
		if err := f.WaitForRetry(ctx, next); err != nil {
			return err
		}
	}
}

// RemindChanged asks before each call whether the appointment still stands. Runs that Remind began cannot go on with it.
func RemindChanged(ctx workflow.Context, f *workflows.Flow, _ workflows.None) error {
	for {
		var stands bool
		if err := f.Do(ctx, appointmentStands, &stands); err != nil {
			return err
		}
		if !stands {
			return f.Finish(ctx, call.OutcomeCanceled, "there is no appointment any more")
		}
		attempt, err := f.Call(ctx)
		if err != nil {
			return err
		}
		next, err := f.Conclude(ctx, attempt)
		if err != nil || next.Final() {
			return err
		}
		if err := f.WaitForRetry(ctx, next); err != nil {
			return err
		}
	}
}

// RemindGated asks before each call whether the appointment still stands, but in runs that were begun without the question.
func RemindGated(ctx workflow.Context, f *workflows.Flow, _ workflows.None) error {
	for {
		if workflow.GetVersion(ctx, "ask whether it stands", workflow.DefaultVersion, 1) >= 1 {
			var stands bool
			if err := f.Do(ctx, appointmentStands, &stands); err != nil {
				return err
			}
			if !stands {
				return f.Finish(ctx, call.OutcomeCanceled, "there is no appointment any more")
			}
		}
		attempt, err := f.Call(ctx)
		if err != nil {
			return err
		}
		next, err := f.Conclude(ctx, attempt)
		if err != nil || next.Final() {
			return err
		}
		if err := f.WaitForRetry(ctx, next); err != nil {
			return err
		}
	}
}

// RemindGatedByAttempt asks in runs that were begun without the question, too, from their next attempt on.
func RemindGatedByAttempt(ctx workflow.Context, f *workflows.Flow, _ workflows.None) error {
	for {
		gate := fmt.Sprintf("ask whether it stands, %d", len(f.Attempts()))
		if workflow.GetVersion(ctx, gate, workflow.DefaultVersion, 1) >= 1 {
			if err := f.Do(ctx, appointmentStands, nil); err != nil {
				return err
			}
		}
		attempt, err := f.Call(ctx)
		if err != nil {
			return err
		}
		next, err := f.Conclude(ctx, attempt)
		if err != nil || next.Final() {
			return err
		}
		if err := f.WaitForRetry(ctx, next); err != nil {
			return err
		}
	}
}

// RemindInOtherWords tells the bot more, and says why it waits. Runs that Remind began go on with it.
func RemindInOtherWords(ctx workflow.Context, f *workflows.Flow, _ workflows.None) error {
	for {
		attempt, err := f.Call(ctx, workflows.Tell("attempt", len(f.Attempts())+1))
		if err != nil {
			return err
		}
		f.Note(ctx, "the reminder comes again until the policy has had enough")
		next, err := f.Conclude(ctx, attempt)
		if err != nil || next.Final() {
			return err
		}
		if err := f.WaitForRetry(ctx, next); err != nil {
			return err
		}
	}
}

// appointmentStands asks the calendar.
func appointmentStands(context.Context) (bool, error) { return true, nil }

// The builds of the tests: one name, several flows.
var (
	reworded = workflows.Define("Reminder", RemindInOtherWords)
	before   = workflows.Define("Reminder", Remind)
	changed  = workflows.Define("Reminder", RemindChanged).WithActivities(appointmentStands)
	byTurns  = workflows.Define("Reminder", RemindGatedByAttempt).WithActivities(appointmentStands)
	gated    = workflows.Define("Reminder", RemindGated).WithActivities(appointmentStands)
)

// talkBy is talk by the flow of the tests, whichever build hosts it.
func (r rollout) talkBy(id, number string) starter.Call {
	r.t.Helper()
	p := quick()
	p.Dial.MaxCall = seconds(600)
	require.NoError(r.t, r.simulator.Script(number, "human+never_ends+lost,human+ring=1s"))
	c, err := r.starter.Call(r.t.Context(), before.Name(), workflows.Input{ContactID: id, To: call.Target{URI: "tel:" + number}, Policy: p})
	require.NoError(r.t, err)
	r.notifyURL(number)
	return c
}

// saved is the history of a run as it is now, in a file.
func (r rollout) saved(c starter.Call) string {
	r.t.Helper()
	dir := r.t.TempDir()
	saved, err := historiesOf(r.t.Context(), connection{Client: r.client, namespace: "default"}, dir, c.WorkflowID)
	require.NoError(r.t, err)
	require.NoError(r.t, writeHistories(dir, saved))
	return saved[0].File
}

// taskFailures are the causes for which steps of a run have failed.
func (r rollout) taskFailures(c starter.Call) (causes []enumspb.WorkflowTaskFailedCause) {
	r.t.Helper()
	for _, e := range r.history(c) {
		if e.EventType == enumspb.EVENT_TYPE_WORKFLOW_TASK_FAILED {
			causes = append(causes, e.GetWorkflowTaskFailedEventAttributes().GetCause())
		}
	}
	return causes
}

// timesAsked is how often a run has asked whether the appointment stands.
func (r rollout) timesAsked(c starter.Call) (n int) {
	r.t.Helper()
	for _, e := range r.history(c) {
		if e.GetActivityTaskScheduledEventAttributes().GetActivityType().GetName() == "appointmentStands" {
			n++
		}
	}
	return n
}

func TestAChangeBehindAVersionGateLeavesRunsUnderWayAsTheyWereAndHoldsForNewOnes(t *testing.T) {
	r := newRollout(t, config.AutoUpgrade)
	const first, second = "+12025550101", "+12025550102"
	r.deploy("old", before)
	r.makeCurrent("old")
	onOld := r.talkBy("first", first)
	require.NoError(t, callflowtest.ReplayFile(r.saved(onOld), gated))
	require.NoError(t, callflowtest.ReplayFile(r.saved(onOld), reworded))

	r.deploy("new", gated)
	r.makeCurrent("new")
	r.hangUp(onOld, first)
	r.requireOn(onOld, "old", "new")
	require.Zero(t, r.timesAsked(onOld), "a run keeps to what it has begun with")

	onNew := r.talkBy("second", second)
	r.hangUp(onNew, second)
	require.Equal(t, 2, r.timesAsked(onNew))
	require.Empty(t, r.taskFailures(onOld))
	require.NoError(t, callflowtest.ReplayFile(r.saved(onOld), reworded), "what is said is free, also in a run that has ended")
}

func TestAGateForEachAttemptChangesRunsUnderWayFromTheirNextAttemptOn(t *testing.T) {
	r := newRollout(t, config.AutoUpgrade)
	const number = "+12025550101"
	r.deploy("old", before)
	r.makeCurrent("old")
	run := r.talkBy("anna", number)
	r.deploy("new", byTurns)
	r.makeCurrent("new")
	r.hangUp(run, number)
	require.Equal(t, 1, r.timesAsked(run))
	require.Empty(t, r.taskFailures(run))
}

func TestAnUngatedChangeIsCaughtByTheReplayTestAndARunUnderWayStandsStillUntilTheOldBuildIsBack(t *testing.T) {
	r := newRollout(t, config.AutoUpgrade)
	const number = "+12025550101"
	r.deploy("old", before)
	r.makeCurrent("old")
	run := r.talkBy("anna", number)
	err := callflowtest.ReplayFile(r.saved(run), changed)
	require.ErrorContains(t, err, "this build does not do what the run did, and could not go on with it: gate the change with workflow.GetVersion")

	r.deploy("new", changed)
	r.makeCurrent("new")
	require.Equal(t, 200, r.post(r.notifyURL(number), seedSamples[4].body))
	require.Eventually(t, func() bool { return len(r.taskFailures(run)) > 0 }, time.Minute, 50*time.Millisecond)
	require.Equal(t, enumspb.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR, r.taskFailures(run)[0])
	require.Equal(t, 1, r.placed(number), "nothing is dialed meanwhile")
	shown, err := r.ledger.Show(t.Context(), run.WorkflowID)
	require.NoError(t, err)
	require.Empty(t, shown.Outcome)

	r.makeCurrent("old")
	require.Equal(t, call.Outcome(call.Human), r.result(run).Outcome)
	require.Equal(t, 2, r.placed(number))
	require.Zero(t, r.simulator.Stats().DuplicateDials)
}

func TestARunThatWasContinuedByTheOldBuildGoesOnWithTheNewOneBehindTheGate(t *testing.T) {
	r := newRollout(t, config.AutoUpgrade, "--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=20")
	const number = "+12025550101"
	r.deploy("old", before)
	r.makeCurrent("old")
	require.NoError(t, r.simulator.Script(number, "busy,busy,human+never_ends+lost,human+ring=1s"))
	p := quick()
	p.Dial.MaxCall = seconds(600)
	p.On[call.Busy] = followup.Rule{Retry: []followup.Delay{{After: seconds(1)}, {After: seconds(1)}, {After: seconds(1)}}}
	run, err := r.starter.Call(t.Context(), before.Name(), workflows.Input{ContactID: "anna", To: call.Target{URI: "tel:" + number}, Policy: p})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return r.placed(number) == 3 }, time.Minute, 20*time.Millisecond)
	now, err := r.client.DescribeWorkflow(t.Context(), run.WorkflowID, "")
	require.NoError(t, err)
	require.NotEqual(t, run.RunID, now.WorkflowExecution.RunID, "the flow is in the run that it began in")
	run.RunID = now.WorkflowExecution.RunID
	require.NoError(t, callflowtest.ReplayFile(r.saved(run), gated))
	require.ErrorContains(t, callflowtest.ReplayFile(r.saved(run), changed), "was Flow.Call in an earlier run and is Flow.Do (appointmentStands) in this build")

	r.deploy("new", gated)
	r.makeCurrent("new")
	require.Equal(t, 200, r.post(r.notifyURL(number), seedSamples[4].body))
	result := r.result(run)
	require.Equal(t, call.Outcome(call.Human), result.Outcome)
	require.Len(t, result.Attempts, 4)
	require.Equal(t, 4, r.placed(number))
	require.Empty(t, r.taskFailures(run))
}
