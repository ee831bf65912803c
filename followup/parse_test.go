package followup_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"redial/call"
	"redial/followup"
)

// whole is a policy with every key of the format that this version keeps.
const whole = `name: reminder
attempts: 6
lifetime: 14d
dial: {machine_detection: detect, ring_timeout: 45s, max_call: 30m, grace: 1m, threshold_words: 9,
       timers: {no_speech: 5s, decision: 15s, tone: 20s, greeting_completion: 2s},
       notify_headers: {X-Tenant: "7"}, amd_events: none, call_control: {language: en-US, hints: [a, b], nested: {deep: 1}}}
on:
  human:   {wait_result: 10m, declined: escalate, unfinished: {retry: [4h], then: stop}, none: stop}
  machine:  {retry: [4h, 27h, 31h], then: escalate}
  busy:     {retry: [20m, 40m, 4h], then: next_number}
  unknown:  {retry: [next_window], then: escalate}
jitter: 10
window: {timezone: recipient, days: {mon-fri: ["09:00-12:30", "13:30-20:00"], sat: ["10:00-17:00"]}, holidays: [2026-12-25], presets: [us-federal]}
limits: [{calls: 3, per: 24h, by: number}, {calls: 7, per: 168h, by: contact}, {calls: 2, per: day}]
quiet: [{after: conversation, for: 7d, by: subject}]
escalate: {webhook: "https://example.com/hook"}
`

func TestParseReadsEveryKey(t *testing.T) {
	h := time.Hour
	want := followup.Policy{
		Name: "reminder", Attempts: 6, Lifetime: followup.Duration(14 * 24 * h),
		Dial: followup.Dial{MachineDetection: call.DetectionDetect, RingTimeout: followup.Duration(45 * time.Second), MaxCall: followup.Duration(h / 2),
			Grace: followup.Duration(time.Minute), ThresholdWords: 9,
			Timers: followup.Timers{NoSpeech: followup.Duration(5 * time.Second), Decision: followup.Duration(15 * time.Second),
				Tone: followup.Duration(20 * time.Second), GreetingCompletion: followup.Duration(2 * time.Second)},
			NotifyHeaders: map[string]string{"X-Tenant": "7"}, AMDEvents: "none"},
		On: map[call.Disposition]followup.Rule{
			call.Human: {WaitResult: followup.Duration(10 * time.Minute), Results: map[call.ResultKind]followup.Rule{
				call.Refused: {Do: followup.VerbEscalate}, call.Unfinished: {Retry: []followup.Delay{after(4 * h)}, Then: followup.VerbStop},
				followup.NoResult: {Do: followup.VerbStop}}},
			call.Machine: {Retry: []followup.Delay{after(4 * h), after(27 * h), after(31 * h)}, Then: followup.VerbEscalate},
			call.Busy:    {Retry: []followup.Delay{after(h / 3), after(2 * h / 3), after(4 * h)}, Then: followup.VerbNextNumber},
			call.Unknown: {Retry: []followup.Delay{{NextWindow: true}}, Then: followup.VerbEscalate},
		},
		Escalate: followup.Escalation{Webhook: "https://example.com/hook"},
		Window: followup.Window{Timezone: followup.Recipient, Presets: []string{"us-federal"}, Holidays: []followup.Date{{Year: 2026, Month: 12, Day: 25}},
			Days: map[string][]followup.Hours{"mon-fri": {{From: 540, To: 750}, {From: 810, To: 1200}}, "sat": {{From: 600, To: 1020}}}},
		Limits: []followup.Limit{{Calls: 3, Per: followup.Span{For: followup.Duration(24 * h)}, By: followup.ByNumber},
			{Calls: 7, Per: followup.Span{For: followup.Duration(168 * h)}, By: followup.ByContact}, {Calls: 2, Per: followup.Span{Day: true}}},
		Quiet: []followup.Quiet{{After: followup.EventConversation, For: followup.Duration(7 * 24 * h), By: followup.BySubject}},
	}
	ten := 10
	want.Jitter = &ten
	got := parse(t, whole)
	control, err := json.Marshal(got.Dial.CallControl)
	require.NoError(t, err, "it has to travel in a workflow's input")
	require.JSONEq(t, `{"language":"en-US","hints":["a","b"],"nested":{"deep":1}}`, string(control))
	got.Dial.CallControl = nil
	require.Equal(t, want, got)
}

func TestJSONIsAccepted(t *testing.T) {
	p := parse(t, whole)
	data, err := json.MarshalIndent(p, "", "\t")
	require.NoError(t, err)
	again := parse(t, string(data))
	require.Equal(t, p.On, again.On)
	require.Equal(t, p.Lifetime, again.Lifetime)
	require.Equal(t, p.Rules(), again.Rules())
}

