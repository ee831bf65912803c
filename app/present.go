package app

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"redial/call"
	"redial/followup"
	"redial/ledger"
	"redial/workflows"
)

// waitsFor says why a contact waits, for each reason of the closed list.
var waitsFor = map[followup.Reason]string{
	followup.ReasonLinesBusy:   "every line of the account carries a call",
	followup.ReasonRate:        "the account has made as many dials as it may in its time",
	followup.ReasonNumber:      "another call to the same number is under way, or may be",
	followup.ReasonThrottled:   "the gateway said that the account is over a limit",
	followup.ReasonUnreachable: "the last requests placed no call, and the way to the gateway is to blame",
	followup.ReasonRetry:       "the next attempt is not due yet",
	followup.ReasonCall:        "an attempt is under way",
	followup.ReasonWindow:      "it is outside calling hours where the recipient is, or may be",
	followup.ReasonLimit:       "there were as many calls already as there may be in a time",
	followup.ReasonQuiet:       "something has happened that is followed by a time without calls",
	followup.ReasonResult:      "the bot has yet to say what the call came to",
	followup.ReasonPaused:      "somebody has paused it",
	followup.ReasonRescheduled: "somebody has asked for another time",
	followup.ReasonFlow:        "its flow waits by its own choice",
	followup.ReasonPolicy:      "the policy that it follows has changed, and is taken up first",
}

// print prints the contact for a person: how it stands now, and its story.
func (s shown) print(w io.Writer, now time.Time, c clock) {
	field := func(name, text string) { fmt.Fprintf(w, "%-8s %s\n", name, text) }
	field("contact", s.ContactID)
	field("workflow", s.WorkflowID)
	field("opened", c.full(s.OpenedAt))
	field("times", c.name(now))
	if all := s.Numbers(); len(all) > 1 {
		field("numbers", s.several(all))
	}
	if s.Follows != "" {
		field("policy", "follows "+plainLine(s.Follows)+", which the ledger keeps")
	}
	switch {
	case s.Outcome != "":
		field("outcome", s.ended(c))
		field("", s.afterwards())
	case s.RunClosed != nil:
		field("now", fmt.Sprintf("its run is over (%s, %s), and nothing follows;", s.RunClosed.Status, c.full(s.RunClosed.At)))
		field("", "the sweeper closes the contact within about a minute, while redial up or redial webhook runs")
	case s.Wait != nil:
		name := "now"
		for _, line := range s.present(now, c) {
			field(name, line)
			name = ""
		}
	}
	s.printRun(field)
	for _, made := range s.Suppressed {
		field("barred", s.barred(made, c))
	}
	if s.Escalation != nil {
		field("people", s.told(c))
	}
	fmt.Fprint(w, "\nWhat happened: when, how long after it was opened, in which attempt (#), what, and by which [rule].\n")
	if slices.ContainsFunc(s.Decisions, func(d ledger.Decision) bool { return strings.Contains(d.Rule, ".retry[") }) {
		fmt.Fprint(w, "A retry comes some per cent sooner or later than its rule says, by chance (jitter).\n")
	}
	fmt.Fprintf(w, "\n%s", s.story(now, c))
}

// afterwards is what an outcome, and what is suppressed now, mean for calls to come.
func (s shown) afterwards() string {
	const again = "it is not called any more; to call it again takes another id"
	var numbers []string
	for _, made := range s.Suppressed {
		if made.Kind == ledger.SuppressedContact {
			return "it must not be called any more, at whatever number and in whatever campaign, for as long as that holds: redial suppress check"
		}
		if !slices.Contains(numbers, made.Subject) {
			numbers = append(numbers, made.Subject)
		}
	}
	switch {
	case len(numbers) == 0 && s.Outcome == call.OutcomeSuppressed:
		return again + ", when its rule does not forbid it any more"
	case len(numbers) == 0:
		return again
	case len(numbers) < len(s.Numbers()):
		return again + "; " + s.allOf(numbers) + " must not be called under any, for as long as that holds: redial suppress check"
	}
	return "it must not be called any more, under whatever id, for as long as that holds: redial suppress check"
}

