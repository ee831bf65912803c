//go:build unix

package app_test

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/followup"
	"redial/ledger"
)

// past is an office whose ledger tells of days that are over: what a deployment would have written under the clock of a test.
type past struct {
	program
	t      *testing.T
	now    time.Time
	ledger *ledger.Ledger
}

// newPast begins that many days ago.
func newPast(t *testing.T, days int) *past {
	t.Helper()
	p := &past{program: newOffice(t), t: t, now: time.Now().UTC().AddDate(0, 0, -days)}
	var err error
	p.ledger, err = ledger.Open(t.Context(), "sqlite:"+filepath.Join(p.folder, "redial.db"), ledger.Options{Now: func() time.Time { return p.now }})
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.ledger.Close() })
	return p
}

// on sets the clock to an hour of the day that many days ago, in UTC.
func (p *past) on(days, hour, minute int) {
	y, m, d := time.Now().UTC().AddDate(0, 0, -days).Date()
	p.now = time.Date(y, m, d, hour, minute, 0, 0, time.UTC)
}

// only is a policy with a window on one weekday, from now in that many days.
func (p *past) only(days int, rest string) followup.Policy {
	p.t.Helper()
	weekday := strings.ToLower(time.Now().UTC().AddDate(0, 0, days).Weekday().String()[:3])
	policy, err := followup.Parse(fmt.Appendf(nil, "name: reminder\nwindow: {days: {%s: [\"09:00-17:00\"]}}\n%s", weekday, rest))
	require.NoError(p.t, err)
	return policy
}

const london = "tel:+442079460123"

func (p *past) request(contact string, n int, policy followup.Policy) followup.ClearanceRequest {
	id := "redial/-/" + contact
	return followup.ClearanceRequest{Key: call.AttemptKey(id, "run", n), N: n, WorkflowID: id, FirstRunID: "run", ContactID: contact,
		Request: call.DialRequest{To: call.Target{URI: london}, Caller: "+12025550100", RingTimeout: 45 * time.Second},
		HearFor: 10 * time.Minute, Owner: "run/1/1", Rules: policy.Rules(), Lifetime: 30 * 24 * time.Hour}
}

func (p *past) asks(contact string, n int, policy followup.Policy) followup.Clearance {
	p.t.Helper()
	c, err := p.ledger.Clear(p.t.Context(), p.request(contact, n, policy))
	require.NoError(p.t, err)
	return c
}

// calls places a call that ends as the gateway says, and is decided on.
func (p *past) calls(contact string, n int, policy followup.Policy, ends string, e call.Event) followup.Decision {
	p.t.Helper()
	r := p.request(contact, n, policy)
	c := p.asks(contact, n, policy)
	require.True(p.t, c.Cleared, "%+v %+v", c.Held, c.Refused)
	_, err := p.ledger.Answer(p.t.Context(), r.Key, r.Owner, call.DialAnswer{Class: call.AnswerPlaced, SID: "sid"})
	require.NoError(p.t, err)
	p.now = p.now.Add(20 * time.Second)
	require.NoError(p.t, p.ledger.Receive(p.t.Context(), r.Key, []byte(ends), []call.Event{e}, ""))
	p.now = p.now.Add(2 * time.Second)
	d, err := p.ledger.Conclude(p.t.Context(), r.WorkflowID, r.Key, policy)
	require.NoError(p.t, err)
	return d
}

const busyBody = `{"status":"failed","reason":"486 Busy Here","reasonCode":"486","machineDetection":"detect"}`

var busyEvent = call.Event{Status: call.StatusFailed, SIP: 486, Reason: "486 Busy Here"}

// story is what the contacts of this test went through.
func (p *past) story() {
	p.t.Helper()
	always, err := followup.Parse([]byte("name: steady\non: {busy: {retry: [6h, 30h]}}"))
	require.NoError(p.t, err)

	p.on(2, 9, 0)
	require.NotNil(p.t, p.asks("held", 1, p.only(1, "")).Held)

	p.on(2, 10, 0)
	p.calls("paused", 1, always, busyBody, busyEvent)
	p.on(2, 11, 5)
	claim := p.request("paused", 1, always).Claim()
	require.NoError(p.t, p.ledger.Wait(p.t.Context(), claim, followup.Hold{Reason: followup.ReasonPaused, Rule: "paused by eva: a complaint is looked into", Event: "it is resumed"}))
	require.NoError(p.t, p.ledger.Note(p.t.Context(), claim.WorkflowID, []followup.Note{{N: 1, At: p.now, Text: "paused by eva: a complaint is looked into"}}))

	p.on(2, 16, 50)
	p.calls("moved", 1, p.only(-2, ""), busyBody, busyEvent)
}

