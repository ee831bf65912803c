package simulator

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// longest bounds every duration in a script: a call of a week is a mistake in the unit.
const longest = 7 * 24 * time.Hour

// badCopy says whether a spoilt terminal notification goes out, and whether the good one follows it.
type badCopy int

const (
	noBadCopy badCopy = iota
	badInstead
	badFirst
)

// step is what one dial of a target comes to.
type step struct {
	text string

	// The person or machine at the other end, and what the gateway makes of it.
	outcome    string // a word of outcomeWords; "" when only options were given
	sip        int    // final response; 0 leaves it to the outcome
	noCode     bool   // the failure is reported in words, without its number
	ring       *time.Duration
	pdd        *time.Duration
	talk       *time.Duration
	endless    bool
	words      int            // 0 leaves it to the outcome
	beep       *time.Duration // zero: right after the greeting
	amd        string         // what the terminal notification says of detection; "" leaves it to the detection
	endedBy    Party          // "" leaves it to the outcome
	dialect    Dialect        // "" leaves it to the configuration
	answer     answerFault
	notify     notifyFaults
	bot        botScript
	retryAfter time.Duration
}

// answerFault is what goes wrong with the answer to the dialout request.
type answerFault struct {
	word   string        // the script's word for it, or outageRefuse; "" when the answer is as it should be
	status int           // the HTTP status of http=
	placed bool          // the call is placed although the status says no
	slow   time.Duration // real time between placing the call and answering
	early  bool          // the answer waits until the terminal notification has been delivered
}

// places reports whether the call is placed, whatever the answer says.
func (a answerFault) places() bool {
	return a.placed || (a.word != "reset_before" && a.word != "http" && a.word != outageRefuse)
}

// notifyFaults is what goes wrong with the notifications of a call.
type notifyFaults struct {
	lost        string // "terminal", "answered", "amd", "all", or ""
	late        time.Duration
	lateEvents  time.Duration
	lateVerdict time.Duration
	reorder     bool
	duplicate   bool
	contradict  bool
	malformed   badCopy
	wrongToken  badCopy

	missing        string // a field in small letters, missingMost, or ""
	array          bool
	stringDuration bool
	oddCase        bool
	dayFirst       bool
}

// script is the steps of a target: the n-th dial takes the n-th step, and the last step repeats.
type script []step

// at gives the step of the n-th dial, counted from 1.
func (s script) at(n int) step { return s[min(n, len(s))-1] }

// outcomeWords are the words of a script that name an outcome; the value tells whether the call is answered.
var outcomeWords = map[string]bool{
	"human": true, "machine": true, "tone": true, "stopped_speaking": true, "silent": true, "undecided": true,
	"amd_error": true, "answered": true,
	"busy": false, "no_answer": false, "unreachable": false, "declined": false, "unwanted": false, "blocked": false,
	"invalid_number": false, "trunk_error": false, "network_error": false, "failed": false,
}

// valueRule says whether an option of a script takes a value after "=".
type valueRule int

const (
	noValue valueRule = iota
	mayHaveValue
	needsValue
)

// option is one word of the grammar that is not an outcome.
type option struct {
	value valueRule
	set   func(s *step, value string) error
}

// flag is an option without a value.
func flag(set func(s *step)) option {
	return option{noValue, func(s *step, _ string) error { set(s); return nil }}
}

// span is an option with a duration.
func span(rule valueRule, fallback time.Duration, set func(s *step, d time.Duration)) option {
	return option{rule, func(s *step, value string) error {
		d := fallback
		if value != "" {
			var err error
			if d, err = time.ParseDuration(value); err != nil || d < 0 || d > longest {
				return fmt.Errorf("give a duration like 500ms, 3s or 30m, up to %s", longest)
			}
		}
		set(s, d)
		return nil
	}}
}

// oneOf is an option with a word out of a closed list, the first of which is the default where a value may be left out.
func oneOf(rule valueRule, set func(s *step, word string), words ...string) option {
	return option{rule, func(s *step, value string) error {
		if value == "" {
			value = words[0]
		}
		if !slices.Contains(words, value) {
			return fmt.Errorf("give one of %s", strings.Join(words, ", "))
		}
		set(s, value)
		return nil
	}}
}

