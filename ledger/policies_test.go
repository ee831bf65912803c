package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/followup"
	"redial/ledger"
)

func follows(name string) func(*followup.ClearanceRequest) {
	return func(r *followup.ClearanceRequest) { r.Follows = name }
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
		r := ask("a", 1, follows("reminder"))
		b.busy(r)
		b.put(reminder(t, "on: {busy: {retry: [90m]}}"), 0)
		d, err := b.Conclude(ctx, r.WorkflowID, r.Key, followup.Policy{}.WithDefaults())
		require.NoError(t, err)
		require.Equal(t, "reminder: on.busy.retry[0]: 1h30m", d.Rule, "the ledger's, not the run's own")

		b.Advance(2 * time.Hour)
		b.put(reminder(t, "limits: [{calls: 1, per: 6h}]"), 0)
		held := b.clear(ask("a", 2, follows("reminder"))).Held
		require.NotNil(t, held)
		require.Equal(t, followup.ReasonLimit, held.Reason)
		b.dial(ask("b", 1))
	})
}

func TestThoseWhoFollowAPolicyAreWokenOneAfterTheOtherAndNobodyElse(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		for i := range 4 {
			b.busy(ask(fmt.Sprint("follower", i), 1, follows("reminder")))
		}
		b.busy(ask("other", 1, follows("spring")))
		b.busy(ask("own", 1))
		over := ask("over", 1, follows("reminder"))
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
		require.Nil(t, plan.Decision, "an outcome stands")
	})
}

func TestAHundredThousandWhoFollowAPolicyAreToldOfANewOneInOneTransaction(t *testing.T) {
	b := databases["SQLite"].open(t)
	query := `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
		INSERT INTO contacts (workflow_id, contact_id, campaign, first_run_id, target, opened_at, follows) SELECT 'redial/-/' || i, i, '', 'run', 'sip:' || i || '@example.com', 1, 'reminder' FROM n`
	b.statement(query)
	began := time.Now()
	require.Equal(t, 100_000, b.put(reminder(t, "attempts: 3"), time.Second/20).Woken)
	t.Log("it took", time.Since(began))
}
