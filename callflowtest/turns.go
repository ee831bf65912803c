package callflowtest

import (
	"maps"
	"sync"
	"time"
)

// turns lets activities that a flow has started together run in the order in which it has started them: each runs in a goroutine of
// its own, and the same test is to go the same way every time.
type turns struct {
	mu      sync.Mutex
	changed *sync.Cond
	started int               // so far
	open    map[int]time.Time // by their place: when those were started that have not returned
	places  map[int]int       // by attempt
}

func newTurns() *turns {
	t := &turns{open: map[int]time.Time{}, places: map[int]int{}}
	t.changed = sync.NewCond(&t.mu)
	return t
}

// start notes that the dial of an attempt was started. Time does not pass while one runs: what was started earlier and has not
// returned never ran, because the author has put a mock in its place.
func (t *turns) start(n int, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.open, func(_ int, at time.Time) bool { return at.Before(now) })
	t.started++
	t.places[n] = t.started
	t.open[t.started] = now
}

// await waits until those that were started before the dial of an attempt have returned; it is the next one's turn when done is
// called.
func (t *turns) await(n int) (done func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	place := t.places[n]
	for t.before(place) {
		t.changed.Wait()
	}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.open, place)
		t.changed.Broadcast()
	}
}

func (t *turns) before(place int) bool {
	for other := range t.open {
		if other < place {
			return true
		}
	}
	return false
}
