package app

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"redial/call"
	"redial/followup"
	"redial/internal/timeline"
	"redial/koreai"
	"redial/ledger"
	"redial/phone"
)

// happening is one line of a contact's story.
type happening struct {
	at    time.Time
	n     int // of the attempt; 0: none
	kind  string
	text  string
	rule  string
	until time.Time
	// plan is whether until is when the contact is to be called, and not only when a wait is over at the latest.
	plan    bool
	dropped time.Time // when something else came before that
	// again is how often the same was said in a row after this, at last until, and at.
	again int
	last  time.Time
}

// Kinds of happenings, and of decisions of the ledger that are told in another way.
const (
	kindDial    = "dial"
	kindHeard   = "heard"
	kindAnswer  = "answered"
	kindEnd     = "end"
	kindHeld    = "held"
	kindNote    = "note"
	kindDoubted = "doubted"
	kindDoubt   = "in doubt"
	kindResult  = "result"
	kindOutcome = "outcome"
)

// inOrder puts what happened at the same moment into the order in which one follows from the other.
var inOrder = []string{kindDial, kindHeard, kindAnswer, "no call", kindDoubt, kindEnd, kindResult}

// rank is the place among what happened at the same moment.
func (h happening) rank() int {
	if i := slices.Index(inOrder, h.kind); i >= 0 {
		return i
	}
	if h.kind == kindOutcome {
		return len(inOrder) + 1
	}
	return len(inOrder)
}

// story is all that happened to the contact, in order, up to now.
func (s shown) story(now time.Time, c clock) string {
	all := slices.Concat(s.decided(), s.heard(), s.attempted(), s.people())
	slices.SortStableFunc(all, func(a, b happening) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.rank(), b.rank())) })
	l := timeline.New(s.OpenedAt, c.zone)
	all = inShorter(all)
	drop(all)
	if s.Outcome == "" && s.Wait != nil { // so that a day on which nothing happened is seen to have been waited through
		all = append(all, happening{at: now, kind: "now", text: s.still()})
	}
	var doing happening
	for i, h := range all {
		if i > 0 && all[i-1].kind != kindOutcome {
			idle(l, c.zone, doing, all[i-1].at, h.at)
		}
		if h.begins() {
			doing = h
		}
		l.Add(h.at, h.n, h.kind, h.words(l))
	}
	return l.String()
}

// clocksApart is how far the clocks of a worker and of the ledger may be apart: a dial so much sooner than planned is the one that was planned.
const clocksApart = 2 * time.Second

// drop marks plans before whose time something else was planned, or done.
func drop(all []happening) {
	for i := range all {
		p := &all[i]
		instead := func(h happening) bool { return h.plan || h.kind == kindDial || h.kind == kindOutcome }
		if next := slices.IndexFunc(all[i+1:], instead); p.plan && next >= 0 {
			if h := all[i+1+next]; h.at.Before(p.until.Add(-clocksApart)) {
				p.dropped = h.at
			}
		}
	}
}

func (s shown) still() string {
	switch reason := s.wait().Reason; {
	case s.RunClosed != nil:
		return fmt.Sprintf("its run is over (%s), and nothing follows", s.RunClosed.Status)
	case reason == followup.ReasonCall:
		return "the attempt is still under way (in_call)"
	default:
		return fmt.Sprintf("it still waits (%s)", reason)
	}
}

// begins tells whether the contact does something else from then on: it calls, or it waits.
func (h happening) begins() bool {
	return h.kind == kindDial || h.kind == kindHeld || !h.until.IsZero() && h.kind != kindResult
}

// idle says of whole days on which nothing happened why the contact was not called on them.
func idle(l *timeline.Timeline, zone *time.Location, doing happening, from, to time.Time) {
	y, m, d := from.In(zone).Date()
	first, after := time.Date(y, m, d+1, 0, 0, 0, 0, zone), to.In(zone)
	last := time.Date(after.Year(), after.Month(), after.Day()-1, 0, 0, 0, 0, zone)
	if last.Before(first) {
		return
	}
	const day = "Mon 2 Jan"
	days := first.Format(day)
	if last.After(first) {
		days += " to " + last.Format(day)
	}
	why := doing.words(l)
	switch {
	case doing.kind == kindDial:
		why = "an attempt was under way"
	case !doing.until.IsZero() && doing.until.Before(first):
		why = "its wait was over at " + l.Moment(doing.until, from) + ", and no worker went on with it"
	case doing.kind != kindHeld:
		why = waitsFor[followup.ReasonRetry] + " (retry): " + why
	}
	l.Between(days + ": not called; " + why)
}

