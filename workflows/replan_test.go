package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/callflowtest"
	"redial/followup"
	"redial/workflows"
)

// written is a policy as it stands in a file.
func written(t *testing.T, text string) followup.Policy {
	t.Helper()
	p, err := followup.Parse([]byte("name: reminder\njitter: 0\n" + text))
	require.NoError(t, err)
	return p
}

// follows lets a run follow the policy that the ledger keeps as reminder.
func follows(in *workflows.Input) { in.Follows = "reminder" }

func further(number string) func(*workflows.Input) {
	return func(in *workflows.Input) { in.Further = []call.Target{{URI: "tel:" + number}} }
}

// change is another policy for a run, in the two ways in which it may come: to the run alone, and to all that follow it.
var change = map[string]func(*callflowtest.Kit, time.Duration, followup.Policy) func(*workflows.Input){
	"of the run": func(kit *callflowtest.Kit, at time.Duration, p followup.Policy) func(*workflows.Input) {
		kit.SteerAfter(at, workflows.UpdateChangePolicy, workflows.Steering{Policy: &p, Reason: "too many complaints"})
		return func(*workflows.Input) {}
	},
	"that the run follows": func(kit *callflowtest.Kit, at time.Duration, p followup.Policy) func(*workflows.Input) {
		kit.After(at, func() { kit.PutPolicy(p) })
		return follows
	},
}

func eachChange(t *testing.T, test func(*testing.T, func(*callflowtest.Kit, time.Duration, followup.Policy) func(*workflows.Input))) {
	for name, way := range change {
		t.Run("the policy "+name, func(t *testing.T) { test(t, way) })
	}
}

func TestASleeperGoesByAPolicyThatHasChangedAsIfItHadBeenDecidedByIt(t *testing.T) {
	eachChange(t, func(t *testing.T, comes func(*callflowtest.Kit, time.Duration, followup.Policy) func(*workflows.Input)) {
		t.Run("sooner", func(t *testing.T) {
			kit := asleep(t)
			with := comes(kit, 5*time.Minute, written(t, "on: {busy: {retry: [10m]}}"))
			run := kit.Call(anna, nil, steady, with).Outcome("human").DialedAt(monday, monday.Add(10*time.Minute+time.Second))
			require.Equal(t, "reminder: on.busy.retry[0]: 10m", run.Decisions()[len(run.Decisions())-3].Rule, run.Timeline())
		})
		t.Run("later", func(t *testing.T) {
			kit := asleep(t)
			with := comes(kit, 5*time.Minute, written(t, "on: {busy: {retry: [3h]}}"))
			kit.Call(anna, nil, steady, with).Outcome("human").DialedAt(monday, monday.Add(3*time.Hour+time.Second))
		})
		t.Run("at once, because it would have been called before now", func(t *testing.T) {
			kit := asleep(t)
			with := comes(kit, 5*time.Minute, written(t, "on: {busy: {retry: [1m]}}"))
			kit.Call(anna, nil, steady, with).Outcome("human").DialedAt(monday, monday.Add(5*time.Minute))
		})
		t.Run("never again", func(t *testing.T) {
			kit := asleep(t)
			with := comes(kit, 5*time.Minute, written(t, "on: {busy: stop}"))
			lasts(t, kit.Call(anna, nil, steady, with).Outcome(call.Outcome(call.Busy)).DialedAt(monday))
		})
		t.Run("to people", func(t *testing.T) {
			kit := asleep(t)
			with := comes(kit, 5*time.Minute, written(t, "on: {busy: escalate}"))
			run := kit.Call(anna, nil, steady, with).Outcome(call.OutcomeEscalated).DialedAt(monday)
			lasts(t, run)
			require.Len(t, run.Escalations(), 1)
		})
		t.Run("at another number", func(t *testing.T) {
			kit := asleep(t)
			kit.On(bertsNumber).Human(time.Minute)
			with := comes(kit, 5*time.Minute, written(t, "on: {busy: next_number}"))
			kit.Call(anna, nil, steady, further(bertsNumber), with).Outcome("human").Dialed(anna, bertsNumber)
		})
		t.Run("back at the number before", func(t *testing.T) {
			kit := asleep(t)
			kit.On(bertsNumber).Human(time.Minute)
			before := written(t, "on: {busy: next_number}\nlimits: [{calls: 1, per: 30m, by: contact}]")
			with := comes(kit, 5*time.Minute, written(t, "on: {busy: {retry: [1h]}}"))
			kit.Call(anna, nil, further(bertsNumber), func(in *workflows.Input) { in.Policy = before.WithDefaults() }, with).Outcome("human").
				Dialed(anna, anna).Gaps(time.Hour + time.Second)
		})
	})
}

