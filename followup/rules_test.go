package followup

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
)

// randomRules are rules that some day allow a call.
func randomRules(r *rand.Rand) Rules {
	rules := Rules{Policy: "random"}
	if r.IntN(4) > 0 {
		rules.Window.Days = map[string][]Hours{}
		for _, set := range []string{"mon-wed", "thu,fri", "sat,sun"} {
			if r.IntN(4) > 0 {
				from := Minute(r.IntN(20 * 60))
				rules.Window.Days[set] = []Hours{{from, from + 30 + Minute(r.IntN(int(24*60-from-30)))}}
			}
		}
		if len(rules.Window.Days) == 0 {
			rules.Window.Days = nil
		}
	}
	if r.IntN(3) == 0 {
		rules.Window.Presets = []string{PresetNames()[r.IntN(len(presets))]}
	}
	for range r.IntN(3) {
		l := Limit{Calls: 1 + r.IntN(4), By: bys()[r.IntN(3)], Per: Span{For: Duration(time.Duration(1+r.IntN(100)) * time.Hour)}}
		if r.IntN(3) == 0 {
			l.Per = Span{Day: true}
		}
		rules.Limits = append(rules.Limits, l)
	}
	if r.IntN(3) == 0 {
		rules.Quiet = append(rules.Quiet, Quiet{After: EventConversation, For: Duration(time.Duration(1+r.IntN(100)) * time.Hour), By: bys()[r.IntN(3)]})
	}
	return rules
}

// A contact that asks for leave again whenever its hold is over is dialed, and only when every rule allows it.
func TestNeverADialOutsideAWindowAboveALimitOrInAQuietTimeForAnyRules(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	numbers := []string{"tel:+14155550100", "tel:+493012345678", "tel:+61412345678", "tel:+919812345678", "tel:+33140123456"}
	dialed := 0
	for n := range 400 {
		rules := randomRules(r)
		require.NoError(t, rules.validate())
		target := call.Target{URI: numbers[r.IntN(len(numbers))]}
		clock := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(r.IntN(365*24*60)) * time.Minute)
		expires := clock.Add(30 * day)
		o, err := rules.Window.forTarget("random", target)
		require.NoError(t, err)
		var dials []time.Time
		var spoken time.Time
		for step := 0; ; step++ {
			require.Less(t, step, 1000, "it never ends: %+v", rules)
			f := Facts{Now: clock, ExpiresAt: expires, Allowed: true, Key: fmt.Sprint(n, step), Target: target, Ring: ringing, Rules: rules,
				Consent: &Consent{Scope: "all", Source: "test", At: clock.Add(-time.Hour)}, Calls: map[By][]time.Time{}, Last: map[Happening]time.Time{}}
			for by := range rules.Count() {
				f.Calls[by] = dials
			}
			for _, h := range rules.Happened() {
				if !spoken.IsZero() && h.Event == EventConversation {
					f.Last[h] = spoken
				}
			}
			hold, refusal := Clear(f)
			if refusal != nil {
				require.Equal(t, call.OutcomeExpired, refusal.Outcome)
				require.NotEmpty(t, refusal.Rule)
				break
			}
			if hold != nil {
				require.True(t, hold.NotBefore.After(clock), "a hold that is over lets a flow ask without end")
				require.True(t, hold.Until.After(hold.NotBefore) || hold.Until.Equal(expires))
				require.NotEmpty(t, hold.Rule)
				require.NotEmpty(t, hold.Event)
				clock = hold.NotBefore
				continue
			}
			dialed++
			for _, c := range o.clocks {
				require.True(t, c.schedule.openAt(c.zone, clock), "%s: %s at %s", c.rule, c.zone, clock.In(c.zone))
				require.True(t, c.schedule.openAt(c.zone, clock.Add(ringing-time.Second)))
			}
			for _, l := range rules.limits() {
				counted := 0
				for _, d := range dials {
					if l.of.Per.Day && DateOf(d.In(o.zones[0])) == DateOf(clock.In(o.zones[0])) || !l.of.Per.Day && d.After(clock.Add(-time.Duration(l.of.Per.For))) {
						counted++
					}
				}
				require.Less(t, counted, l.of.Calls, l.rule)
			}
			for _, q := range rules.quiet() {
				require.False(t, !spoken.IsZero() && q.of.After == EventConversation && clock.Before(spoken.Add(time.Duration(q.of.For))), q.rule)
			}
			dials = append(dials, clock)
			clock = clock.Add(time.Duration(1+r.IntN(300)) * time.Minute)
			if r.IntN(5) == 0 {
				spoken = clock
			}
		}
	}
	require.Greater(t, dialed, 2000)
}

func TestAPresetThatDemandsConsentLetsNobodyBeCalledWithoutOne(t *testing.T) {
	noon := moment(t, "2026-03-02T12:00:00-08:00")
	f := Facts{Now: noon, Allowed: true, Target: call.Target{URI: "tel:+14155550100"}, Ring: ringing, Rules: Rules{Window: Window{Presets: []string{"us-federal"}}}}
	for _, c := range []*Consent{nil, {At: noon.Add(time.Hour)}, {At: noon.Add(-2 * time.Hour), Expires: noon.Add(-time.Hour)}} {
		f.Consent = c
		_, refusal := Clear(f)
		require.NotNil(t, refusal)
		require.Equal(t, call.OutcomeSuppressed, refusal.Outcome)
		require.Contains(t, refusal.Rule, "preset us-federal")
	}
	f.Consent = &Consent{At: noon.Add(-time.Hour), Scope: "reminders", Source: "form 7"}
	hold, refusal := Clear(f)
	require.Nil(t, hold)
	require.Nil(t, refusal)
	e := f.Evidence()
	require.Equal(t, []string{"preset us-federal of " + PresetsVersion}, e.Presets)
	require.Equal(t, []string{"America/Los_Angeles"}, e.Zones)
	require.Equal(t, "number", e.Basis)
	require.Equal(t, "form 7", e.Consent.Source)
}

func TestAWindowThatNeverOpensInTimeExpiresTheContactAtOnceAndSaysWhichRule(t *testing.T) {
	monday := moment(t, "2026-03-02T12:00:00Z")
	f := Facts{Now: monday, ExpiresAt: monday.Add(2 * day), Allowed: true, Target: call.Target{URI: "tel:+442071234567"}, Ring: ringing,
		Rules: Rules{Policy: "sundays", Window: Window{Days: map[string][]Hours{"sun": hours(9, 20)}}}}
	hold, refusal := Clear(f)
	require.Nil(t, hold)
	require.Equal(t, call.OutcomeExpired, refusal.Outcome)
	require.Contains(t, refusal.Rule, "sundays: window (Europe/London)")
}
