package ledger_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"redial/call"
)

// Promise 3: notifications may come early, late, twice, out of order, or never.

var events = rapid.Custom(func(t *rapid.T) []call.Event {
	amd := rapid.SampledFrom([]call.AMD{"", "detect", call.AMDHuman, call.AMDMachine, call.AMDNoSpeech, call.AMDStopped, "amd_new"})
	var list []call.Event
	for range rapid.IntRange(0, 4).Draw(t, "mid-call") {
		list = append(list, call.Event{Status: rapid.SampledFrom([]call.Status{call.StatusAnswered, call.StatusProgress, call.StatusOther}).Draw(t, "status"), AMD: amd.Draw(t, "amd")})
	}
	end := rapid.SampledFrom([]call.Event{human, busy, ended}).Draw(t, "end")
	list = append(list, end)
	for range rapid.IntRange(0, 3).Draw(t, "again") {
		list = append(list, list[rapid.IntRange(0, len(list)-1).Draw(t, "duplicate")])
	}
	return list
})

func TestTheLedgerFoldsAsTheVocabularyDoesInEveryOrder(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		t.Parallel()
		b := at.open(t)
		checks := 0
		rapid.Check(t, func(rt *rapid.T) {
			list := events.Draw(rt, "events")
			answered := rapid.IntRange(0, len(list)).Draw(rt, "answer after")
			var dispositions []call.Disposition
			for _, order := range []string{"one", "other"} {
				checks++
				r := ask("c"+time.Duration(checks).String(), 1)
				b.dial(r)
				want := b.attempt(r)
				for i, e := range rapid.Permutation(list).Draw(rt, order) {
					if i == answered {
						want.Answer(call.DialAnswer{Class: call.AnswerPlaced, SID: "s"})
						b.answer(r, call.DialAnswer{Class: call.AnswerPlaced, SID: "s"})
					}
					b.Advance(time.Millisecond)
					e.ReceivedAt = b.Now()
					want.Fold(e)
					b.receive(r, e)
				}
				got := b.attempt(r)
				require.Equal(rt, want, got)
				require.Len(rt, b.show(r.ContactID).Notifications, len(list), "all are kept")
				dispositions = append(dispositions, got.Disposition)
				b.Advance(time.Minute) // the next one has nothing to do with it
			}
			require.Equal(rt, dispositions[0], dispositions[1])
		})
	})
}

func TestDuplicatesChangeNothingAndOweNothing(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1)
		b.place(r)
		b.end(r)
		first := b.attempt(r)
		for _, d := range b.deliveries() {
			require.NoError(t, b.Delivered(ctx, d, false))
		}
		b.Advance(time.Second)
		b.end(r)
		b.end(r)
		require.Equal(t, first, b.attempt(r))
		require.Empty(t, b.deliveries())
		require.Len(t, b.show("a").Notifications, 3)
	})
}

func TestOfTwoEndsThatContradictTheFirstStandsAndTheOtherIsKept(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1)
		b.place(r)
		b.receive(r, busy)
		b.Advance(time.Second)
		b.end(r)
		c := b.show("a")
		require.Equal(t, call.Busy, c.Attempts[0].Disposition)
		require.Empty(t, c.Notifications[0].Note)
		require.Equal(t, "a second end says completed, the first said failed", c.Notifications[1].Note)
	})
}

func TestWhatComesLateIsKeptWithANoteAndChangesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1)
		b.place(r)
		b.receive(r, ended)
		b.Advance(call.VerdictHold)
		b.receive(r, heard)
		c := b.show("a")
		require.Equal(t, call.Answered, c.Attempts[0].Disposition)
		require.Equal(t, "late", c.Notifications[1].Note)
	})
}

func TestWhatCannotBeReadIsKept(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1)
		b.place(r)
		require.NoError(t, b.Receive(ctx, r.Key, []byte("<html>"), nil, "it is no JSON"))
		for _, empty := range [][]byte{nil, {}} {
			require.NoError(t, b.Receive(ctx, r.Key, empty, nil, "it is empty"))
		}
		c := b.show("a")
		require.Len(t, c.Notifications, 3)
		require.Equal(t, "<html>", c.Notifications[0].Raw)
		require.Equal(t, "it is no JSON", c.Notifications[0].Note)
		require.Equal(t, "it is empty", c.Notifications[1].Note)
		require.Equal(t, call.StatePlaced, c.Attempts[0].State)
	})
}

func TestANotificationOfAnAttemptThatNobodyKnowsIsKept(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		require.NoError(t, b.Receive(ctx, "redial/-/gone/run/1", []byte("{}"), []call.Event{human}, ""))
		require.Equal(t, 1, b.count("SELECT COUNT(*) FROM notifications WHERE note = 'no such attempt'"))
		require.Empty(t, b.due("flows"))
	})
}

func TestANotificationBeforeTheAnswerOfTheDialIsBelieved(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1)
		b.dial(r)
		b.receive(r, busy)
		a := b.answer(r, call.DialAnswer{Class: call.AnswerUnknown, SID: "s"})
		require.Equal(t, call.Busy, a.Disposition)
		require.Equal(t, "s", a.SID)
	})
}

func TestAnEndWithoutAVerdictIsDeliveredWhenTheHoldIsOver(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1)
		b.place(r)
		b.receive(r, ended)
		require.Empty(t, b.deliveries())
		next, err := b.Tick(ctx)
		require.NoError(t, err)
		require.Equal(t, b.Now().Add(call.VerdictHold), next)
		b.Advance(call.VerdictHold - time.Millisecond)
		b.receive(r, heard)
		require.Empty(t, b.deliveries())
		b.Advance(time.Millisecond)
		told := b.deliveries()
		require.Len(t, told, 1)
		require.Equal(t, call.Machine, told[0].Attempt.Disposition)
	})
}

func TestAnEndWithAVerdictInTheHoldIsDeliveredAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1)
		b.place(r)
		b.receive(r, ended)
		b.Advance(time.Millisecond)
		b.end(r)
		told := b.deliveries()
		require.Len(t, told, 1)
		require.Equal(t, call.Human, told[0].Attempt.Disposition)
	})
}

func TestMidCallNewsIsToldOnlyWhereTheFlowAskedForIt(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		for _, wanted := range []bool{false, true} {
			b := at.open(t)
			r := ask("a", 1)
			if wanted {
				midCall(&r)
			}
			b.place(r)
			told := 0
			for _, e := range []call.Event{{Status: call.StatusAnswered}, heard, heard, {Status: call.StatusAnswered}} {
				b.Advance(time.Millisecond)
				b.receive(r, e)
				for _, d := range b.deliveries() {
					told++
					require.Empty(t, d.Attempt.Disposition)
					require.NoError(t, b.Delivered(ctx, d, false))
				}
			}
			require.Equal(t, map[bool]int{false: 0, true: 2}[wanted], told)
		}
	})
}
