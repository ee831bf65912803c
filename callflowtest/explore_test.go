package callflowtest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"

	"redial/call"
	"redial/callflowtest"
	"redial/workflows"
)

// rash calls up to eight times, every two hours, and once within half a minute: when these were the last ends.
func rash(ends ...func(call.Attempt) bool) workflows.Definition {
	return workflows.Define("Rash", func(ctx workflow.Context, f *workflows.Flow, _ workflows.None) error {
		for range 8 {
			attempt, err := f.Call(ctx)
			if err != nil {
				return err
			}
			if f.Result(attempt).Kind == call.Confirmed {
				return nil
			}
			wait := 2 * time.Hour
			if last := f.Attempts(); len(last) >= len(ends) && all(last[len(last)-len(ends):], ends) {
				wait = 30 * time.Second
			}
			if err := f.Hold(ctx, workflow.Now(ctx).Add(wait), "later"); err != nil {
				return err
			}
		}
		return nil
	})
}

func all(attempts []call.Attempt, are []func(call.Attempt) bool) bool {
	for i, is := range are {
		if !is(attempts[i]) {
			return false
		}
	}
	return true
}

func ended(as ...call.Disposition) func(call.Attempt) bool {
	return func(a call.Attempt) bool {
		for _, d := range as {
			if a.Disposition == d {
				return true
			}
		}
		return false
	}
}

var (
	answered = ended(call.Human, call.Machine, call.Answered, call.Silent, call.Undecided, call.AMDFailed)
	long     = func(a call.Attempt) bool { return a.DurationS > 240 }
	missed   = ended(call.NoAnswer, call.Declined, call.Unreachable, call.Failed, call.Blocked)
)

// explore is what Explore says of a flow that calls Anna.
func explore(t *testing.T, flow workflows.Definition, s callflowtest.Search, promises ...callflowtest.Promise) string {
	s.To = anna
	return told(t, func(tb testing.TB) { callflowtest.Explore(tb, flow, s, promises...) })
}

func TestExploreFindsTheShortestScriptThatBreaksAPromise(t *testing.T) {
	said := explore(t, rash(ended(call.Busy), ended(call.Busy)), callflowtest.Search{}, callflowtest.AtMost(1, time.Minute))
	require.Contains(t, said, "2 dials within 31s: at most 1 are allowed in 1m0s\n")
	require.Contains(t, said, `
	kit.On("+14155550100").Busy().Then().Busy().Then().Human(40*time.Second).Result(call.Confirmed)
`)
	require.Equal(t, strings.TrimPrefix(`
redial/-/anna · from Mon 2 Mar 2026 10:00:00 UTC
  Mon  2 Mar  10:00:00      +00:00:00   #1  dial       +14155550100
              10:00:01      +00:00:01   #1  end        busy, 486 Busy Here
              10:00:01      +00:00:01       held       flow until 12:00:01  (Rash: later)
              12:00:01      +02:00:01   #2  dial       +14155550100
              12:00:02      +02:00:02   #2  end        busy, 486 Busy Here
              12:00:02      +02:00:02       held       flow until 12:00:32  (Rash: later)
              12:00:32      +02:00:32   #3  dial       +14155550100
              12:00:40      +02:00:40   #3  answered
              12:00:42      +02:00:42   #3  verdict    amd_human_detected
              12:01:19      +02:01:19   #3  result     confirmed
              12:01:20      +02:01:20   #3  end        human, after 40s, the callee hung up
              12:01:20      +02:01:20       outcome    human
`, "\n"), said[strings.Index(said, "redial/-/anna"):])
}

func TestWhatExploreFindsBreaksThePromiseWhenItIsRun(t *testing.T) {
	kit := callflowtest.New(t, rash(ended(call.Busy), ended(call.Busy)))
	kit.On("+14155550100").Busy().Then().Busy().Then().Human(40 * time.Second).Result(call.Confirmed)
	require.Error(t, callflowtest.AtMost(1, time.Minute)(kit.Call(anna, nil)))
}

// few are dispositions enough to make a choice.
var few = []call.Disposition{call.Human, call.Machine, call.Busy, call.NoAnswer, call.Declined}

func TestExploreFindsWhatTakesLongerSequencesOrOddTimesAndMakesItShort(t *testing.T) {
	for steps, flow := range map[int]workflows.Definition{2: rash(long), 4: rash(answered, missed, answered)} {
		said := explore(t, flow, callflowtest.Search{Runs: 300, Dispositions: few}, callflowtest.AtMost(1, time.Hour))
		require.Contains(t, said, "at most 1 are allowed in 1h0m0s")
		require.Equal(t, steps-1, strings.Count(said, ".Then()"), said)
		require.NotContains(t, said, "Ring(")
	}
}