// number is an option with an integer in a range.
func number(low, high int, set func(s *step, n int)) option {
	return option{needsValue, func(s *step, value string) error {
		n, err := strconv.Atoi(value)
		if err != nil || n < low || n > high {
			return fmt.Errorf("give a whole number from %d to %d", low, high)
		}
		set(s, n)
		return nil
	}}
}

// spoilt is an option that spoils the terminal notification, or puts a spoilt copy before it.
func spoilt(which func(s *step) *badCopy) option {
	return oneOf(mayHaveValue, func(s *step, word string) {
		if *which(s) = badInstead; word == "first" {
			*which(s) = badFirst
		}
	}, "instead", "first")
}

// answering is an option that is one of the ways in which the dialout request is answered wrongly.
func answering(word string) option { return flag(func(s *step) { s.answer.word = word }) }

// answerWords exclude each other: a request has one answer.
var answerWords = []string{"http", "lost_answer", "no_ids", "reset_before", "rubbish"}

// optionWords is the vocabulary of a step besides its outcome; the README explains each word.
var optionWords = map[string]option{
	// The call.
	"sip":        number(300, 999, func(s *step, n int) { s.sip = n }),
	"no_code":    flag(func(s *step) { s.noCode = true }),
	"ring":       span(needsValue, 0, func(s *step, d time.Duration) { s.ring = &d }),
	"pdd":        span(needsValue, 0, func(s *step, d time.Duration) { s.pdd = &d }),
	"talk":       span(needsValue, 0, func(s *step, d time.Duration) { s.talk = &d }),
	"long":       span(mayHaveValue, 30*time.Minute, func(s *step, d time.Duration) { s.talk = &d }),
	"never_ends": flag(func(s *step) { s.endless = true }),
	"words":      number(1, 1000, func(s *step, n int) { s.words = n }),
	"beep":       span(mayHaveValue, 0, func(s *step, d time.Duration) { s.beep = &d }),
	"amd":        {needsValue, func(s *step, value string) error { s.amd = value; return nil }},
	"ended_by": oneOf(needsValue, func(s *step, word string) { s.endedBy = Party(word) },
		string(ByCaller), string(ByBot), string(ByGateway)),
	"gen1": flag(func(s *step) { s.dialect = Gen1 }),
	"gen2": flag(func(s *step) { s.dialect = Gen2 }),

	// The answer to the dialout request.
	"http":         number(300, 599, func(s *step, n int) { s.answer.word, s.answer.status = "http", n }),
	"placed":       flag(func(s *step) { s.answer.placed = true }),
	"retry_after":  span(needsValue, 0, func(s *step, d time.Duration) { s.retryAfter = d }),
	"reset_before": answering("reset_before"),
	"lost_answer":  answering("lost_answer"),
	"rubbish":      answering("rubbish"),
	"no_ids":       answering("no_ids"),
	"slow_answer":  span(needsValue, 0, func(s *step, d time.Duration) { s.answer.slow = d }),
	"early":        flag(func(s *step) { s.answer.early = true }),

	// The notifications.
	"lost":         oneOf(mayHaveValue, func(s *step, word string) { s.notify.lost = word }, "terminal", "answered", "amd", "all"),
	"late":         span(mayHaveValue, 2*time.Second, func(s *step, d time.Duration) { s.notify.late = d }),
	"late_events":  span(mayHaveValue, 2*time.Second, func(s *step, d time.Duration) { s.notify.lateEvents = d }),
	"late_verdict": span(mayHaveValue, 500*time.Millisecond, func(s *step, d time.Duration) { s.notify.lateVerdict = d }),
	"reorder":      flag(func(s *step) { s.notify.reorder = true }),
	"duplicate":    flag(func(s *step) { s.notify.duplicate = true }),
	"contradict":   flag(func(s *step) { s.notify.contradict = true }),
	"malformed":    spoilt(func(s *step) *badCopy { return &s.notify.malformed }),
	"wrong_token":  spoilt(func(s *step) *badCopy { return &s.notify.wrongToken }),

	"missing": {mayHaveValue, func(s *step, value string) error {
		if s.notify.missing = strings.ToLower(value); value == "" {
			s.notify.missing = missingMost
		}
		return nil
	}},
	"array":           flag(func(s *step) { s.notify.array = true }),
	"string_duration": flag(func(s *step) { s.notify.stringDuration = true }),
	"odd_case":        flag(func(s *step) { s.notify.oddCase = true }),
	"day_first":       flag(func(s *step) { s.notify.dayFirst = true }),

	// The bot.
	"result":            oneOf(needsValue, func(s *step, word string) { s.bot.result = word }, resultWords...),
	"callback_in":       span(needsValue, 0, func(s *step, d time.Duration) { s.bot.callbackIn = &d }),
	"late_result":       span(mayHaveValue, 2*time.Second, func(s *step, d time.Duration) { s.bot.late = d }),
	"duplicate_result":  flag(func(s *step) { s.bot.duplicate = true }),
	"contradict_result": flag(func(s *step) { s.bot.contradict = true }),
}

