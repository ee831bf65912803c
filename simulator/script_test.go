package simulator

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAScriptIsReadAsItIsWritten(t *testing.T) {
	t.Parallel()
	parsed, err := parseScript(" busy , machine ,human + talk=40s+ ring=3s")
	require.NoError(t, err)
	require.Len(t, parsed, 3)
	assert.Equal(t, "busy", parsed.at(1).outcome)
	assert.Equal(t, "machine", parsed.at(2).outcome)
	for _, n := range []int{3, 4, 100} {
		assert.Equal(t, "human", parsed.at(n).outcome, "the last step repeats")
		assert.Equal(t, 40*time.Second, *parsed.at(n).talk)
		assert.Equal(t, 3*time.Second, *parsed.at(n).ring)
	}
}

func TestAScriptWithAnErrorSaysWhereAndWhatToDo(t *testing.T) {
	t.Parallel()
	for script, wants := range map[string][]string{
		"":                               {"step 1", "empty", "name an outcome"},
		"human,,busy":                    {"step 2", "empty"},
		"human,bizzy":                    {"step 2", `"bizzy"`, "busy"},
		"human+ring":                     {"step 1", `"ring" needs a value`},
		"human+ring=":                    {`"ring" needs a value`},
		"human+ring=3":                   {"ring=3", "500ms"},
		"human+ring=-3s":                 {"ring=-3s", "give a duration"},
		"human+talk=999h":                {"up to 168h"},
		"human=3s":                       {`"human" takes no value`},
		"human+machine":                  {"two outcomes", "comma"},
		"human+early=3s":                 {`"early" takes no value`},
		"human+lost+lost":                {`"lost" is said twice`},
		"human+lost=some":                {"terminal, answered, amd, all"},
		"human+ended_by=me":              {"caller, bot, gateway"},
		"human+words=0":                  {"whole number from 1"},
		"human+sip=486":                  {"not answered"},
		"busy+sip=404":                   {"404", "invalid_number", "alone"},
		"sip=200":                        {"300 to 999"},
		"busy+talk=3s":                   {`"talk" is for calls that are answered`},
		"sip=486+never_ends":             {`"never_ends"`},
		"human+no_code":                  {"no_code", "busy"},
		"silent+words=3":                 {"greeting"},
		"human+beep":                     {"machines"},
		"http=200":                       {"300 to 599"},
		"http=500+rubbish":               {"both answers"},
		"lost_answer+no_ids":             {"both answers"},
		"placed":                         {"http=500+placed"},
		"retry_after=3s":                 {"http=503+retry_after=3s"},
		"early+lost":                     {`"early"`, "drop it"},
		"early+never_ends":               {`"early"`},
		"early+http=503":                 {`"early"`, "none is placed"},
		"late_verdict+gen1":              {"gen2"},
		"gen1+gen2":                      {"keep one"},
		"talk=3s+long":                   {"keep one"},
		"human+malformed=always":         {"instead, first"},
		"human+late_events=soon":         {"give a duration"},
		"human+result":                   {`"result" needs a value`},
		"human+result=yes":               {"confirmed, declined, callback, opted_out, unfinished"},
		"busy+result=confirmed":          {`"result" is for calls that are answered`},
		"human+late_result":              {"result=confirmed+late_result"},
		"result=declined+callback_in=2h": {"result=callback"},
	} {
		_, err := parseScript(script)
		require.Error(t, err, script)
		assert.NotContains(t, err.Error(), "\n")
		for _, want := range wants {
			assert.ErrorContains(t, err, want, script)
		}
	}
}

func TestNoTextMakesTheScriptReaderPanic(t *testing.T) {
	t.Parallel()
	words := append(strings.Fields(wordList(outcomeWords)), strings.Fields(wordList(optionWords))...)
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.OneOf(
			rapid.SampledFrom(words), rapid.SampledFrom([]string{",", "+", "=", "3s", "486", "first", "all", "bot"}), rapid.String(),
		), 0, 12).Draw(t, "parts")
		parsed, err := parseScript(strings.Join(parts, rapid.SampledFrom([]string{"", "+", "="}).Draw(t, "glue")))
		if err == nil && len(parsed) == 0 {
			t.Fatal("a script without steps and without an error")
		}
	})
}

