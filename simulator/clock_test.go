package simulator

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// advance moves the clock by hand.
func (d *desk) advance(by time.Duration) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	defer cancel()
	require.NoError(d.t, d.sim.Advance(ctx, by))
}

func TestAPausedGatewayMovesWhenItIsMoved(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{Paused: true, Dialect: Gen2})
	d.place("human+pdd=1s+ring=3s+talk=40s+late=5s", nil)
	d.advance(0)
	assert.Empty(t, d.mail.all())
	d.advance(4*time.Second - time.Millisecond)
	assert.Empty(t, d.mail.all(), "a millisecond too early")
	assert.True(t, d.sim.Calls()[0].AnsweredAt.IsZero())
	d.advance(time.Millisecond)
	assert.Equal(t, []string{"Answered"}, d.mail.statuses())
	d.advance(39 * time.Second)
	assert.Equal(t, []string{"Answered", amdHuman, amdStopped}, d.mail.statuses(), "in order, for each was answered before the next was sent")
	assert.True(t, d.sim.Calls()[0].Live())
	d.advance(time.Second)
	assert.False(t, d.sim.Calls()[0].Live())
	assert.Len(t, d.mail.all(), 3, "the end is told late")
	d.advance(5 * time.Second)
	require.Len(t, d.mail.all(), 4)
	assert.EqualValues(t, 40, d.mail.all()[3].fields["callDuration"])
}

func TestARunningGatewayCanBeMovedAheadToo(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{Speed: 1, Dialect: Gen2})
	d.place("human+pdd=1s+ring=30s+talk=30m", nil)
	d.advance(30 * time.Second)
	d.advance(2 * time.Second)
	assert.Equal(t, "Answered", d.mail.statuses()[0])
	d.advance(time.Hour)
	assert.Equal(t, []string{"Answered", amdHuman, amdStopped, "completed"}, d.mail.statuses())
	assert.EqualValues(t, 1800, d.mail.all()[3].fields["callDuration"])

	before := d.sim.clock.skipped
	assert.LessOrEqual(t, before, time.Hour+32*time.Second)
	assert.Greater(t, before, time.Hour, "it was moved as far as it was told, but for the time that passed meanwhile")
	d.advance(0)
	assert.Equal(t, before, d.sim.clock.skipped)

	d.place("busy+pdd=10ms", fields{"target": "tel:15557770002"})
	d.settledWith(2)
	assert.Len(t, d.mail.all(), 5, "and it runs on")
}

// However the time is cut into pieces, what comes of it is the same, and in the order in which it is due.
func TestWhatIsDueHappensInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		sim, err := New(Config{Paused: true})
		require.NoError(r, err)
		defer func() { require.NoError(r, sim.Close(context.Background())) }()
		at := map[string]time.Duration{}
		ends := rapid.SliceOfN(rapid.IntRange(0, 5_000), 1, 8).Draw(r, "ends")
		for _, end := range ends {
			s, err := parseStep(fmt.Sprintf("busy+pdd=%dms+ring=0s", end))
			require.NoError(r, err)
			c, open := sim.place(dialRequest{asked: Requested{Timeout: time.Minute}}, s, 1, dice{})
			require.True(r, open)
			at[c.record.SID] = time.Duration(end) * time.Millisecond
		}
		var now time.Duration
		for now < 5*time.Second {
			by := time.Duration(rapid.IntRange(1, 5_000).Draw(r, "by")) * time.Millisecond
			require.NoError(r, sim.Advance(context.Background(), by))
			now += by
			for _, c := range sim.Calls() {
				require.Equal(r, at[c.SID] > now, c.Live(), "due at %s, at %s", at[c.SID], now)
			}
		}
		calls := sim.Calls()
		for _, c := range calls {
			for _, other := range calls {
				if at[c.SID] < at[other.SID] {
					require.False(r, c.EndedAt.After(other.EndedAt), "%s after %s", at[c.SID], at[other.SID])
				}
			}
		}
		require.Len(r, calls, len(ends))
	})
}

