package followup_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"redial/call"
	"redial/followup"
)

var now = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)

func after(d time.Duration) followup.Delay { return followup.Delay{After: followup.Duration(d)} }

// history is a contact that was opened now, with these dispositions one after the other.
func history(ds ...call.Disposition) followup.Contact {
	c := followup.Contact{OpenedAt: now}
	for i, d := range ds {
		c.Attempts = append(c.Attempts, call.Attempt{N: i + 1, State: call.StateEnded, Disposition: d})
	}
	return c
}

func parse(t require.TestingT, text string) followup.Policy {
	p, err := followup.Parse([]byte(text))
	require.NoError(t, err)
	return p
}

// steady reads a policy whose delays are what they say.
func steady(t require.TestingT, text string) followup.Policy {
	p := parse(t, text)
	p.Jitter = new(int)
	return p
}

// The contract's table "policy and history → outcome".
func TestPolicyAndHistoryGiveTheOutcomeOfTheContract(t *testing.T) {
	for _, c := range []struct {
		name, policy string
		history      []call.Disposition
		action       followup.Action
		outcome      call.Outcome
	}{
		{"human done at attempt 2", "on: {human: done}", []call.Disposition{call.Busy, call.Human}, followup.ActionFinish, "human"},
		{"machine twice, then escalate", "on: {machine: {retry: [4h], then: escalate}}", []call.Disposition{call.Machine, call.Machine},
			followup.ActionEscalate, "escalated"},
		{"busy twice, no then", "on: {busy: {retry: [20m]}}", []call.Disposition{call.Busy, call.Busy}, followup.ActionFinish, "exhausted"},
		{"two attempts, both with retries left", "attempts: 2", []call.Disposition{call.Busy, call.Machine}, followup.ActionFinish, "exhausted"},
		{"no further number", "on: {invalid_number: next_number}", []call.Disposition{call.InvalidNumber}, followup.ActionFinish, "invalid_number"},
		{"past the lifetime", "lifetime: 1h\non: {busy: {retry: [61m]}}", []call.Disposition{call.Busy}, followup.ActionFinish, "expired"},
		{"within the lifetime", "lifetime: 1h\non: {busy: {retry: [60m]}}", []call.Disposition{call.Busy}, followup.ActionRetry, ""},
		{"stop", "on: {busy: stop}", []call.Disposition{call.Busy}, followup.ActionFinish, "busy"},
		{"then stop", "on: {busy: {retry: [1m], then: stop}}", []call.Disposition{call.Busy, call.Busy}, followup.ActionFinish, "busy"},
		{"then done", "on: {busy: {retry: [1m], then: done}}", []call.Disposition{call.Busy, call.Busy}, followup.ActionFinish, "busy"},
		{"then suppress", "on: {busy: {retry: [1m], then: suppress}}", []call.Disposition{call.Busy, call.Busy}, followup.ActionFinish, "suppressed"},
		{"then next_number", "on: {busy: {retry: [1m], then: next_number}}", []call.Disposition{call.Busy, call.Busy}, followup.ActionFinish, "exhausted"},
		{"suppress", "on: {unwanted: suppress}", []call.Disposition{call.Unwanted}, followup.ActionFinish, "suppressed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := steady(t, c.policy).Decide(history(c.history...), now)
			require.Equal(t, c.action, d.Action, "%+v", d)
			require.Equal(t, c.outcome, d.Outcome)
			require.Equal(t, c.outcome == call.OutcomeSuppressed, d.Suppress)
			require.NotEmpty(t, d.Reason)
			require.NotEmpty(t, d.Rule)
		})
	}
}

func TestARunThatWasStartedWithoutJitterKeepsNoneAndOneThatIsStartedGetsIt(t *testing.T) {
	p := parse(t, "on: {busy: {retry: [100m]}}")
	for i := range 50 {
		c := history(call.Busy)
		c.Attempts[0].Key = fmt.Sprint(i)
		require.Equal(t, now.Add(100*time.Minute), p.Decide(c, now).At)
	}
	require.Equal(t, followup.DefaultJitter, *p.WithDefaults().Jitter)
}

// Facts 1.3: a bad number and a call that was blocked on the way reached nobody.
func TestANumberThatDoesNotExistAndACallThatWasBlockedAreNoBusinessAttempts(t *testing.T) {
	for _, d := range []call.Disposition{call.InvalidNumber, call.Blocked} {
		p := steady(t, fmt.Sprintf("attempts: 2\non: {busy: {retry: [1m, 1m, 1m]}, %s: {retry: [1m, 1m, 1m]}}", d))
		require.Equal(t, followup.ActionRetry, p.Decide(history(d, d, call.Busy), now).Action, d)
		require.Equal(t, followup.ActionRetry, p.Decide(history(call.Busy, d, d), now).Action, d)
		require.Equal(t, call.OutcomeExhausted, p.Decide(history(call.Busy, d, call.Busy), now).Outcome, d)
	}
	require.False(t, call.InvalidNumber.Technical(), "it is no fault of the network all the same")
}

