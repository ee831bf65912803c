package callflowtest_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"redial/call"
	"redial/callflowtest"
	"redial/followup"
	"redial/ledger"
)

// books is the ledger in memory beside one of the product's own, under one clock. Whatever is asked is asked of both.
type books struct {
	t      *rapid.T
	at     time.Time
	memory *callflowtest.Ledger
	disk   *ledger.Ledger
	opened map[string]int // attempts of each contact so far
	zone   string         // that was stated for the address of contact a; empty: none was
	dialed []followup.ClearanceRequest
}

var ctx = context.Background()

// migrated is a ledger with nothing in it: making its tables takes longer than most tests do.
var migrated = sync.OnceValue(func() []byte {
	folder, err := os.MkdirTemp("", "callflowtest")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "redial.db")
	l, err := ledger.Open(ctx, "sqlite:"+path, ledger.Options{Owner: true})
	if err != nil {
		panic(err)
	}
	_ = l.Close()
	file, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	return file
})

func open(t *rapid.T, path string) *books {
	b := &books{t: t, at: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC), opened: map[string]int{},
		zone: rapid.SampledFrom([]string{"", "Europe/Paris"}).Draw(t, "zone")}
	require.NoError(t, os.WriteFile(path, migrated(), 0o600))
	now := func() time.Time { return b.at }
	ceilings := []followup.Limit{{Calls: 4, Per: followup.Span{For: followup.Duration(24 * time.Hour)}}}
	b.memory = callflowtest.NewLedger(now)
	b.memory.SetCeilings(ceilings...)
	disk, err := ledger.Open(ctx, "sqlite:"+path, ledger.Options{Owner: true, Now: now, Ceilings: ceilings})
	require.NoError(t, err)
	b.disk = disk
	return b
}

// same holds that both ledgers have said the same.
func (b *books) same(inMemory, onDisk any, inMemoryErr, onDiskErr error) {
	require.Equal(b.t, onDiskErr == nil, inMemoryErr == nil, "on disk: %v; in memory: %v", onDiskErr, inMemoryErr)
	require.Equal(b.t, canonical(onDisk), canonical(inMemory))
}

// canonical compares times by their moment alone.
func canonical(v any) string { return string(mustJSON(v)) }

func (b *books) contact() string {
	return rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(b.t, "contact")
}

func (b *books) ask(contact string, n int) followup.ClearanceRequest {
	id := "redial/-/" + contact
	numbers := map[string]call.Target{"a": {URI: "sip:a@example.com", Zone: b.zone}, "b": {URI: "tel:+14155550101"}, "c": {URI: "tel:+14155550101"},
		"d": {URI: "tel:+14155550102"}}
	contactID := contact
	if contact == "d" {
		contactID = "c" // the same one in another campaign
	}
	return followup.ClearanceRequest{Key: call.AttemptKey(id, "run", n), N: n, WorkflowID: id, FirstRunID: "run", ContactID: contactID,
		Request: call.DialRequest{To: numbers[contact], MachineDetection: call.DetectionDetect}, HearFor: 10 * time.Minute,
		Lifetime: 30 * time.Hour, Owner: "run/1/1", MidCall: contact == "a", Subject: "debt", Rules: policies[contact].Rules(),
		Follows: map[string]string{"a": "kept", "b": "kept"}[contact]}
}

// policies are those of the contacts: with all kinds of rules, and with none.
var policies = map[string]followup.Policy{
	"b": parse("limits: [{calls: 2, per: 1h}, {calls: 3, per: day, by: subject}]\nwindow: {timezone: UTC, days: {mon-sun: [\"10:01-20:00\"]}}"),
	"c": parse("limits: [{calls: 1, per: 30m, by: contact}]\nquiet: [{after: conversation, for: 2h, by: subject}, {after: refusal, for: 3h}]"),
	"d": parse("limits: [{calls: 2, per: 2h, by: contact}, {calls: 3, per: day}]\nquiet: [{after: conversation, for: 1h, by: contact}]"),
}

func parse(text string) followup.Policy {
	p, err := followup.Parse([]byte(text))
	if err != nil {
		panic(err)
	}
	return p
}

