package ledger_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/followup"
	"redial/ledger"
)

// follows is a contact that follows a policy, of which it knows a version.
func follows(name string, version int) func(*followup.ClearanceRequest) {
	return func(r *followup.ClearanceRequest) { r.Follows, r.FollowsVersion = name, version }
}

// reminder is a policy of this name without jitter.
func reminder(t *testing.T, text string) followup.Policy {
	t.Helper()
	p, err := followup.Parse([]byte("name: reminder\njitter: 0\n" + text))
	require.NoError(t, err)
	return p
}

func (b *book) put(p followup.Policy, every time.Duration) ledger.PolicyPut {
	b.tb.Helper()
	put, err := b.PutPolicy(ctx, p, "anna", "because", every)
	require.NoError(b.tb, err)
	return put
}

// busy is a contact that was called, and was busy.
func (b *book) busy(r followup.ClearanceRequest) {
	b.tb.Helper()
	b.place(r)
	b.receive(r, busy)
}

func TestAPolicyIsKeptVersionByVersionAndTheSameOneOnce(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		_, err := b.Policy(ctx, "reminder")
		var unknown *followup.UnknownPolicyError
		require.ErrorAs(t, err, &unknown)
		first := reminder(t, "attempts: 3")
		require.True(t, b.put(first, 0).Changed)
		b.Advance(time.Hour)
		require.False(t, b.put(first, 0).Changed)
		second := b.put(reminder(t, "attempts: 4"), 0)
		require.Equal(t, 2, second.Version)
		b.put(first, 0) // back again is a version of its own
		b.reopen()
		list, err := b.PolicyVersions(ctx, "reminder")
		require.NoError(t, err)
		require.Len(t, list, 3)
		require.Equal(t, []int{3, 2, 1}, []int{list[0].Version, list[1].Version, list[2].Version})
		require.Equal(t, list[0].Hash, list[2].Hash)
		require.Equal(t, first.WithDefaults(), list[2].Policy, "a policy comes back as it was put")
		require.Equal(t, start.Add(time.Hour), list[1].At)
		current, err := b.Policy(ctx, "reminder")
		require.NoError(t, err)
		require.Equal(t, list[0], current)
	})
}

func TestAPolicyThatContactsFollowHoldsFromItsPutOnForDialsAndDecisions(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1, follows("reminder", 0))
		b.busy(r)
		b.put(reminder(t, "on: {busy: {retry: [90m]}}"), 0)
		d, err := b.Conclude(ctx, r.WorkflowID, r.Key, followup.Policy{}.WithDefaults())
		require.NoError(t, err)
		require.Equal(t, "reminder: on.busy.retry[0]: 1h30m", d.Rule, "the ledger's, not the run's own")

		b.Advance(2 * time.Hour)
		b.put(reminder(t, "limits: [{calls: 1, per: 6h}]"), 0)
		held := b.held(ask("a", 2, follows("reminder", 2)))
		require.Equal(t, followup.ReasonLimit, held.Reason)
		b.dial(ask("b", 1))
	})
}

func TestWhoAsksUnderAnOlderVersionTakesUpTheNewestFirstWokenOrNot(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.put(reminder(t, "on: {busy: {retry: [1h]}}"), 0)
		r := ask("a", 1, follows("reminder", 1))
		b.busy(r)
		b.conclude(r, followup.Policy{}.WithDefaults())
		b.settleAll()
		b.put(reminder(t, "on: {busy: stop}"), 0)
		b.settleAll() // the wake gets lost
		b.Advance(time.Hour + time.Minute)
		held := b.held(ask("a", 2, follows("reminder", 1)))
		require.Equal(t, []any{followup.ReasonPolicy, "policy reminder, version 2 holds now"}, []any{held.Reason, held.Rule})
		due := b.due(ledger.ToFlows)
		require.Len(t, due, 1)
		require.True(t, due[0].Replan, "it is told at once")
		for range 2 { // the answer of the first may have got lost
			plan, err := b.Replan(ctx, r.WorkflowID, r.Key, followup.Policy{})
			require.NoError(t, err)
			require.Equal(t, 2, plan.Version)
			require.True(t, plan.Decision.Final())
		}
		require.Equal(t, call.Outcome(call.Busy), b.show("a").Outcome)
	})
}