func TestRetryListsCountPerDispositionOverTheWholeContact(t *testing.T) {
	p := steady(t, "on: {busy: {retry: [1m, 2m, 3m]}, machine: {retry: [10m, 20m]}}")
	past := []call.Disposition{}
	for _, step := range []struct {
		heard call.Disposition
		wait  time.Duration
	}{{call.Busy, time.Minute}, {call.Machine, 10 * time.Minute}, {call.Busy, 2 * time.Minute}, {call.Machine, 20 * time.Minute}, {call.Busy, 3 * time.Minute}} {
		past = append(past, step.heard)
		d := p.Decide(history(past...), now)
		require.Equal(t, followup.ActionRetry, d.Action)
		require.Equal(t, now.Add(step.wait), d.At, "%v", past)
	}
}

func TestTechnicalDispositionsAreNoBusinessAttempts(t *testing.T) {
	for _, technical := range call.Dispositions() {
		if !technical.Technical() {
			continue
		}
		p := steady(t, fmt.Sprintf("attempts: 2\non: {busy: {retry: [1m, 1m]}, %s: {retry: [1m, 1m, 1m]}}", technical))
		require.Equal(t, followup.ActionRetry, p.Decide(history(technical, technical, call.Busy), now).Action, technical)
		require.Equal(t, followup.ActionRetry, p.Decide(history(call.Busy, technical, technical), now).Action, technical)
		require.Equal(t, call.OutcomeExhausted, p.Decide(history(call.Busy, technical, call.Busy), now).Outcome, technical)
	}
	p := steady(t, "attempts: 1\non: {unknown: {retry: [1m]}}")
	require.Equal(t, call.OutcomeExhausted, p.Decide(history(call.Unknown), now).Outcome, "a phone may have rung")
}

func TestAnAttemptThatWasRefusedForGoodIsNotRepeated(t *testing.T) {
	c := history(call.NotPlaced)
	c.Attempts[0].Permanent, c.Attempts[0].Error = true, "the gateway answered 404 Not Found"
	d := followup.Policy{}.Decide(c, now)
	require.Equal(t, followup.ActionEscalate, d.Action)
	require.Contains(t, d.Reason, "404 Not Found", "a person has to know what to mend")
	require.Equal(t, call.OutcomeExhausted, steady(t, "on: {not_placed: {retry: [1m]}}").Decide(c, now).Outcome)
}

func TestNextWindowWithoutAWindowIsHalfADay(t *testing.T) {
	require.Equal(t, now.Add(12*time.Hour), steady(t, "on: {unknown: {retry: [next_window]}}").Decide(history(call.Unknown), now).At)
}

func TestEveryDispositionHasADefaultRuleAndEveryContactEnds(t *testing.T) {
	rules := followup.DefaultRules()
	for _, d := range call.Dispositions() {
		require.Contains(t, rules, d)
	}
	require.Len(t, rules, len(call.Dispositions()))
	rapid.Check(t, func(t *rapid.T) {
		c := followup.Contact{OpenedAt: now}
		at := now
		for n := 1; ; n++ {
			if n > 60 {
				t.Fatal("sixty attempts and no outcome")
			}
			c.Attempts = append(c.Attempts, call.Attempt{N: n, Disposition: rapid.SampledFrom(call.Dispositions()).Draw(t, "heard")})
			d := followup.Policy{}.Decide(c, at)
			if d.Action != followup.ActionRetry {
				if d.Outcome == "" {
					t.Fatalf("an end without an outcome: %+v", d)
				}
				return
			}
			if d.At.Before(at) || d.At.After(now.Add(14*24*time.Hour)) || d.Outcome != "" {
				t.Fatalf("%+v", d)
			}
			at = d.At
		}
	})
}

func TestScaledShrinksWaitsAndNothingElse(t *testing.T) {
	p := steady(t, "lifetime: 14d\nattempts: 4\ndial: {ring_timeout: 30s, max_call: 10m}\non: {busy: {retry: [20m, next_window], then: stop}}")
	before := p.On[call.Busy].Retry[0]
	s := p.Scaled(600)
	require.Equal(t, followup.Duration(14*24*time.Hour/600), s.Lifetime)
	require.Equal(t, followup.Rule{Retry: []followup.Delay{after(2 * time.Second), after(72 * time.Second)}, Then: followup.VerbStop}, s.On[call.Busy])
	require.Equal(t, p.Dial.RingTimeout, s.Dial.RingTimeout)
	require.Equal(t, p.Dial.MaxCall, s.Dial.MaxCall)
	require.Equal(t, 4, s.Attempts)
	require.Equal(t, before, p.On[call.Busy].Retry[0], "the policy itself stays as it is")
	for _, d := range call.Dispositions() {
		require.Equal(t, p.Decide(history(d), now).Action, s.Decide(history(d), now).Action, d)
	}
}

