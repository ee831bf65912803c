package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"

	"redial/activities"
	"redial/call"
	"redial/followup"
	"redial/workflows"
)

// stage is a test environment in which each attempt goes as its act says, and the policy decides for real.
type stage struct {
	*testsuite.TestWorkflowEnvironment
	t        *testing.T
	in       workflows.Input
	acts     []act
	dialed   []time.Time // when each attempt was dialed
	dials    int         // executions of Dialout
	gaveUp   int
	escalate []activities.EscalateInput
	finished []activities.FinishInput
	attempts []call.Attempt
	opened   time.Time
}

// act is what becomes of one execution of Dialout.
type act struct {
	held        *followup.Hold    // held instead of dialed
	refused     *followup.Refusal // refused instead of dialed
	end         call.Disposition  // how the call ends; empty: nothing is heard
	after       time.Duration     // how long after the dial its end is heard
	beforeReply bool              // the end is heard before the dial's answer
	known       bool              // Dialout returns the attempt as ended already
	late        time.Duration     // when an end is heard that comes after the watchdog
	lateEnd     call.Disposition
}

func newStage(t *testing.T, acts ...act) *stage {
	var suite testsuite.WorkflowTestSuite
	s := &stage{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), t: t, acts: acts}
	s.SetStartTime(time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC))
	s.opened = s.Now().UTC()
	s.in = workflows.Input{ContactID: "anna", To: call.Target{URI: "tel:+14155550100"}, Policy: followup.Policy{Name: "test", Jitter: new(int)}.WithDefaults()}
	for name, fn := range map[string]any{activities.NameDialout: s.dialout, activities.NameConclude: s.conclude, activities.NameGiveUp: s.giveUp,
		activities.NameEscalate: s.tell, activities.NameFinish: s.finish, activities.NameHold: func(context.Context, activities.HoldInput) error { return nil }} {
		s.RegisterActivityWithOptions(fn, activity.RegisterOptions{Name: name})
	}
	return s
}

func (s *stage) play() call.Result {
	s.t.Helper()
	s.ExecuteWorkflow(workflows.Standard.Workflow(), s.in)
	require.True(s.t, s.IsWorkflowCompleted(), "the flow never ends")
	require.NoError(s.t, s.GetWorkflowError())
	var r call.Result
	require.NoError(s.t, s.GetWorkflowResult(&r))
	return r
}

func (s *stage) dialout(_ context.Context, in activities.DialoutInput) (activities.DialoutResult, error) {
	require.Less(s.t, s.dials, len(s.acts), "an unexpected dial")
	a := s.acts[s.dials]
	s.dials++
	switch {
	case a.held != nil:
		return activities.DialoutResult{Held: a.held}, nil
	case a.refused != nil:
		return activities.DialoutResult{Refused: a.refused}, nil
	}
	s.dialed = append(s.dialed, s.Now())
	attempt := call.Attempt{N: in.N, Key: fmt.Sprintf("key/%d", in.N), State: call.StatePlaced, Seq: 2, DialedAt: s.Now(),
		HearUntil: s.Now().Add(in.Dial.HearFor())}
	ended := attempt
	ended.State, ended.Disposition, ended.Seq, ended.SettledAt = call.StateEnded, a.end, 3, s.Now().Add(a.after)
	s.attempts = append(s.attempts, attempt)
	switch {
	case a.known:
		s.attempts[in.N-1] = ended
		return activities.DialoutResult{Attempt: &ended}, nil
	case a.end != "" && a.beforeReply:
		s.report(ended, 0)
	case a.end != "":
		s.report(ended, a.after)
	case a.lateEnd != "":
		ended.Disposition, ended.Seq = a.lateEnd, 5
		s.report(ended, a.late)
	}
	return activities.DialoutResult{Attempt: &attempt}, nil
}

// report delivers what the relay would.
func (s *stage) report(a call.Attempt, after time.Duration) {
	s.RegisterDelayedCallback(func() {
		s.attempts[a.N-1] = a
		s.SignalWorkflow(workflows.SignalAttempt, a)
	}, after)
}

func (s *stage) conclude(_ context.Context, in activities.ConcludeInput) (followup.Decision, error) {
	for i, a := range s.attempts {
		if a.Key == in.Key {
			return in.Policy.Decide(followup.Contact{OpenedAt: s.opened, Attempts: s.attempts[:i+1]}, s.Now()), nil
		}
	}
	return followup.Decision{}, errors.New("no such attempt")
}

