package simulator

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// ErrNoNotifyURL is the error of [Simulator.Notify] for a call whose request gave none.
var ErrNoNotifyURL = errors.New("the call has no notify URL")

// Event is something to notify of a call, by hand.
type Event struct {
	// Name is answered, completed, failed, or an answering-machine event: any word that starts with amd_.
	Name string
	// SIP is the final response of failed, 300 to 999; 0 is a failure without a code.
	SIP int
	// By is who ended the call, for completed; default [ByCaller].
	By Party
	// AMD is what completed says of detection; empty: nothing (gen2), or the mode (gen1).
	AMD string
}

// check reports what makes no sense.
func (e Event) check() error {
	amd := strings.HasPrefix(e.Name, "amd_")
	switch {
	case e.Name != "answered" && e.Name != "completed" && e.Name != "failed" && !amd:
		return fmt.Errorf("event %q: give answered, completed, failed, or one that starts with amd_", e.Name)
	case e.SIP != 0 && e.Name != "failed":
		return fmt.Errorf("event %s has no SIP response of its own: drop sip", e.Name)
	case e.SIP != 0 && (e.SIP < 300 || e.SIP > 999):
		return fmt.Errorf("sip %d: give 300 to 999", e.SIP)
	case (e.By != "" || e.AMD != "") && e.Name != "completed":
		return fmt.Errorf("by and amd go with completed, and not with %s", e.Name)
	case e.By != "" && !e.By.known():
		return fmt.Errorf("by %q: give caller, bot or gateway", e.By)
	}
	return nil
}

// news is what the event says of a call with these facts.
func (e Event) news(f facts, asked Requested, dialect Dialect) news {
	if strings.HasPrefix(e.Name, "amd_") {
		return news{kind: kindAMD, amd: e.Name, at: f.ended}
	}
	end := ending{sip: e.SIP, noCode: e.SIP == 0}
	switch e.Name {
	case "answered":
		return news{kind: kindAnswered}
	case "completed":
		end = ending{answered: true, sip: 200, endedBy: e.By}
		if e.By == "" {
			end.endedBy = ByCaller
		}
	}
	p := plan{dialect: dialect, end: end}
	p.finish(asked, e.AMD)
	return news{kind: kindTerminal, end: p.end}
}

// Notify sends a notification of a call, live or ended, that says whatever it is told to: the call itself goes on as it would
// have, and its record of what really happened says nothing of it. It is written as the call's dialect writes it, without the faults of its
// script; events in the middle of a call, which gen1 does not have, are written as gen2 does. Notify returns the record of the notification
// when it has been answered, and with ctx's error when that ends before.
//
// Errors: [ErrNoSuchCall], [ErrNoNotifyURL], [ErrClosed].
func (s *Simulator) Notify(ctx context.Context, sid string, e Event) (Notification, error) {
	if err := e.check(); err != nil {
		return Notification{}, fmt.Errorf("simulator: notify: %w", err)
	}
	l, c, err := s.force(sid, e)
	if err != nil {
		return Notification{}, fmt.Errorf("simulator: notify of call %s: %w", sid, err)
	}
	sent := make(chan *Notification, 1)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return Notification{}, fmt.Errorf("simulator: notify of call %s: %w", sid, ErrClosed)
	}
	s.begin(func() { sent <- c.post(l) })
	s.mu.Unlock()
	select {
	case n := <-sent:
		s.mu.Lock()
		defer s.mu.Unlock()
		return *n, nil
	case <-ctx.Done():
		return Notification{}, fmt.Errorf("simulator: notify of call %s: %w", sid, ctx.Err())
	}
}

// force writes the notification of an event.
func (s *Simulator) force(sid string, e Event) (letter, *liveCall, error) {
	s.mu.Lock()
	c, known := s.era.bySID[sid]
	answered := known && !c.record.AnsweredAt.IsZero()
	s.mu.Unlock()
	switch {
	case !known:
		return letter{}, nil, ErrNoSuchCall
	case c.request.notifyURL == "":
		return letter{}, nil, ErrNoNotifyURL
	}
	// It says that all happens now, but for what has happened before.
	f, now := c.planned(), c.elapsed()
	f.ended = c.clockTime(now)
	f.connected = f.ended
	switch {
	case answered && e.Name != "failed":
		f.connected = c.clockTime(c.plan.connect)
	default:
		f.connect, f.ring = now, min(f.ring, now)
	}
	dialect := c.plan.dialect
	n := e.news(f, c.request.asked, dialect)
	if n.kind != kindTerminal {
		dialect = Gen2
	}
	body, err := n.write(f, dialect, s.config.Location, notifyFaults{})
	return c.address(n, faultForced, body), c, err
}
