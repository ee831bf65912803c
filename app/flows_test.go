package app

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/workflow"

	"redial/call"
	"redial/followup"
	"redial/simulator"
	"redial/starter"
	"redial/workflows"
)

// flow starts a run of a flow of the test's own.
func (w *world) flow(d workflows.Definition, id string, to call.Target) starter.Call {
	w.t.Helper()
	c, err := w.starter.Call(w.t.Context(), d.Name(), workflows.Input{ContactID: id, To: to, Policy: quick()})
	require.NoError(w.t, err)
	return c
}

func (w *world) script(number, script string) call.Target {
	w.t.Helper()
	require.NoError(w.t, w.simulator.Script(number, script))
	return call.Target{URI: "tel:" + number}
}

// define is a flow of a test that has no input.
func define(name string, flow func(workflow.Context, *workflows.Flow) error) workflows.Definition {
	return workflows.Define(name, func(ctx workflow.Context, f *workflows.Flow, _ workflows.None) error { return flow(ctx, f) })
}

// requireEvents requires that a run has so many events, where each of so many pieces of news is told by itself. On a slow machine the next may
// come before the one before it was told, which spares its signal and the workflow task of that, or before that task has begun, which spares
// the task.
func requireEvents(t *testing.T, events []*historypb.HistoryEvent, n, news int) {
	t.Helper()
	signals, scheduled := 0, false
	for _, e := range events {
		switch e.GetEventType() {
		case enumspb.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED:
			scheduled = true
		case enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED:
			scheduled = false
		case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED, enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
			if scheduled {
				n -= 3
			}
		}
		if e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED {
			signals++
		}
	}
	require.LessOrEqual(t, signals, news)
	n -= 4 * (news - signals)
	require.Equal(t, n, len(events), strings.Join(kinds(events), "\n"))
}

func TestAFlowOfOnesOwnHasAsManyEventsAsTheStandardOneAndFourForEachReactionInMidCall(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		short := define("Short", func(ctx workflow.Context, f *workflows.Flow) error {
			_, err := f.Call(ctx)
			return err
		})
		noting := func(what string) workflows.Reaction {
			return func(ctx workflow.Context, a call.Attempt) error {
				if a.Disposition != "" {
					return errors.New("the call is over")
				}
				return nil
			}
		}
		midCall := define("MidCall", func(ctx workflow.Context, f *workflows.Flow) error {
			attempt, err := f.Call(ctx, workflows.OnAnswered(noting("answered")), workflows.OnVerdict(noting("verdict")))
			if err != nil {
				return err
			}
			return f.Finish(ctx, call.Outcome(attempt.Disposition), "spoken to")
		})
		w := at.newWorld(t, worldOptions{flows: []workflows.Definition{short, midCall}, simulator: simulator.Config{Dialect: simulator.Gen2}})
		plain := w.flow(short, "plain", w.script("+12025550101", "human+ring=20s+talk=60s"))
		require.Equal(t, call.Outcome(call.Human), w.result(plain).Outcome)
		requireEvents(t, w.history(plain), 19, 1)

		reacting := w.flow(midCall, "reacting", w.script("+12025550102", "human+ring=20s+talk=60s"))
		require.Equal(t, "spoken to", w.result(reacting).Reason)
		requireEvents(t, w.history(reacting), 19+2*4, 1+2)
	})
}

func TestCallingSeveralAtOnceHearsOutEveryoneWhoAnswers(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		var targets []call.Target
		anybody := define("Anybody", func(ctx workflow.Context, f *workflows.Flow) error {
			reached, err := f.CallAny(ctx, workflows.AtOnce, targets, workflows.Human)
			if err != nil {
				return err
			}
			first, ok := reached.First()
			if !ok || len(reached.Attempts) != 3 {
				return errors.New("nobody was reached")
			}
			return f.Finish(ctx, call.Outcome(first.Disposition), "reached")
		})
		w := at.newWorld(t, worldOptions{flows: []workflows.Definition{anybody}})
		targets = []call.Target{w.script("+12025550101", "busy+ring=5s"), w.script("+12025550102", "human+ring=5s+talk=10s"),
			w.script("+12025550103", "human+ring=5s+talk=300s")}
		r := w.result(w.flow(anybody, "anybody", call.Target{}))
		require.Equal(t, call.Outcome(call.Human), r.Outcome)
		require.Len(t, r.Attempts, 3)
		for i, as := range []call.Disposition{call.Busy, call.Human, call.Human} {
			require.Equal(t, i+1, r.Attempts[i].N)
			require.Equal(t, as, r.Attempts[i].Disposition, "what is in the air is heard out")
		}
		require.Zero(t, w.simulator.Stats().DuplicateDials)
	})
}