func (s *stage) giveUp(_ context.Context, key string) (call.Attempt, error) {
	s.gaveUp++
	for i := range s.attempts {
		if s.attempts[i].Key == key {
			s.attempts[i].Close(s.Now(), "nothing was heard")
			return s.attempts[i], nil
		}
	}
	return call.Attempt{}, errors.New("no such attempt")
}

func (s *stage) tell(_ context.Context, in activities.EscalateInput) error {
	s.escalate = append(s.escalate, in)
	return nil
}

func (s *stage) finish(_ context.Context, in activities.FinishInput) (call.Outcome, error) {
	s.finished = append(s.finished, in)
	return in.Outcome, nil
}

// gaps are the waits between one dial and the next.
func (s *stage) gaps() []time.Duration {
	var gaps []time.Duration
	for i := 1; i < len(s.dialed); i++ {
		gaps = append(gaps, s.dialed[i].Sub(s.dialed[i-1]))
	}
	return gaps
}

const ring = 20 * time.Second

func TestAPersonReachedEndsTheContact(t *testing.T) {
	s := newStage(t, act{end: call.Human, after: ring})
	r := s.play()
	require.Equal(t, call.Outcome(call.Human), r.Outcome)
	require.Empty(t, r.Reason)
	require.Len(t, r.Attempts, 1)
	require.Empty(t, s.escalate)
}

func TestTheRetryListOfADispositionIsKeptInVirtualTimeAndThenEscalates(t *testing.T) {
	m := act{end: call.Machine, after: ring}
	s := newStage(t, m, m, m, m)
	started := time.Now()
	r := s.play()
	require.Less(t, time.Since(started), 5*time.Second, "days pass in no time")
	require.Equal(t, call.OutcomeEscalated, r.Outcome)
	require.True(t, r.Escalated)
	require.Equal(t, []time.Duration{4*time.Hour + ring, 27*time.Hour + ring, 31*time.Hour + ring}, s.gaps())
	require.Len(t, s.escalate, 1)
	require.Len(t, s.escalate[0].Contact.Attempts, 4)
	require.Equal(t, "machine 4 times, no retry left", s.escalate[0].Contact.Reason)
}

func TestAnEndHeardBeforeTheDialsAnswerIsNotLost(t *testing.T) {
	s := newStage(t, act{end: call.Busy, beforeReply: true}, act{end: call.Human, after: ring})
	r := s.play()
	require.Equal(t, call.Outcome(call.Human), r.Outcome)
	require.Equal(t, call.Busy, r.Attempts[0].Disposition)
	require.Zero(t, s.gaveUp)
}

func TestAnAttemptThatHadEndedWhenItWasAskedForIsNotListenedFor(t *testing.T) {
	s := newStage(t, act{end: call.Busy, known: true}, act{end: call.Human, known: true})
	r := s.play()
	require.Equal(t, call.Outcome(call.Human), r.Outcome)
	require.Zero(t, s.gaveUp)
}

func TestACallWhoseEndIsNeverHeardIsGivenUpAtTheWatchdogAndNotBefore(t *testing.T) {
	s := newStage(t, act{}, act{end: call.Human, after: ring})
	r := s.play()
	require.Equal(t, call.Outcome(call.Human), r.Outcome)
	require.Equal(t, call.Unknown, r.Attempts[0].Disposition)
	require.Equal(t, 1, s.gaveUp)
	require.GreaterOrEqual(t, s.gaps()[0], s.in.Policy.Dial.HearFor())
}

func TestTheLateEndOfAnUnknownAttemptReplacesItsRetry(t *testing.T) {
	s := newStage(t, act{late: 3 * time.Hour, lateEnd: call.Human})
	r := s.play()
	require.Equal(t, call.Outcome(call.Human), r.Outcome)
	require.Len(t, r.Attempts, 1)
	require.Equal(t, 1, s.dials)
}

func TestTheLateEndOfAnUnknownAttemptReplacesItsRetryAlsoWhileThatIsHeld(t *testing.T) {
	held := &followup.Hold{Reason: followup.ReasonLinesBusy, Until: time.Date(2026, 3, 4, 10, 0, 0, 0, time.UTC), Queued: true}
	s := newStage(t, act{late: 14 * time.Hour, lateEnd: call.Human}, act{held: held})
	r := s.play()
	require.Equal(t, call.Outcome(call.Human), r.Outcome)
	require.Len(t, r.Attempts, 1)
	require.Len(t, s.dialed, 1, "somebody who was reached is rung again")
}