// columns makes a story comparable: one space between columns.
func columns(text string) string { return strings.Join(strings.Fields(text), " ") }

func TestShowAnswersWhySomebodyWasNotCalledYesterday(t *testing.T) {
	t.Parallel()
	p := newPast(t, 2)
	p.story()
	day := func(days int) string { return time.Now().UTC().AddDate(0, 0, days).Format("Mon 2 Jan") }
	for id, says := range map[string][]string{
		"held": {"now it is not called before " + day(1), "because it is outside calling hours where the recipient is, or may be (window), under the rule [reminder: window (Europe/London)]",
			"redial call-now does not lift it", "#1 held it is outside calling hours", "now it still waits (window)"},
		"moved": {"now it waits until " + day(5), "and then asks for leave to make attempt 2, because the next attempt is not due yet (retry)",
			"[reminder: on.busy.retry[0]: 20m, moved by reminder: window (Europe/London)]", "redial call-now moved, redial reschedule moved",
			"#1 dial no rule forbids the call; the clocks of Europe/London (by the number) [reminder]", "#1 heard failed, detect, 486 Busy Here", "#1 end busy", "#1 decided busy, retry 1 of 3: again at " + day(5)},
		"paused": {"now since " + day(-2), "it is paused by eva: a complaint is looked into", "redial resume paused", "its next attempt was due at " + day(-2) + " ",
			"+01:05:00 held paused by eva: a complaint is looked into ── " + day(-1) + ": not called; paused by eva"},
	} {
		story := p.must(t, "show", id)
		for _, words := range says {
			require.Contains(t, columns(story), words, story)
		}
		require.NotContains(t, story, "442079460123", "a story is for many eyes")
		require.NotContains(t, story, "waits for a worker")
	}
}

func TestShowNamesReasonRuleAndEndOfEveryWait(t *testing.T) {
	t.Parallel()
	p := newPast(t, 2)
	until := time.Now().UTC().Add(50 * time.Hour).Truncate(time.Second)
	for _, r := range ledger.Reasons() {
		id := strings.ReplaceAll(string(r), "_", "-")
		h := followup.Hold{Reason: r, Rule: "the rule of the test", Until: until, Event: "a bell rings"}
		if r == followup.ReasonPaused {
			h.Until = time.Time{}
		}
		require.NoError(t, p.ledger.Wait(t.Context(), p.request(id, 1, followup.Policy{}).Claim(), h))
		story := columns(p.must(t, "show", id))
		require.Contains(t, story, "("+string(r)+")", story)
		require.Contains(t, story, "the rule of the test", story)
		require.NotContains(t, story, "because (", story)
		if r == followup.ReasonPaused {
			require.Contains(t, story, "until somebody resumes it")
			continue
		}
		require.Contains(t, story, "until "+until.Format("Mon 2 Jan 2006 15:04:05 UTC")+" (in 2d 1h", story)
		require.Regexp(t, `or until (a bell rings|somebody asks)`, story)
	}
}

func TestShowPrintsTheTimesOfAZoneAndOfTheRecipient(t *testing.T) {
	t.Parallel()
	p := newPast(t, 2)
	p.story()
	opened := time.Now().UTC().AddDate(0, 0, -2).Format("Mon 2 Jan 2006 ")
	require.Contains(t, p.must(t, "show", "held"), "opened   "+opened+"09:00:00 UTC")
	require.Contains(t, p.must(t, "show", "held", "--zone", "Asia/Tokyo"), "opened   "+opened+"18:00:00 JST")
	require.Contains(t, p.must(t, "show", "held", "--zone", "recipient"), "times    Europe/London, where it is ")
	for _, m := range []mistake{
		{"a zone that is none", nil, []string{"show", "held", "--zone", "Mars"}, misuse, []string{"--zone", `"Mars"`, "Europe/Paris"}},
		{"a recipient somewhere", nil, []string{"show", "nowhere", "--zone", "recipient"}, misuse, []string{"--zone recipient", "nobody knows the zone"}},
	} {
		if m.name == "a recipient somewhere" {
			r := p.request("nowhere", 1, followup.Policy{})
			r.Request.To.URI = "sip:nowhere@example.com"
			_, err := p.ledger.Clear(t.Context(), r)
			require.NoError(t, err)
		}
		t.Run(m.name, func(t *testing.T) { requireToldWhy(t, p.program, m) })
	}
}

