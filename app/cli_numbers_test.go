//go:build unix

package app_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/followup"
	"redial/ledger"
	"redial/workflows"
)

const (
	seattle = "tel:+12065550142"
	osaka   = "tel:+81661234517"
	alike   = "tel:+81661234542" // its end is that of seattle
)

// dialing is a request of a contact that has other numbers, too.
func (p *past) dialing(contact string, n int, uri, zone string) followup.ClearanceRequest {
	r := p.request(contact, n, followup.Policy{})
	r.Request.To, r.Others = call.Target{URI: uri, Zone: zone}, true
	return r
}

func (p *past) clears(r followup.ClearanceRequest) followup.Clearance {
	p.t.Helper()
	c, err := p.ledger.Clear(p.t.Context(), r)
	require.NoError(p.t, err)
	return c
}

func (p *past) suppresses(kind ledger.SuppressionKind, subject string) {
	p.t.Helper()
	_, err := p.ledger.Suppress(p.t.Context(), ledger.Suppression{Kind: kind, Subject: subject, Source: "operator eva", Reason: "asked by letter"})
	require.NoError(p.t, err)
}

// tells checks what redial show says of a contact, with one space between columns.
func (p *past) tells(id string, says ...string) string {
	p.t.Helper()
	story := p.must(p.t, "show", id)
	for _, words := range says {
		require.Contains(p.t, columns(story), words, story)
	}
	return story
}

func TestShowSaysWhichOfSeveralNumbersWasDialedHeldRefusedOrBarredAndWhereTheContactIs(t *testing.T) {
	t.Parallel()
	p := newPast(t, 2)
	p.suppresses(ledger.SuppressedNumber, seattle)
	require.True(t, p.clears(p.dialing("anna", 1, seattle, "")).Open)
	p.now = p.now.Add(time.Minute)
	tomorrow := p.only(1, "").Rules()
	held := p.dialing("anna", 1, osaka, "Asia/Tokyo")
	held.Rules = tomorrow
	require.NotNil(t, p.clears(held).Held)
	story := p.tells("anna", "numbers tel:…42, tel:…17 (where it is now)", "refused number tel:…42: asked by letter", "held number tel:…17: it is outside calling hours",
		"barred number tel:…42 must not be called, since ", "for the recipient, in Asia/Tokyo, it is ", " for the recipient)")
	require.NotContains(t, story, "America/Los_Angeles")
	require.Contains(t, p.must(t, "show", "anna", "--zone", "recipient"), "times    Asia/Tokyo, where it is ")

	dialed := p.dialing("anna", 1, osaka, "Asia/Tokyo")
	require.True(t, p.clears(dialed).Cleared)
	_, err := p.ledger.Answer(t.Context(), dialed.Key, dialed.Owner, call.DialAnswer{Class: call.AnswerPlaced})
	require.NoError(t, err)
	require.NoError(t, p.ledger.Receive(t.Context(), dialed.Key, []byte(busyBody), []call.Event{busyEvent}, ""))
	next := followup.Policy{Name: "p", Lifetime: followup.Duration(30 * 24 * time.Hour), On: map[call.Disposition]followup.Rule{call.Busy: {Do: followup.VerbNextNumber}}}
	_, err = p.ledger.Conclude(t.Context(), dialed.WorkflowID, dialed.Key, next, dialed.Request.To, call.Target{URI: alike, Zone: "Asia/Seoul"})
	require.NoError(t, err)
	story = p.tells("anna", "dial number tel:…17: no rule forbids the call", "then number tel:…42 (3 of 3): again at ",
		"refused number tel:…42 (1 of 3): asked by letter", "barred number tel:…42 (1 of 3) must not be called", "in Asia/Seoul, it is ")
	for _, uri := range []string{seattle, osaka, alike} {
		require.NotContains(t, story, strings.TrimPrefix(uri, "tel:+"), "a story is for many eyes")
	}
	shown := decode[struct {
		Target, Zone string
		OpenedFor    string `json:"opened_for"`
		Attempts     []struct{ Target, Zone string }
	}](t, p.must(t, "show", "anna", "--json"))
	require.Equal(t, []string{alike, "Asia/Seoul", seattle}, []string{shown.Target, shown.Zone, shown.OpenedFor})
	require.Equal(t, []struct{ Target, Zone string }{{osaka, "Asia/Tokyo"}}, shown.Attempts)
	contacts := records(t, p.must(t, "export", "contacts"))
	require.Equal(t, alike, contacts[0]["target"])

	_, err = p.ledger.Finish(t.Context(), dialed.WorkflowID, call.OutcomeCanceled, "over")
	require.NoError(t, err)
	p.tells("anna", "tel:…42 (where it was last)",
		"to call it again takes another id; number tel:…42 (1 of 3) must not be called under any, for as long as that holds: redial suppress check")
}

