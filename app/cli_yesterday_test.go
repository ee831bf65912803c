//go:build unix

package app_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/followup"
	"redial/ledger"
)

// Whether redial show answers is for people to say who have never seen it: go test ./app -run Yesterday -shows FOLDER writes them what
// it prints of each contact.
var shows = flag.String("shows", "", "folder for what redial show prints of contacts that were not called yesterday")

// contactOf is one contact of the past, with a number and a policy of its own.
type contactOf struct {
	*past
	id, number string
	policy     followup.Policy
}

func (p *past) contact(id, number, policy string) contactOf {
	p.t.Helper()
	parsed, err := followup.Parse([]byte(policy))
	require.NoError(p.t, err)
	return contactOf{p, id, number, parsed.WithDefaults()}
}

func (c contactOf) request(n int) followup.ClearanceRequest {
	r := c.past.request(c.id, n, c.policy)
	r.Request.To.URI, r.Lifetime = "tel:"+c.number, time.Duration(c.policy.Lifetime)
	return r
}

func (c contactOf) asks(n int) followup.Clearance {
	c.t.Helper()
	answer, err := c.ledger.Clear(c.t.Context(), c.request(n))
	require.NoError(c.t, err)
	return answer
}

func (c contactOf) isHeld(n int) {
	c.t.Helper()
	require.NotNil(c.t, c.asks(n).Held)
}

// dials places a call, which the gateway answers like this.
func (c contactOf) dials(n int, answer call.DialAnswer) followup.ClearanceRequest {
	c.t.Helper()
	clearance, r := c.asks(n), c.request(n)
	require.True(c.t, clearance.Cleared, "%+v %+v", clearance.Held, clearance.Refused)
	c.now = c.now.Add(400 * time.Millisecond)
	_, err := c.ledger.Answer(c.t.Context(), r.Key, r.Owner, answer)
	require.NoError(c.t, err)
	return r
}

// calls places a call that ends as is reported, and is decided on.
func (c contactOf) calls(n int, after time.Duration, body string, e call.Event, said ...call.BotResult) {
	c.t.Helper()
	r := c.dials(n, call.DialAnswer{Class: call.AnswerPlaced})
	c.now = c.now.Add(after)
	require.NoError(c.t, c.ledger.Receive(c.t.Context(), r.Key, []byte(body), []call.Event{e}, ""))
	for _, s := range said {
		require.NoError(c.t, c.ledger.ReceiveResult(c.t.Context(), r.Key, []byte("{}"), s, ""))
	}
	c.concludes(r)
}

func (c contactOf) concludes(r followup.ClearanceRequest) {
	c.t.Helper()
	c.now = c.now.Add(2 * time.Second)
	_, err := c.ledger.Conclude(c.t.Context(), r.WorkflowID, r.Key, c.policy)
	require.NoError(c.t, err)
}

func (c contactOf) isBusy(n int) { c.t.Helper(); c.calls(n, 9*time.Second, busyBody, busyEvent) }

func (c contactOf) isMachine(n int) {
	c.t.Helper()
	c.calls(n, 27*time.Second, `{"status":"completed","reason":"200 OK","duration":12,"machinedetection":"amd_machine_detected","reasonCode":"SAVG-disconnected"}`,
		call.Event{Status: call.StatusCompleted, SIP: 200, Reason: "200 OK", AMD: call.AMDMachine, Duration: 12 * time.Second})
}

