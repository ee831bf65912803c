package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"redial/call"
	"redial/callflowtest"
	"redial/followup"
	"redial/workflows"
)

const talk = 20 * time.Second

// standard is a stage for the standard flow.
func standard(t *testing.T) *callflowtest.Kit { return callflowtest.New(t, workflows.Standard) }

// play runs the flow for Anna, with retries exactly when the default policy wants them.
func play(k *callflowtest.Kit) *callflowtest.Run {
	return k.Call(anna, nil, func(in *workflows.Input) { in.Policy = followup.Policy{Name: "test", Jitter: new(int)} })
}

func TestAPersonReachedEndsTheContact(t *testing.T) {
	kit := standard(t)
	kit.On(anna).Human(talk)
	run := play(kit).Outcome("human").Dialed(anna)
	require.Empty(t, run.Result().Reason)
	require.Empty(t, run.Escalations())
}

func TestTheRetryListOfADispositionIsKeptInVirtualTimeAndThenEscalates(t *testing.T) {
	kit := standard(t)
	kit.On(anna).Machine(callflowtest.Beep).Ring(8 * time.Second).Talk(12 * time.Second)
	run := play(kit).Outcome(call.OutcomeEscalated).EscalatedWith("machine 4 times, no retry left").
		Gaps(4*time.Hour+20*time.Second, 27*time.Hour+20*time.Second, 31*time.Hour+20*time.Second)
	require.True(t, run.Result().Escalated)
	require.Len(t, run.Escalations()[0].Attempts, 4)
}

func TestAnEndHeardBeforeTheDialsAnswerIsNotLost(t *testing.T) {
	kit := standard(t)
	kit.On(anna).Busy().Early().Then().Human(talk)
	require.Equal(t, call.Busy, play(kit).Outcome("human").Result().Attempts[0].Disposition)
}

func TestAnAttemptThatHadEndedWhenItWasAskedForIsNotListenedFor(t *testing.T) {
	kit := standard(t)
	kit.On(anna).Human(talk).Early().WorkerDies() // who asks in its place is told of the end
	run := play(kit).Outcome("human")
	require.Less(t, run.Lasted(), time.Minute)
}

func TestACallWhoseEndIsNeverHeardIsGivenUpAtTheWatchdogAndNotBefore(t *testing.T) {
	kit := standard(t)
	kit.On(anna).Human(talk).Lost().Then().Human(talk)
	run := play(kit).Outcome("human").Dialed(anna, anna)
	require.Equal(t, call.Unknown, run.Result().Attempts[0].Disposition)
	require.GreaterOrEqual(t, run.Dials()[1].At.Sub(run.Dials()[0].At), (followup.Policy{}).WithDefaults().Dial.HearFor())
}

func TestTheLateEndOfAnUnknownAttemptReplacesItsRetry(t *testing.T) {
	kit := standard(t)
	kit.On(anna).Human(talk).Late(3 * time.Hour)
	play(kit).Outcome("human").Dialed(anna)
}

func TestTheLateEndOfAnUnknownAttemptReplacesItsRetryAlsoWhileThatIsHeld(t *testing.T) {
	kit := standard(t).Lines(1).OtherCall(bert, time.Hour, 40*time.Hour)
	kit.On(anna).Human(talk).Late(14 * time.Hour)
	run := play(kit).Outcome("human").Dialed(anna)
	require.Contains(t, run.Timeline(), "held       lines_busy")
	require.Less(t, run.Lasted(), 15*time.Hour)
}

func TestAHoldEndsAtAWakeAndLeavesNoTimer(t *testing.T) {
	running := 0
	kit := standard(t).Lines(1).OtherCall(bert, 0, time.Minute).Environment(func(env *testsuite.TestWorkflowEnvironment) {
		env.SetOnTimerScheduledListener(func(string, time.Duration) { running++ })
		env.SetOnTimerCanceledListener(func(string) { running-- })
		env.SetOnTimerFiredListener(func(string) { running-- })
	})
	kit.On(anna).Human(talk)
	opened := kit.Now()
	play(kit).Outcome("human").DialedAt(opened.Add(time.Minute))
	require.Zero(t, running, "timers left running")
}

