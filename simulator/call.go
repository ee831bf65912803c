package simulator

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
)

// liveCall is a call from its placing on. What is above the line is fixed when it is placed.
type liveCall struct {
	sim     *Simulator
	era     *era
	request dialRequest
	step    step
	plan    plan
	begun   time.Duration // reading of the clock

	hangUp    chan Party    // a hang-up from outside; holds one, and whoever puts it in enters it at the clock
	delivered chan struct{} // closed when the terminal notification has been answered, or will not be sent

	// Owned by the goroutine that lives the call.
	facts       facts
	held        []letter // what reorder keeps back
	lateVerdict *letter
	handedIn    bool // the bot's result

	// Guarded by Simulator.mu.
	record        Call
	notifications []*Notification
	results       []*Notification
}

// snapshot copies the record. The caller holds Simulator.mu.
func (c *liveCall) snapshot() Call {
	call := c.record
	call.Notifications, call.Results = copies(c.notifications), copies(c.results)
	return call
}

func copies(list []*Notification) []Notification {
	copied := make([]Notification, len(list))
	for i, n := range list {
		copied[i] = *n
	}
	return copied
}

// newCallID makes an id of the shape that the gateway's SIP stack gives a Call-ID: like a UUID, with "12" where the
// version would be, and a variant that is none.
func newCallID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // documented never to fail
	b[6], b[8] = 0x12, b[8]&0x7f
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// newSessionID makes an id of the shape of a MongoDB ObjectId, whose first four bytes are the time.
func newSessionID(at time.Time) string {
	var b [12]byte
	_, _ = rand.Read(b[4:]) // documented never to fail
	unix := uint32(at.Unix())
	b[0], b[1], b[2], b[3] = byte(unix>>24), byte(unix>>16), byte(unix>>8), byte(unix)
	return hex.EncodeToString(b[:])
}

// place begins a call, unless the simulator is closed.
func (s *Simulator) place(d dialRequest, chosen step, n int, thrown dice) (placed *liveCall, open bool) {
	now := time.Now()
	c := &liveCall{
		sim: s, request: d, step: chosen, plan: makePlan(chosen, d.asked, thrown, s.config.Dialect),
		begun: s.clock.now(), hangUp: make(chan Party, 1), delivered: make(chan struct{}),
	}
	c.record = Call{
		SID: uuid.NewString(), CallID: newCallID(), ConversationID: uuid.NewString(), SessionID: newSessionID(now),
		Target: d.target, Caller: d.caller, Trunk: d.trunk, N: n, NotifyURL: d.notifyURL, Metadata: d.metadata, Requested: d.asked,
		Step: chosen.text, Dialect: c.plan.dialect, ReceivedAt: now,
	}
	if s.config.ConversationIDIsSID {
		c.record.ConversationID = c.record.SID
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, false
	}
	e := s.era
	c.era = e
	if s.config.Lines > 0 && e.byTrunk[d.trunk] >= s.config.Lines {
		e.stats.NoLine++
		c.plan.noLine(d.asked)
	}
	c.facts = c.planned()
	e.enter(c)
	s.begin(func() { c.live(e.life) })
	return c, true
}

// planned are the facts of a call that nothing has happened in yet.
func (c *liveCall) planned() facts {
	d := c.request
	return facts{
		conversationID: c.record.ConversationID, sessionID: c.record.SessionID, sid: c.record.SID, callID: c.record.CallID,
		target: d.target, caller: d.caller, trunk: d.trunk, ring: c.plan.ring, connect: c.plan.connect,
	}
}

// begin starts work that Close waits for, and that the clock waits for when it is moved.
func (s *Simulator) begin(work func()) {
	s.clock.enter()
	s.work.Go(func() {
		defer s.clock.leave()
		work()
	})
}

// enter counts a call in. The caller holds Simulator.mu.
func (e *era) enter(c *liveCall) {
	e.calls = append(e.calls, c)
	e.bySID[c.record.SID] = c
	e.stats.Launched++
	if url := c.request.notifyURL; url != "" {
		if e.notifyURL[url] {
			e.stats.DuplicateDials++
		}
		e.notifyURL[url] = true
	}
	e.live++
	e.stats.MaxConcurrent = max(e.stats.MaxConcurrent, e.live)
	e.byTrunk[c.request.trunk]++
	key := c.request.to.key
	e.byTarget[key]++
	e.stats.MaxPerTarget = max(e.stats.MaxPerTarget, e.byTarget[key])
	if e.byTarget[key] > 1 {
		e.overlaps[key] = true
	}
}

// leave counts a call out. The caller holds Simulator.mu.
func (e *era) leave(c *liveCall) {
	release := func(counts map[string]int, key string) {
		if counts[key]--; counts[key] == 0 {
			delete(counts, key)
		}
	}
	e.live--
	release(e.byTrunk, c.request.trunk)
	release(e.byTarget, c.request.to.key)
}

// noLine turns a plan into that of a call which finds no free line.
func (p *plan) noLine(asked Requested) {
	*p = plan{dialect: p.dialect, connect: 50 * time.Millisecond, end: ending{sip: 503}}
	p.finish(asked, "")
}