func TestAnyScriptThatIsAcceptedCanBePlanned(t *testing.T) {
	t.Parallel()
	outcomes := append(strings.Fields(wordList(outcomeWords)), "sip=486", "sip=999", "")
	options := []string{
		"ring=0s", "ring=70s", "pdd=0s", "talk=0s", "talk=1s", "talk=30m", "never_ends", "words=1", "words=30", "beep", "beep=2s", "amd=none", "amd=mode",
		"ended_by=bot", "gen1", "gen2", "early", "late_verdict", "no_code", "result=callback", "callback_in=1h", "late_result",
	}
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfNDistinct(rapid.SampledFrom(options), 0, 5, rapid.ID[string]).Draw(t, "options")
		if outcome := rapid.SampledFrom(outcomes).Draw(t, "outcome"); outcome != "" {
			words = append(words, outcome)
		}
		s, err := parseStep(strings.Join(words, "+"))
		if err != nil {
			t.Skip(err)
		}
		asked := Requested{
			Timeout:   time.Duration(rapid.IntRange(1, 90_000).Draw(t, "timeout")) * time.Millisecond,
			Detection: rapid.SampledFrom([]Detection{Detect, Disconnect, Disabled}).Draw(t, "mode"),
			Threshold: rapid.IntRange(1, 40).Draw(t, "threshold"), Timers: defaultTimers,
		}
		unit := rapid.Float64Range(0, 0.999)
		d := dice{rapid.Bool().Draw(t, "gen2"), unit.Draw(t, "pdd"), unit.Draw(t, "ring"), unit.Draw(t, "talk"), unit.Draw(t, "words"), unit.Draw(t, "speech")}
		p := makePlan(s, asked, d, Mixed)
		switch {
		case p.dialect != Gen1 && p.dialect != Gen2:
			t.Fatalf("dialect %q", p.dialect)
		case p.connect > asked.Timeout:
			t.Fatalf("rings until %s, past its time-out %s", p.connect, asked.Timeout)
		case p.ring < 0 || p.ring > p.connect:
			t.Fatalf("rings %s of %s", p.ring, p.connect)
		case p.talk < 0:
			t.Fatalf("talks %s", p.talk)
		case p.end.answered && p.end.sip != 200:
			t.Fatalf("answered with %d", p.end.sip)
		case !p.end.answered && (len(p.amd) > 0 || p.endless):
			t.Fatal("detection, or endless talk, in a call that was not answered")
		case !p.endless && len(p.amd) > 0 && p.amd[len(p.amd)-1].at > p.talk:
			t.Fatal("detection after the end")
		case asked.Detection == Disabled && len(p.amd) > 0:
			t.Fatal("detection that was switched off")
		}
	})
}

func TestATargetCanSayWhatBecomesOfIt(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"tel:15557770486":              "sip=486",
		"tel:+1 555 777 0607":          "sip=607",
		"tel:15557770200":              "human",
		"tel:15557770211":              "busy,human",
		"tel:15557770901":              "human+lost_answer",
		"tel:15557771234":              "",
		"tel:15557770499":              "", // no code of SIP
		"tel:15557770302":              "", // no failure
		"tel:1550486":                  "", // too short to be more than an accident
		"sip:busy@example.org":         "busy",
		"sip:busy,human+lost@pbx:5060": "busy,human+lost",
		"sip:sip=486@example.org":      "sip=486",
		"sip:1234567890@1.2.3.4:1234":  "",
		"sip:alice@example.org":        "",
		"sip:long@example.org":         "", // a name
		"sip:humane@example.org":       "",
		"sip:http=503@example.org":     "http=503",
	} {
		parsed, err := parseTarget(text)
		require.NoError(t, err, text)
		got, _ := conventional(parsed)
		if want == "" {
			_, found := conventional(parsed)
			assert.False(t, found, text)
			continue
		}
		assert.Equal(t, want, got, text)
	}
	for suffix, text := range numberScripts {
		_, err := parseScript(text)
		assert.NoError(t, err, suffix)
	}
}

func TestTheMoreSpecificScriptWins(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{Profile: Profile{Outcomes: map[string]float64{"declined": 1}}})
	outcome := func(changes fields) Outcome {
		d.sim.Reset()
		status, text := d.dial(changes)
		require.Equal(t, 200, status, text)
		return d.settledWith(1)[0].Outcome
	}
	assert.Equal(t, Declined, outcome(nil), "the profile")
	assert.Equal(t, Busy, outcome(fields{"target": "tel:15557770486"}), "the number before the profile")
	assert.Equal(t, Machine, outcome(fields{"target": "tel:15557770486", "metadata": fields{"simulate": "machine"}}), "the request before the number")
	require.NoError(t, d.sim.Script("+1 555 777 0486", "silent"))
	assert.Equal(t, Silent, outcome(fields{"target": "tel:15557770486", "metadata": fields{"simulate": "machine"}}), "the operator before the request")
	require.NoError(t, d.sim.Script("tel:15557770486", ""))
	assert.Equal(t, Busy, outcome(fields{"target": "tel:15557770486"}), "and back")
	assert.Error(t, d.sim.Script("tel:15557770486", "bizzy"))
	assert.Error(t, d.sim.Script("nobody", "busy"))
}

func TestPlainNumbersMeanNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{PlainNumbers: true})
	d.dial(fields{"target": "tel:15557770486"})
	assert.Equal(t, Human, d.settledWith(1)[0].Outcome)
}

func TestStepsAreTakenInTurn(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	require.NoError(t, d.sim.Script("15557770001", "busy,http=503,machine,human"))
	var statuses []int
	for range 5 {
		status, _ := d.dial(nil)
		statuses = append(statuses, status)
	}
	assert.Equal(t, []int{200, 503, 200, 200, 200}, statuses)
	var outcomes []Outcome
	var dials []int
	for _, c := range d.settledWith(4) {
		outcomes, dials = append(outcomes, c.Outcome), append(dials, c.N)
	}
	assert.Equal(t, []Outcome{Busy, Machine, Human, Human}, outcomes)
	assert.Equal(t, []int{1, 3, 4, 5}, dials, "a refused dial is a dial")
}

func TestTheREADMEExplainsEveryWord(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("README.md")
	require.NoError(t, err)
	readme := string(raw)
	for _, word := range append(strings.Fields(wordList(outcomeWords)), strings.Fields(wordList(optionWords))...) {
		assert.Regexp(t, "`"+word+"[`=\\[]", readme, "the word is not explained")
	}
	for suffix, text := range numberScripts {
		assert.Regexp(t, "(?m)^\\| `"+suffix+"` \\| `"+strings.ReplaceAll(text, "+", `\+`)+"` ", readme)
	}
}