func TestWhatIsWrongIsRefusedInOneLineThatNamesIt(t *testing.T) {
	for _, c := range []struct {
		policy string
		says   []string
	}{
		{"", []string{"empty"}},
		{"# nothing but a comment\n", []string{"empty"}},
		{"---\n", []string{"empty"}},
		{"null", []string{"line 1"}},
		{"name: x\nnmae: y\n", []string{"line 2", "nmae"}},
		{"dial:\n  ring: 4s\n", []string{"line 2", "ring"}},
		{"dial:\n  timers:\n    none: 4s\n", []string{"line 3", "none"}},
		{"on:\n  busy:\n    retry: [20m]\n    tehn: escalate\n", []string{"line 4", "tehn"}},
		{"on:\n  bsuy: done\n", []string{"bsuy", "busy"}},
		{"name: x\nname: y\n", []string{"line 2", "name"}},
		{"on: {busy: done, busy: stop}", []string{"line 1", "busy"}},
		{"attempts: many", []string{"line 1"}},
		{"attempts: -1", []string{"attempts"}},
		{"attempts: 101", []string{"attempts"}},
		{"attempts: [1]", []string{"line 1"}},
		{"lifetime: 14", []string{"14", "14d"}},
		{"name: x\nlifetime: soon", []string{"soon"}},
		{"lifetime: -1h", []string{"-1h"}},
		{"lifetime: 366d", []string{"lifetime", "365d"}},
		{"lifetime: 65535d2000000h", []string{"65535d2000000h"}},
		{"dial: {ring_timeout: 4s}", []string{"dial.ring_timeout", "5s to 2m"}},
		{"dial: {ring_timeout: 121s}", []string{"dial.ring_timeout"}},
		{"dial: {max_call: 25h}", []string{"dial.max_call"}},
		{"dial: {grace: 2d}", []string{"dial.grace"}},
		{"dial: {threshold_words: 101}", []string{"dial.threshold_words"}},
		{"dial: {machine_detection: maybe}", []string{"dial.machine_detection", "maybe", "disconnect"}},
		{"dial: {amd_events: some}", []string{"dial.amd_events"}},
		{"on: {busy: redial}", []string{"on.busy", "redial", "escalate"}},
		{"on: {busy: 7}", []string{"line 1"}},
		{"on: {busy: [20m]}", []string{"line 1"}},
		{"on: {busy: {retry: []}}", []string{"on.busy", "at least one delay"}},
		{"on: {busy: {}}", []string{"on.busy"}},
		{"on: {busy: }", []string{"on.busy"}},
		{"on: {busy: null}", []string{"on.busy"}},
		{"on: {busy: ''}", []string{"on.busy"}},
		{"on: {busy: {then: escalate}}", []string{"on.busy"}},
		{"on: {busy: {retry: [20m], then: redial}}", []string{"on.busy", "redial"}},
		{"on: {busy: {retry: [tomorrow]}}", []string{"tomorrow", "next_window"}},
		{"on: {busy: {retry: [" + strings.Repeat("1m, ", 51) + "]}}", []string{"on.busy", "50"}},
		{"escalate: {webhook: example.com}", []string{"escalate.webhook", "example.com"}},
		{"escalate: {webhook: 'ftp://example.com'}", []string{"escalate.webhook"}},
		{"name: a\n---\nname: b\n", []string{"more than one document"}},
		{`{"name":"a"} {"name":"b"}`, nil},
		{"[1, 2]", []string{"line 1"}},
		{"just text", []string{"line 1"}},
		{"name: [", nil},
		{"\tname: x", nil},
		{"name: \xff\xfe", nil},
		{"name: x # " + strings.Repeat("x", followup.MaxPolicySize), []string{"256 KiB"}},
		{"on:\n  human: {wait_result: 2d}", []string{"line 2", "on.human", "wait_result", "24h"}},
		{"on:\n  human: {wait_result: 5m, retry: [4h]}", []string{"line 2", "on.human", "does not go with wait_result"}},
		{"on:\n  human: {confirmed: done}", []string{"line 2", "on.human", "wait_result"}},
		{"on:\n  human: {wait_result: 5m, confirmed: {wait_result: 5m}}", []string{"line 2", "on.human", "confirmed"}},
		{"on:\n  human: {wait_result: 5m, maybe: done}", []string{"line 2", "maybe"}},
		{"on:\n  human: {wait_result: 5m, none: dnoe}", []string{"line 2", "dnoe"}},
		{"window: {timezone: recipient}", []string{"line 1", "window", "days, holidays or presets"}},
		{"name: x\nwindow:\n", []string{"line 2", "window: it is empty"}},
		{"name: x\nwindow: null", []string{"line 2", "window: it is empty"}},
		{"name: x\nwindow: {}", []string{"line 2", "window: it is empty"}},
		{"name: x\nwindow: {presets: []}", []string{"line 2", "window: it is empty"}},
		{"name: x\nwindow:\n  days: {}", []string{"window: it is empty"}},
		{"name: x\nwindow:\n  presets: [us-federal]\n  days:\n", []string{"line 4", "window.days: it is empty"}},
		{"name: x\njitter: 1.5", []string{"line 2", "jitter: 1.5 is not a whole number"}},
		{"name: x\nlimits:\n  - {calls: 2.5, per: 24h}", []string{"line 3", "limits[0].calls: 2.5 is not a whole number"}},
		{"name: x\nabove_ceilings: true", []string{"line 2", "a limit by number"}},
		{"name: x\nabove_ceilings: true\nlimits: [{calls: 9, per: day, by: contact}]", []string{"line 2", "above_ceilings", "a limit by number"}},
		{"name: x\nwindow:\n  timezone: Mars/Olympus\n  days: {mon: [\"09:00-10:00\"]}", []string{"line 3", "window.timezone", "Mars/Olympus"}},
		{"name: x\nwindow:\n  days:\n    mon: [\"9-10\"]", []string{"line 4", "09:00-12:30"}},
		{"name: x\nwindow:\n  days: {mon-sun: [\"09:00-10:00\"], tue: [\"09:00-10:00\"]}", []string{"line 3", "tue", "name each day once"}},
		{"name: x\nwindow:\n  presets: [us-atlantis]", []string{"line 3", "us-atlantis", "us-federal"}},
		{"window: {days: {mon: [\"09:00-10:00\"]}, holidays: [25.12.2026]}", []string{"line 1", "holidays", "2026-12-25"}},
		{"name: x\nlimits: [{calls: 0, per: 24h}]", []string{"line 2", "limits[0].calls", "1 to 1000"}},
		{"name: x\nlimits: [{calls: 3, per: fortnight}]", []string{"line 2", "fortnight", "24h or 7d"}},
		{"name: x\nlimits: [{calls: 3}]", []string{"line 2", "limits[0].per", "400d"}},
		{"name: x\nlimits: [{calls: 3, per: day, by: name}]", []string{"line 2", "limits[0].by", "number, contact, subject"}},
		{"name: x\nquiet: [{after: lunch, for: 7d}]", []string{"line 2", "quiet[0].after", "conversation"}},
	} {
		t.Run(fmt.Sprintf("%.40q", c.policy), func(t *testing.T) {
			p, err := followup.Parse([]byte(c.policy))
			require.Error(t, err, "%+v", p)
			require.NotContains(t, err.Error(), "\n")
			for _, word := range c.says {
				require.ErrorContains(t, err, word)
			}
		})
	}
}