func TestTheRecipientsClockIsThatOfTheZoneThatWasStatedAndOneNumberIsNotNamed(t *testing.T) {
	t.Parallel()
	p := newPast(t, 2)
	inNewYork := p.only(1, "")
	inNewYork.Window.Timezone = "America/New_York"
	stated := p.dialing("stated", 1, seattle, "Asia/Tokyo")
	stated.Rules = inNewYork.Rules()
	require.NotNil(t, p.clears(stated).Held)
	byNumber := p.dialing("by-number", 1, seattle, "")
	byNumber.Rules = inNewYork.Rules()
	require.NotNil(t, p.clears(byNumber).Held)
	for id, zone := range map[string]string{"stated": "Asia/Tokyo", "by-number": "America/Los_Angeles"} {
		story := p.tells(id, "for the recipient, in "+zone+", it is ", "window (America/New_York)")
		require.NotContains(t, story, "…42", "there is no other")
		require.Contains(t, p.must(t, "show", id, "--zone", "recipient"), "times    "+zone+", where it is ")
	}
	always, err := followup.Parse([]byte("name: always\nwindow: {timezone: America/New_York, days: {mon-sun: [\"00:00-24:00\"]}}"))
	require.NoError(t, err)
	cleared := p.dialing("dialed", 1, seattle, "Asia/Tokyo")
	cleared.Rules = always.Rules()
	require.True(t, p.clears(cleared).Cleared)
	p.tells("dialed", "for the recipient, in Asia/Tokyo, it is ")
}

func TestWhatWasImportedBarsSinceItHoldsAndDialsBeforeThatAreNoneAgainstIt(t *testing.T) {
	t.Parallel()
	p := newPast(t, 2)
	p.on(2, 9, 0)
	list := []ledger.Suppression{{Kind: ledger.SuppressedNumber, Subject: seattle, Source: "import list.csv", Reason: "on the list"}}
	for i := range 600 { // in two transactions
		list = append(list, ledger.Suppression{Kind: ledger.SuppressedContact, Subject: strings.Repeat("x", 1+i%100), Source: "import list.csv", Reason: "on the list"})
	}
	gone := 0
	_, err := p.ledger.ImportSuppressions(t.Context(), func(yield func(ledger.Suppression) bool) {
		gone++
		for i, s := range list {
			if gone == 2 && i == 550 { // the first are written, and the list was looked through before
				p.on(2, 9, 4)
				require.True(t, p.clears(p.dialing("anna", 1, seattle, "")).Cleared)
				p.on(2, 9, 5)
			}
			if !yield(s) {
				return
			}
		}
	})
	require.NoError(t, err)
	day := p.now.Format("Mon 2 Jan 2006 ")
	story := p.tells("anna", "barred the number must not be called, since "+day+"09:05:00 UTC: on the list [import list.csv]")
	require.Less(t, strings.Index(story, " dial  "), strings.Index(story, " suppress  "), story)
	require.Contains(t, p.must(t, "suppress", "check", "+12065550142"), "since "+p.now.Format("2006-01-02 ")+"09:05:00Z\n")
	require.NotContains(t, p.must(t, "suppress", "list"), "09:00:00Z")
	for _, made := range p.suppressions(t) {
		require.Equal(t, p.now, made.At)
	}
}