// notCalled are contacts that were not called yesterday, each for another reason.
func (p *past) notCalled() {
	p.t.Helper()
	ctx := p.t.Context()
	date := func(days int) string { return time.Now().UTC().AddDate(0, 0, days).Format(time.DateOnly) }
	holidays := fmt.Sprintf("window: {days: {mon-sun: [\"09:00-20:00\"]}, holidays: [%s, %s, %s]}\n", date(-1), date(0), date(1))

	expired := p.contact("ines", "+442079460110", "name: short\nlifetime: 1d\non: {busy: {retry: [6h, 30h]}}")
	p.on(3, 9, 0)
	expired.isBusy(1)
	p.on(3, 15, 10)
	expired.isBusy(2)

	p.on(2, 20, 30)
	p.contact("anna", "+442079460101", "name: reminder\n"+holidays).isHeld(1)

	limited := p.contact("bert", "+442079460102", "name: collect\nlimits: [{calls: 2, per: 4d, by: number}]\non: {busy: {retry: [4h, 4h, 4h]}}")
	p.on(2, 9, 15)
	limited.isBusy(1)
	p.on(2, 14, 0)
	limited.isBusy(2)
	p.on(2, 19, 0)
	limited.isHeld(3)

	retry := p.contact("carl", "+442079460103", "name: reminder\non: {machine: {retry: [4h, 75h], then: escalate}}")
	p.on(2, 9, 0)
	retry.isMachine(1)
	p.on(2, 14, 0)
	retry.isMachine(2)

	paused := p.contact("dora", "+442079460104", "name: steady\non: {busy: {retry: [6h, 30h]}}")
	p.on(2, 10, 0)
	paused.isBusy(1)
	p.on(2, 11, 5)
	require.NoError(p.t, p.ledger.Wait(ctx, paused.request(1).Claim(), followup.Hold{Reason: followup.ReasonPaused, Event: "it is resumed",
		Rule: "paused by eva: she says that she has paid, accounting looks into it"}))

	doubted := p.contact("emil", "+442079460106", "name: reminder\n"+holidays+"on: {unknown: {retry: [next_window], then: escalate}}")
	p.on(2, 17, 40)
	r := doubted.dials(1, call.DialAnswer{Class: call.AnswerUnknown, Message: "the connection was lost before the gateway answered"})
	p.now = p.now.Add(11 * time.Minute)
	_, err := p.ledger.GiveUp(ctx, r.Key, "no notification of the call's end arrived in time")
	require.NoError(p.t, err)
	doubted.concludes(r)

	suppressed := p.contact("fred", "+442079460107", "name: reminder\non: {busy: {retry: [26h]}}")
	p.on(2, 9, 30)
	suppressed.isBusy(1)
	p.on(2, 16, 12)
	_, err = p.ledger.Suppress(ctx, ledger.Suppression{Kind: ledger.SuppressedNumber, Subject: "tel:" + suppressed.number, Source: "operator eva", Reason: "asked by letter"})
	require.NoError(p.t, err)
	_, err = p.ledger.Recheck(ctx, suppressed.request(1).Claim())
	require.NoError(p.t, err)

	p.on(2, 15, 0)
	p.contact("gina", "+442079460108", "name: strict\non: {blocked: escalate}").calls(1, 2*time.Second, `{"status":"failed","reason":"608 Rejected","reasonCode":"608"}`,
		call.Event{Status: call.StatusFailed, SIP: 608, Reason: "608 Rejected"})

	p.on(2, 11, 0)
	tomorrow := time.Now().UTC().AddDate(0, 0, 1).Truncate(24 * time.Hour).Add(10 * time.Hour)
	p.contact("hans", "+442079460109", "name: reminder").calls(1, time.Minute,
		`{"status":"completed","reason":"200 OK","duration":48,"machinedetection":"amd_human_detected","reasonCode":"caller-disconnected"}`,
		call.Event{Status: call.StatusCompleted, SIP: 200, Reason: "200 OK", AMD: call.AMDHuman, Duration: 48 * time.Second}, call.BotResult{Kind: call.Callback, At: tomorrow})

	require.NoError(p.t, p.ledger.SetLimits(ctx, 1, 0, time.Minute))
	p.on(2, 23, 0)
	talks := p.contact("lena", "+442079460111", "name: reminder")
	long := talks.request(1)
	long.HearFor = 96 * time.Hour
	clearance, err := p.ledger.Clear(ctx, long)
	require.NoError(p.t, err)
	require.True(p.t, clearance.Cleared)
	p.now = p.now.Add(time.Minute)
	p.contact("kurt", "+442079460105", "name: reminder").isHeld(1)
}

func TestShowAnswersInWordsWhySomebodyWasNotCalledYesterday(t *testing.T) {
	t.Parallel()
	p := newPast(t, 4)
	p.notCalled()
	yesterday := "── " + time.Now().UTC().AddDate(0, 0, -1).Format("Mon 2 Jan") + ": not called; "
	for id, says := range map[string][]string{
		"anna": {yesterday + "it is outside calling hours", ", closed on " + time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly) + ", "},
		"bert": {yesterday + "there were as many calls already as there may be in a time (limit), until ", "[collect: limits: at most 2 calls in any 4 days to a number]"},
		"carl": {yesterday + "the next attempt is not due yet (retry): machine, retry 2 of 2: again at ", "(retry): machine, retry 2 of 2, under the rule"},
		"dora": {yesterday + "paused by eva: she says that she has paid"},
		"emil": {yesterday, "in doubt unknown", "the phone may have rung", "or until it is heard after all what came of attempt 1"},
		"fred": {"outcome suppressed (it must not be called)", "it must not be called any more", "barred the number must not be called, since ", "asked by letter [operator eva]"},
		"gina": {"outcome escalated (it was left to people)", "people have not seen to it yet", "a carrier on the way took it for an unwanted call"},
		"hans": {yesterday, "(retry): a callback was promised for ", "the bot says: callback at "},
		"ines": {"outcome expired (there was no time left to call it)", "the next attempt would be after the lifetime of 1d"},
		"kurt": {yesterday + "every line of the account carries a call (lines_busy)", "now it waits in the queue until "},
		"lena": {yesterday + "an attempt was under way", "now the attempt is still under way"},
	} {
		story := p.must(t, "show", id)
		for _, words := range says {
			require.Contains(t, columns(story), words, story)
		}
		require.NotContains(t, story, "4420794601", "a story is for many eyes")
		if *shows != "" {
			require.NoError(t, os.WriteFile(filepath.Join(*shows, id+".txt"), []byte(p.must(t, "show", id, "--zone", "Europe/London")), 0o600))
		}
	}
}