func TestAStoryHoldsNothingThatATerminalActsOnAndSaysTheSameWaitOnce(t *testing.T) {
	t.Parallel()
	p := newPast(t, 2)
	policy := p.only(1, "")
	for range 5 {
		p.now = p.now.Add(time.Minute)
		require.NotNil(t, p.asks("held", 1, policy).Held)
	}
	claim := p.request("held", 1, policy).Claim()
	require.NoError(t, p.ledger.Note(t.Context(), claim.WorkflowID, []followup.Note{{N: 1, At: p.now, Text: "a\x1b[2Jb\nc\u202e" + strings.Repeat("x", 2000)}}))
	story := p.must(t, "show", "held")
	require.NotContains(t, story, "\x1b")
	require.NotContains(t, story, "\u202e")
	require.Contains(t, story, "note       a[2Jb cxxx")
	require.Contains(t, story, "xxx…")
	require.Contains(t, story, "; said 5 times, at last at ")
	require.Equal(t, 1, strings.Count(story, " held  "))
}

func TestListFindsContactsByStateReasonAndOutcomeAndShowsNoNumber(t *testing.T) {
	t.Parallel()
	p := newPast(t, 2)
	require.Equal(t, "there is no such contact\n", p.must(t, "list"))
	p.story()
	_, err := p.ledger.Finish(t.Context(), "redial/-/paused", call.OutcomeCanceled, "over")
	require.NoError(t, err)
	for words, want := range map[string][]string{
		"":                        {"moved", "paused", "held"},
		"--open":                  {"moved", "held"},
		"--state waiting":         {"moved"},
		"--state held":            {"held"},
		"--state done":            {"paused"},
		"--reason window":         {"held"},
		"--reason in_call":        nil,
		"--outcome canceled":      {"paused"},
		"--campaign -":            {"moved", "paused", "held"},
		"--campaign spring":       nil,
		"--since 1h":              nil,
		"--limit 1":               {"moved"},
		"--before redial/-/moved": {"paused", "held"},
	} {
		page := decode[struct {
			Contacts []ledger.ContactLine
			Next     string
		}](t, p.must(t, append([]string{"list", "--json"}, strings.Fields(words)...)...))
		var got []string
		for _, line := range page.Contacts {
			got = append(got, line.ContactID)
		}
		require.Equal(t, want, got, words)
		require.Equal(t, words == "--limit 1", page.Next != "")
	}
	text := p.must(t, "list")
	require.NotContains(t, text, "44207")
	require.Regexp(t, `(?m)^CONTACT +STATE +ATTEMPTS +LAST +NOW$`, text)
	require.Regexp(t, `(?m)^moved +waiting +1 +busy +retry until .+Z  \[reminder: on.busy.retry`, text)
	require.Regexp(t, `(?m)^paused +done +1 +busy +canceled, `, text)
	require.Contains(t, p.must(t, "list", "--limit", "2"), "there are more: --before redial/-/paused\n")
	require.Equal(t, "there is no such contact\n", p.must(t, "list", "--before", "redial/-/held"), "it was opened first")
	for _, m := range []mistake{
		{"a state that is none", nil, []string{"list", "--state", "asleep"}, misuse, []string{"--state", "calling, held, waiting, paused, done"}},
		{"a reason that is none", nil, []string{"list", "--reason", "rain"}, misuse, []string{"--reason", "window"}},
		{"since no time", nil, []string{"list", "--since", "once"}, misuse, []string{"--since", `"once"`, "2026-12-01"}},
		{"none", nil, []string{"list", "--limit", "0"}, misuse, []string{"--limit 0"}},
		{"an argument", nil, []string{"list", "anna"}, misuse, []string{"takes no argument"}},
		{"before nobody", nil, []string{"list", "--before", "nope"}, misuse, []string{"--before", `"nope"`, "write the workflow id that the page before has said", "redial/-/anna-7"}},
		{"before nobody, as JSON", nil, []string{"list", "--open", "--before", "redial/-/nope", "--json"}, misuse, []string{`"redial/-/nope"`}},
		{"before a contact's id", nil, []string{"list", "--before", "held"}, misuse, []string{`"held"`, "write the workflow id", "redial/-/held"}},
	} {
		t.Run(m.name, func(t *testing.T) { requireToldWhy(t, p.program, m) })
	}
}