func TestExploreFindsFaultsThatAFlowDoesNotStand(t *testing.T) {
	// It takes for granted that an end is heard.
	trusting := workflows.Define("Trusting", func(ctx workflow.Context, f *workflows.Flow, _ workflows.None) error {
		attempt, err := f.Call(ctx)
		if err == nil && attempt.Status == "" && attempt.State != call.StateNotPlaced {
			return fmt.Errorf("what is a %s?", attempt.Disposition)
		}
		return err
	})
	require.Contains(t, explore(t, trusting, callflowtest.Search{}, callflowtest.Ended()), "\tkit.On(\"+14155550100\").Unknown()\n")
	without := callflowtest.Search{Dispositions: []call.Disposition{call.Busy, call.Human}}
	require.Contains(t, explore(t, trusting, without, callflowtest.Ended()), "\tkit.On(\"+14155550100\").Busy().Lost()\n")
}

func TestExploreFindsAFlowThatNeverEnds(t *testing.T) {
	stubborn := workflows.Define("Stubborn", func(ctx workflow.Context, f *workflows.Flow, _ workflows.None) error {
		attempt, err := f.Call(ctx)
		for err == nil && attempt.Disposition == call.Busy {
			err = f.Hold(ctx, workflow.Now(ctx).Add(time.Hour), "engaged")
		}
		return err
	})
	said := explore(t, stubborn, callflowtest.Search{Dispositions: few}, callflowtest.Ended())
	require.Contains(t, said, "the flow had not ended after 1000 dials and waits")
	require.Contains(t, said, "\tkit.On(\"+14155550100\").Busy()\n")
	require.Contains(t, said, "lines are left out")
}

func TestExploreTriesTheSameForASeed(t *testing.T) {
	look := func(seed uint64) string {
		return explore(t, rash(long), callflowtest.Search{Seed: seed, Runs: 200, Dispositions: few}, callflowtest.AtMost(1, time.Hour))
	}
	once := look(1)
	require.NotEmpty(t, once)
	require.Equal(t, once, look(1))
}

func TestExploreScriptsEveryNumberThatIsCalled(t *testing.T) {
	turns := workflows.Define("Turns", func(ctx workflow.Context, f *workflows.Flow, _ workflows.None) error {
		reached, err := f.CallAny(ctx, workflows.InTurn, []call.Target{callflowtest.Target(anna), callflowtest.Target(bert)}, workflows.Human)
		if _, found := reached.First(); err == nil && !found {
			return f.Escalate(ctx, "nobody")
		}
		return err
	})
	said := told(t, func(tb testing.TB) {
		callflowtest.Explore(tb, turns, callflowtest.Search{}, func(r *callflowtest.Run) error {
			if len(r.Escalations()) > 0 {
				return fmt.Errorf("people were told")
			}
			return nil
		})
	})
	require.Contains(t, said, "people were told")
	require.Contains(t, said, "\tkit.On(\"+14155550100\").Machine(callflowtest.Greeting)\n\tkit.On(\"+14155550101\").Machine(callflowtest.Greeting)\n")
}

func TestTheStandardFlowKeepsItsPromisesWhateverHappens(t *testing.T) {
	for name, prepare := range map[string]func(*callflowtest.Kit){
		"alone":          nil,
		"renewed":        func(k *callflowtest.Kit) { k.Renew() },
		"with one line":  func(k *callflowtest.Kit) { k.Lines(1).Rate(1, time.Minute).OtherCall(bert, 0, 10*time.Minute) },
		"and is stopped": func(k *callflowtest.Kit) { k.CancelAfter(21 * time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			callflowtest.Explore(t, workflows.Standard, callflowtest.Search{To: anna, Prepare: prepare, Runs: 120},
				callflowtest.Ended(), callflowtest.OneInFlightPerNumber(), callflowtest.AtMost(1, 30*time.Second), callflowtest.AtMost(8, 24*time.Hour))
		})
	}
}

func TestExploreKeepsToItsBudget(t *testing.T) {
	for _, runs := range []int{1, 10, 120} {
		tried := 0
		callflowtest.Explore(t, workflows.Standard, callflowtest.Search{To: anna, Runs: runs, Prepare: func(*callflowtest.Kit) { tried++ }}, callflowtest.Ended())
		require.LessOrEqual(t, tried, runs+1)
		require.GreaterOrEqual(t, tried, runs)
	}
}

func TestAPromiseMayAskTheTestItself(t *testing.T) {
	failing := workflows.Define("Failing", func(ctx workflow.Context, f *workflows.Flow, _ workflows.None) error {
		if attempt, err := f.Call(ctx); err != nil || attempt.Disposition != call.Busy {
			return err
		}
		return fmt.Errorf("engaged")
	})
	said := explore(t, failing, callflowtest.Search{}, func(r *callflowtest.Run) error {
		r.Result() // ends the test where there is none
		r.AtMost(1, time.Hour)
		return nil
	})
	require.Contains(t, said, "the flow has no result")
	require.Contains(t, said, "\tkit.On(\"+14155550100\").Busy()\n")
}
