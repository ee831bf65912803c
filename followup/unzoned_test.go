package followup_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/followup"
)

const noZone = "no time zone is known for the number, and the window goes by the recipient's clock"

// byTheirClock is a policy that calls at all hours of the recipient's clock.
const byTheirClock = "name: p\nwindow: {days: {mon-sun: [\"00:00-24:00\"]}}\n"

func TestANumberOfWhichNobodyKnowsTheZoneIsPassedOverAndNeverSaidToBePastTheLifetime(t *testing.T) {
	tel, sip := call.Target{URI: "tel:+14155550100"}, call.Target{URI: "sip:anna@example.com"}
	stated := call.Target{URI: "sip:bert@example.com", Zone: "Europe/Paris"}
	for _, c := range []struct {
		name, policy string
		target       call.Target
		numbers      []call.Target
		to           *call.Target // of the retry
		at           time.Duration
		outcome      call.Outcome
		reason, rule string
	}{
		{"the only number", "on: {busy: {retry: [1h]}}", sip, []call.Target{sip}, nil, 0, call.OutcomeSuppressed, "busy, and " + noZone, "p: window"},
		{"its retry is the next number's", "on: {busy: {retry: [1h]}}", sip, []call.Target{sip, stated}, &stated, time.Hour, "",
			"busy, retry 1 of 1, at a further number: " + noZone, "p: on.busy.retry[0]: 1h"},
		{"the next number", "on: {busy: next_number}", tel, []call.Target{tel, sip, stated}, &stated, 0, "",
			"busy, the next number, at a further number: " + noZone, "p: on.busy: next_number"},
		{"the last number", "on: {busy: next_number}", tel, []call.Target{tel, sip}, nil, 0, call.OutcomeSuppressed, "busy, and " + noZone, "p: window"},
		{"a zone was stated", "on: {busy: {retry: [1h]}}", stated, []call.Target{stated}, nil, time.Hour, "", "busy, retry 1 of 1", "p: on.busy.retry[0]: 1h"},
	} {
		t.Run(c.name, func(t *testing.T) {
			contact := history(call.Busy)
			contact.Target, contact.Numbers = c.target, c.numbers
			d := steady(t, byTheirClock+c.policy).Decide(contact, now)
			require.Equal(t, c.outcome, d.Outcome, "%+v", d)
			require.Equal(t, []string{c.reason, c.rule}, []string{d.Reason, d.Rule})
			require.Equal(t, c.to, d.Target)
			require.False(t, d.Suppress)
			if c.outcome == "" {
				require.Equal(t, now.Add(c.at), d.At)
			}
		})
	}
	t.Run("a preset asks", func(t *testing.T) {
		contact := history(call.Busy)
		contact.Target = sip
		d := steady(t, "name: p\nwindow: {timezone: Europe/Paris, days: {mon-sun: [\"00:00-24:00\"]}, presets: [us-florida]}").Decide(contact, now)
		require.Equal(t, []string{"busy, and " + noZone, "preset us-florida of " + followup.PresetsVersion}, []string{d.Reason, d.Rule})
	})
}

func TestAnswersOfClearanceWithoutAZoneSayThat(t *testing.T) {
	f := followup.Facts{Now: now, Allowed: true, Target: call.Target{URI: "sip:anna@example.com"}, Rules: parse(t, byTheirClock).Rules(), ExpiresAt: now.Add(time.Hour)}
	_, refusal := followup.Clear(f)
	require.Equal(t, &followup.Refusal{Outcome: call.OutcomeSuppressed, Reason: noZone, Rule: "p: window", Target: true}, refusal)
}