// inShorter leaves out what says nothing that the line before does not: the same wait again, and the note of a pause that is shown as a
// wait.
func inShorter(all []happening) (list []happening) {
	for _, h := range all {
		if len(list) > 0 {
			before := &list[len(list)-1]
			if before.kind == kindHeld && h.kind == kindNote && h.text == before.text {
				continue
			}
			if before.kind == kindHeld && h.kind == kindHeld && !h.plan && h.text == before.text && h.rule == before.rule && h.n == before.n {
				before.again, before.last, before.until = before.again+1, h.at, h.until
				continue
			}
		}
		list = append(list, h)
	}
	return list
}

// words are the text of a line.
func (h happening) words(l *timeline.Timeline) string {
	text := plainLine(h.text)
	switch {
	case h.until.IsZero():
	case h.kind == kindHeld:
		text += ", until " + l.Moment(h.until, h.at)
	case h.kind == kindResult:
		text += " at " + l.Moment(h.until, h.at)
	default:
		text += ": again at " + l.Moment(h.until, h.at)
	}
	if !h.dropped.IsZero() {
		text += " (dropped at " + l.Moment(h.dropped, h.at) + ")"
	}
	if h.again > 0 {
		text += fmt.Sprintf("; said %d times, at last at %s", h.again+1, l.Moment(h.last, h.at))
	}
	if h.rule != "" {
		text += "  [" + plainLine(h.rule) + "]"
	}
	return text
}

// attemptOf is the number at the end of an attempt's key; 0: there is none.
func attemptOf(key string) int {
	n, _ := strconv.Atoi(key[strings.LastIndex(key, "/")+1:])
	return n
}

// decided is the decision log.
func (s shown) decided() (list []happening) {
	for _, d := range s.Decisions {
		h := happening{at: d.At, n: attemptOf(d.AttemptKey), kind: d.Kind, text: d.Reason, rule: d.Rule, until: d.Until}
		h.plan = !d.Until.IsZero() && (d.Kind == "decided" || d.Kind == "replanned" || d.Kind == kindHeld && followup.Reason(d.Reason) == followup.ReasonRescheduled)
		switch d.Kind {
		case "cleared":
			h.kind = kindDial
			h.text, h.rule = allowed(d)
		case kindHeld:
			h.text, h.rule = held(d)
		case kindNote:
			h.rule = ""
		case kindDoubted:
			if s.doubtedAt(d.AttemptKey) == d.At.UnixMicro() {
				continue // what is known of the attempt says it
			}
			h.kind, h.rule = kindDoubt, ""
		case "resolved":
			h.text = "an operator has settled what was in doubt: " + d.Reason
		case "finished":
			if s.Outcome != "" && s.Reason == d.Reason {
				continue // the outcome says it
			}
		}
		h.text = s.to(d, h.text)
		list = append(list, h)
	}
	return list
}

// to is a text with the number that it is of, where the contact has several.
func (s shown) to(d ledger.Decision, text string) string {
	uri := d.Target().URI
	if i := slices.IndexFunc(s.Attempts, func(a ledger.ContactAttempt) bool { return a.Key == d.AttemptKey }); i >= 0 && uri == "" && d.Kind == "cleared" {
		uri = s.Attempts[i].Target // by a version before this one
	}
	n := s.number(uri)
	switch {
	case n == "":
		return text
	case d.Kind == "decided" || d.Kind == "replanned":
		return text + "; then " + n
	}
	return n + ": " + text
}

