package followup_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"redial/call"
	"redial/followup"
)

// open are facts that forbid nothing.
func open() followup.Facts {
	return followup.Facts{Now: now, ExpiresAt: now.Add(24 * time.Hour), Allowed: true, Lines: 10, LinesUsed: 4, Rate: 55, RateUsed: 20, Window: time.Minute}
}

func pausedFor(reason followup.Reason, wait time.Duration) func(*followup.Facts) {
	return func(f *followup.Facts) { f.PausedFor, f.PausedUntil = reason, f.Now.Add(wait) }
}

func probing(underWay bool, promised int) func(*followup.Facts) {
	return func(f *followup.Facts) {
		f.PausedFor, f.Failing, f.Probing, f.LinesReserved = followup.ReasonUnreachable, true, underWay, promised
	}
}

// forbidding is every fact that forbids a call, in the order in which they are named.
var forbidding = []struct {
	name    string
	forbid  func(*followup.Facts)
	outcome call.Outcome
	reason  followup.Reason
	queued  bool
}{
	{"not allowed", func(f *followup.Facts) { f.Allowed = false }, call.OutcomeSuppressed, "", false},
	{"suppressed", func(f *followup.Facts) { f.Suppressed = "asked not to be called" }, call.OutcomeSuppressed, "", false},
	{"expired", func(f *followup.Facts) { f.ExpiresAt = f.Now }, call.OutcomeExpired, "", false},
	{"throttled shortly", pausedFor(followup.ReasonThrottled, time.Second), "", followup.ReasonThrottled, true},
	{"paused for long", pausedFor(followup.ReasonThrottled, time.Minute), "", followup.ReasonThrottled, true},
	{"paused shortly", pausedFor(followup.ReasonUnreachable, time.Second), "", followup.ReasonUnreachable, false},
	{"probing", probing(true, 0), "", followup.ReasonUnreachable, true},
	{"a probe is promised", probing(false, 1), "", followup.ReasonUnreachable, true},
	{"number", func(f *followup.Facts) { f.NumberUntil = f.Now.Add(time.Second) }, "", followup.ReasonNumber, true},
	{"kept number", func(f *followup.Facts) { f.KeptUntil = f.Now.Add(time.Second) }, "", followup.ReasonNumber, true},
	{"awaited number", func(f *followup.Facts) { f.Awaited = true }, "", followup.ReasonNumber, true},
	{"lines", func(f *followup.Facts) { f.LinesUsed = f.Lines }, "", followup.ReasonLinesBusy, true},
	{"lines promised", func(f *followup.Facts) { f.LinesReserved = f.Lines - f.LinesUsed }, "", followup.ReasonLinesBusy, true},
	{"rate", func(f *followup.Facts) { f.RateUsed = f.Rate }, "", followup.ReasonRate, true},
}

func TestEachFactThatForbidsACallIsNamed(t *testing.T) {
	hold, refusal := followup.Clear(open())
	require.Nil(t, hold)
	require.Nil(t, refusal)
	for _, c := range forbidding {
		t.Run(c.name, func(t *testing.T) {
			f := open()
			c.forbid(&f)
			hold, refusal := followup.Clear(f)
			if c.outcome != "" {
				require.NotNil(t, refusal)
				require.Nil(t, hold)
				require.Equal(t, c.outcome, refusal.Outcome)
				require.NotEmpty(t, refusal.Reason)
				require.NotEmpty(t, refusal.Rule)
				return
			}
			require.Nil(t, refusal)
			require.NotNil(t, hold)
			require.Equal(t, c.reason, hold.Reason)
			require.Equal(t, c.queued, hold.Queued)
			require.NotEmpty(t, hold.Event)
			require.NotEmpty(t, hold.Rule)
		})
	}
}

func TestReasonsAreNamedInOrder(t *testing.T) {
	for i, first := range forbidding {
		for _, second := range forbidding[i+1:] {
			f := open()
			second.forbid(&f)
			first.forbid(&f)
			hold, refusal := followup.Clear(f)
			if first.outcome != "" {
				require.NotNil(t, refusal, "%s before %s", first.name, second.name)
				require.Equal(t, first.outcome, refusal.Outcome, "%s before %s", first.name, second.name)
			} else {
				require.NotNil(t, hold)
				require.Equal(t, first.reason, hold.Reason, "%s before %s", first.name, second.name)
			}
		}
	}
}

func TestNoLimitIsNoLimit(t *testing.T) {
	f := open()
	f.Lines, f.LinesUsed, f.Rate, f.RateUsed, f.ExpiresAt = 0, 1000, 0, 1000, time.Time{}
	hold, refusal := followup.Clear(f)
	require.Nil(t, hold)
	require.Nil(t, refusal)
}