func TestAnExportIsReadBySpreadsheetsAndProgramsAndRunsNothingInThem(t *testing.T) {
	t.Parallel()
	p := newPast(t, 2)
	p.story()
	_, err := p.ledger.Finish(t.Context(), "redial/-/paused", call.OutcomeCanceled, "=HYPERLINK(\"http://x\",\"a\")")
	require.NoError(t, err)
	rows := func(args ...string) []map[string]string {
		t.Helper()
		return records(t, p.must(t, append([]string{"export"}, args...)...))
	}
	attempts := rows("attempts")
	require.Len(t, attempts, 2)
	a := attempts[0]
	require.Equal(t, []string{"paused", "tel:+442079460123", "+12025550100", "busy", "486", "retry", "steady: on.busy.retry[0]: 6h"},
		[]string{a["contact_id"], a["target"], a["caller"], a["disposition"], a["sip"], a["decision"], a["decision_rule"]})
	require.Equal(t, p.stamp(2, 10, 0), a["dialed_at"])
	require.Empty(t, a["answered_at"])
	contacts := rows("contacts", "--format", "csv")
	require.Len(t, contacts, 3)
	require.Equal(t, "'=HYPERLINK(\"http://x\",\"a\")", contacts[1]["reason"])
	require.Equal(t, []string{"held", "held", "window"}, []string{contacts[0]["contact_id"], contacts[0]["state"], contacts[0]["wait_reason"]})
	require.Len(t, rows("contacts", "--since", p.stamp(2, 10, 0), "--until", p.stamp(2, 16, 50)), 1)
	require.Empty(t, rows("attempts", "--campaign", "spring"))

	lines := strings.Split(strings.TrimSpace(p.must(t, "export", "contacts", "--format", "jsonl")), "\n")
	require.Len(t, lines, 3)
	object := decode[map[string]any](t, lines[1])
	require.Equal(t, "=HYPERLINK(\"http://x\",\"a\")", object["reason"])
	require.Equal(t, []any{1.0, false, nil}, []any{object["attempts"], object["escalated"], object["wait_until"]})
	require.Len(t, object, len(contacts[0]))

	require.Empty(t, p.must(t, "export", "attempts", "-o", "attempts.csv"))
	data, err := os.ReadFile(filepath.Join(p.folder, "attempts.csv"))
	require.NoError(t, err)
	require.Len(t, records(t, string(data)), 2)
	for _, m := range []mistake{
		{"nothing", nil, []string{"export"}, misuse, []string{"attempts or contacts"}},
		{"a format that is none", nil, []string{"export", "attempts", "--format", "xlsx"}, misuse, []string{"csv or jsonl"}},
		{"no time", nil, []string{"export", "attempts", "--since", "2h", "--until", "3h"}, misuse, []string{"--until", "not after --since"}},
		{"no folder", nil, []string{"export", "attempts", "-o", "none/x.csv"}, misuse, []string{"none/x.csv", "name a file that can be written"}},
	} {
		t.Run(m.name, func(t *testing.T) { requireToldWhy(t, p.program, m) })
	}
}

func TestAnExportHoldsNothingThatATerminalOrASpreadsheetActsOn(t *testing.T) {
	t.Parallel()
	p := newPast(t, 2)
	policy, err := followup.Parse([]byte("name: steady"))
	require.NoError(t, err)
	for said, cell := range map[string]string{
		"a\x1b]0;title\ab\u009b2J\u202ec\x7f": "a]0;titleb2Jc",
		"two\r\nlines\tand a tab":             "two  lines and a tab",
		"\x00=1+1":                            "'=1+1",
		" \t@SUM(A1)":                         "'  @SUM(A1)",
		"＝1+1":                                "'＝1+1",
		"-5":                                  "'-5",
		"+1415":                               "+1415",
		"+1 415":                              "'+1 415",
		"1-2=x":                               "1-2=x",
	} {
		id := fmt.Sprintf("said-%x", said)
		p.calls(id, 1, policy, busyBody, call.Event{Status: call.StatusFailed, SIP: 486, Reason: said})
		whole := p.must(t, "export", "attempts")
		require.NotRegexp(t, `[\x00-\x09\x0b-\x1f\x7f\x{80}-\x{9f}]`, whole)
		all := records(t, whole)
		require.Equal(t, []string{id, cell}, []string{all[len(all)-1]["contact_id"], all[len(all)-1]["reason"]})
		raw := p.must(t, "export", "attempts", "--format", "jsonl")
		require.NotRegexp(t, `[\x00-\x09\x0b-\x1f\x7f\x{80}-\x{9f}]`, raw)
		lines := strings.Split(strings.TrimSpace(raw), "\n")
		require.Equal(t, said, decode[map[string]any](t, lines[len(lines)-1])["reason"])
	}
}