// printRun tells what the run itself says, or that it says nothing.
func (s shown) printRun(field func(name, text string)) {
	switch {
	case s.Outcome != "" || s.RunClosed != nil:
	case s.Run == nil:
		field("run", "no worker answered just now: this is what the ledger knows, and while no worker runs nobody is called")
	default:
		field("run", string(s.Run.State))
	}
}

// several are the numbers of a contact that has more than one.
func (s shown) several(all []string) string {
	here := " (where it is now)"
	if s.Outcome != "" {
		here = " (where it was last)"
	}
	list := make([]string, len(all))
	for i, uri := range all {
		if list[i] = call.Mask(uri); uri == s.Target {
			list[i] += here
		}
	}
	return strings.Join(list, ", ")
}

// number names one of several numbers of the contact; empty: it has no other. What is shown of a number may be the same of two.
func (s shown) number(uri string) string {
	all := s.Numbers()
	if len(all) < 2 || uri == "" {
		return ""
	}
	alike := func(other string) bool { return other != uri && call.Mask(other) == call.Mask(uri) }
	if slices.ContainsFunc(all, alike) {
		return fmt.Sprintf("number %s (%d of %d)", call.Mask(uri), slices.Index(all, uri)+1, len(all))
	}
	return "number " + call.Mask(uri)
}

// allOf names several numbers of the contact.
func (s shown) allOf(numbers []string) string {
	list := make([]string, len(numbers))
	for i, uri := range numbers {
		list[i] = s.number(uri)
	}
	return strings.Join(list, ", ")
}

// subject is of what a suppression was said.
func (s shown) subject(made ledger.Suppression) string {
	if n := s.number(made.Subject); n != "" && made.Kind == ledger.SuppressedNumber {
		return n
	}
	return "the " + string(made.Kind)
}

// barred is why the contact, or one of its numbers, must not be called.
func (s shown) barred(made ledger.Suppression, c clock) string {
	text := fmt.Sprintf("%s must not be called, since %s", s.subject(made), c.full(made.At))
	if !made.ExpiresAt.IsZero() {
		text += " until " + c.full(made.ExpiresAt)
	}
	return fmt.Sprintf("%s: %s  [%s]", text, plainLine(made.Reason), plainLine(made.Source))
}

// endings say what outcomes mean that are no dispositions.
var endings = map[call.Outcome]string{
	call.OutcomeExhausted: " (the policy allows no further attempt)", call.OutcomeEscalated: " (it was left to people)",
	call.OutcomeSuppressed: " (it must not be called)", call.OutcomeOptedOut: " (the person does not want to be called)",
	call.OutcomeExpired: " (there was no time left to call it)", call.OutcomeCanceled: " (somebody has stopped it)",
}

// ended is how the contact ended, and why.
func (s shown) ended(c clock) string {
	return fmt.Sprintf("%s%s, %s, after %s%s  [%s]", s.Outcome, endings[s.Outcome], c.full(s.ClosedAt), counting(len(s.Attempts), "attempt"), s.because(), plainLine(s.Rule))
}

// because is why the contact ended as it did, where its outcome does not say so itself.
func (s shown) because() string {
	if s.Reason == "" || s.Reason == string(s.Outcome) {
		return ""
	}
	return ": " + plainLine(s.Reason)
}