func TestAPolicyIsRefusedForContactsThatCouldNotBeCalledUnderIt(t *testing.T) {
	without, window := "name: p", byTheirClock
	named := "name: p\nwindow: {timezone: Europe/Paris, days: {mon-sun: [\"09:00-17:00\"]}}"
	preset := "name: p\nwindow: {timezone: Europe/Paris, days: {mon-sun: [\"09:00-17:00\"]}, presets: [us-florida]}"
	const remedy, change = "name a zone in its window, as in timezone: Europe/Paris, or ", "first give each of them another policy, with redial change-policy"
	for _, c := range []struct {
		name, policy string
		targets      []call.Target
		refused      string
	}{
		{"no window", without, []call.Target{{URI: "sip:a@example.com"}}, ""},
		{"a zone of the policy's own", named, []call.Target{{URI: "sip:a@example.com"}}, ""},
		{"zones are known", window, []call.Target{{URI: "tel:+14155550100"}, {URI: "tel:+491701234567"}, {URI: "sip:a@example.com", Zone: "Europe/Paris"},
			{URI: "tel:+80012345678", Zone: "Europe/Paris"}}, ""},
		{"nobody follows it", window, nil, ""},
		{"one", window, []call.Target{{URI: "tel:+14155550100"}, {URI: "sip:a@example.com"}},
			"no time zone is known for the open contact c1, which follows it, and its window goes by the recipient's clock: " + remedy + change},
		{"numbers of no country", window, []call.Target{{URI: "tel:+80012345678"}, {URI: "tel:+80012345679"}, {URI: "tel:+8613912345678"}, {URI: "tel:+870301234567"}},
			"no time zone is known for 3 open contacts that follow it (c0, c1, c3), and its window goes by the recipient's clock: " + remedy + change},
		{"a preset asks", preset, []call.Target{{URI: "sip:a@example.com"}, {URI: "sip:b@example.com"}, {URI: "sip:c@example.com"}, {URI: "sip:d@example.com"}},
			"no time zone is known for 4 open contacts that follow it (c0, c1, c2, …), and its window goes by the recipient's clock: " + change},
	} {
		t.Run(c.name, func(t *testing.T) {
			var u followup.Unzoned
			for i, to := range c.targets {
				u.Look(fmt.Sprint("c", i), to)
			}
			err := u.Refuse(parse(t, c.policy))
			if c.refused == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, c.refused)
		})
	}
}

func TestTheEvidenceNamesTheClocksThatWereAsked(t *testing.T) {
	hours := "days: {mon-sun: [\"00:00-24:00\"]}"
	newYork := followup.Clocks{Zones: []string{"America/New_York"}, Basis: followup.BasisPolicy}
	california := followup.Clocks{Zones: []string{"America/Los_Angeles"}, Basis: "number"}
	paris := followup.Clocks{Zones: []string{"Europe/Paris"}, Basis: "stated"}
	for _, c := range []struct {
		name, policy string
		to           call.Target
		clocks       followup.Clocks
		beside       *followup.Clocks
	}{
		{"the policy's", "window: {timezone: America/New_York, " + hours + "}", call.Target{URI: "tel:+14155550100"}, newYork, nil},
		{"the policy's, of an address without a zone", "window: {timezone: America/New_York, " + hours + "}", call.Target{URI: "sip:a@example.com"}, newYork, nil},
		{"the policy's, and a preset's", "window: {timezone: America/New_York, " + hours + ", presets: [us-florida]}", call.Target{URI: "tel:+14155550100"},
			newYork, &california},
		{"the policy's, and that of a calendar day", "window: {timezone: America/New_York, " + hours + "}\nlimits: [{calls: 2, per: day}]",
			call.Target{URI: "sip:a@example.com", Zone: "Europe/Paris"}, newYork, &paris},
		{"the recipient's", "window: {" + hours + "}", call.Target{URI: "tel:+14155550100"}, california, nil},
		{"a preset's, where the policy names a zone for no hours", "window: {timezone: America/New_York, presets: [us-florida]}", call.Target{URI: "tel:+14155550100"},
			california, nil},
		{"none", "limits: [{calls: 2, per: 24h}]", call.Target{URI: "tel:+14155550100"}, followup.Clocks{}, nil},
		{"none is known for a calendar day", "limits: [{calls: 2, per: day}]", call.Target{URI: "sip:a@example.com"}, followup.Clocks{}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := followup.Facts{Now: now, Allowed: true, Target: c.to, Rules: parse(t, "name: p\n"+c.policy).Rules()}.Evidence()
			require.Equal(t, c.clocks, e.Clocks)
			require.Equal(t, c.beside, e.Recipient)
			require.Equal(t, len(c.clocks.Zones) > 0, e.ZonesVersion != "")
		})
	}
}