func TestAPolicyThatChangesWhileARunIsPausedHoldsOnceItIsResumed(t *testing.T) {
	eachChange(t, func(t *testing.T, comes func(*callflowtest.Kit, time.Duration, followup.Policy) func(*workflows.Input)) {
		kit := asleep(t)
		kit.SteerAfter(time.Minute, workflows.UpdatePause, workflows.Steering{})
		with := comes(kit, 5*time.Minute, written(t, "on: {busy: {retry: [5h]}}"))
		var status workflows.Status
		kit.After(time.Hour, func() { status = kit.Status() })
		kit.SteerAfter(2*time.Hour, workflows.UpdateResume, workflows.Steering{})
		kit.Call(anna, nil, steady, with).Outcome("human").DialedAt(monday, monday.Add(5*time.Hour+time.Second))
		require.Equal(t, followup.ReasonPaused, status.Wait.Reason)
	})
}

func TestWhatAnOperatorHasChosenStandsWhenThePolicyChanges(t *testing.T) {
	eachChange(t, func(t *testing.T, comes func(*callflowtest.Kit, time.Duration, followup.Policy) func(*workflows.Input)) {
		kit := asleep(t)
		kit.SteerAfter(time.Minute, workflows.UpdateReschedule, workflows.Steering{At: monday.Add(2 * time.Hour)})
		with := comes(kit, 5*time.Minute, written(t, "on: {busy: stop}"))
		kit.Call(anna, nil, steady, with).Outcome("human").DialedAt(monday, monday.Add(2*time.Hour))
	})
}

func TestAPolicyThatTightensBindsAtTheNextDial(t *testing.T) {
	eachChange(t, func(t *testing.T, comes func(*callflowtest.Kit, time.Duration, followup.Policy) func(*workflows.Input)) {
		t.Run("of a run that sleeps", func(t *testing.T) {
			kit := asleep(t)
			with := comes(kit, 5*time.Minute, written(t, "limits: [{calls: 1, per: 6h}]"))
			kit.Call(anna, nil, steady, with).Outcome("human").AtMost(1, 6*time.Hour-time.Second)
		})
		t.Run("of a run that waits by its flow's own choice, and was not dialed yet", func(t *testing.T) {
			kit := callflowtest.New(t, nextDay).At(monday)
			kit.On(anna).Human(time.Minute)
			with := comes(kit, 5*time.Minute, written(t, `window: {timezone: UTC, days: {mon-sun: ["15:00-20:00"]}}`))
			kit.Call(anna, nil, steady, with).Outcome("human").NeverDialedOutside("15:00-20:00", time.UTC)
		})
		t.Run("of a run that is in a call", func(t *testing.T) {
			kit := callflowtest.New(t, workflows.Standard).At(monday)
			kit.On(anna).Machine(callflowtest.Beep).Talk(6 * time.Minute).Then().Human(time.Minute)
			with := comes(kit, 5*time.Minute, written(t, "on: {machine: {retry: [1h]}}"))
			run := kit.Call(anna, nil, steady, with).Outcome("human")
			require.InDelta(t, time.Hour+6*time.Minute, run.Dials()[1].At.Sub(monday), float64(time.Minute))
		})
	})
}

func TestARunThatWasContinuedGoesByThePolicyThatItWasGiven(t *testing.T) {
	eachChange(t, func(t *testing.T, comes func(*callflowtest.Kit, time.Duration, followup.Policy) func(*workflows.Input)) {
		kit := callflowtest.New(t, workflows.Standard).At(monday).Renew()
		kit.On(anna).Busy().Then().Busy().Then().Busy().Then().Human(time.Minute)
		with := comes(kit, 5*time.Minute, written(t, "on: {busy: {retry: [10m, 1h, 2h]}}"))
		run := kit.Call(anna, nil, steady, with).Outcome("human")
		require.NotZero(t, run.Renewals())
		run.Gaps(10*time.Minute+time.Second, time.Hour+time.Second, 2*time.Hour+time.Second) // a busy call takes a second
	})
}

func TestAPolicyThatCannotHoldIsRefusedAndChangesNothing(t *testing.T) {
	kit := asleep(t)
	bad := written(t, "on: {busy: stop}")
	bad.Attempts = 1000
	needsConsent := written(t, "window: {presets: [us-federal]}")
	refused := map[string]*callflowtest.Steered{
		"attempts: 1000 is out of range": kit.SteerAfter(time.Minute, workflows.UpdateChangePolicy, workflows.Steering{Policy: &bad}),
		"consent: it is missing":         kit.SteerAfter(2*time.Minute, workflows.UpdateChangePolicy, workflows.Steering{Policy: &needsConsent}),
		"give either a policy":           kit.SteerAfter(3*time.Minute, workflows.UpdateChangePolicy, workflows.Steering{}),
		"the ledger has no policy":       kit.SteerAfter(4*time.Minute, workflows.UpdateChangePolicy, workflows.Steering{Follows: "spring"}),
	}
	kit.Call(anna, nil, steady).Outcome("human").DialedAt(monday, monday.Add(20*time.Minute+time.Second))
	for why, steered := range refused {
		require.ErrorContains(t, steered.Err(), why)
	}
}