func TestAHoldThatNothingWakesEndsAtItsTime(t *testing.T) {
	kit := standard(t).Lines(1).OtherCall(bert, 0, time.Minute).LoseWakes()
	kit.On(anna).Human(talk)
	run := play(kit).Outcome("human")
	require.Equal(t, "held", run.Decisions()[0].Kind)
	run.DialedAt(run.Decisions()[0].Until)
}

func TestARefusedContactEndsWithTheRefusalsOutcome(t *testing.T) {
	for outcome, prepare := range map[call.Outcome]func(*callflowtest.Kit){
		call.OutcomeSuppressed: func(k *callflowtest.Kit) { k.Suppress(anna) },
		call.OutcomeExpired:    func(k *callflowtest.Kit) { k.OtherCall(anna, 0, 30*24*time.Hour) },
	} {
		kit := standard(t)
		prepare(kit)
		require.NotEmpty(t, play(kit).Outcome(outcome).Dialed().Result().Reason)
	}
	kit := standard(t)
	kit.On(anna).Human(talk)
	play(kit)
	play(kit).Outcome(call.OutcomeDuplicateID).Dialed()
}

func TestACanceledWaitEndsTheContactAsCanceledAndDialsNoMore(t *testing.T) {
	kit := standard(t).CancelAfter(5 * time.Minute)
	kit.On(anna).Busy()
	play(kit).Outcome(call.OutcomeCanceled).Dialed(anna).Ended()
}

func TestACanceledHoldEndsTheContactWithoutACall(t *testing.T) {
	kit := standard(t).Lines(1).OtherCall(bert, 0, time.Hour).CancelAfter(time.Minute)
	play(kit).Outcome(call.OutcomeCanceled).Dialed().Ended()
}

func TestACallInTheAirIsHeardOutAfterACancelAndItsOutcomeStands(t *testing.T) {
	kit := standard(t).CancelAfter(10 * time.Second)
	kit.On(anna).Human(talk)
	play(kit).Outcome("human").Dialed(anna)
}

func TestTheStatusQueryTellsWhatTheFlowWaitsFor(t *testing.T) {
	kit := standard(t)
	kit.On(anna).Busy().Ring(talk).Then().Human(talk)
	opened := kit.Now()
	var asked workflows.Status
	kit.After(5*time.Minute, func() { asked = kit.Status() })
	play(kit)
	require.Equal(t, workflows.StateWaiting, asked.State)
	require.Equal(t, followup.ReasonRetry, asked.Wait.Reason)
	require.Equal(t, opened.Add(talk+20*time.Minute), asked.Wait.Until)
	require.Equal(t, call.Busy, asked.Attempts[0].Disposition)
}

func TestVisibilityIsToldOnceAnAttempt(t *testing.T) {
	upserts := 0
	kit := standard(t).Environment(func(env *testsuite.TestWorkflowEnvironment) {
		env.OnUpsertTypedSearchAttributes(mock.Anything).Return(nil).Run(func(mock.Arguments) { upserts++ })
	})
	kit.On(anna).Busy().Then().Human(talk)
	play(kit)
	require.Equal(t, 2, upserts)
}

func TestWhateverBecomesOfItsCallsTheStandardFlowKeepsItsPromises(t *testing.T) {
	callflowtest.Explore(t, workflows.Standard, callflowtest.Search{To: anna}, callflowtest.Ended(), callflowtest.OneInFlightPerNumber(),
		callflowtest.AtMost(1, 30*time.Second))
}

func TestWorkflowIDsAreBuiltAndReadBack(t *testing.T) {
	for _, c := range []struct{ campaign, contact, id string }{{"", "anna", "redial/-/anna"}, {"spring", "a/b", "redial/spring/a/b"}} {
		require.Equal(t, c.id, workflows.WorkflowID(c.campaign, c.contact))
		campaign, contact, ok := workflows.ParseWorkflowID(c.id)
		require.True(t, ok)
		require.Equal(t, c.campaign, campaign)
		require.Equal(t, c.contact, contact)
	}
	for _, id := range []string{"", "redial/", "redial/x", "redial//x", "redial/x/", "other/x/y"} {
		_, _, ok := workflows.ParseWorkflowID(id)
		require.False(t, ok, id)
	}
}