// clear asks for the next attempt of a contact, or again for its last one.
func (b *books) clear() {
	contact := b.contact()
	n := max(1, b.opened[contact]+rapid.IntRange(0, 1).Draw(b.t, "next"))
	r := b.ask(contact, n)
	r.Others = rapid.Bool().Draw(b.t, "others")
	if v, err := b.disk.Policy(ctx, "kept"); err == nil && rapid.IntRange(0, 4).Draw(b.t, "stale") > 0 {
		r.FollowsVersion = v.Version
	}
	if rapid.IntRange(0, 9).Draw(b.t, "another run") == 0 {
		r.FirstRunID = "another run"
		r.Key = call.AttemptKey(r.WorkflowID, r.FirstRunID, n)
	}
	inMemory, errMemory := b.memory.Clear(ctx, r)
	onDisk, errDisk := b.disk.Clear(ctx, r)
	b.same(inMemory, onDisk, errMemory, errDisk)
	if onDisk.Cleared {
		b.opened[contact] = n
		b.dialed = append(b.dialed, r)
	}
}

func (b *books) one() (followup.ClearanceRequest, bool) {
	if len(b.dialed) == 0 {
		return followup.ClearanceRequest{}, false
	}
	return rapid.SampledFrom(b.dialed).Draw(b.t, "attempt"), true
}

func (b *books) answer() {
	if r, ok := b.one(); ok {
		d := call.DialAnswer{Class: rapid.SampledFrom([]call.AnswerClass{call.AnswerPlaced, call.AnswerPlaced, call.AnswerNotPlaced,
			call.AnswerThrottled, call.AnswerRefused, call.AnswerUnknown}).Draw(b.t, "answer"), SID: "sid", Message: "because"}
		if d.Class == call.AnswerThrottled {
			d.RetryAfter = time.Duration(rapid.IntRange(0, 60).Draw(b.t, "retry after")) * time.Second
		}
		inMemory, errMemory := b.memory.Answer(ctx, r.Key, r.Owner, d)
		onDisk, errDisk := b.disk.Answer(ctx, r.Key, r.Owner, d)
		b.same(inMemory, onDisk, errMemory, errDisk)
	}
}

func (b *books) receive() {
	if r, ok := b.one(); ok {
		e := rapid.SampledFrom([]call.Event{{Status: call.StatusAnswered}, {Status: call.StatusProgress, AMD: call.AMDHuman},
			{Status: call.StatusFailed, SIP: 486}, {Status: call.StatusCompleted}, {Status: call.StatusCompleted, AMD: call.AMDMachine}}).Draw(b.t, "event")
		b.same(nil, nil, b.memory.Receive(ctx, r.Key, e), b.disk.Receive(ctx, r.Key, nil, []call.Event{e}, ""))
	}
}

func (b *books) result() {
	if r, ok := b.one(); ok {
		said := call.BotResult{Kind: rapid.SampledFrom(call.ResultKinds()).Draw(b.t, "result")}
		b.same(nil, nil, b.memory.ReceiveResult(ctx, r.Key, said), b.disk.ReceiveResult(ctx, r.Key, []byte(said.Kind), said, ""))
	}
}

func (b *books) giveUp() {
	if r, ok := b.one(); ok {
		inMemory, errMemory := b.memory.GiveUp(ctx, r.Key, "nothing was heard")
		onDisk, errDisk := b.disk.GiveUp(ctx, r.Key, "nothing was heard")
		b.same(inMemory, onDisk, errMemory, errDisk)
	}
}

// numbers are those of a contact: of some of them nobody knows the zone.
func (b *books) numbers(r followup.ClearanceRequest) []call.Target {
	return append([]call.Target{r.Request.To}, rapid.SampledFrom([][]call.Target{
		{{URI: "tel:+14155550109"}},
		{{URI: "sip:further@example.com"}},
		{{URI: "sip:further@example.com"}, {URI: "sip:further@example.net", Zone: "America/New_York"}},
	}).Draw(b.t, "numbers")...)
}

func (b *books) conclude() {
	if r, ok := b.one(); ok {
		p := policies[r.ContactID]
		p.Lifetime = followup.Duration(3 * time.Hour)
		p.On = map[call.Disposition]followup.Rule{call.Busy: {Do: followup.VerbNextNumber}}
		if rapid.Bool().Draw(b.t, "by their clock") {
			p.Window = kept[len(kept)-1].Window
		}
		further := b.numbers(r)
		inMemory, errMemory := b.memory.Conclude(ctx, r.WorkflowID, r.Key, p, further...)
		onDisk, errDisk := b.disk.Conclude(ctx, r.WorkflowID, r.Key, p, further...)
		b.same(inMemory, onDisk, errMemory, errDisk)
	}
}

func (b *books) finish() {
	id := "redial/-/" + b.contact()
	inMemory, errMemory := b.memory.Finish(ctx, id, call.OutcomeCanceled, "because")
	onDisk, errDisk := b.disk.Finish(ctx, id, call.OutcomeCanceled, "because")
	b.same(inMemory, onDisk, errMemory, errDisk)
}