// stamp is a time of on, as exports have it.
func (p *past) stamp(days, hour, minute int) string {
	p.on(days, hour, minute)
	return p.now.Format(time.RFC3339)
}

// records are the rows of a CSV, by the names of its columns.
func records(t *testing.T, text string) (rows []map[string]string) {
	t.Helper()
	all, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	require.NoError(t, err)
	for _, record := range all[1:] {
		row := map[string]string{}
		for i, name := range all[0] {
			row[name] = record[i]
		}
		rows = append(rows, row)
	}
	return rows
}

func TestEscalationsAreListedAndAcknowledgedAndShowTellsOfBoth(t *testing.T) {
	t.Parallel()
	p := newPast(t, 2)
	require.Equal(t, "no escalation waits for anybody\n", p.must(t, "escalations", "list"))
	for id, webhook := range map[string]string{"anna": "", "ben": "\nescalate: {webhook: \"https://people.example.com/x\"}"} {
		policy, err := followup.Parse([]byte("name: strict\non: {busy: escalate}" + webhook))
		require.NoError(t, err)
		p.calls(id, 1, policy, busyBody, busyEvent)
	}
	due, err := p.ledger.Due(t.Context(), ledger.ToSystems, 10)
	require.NoError(t, err)
	require.Len(t, due, 1)
	require.NoError(t, p.ledger.Failed(t.Context(), due[0], "the receiver answered 503 Service Unavailable", time.Hour))

	text := p.must(t, "escalations", "list")
	require.Regexp(t, `(?m)^\S+ \S+Z  anna\n  why       busy  \[strict: on.busy: escalate\]\n  attempts  1, the last: busy\n  people    it is in the inbox\n`, text)
	require.Regexp(t, `people.example.com/x has not taken it yet: the receiver answered 503 Service Unavailable \(1 try, the next at .+Z\)`, text)
	require.NotContains(t, text, "44207")
	require.NotContains(t, p.must(t, "escalations", "list", "--undelivered"), "anna")
	require.Contains(t, p.must(t, "show", "anna"), "people   have not seen to it yet; it is in the inbox: redial escalations list\n")
	require.Contains(t, p.must(t, "show", "ben"), "people   could not be told yet by https://people.example.com/x: the receiver answered 503")

	said := p.must(t, "escalations", "ack", "anna", "--by", "eva, the night shift", "--note", "called her from the desk")
	require.Equal(t, "the escalation of redial/-/anna is seen to by eva, the night shift: called her from the desk\n", said)
	require.Contains(t, p.must(t, "escalations", "ack", "redial/-/anna", "--by", "ben"), "was seen to already by eva")
	again := decode[struct {
		Acknowledged bool
		AckedBy      string `json:"acked_by"`
	}](t, p.must(t, "escalations", "ack", "anna", "--by", "ben", "--json"))
	require.False(t, again.Acknowledged)
	require.Equal(t, "eva, the night shift", again.AckedBy)
	page := decode[struct{ Escalations []ledger.EscalationLine }](t, p.must(t, "escalations", "list", "--json"))
	require.Len(t, page.Escalations, 1)
	require.Equal(t, "ben", page.Escalations[0].ContactID)
	require.Contains(t, p.must(t, "escalations", "list", "--all", "--limit", "1"), "there are more: --before ")
	shown := p.must(t, "show", "anna")
	require.Contains(t, shown, "people   have seen to it: eva, the night shift: called her from the desk, ")
	require.Contains(t, columns(shown), "outcome escalated: busy [strict: on.busy: escalate]")
	require.Contains(t, columns(shown), "seen to by eva, the night shift: called her from the desk")
	for _, m := range []mistake{
		{"nobody", nil, []string{"escalations", "ack", "anna"}, misuse, []string{"--by is missing"}},
		{"no contact", nil, []string{"escalations", "ack", "--by", "eva"}, misuse, []string{"takes the id of one contact"}},
		{"an unknown one", nil, []string{"escalations", "ack", "zoe", "--by", "eva"}, failed, []string{`no contact "zoe"`}},
		{"both", nil, []string{"escalations", "list", "--all", "--undelivered"}, misuse, []string{"--undelivered and --all"}},
		{"two lines", nil, []string{"escalations", "ack", "anna", "--by", "eva", "--note", "a\nb"}, misuse, []string{"--note", "on one line"}},
	} {
		t.Run(m.name, func(t *testing.T) { requireToldWhy(t, p.program, m) })
	}
}