// wake says why a wait of a call ended.
type wake int

const (
	onTime wake = iota
	hungUp
	abandoned // by Reset or Close
)

// until waits for a time of the call's own clock.
func (c *liveCall) until(life context.Context, at time.Duration) (wake, Party) {
	clock := c.sim.clock
	w := clock.enlist(c.begun + clock.real(at))
	select {
	case <-w.due:
		if life.Err() != nil {
			return abandoned, ""
		}
		return onTime, ""
	case by := <-c.hangUp:
		clock.withdraw(w)
		clock.leave() // for the hang-up, which has been heard
		return hungUp, by
	case <-life.Done():
		clock.withdraw(w)
		return abandoned, ""
	}
}

// clockTime is a time of the call's own clock as the gateway would write it.
func (c *liveCall) clockTime(at time.Duration) time.Time { return c.record.ReceivedAt.Add(at) }

// elapsed is the present time of the call's own clock.
func (c *liveCall) elapsed() time.Duration {
	return c.sim.clock.simulated(c.sim.clock.now() - c.begun)
}

// live is the whole life of a call.
func (c *liveCall) live(life context.Context) {
	p := c.plan
	switch why, _ := c.until(life, p.connect); {
	case why == abandoned:
		c.abandon()
		return
	case why == hungUp:
		p.end = ending{sip: 487}
		p.finish(c.request.asked, "")
		c.end(life, p.end, min(c.elapsed(), p.connect))
		return
	case !p.end.answered:
		c.end(life, p.end, p.connect)
		return
	}
	c.answer()
	for i, e := range p.amd {
		if e.at == p.talk && e.name == amdStopped && !p.endless {
			// Cut off by the hang-up: it races with the terminal notification.
			p.amd = p.amd[:i]
			break
		}
		why, by := c.until(life, p.connect+e.at)
		if why == onTime {
			c.announce(news{kind: kindAMD, amd: e.name, at: c.clockTime(p.connect + e.at)})
			continue
		}
		c.cutOff(life, why, by, p.amd[:i])
		return
	}
	c.seeOut(life, p.amd)
}

// seeOut waits for the end of an answered call whose detection events are all out.
func (c *liveCall) seeOut(life context.Context, told []amdEvent) {
	p := c.plan
	lasting := p.talk
	if p.endless {
		// Nobody hangs up: only End, Reset or Close does.
		lasting = longest * 52
	}
	why, by := c.until(life, p.connect+max(0, lasting-handInBefore))
	if why == onTime {
		c.handIn()
		why, by = c.until(life, p.connect+lasting)
	}
	if why != onTime {
		c.cutOff(life, why, by, told)
		return
	}
	if len(told) < len(p.amd) {
		c.announce(news{kind: kindAMD, amd: amdStopped, at: c.clockTime(p.connect + p.talk)})
	}
	c.end(life, p.end, p.connect+p.talk)
}

// cutOff ends an answered call before its time.
func (c *liveCall) cutOff(life context.Context, why wake, by Party, told []amdEvent) {
	if why == abandoned {
		c.abandon()
		return
	}
	p, at := c.plan, c.elapsed()
	c.handIn()
	if len(told) < len(p.amd) {
		c.announce(news{kind: kindAMD, amd: amdStopped, at: c.clockTime(at)})
		p.finish(c.request.asked, verdictOf(append(slices.Clone(told), amdEvent{name: amdStopped})))
	}
	p.end.endedBy = by
	c.end(life, p.end, at)
}

// answer records and announces that the call is taken.
func (c *liveCall) answer() {
	c.facts.connected = c.clockTime(c.plan.connect)
	c.sim.mu.Lock()
	c.record.AnsweredAt = time.Now()
	c.sim.mu.Unlock()
	c.announce(news{kind: kindAnswered})
}

// end records and announces the end of the call. The line is free before anybody hears of it.
func (c *liveCall) end(life context.Context, e ending, at time.Duration) {
	c.facts.ended = c.clockTime(at)
	if !e.answered {
		c.facts.connected = c.facts.ended
		c.facts.connect = at
		c.facts.ring = min(c.facts.ring, at)
	}
	c.sim.mu.Lock()
	c.record.EndedAt = time.Now()
	c.record.Outcome, c.record.SIP, c.record.EndedBy = e.outcome(), e.sip, e.endedBy
	if e.answered {
		c.record.AMD = e.amd
	}
	c.era.leave(c)
	c.sim.mu.Unlock()
	c.hearNoMore()
	c.sim.log.Debug("call ended", zap.String("sid", c.record.SID), zap.String("outcome", string(e.outcome())), zap.Int("sip", e.sip))
	c.conclude(life, e)
	if e.answered {
		c.handInLate(life)
	}
}

// abandon is the end of a call of which nobody will hear.
func (c *liveCall) abandon() {
	c.sim.mu.Lock()
	c.era.leave(c)
	c.sim.mu.Unlock()
	c.hearNoMore()
	close(c.delivered)
}

// hearNoMore takes back a hang-up that came too late.
func (c *liveCall) hearNoMore() {
	select {
	case <-c.hangUp:
		c.sim.clock.leave()
	default:
	}
}