// Promises 4 and 6.
func TestNothingIsClearedAgainstAFactAndEveryWaitEndsInTheFuture(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.Custom(func(t *rapid.T) time.Time {
			if rapid.Bool().Draw(t, "never") {
				return time.Time{}
			}
			return now.Add(time.Duration(rapid.Int64Range(-5, 5).Draw(t, "seconds")) * time.Second)
		})
		count := rapid.IntRange(0, 4)
		f := followup.Facts{Now: now, Allowed: rapid.Bool().Draw(t, "allowed"), Suppressed: rapid.SampledFrom([]string{"", "", "no"}).Draw(t, "suppressed"),
			ExpiresAt: at.Draw(t, "expires"), PausedUntil: at.Draw(t, "paused"), PausedFor: followup.ReasonThrottled, Failing: rapid.Bool().Draw(t, "failing"), Probing: rapid.Bool().Draw(t, "probing"), NumberUntil: at.Draw(t, "number"),
			Lines: count.Draw(t, "lines"), LinesUsed: count.Draw(t, "used"), LinesReserved: count.Draw(t, "reserved"), LinesUntil: at.Draw(t, "lines until"),
			Rate: count.Draw(t, "rate"), RateUsed: count.Draw(t, "rate used"), NextRateAt: at.Draw(t, "next rate"),
			Window: rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute}).Draw(t, "window"), Ahead: rapid.IntRange(0, 1_000_000).Draw(t, "ahead")}
		hold, refusal := followup.Clear(f)
		forbidden := !f.Allowed || f.Suppressed != "" || !f.ExpiresAt.IsZero() && !now.Before(f.ExpiresAt) ||
			now.Before(f.PausedUntil) || f.Failing && (f.Probing || f.LinesReserved > 0) || now.Before(f.NumberUntil) ||
			f.Lines > 0 && f.LinesUsed+f.LinesReserved >= f.Lines || f.Rate > 0 && f.RateUsed+f.LinesReserved >= f.Rate
		switch {
		case forbidden != (hold != nil || refusal != nil):
			t.Fatalf("forbidden: %t; %+v %+v", forbidden, hold, refusal)
		case hold != nil && refusal != nil:
			t.Fatal("both held and refused")
		case hold != nil && !hold.Until.After(now):
			t.Fatalf("held until %s, and it is %s", hold.Until, now)
		case hold != nil && !f.ExpiresAt.IsZero() && hold.Until.After(f.ExpiresAt):
			t.Fatal("held beyond the contact's life")
		}
	})
}

func TestWhoIsFurtherBackInTheQueueAsksLater(t *testing.T) {
	f := open()
	f.LinesUsed, f.LinesUntil, f.ExpiresAt = f.Lines, now.Add(10*time.Minute), time.Time{}
	front, _ := followup.Clear(f)
	f.Ahead = 1000
	back, _ := followup.Clear(f)
	require.True(t, back.Until.After(front.Until))
}

func TestWhoWaitsBehindAnotherContactOfItsNumberDoesNotPoll(t *testing.T) {
	f := open()
	f.Window, f.KeptUntil = 0, now.Add(9*time.Second)
	kept, _ := followup.Clear(f)
	require.True(t, kept.Until.After(f.KeptUntil), "until the other contact's turn is over")
	require.Contains(t, kept.Rule, "called in for this number first")
	f.KeptUntil, f.Awaited = time.Time{}, true
	behind, _ := followup.Clear(f)
	require.False(t, behind.Until.Before(now.Add(time.Minute)))
	require.Contains(t, behind.Rule, "waits for this number first")
}

func TestAnAccountThatGetsNothingThroughWaitsFiveSecondsThenThirtyThenTwoMinutesAtATime(t *testing.T) {
	for n, want := range map[int]time.Duration{0: 5 * time.Second, 1: 5 * time.Second, 2: 30 * time.Second, 3: 2 * time.Minute, 100: 2 * time.Minute} {
		require.Equal(t, want, followup.Outage(n), n)
	}
}

func TestAThrottledAccountWaitsAsStatedOrTwiceAsLongEachTime(t *testing.T) {
	require.Equal(t, 7*time.Second, followup.Throttle(7*time.Second, 5))
	for n, want := range map[int]time.Duration{-1: 30 * time.Second, 0: 30 * time.Second, 1: 30 * time.Second, 2: time.Minute, 3: 2 * time.Minute,
		5: 8 * time.Minute, 6: 8 * time.Minute, 1 << 30: 8 * time.Minute} {
		require.Equal(t, want, followup.Throttle(0, n), n)
	}
}