// parseScript reads a script. Its error is one line that names the step and what to do about it.
func parseScript(text string) (script, error) {
	var parsed script
	for i, part := range strings.Split(text, ",") {
		s, err := parseStep(part)
		if err != nil {
			return nil, fmt.Errorf("script, step %d %q: %w", i+1, strings.TrimSpace(part), err)
		}
		parsed = append(parsed, s)
	}
	return parsed, nil
}

func parseStep(text string) (step, error) {
	s := step{text: strings.TrimSpace(text)}
	if s.text == "" {
		return step{}, fmt.Errorf("the step is empty: name an outcome, as in %q", "busy,human")
	}
	seen := map[string]bool{}
	for part := range strings.SplitSeq(s.text, "+") {
		word, value, hasValue := strings.Cut(strings.TrimSpace(part), "=")
		if seen[word] {
			return step{}, fmt.Errorf("%q is said twice: say it once", word)
		}
		seen[word] = true
		if err := s.take(word, value, hasValue); err != nil {
			return step{}, err
		}
	}
	return s, s.check(seen)
}

// take adds one word of the script to the step.
func (s *step) take(word, value string, hasValue bool) error {
	if _, isOutcome := outcomeWords[word]; isOutcome {
		switch {
		case hasValue:
			return fmt.Errorf("the outcome %q takes no value: put options after a plus sign, as in %q", word, word+"+ring=3s")
		case s.outcome != "":
			return fmt.Errorf("two outcomes, %q and %q: put a comma between them to make two dials of it", s.outcome, word)
		}
		s.outcome = word
		return nil
	}
	o, known := optionWords[word]
	switch {
	case !known:
		return fmt.Errorf("unknown word %q: outcomes are %s; options are %s", word, wordList(outcomeWords), wordList(optionWords))
	case hasValue && o.value == noValue:
		return fmt.Errorf("%q takes no value: drop %q", word, "="+value)
	case hasValue && value == "", !hasValue && o.value == needsValue:
		return fmt.Errorf("%q needs a value: write %s=…", word, word)
	}
	if err := o.set(s, value); err != nil {
		return fmt.Errorf("%s=%s: %w", word, value, err)
	}
	return nil
}

// check reports words of a step that cannot both be meant.
func (s step) check(said map[string]bool) error {
	var answers []string
	for _, word := range answerWords {
		if said[word] {
			answers = append(answers, word)
		}
	}
	switch {
	case len(answers) > 1:
		return fmt.Errorf("%q and %q are both answers to one request: keep one", answers[0], answers[1])
	case said["placed"] && !said["http"]:
		return fmt.Errorf("%q goes with an HTTP status: write http=500+placed", "placed")
	case said["retry_after"] && !said["http"]:
		return fmt.Errorf("%q goes with an HTTP status: write http=503+retry_after=3s", "retry_after")
	case s.answer.early && (s.endless || s.notify.lost == "terminal" || s.notify.lost == "all"):
		return fmt.Errorf("%q answers after the terminal notification, and there is none: drop it, or what loses the notification", "early")
	case s.answer.early && !s.answer.places():
		return fmt.Errorf("%q answers after the terminal notification of a call, and none is placed: drop one of the two", "early")
	case s.notify.lateVerdict > 0 && s.dialect == Gen1:
		return fmt.Errorf("%q needs the Call-In-Progress of gen2: drop gen1", "late_verdict")
	case said["gen1"] && said["gen2"]:
		return fmt.Errorf("%q and %q in one call: keep one", "gen1", "gen2")
	case said["talk"] && said["long"]:
		return fmt.Errorf("%q is another name for %q: keep one", "long", "talk")
	}
	return cmp.Or(s.bot.check(said), s.checkCall(said))
}