func TestADeeplyNestedOrSelfRepeatingFileIsNoTrouble(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'i'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 9), ","))
	}
	for _, text := range []string{bomb, "dial:\n  call_control:\n    " + strings.ReplaceAll(bomb, "\n", "\n    "),
		strings.Repeat("[", 5_000), strings.Repeat("{a: ", 5_000), strings.Repeat("- ", 5_000)} {
		begin := time.Now()
		_, _ = followup.Parse([]byte(text))
		require.Less(t, time.Since(begin), 5*time.Second)
	}
}

var durations = rapid.Custom(func(t *rapid.T) followup.Duration {
	unit := rapid.SampledFrom([]time.Duration{1, time.Microsecond, time.Millisecond, time.Second, time.Minute, time.Hour, 24 * time.Hour}).Draw(t, "unit")
	return followup.Duration(time.Duration(rapid.Int64Range(0, 1000).Draw(t, "n"))*unit + time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "rest")))
})

func TestADurationIsReadBackAsItIsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := durations.Draw(t, "d")
		text, err := d.MarshalText()
		require.NoError(t, err)
		var again followup.Duration
		require.NoError(t, again.UnmarshalText(text))
		require.Equal(t, d, again, "%s", text)
	})
	for text, want := range map[string]time.Duration{"90s": 90 * time.Second, "14d": 336 * time.Hour, "1d12h": 36 * time.Hour, "0s": 0,
		" 20m ": 20 * time.Minute, "1.5h": 90 * time.Minute, "1h30m": 90 * time.Minute, "1d": 24 * time.Hour} {
		d, err := followup.ParseDuration(text)
		require.NoError(t, err, text)
		require.Equal(t, followup.Duration(want), d)
	}
	for _, text := range []string{"", "d", "1", "-1s", "1d-1s", "d1h", "1.5d", "1h1d", "99999d", "1w", "+1d", "1d1", "1d 1h", "65535d2000000h"} {
		d, err := followup.ParseDuration(text)
		require.Error(t, err, "%q is %s", text, d)
	}
	require.Equal(t, "14d", followup.DefaultLifetime.String())
	require.Equal(t, "1d3h", followup.Duration(27*time.Hour).String())
}