func TestAnAttemptThatTheLedgerHasLostIsNotDecidedAnew(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.busy(ask("a", 1))
		plan, err := b.Replan(ctx, "redial/-/a", "redial/-/a/run/2", followup.Policy{})
		require.NoError(t, err)
		require.Nil(t, plan.Decision)
	})
}

func TestThoseWhoFollowAPolicyAreWokenOneAfterTheOtherAndNobodyElse(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		for i := range 4 {
			b.busy(ask(fmt.Sprint("follower", i), 1, follows("reminder", 0)))
		}
		b.busy(ask("other", 1, follows("spring", 0)))
		b.busy(ask("own", 1))
		over := ask("over", 1, follows("reminder", 0))
		b.busy(over)
		_, err := b.Finish(ctx, over.WorkflowID, call.OutcomeCanceled, "because")
		require.NoError(t, err)
		b.settleAll()

		put := b.put(reminder(t, "attempts: 3"), 10*time.Second)
		require.Equal(t, 4, put.Woken)
		require.Equal(t, start.Add(30*time.Second), put.LastAt)
		require.Equal(t, []ledger.PolicyLine{{PolicyVersion: put.PolicyVersion, Open: 4, ToWake: 4}}, b.policies())
		var woken []string
		for range 4 {
			due, err := b.Due(ctx, ledger.ToFlows, 10)
			require.NoError(t, err)
			require.Len(t, due, 1, "one at a time")
			require.True(t, due[0].Replan && due[0].Wake)
			require.NoError(t, b.Delivered(ctx, due[0], false))
			woken = append(woken, due[0].WorkflowID)
			b.Advance(10 * time.Second)
		}
		require.Equal(t, []string{"redial/-/follower0", "redial/-/follower1", "redial/-/follower2", "redial/-/follower3"}, woken)
		require.Zero(t, b.policies()[0].ToWake)
	})
}

func (b *book) policies() []ledger.PolicyLine {
	b.tb.Helper()
	list, err := b.Policies(ctx)
	require.NoError(b.tb, err)
	return list
}

// settleAll delivers all that is owed now.
func (b *book) settleAll() {
	b.tb.Helper()
	due, err := b.Due(ctx, ledger.ToFlows, 100)
	require.NoError(b.tb, err)
	for _, d := range due {
		require.NoError(b.tb, b.Delivered(ctx, d, false))
	}
}

func TestWhatAContactWaitsForIsDecidedAnewAsOfItsFirstDecisionAndOnlyOnce(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1)
		b.busy(r)
		before, err := b.Conclude(ctx, r.WorkflowID, r.Key, reminder(t, "on: {busy: {retry: [1h]}}"))
		require.NoError(t, err)
		b.Advance(20 * time.Minute)
		patient := reminder(t, "on: {busy: {retry: [3h]}}")
		for range 2 {
			plan, err := b.Replan(ctx, r.WorkflowID, r.Key, patient)
			require.NoError(t, err)
			require.Nil(t, plan.Policy, "the run has its own")
			require.Equal(t, before.At.Add(2*time.Hour), plan.Decision.At)
		}
		again, err := b.Conclude(ctx, r.WorkflowID, r.Key, followup.Policy{}.WithDefaults())
		require.NoError(t, err)
		require.Equal(t, before.At.Add(2*time.Hour), again.At, "what was decided anew stands")
		c := b.show("a")
		require.Equal(t, before.At.Add(2*time.Hour), c.Wait.Until)
		kinds := map[string]int{}
		for _, d := range c.Decisions {
			kinds[d.Kind]++
		}
		require.Equal(t, map[string]int{"cleared": 1, "decided": 1, "replanned": 1}, kinds)

		plan, err := b.Replan(ctx, r.WorkflowID, r.Key, reminder(t, "on: {busy: stop}"))
		require.NoError(t, err)
		require.True(t, plan.Decision.Final())
		require.Equal(t, call.Outcome(call.Busy), b.show("a").Outcome)
		plan, err = b.Replan(ctx, r.WorkflowID, r.Key, patient)
		require.NoError(t, err)
		require.True(t, plan.Decision.Final(), "an outcome stands")
	})
}