// held is why a contact has waited, and under which rule. What somebody has asked for says why itself.
func held(d ledger.Decision) (text, rule string) {
	reason := followup.Reason(d.Reason)
	if reason == followup.ReasonPaused || reason == followup.ReasonRescheduled {
		return d.Rule, ""
	}
	return fmt.Sprintf("%s (%s)", cmp.Or(waitsFor[reason], "it waits"), reason), d.Rule
}

// bases say what zones were taken from.
var bases = map[phone.Basis]string{phone.BasisStated: "as was stated", phone.BasisNumber: "by the number", phone.BasisCountry: "all zones of the number's country",
	followup.BasisPolicy: "named by the policy"}

// allowed is by what a call was allowed.
func allowed(d ledger.Decision) (text, rule string) {
	var e followup.Evidence
	_ = json.Unmarshal(d.Evidence, &e)
	text = d.Reason
	if len(e.Zones) > 0 {
		text += "; the clocks of " + clocksInWords(e.Clocks)
	}
	if e.Recipient != nil {
		text += ", and of " + clocksInWords(*e.Recipient)
	}
	for _, by := range []followup.By{followup.ByNumber, followup.ByContact, followup.BySubject} {
		if n, counted := e.Calls[by]; counted {
			text += fmt.Sprintf("; %s to the %s before it", counting(n, "counted call"), by)
		}
	}
	if e.Consent != nil {
		text += "; consent: " + e.Consent.Source
	}
	return text, strings.Join(append([]string{cmp.Or(e.Policy, d.Rule)}, e.Presets...), ", ")
}

func clocksInWords(c followup.Clocks) string {
	return fmt.Sprintf("%s (%s)", some(c.Zones), bases[c.Basis])
}

// heard is what the gateway reported, and what bots said.
func (s shown) heard() (list []happening) {
	for _, n := range s.Notifications {
		list = append(list, happening{at: n.At, n: attemptOf(n.AttemptKey), kind: kindHeard, text: reported(n.Raw) + remark(n.Note)})
	}
	for _, r := range s.Results {
		h := happening{at: r.At, n: attemptOf(r.AttemptKey), kind: kindResult, text: "not understood: " + compact(r.Raw)}
		if r.Said != nil {
			h.text, h.until = "the bot says: "+string(r.Said.Kind), r.Said.At
			if len(r.Said.Data) > 0 {
				h.text += " " + compact(string(r.Said.Data))
			}
		}
		h.text += remark(r.Note)
		list = append(list, h)
	}
	return list
}

func remark(note string) string {
	if note == "" {
		return ""
	}
	return "  (" + note + ")"
}

// reported is a notification in short; one that cannot be read, as it is.
func reported(raw string) string {
	events, err := koreai.Decode([]byte(raw), koreai.DecodeOptions{})
	if err != nil || len(events) == 0 {
		return compact(raw)
	}
	var all []string
	for _, e := range events {
		all = append(all, inWords(e))
	}
	return strings.Join(all, "; ")
}

func inWords(e call.Event) string {
	text := cmp.Or(e.RawStatus, string(e.Status))
	for _, part := range []string{string(e.AMD), e.Reason, e.ReasonCode} {
		if part != "" && !strings.Contains(text, part) {
			text += ", " + part
		}
	}
	if e.Duration > 0 {
		text += ", after " + e.Duration.String()
	}
	return text
}

// attempted is what became of attempts.
func (s shown) attempted() (list []happening) {
	for _, a := range s.Attempts {
		if !a.DialedAt.IsZero() && !s.wasCleared(a.Key) {
			list = append(list, happening{at: a.DialedAt, n: a.N, kind: kindDial,
				text: s.to(ledger.Decision{Kind: "cleared", AttemptKey: a.Key}, "the ledger has no record of why")})
		}
		if !a.AnsweredAt.IsZero() {
			// It is reckoned from the duration that the gateway states, whose clock is another.
			list = append(list, happening{at: later(a.AnsweredAt, a.DialedAt), n: a.N, kind: kindAnswer})
		}
		kind, at := kindEnd, cmp.Or(micro(a.EndedAt), micro(a.SettledAt), micro(a.DialedAt)+1)
		switch {
		case a.State == call.StateNotPlaced:
			kind = "no call"
		case a.State == call.StateUnknown:
			kind, at = kindDoubt, cmp.Or(s.doubtedAt(a.Key), s.decidedAt(a.Key), at)
		case a.Disposition == "":
			continue // it is under way
		}
		list = append(list, happening{at: time.UnixMicro(at).UTC(), n: a.N, kind: kind, text: describeAttempt(a.Attempt) + meaning(a.Disposition)})
	}
	return list
}