var policies = rapid.Custom(func(t *rapid.T) followup.Policy {
	verb := rapid.SampledFrom([]followup.Verb{followup.VerbDone, followup.VerbStop, followup.VerbEscalate, followup.VerbSuppress, followup.VerbNextNumber})
	jitter := rapid.IntRange(0, 50).Draw(t, "jitter")
	p := followup.Policy{Jitter: &jitter, Name: rapid.StringMatching("[a-z]{0,8}").Draw(t, "name"), Attempts: rapid.IntRange(0, 100).Draw(t, "attempts"),
		Lifetime: rapid.SampledFrom([]followup.Duration{0, followup.Duration(time.Hour), followup.Duration(240 * time.Hour)}).Draw(t, "lifetime")}
	for _, d := range rapid.SliceOfDistinct(rapid.SampledFrom(call.Dispositions()), rapid.ID).Draw(t, "on") {
		if p.On == nil {
			p.On = map[call.Disposition]followup.Rule{}
		}
		rule := followup.Rule{}
		if rapid.Bool().Draw(t, "verb") {
			rule.Do = verb.Draw(t, "do")
		} else {
			for range rapid.IntRange(1, 4).Draw(t, "retries") {
				delay := followup.Delay{NextWindow: rapid.Bool().Draw(t, "next window")}
				if !delay.NextWindow {
					delay.After = durations.Draw(t, "after")
				}
				rule.Retry = append(rule.Retry, delay)
			}
			if rapid.Bool().Draw(t, "then?") {
				rule.Then = verb.Draw(t, "then")
			}
		}
		p.On[d] = rule
	}
	return p
})

func TestAPolicyThatTravelledDecidesTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := policies.Draw(t, "policy")
		data, err := json.Marshal(p)
		require.NoError(t, err)
		var travelled followup.Policy
		require.NoError(t, json.Unmarshal(data, &travelled))
		read := p
		if string(data) != "{}" {
			read = parse(t, string(data))
		}
		c := history(rapid.SliceOfN(rapid.SampledFrom(call.Dispositions()), 1, 8).Draw(t, "history")...)
		want := p.Decide(c, now)
		require.Equal(t, want, travelled.Decide(c, now))
		require.Equal(t, want, read.Decide(c, now))
		require.Equal(t, want, p.WithDefaults().Decide(c, now), "defaults are filled in once")
	})
}

func TestOddTimersAreAcceptedWithAWarningThatSaysWhatWillHappen(t *testing.T) {
	require.Empty(t, followup.Policy{}.Warnings())
	seed := parse(t, "dial: {timers: {no_speech: 12000ms, decision: 15000ms, tone: 10000ms, greeting_completion: 500ms}}")
	require.Len(t, seed.Warnings(), 1)
	require.Contains(t, seed.Warnings()[0], "tone (10s) ends before decision (15s)")
	require.Contains(t, seed.Warnings()[0], "counts as answered")
	late := parse(t, "dial: {timers: {no_speech: 16s, tone: 20s}}")
	require.Len(t, late.Warnings(), 1)
	require.Contains(t, late.Warnings()[0], "undecided")
}

func TestTheRequestSaysWhatThePolicySays(t *testing.T) {
	d := parse(t, whole).WithDefaults().Dial
	r := d.Request(call.Target{URI: "tel:+14155550100"}, "caller", "trunk", map[string]any{"k": "v"})
	require.Equal(t, call.Timers{NoSpeech: 5 * time.Second, Decision: 15 * time.Second, Tone: 20 * time.Second, GreetingCompletion: 2 * time.Second}, r.Timers)
	require.Equal(t, 45*time.Second, r.RingTimeout)
	require.True(t, r.NoAMDEvents)
	require.Equal(t, 45*time.Second+30*time.Minute+time.Minute, d.HearFor())
	require.False(t, followup.Policy{}.WithDefaults().Dial.Request(call.Target{}, "", "", nil).NoAMDEvents)
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{whole, "", "on: {busy: {retry: [20m], then: stop}}", "a: &a [*a]", "<<: *x", "? [", "on: {busy: !!str done}", "\x00", "- - -", "%YAML 2.0"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := followup.Parse(data)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Fatalf("more than one line: %q", err)
			}
			return
		}
		for _, d := range call.Dispositions() {
			if decision := p.Decide(history(d), now); decision.Action == "" {
				t.Fatalf("%s leads nowhere", d)
			}
		}
		p.Warnings()
		for d := range p.On {
			if !slices.Contains(call.Dispositions(), d) {
				t.Fatalf("%s was let in", d)
			}
		}
		if reflect.DeepEqual(p, followup.Policy{}) {
			return
		}
		if p.Lifetime < 0 || p.Attempts < 0 {
			t.Fatalf("%+v", p)
		}
	})
}