func TestTheLastLineOnCallingAgainIsTrueOfWhoIsSuppressed(t *testing.T) {
	t.Parallel()
	p := newPast(t, 2)
	const barred = "it must not be called any more, under whatever id, for as long as that holds: redial suppress check"
	const again = "it is not called any more; to call it again takes another id"
	over := func(id, uri string, outcome call.Outcome) {
		t.Helper()
		require.True(t, p.clears(p.dialing(id, 1, uri, "")).Cleared)
		_, err := p.ledger.Finish(t.Context(), "redial/-/"+id, outcome, "over")
		require.NoError(t, err)
	}
	over("human", seattle, call.Outcome(call.Human))
	p.tells("human", again+" ")
	p.suppresses(ledger.SuppressedNumber, seattle)
	require.NotContains(t, p.tells("human", barred), "another id")
	over("out", osaka, call.OutcomeOptedOut)
	p.suppresses(ledger.SuppressedContact, "out")
	p.tells("out", "it must not be called any more, at whatever number and in whatever campaign, for as long as that holds: redial suppress check")
	_, err := p.ledger.Unsuppress(t.Context(), ledger.SuppressedContact, "out", "operator eva", "a mistake")
	require.NoError(t, err)
	require.NotContains(t, p.tells("out", again+" "), "must not be called any more,")
	strict, err := followup.Parse([]byte("name: strict\nwindow: {presets: [us-federal]}"))
	require.NoError(t, err)
	unasked := p.dialing("unasked", 1, seattle, "")
	unasked.Request.To.URI, unasked.Rules = "tel:+12065550143", strict.Rules()
	require.NotNil(t, p.clears(unasked).Refused)
	p.tells("unasked", "outcome suppressed", again+", when its rule does not forbid it any more")
}

func TestAnAttemptInDoubtStandsInTheStoryWhenThatWasNoticed(t *testing.T) {
	t.Parallel()
	p := newPast(t, 2)
	p.on(2, 9, 0)
	killed := p.dialing("killed", 1, seattle, "")
	require.True(t, p.clears(killed).Cleared)
	p.on(2, 9, 7)
	killed.Owner = "run/2/1" // another worker, after that of the dial was killed
	require.True(t, p.clears(killed).Recorded)
	p.tells("killed", "+00:07:00 #1 in doubt unknown")
	p.on(2, 9, 30)
	_, err := p.ledger.GiveUp(t.Context(), killed.Key, "no end was heard")
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(p.tells("killed", "+00:07:00 #1 in doubt unknown"), " in doubt  "))
	p.on(2, 9, 40)
	require.NoError(t, p.ledger.Receive(t.Context(), killed.Key, []byte(busyBody), []call.Event{busyEvent}, ""))
	p.tells("killed", "+00:07:00 #1 in doubt the worker that dialed did not record an answer", "+00:40:00 #1 end busy")
}

func TestShowAnnouncesNothingOfARunThatWasTerminated(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	up := s.up(t)
	s.sleeper(t, "anna", anna)
	up.ctrlC(t)
	up.wait(t)
	worker := s.with("REDIAL_DATABASE=sqlite:redial.db").start(t, "worker") // which does not sweep
	eventually(t, "the worker to answer", func() bool { return s.standing(t, "anna") == workflows.StateWaiting })
	require.NoError(t, s.temporal.TerminateWorkflow(t.Context(), "redial/-/anna", "", "by hand"))
	for _, answers := range []bool{true, false} {
		story := columns(s.must(t, "show", "anna"))
		require.Regexp(t, `now its run is over \(terminated, .+ UTC\), and nothing follows; the sweeper closes the contact within about a minute`, story, "a worker answers: %t", answers)
		require.Contains(t, story, "now its run is over (terminated), and nothing follows")
		for _, alive := range []string{"run waiting", "asks for leave", "still waits", "call-now"} {
			require.NotContains(t, story, alive)
		}
		shown := decode[struct {
			Run       any
			RunClosed struct {
				Status string
				At     time.Time
			} `json:"run_closed"`
		}](t, s.must(t, "show", "anna", "--json"))
		require.Nil(t, shown.Run)
		require.Equal(t, "terminated", shown.RunClosed.Status)
		require.WithinDuration(t, time.Now(), shown.RunClosed.At, time.Minute)
		worker.kill() // none answers then
	}
}
