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

// asking is a policy that goes by what the bot says of a conversation.
func asking(t *testing.T) func(*workflows.Input) {
	p, err := followup.Parse([]byte("{jitter: 0, on: {human: {wait_result: 10m, declined: escalate, unfinished: {retry: [4h], then: stop}, none: stop}}}"))
	require.NoError(t, err)
	return func(in *workflows.Input) { in.Policy = p.WithDefaults() }
}

func TestTheBotsResultDecidesWhatFollowsAConversation(t *testing.T) {
	for name, c := range map[string]struct {
		said    func(*callflowtest.Step) *callflowtest.Step
		outcome call.Outcome
		dials   int
	}{
		"confirmed":                {func(s *callflowtest.Step) *callflowtest.Step { return s.Result(call.Confirmed) }, "human", 1},
		"confirmed behind the end": {func(s *callflowtest.Step) *callflowtest.Step { return s.Result(call.Confirmed).After(5 * time.Minute) }, "human", 1},
		"declined":                 {func(s *callflowtest.Step) *callflowtest.Step { return s.Result(call.Refused) }, call.OutcomeEscalated, 1},
		"opted out":                {func(s *callflowtest.Step) *callflowtest.Step { return s.Result(call.OptedOut) }, call.OutcomeOptedOut, 1},
		"unfinished":               {func(s *callflowtest.Step) *callflowtest.Step { return s.Result(call.Unfinished) }, "human", 2},
		"said too late":            {func(s *callflowtest.Step) *callflowtest.Step { return s.Result(call.Refused).After(11 * time.Minute) }, "human", 1},
		"nothing said":             {func(s *callflowtest.Step) *callflowtest.Step { return s }, "human", 1},
	} {
		t.Run(name, func(t *testing.T) {
			kit := callflowtest.New(t, workflows.Standard).At(monday)
			c.said(kit.On(anna).Human(30 * time.Second))
			run := kit.Call(anna, nil, asking(t)).Outcome(c.outcome).Ended()
			require.Len(t, run.Dials(), c.dials, run.Timeline())
			if c.dials == 2 {
				require.WithinDuration(t, run.Dials()[0].Over.Add(4*time.Hour), run.Dials()[1].At, 5*time.Second)
			}
		})
	}
}

func TestWhoOptsOutByTheBotsWordIsDoneWithWhateverThePolicyAsks(t *testing.T) {
	kit := callflowtest.New(t, workflows.Standard).At(monday)
	kit.On(anna).Human(30 * time.Second).Result(call.OptedOut)
	kit.Call(anna, nil, steady).Outcome(call.OutcomeOptedOut)
	kit.Call(anna, nil, steady, func(in *workflows.Input) { in.ContactID = "bert" }).Outcome(call.OutcomeSuppressed)
}

func TestAPromisedCallbackIsKeptAtItsTimeAndTriedAgainAtItsHourWhenMissed(t *testing.T) {
	at := monday.Add(26 * time.Hour)
	kit := callflowtest.New(t, workflows.Standard).At(monday)
	kit.On(anna).Human(30 * time.Second).Callback(at).Then().NoAnswer().Then().Busy().Then().Human(time.Minute).Result(call.Confirmed)
	run := kit.Call(anna, nil, asking(t)).Outcome("human").DialedAt(monday, at, at.Add(24*time.Hour), at.Add(48*time.Hour))
	require.Equal(t, call.NoAnswer, run.Result().Attempts[1].Disposition)
}

func TestACallbackThatIsMissedTwiceFollowsTheRulesOfWhatBecameOfIt(t *testing.T) {
	at := monday.Add(26 * time.Hour)
	kit := callflowtest.New(t, workflows.Standard).At(monday)
	kit.On(anna).Human(30 * time.Second).Callback(at).Then().NoAnswer()
	run := kit.Call(anna, nil, asking(t)).EscalatedWith("no_answer")
	dials := run.Dials()
	require.True(t, dials[3].At.Equal(at.Add(48*time.Hour)), run.Timeline())
	require.False(t, dials[4].At.Equal(at.Add(72*time.Hour)), run.Timeline())
}

func TestACallbackAtNightIsMovedIntoTheWindow(t *testing.T) {
	night := time.Date(2026, 3, 3, 2, 0, 0, 0, time.UTC)
	kit := callflowtest.New(t, workflows.Standard).At(monday)
	kit.On("+442071234567").Human(30 * time.Second).Callback(night).Then().Human(time.Minute).Result(call.Confirmed)
	run := kit.Call("+442071234567", nil, asking(t), func(in *workflows.Input) {
		in.Policy.Window = followup.Window{Days: map[string][]followup.Hours{"mon-sun": {{From: 9 * 60, To: 20 * 60}}}}
	})
	run.Outcome("human").NeverDialedOutside("09:00-20:00", time.UTC)
}