func TestManyWhoFollowAPolicyAreOwedTheirWakesInPieces(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		const contacts = 450
		rows := make([]string, contacts)
		for i := range rows {
			rows[i] = fmt.Sprintf("('redial/-/%03[1]d', '%03[1]d', '', 'run', 'sip:%[1]d@example.com', 1, 'reminder')", i)
		}
		b.statement(`INSERT INTO contacts (workflow_id, contact_id, campaign, first_run_id, target, opened_at, follows) VALUES ` + strings.Join(rows, ", "))
		put := b.put(reminder(t, "attempts: 3"), 100*time.Millisecond)
		require.Equal(t, contacts, put.Woken)
		require.Equal(t, start.Add((contacts-1)*100*time.Millisecond), put.LastAt)
		woken := map[string]bool{}
		for b.Now().Before(put.LastAt.Add(time.Minute)) {
			require.Equal(t, contacts-len(woken), b.policies()[0].ToWake)
			_, err := b.Tick(ctx)
			require.NoError(t, err)
			due, err := b.Due(ctx, ledger.ToFlows, 1000)
			require.NoError(t, err)
			require.LessOrEqual(t, len(due), 100, "at the pace that was asked for")
			for _, d := range due {
				require.False(t, woken[d.WorkflowID], "each is woken once")
				woken[d.WorkflowID] = true
				require.NoError(t, b.Delivered(ctx, d, false))
			}
			b.Advance(9 * time.Second)
		}
		require.Len(t, woken, contacts)
	})
}

func TestAPolicyOfWhichThereIsANewerVersionWakesNobodyAnyMore(t *testing.T) {
	b := databases["SQLite"].open(t)
	b.busy(ask("a", 1, follows("reminder", 0)))
	b.settleAll()
	for n := range 3 {
		b.put(reminder(t, fmt.Sprintf("attempts: %d", n+1)), time.Hour)
	}
	require.Len(t, b.due(ledger.ToFlows), 1)
}

// byTheirClock is a policy whose window goes by the recipient's clock.
const byTheirClock = `{window: {days: {mon-sun: ["00:00-24:00"]}}, on: {busy: {retry: [1h], then: next_number}}}`

// clocked is the policy reminder by the recipient's clock.
func clocked(t *testing.T) followup.Policy {
	t.Helper()
	p, err := followup.Parse([]byte(byTheirClock))
	require.NoError(t, err)
	p.Name, p.Jitter = "reminder", new(int)
	return p
}

func inZone(zone string) func(*followup.ClearanceRequest) {
	return func(r *followup.ClearanceRequest) { r.Request.To.Zone = zone }
}

