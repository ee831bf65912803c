package ledger_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/ledger"
)

var confirmed = call.BotResult{Kind: call.Confirmed, Data: []byte(`{"slot":"<9:30>"}`)}

// say is a bot that hands in a result whose body is text.
func (b *book) say(key, text string, r call.BotResult) {
	b.tb.Helper()
	require.NoError(b.tb, b.ReceiveResult(ctx, key, []byte(text), r, ""))
}

// told takes the results that are due, and settles them.
func (b *book) told() []ledger.Delivery {
	b.tb.Helper()
	var results []ledger.Delivery
	for _, d := range b.due(ledger.ToFlows) {
		if d.Result != nil {
			require.Nil(b.tb, d.Attempt)
			require.NoError(b.tb, b.Delivered(ctx, d, false))
			results = append(results, d)
		}
	}
	return results
}

func TestAResultIsKeptAndToldToItsFlowOnce(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1)
		b.place(r)
		b.changed()
		b.Advance(time.Second)
		b.say(r.Key, `{"result":"confirmed"}`, confirmed)
		require.True(t, b.changed())

		want := confirmed
		want.AttemptKey, want.ReceivedAt = r.Key, b.Now()
		told := b.told()
		require.Len(t, told, 1)
		require.Equal(t, r.WorkflowID, told[0].WorkflowID)
		require.JSONEq(t, string(want.Data), string(told[0].Result.Data))
		want.Data = told[0].Result.Data // the same value, in another spelling
		require.Equal(t, want, *told[0].Result)
		require.Equal(t, []ledger.Result{{At: b.Now(), AttemptKey: r.Key, Said: &want, Raw: `{"result":"confirmed"}`}}, b.show("a").Results)
		require.Empty(t, b.show("a").Notifications)

		b.Advance(time.Hour)
		require.Empty(t, b.told())
		require.Empty(t, b.attempt(r).Disposition, "the gateway says how a call ended, and nobody else")
	})
}

func TestAResultAndTheEndOfItsCallAreOwedBesideEachOther(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1)
		b.place(r)
		b.end(r)
		b.say(r.Key, "1", confirmed)
		due := b.due(ledger.ToFlows)
		require.Len(t, due, 2)
		require.True(t, (due[0].Attempt == nil) != (due[1].Attempt == nil))
		require.True(t, (due[0].Result == nil) != (due[1].Result == nil))
	})
}

func TestAResultIsOwedUntilItIsDelivered(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1)
		b.place(r)
		b.say(r.Key, "1", confirmed)
		due := b.due(ledger.ToFlows)
		require.Len(t, due, 1)
		require.NoError(t, b.Failed(ctx, due[0], "nobody answers", time.Minute))
		b.reopen()
		b.Advance(time.Minute)
		require.Len(t, b.told(), 1)
	})
}

func TestTheFirstResultStandsAndASecondOneIsKept(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1)
		b.place(r)
		b.say(r.Key, "first", confirmed)
		require.Len(t, b.told(), 1)
		b.Advance(time.Second)
		b.say(r.Key, "second", call.BotResult{Kind: call.OptedOut})
		require.Empty(t, b.told())
		results := b.show("a").Results
		require.Len(t, results, 2)
		require.Empty(t, results[0].Note)
		require.Equal(t, "a second result", results[1].Note)
		require.Equal(t, call.OptedOut, results[1].Said.Kind)
	})
}

func TestTheSameResultAgainChangesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1)
		b.place(r)
		b.say(r.Key, "first", confirmed)
		b.say(r.Key, "second", call.BotResult{Kind: call.OptedOut})
		require.NoError(t, b.ReceiveResult(ctx, r.Key, []byte("third"), call.BotResult{}, "it is no JSON"))
		require.Len(t, b.told(), 1)
		before := b.show("a")
		b.Advance(time.Second)
		for range 2 {
			b.say(r.Key, "first", confirmed)
			b.say(r.Key, "second", call.BotResult{Kind: call.OptedOut})
			require.NoError(t, b.ReceiveResult(ctx, r.Key, []byte("third"), call.BotResult{}, "it is no JSON"))
		}
		require.Equal(t, before, b.show("a"))
		require.Empty(t, b.told())
	})
}

func TestOfResultsAtTheSameTimeOneStands(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1)
		b.place(r)
		var kept atomic.Int32
		together(20, func(i int) {
			if b.ReceiveResult(ctx, r.Key, []byte{byte('a' + i)}, confirmed, "") == nil {
				kept.Add(1)
			}
		})
		require.EqualValues(t, 20, kept.Load())
		stand := 0
		for _, result := range b.show("a").Results {
			if result.Note == "" {
				stand++
			}
		}
		require.Equal(t, 1, stand)
		require.Len(t, b.show("a").Results, 20)
		require.Len(t, b.told(), 1)
	})
}

func TestAResultThatCannotBeReadIsKeptAndDoesNotStandInTheWayOfOneThatCan(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1)
		b.place(r)
		require.NoError(t, b.ReceiveResult(ctx, r.Key, []byte("\x00\xff"), call.BotResult{}, "the body is not UTF-8"))
		require.NoError(t, b.ReceiveResult(ctx, r.Key, nil, call.BotResult{}, "the body is no JSON"))
		require.Empty(t, b.told())
		b.say(r.Key, "good", confirmed)
		require.Len(t, b.told(), 1)
		results := b.show("a").Results
		require.Len(t, results, 3)
		require.Nil(t, results[0].Said)
		require.Equal(t, "\x00\xff", results[0].Raw)
		require.Equal(t, "the body is not UTF-8", results[0].Note)
		require.Equal(t, "the body is no JSON", results[1].Note)
		require.Empty(t, results[2].Note)
	})
}

func TestAResultOfAnAttemptThatNobodyKnowsIsKept(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1)
		b.say(r.Key, "1", confirmed)
		require.Equal(t, 1, b.count("SELECT COUNT(*) FROM results WHERE note = 'no such attempt'"))
		require.Empty(t, b.due(ledger.ToFlows))

		b.place(r) // as a ledger is given back what it has lost
		b.say(r.Key, "1", confirmed)
		require.Len(t, b.told(), 1, "then the bot's second try counts")
	})
}

func TestAResultOfAContactThatIsClosedIsKeptAndToldToAFlowThatMayStillWaitForIt(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1)
		b.place(r)
		b.end(r)
		_, err := b.Finish(ctx, r.WorkflowID, call.OutcomeCanceled, "by an operator")
		require.NoError(t, err)
		for _, d := range b.deliveries() {
			require.NoError(t, b.Delivered(ctx, d, false))
		}
		b.say(r.Key, "1", confirmed)
		require.Len(t, b.told(), 1)
		results := b.show("a").Results
		require.Len(t, results, 1)
		require.Empty(t, results[0].Note)
	})
}