func TestJitterMovesADelayByItsShareAtMostAndAnAttemptAlwaysByTheSame(t *testing.T) {
	p := parse(t, "jitter: 15\non: {busy: {retry: [100m]}}")
	seen := map[time.Time]bool{}
	for i := range 500 {
		c := history(call.Busy)
		c.Attempts[0].Key = fmt.Sprint(i)
		d := p.Decide(c, now)
		require.Equal(t, d, p.Decide(c, now))
		require.WithinDuration(t, now.Add(100*time.Minute), d.At, 15*time.Minute)
		seen[d.At] = true
	}
	require.Greater(t, len(seen), 490)
}

func TestNextNumberGoesThroughAllOfAContactsNumbersAndThenStops(t *testing.T) {
	p := steady(t, "on: {invalid_number: next_number, busy: {retry: [20m], then: next_number}}")
	numbers := []call.Target{{URI: "tel:+12025550101"}, {URI: "tel:+12025550102"}, {URI: "tel:+12025550103"}}
	c := history(call.InvalidNumber)
	c.Numbers, c.Target = numbers, numbers[0]
	d := p.Decide(c, now)
	require.Equal(t, followup.ActionRetry, d.Action)
	require.Equal(t, &numbers[1], d.Target)
	require.Equal(t, now, d.At)

	c = history(call.InvalidNumber, call.Busy)
	c.Numbers, c.Target = numbers, numbers[1]
	d = p.Decide(c, now)
	require.Nil(t, d.Target, "a retry stays with its number")
	require.Equal(t, now.Add(20*time.Minute), d.At)

	c = history(call.InvalidNumber, call.Busy, call.Busy)
	c.Numbers, c.Target = numbers, numbers[1]
	require.Equal(t, &numbers[2], p.Decide(c, now).Target)

	c = history(call.InvalidNumber, call.Busy, call.Busy, call.InvalidNumber)
	c.Numbers, c.Target = numbers, numbers[2]
	d = p.Decide(c, now)
	require.Equal(t, followup.ActionFinish, d.Action)
	require.Equal(t, call.Outcome(call.InvalidNumber), d.Outcome)
}

func TestANumberThatIsNamedTwiceIsTriedOnceAndTheContactEnds(t *testing.T) {
	a, b := call.Target{URI: "tel:+12025550101"}, call.Target{URI: "tel:+12025550102"}
	require.Equal(t, []call.Target{a, b}, followup.Numbers([]call.Target{a, a, b, a, b}))
	require.Empty(t, followup.Numbers(nil))
	p := steady(t, "on: {invalid_number: next_number}")
	c := history(call.InvalidNumber)
	for _, numbers := range [][]call.Target{{a, a}, {a, b, a}} {
		c.Numbers, c.Target = numbers, a
		tried := []call.Target{a}
		for d := p.Decide(c, now); !d.Final(); d = p.Decide(c, now) {
			c.Target = *d.Target
			tried = append(tried, c.Target)
			require.LessOrEqual(t, len(tried), 2, "it goes round")
		}
		require.Equal(t, followup.Numbers(numbers), tried)
	}
}

func TestPoliciesOfOneProcessAreDecidedOnAtTheSameTime(t *testing.T) {
	p := steady(t, `{window: {presets: [us-alabama, france]}, on: {busy: {retry: [8h]}}}`)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			c := history(call.Busy)
			c.Target = call.Target{URI: "tel:+12055550100"}
			for n := range 50 {
				c.OpenedAt = now.AddDate(0, 0, i*50+n)
				p.Decide(c, c.OpenedAt)
			}
		})
	}
	all.Wait()
}

func TestARetryIsMadeWithinTheCallingWindow(t *testing.T) {
	p := steady(t, `{window: {timezone: UTC, days: {mon-fri: ["09:00-17:00"]}}, on: {busy: {retry: [20m, 8h]}, unknown: {retry: [next_window]}}}`)
	c := history(call.Busy)
	c.Attempts[0].DialedAt = now
	require.Equal(t, now.Add(20*time.Minute), p.Decide(c, now).At)
	c = history(call.Busy, call.Busy)
	d := p.Decide(c, now)
	require.Equal(t, 3, d.At.Day(), "18:00 is closed: the next day")
	require.Contains(t, d.Rule, "moved by default: window (UTC)")
	c = history(call.Unknown)
	c.Attempts[0].DialedAt = now
	d = p.Decide(c, now)
	require.Equal(t, 2, d.At.Day())
	require.GreaterOrEqual(t, d.At.Hour(), 12, "the morning was tried")
}