func TestAHoldEndsAtAWakeAndLeavesNoTimer(t *testing.T) {
	s := newStage(t, act{held: s10m(), end: ""}, act{end: call.Human, after: ring})
	running := 0
	s.SetOnTimerScheduledListener(func(string, time.Duration) { running++ })
	s.SetOnTimerCanceledListener(func(string) { running-- })
	s.SetOnTimerFiredListener(func(string) { running-- })
	s.RegisterDelayedCallback(func() { s.SignalWorkflow(workflows.SignalWake, nil) }, time.Minute)
	r := s.play()
	require.Equal(t, call.Outcome(call.Human), r.Outcome)
	require.Equal(t, time.Minute, s.dialed[0].Sub(s.opened))
	require.Zero(t, running, "timers left running")
}

func TestAHoldThatNothingWakesEndsAtItsTime(t *testing.T) {
	s := newStage(t, act{held: s10m()}, act{end: call.Human, after: ring})
	s.play()
	require.Equal(t, 10*time.Minute, s.dialed[0].Sub(s.opened))
}

func s10m() *followup.Hold {
	return &followup.Hold{Reason: followup.ReasonLinesBusy, Rule: "at most 1 call", Until: time.Date(2026, 3, 2, 10, 10, 0, 0, time.UTC), Queued: true}
}

func TestARefusedContactEndsWithTheRefusalsOutcome(t *testing.T) {
	for _, outcome := range []call.Outcome{call.OutcomeDuplicateID, call.OutcomeSuppressed, call.OutcomeExpired} {
		s := newStage(t, act{refused: &followup.Refusal{Outcome: outcome, Reason: "because"}})
		r := s.play()
		require.Equal(t, outcome, r.Outcome)
		require.Equal(t, "because", r.Reason)
		require.Empty(t, r.Attempts)
	}
}

func TestACanceledWaitEndsTheContactAsCanceledAndDialsNoMore(t *testing.T) {
	s := newStage(t, act{end: call.Busy, after: ring})
	s.RegisterDelayedCallback(s.CancelWorkflow, 5*time.Minute)
	r := s.play()
	require.Equal(t, call.OutcomeCanceled, r.Outcome)
	require.Len(t, s.finished, 1)
	require.Equal(t, 1, s.dials)
}

func TestACanceledHoldEndsTheContactWithoutACall(t *testing.T) {
	s := newStage(t, act{held: s10m()})
	s.RegisterDelayedCallback(s.CancelWorkflow, time.Minute)
	r := s.play()
	require.Equal(t, call.OutcomeCanceled, r.Outcome)
	require.Empty(t, s.dialed)
}

func TestACallInTheAirIsHeardOutAfterACancelAndItsOutcomeStands(t *testing.T) {
	s := newStage(t, act{end: call.Human, after: time.Minute})
	s.RegisterDelayedCallback(s.CancelWorkflow, 10*time.Second)
	r := s.play()
	require.Equal(t, call.Outcome(call.Human), r.Outcome)
	require.Len(t, r.Attempts, 1)
}

func TestTheStatusQueryTellsWhatTheFlowWaitsFor(t *testing.T) {
	s := newStage(t, act{end: call.Busy, after: ring}, act{end: call.Human, after: ring})
	var asked workflows.Status
	s.RegisterDelayedCallback(func() {
		value, err := s.QueryWorkflow(workflows.QueryStatus)
		require.NoError(t, err)
		require.NoError(t, value.Get(&asked))
	}, 5*time.Minute)
	s.play()
	require.Equal(t, workflows.StateWaiting, asked.State)
	require.Equal(t, followup.ReasonRetry, asked.Wait.Reason)
	require.Equal(t, s.opened.Add(ring+20*time.Minute), asked.Wait.Until)
	require.Equal(t, call.Busy, asked.Attempts[0].Disposition)
}

func TestVisibilityIsToldOnceAnAttempt(t *testing.T) {
	s := newStage(t, act{end: call.Busy, after: ring}, act{end: call.Human, after: ring})
	upserts := 0
	s.OnUpsertTypedSearchAttributes(mock.Anything).Return(nil).Run(func(mock.Arguments) { upserts++ })
	s.play()
	require.Equal(t, 2, upserts)
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
