package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"redial/call"
	"redial/simulator"
	"redial/workflows"
)

var (
	throughputBudgets = []budget{{name: "throughput", what: "calls per second against the floor (one activity with the same POST, one signal through a bare handler)",
		limit: "at least 0.85", holds: atLeast(0.85)}}
	throughputPostgresBudgets = []budget{{name: "throughput-postgres", what: "calls per second against the floor, Temporal's server and the ledger on PostgreSQL, roles apart",
		limit: "at least 0.85", holds: atLeast(0.85)}}
)

// measureThroughput makes calls through the product and through the floor, on one server in turns, and compares.
func measureThroughput(ctx context.Context, b *bench, on database) error {
	load, pairs := &closedLoop{calls: 300, concurrency: 100}, 5
	if b.quick {
		load, pairs = &closedLoop{calls: 150, concurrency: 100}, 3
	}
	p, err := b.startProduct(ctx, productOptions{name: "throughput", on: on, lines: 10_000, rate: 10_000, window: time.Second,
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

	b.say("throughput, %s: warming up", on)
	for _, arm := range []arm{f.callOnce, p.callOnce} {
		if _, err := load.run(ctx, p, arm); err != nil {
			return err
		}
	}
	t := turns{on: on, load: load, floor: f.callOnce, ours: p.callOnce}
	// A machine that does other things meanwhile gives pairs that differ by more than what is to be told apart.
	for n := 0; n < pairs || n < 2*pairs && t.scatter() > mostScatter; n++ {
		ratio, err := t.pair(ctx, p)
		if err != nil {
			return err
		}
		b.say("throughput, %s: pair %d: floor %s; Redial %s; ratio %.2f", on, n+1, t.floors[n], t.mine[n], ratio)
	}
	if stats := p.simulator.Stats(); stats.Launched != load.made {
		return fmt.Errorf("the gateway placed %d calls of %d", stats.Launched, load.made)
	}
	return t.report(b)
}

// mostScatter is how far apart the middle half of the pairs' ratios may lie.
const mostScatter = 0.15

// turns are pairs of passes: the floor, then the product.
type turns struct {
	on           database
	load         *closedLoop
	floor, ours  arm
	floors, mine []pass
	ratios       []float64
}

func (t *turns) pair(ctx context.Context, p *product) (ratio float64, err error) {
	floor, err := t.load.run(ctx, p, t.floor)
	if err != nil {
		return 0, fmt.Errorf("floor: %w", err)
	}
	mine, err := t.load.run(ctx, p, t.ours)
	if err != nil {
		return 0, fmt.Errorf("product: %w", err)
	}
	ratio = mine.rate / floor.rate
	t.floors, t.mine, t.ratios = append(t.floors, floor), append(t.mine, mine), append(t.ratios, ratio)
	return ratio, nil
}

// scatter is how far apart the middle half of the ratios lies.
func (t *turns) scatter() float64 { return percentile(t.ratios, 75) - percentile(t.ratios, 25) }

// report takes the median for a result only when the pairs agree.
func (t *turns) report(b *bench) error {
	b.note("throughput, %s: both arms share server, client, gateway and processors; a simulated call takes some milliseconds; "+
		"the loop is kept full until %d calls have ended; of the processors' time a call of the product takes %.2f times what one of the floor takes (median)",
		t.on, t.load.calls, median(costs(t.mine))/median(costs(t.floors)))
	b.note("throughput, %s: a call of the floor takes %s; one of the product %s (means)", t.on, meanCost(t.floors), meanCost(t.mine))
	text := fmt.Sprintf("%.3f (median of %d pairs from %.2f to %.2f; Redial %.1f calls/s, floor %.1f; %d calls each, %d at a time)",
		median(t.ratios), len(t.ratios), percentile(t.ratios, 0), percentile(t.ratios, 100), median(rates(t.mine)), median(rates(t.floors)), t.load.calls, t.load.concurrency)
	if t.scatter() > mostScatter {
		return fmt.Errorf("the pairs scatter too much to tell, is the machine doing something else? %s", text)
	}
	b.record(t.on.row("throughput"), median(t.ratios), "%s", text)
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

func costs(passes []pass) (all []float64) {
	for _, p := range passes {
		all = append(all, milliseconds(p.cost.sum()))
	}
	return all
}

func meanCost(passes []pass) (mean cpuTime) {
	for _, p := range passes {
		for i, part := range mean.parts() {
			*part += *p.cost.parts()[i] / time.Duration(len(passes))
		}
	}
	return mean
}

// run counts until the calls have ended, and keeps the loop full until then: the calls that are still under way when the
// last one is counted are waited for and not counted.
func (l *closedLoop) run(ctx context.Context, p *product, one arm) (pass, error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var started, ended atomic.Int64
	var callers sync.WaitGroup
	var took time.Duration
	total := l.calls + l.concurrency
	used, begin := p.usedCPU(), time.Now()
	for range l.concurrency {
		callers.Go(func() {
			for n := started.Add(1); n <= int64(total) && ctx.Err() == nil; n = started.Add(1) {
				if err := one(ctx, l.made+int(n)); err != nil {
					fail(err) // what the others say then is only that they were called off
				}
				if ended.Add(1) == int64(l.calls) {
					took = time.Since(begin)
				}
			}
		})
	}
	callers.Wait()
	l.made += total
	if ctx.Err() != nil {
		return pass{}, context.Cause(ctx)
	}
	return pass{rate: float64(l.calls) / took.Seconds(), cost: p.usedCPU().since(used).each(total)}, nil
}
