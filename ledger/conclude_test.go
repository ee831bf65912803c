package ledger_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/followup"
	"redial/ledger"
)

func (b *book) conclude(r followup.ClearanceRequest, p followup.Policy) followup.Decision {
	b.tb.Helper()
	d, err := b.Conclude(ctx, r.WorkflowID, r.Key, p)
	require.NoError(b.tb, err)
	return d
}

func on(d call.Disposition, r followup.Rule) followup.Policy {
	return followup.Policy{On: map[call.Disposition]followup.Rule{d: r}}
}

func TestADecisionIsRecordedAndNotWorkedOutAgain(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1)
		b.place(r)
		_, err := b.Conclude(ctx, r.WorkflowID, r.Key, followup.Policy{})
		require.ErrorContains(t, err, "still under way")
		b.receive(r, busy)
		d := b.conclude(r, followup.Policy{Jitter: new(int)})
		require.Equal(t, followup.ActionRetry, d.Action)
		require.Equal(t, b.Now().Add(20*time.Minute), d.At)
		require.Equal(t, followup.ReasonRetry, b.show("a").Wait.Reason)
		b.Advance(time.Hour)
		b.reopen()
		require.Equal(t, d, b.conclude(r, on(call.Busy, followup.Rule{Do: followup.VerbEscalate})), "another policy later")
		require.Zero(t, b.show("a").ClosedAt)
	})
}

func TestAnAttemptInDoubtThatIsSettledIsDecidedAnew(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1)
		b.place(r)
		_, err := b.GiveUp(ctx, r.Key, "nothing was heard")
		require.NoError(t, err)
		require.Equal(t, followup.ActionRetry, b.conclude(r, followup.Policy{}).Action)
		b.end(r)
		d := b.conclude(r, followup.Policy{})
		require.Equal(t, followup.ActionFinish, d.Action)
		require.EqualValues(t, call.Human, d.Outcome)
		require.EqualValues(t, call.Human, b.show("a").Outcome)
	})
}

func TestADecisionCountsOverTheWholeContact(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		p := on(call.Busy, followup.Rule{Retry: []followup.Delay{{After: followup.Duration(time.Minute)}}, Then: followup.VerbEscalate})
		for n, want := range []followup.Action{followup.ActionRetry, followup.ActionEscalate} {
			r := ask("a", n+1)
			b.place(r)
			b.receive(r, busy)
			require.Equal(t, want, b.conclude(r, p).Action)
		}
		c := b.show("a")
		require.Equal(t, call.OutcomeEscalated, c.Outcome)
		require.True(t, c.Escalated)
		require.Equal(t, b.Now(), c.ClosedAt)
		require.Nil(t, c.Wait)
	})
}

// Promise 5: every contact ends in exactly one outcome.
func TestTheFirstOutcomeStands(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1)
		b.place(r)
		b.end(r)
		b.conclude(r, followup.Policy{})
		got, err := b.Finish(ctx, r.WorkflowID, call.OutcomeCanceled, "too late")
		require.NoError(t, err)
		require.EqualValues(t, call.Human, got)

		b.place(ask("b", 1))
		for _, want := range []string{"first", "second"} {
			got, err = b.Finish(ctx, "redial/-/b", call.OutcomeCanceled, want)
			require.NoError(t, err)
			require.Equal(t, call.OutcomeCanceled, got)
		}
		require.Equal(t, "first", b.show("b").Reason)

		got, err = b.Finish(ctx, "redial/-/never dialed", call.OutcomeCanceled, "")
		require.NoError(t, err)
		require.Equal(t, call.OutcomeCanceled, got)
	})
}

func TestShowTellsTheWholeStoryOfAContact(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1, func(r *followup.ClearanceRequest) { r.Campaign = "spring" })
		b.place(r)
		b.receive(r, busy)
		b.conclude(r, followup.Policy{})
		byContact := b.show("a")
		require.Equal(t, byContact, b.show("redial/-/a"))
		require.Equal(t, "spring", byContact.Campaign)
		kinds := make([]string, 0, 2)
		for _, d := range byContact.Decisions {
			kinds = append(kinds, d.Kind)
		}
		require.Equal(t, []string{"cleared", "decided"}, kinds)
		require.JSONEq(t, `{"lines":0,"lines_used":0,"rate":0,"rate_used":0,"reserved":0,"target":{"uri":"sip:a@example.com"}}`, string(byContact.Decisions[0].Evidence))

		_, err := b.Show(ctx, "nobody")
		var missing *ledger.NotFoundError
		require.ErrorAs(t, err, &missing)

		twin := ask("a", 1, func(r *followup.ClearanceRequest) { r.WorkflowID, r.Key = "redial/autumn/a", "redial/autumn/a/run/1" })
		b.dial(twin)
		_, err = b.Show(ctx, "a")
		require.ErrorContains(t, err, "several campaigns")
	})
}

func TestShowGivesListsAlsoWhereThereIsNothing(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.limits(1, 0, 0)
		b.dial(ask("under", 1, to(number)))
		b.held(ask("a", 1))
		c := b.show("a")
		require.NotNil(t, c.Attempts)
		require.NotNil(t, c.Notifications)
		require.Nil(t, c.Escalation)
	})
}

func TestListIsACampaignInTheOrderItWasOpened(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		campaign := func(name string) func(*followup.ClearanceRequest) {
			return func(r *followup.ClearanceRequest) { r.Campaign = name }
		}
		for _, c := range []string{"z", "y", "x"} {
			b.place(ask(c, 1, campaign("spring")))
			b.Advance(time.Second)
		}
		b.dial(ask("other", 1, campaign("autumn")))
		b.end(ask("y", 1))
		b.conclude(ask("y", 1), followup.Policy{})
		list, err := b.List(ctx, "spring")
		require.NoError(t, err)
		require.Len(t, list, 3)
		for i, want := range []string{"z", "y", "x"} {
			require.Equal(t, want, list[i].ContactID)
			require.Len(t, list[i].Attempts, 1)
		}
		require.EqualValues(t, call.Human, list[1].Outcome)
		require.Nil(t, list[1].Wait)
		require.Equal(t, followup.ReasonCall, list[0].Wait.Reason)
	})
}
