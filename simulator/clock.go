package simulator

import (
	"container/heap"
	"context"
	"math"
	"sync"
	"time"
)

// clock is the gateway's time. It runs at a speed, or stands still when it is paused, and [clock.advance] moves it ahead
// by hand. All that happens on it waits in one queue, so that moving it wakes what is due in the order in which it is due.
//
// For that the clock counts who is at work: goroutines that were entered, have not left, and do not wait for the clock.
// While anybody is, what they will do next is not in the queue yet, and the clock is not moved past it.
//
// A reading of the clock is in real time since it was made, plus what it was moved: so it does not overflow at high speed.
type clock struct {
	speed  float64
	paused bool
	made   time.Time

	turn chan struct{} // held by whoever moves the clock

	mu      sync.Mutex
	skipped time.Duration // how far it was moved by hand
	queue   queue
	arrived uint64        // how many ever waited
	alarm   *time.Timer   // rings when the first in the queue is due; stopped while paused
	atWork  int           // see above
	quiet   chan struct{} // closed when nobody is at work any more; nil when nobody wants to know
}

func newClock(c Config) *clock {
	k := &clock{speed: c.Speed, paused: c.Paused, made: time.Now(), turn: make(chan struct{}, 1)}
	if k.paused {
		k.speed = 1
	}
	k.alarm = time.AfterFunc(math.MaxInt64, k.ring)
	return k
}

// real is how long a duration of the gateway's clock takes on ours.
func (k *clock) real(d time.Duration) time.Duration {
	const never = float64(math.MaxInt64 / 4)
	return time.Duration(min(float64(d)/k.speed, never))
}

// simulated is how much of the gateway's time passes in a duration of ours.
func (k *clock) simulated(d time.Duration) time.Duration { return time.Duration(float64(d) * k.speed) }

// now reads the clock.
func (k *clock) now() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.reading()
}

// reading is now for callers that hold mu.
func (k *clock) reading() time.Duration {
	if k.paused {
		return k.skipped
	}
	return time.Since(k.made) + k.skipped
}

// enter counts a goroutine in that is about to work.
func (k *clock) enter() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.atWork++
}

// leave counts it out.
func (k *clock) leave() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rest()
}

// rest counts a goroutine out. The caller holds mu.
func (k *clock) rest() {
	if k.atWork--; k.atWork == 0 && k.quiet != nil {
		close(k.quiet)
		k.quiet = nil
	}
}

// waiter is a goroutine that waits for a reading of the clock.
type waiter struct {
	at    time.Duration
	order uint64
	place int           // in the queue; negative when it is not in it
	due   chan struct{} // closed when at is reached
}

// enlist puts the calling goroutine, which is at work, into the queue. It must go on to wait for due, and withdraw if it
// gives up before.
func (k *clock) enlist(at time.Duration) *waiter {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.arrived++
	w := &waiter{at: at, order: k.arrived, place: -1, due: make(chan struct{})}
	if at <= k.reading() {
		close(w.due)
		return w
	}
	heap.Push(&k.queue, w)
	if w.place == 0 {
		k.setAlarm()
	}
	k.rest()
	return w
}

// withdraw puts a waiter that gives up back to work.
func (k *clock) withdraw(w *waiter) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if w.place >= 0 {
		heap.Remove(&k.queue, w.place)
		k.atWork++
	}
}

// wake puts the first in the queue back to work. The caller holds mu.
func (k *clock) wake() {
	w := heap.Pop(&k.queue).(*waiter)
	k.atWork++
	close(w.due)
}

// setAlarm sets the alarm to the first in the queue. The caller holds mu. An alarm that rings for nobody does no harm.
func (k *clock) setAlarm() {
	if !k.paused && len(k.queue) > 0 {
		k.alarm.Reset(k.queue[0].at - k.reading())
	}
}

// ring wakes all that are due.
func (k *clock) ring() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for now := k.reading(); len(k.queue) > 0 && k.queue[0].at <= now; {
		k.wake()
	}
	k.setAlarm()
}

// advance moves the clock ahead by a duration of the gateway's time, from one thing that is due to the next. Each has
// been done, and all that it brought with it, before the next begins.
func (k *clock) advance(ctx context.Context, by time.Duration) error {
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	goal := k.now() + k.real(by)
	for {
		busy, done := k.step(goal)
		if done {
			return nil
		}
		if busy == nil {
			continue
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// step moves the clock to whatever is due next, or to the goal. While anybody is at work it does nothing and says when
// that ends.
func (k *clock) step(goal time.Duration) (busy <-chan struct{}, done bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.atWork > 0 {
		if k.quiet == nil {
			k.quiet = make(chan struct{})
		}
		return k.quiet, false
	}
	next := goal
	if len(k.queue) > 0 {
		next = min(next, k.queue[0].at)
	}
	k.skipped += max(0, next-k.reading())
	if len(k.queue) == 0 || k.queue[0].at > goal {
		k.setAlarm()
		return nil, true
	}
	k.wake()
	return nil, false
}

// sleep waits for a duration of the gateway's clock and reports whether it was waited out. The calling goroutine is at
// work.
func (k *clock) sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	w := k.enlist(k.now() + k.real(d))
	select {
	case <-w.due:
		return true
	case <-ctx.Done():
		k.withdraw(w)
		return false
	}
}

// queue is a heap of waiters; of two that are due at once the one that came first goes first.
type queue []*waiter

func (q queue) Len() int { return len(q) }

func (q queue) Less(i, j int) bool {
	if q[i].at != q[j].at {
		return q[i].at < q[j].at
	}
	return q[i].order < q[j].order
}

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

func (q *queue) Push(x any) {
	w := x.(*waiter)
	w.place = len(*q)
	*q = append(*q, w)
}

func (q *queue) Pop() any {
	last := len(*q) - 1
	w := (*q)[last]
	(*q)[last], *q = nil, (*q)[:last]
	w.place = -1
	return w
}

// sleep waits for a real duration and reports whether it was waited out.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
