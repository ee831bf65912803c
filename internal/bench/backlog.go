package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"redial/call"
	"redial/followup"
	"redial/simulator"
	"redial/starter"
	"redial/workflows"
)

var (
	backlogBudgets = []budget{
		{name: "backlog-lines", what: "with a backlog: lines in use, of those allowed", limit: "at least 0.95", holds: atLeast(0.95)},
		{name: "backlog-pace", what: "with a backlog: dials, of those that the rate allows", limit: "at least 0.95", holds: atLeast(0.95)},
	}
	backlogPostgresBudgets = []budget{
		{name: "backlog-lines-postgres", what: "with a backlog, on PostgreSQL: lines in use, of those allowed", limit: "at least 0.95", holds: atLeast(0.95)},
		{name: "backlog-pace-postgres", what: "with a backlog, on PostgreSQL: dials, of those that the rate allows", limit: "at least 0.95", holds: atLeast(0.95)},
	}
)

// backlogRun is a product that more contacts wait for than it may call.
type backlogRun struct {
	on      database
	name    string
	lines   int
	rate    int
	window  time.Duration
	outcome string // of every call, as a script of the simulator
	waiting int    // contacts that are kept waiting

	product *product
	used    func(calls []simulator.Call, from, to time.Time) float64
}

// measureBacklog watches two products at the same time, each with a server of its own: in one the lines are the limit,
// in the other the rate. The simulator's record says what was in use.
func measureBacklog(ctx context.Context, b *bench, on database) error {
	lines := &backlogRun{on: on, name: "lines", lines: 20, rate: 10_000, window: time.Minute, waiting: 300,
		outcome: "human+pdd=500ms+ring=2s+talk=6s"}
	lines.used = lines.share
	pace := &backlogRun{on: on, name: "pace", lines: 500, rate: 55, window: time.Minute, waiting: 200, outcome: "busy+pdd=500ms+ring=1s"}
	if b.quick {
		pace.window = 10 * time.Second
	}
	pace.used = pace.dialed
	runs := []*backlogRun{lines, pace}
	shares, errs := make([]float64, len(runs)), make([]error, len(runs))
	var all sync.WaitGroup
	for i, r := range runs {
		all.Go(func() { shares[i], errs[i] = r.watch(ctx, b) })
	}
	all.Wait()
	if errs[0] == nil {
		b.record(on.row("backlog-lines"), shares[0], "%.3f of %d lines over %s, calls of 8.5 s, %d contacts waiting", shares[0], lines.lines, b.backlog, lines.waiting)
	}
	if errs[1] == nil {
		b.record(on.row("backlog-pace"), shares[1], "%.3f of %d dials in %s, over %s, %d contacts waiting", shares[1], pace.rate, pace.window, b.backlog, pace.waiting)
	}
	return errors.Join(errs...)
}

// watch keeps contacts waiting, and measures from the time at which the limit is reached for the first time.
func (r *backlogRun) watch(ctx context.Context, b *bench) (float64, error) {
	var err error
	r.product, err = b.startProduct(ctx, productOptions{name: "backlog-" + r.name, on: r.on, lines: r.lines, rate: r.rate, window: r.window,
		simulator: simulator.Config{PlainNumbers: true, Profile: simulator.Profile{Outcomes: map[string]float64{r.outcome: 1}}}})
	if err != nil {
		return 0, err
	}
	defer r.product.close()
	ctx, cancel := context.WithTimeout(ctx, b.backlog+5*time.Minute)
	defer cancel()
	began, err := r.feed(ctx, b)
	if err != nil {
		return 0, err
	}
	used := r.used(r.product.simulator.Calls(), began, began.Add(b.backlog))
	return used, r.check(r.product.simulator.Stats())
}

// check makes a figure void that was reached by breaking the limit.
func (r *backlogRun) check(s simulator.Stats) error {
	if s.MaxConcurrent > r.lines {
		return fmt.Errorf("%d calls were under way at the same time on %d lines", s.MaxConcurrent, r.lines)
	}
	if r.window == time.Minute && s.MaxPerMinute > r.rate {
		return fmt.Errorf("%d dials were made in a minute that allows %d", s.MaxPerMinute, r.rate)
	}
	return nil
}

// feed starts contacts until the time is over, so that enough of them always wait, and returns when the measured time
// began: when the last line was taken where the lines are the limit, with the first dial where the rate is.
func (r *backlogRun) feed(ctx context.Context, b *bench) (began time.Time, err error) {
	said := time.Now()
	for n := 0; ; {
		stats := r.product.simulator.Stats()
		if began.IsZero() && (stats.Live == r.lines || stats.Launched >= r.rate) {
			began = time.Now()
			if stats.Launched >= r.rate {
				began = r.product.simulator.Calls()[0].ReceivedAt
			}
			b.say("backlog: %s: the limit is reached, the time starts to count", r.name)
		}
		if !began.IsZero() && time.Since(began) >= b.backlog {
			return began, nil
		}
		if time.Since(said) > 30*time.Second {
			b.say("backlog: %s: %d calls under way, %d placed", r.name, stats.Live, stats.Launched)
			said = time.Now()
		}
		if n-stats.Launched < r.waiting {
			n++
			if err := r.start(ctx, n); err != nil {
				return began, err
			}
			continue
		}
		select {
		case <-ctx.Done():
			return began, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (r *backlogRun) start(ctx context.Context, n int) error {
	_, err := r.product.starter.Call(ctx, workflows.NameOutboundCall, workflows.Input{ContactID: fmt.Sprintf("c%d", n), To: target(n), Policy: oncePolicy()})
	if errors.Is(err, starter.ErrDuplicateID) {
		return nil
	}
	return err
}

// share is the share of line time that calls took between two times.
func (r *backlogRun) share(calls []simulator.Call, from, to time.Time) float64 {
	var busy time.Duration
	for _, c := range calls {
		begin, end := c.ReceivedAt, c.EndedAt
		if begin.Before(from) {
			begin = from
		}
		if end.IsZero() || end.After(to) {
			end = to
		}
		busy += max(0, end.Sub(begin))
	}
	return busy.Seconds() / (float64(r.lines) * to.Sub(from).Seconds())
}

// dialed is how many calls were placed between two times, of those that the rate allows.
func (r *backlogRun) dialed(calls []simulator.Call, from, to time.Time) float64 {
	n := 0
	for _, c := range calls {
		if !c.ReceivedAt.Before(from) && c.ReceivedAt.Before(to) {
			n++
		}
	}
	return float64(n) / (float64(r.rate) * to.Sub(from).Seconds() / r.window.Seconds())
}

// oncePolicy makes every call the contact's last.
func oncePolicy() followup.Policy {
	return followup.Policy{Name: "once", On: map[call.Disposition]followup.Rule{call.Busy: {Do: followup.VerbStop}}}
}
