package followup

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/phone"
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
	require.Equal(t, phone.BasisNumber, e.Basis)
	require.Equal(t, phone.ZonesVersion, e.ZonesVersion)
	require.Equal(t, "form 7", e.Consent.Source)
}

func TestTheEvidenceNamesEveryRuleThatWasAskedAndTheVersionsOfWhatWasAsked(t *testing.T) {
	noon := moment(t, "2026-03-02T12:00:00-08:00")
	week := Quiet{After: EventConversation, For: Duration(7 * day)}
	f := Facts{Now: noon, Allowed: true, Target: call.Target{URI: "tel:+14155550100"}, Ring: ringing,
		Rules: Rules{Policy: "p", Limits: []Limit{{Calls: 3, Per: Span{For: Duration(day)}}, {Calls: 9, Per: Span{For: Duration(7 * day)}, By: ByContact}},
			Quiet: []Quiet{week}, Ceilings: []Limit{{Calls: 2, Per: Span{Day: true}}}},
		Calls: map[By][]time.Time{ByNumber: {noon.Add(-20 * time.Hour), noon.Add(-time.Hour)}}}
	hold, refusal := Clear(f)
	require.Nil(t, hold)
	require.Nil(t, refusal)
	e := f.Evidence()
	require.Equal(t, []CountedCall{
		{"p: limits: at most 3 calls in any 24 hours to a number", 2, 3},
		{"p: limits: at most 9 calls in any 7 days to a contact", 0, 9},
		{"ceiling (REDIAL_CEILINGS): at most 2 calls on a day to a number", 1, 2},
	}, e.Limits)
	require.Equal(t, []QuietSince{{Rule: "p: quiet: " + week.String()}}, e.Quiet)
	require.Equal(t, []string{"America/Los_Angeles"}, e.Zones, "a day is one by a clock")
	require.Regexp(t, "^[0-9a-f]{12}$", e.Rules)
	require.Equal(t, e.Rules, f.Evidence().Rules)
	f.Rules.Limits[0].Calls = 4
	require.NotEqual(t, e.Rules, f.Evidence().Rules, "other rules")

	f.Rules = Rules{Policy: "p", Limits: []Limit{{Calls: 3, Per: Span{For: Duration(day)}}}}
	require.Empty(t, f.Evidence().Zones, "no clock was asked")
	require.Empty(t, Facts{}.Evidence().Rules, "no rule was")
}

func TestWhoseDayIsFullIsCalledTheNextDayAtTheSameTimeAndNotAtMidnight(t *testing.T) {
	now := moment(t, "2026-03-07T14:30:00-08:00") // the clock goes forward in the night
	f := Facts{Now: now, Allowed: true, Target: call.Target{URI: "tel:+14155550100"}, Ring: ringing, Key: "anna",
		Rules: Rules{Policy: "p", Limits: []Limit{{Calls: 1, Per: Span{Day: true}}}}, Calls: map[By][]time.Time{ByNumber: {now.Add(-time.Hour)}}}
	held := func() Hold {
		t.Helper()
		hold, refusal := Clear(f)
		require.Nil(t, refusal)
		require.NotNil(t, hold)
		return *hold
	}
	require.Equal(t, moment(t, "2026-03-08T14:30:00-07:00").UTC(), held().NotBefore.UTC())
	require.Contains(t, held().Rule, "on a day")

	f.ExpiresAt = moment(t, "2026-03-08T09:00:00-07:00")
	require.WithinRange(t, held().NotBefore, moment(t, "2026-03-08T00:00:00-08:00"), moment(t, "2026-03-08T01:00:00-08:00"), "the same time would be too late")
	f.ExpiresAt = time.Time{}
	f.Rules.Window.Days = map[string][]Hours{"mon-sun": {{0, 24 * 60}}}
	require.Equal(t, moment(t, "2026-03-08T14:30:00-07:00").UTC(), held().NotBefore.UTC())
	f.Rules.Window.Days = daily(9, 12)
	f.Now = moment(t, "2026-03-07T11:00:00-08:00")
	f.Calls[ByNumber] = []time.Time{f.Now.Add(-time.Hour)}
	require.WithinRange(t, held().NotBefore, moment(t, "2026-03-08T09:00:00-07:00"), moment(t, "2026-03-08T10:00:00-07:00"), "the window opens after that")
	require.Contains(t, held().Rule, "p: window", "the last rule that is in the way")

	f.Rules.Window, f.Target = Window{}, call.Target{URI: "sip:anna@pbx.example.com"}
	require.Equal(t, f.Now.Add(24*time.Hour+SendWithin), held().NotBefore, "25 hours after the last call")
}

