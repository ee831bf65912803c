package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"redial/call"
	"redial/simulator"
	"redial/workflows"
)

var throughputBudgets = []budget{{name: "throughput", what: "calls per second against the floor (one activity with the same POST, one signal through a bare handler)",
	limit: "at least 0.85", holds: atLeast(0.85)}}

// measureThroughput makes calls through the product and through the floor, on one server in turns, and compares.
func measureThroughput(ctx context.Context, b *bench) error {
	load, pairs := &closedLoop{calls: 300, concurrency: 100}, 5
	if b.quick {
		load, pairs = &closedLoop{calls: 150, concurrency: 100}, 3
	}
	folder, err := b.subfolder("throughput")
	if err != nil {
		return err
	}
	p, err := startProduct(ctx, productOptions{folder: folder, lines: 10_000, rate: 10_000, window: time.Second,
		simulator: simulator.Config{Speed: 1000, PlainNumbers: true, Profile: simulator.Profile{Outcomes: map[string]float64{"human+pdd=0s+ring=1s+talk=5s": 1}}}})
	if err != nil {
		return err
	}
	defer p.close()
	f, err := startFloor(ctx, p)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()

	b.say("throughput: warming up")
	for _, arm := range []arm{f.callOnce, p.callOnce} {
		if _, err := load.run(ctx, p, arm); err != nil {
			return err
		}
	}
	var floors, ours []pass
	var ratios []float64
	for i := range pairs {
		floor, err := load.run(ctx, p, f.callOnce)
		if err != nil {
			return fmt.Errorf("floor: %w", err)
		}
		mine, err := load.run(ctx, p, p.callOnce)
		if err != nil {
			return fmt.Errorf("product: %w", err)
		}
		b.say("throughput: pair %d of %d: floor %s; Redial %s; ratio %.2f", i+1, pairs, floor, mine, mine.rate/floor.rate)
		floors, ours, ratios = append(floors, floor), append(ours, mine), append(ratios, mine.rate/floor.rate)
	}
	if stats := p.simulator.Stats(); stats.Launched != load.made {
		return fmt.Errorf("the gateway placed %d calls of %d", stats.Launched, load.made)
	}
	b.note("throughput: both arms share server, client, gateway and processors; a simulated call takes some milliseconds; in a loop that is kept full, "+
		"%d ends are counted", load.calls)
	b.record("throughput", median(ratios), "%.2f (median of %d pairs; Redial %.1f calls/s, floor %.1f; %d calls each, %d at a time)",
		median(ratios), pairs, median(rates(ours)), median(rates(floors)), load.calls, load.concurrency)
	return nil
}

// callOnce makes one call through the product.
func (p *product) callOnce(ctx context.Context, n int) error {
	_, result, err := p.call(ctx, workflows.Input{ContactID: fmt.Sprintf("c%d", n), To: target(n)})
	if err == nil && (result.Outcome != call.Outcome(call.Human) || len(result.Attempts) != 1) {
		err = fmt.Errorf("a call ended as %s after %d attempts", result.Outcome, len(result.Attempts))
	}
	return err
}

// arm makes the n-th call of all, and returns when it is over.
type arm func(ctx context.Context, n int) error

// closedLoop keeps so many calls under way at the same time until so many have ended. Every call has a number of its own.
type closedLoop struct {
	calls, concurrency int
	made               int
}

// pass is one run of a closed loop.
type pass struct {
	rate float64 // calls that ended in a second
	cost cpuTime // of one call
}

func (p pass) String() string { return fmt.Sprintf("%.1f calls/s (%s a call)", p.rate, p.cost) }

func rates(passes []pass) (all []float64) {
	for _, p := range passes {
		all = append(all, p.rate)
	}
	return all
}

// run counts until the calls have ended, and keeps the loop full until then: the calls that are still under way when the
// last one is counted are waited for and not counted.
func (l *closedLoop) run(ctx context.Context, p *product, one arm) (pass, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var started, ended atomic.Int64
	var callers sync.WaitGroup
	errs := make([]error, l.concurrency)
	var took time.Duration
	total := l.calls + l.concurrency
	used, begin := usedCPU(p.temporal.Pid()), time.Now()
	for i := range l.concurrency {
		callers.Go(func() {
			for n := started.Add(1); n <= int64(total) && errs[i] == nil; n = started.Add(1) {
				if errs[i] = one(ctx, l.made+int(n)); errs[i] != nil {
					cancel()
				}
				if ended.Add(1) == int64(l.calls) {
					took = time.Since(begin)
				}
			}
		})
	}
	callers.Wait()
	l.made += total
	return pass{rate: float64(l.calls) / took.Seconds(), cost: usedCPU(p.temporal.Pid()).since(used).each(total)}, errors.Join(errs...)
}
