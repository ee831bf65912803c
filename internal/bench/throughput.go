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
	calls, concurrency, pairs := 300, 100, 5
	if b.quick {
		calls, pairs = 150, 3
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

	ours := func(ctx context.Context, to call.Target) error {
		_, result, err := p.call(ctx, workflows.Input{To: to})
		if err == nil && (result.Outcome != call.Outcome(call.Human) || len(result.Attempts) != 1) {
			err = fmt.Errorf("a call ended as %s after %d attempts", result.Outcome, len(result.Attempts))
		}
		return err
	}
	load := closedLoop{calls: calls, concurrency: concurrency}
	b.say("throughput: warming up")
	if err := load.warmUp(ctx, f.call, ours); err != nil {
		return err
	}
	var floors, products, ratios []float64
	for i := range pairs {
		floorRate, err := load.run(ctx, f.call)
		if err != nil {
			return fmt.Errorf("floor: %w", err)
		}
		rate, err := load.run(ctx, ours)
		if err != nil {
			return fmt.Errorf("product: %w", err)
		}
		b.say("throughput: pair %d of %d: floor %.1f calls/s, Redial %.1f, ratio %.2f", i+1, pairs, floorRate, rate, rate/floorRate)
		floors, products, ratios = append(floors, floorRate), append(products, rate), append(ratios, rate/floorRate)
	}
	if stats := p.simulator.Stats(); stats.Launched != load.made {
		return fmt.Errorf("the gateway placed %d calls of %d", stats.Launched, load.made)
	}
	b.record("throughput", median(ratios), "%.2f (median of %d pairs; Redial %.1f calls/s, floor %.1f; %d calls each, %d at a time)",
		median(ratios), pairs, median(products), median(floors), calls, concurrency)
	return nil
}

// closedLoop makes so many calls, so many at a time. Every call has a number of its own.
type closedLoop struct {
	calls, concurrency int
	made               int
}

func (l *closedLoop) warmUp(ctx context.Context, arms ...func(context.Context, call.Target) error) error {
	warm := closedLoop{calls: max(l.calls/3, l.concurrency), concurrency: l.concurrency, made: l.made}
	for _, arm := range arms {
		if _, err := warm.run(ctx, arm); err != nil {
			return err
		}
	}
	l.made = warm.made
	return nil
}

// run makes the calls and returns how many ended in a second.
func (l *closedLoop) run(ctx context.Context, one func(context.Context, call.Target) error) (float64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var next atomic.Int64
	var callers sync.WaitGroup
	errs := make([]error, l.concurrency)
	begin := time.Now()
	for i := range l.concurrency {
		callers.Go(func() {
			for n := next.Add(1); n <= int64(l.calls) && errs[i] == nil; n = next.Add(1) {
				if errs[i] = one(ctx, target(l.made+int(n))); errs[i] != nil {
					cancel()
				}
			}
		})
	}
	callers.Wait()
	l.made += l.calls
	return float64(l.calls) / time.Since(begin).Seconds(), errors.Join(errs...)
}