func counting(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// wait is what the contact waits for. What the run waits for in a call is known to nobody else.
func (s shown) wait() followup.Hold {
	if s.Run != nil && s.Run.Wait != nil && s.Run.Wait.Reason == followup.ReasonResult {
		return *s.Run.Wait
	}
	return *s.Wait
}

// present is what an open contact does now: until when, why, under which rule, and what would end that earlier.
func (s shown) present(now time.Time, c clock) []string {
	h := s.wait()
	if h.Reason == followup.ReasonPaused {
		return s.pausedNow(h, now, c)
	}
	why := fmt.Sprintf("because %s (%s)%s,", waitsFor[h.Reason], h.Reason, s.decision(h))
	rule := fmt.Sprintf("under the rule [%s]", plainLine(h.Rule))
	if s.overdue(now) {
		return []string{
			fmt.Sprintf("it waits for a worker: since %s its wait is over, and its flow has not gone on;", c.full(h.Until)),
			"it waited " + why, rule}
	}
	lines := []string{s.until(h, now, c), why, rule}
	if e := s.earlier(h); e != "" {
		lines[2] += ","
		lines = append(lines, e)
	}
	if last := s.doubted(); last > 0 && h.Reason != followup.ReasonCall {
		lines[len(lines)-1] += ","
		lines = append(lines, fmt.Sprintf("or until it is heard after all what came of attempt %d, or somebody settles that: redial attempt resolve", last))
	}
	switch { // a call that goes on all the same
	case s.Run == nil:
	case s.Run.Ending != "":
		lines[len(lines)-1] += ";"
		lines = append(lines, fmt.Sprintf("nothing follows the call: the run ends with it, %s", plainLine(s.Run.Ending)))
	case s.Run.Paused != "":
		lines[len(lines)-1] += ";"
		lines = append(lines, fmt.Sprintf("nothing follows the call: it is %s, until somebody resumes it: redial resume %s", plainLine(s.Run.Paused), s.id()))
	}
	return lines
}

// decision is what the policy has made of the last attempt, where the contact waits for what it has decided.
func (s shown) decision(h followup.Hold) string {
	if d := s.before(followup.ReasonPaused); h.Reason == followup.ReasonRetry && d != nil && d.Rule == h.Rule && d.Reason != string(h.Reason) {
		return ": " + plainLine(d.Reason)
	}
	return ""
}

// doubted is the number of the last attempt, if it is in doubt; 0: it is not.
func (s shown) doubted() int {
	if len(s.Attempts) == 0 {
		return 0
	}
	if last := s.Attempts[len(s.Attempts)-1]; last.State == call.StateUnknown {
		return last.N
	}
	return 0
}

// until says until when it waits, and what follows.
func (s shown) until(h followup.Hold, now time.Time, c clock) string {
	switch {
	case h.Reason == followup.ReasonCall || h.Reason == followup.ReasonResult:
		return fmt.Sprintf("it waits until %s at the latest,", c.due(h.Until, now))
	case !h.NotBefore.IsZero():
		return fmt.Sprintf("it is not called before %s, and then in its turn,", c.due(h.NotBefore, now))
	case h.Queued:
		return fmt.Sprintf("it waits in the queue until %s at the latest,", c.due(h.Until, now))
	}
	return fmt.Sprintf("it waits until %s, and then asks for leave to make attempt %d,", c.due(h.Until, now), len(s.Attempts)+1)
}

// untilWhen says when a wait ends.
func untilWhen(h followup.Hold) string {
	if !h.NotBefore.IsZero() {
		return "until " + stamp(h.NotBefore) + ", then in its turn"
	}
	return "until " + stamp(h.Until) + " at the latest"
}

// earlier is what would end the wait before its time.
func (s shown) earlier(h followup.Hold) string {
	switch {
	case h.Reason == followup.ReasonRetry || h.Reason == followup.ReasonRescheduled || h.Reason == followup.ReasonFlow:
		return fmt.Sprintf("or until somebody asks for another time: redial call-now %[1]s, redial reschedule %[1]s (the rules for calling hold then, too)", s.id())
	case h.Queued && !h.NotBefore.IsZero():
		return "and nothing ends that earlier but a change of the rule: redial call-now does not lift it"
	case h.Event != "":
		return "or until " + h.Event
	}
	return ""
}

// pausedNow is what a paused contact does: who has paused it, and what it would do.
func (s shown) pausedNow(h followup.Hold, now time.Time, c clock) []string {
	lines := []string{fmt.Sprintf("it is %s;", plainLine(h.Rule)), fmt.Sprintf("it is not called until somebody resumes it (%s): redial resume %s", h.Reason, s.id())}
	if since := s.pausedSince(); !since.IsZero() {
		lines[0] = fmt.Sprintf("since %s it is %s;", c.full(since), plainLine(h.Rule))
	}
	d := s.before(followup.ReasonPaused)
	if d == nil {
		return lines
	}
	planned := fmt.Sprintf("its next attempt was due at %s  [%s]", c.full(d.Until), d.Rule)
	if d.Until.After(now) {
		planned = fmt.Sprintf("resumed before that, it waits until %s  [%s]", c.due(d.Until, now), d.Rule)
	}
	if s.otherPolicySince(d.At) {
		planned += ", unless its policy, which may have changed, says something else then"
	}
	return append(lines, planned)
}

// otherPolicySince tells whether the contact may go by another policy than at that time.
func (s shown) otherPolicySince(at time.Time) bool {
	return s.Follows != "" || slices.ContainsFunc(s.Decisions, func(d ledger.Decision) bool {
		return d.Kind == kindNote && !d.At.Before(at) && strings.HasPrefix(d.Reason, workflows.NoteOtherPolicy)
	})
}

// id is how commands name the contact.
func (s shown) id() string { return inList(s.WorkflowID, s.ContactID, s.Campaign) }

// pausedSince is when the contact was paused; zero: nobody has written it down yet.
func (s shown) pausedSince() (at time.Time) {
	for _, d := range s.Decisions {
		if d.Kind == kindHeld && d.Reason == string(followup.ReasonPaused) {
			at = d.At
		}
	}
	return at
}

// before is the last wait, or decision to wait, for another reason.
func (s shown) before(reason followup.Reason) *ledger.Decision {
	for i := len(s.Decisions) - 1; i >= 0; i-- {
		d := &s.Decisions[i]
		if d.Reason != string(reason) && !d.Until.IsZero() {
			return d
		}
	}
	return nil
}

// overdue tells whether what an open contact waits for has happened, and only its flow is still to notice.
func (s shown) overdue(now time.Time) bool {
	const slack = 10 * time.Second
	if s.Wait.Until.IsZero() {
		return false
	}
	if s.Wait.Reason == followup.ReasonCall && len(s.Attempts) > 0 {
		last := s.Attempts[len(s.Attempts)-1]
		return last.Disposition != "" && now.After(last.SettledAt.Add(slack))
	}
	return now.After(s.Wait.Until.Add(slack))
}

// told is where the word to people stands.
func (s shown) told(c clock) string {
	e := s.Escalation
	switch {
	case !e.AckedAt.IsZero():
		return "have seen to it: " + acknowledged(*e) + ", " + c.full(e.AckedAt)
	case inInbox(*e):
		return "have not seen to it yet; it is in the inbox: redial escalations list"
	case !e.DeliveredAt.IsZero():
		return fmt.Sprintf("were told by %s, %s", receiverOf(*e), c.full(e.DeliveredAt))
	case e.LastError == "":
		return fmt.Sprintf("are being told by %s", receiverOf(*e))
	}
	return fmt.Sprintf("could not be told yet by %s: %s (%s, the next at %s)", receiverOf(*e), plainLine(e.LastError), tries(e.Tries), c.full(e.NextTryAt))
}

func tries(n int) string {
	if n == 1 {
		return "1 try"
	}
	return fmt.Sprintf("%d tries", n)
}

// acknowledged is who has seen to an escalation, and what they have noted.
func acknowledged(e ledger.Escalation) string {
	text := plainLine(e.AckedBy)
	if e.AckedNote != "" {
		text += ": " + plainLine(e.AckedNote)
	}
	return text
}