func TestATargetThatMustNotBeCalledLeavesTheOthersOfItsContact(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		var targets []call.Target
		inTurn := define("InTurn", func(ctx workflow.Context, f *workflows.Flow) error {
			reached, err := f.CallAny(ctx, workflows.InTurn, targets, workflows.Human)
			if err == nil && len(reached.Refused) != 1 {
				err = errors.New("the first was not refused")
			}
			return err
		})
		nobody := define("Nobody", func(ctx workflow.Context, f *workflows.Flow) error {
			_, err := f.CallAny(ctx, workflows.AtOnce, targets[:1], workflows.Human)
			return err
		})
		w := at.newWorld(t, worldOptions{flows: []workflows.Definition{inTurn, nobody}, account: map[string]string{"REDIAL_ALLOW_TO": "+1202555"}})
		targets = []call.Target{w.script("+14155550101", "human"), w.script("+12025550102", "busy"), w.script("+12025550103", "human"), w.script("+12025550104", "human")}
		r := w.result(w.flow(inTurn, "in-turn", call.Target{}))
		require.Equal(t, call.Outcome(call.Human), r.Outcome)
		require.Len(t, r.Attempts, 2)
		require.Zero(t, w.placed("+14155550101"))
		require.Zero(t, w.placed("+12025550104"), "one was enough")

		r = w.result(w.flow(nobody, "nobody", call.Target{}))
		require.Equal(t, call.OutcomeSuppressed, r.Outcome)
		shown, err := w.ledger.Show(t.Context(), r.WorkflowID)
		require.NoError(t, err)
		require.Equal(t, call.OutcomeSuppressed, shown.Outcome)
		require.Zero(t, w.placed("+14155550101"))
	})
}

func TestAFlowThatWaitsBeforeItsFirstCallIsKnownAndSaysWhy(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		later := define("Later", func(ctx workflow.Context, f *workflows.Flow) error {
			f.Note(ctx, "nobody is there before nine")
			return f.Hold(ctx, workflow.Now(ctx).Add(time.Hour), "the office opens at nine")
		})
		w := at.newWorld(t, worldOptions{flows: []workflows.Definition{later}})
		c := w.flow(later, "later", w.script("+12025550101", "human"))
		w.t.Helper()
		require.Eventually(t, func() bool {
			shown, err := w.ledger.Show(t.Context(), c.WorkflowID)
			return err == nil && shown.Wait != nil && shown.Wait.Reason == followup.ReasonFlow && shown.Wait.Rule == "Later: the office opens at nine" &&
				len(shown.Decisions) == 2 && shown.Decisions[1].Reason == "nobody is there before nine"
		}, 30*time.Second, 20*time.Millisecond)
		require.NoError(t, w.client.CancelWorkflow(t.Context(), c.WorkflowID, ""))
		require.Equal(t, call.OutcomeCanceled, w.result(c).Outcome)
	})
}

func TestAFlowThatFailsIsEscalatedAndSeenAsFailed(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		broken := define("Broken", func(ctx workflow.Context, f *workflows.Flow) error {
			if _, err := f.Call(ctx); err != nil {
				return err
			}
			return errors.New("the crystal ball is away")
		})
		w := at.newWorld(t, worldOptions{flows: []workflows.Definition{broken}})
		c := w.flow(broken, "broken", w.script("+12025550101", "busy"))
		_, err := w.starter.Result(t.Context(), c)
		require.ErrorContains(t, err, "the crystal ball is away")
		shown, err := w.ledger.Show(t.Context(), c.WorkflowID)
		require.NoError(t, err)
		require.Equal(t, call.OutcomeEscalated, shown.Outcome)
		require.Contains(t, shown.Reason, "the crystal ball is away")
	})
}
