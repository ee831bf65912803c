package simulator

import (
	"context"
	"slices"
	"sync/atomic"

	"go.uber.org/zap"
)

// letter is a notification, or a bot's result, written out and addressed.
type letter struct {
	kind  kind
	event string
	fault string
	url   string
	body  []byte
	heads map[string]string
}

// wanted reports whether anybody is to hear of it: the request gave a notify URL, the dialect knows the event, and the
// request did not opt out of it.
func (c *liveCall) wanted(n news) bool {
	switch {
	case c.request.notifyURL == "":
		return false
	case n.kind == kindTerminal:
		return true
	case c.plan.dialect == Gen1:
		return false
	default:
		return n.kind != kindAMD || !c.request.asked.NoAMDEvents
	}
}

// write makes a letter.
func (c *liveCall) write(n news, fault string) letter {
	body, err := n.write(c.facts, c.plan.dialect, c.sim.config.Location, c.step.notify)
	if err != nil {
		c.sim.log.Error("notification could not be written", zap.String("sid", c.record.SID), zap.Error(err))
	}
	return c.address(n, fault, body)
}

// address makes a letter of what is written.
func (c *liveCall) address(n news, fault string, body []byte) letter {
	l := letter{kind: n.kind, event: n.event(), fault: fault, url: c.request.notifyURL, body: body}
	if n.kind == kindAMD || c.sim.config.NotifyHeadersOnAll {
		l.heads = c.request.asked.NotifyHeaders
	}
	return l
}

// lost reports whether the script swallows it.
func (c *liveCall) lost(n news) bool {
	return c.step.notify.lost == string(n.kind) || c.step.notify.lost == "all"
}

// announce sends a notification from the middle of a call. As in the engine, nothing waits for its answer, so that two
// of them may overtake each other.
func (c *liveCall) announce(n news) {
	if !c.wanted(n) {
		return
	}
	l := c.write(n, "")
	switch {
	case c.lost(n):
		c.drop(l)
	case n.kind == kindAMD && c.step.notify.lateVerdict > 0 && n.amd == c.plan.end.amd:
		c.lateVerdict = &l
	case c.step.notify.reorder:
		c.held = append(c.held, l)
	default:
		c.sim.begin(func() {
			if late := c.step.notify.lateEvents; late > 0 && !c.sim.clock.sleep(c.era.life, late) {
				c.drop(l)
				return
			}
			c.send(l)
		})
	}
}

// conclude sends the terminal notification and all that is to follow it. These go one after the other, each after the answer
// to the one before: where the order is the point, it must not be left to chance.
func (c *liveCall) conclude(life context.Context, e ending) {
	truth := news{kind: kindTerminal, end: e}
	if !c.wanted(truth) {
		close(c.delivered)
		return
	}
	if c.lateVerdict != nil {
		truth.end.amd = ""
	}
	letters := []letter{c.write(truth, "")}
	if c.step.notify.contradict {
		letters = append(letters, c.write(news{kind: kindTerminal, end: e.contradiction()}, faultContradiction))
	}
	for _, l := range slices.Backward(c.held) {
		letters = append(letters, l)
	}
	c.sim.begin(func() {
		inTime := c.sim.clock.sleep(life, c.step.notify.late)
		for i, l := range letters {
			switch {
			case !inTime:
				c.drop(l)
			case i == 0 && c.lost(truth):
				c.drop(l)
			case i == 0:
				c.sendTerminal(l)
			default:
				c.send(l)
			}
			if i == 0 {
				close(c.delivered)
			}
		}
		if c.lateVerdict == nil {
			return
		}
		if inTime && c.sim.clock.sleep(life, c.step.notify.lateVerdict) {
			c.send(*c.lateVerdict)
		} else {
			c.drop(*c.lateVerdict)
		}
	})
}

// sendTerminal sends the terminal notification, spoilt or with a spoilt copy before it if the script says so.
func (c *liveCall) sendTerminal(l letter) {
	spoil := func(how badCopy, fault string, change func(*letter)) (goOn bool) {
		if how == noBadCopy {
			return true
		}
		bad := l
		bad.fault = fault
		change(&bad)
		c.send(bad)
		return how == badFirst
	}
	goOn := spoil(c.step.notify.malformed, faultMalformed, func(bad *letter) { bad.body = bad.body[:len(bad.body)*2/3] })
	goOn = spoil(c.step.notify.wrongToken, faultWrongToken, func(bad *letter) { bad.url = misaddressed(bad.url) }) && goOn
	if goOn {
		c.send(l)
	}
}

// send posts a letter, twice at once if the script says so, and returns when all is answered.
func (c *liveCall) send(l letter) {
	duplicate := c.step.notify.duplicate
	if l.kind == kindResult {
		duplicate = c.step.bot.duplicate
	}
	if !duplicate {
		c.post(l)
		return
	}
	again := l
	again.fault = faultDuplicate
	// Each may wait for the clock before a retry. Of the two, the one that ends first is done with its work, and the other's goes on as ours.
	var (
		left   atomic.Int32
		second = make(chan struct{})
	)
	left.Store(2)
	done := func() {
		if left.Add(-1) > 0 {
			c.sim.clock.leave()
		}
	}
	c.sim.clock.enter()
	go func() {
		defer close(second)
		c.post(again)
		done()
	}()
	c.post(l)
	done()
	<-second
}

// post delivers one letter, and gives the record of what came of it, which Simulator.mu guards.
func (c *liveCall) post(l letter) *Notification {
	s := c.sim
	s.mu.Lock()
	n, stats := c.enter(l)
	if l.fault == faultDuplicate {
		stats.Duplicated++
	}
	s.mu.Unlock()
	s.courier.deliver(s.posts, l, func(a attempt) {
		s.mu.Lock()
		defer s.mu.Unlock()
		n.SentAt, n.AnsweredAt, n.Status, n.Error = a.sent, a.answered, a.status, ""
		n.Attempts++
		stats.Posted++
		switch {
		case a.err != nil:
			stats.Failed++
			n.Error = a.err.Error()
		case a.accepted():
			stats.Accepted++
		default:
			stats.Rejected++
		}
	})
	return n
}

// enter puts a letter on record, and gives the statistics that it counts in. The caller holds Simulator.mu.
func (c *liveCall) enter(l letter) (*Notification, *NotificationStats) {
	n := &Notification{Event: l.event, Fault: l.fault, Body: string(l.body)}
	if l.kind == kindResult {
		c.results = append(c.results, n)
		return n, &c.era.stats.Results
	}
	c.notifications = append(c.notifications, n)
	return n, &c.era.stats.Notifications
}

// drop records a letter that nobody gets.
func (c *liveCall) drop(l letter) {
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	l.fault = faultDropped
	_, stats := c.enter(l)
	stats.Dropped++
}