func (b *books) escalate() {
	e := followup.Escalated{WorkflowID: "redial/-/" + b.contact(), Reason: "because"}
	if _, known := b.memory.Show(e.WorkflowID); known {
		b.same(nil, nil, b.memory.Escalate(ctx, e, ""), b.disk.Escalate(ctx, e, ""))
	}
}

// restore hands in what an older ledger does not know, or one that it does.
func (b *books) restore() {
	contact := b.contact()
	r := b.ask(contact, max(1, b.opened[contact]+rapid.IntRange(0, 1).Draw(b.t, "next")))
	if c, known := b.memory.Show(r.WorkflowID); known && c.FirstRunID != r.FirstRunID {
		return
	}
	dialed := call.Attempt{N: r.N, Key: r.Key, State: call.StateDialing, Seq: 1, DialedAt: b.at, HearUntil: b.at.Add(r.HearFor), Detection: true}
	d := call.DialAnswer{Class: call.AnswerPlaced, SID: "sid"}
	inMemory, errMemory := b.memory.Restore(ctx, r, dialed, d)
	onDisk, errDisk := b.disk.Restore(ctx, r, dialed, d)
	b.same(inMemory, onDisk, errMemory, errDisk)
	if b.opened[contact] < r.N {
		b.opened[contact] = r.N
		b.dialed = append(b.dialed, r)
	}
}

func (b *books) suppress() {
	contact := b.contact()
	until := rapid.SampledFrom([]time.Duration{0, time.Minute, time.Hour}).Draw(b.t, "for")
	inMemory := callflowtest.Suppression{Subject: b.ask(contact, 1).Request.To.URI, Source: "anna", Reason: fmt.Sprint("because ", until)}
	onDisk := ledger.Suppression{Kind: ledger.SuppressedNumber, Subject: inMemory.Subject, Source: inMemory.Source, Reason: inMemory.Reason}
	if until > 0 {
		inMemory.Until, onDisk.ExpiresAt = b.at.Add(until), b.at.Add(until)
	}
	if rapid.Bool().Draw(b.t, "the contact") {
		inMemory.Contact, inMemory.Subject = true, contact
		onDisk.Kind, onDisk.Subject = ledger.SuppressedContact, contact
	}
	added, errMemory := b.memory.Suppress(ctx, inMemory)
	addedOnDisk, errDisk := b.disk.Suppress(ctx, onDisk)
	b.same(added, addedOnDisk, errMemory, errDisk)
}

func (b *books) optOut() {
	claim, reason := b.ask(b.contact(), 1).Claim(), rapid.SampledFrom([]string{"", "said so"}).Draw(b.t, "reason")
	b.same(nil, nil, b.memory.OptOut(ctx, claim, "anna", reason), b.disk.OptOut(ctx, claim, "anna", reason))
}

func (b *books) recheck() {
	claim := b.ask(b.contact(), 1).Claim()
	if rapid.Bool().Draw(b.t, "the contact alone") {
		claim.Target = ""
	}
	inMemory, errMemory := b.memory.Recheck(ctx, claim)
	onDisk, errDisk := b.disk.Recheck(ctx, claim)
	b.same(inMemory, onDisk, errMemory, errDisk)
}

// kept are versions of the policy that contacts follow: more patient, with rules, and ending at once.
var kept = []followup.Policy{
	parse("name: kept\njitter: 0\non: {busy: {retry: [1m, 2h]}, machine: {retry: [30m], then: escalate}, human: {retry: [1h]}}"),
	parse("name: kept\njitter: 0\nlimits: [{calls: 1, per: 2h}]\nlifetime: 20h\non: {busy: {retry: [3h, 3h]}, no_answer: next_number}"),
	parse("name: kept\njitter: 0\non: {busy: stop, no_answer: {retry: [10m]}, machine: suppress, human: escalate}"),
	parse("name: kept\njitter: 0\nwindow: {days: {mon-sun: [\"06:00-23:00\"]}}\non: {busy: {retry: [1m, 1m], then: next_number}, machine: next_number}"),
}

func (b *books) putPolicy() {
	p, every := rapid.SampledFrom(kept).Draw(b.t, "policy"), rapid.SampledFrom([]time.Duration{0, time.Minute}).Draw(b.t, "every")
	errMemory := b.memory.PutPolicy(ctx, p, every)
	_, errDisk := b.disk.PutPolicy(ctx, p, "anna", "because", every)
	refused := func(err error) (unzoned *followup.UnzonedError) {
		errors.As(err, &unzoned)
		return unzoned
	}
	b.same(refused(errMemory), refused(errDisk), errMemory, errDisk)
}