func TestTheLastRuleThatIsInTheWayIsTold(t *testing.T) {
	now := moment(t, "2026-03-02T12:00:00Z")
	f := Facts{Now: now, Allowed: true, Target: call.Target{URI: "tel:+442071234567"}, Ring: ringing, Calls: map[By][]time.Time{ByNumber: {now.Add(-time.Hour)}},
		Last:  map[Happening]time.Time{{EventConversation, ByNumber}: now.Add(-time.Hour)},
		Rules: Rules{Policy: "p", Quiet: []Quiet{{After: EventConversation, For: Duration(2 * time.Hour)}}, Limits: []Limit{{Calls: 1, Per: Span{For: Duration(5 * time.Hour)}}}}}
	hold, _ := Clear(f)
	require.Equal(t, ReasonLimit, hold.Reason)
	require.Equal(t, now.Add(4*time.Hour+SendWithin), hold.NotBefore)
	require.Equal(t, "an earlier call no longer counts", hold.Event)
	f.Rules.Window.Days = daily(19, 20)
	hold, _ = Clear(f)
	require.Equal(t, ReasonWindow, hold.Reason)
	require.Equal(t, "p: window (Europe/London)", hold.Rule)
}

func TestWhatNeverAllowsACallIsNamed(t *testing.T) {
	now := moment(t, "2026-03-02T12:00:00Z")
	f := Facts{Now: now, ExpiresAt: now.Add(day), Allowed: true, Target: call.Target{URI: "tel:+442071234567"}, Ring: ringing,
		Calls: map[By][]time.Time{ByNumber: {now.Add(-time.Hour)}}, Last: map[Happening]time.Time{{EventConversation, ByNumber}: now.Add(-time.Hour)}}
	for _, c := range []struct {
		rules        Rules
		reason, rule string
	}{
		{Rules{Limits: []Limit{{Calls: 1, Per: Span{For: Duration(7 * day)}}}}, "a limit allows no further call within the contact's lifetime", "at most 1 call in any 7 days"},
		{Rules{Quiet: []Quiet{{After: EventConversation, For: Duration(7 * day)}}}, "a time without calls lasts beyond the contact's lifetime", "for 7 days after a conversation"},
		{Rules{Window: Window{Days: map[string][]Hours{"sun": hours(9, 20)}}}, "the calling window does not open within the contact's lifetime", ": window (Europe/London)"},
		{Rules{Window: Window{Days: daily(9, 20)}, Limits: []Limit{{Calls: 1, Per: Span{For: Duration(7 * day)}}}}, "a limit allows no further call within the contact's lifetime", "at most 1 call "},
	} {
		f.Rules = c.rules
		_, refusal := Clear(f)
		require.NotNil(t, refusal)
		require.Equal(t, call.OutcomeExpired, refusal.Outcome)
		require.Equal(t, c.reason, refusal.Reason)
		require.Contains(t, refusal.Rule, c.rule)
	}
}

func TestWhoWaitsForATimeAsksByThemselvesLongAfterItAndNotAllAtOnce(t *testing.T) {
	now := moment(t, "2026-03-02T12:00:00Z")
	f := Facts{Now: now, Allowed: true, Target: call.Target{URI: "tel:+442071234567"}, Ring: ringing, Window: time.Minute,
		Calls: map[By][]time.Time{ByNumber: {now.Add(-time.Hour)}}, Rules: Rules{Limits: []Limit{{Calls: 1, Per: Span{For: Duration(2 * time.Hour)}}}}}
	seen := map[time.Time]bool{}
	for i := range 200 {
		f.Key = fmt.Sprint(i)
		hold, _ := Clear(f)
		require.Equal(t, now.Add(time.Hour+SendWithin), hold.NotBefore)
		require.WithinRange(t, hold.Until, hold.NotBefore.Add(30*time.Minute), hold.NotBefore.Add(time.Hour))
		seen[hold.Until] = true
	}
	require.Greater(t, len(seen), 190)
	f.ExpiresAt = now.Add(70 * time.Minute)
	hold, _ := Clear(f)
	require.Equal(t, f.ExpiresAt, hold.Until)
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
