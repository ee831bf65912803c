package ledger

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// batcher collects writes of concurrent callers, so that they can share a commit: whatever waits when one of its runners is free goes
// to the database together.
type batcher struct {
	most   int // writes in a group
	commit func(group []*write)
	writes chan *write

	mu     sync.RWMutex // guards closed against senders
	closed bool
	under  sync.WaitGroup // runners, and whatever settles writes after them
}

// write is what one caller waits for.
type write struct {
	ctx    context.Context
	access access
	fn     func(*tx) error
	taken  atomic.Bool // by a runner, or back by its caller
	err    error
	done   chan struct{}
}

var errClosed = errors.New("the ledger is closed")

// newBatcher starts runners that hand groups to commit, which settles every write of its group.
func newBatcher(runners, most int, commit func([]*write)) *batcher {
	b := &batcher{most: most, commit: commit, writes: make(chan *write, 2*most)}
	for range runners {
		b.under.Go(b.run)
	}
	return b
}

// do runs fn in one of the next transactions and returns when it is on disk. A context that ends while fn waits for its turn
// withdraws it; one that ends later does not, because the commit may already be under way.
func (b *batcher) do(ctx context.Context, a access, fn func(*tx) error) error {
	w := &write{ctx: ctx, access: a, fn: fn, done: make(chan struct{})}
	if err := b.send(w); err != nil {
		return err
	}
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
	}
	if w.take() {
		return ctx.Err()
	}
	<-w.done
	return w.err
}

func (b *batcher) send(w *write) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.closed {
		return errClosed
	}
	select {
	case b.writes <- w:
		return nil
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
}

// take tells whether a write was nobody's yet.
func (w *write) take() bool { return w.taken.CompareAndSwap(false, true) }

// settle ends the wait for a write.
func (w *write) settle(err error) {
	w.err = err
	close(w.done)
}

func (b *batcher) run() {
	for first := range b.writes {
		if group := b.group(first); len(group) > 0 {
			b.commit(group)
		}
	}
}

// group is a write with those that wait behind it, without those whose callers have gone.
func (b *batcher) group(first *write) []*write {
	group := make([]*write, 0, b.most)
	for w, open := first, true; open; {
		switch {
		case !w.take():
		case w.ctx.Err() != nil:
			w.settle(w.ctx.Err())
		default:
			group = append(group, w)
		}
		if len(group) == b.most {
			break
		}
		select {
		case w, open = <-b.writes:
		default:
			open = false
		}
	}
	return group
}

// end takes no more writes, and waits until those that it has taken are settled.
func (b *batcher) end() {
	b.mu.Lock()
	if !b.closed {
		b.closed = true
		close(b.writes)
	}
	b.mu.Unlock()
	b.under.Wait()
}