func (b *books) changePolicy() {
	claim, given := b.ask(b.contact(), 1).Claim(), rapid.SampledFrom(kept).Draw(b.t, "given").WithDefaults()
	claim.Follows = rapid.SampledFrom([]string{"", "kept", "another"}).Draw(b.t, "follows")
	check := func(p followup.Policy) error {
		if p.Lifetime == kept[1].Lifetime {
			return errors.New("it is refused")
		}
		return nil
	}
	inMemory, errMemory := b.memory.ChangePolicy(ctx, claim, given, check)
	onDisk, errDisk := b.disk.ChangePolicy(ctx, claim, given, check)
	b.same(nil, nil, errMemory, errDisk)
	if errDisk == nil {
		b.same(inMemory, onDisk, nil, nil)
		b.opened[claim.WorkflowID[len("redial/-/"):]] += 0
	}
}

func (b *books) replan() {
	r, ok := b.one()
	if !ok {
		return
	}
	key, given := rapid.SampledFrom([]string{r.Key, r.Key, ""}).Draw(b.t, "key"), rapid.SampledFrom(kept).Draw(b.t, "given").WithDefaults()
	further := b.numbers(r)
	inMemory, errMemory := b.memory.Replan(ctx, r.WorkflowID, key, given, further...)
	onDisk, errDisk := b.disk.Replan(ctx, r.WorkflowID, key, given, further...)
	b.same(inMemory, onDisk, errMemory, errDisk)
}

func (b *books) wait() {
	claim := b.ask(b.contact(), 1).Claim()
	h := followup.Hold{Reason: followup.ReasonFlow, Rule: "flow: later", Until: b.at.Add(time.Hour)}
	b.same(nil, nil, b.memory.Wait(ctx, claim, h), b.disk.Wait(ctx, claim, h))
}

func (b *books) note() {
	id, notes := "redial/-/"+b.contact(), []followup.Note{{N: rapid.IntRange(1, 3).Draw(b.t, "note"), Text: "so"}}
	b.same(nil, nil, b.memory.Note(ctx, id, notes), b.disk.Note(ctx, id, notes))
}

func (b *books) limit() {
	lines, rate := rapid.IntRange(0, 2).Draw(b.t, "lines"), rapid.IntRange(0, 2).Draw(b.t, "rate")
	b.same(nil, nil, b.memory.SetLimits(ctx, lines, rate, time.Minute), b.disk.SetLimits(ctx, lines, rate, time.Minute))
}

func (b *books) pass() {
	b.at = b.at.Add(rapid.SampledFrom([]time.Duration{time.Second, 2 * time.Second, 11 * time.Second, time.Minute, 11 * time.Minute, time.Hour}).Draw(b.t, "time"))
}

// delivered is a delivery as both ledgers can say it.
type delivered struct {
	WorkflowID string
	Attempt    *call.Attempt
	Result     *call.BotResult
	Wake       bool
	Recheck    bool
	Replan     bool
}

// owed compares what both owe now, and when they want to be asked again.
func (b *books) owed() {
	next, err := b.disk.Tick(ctx)
	require.NoError(b.t, err)
	require.Equal(b.t, canonical(next.UTC()), canonical(b.memory.Tick().UTC()))
	due, err := b.disk.Due(ctx, ledger.ToFlows, 100)
	require.NoError(b.t, err)
	var onDisk, inMemory []delivered
	for _, d := range due {
		require.NoError(b.t, b.disk.Delivered(ctx, d, false))
		onDisk = append(onDisk, delivered{d.WorkflowID, d.Attempt, d.Result, d.Wake, d.Recheck, d.Replan})
	}
	for _, d := range b.memory.Due() {
		inMemory = append(inMemory, delivered{d.WorkflowID, d.Attempt, d.Result, d.Wake, d.Recheck, d.Replan})
	}
	for _, list := range [][]delivered{onDisk, inMemory} {
		slices.SortFunc(list, func(x, y delivered) int { return cmp.Compare(canonical(x), canonical(y)) })
	}
	require.Equal(b.t, canonical(onDisk), canonical(inMemory))
}

