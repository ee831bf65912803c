package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"redial/call"
	"redial/followup"
	"redial/simulator"
	"redial/workflows"
)

var historyBudgets = []budget{
	{name: "history-one-attempt", what: "history events of a one-attempt call, signalled at its end", limit: "at most 19", holds: atMost(19)},
	{name: "history-further-attempt", what: "history events of each further attempt", limit: "at most 19", holds: atMost(19)},
	{name: "history-escalation", what: "history events of an escalation", limit: "at most 6", holds: atMost(6)},
	{name: "history-hold", what: "history events of each hold that reaches the workflow", limit: "at most 13", holds: atMost(13)},
	{name: "history-mid-call", what: "history events of each mid-call signal a flow asks for", limit: "at most 4", holds: atMost(4),
		why: "no flow can ask for them yet: the handle Flow has no option for it"},
}

// measureHistory counts events of calls on a real server. What is signalled within the same workflow task as something
// else costs fewer events; the most that was seen counts.
func measureHistory(ctx context.Context, b *bench) error {
	p, err := b.startProduct(ctx, productOptions{name: "history", lines: 50, rate: 10_000, window: time.Minute,
		simulator: simulator.Config{Speed: 50, PlainNumbers: true}})
	if err != nil {
		return err
	}
	defer p.close()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()

	const calls = 5
	one, err := p.mostEvents(ctx, 0, calls, "human+ring=20s")
	if err != nil {
		return err
	}
	b.record("history-one-attempt", float64(one), "%d, the most of %d calls", one, calls)
	three, err := p.mostEvents(ctx, 100, calls, "busy+ring=20s,no_answer+ring=20s,human+ring=20s")
	if err != nil {
		return err
	}
	further := float64(three-one) / 2
	b.record("history-further-attempt", further, "%.4g, the most of %d calls of three attempts", further, calls)
	escalated, err := p.mostEvents(ctx, 200, calls, "blocked+ring=20s")
	if err != nil {
		return err
	}
	b.record("history-escalation", float64(escalated-one), "%d, the most of %d calls", escalated-one, calls)
	if err := p.ledger.SetLimits(ctx, 1, 10_000, time.Minute); err != nil {
		return err
	}
	held, err := p.mostEvents(ctx, 300, calls, "human+ring=20s+talk=20s")
	if err != nil {
		return err
	}
	b.record("history-hold", float64(held-one), "%d, the most of %d contacts on one line", held-one, calls)
	return nil
}

// mostEvents makes calls at the same time, to numbers from the first on, and returns the length of the longest history.
func (p *product) mostEvents(ctx context.Context, first, calls int, script string) (most int, err error) {
	lengths, errs := make([]int, calls), make([]error, calls)
	var all sync.WaitGroup
	for i := range calls {
		all.Go(func() { lengths[i], errs[i] = p.eventsOfCall(ctx, first+i, script) })
	}
	all.Wait()
	for i, n := range lengths {
		if errs[i] != nil {
			return 0, errs[i]
		}
		most = max(most, n)
	}
	return most, nil
}

func (p *product) eventsOfCall(ctx context.Context, number int, script string) (int, error) {
	to := target(number)
	if err := p.simulator.Script(to.URI, script); err != nil {
		return 0, err
	}
	c, result, err := p.call(ctx, workflows.Input{ContactID: fmt.Sprintf("c%d", number), To: to, Policy: impatientPolicy()})
	if err != nil {
		return 0, err
	}
	if o := result.Outcome; o != call.Outcome(call.Human) && o != call.OutcomeEscalated {
		return 0, fmt.Errorf("a call with the script %s ended as %s", script, o)
	}
	return p.events(ctx, c)
}

// impatientPolicy is the default one, with retries after fractions of a second.
func impatientPolicy() followup.Policy {
	retry := followup.Rule{Retry: []followup.Delay{{After: followup.Duration(200 * time.Millisecond)}}, Then: followup.VerbEscalate}
	return followup.Policy{Name: "bench", On: map[call.Disposition]followup.Rule{call.Busy: retry, call.NoAnswer: retry}}
}