func TestAPolicyIsNotPutUnderWhichOpenContactsThatFollowItCouldNotBeCalled(t *testing.T) {
	reminded := follows("reminder", 0)
	waits := func(b *book, r followup.ClearanceRequest) {
		b.tb.Helper()
		require.NoError(b.tb, b.Wait(ctx, r.Claim(), followup.Hold{Reason: followup.ReasonPaused, Rule: "paused", Until: start.Add(time.Hour)}))
	}
	// moved is called at another number next.
	moved := func(b *book, r followup.ClearanceRequest, numbers ...call.Target) {
		b.tb.Helper()
		b.busy(r)
		p := reminder(t, "on: {busy: next_number}")
		p.Name = "its own"
		d, err := b.Conclude(ctx, r.WorkflowID, r.Key, p, append([]call.Target{r.Request.To}, numbers...)...)
		require.NoError(b.tb, err)
		require.NotNil(b.tb, d.Target)
	}
	sip, stated, tel := call.Target{URI: "sip:next@example.com"}, call.Target{URI: "sip:next@example.com", Zone: "Europe/Paris"}, call.Target{URI: number}
	for name, c := range map[string]struct {
		with    func(b *book)
		unknown []string
	}{
		"none follows it":                    {func(b *book) { b.busy(ask("a", 1)); waits(b, ask("b", 1, follows("spring", 0))) }, nil},
		"its number is of no country":        {func(b *book) { b.busy(ask("a", 1, reminded, to("tel:+80012345678"))) }, []string{"a"}},
		"it was called":                      {func(b *book) { b.busy(ask("a", 1, reminded)) }, []string{"a"}},
		"it is called":                       {func(b *book) { b.dial(ask("a", 1, reminded)) }, []string{"a"}},
		"it is paused before its first call": {func(b *book) { waits(b, ask("a", 1, reminded)) }, []string{"a"}},
		"it is over": {func(b *book) {
			b.busy(ask("a", 1, reminded))
			_, err := b.Finish(ctx, "redial/-/a", call.OutcomeCanceled, "because")
			require.NoError(b.tb, err)
		}, nil},
		"a zone was stated": {func(b *book) {
			b.busy(ask("a", 1, reminded, inZone("Europe/Paris")))
			waits(b, ask("b", 1, reminded, inZone("Europe/Paris")))
			b.busy(ask("c", 1, reminded, to("tel:+80012345678"), inZone("Europe/Paris")))
			b.busy(ask("d", 1, reminded, to("tel:+979123456789"), inZone("Europe/Paris")))
		}, nil},
		"a number tells of its zone": {func(b *book) { b.busy(ask("a", 1, reminded, to(number))); waits(b, ask("b", 1, reminded, to(number))) }, nil},
		"the next number has none":   {func(b *book) { moved(b, ask("a", 1, reminded, to(number)), sip) }, []string{"a"}},
		"the next number has one":    {func(b *book) { moved(b, ask("a", 1, reminded), tel); moved(b, ask("b", 1, reminded), stated) }, nil},
		"another number is called": {func(b *book) {
			moved(b, ask("a", 1, reminded, to(number)), sip)
			b.Advance(time.Hour)
			b.dial(ask("a", 2, reminded))
		}, []string{"a"}},
		"many": {func(b *book) {
			for i := range 5 {
				waits(b, ask(fmt.Sprint("c", i), 1, reminded))
			}
			waits(b, ask("d", 1, reminded, to(number)))
		}, []string{"c0", "c1", "c2", "c3", "c4"}},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, at database) {
				b := at.open(t)
				c.with(b)
				b.put(reminder(t, "window: {timezone: Europe/Paris, days: {mon-sun: [\"09:00-17:00\"]}}"), 0)
				b.settleAll()
				put, err := b.PutPolicy(ctx, clocked(t), "anna", "because", 0)
				if len(c.unknown) == 0 {
					require.NoError(t, err)
					require.Equal(t, 2, put.Version)
					return
				}
				var refused *followup.UnzonedError
				require.ErrorAs(t, err, &refused)
				require.Equal(t, len(c.unknown), refused.Contacts)
				require.Equal(t, c.unknown[:min(3, len(c.unknown))], refused.Some)
				v, err := b.Policy(ctx, "reminder")
				require.NoError(t, err)
				require.Equal(t, 1, v.Version)
				require.Empty(t, b.due(ledger.ToFlows), "nobody is woken")
			})
		})
	}
}

// A run that was started under the version before, and has not asked for anything yet, is unknown to the ledger when the next one is put.
func TestWhoTurnsOutToHaveNoZoneIsRefusedForThatAndGoesOnToTheNextNumber(t *testing.T) {
	const reason = "no time zone is known for the number, and the window goes by the recipient's clock"
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.put(clocked(t), 0)
		alone := b.clear(ask("a", 1, follows("reminder", 1)))
		require.Equal(t, &followup.Refusal{Outcome: call.OutcomeSuppressed, Reason: reason, Rule: "reminder: window", Target: true}, alone.Refused)
		require.False(t, alone.Open)
		require.Equal(t, call.OutcomeSuppressed, b.show("a").Outcome)

		several := ask("b", 1, follows("reminder", 1))
		several.Others = true
		require.True(t, b.clear(several).Open)
		b.dial(ask("b", 1, follows("reminder", 1), to(number)))

		r := ask("c", 1) // its own policy, and then one by its clock
		b.busy(r)
		b.conclude(r, reminder(t, "on: {busy: {retry: [1h]}}"))
		plan, err := b.Replan(ctx, r.WorkflowID, r.Key, clocked(t), r.Request.To)
		require.NoError(t, err)
		require.Equal(t, []any{call.OutcomeSuppressed, "busy, and " + reason, "reminder: window"},
			[]any{plan.Decision.Outcome, plan.Decision.Reason, plan.Decision.Rule})
	})
}