// stand compares how the contacts stand.
func (b *books) stand() {
	for contact := range b.opened {
		id := "redial/-/" + contact
		shown, err := b.disk.Show(ctx, id)
		require.NoError(b.t, err)
		c, known := b.memory.Show(id)
		require.True(b.t, known)
		var wait followup.Hold
		if shown.Wait != nil {
			wait = *shown.Wait
		}
		require.Equal(b.t, canonical([]any{shown.Outcome, shown.Escalated, shown.Reason, shown.OpenedAt, shown.ClosedAt, wait, shown.Folded()}),
			canonical([]any{c.Outcome, c.Escalated, c.Reason, c.OpenedAt, c.ClosedAt, c.Wait, append([]call.Attempt{}, c.Attempts...)}))
		inMemory := b.memory.Decisions(id)
		require.Len(b.t, inMemory, len(shown.Decisions))
		for i, d := range shown.Decisions {
			have := inMemory[i]
			require.Equal(b.t, canonical([]any{d.At, d.Kind, d.Reason, d.Rule, d.Until}), canonical([]any{have.At, have.Kind, have.Reason, have.Rule, have.Until.UTC()}))
		}
	}
}

func TestTheLedgerInMemoryKeepsTheRulesOfTheProductsOwn(t *testing.T) {
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue { // each has a file of its own
		require.NoError(t, checks.Value.Set("30"))
		defer func() { _ = checks.Value.Set(checks.DefValue) }()
	}
	path := filepath.Join(t.TempDir(), "redial.db")
	rapid.Check(t, func(t *rapid.T) {
		for _, file := range []string{path, path + "-wal", path + "-shm", path + ".lock"} {
			_ = os.Remove(file)
		}
		b := open(t, path)
		defer b.disk.Close()
		b.limit()
		moves := []func(){b.clear, b.clear, b.clear, b.answer, b.answer, b.receive, b.receive, b.receive, b.result, b.giveUp, b.conclude, b.conclude,
			b.finish, b.escalate, b.restore, b.suppress, b.optOut, b.recheck, b.putPolicy, b.changePolicy, b.replan, b.wait, b.note, b.limit, b.pass, b.pass}
		for range rapid.IntRange(1, 30).Draw(t, "moves") {
			moves[rapid.IntRange(0, len(moves)-1).Draw(t, "move")]()
			b.owed()
		}
		b.stand()
	})
}

func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

// A campaign is what a rehearsal puts on the ledger: many contacts that share lines and pace under one clock.
func TestACampaignSharesLinesAndPaceInTheOrderOfTheQueue(t *testing.T) {
	const contacts, lines, rate, lasts = 2000, 10, 55, 40 * time.Second
	start := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	at := start
	l := callflowtest.NewLedger(func() time.Time { return at })
	require.NoError(t, l.SetLimits(ctx, lines, rate, time.Minute))
	ask := func(i int) (key string, cleared bool) {
		id := fmt.Sprintf("redial/-/%04d", i) // who come together are served in the order of their ids
		key = call.AttemptKey(id, "run", 1)
		c, err := l.Clear(ctx, followup.ClearanceRequest{Key: key, N: 1, WorkflowID: id, FirstRunID: "run", ContactID: fmt.Sprint(i), Owner: "run",
			HearFor: time.Hour, Request: call.DialRequest{To: call.Target{URI: fmt.Sprintf("tel:+1415555%04d", i)}}})
		require.NoError(t, err)
		return key, c.Cleared
	}
	type ending struct {
		at  time.Time
		key string
	}
	var underWay []ending // in the order of their ends: all last the same
	dialed, peak := []int{}, 0
	dial := func(i int) {
		if key, cleared := ask(i); cleared {
			_, err := l.Answer(ctx, key, "run", call.DialAnswer{Class: call.AnswerPlaced})
			require.NoError(t, err)
			underWay = append(underWay, ending{at.Add(lasts), key})
			dialed = append(dialed, i)
			peak = max(peak, len(underWay))
		}
	}
	for i := range contacts {
		dial(i)
	}
	for len(dialed) < contacts {
		next := l.Tick()
		for _, d := range l.Due() {
			var i int
			_, err := fmt.Sscanf(d.WorkflowID, "redial/-/%d", &i)
			require.NoError(t, err)
			if d.Wake {
				dial(i)
			}
		}
		if len(underWay) > 0 && (next.IsZero() || underWay[0].at.Before(next)) {
			next = underWay[0].at
		}
		require.True(t, next.After(at) || !next.After(at) && len(dialed) > 0, "nothing more would happen")
		at = later(at, next)
		for len(underWay) > 0 && !underWay[0].at.After(at) {
			require.NoError(t, l.Receive(ctx, underWay[0].key, call.Event{Status: call.StatusCompleted, Duration: lasts}))
			underWay = underWay[1:]
		}
	}
	require.Equal(t, lines, peak)
	require.True(t, slices.IsSorted(dialed), "first come, first served")
	perfect := contacts / lines * lasts
	require.Less(t, at.Sub(start), perfect*110/100, "no line is left idle while somebody waits")
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