func TestRetriesAndDuplicatesComeInTheirTime(t *testing.T) {
	t.Parallel()
	for _, secondIsTaken := range []bool{false, true} {
		d := newDesk(t, Config{Paused: true, Retries: 2})
		var posts atomic.Int32
		d.mail.say(func(w http.ResponseWriter, _ *http.Request) {
			if posts.Add(1) == 2 && secondIsTaken {
				return
			}
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		d.place("busy+pdd=1s+duplicate", nil)
		want := []int{2, 4, 6}
		if secondIsTaken {
			want = []int{2, 3, 4}
		}
		for i, by := range []time.Duration{time.Second, time.Second, 2 * time.Second} {
			d.advance(by - time.Nanosecond)
			d.advance(time.Nanosecond)
			assert.Len(t, d.mail.all(), want[i])
		}
		d.advance(time.Hour)
		assert.Len(t, d.mail.all(), want[2])
	}
}

func TestACallThatIsEndedByHandEndsBeforeTheClockMoves(t *testing.T) {
	t.Parallel()
	for range 50 {
		d := newDesk(t, Config{Paused: true})
		sid := d.place("human+pdd=1s+ring=1s+never_ends", nil)
		d.advance(time.Minute)
		require.NoError(t, d.sim.End(sid, ByBot))
		_ = d.sim.End(sid, ByCaller) // too late, or heard by nobody
		d.advance(0)
		call := d.sim.Calls()[0]
		require.False(t, call.Live())
		require.Equal(t, ByBot, call.EndedBy)
		require.EqualValues(t, 58, d.mail.all()[0].fields["duration"], "it lasted as long as the clock says")
	}
}

func TestARateIsOfTheGatewaysMinute(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{Paused: true, RatePerMinute: 1})
	var statuses []int
	for _, by := range []time.Duration{0, 30 * time.Second, time.Minute} {
		d.advance(by)
		status, _ := d.dial(nil)
		statuses = append(statuses, status)
	}
	assert.Equal(t, []int{200, 429, 200}, statuses)
}

func TestAnAdvanceWaitsForReceiversAndNoLongerThanItIsTold(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{Paused: true})
	arrived, release := make(chan struct{}), make(chan struct{})
	d.mail.say(func(http.ResponseWriter, *http.Request) { close(arrived); <-release })
	d.place("busy+pdd=1s", nil)
	d.place("busy+pdd=2s", fields{"target": "tel:15557770002", "notifyurl": nil})
	ctx, cancel := context.WithCancel(t.Context())
	moved := make(chan error)
	go func() { moved <- d.sim.Advance(ctx, time.Minute) }()
	<-arrived
	waiting, stop := context.WithCancel(t.Context())
	stop()
	require.ErrorIs(t, d.sim.Advance(waiting, 0), context.Canceled, "one moves it at a time")
	cancel()
	require.ErrorIs(t, <-moved, context.Canceled)
	assert.True(t, d.sim.Calls()[1].Live(), "the clock stays where it was")
	close(release)
	d.advance(time.Second)
	assert.False(t, d.sim.Calls()[1].Live())
}

func TestAClosedGatewayIsNotMoved(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{Paused: true})
	arrived := make(chan struct{})
	d.mail.say(func(_ http.ResponseWriter, r *http.Request) { close(arrived); <-r.Context().Done() })
	d.place("busy+pdd=1s", nil)
	d.place("human+never_ends", fields{"target": "tel:15557770002"})
	moved := make(chan error)
	go func() { moved <- d.sim.Advance(t.Context(), time.Minute) }()
	<-arrived
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, d.sim.Close(gone), context.Canceled)
	require.ErrorIs(t, <-moved, ErrClosed)
	require.ErrorIs(t, d.sim.Advance(t.Context(), 0), ErrClosed)
	for _, by := range []time.Duration{-1, longest + 1} {
		assert.ErrorContains(t, d.sim.Advance(t.Context(), by), "from 0s")
	}
}

func TestEverythingAtOnceIsNoRaceAndLeavesNobodyBehind(t *testing.T) {
	t.Parallel()
	for _, paused := range []bool{false, true} {
		d := newDesk(t, Config{Paused: paused, Dialect: Mixed, Profile: Storm(), PlainNumbers: true, Retries: 1})
		d.mail.say(func(w http.ResponseWriter, _ *http.Request) {
			if rand.IntN(5) == 0 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		})
		var work sync.WaitGroup
		for worker, act := range []func(i int){
			func(i int) {
				_, _, _ = d.post(dialoutPath, token(t, DefaultClientSecret, nil), d.with(fields{"target": fmt.Sprintf("tel:1555%07d", i)}))
			},
			func(int) {
				for _, c := range d.sim.Calls() {
					_ = d.sim.End(c.SID, ByBot)
				}
			},
			func(int) {
				if calls := d.sim.Calls(); len(calls) > 0 {
					_, _ = d.sim.Notify(t.Context(), calls[len(calls)-1].SID, Event{Name: amdTone})
				}
			},
			func(i int) { _ = d.sim.Advance(t.Context(), time.Duration(i)*time.Second) },
			func(i int) {
				if i%10 == 9 {
					d.sim.Reset()
				}
			},
			func(int) {
				_ = d.sim.SetProfile(Everyday())
				_ = d.sim.Outage("slow=1ms", time.Second)
				d.sim.EndOutage()
			},
		} {
			work.Go(func() {
				for i := range 25 {
					act(worker*1000 + i)
				}
			})
		}
		work.Wait()
	}
}