// meanings are of dispositions whose names say too little.
var meanings = map[call.Disposition]string{
	call.Silent:       "it was answered, and nobody spoke",
	call.Undecided:    "it was answered, and nobody can tell whether by a person",
	call.AMDFailed:    "it was answered, and machine detection failed",
	call.Answered:     "it was answered, and nobody looked whether by a person",
	call.Unwanted:     "the person rejects such calls",
	call.Blocked:      "a carrier on the way took it for an unwanted call",
	call.TrunkError:   "a fault of the trunk: no phone rang",
	call.NetworkError: "a fault of the network: no phone rang",
	call.Unknown:      "the phone may have rung, and nobody knows what came of it",
}

func meaning(d call.Disposition) string {
	if meanings[d] == "" {
		return ""
	}
	return "; " + meanings[d]
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// micro is a time as a number; 0: none.
func micro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// decidedAt is when it was decided what follows an attempt; 0: it was not.
func (s shown) decidedAt(key string) int64 {
	if i := slices.IndexFunc(s.Decisions, func(d ledger.Decision) bool { return d.Kind == "decided" && d.AttemptKey == key }); i >= 0 {
		return s.Decisions[i].At.UnixMicro()
	}
	return 0
}

// doubtedAt is when an attempt that is in doubt came into doubt; 0: it is not, or a version before this one has not written that down.
func (s shown) doubtedAt(key string) (at int64) {
	unknown := func(a ledger.ContactAttempt) bool { return a.Key == key && a.State == call.StateUnknown }
	for _, d := range s.Decisions {
		if d.Kind == kindDoubted && d.AttemptKey == key && slices.ContainsFunc(s.Attempts, unknown) {
			at = d.At.UnixMicro()
		}
	}
	return at
}

func (s shown) wasCleared(key string) bool {
	return slices.ContainsFunc(s.Decisions, func(d ledger.Decision) bool { return d.Kind == "cleared" && d.AttemptKey == key })
}

// people is the outcome, who must not be called since, and what people were told.
func (s shown) people() (list []happening) {
	for _, made := range s.Suppressed {
		if !made.At.Before(s.OpenedAt) {
			list = append(list, happening{at: made.At, kind: "suppress", text: fmt.Sprintf("%s must not be called any more: %s", s.subject(made), made.Reason), rule: made.Source})
		}
	}
	if s.Outcome == "" {
		return list
	}
	list = append(list, happening{at: s.ClosedAt, kind: kindOutcome, text: string(s.Outcome) + s.because(), rule: s.Rule})
	e := s.Escalation
	if e == nil {
		return list
	}
	if !e.DeliveredAt.IsZero() {
		list = append(list, happening{at: e.DeliveredAt, kind: "told", text: fmt.Sprintf("%s has taken the escalation (%s)", receiverOf(*e), tries(e.Tries))})
	}
	if !e.AckedAt.IsZero() {
		list = append(list, happening{at: e.AckedAt, kind: "seen to", text: "by " + acknowledged(*e)})
	}
	return list
}

// longestLine is how much of a text a line shows, in bytes.
const longestLine = 600

// plainLine is a text on one line, without what a terminal would act on, cut where it would run on.
func plainLine(text string) string {
	text = inert(text)
	if len(text) > longestLine {
		return strings.ToValidUTF8(text[:longestLine], "") + "…"
	}
	return text
}

// compact is what was received, on one line, cut where it would run on.
func compact(raw string) string {
	var b bytes.Buffer
	if json.Compact(&b, []byte(raw)) == nil { // as it stands: a key that is there twice, too
		raw = b.String()
	}
	const most = 160
	raw = strings.Join(strings.Fields(raw), " ")
	if len(raw) > most {
		return strings.ToValidUTF8(raw[:most], "") + "…"
	}
	return raw
}