// checkCall reports options of the call that do not go with its outcome.
func (s step) checkCall(said map[string]bool) error {
	answered := s.answered()
	if s.sip != 0 && outcomeWords[s.outcome] {
		return fmt.Errorf("sip=%d is for calls that are not answered: drop %q or the code", s.sip, s.outcome)
	}
	if s.sip != 0 && s.outcome != "" && outcomeOfSIP(s.sip) != Outcome(s.outcome) {
		return fmt.Errorf("%d is not a code of %q but of %q: write sip=%d alone", s.sip, s.outcome, outcomeOfSIP(s.sip), s.sip)
	}
	for _, word := range []string{"talk", "long", "never_ends", "words", "beep", "amd", "ended_by", "late_verdict", "result"} {
		if said[word] && !answered {
			return fmt.Errorf("%q is for calls that are answered: drop it, or choose another outcome", word)
		}
	}
	if said["no_code"] && answered {
		return fmt.Errorf("%q is for calls that fail: name an outcome like busy", "no_code")
	}
	if said["words"] && !slices.Contains([]string{"", "human", "machine", "stopped_speaking"}, s.outcome) {
		return fmt.Errorf("%q is for a greeting, and %q has none: use human or machine", "words", s.outcome)
	}
	if said["beep"] && !slices.Contains([]string{"machine", "stopped_speaking", "tone"}, s.outcome) {
		return fmt.Errorf("%q is for machines: use machine or tone", "beep")
	}
	return nil
}

// answered reports whether somebody or something takes the call, if it rings long enough.
func (s step) answered() bool {
	if s.outcome == "" {
		return s.sip == 0
	}
	return outcomeWords[s.outcome]
}

func wordList[V any](words map[string]V) string {
	list := make([]string, 0, len(words))
	for word := range words {
		list = append(list, word)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// numberScripts gives the scripts of the last four digits of a telephone number; beside them, "0" and a SIP failure
// code of three digits means that code (0486 is busy). The README carries the same table for readers.
var numberScripts = map[string]string{
	"0200": "human", "0201": "machine", "0202": "tone", "0203": "stopped_speaking",
	"0204": "silent", "0205": "undecided", "0206": "amd_error", "0207": "answered",
	"0210": "machine,human", "0211": "busy,human", "0212": "no_answer,human", "0213": "busy,machine,human",
	"0900": "human+lost", "0901": "human+lost_answer", "0902": "reset_before", "0903": "human+duplicate",
	"0904": "human+reorder", "0905": "busy+early", "0906": "human+contradict", "0907": "human+malformed",
	"0908": "human+wrong_token", "0909": "human+rubbish", "0910": "human+http=500+placed", "0911": "http=503",
	"0912": "http=429", "0913": "human+never_ends",
}

// scriptUser matches a SIP user part that is a script: one that opens with an outcome, a response or an answer. Other
// options do not count, for people may be called Long, or early.
var scriptUser = regexp.MustCompile(`^(` + strings.ReplaceAll(wordList(outcomeWords), " ", "|") +
	`|sip=[0-9]+|http=[0-9]+|reset_before|lost_answer|rubbish|no_ids)([,+]|$)`)

// conventional gives the script that a target itself asks for, by its last digits or its SIP user part.
func conventional(t target) (text string, found bool) {
	if t.user != "" {
		return t.user, scriptUser.MatchString(t.user)
	}
	const suffix = 4
	if len(t.digits) < suffix+4 {
		return "", false
	}
	last := t.digits[len(t.digits)-suffix:]
	if text, found = numberScripts[last]; found {
		return text, true
	}
	code, err := strconv.Atoi(last)
	if _, known := sipPhrases[code]; err != nil || !known || code < http.StatusBadRequest {
		return "", false
	}
	return fmt.Sprintf("sip=%d", code), true
}
