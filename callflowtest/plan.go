package callflowtest

import (
	"slices"
	"time"

	"redial/call"
)

// ringOut rings for as long as the request allows.
const ringOut = time.Duration(-1)

// plan is what becomes of one request, before it is known what was asked.
type plan struct {
	disposition call.Disposition
	answered    bool
	amd         call.AMD
	decided     time.Duration // from the answer to the verdict
	ring, talk  time.Duration

	answer     call.AnswerClass
	retryAfter time.Duration

	says []said

	early, lost, duplicate, disorder, dies bool
	late                                   time.Duration
	faults                                 []Fault
}

// said is a result of the bot.
type said struct {
	result call.BotResult
	in     time.Duration // a callback that long after it is said
	late   bool
	after  time.Duration // the end, when late
}

// failures are the final responses of SIP behind each disposition of a call that is not answered.
var failures = map[call.Disposition]struct {
	sip    int
	reason string
}{
	call.Busy: {486, "Busy Here"}, call.NoAnswer: {487, "Request Terminated"}, call.Unreachable: {480, "Temporarily Unavailable"},
	call.Declined: {603, "Decline"}, call.Unwanted: {607, "Unwanted"}, call.Blocked: {608, "Rejected"},
	call.InvalidNumber: {404, "Not Found"}, call.TrunkError: {403, "Forbidden"}, call.NetworkError: {503, "Service Unavailable"},
	call.Failed: {400, "Bad Request"},
}

// course is a call as it goes: what is heard of it, and when, from the moment of the dial.
type course struct {
	news []news
	over time.Duration // when the call is truly over
}

type news struct {
	at     time.Duration
	event  *call.Event
	result *said
}

// course lays the call out, for what was asked.
func (p plan) course(r call.DialRequest) course {
	if p.answer != call.AnswerPlaced && p.answer != call.AnswerUnknown {
		return course{}
	}
	ring := p.ring
	if ring == ringOut || ring >= r.RingTimeout && r.RingTimeout > 0 {
		ring = r.RingTimeout
		p.answered = false
		p.disposition = call.NoAnswer
	}
	if p.early {
		ring, p.talk, p.decided = 0, 0, 0
	}
	if !p.answered {
		f := failures[p.disposition]
		return p.disturbed(course{over: ring, news: []news{{at: ring, event: &call.Event{Status: call.StatusFailed, SIP: f.sip, Reason: f.reason}}}})
	}
	return p.disturbed(p.conversation(r, ring))
}

// conversation lays out an answered call.
func (p plan) conversation(r call.DialRequest, ring time.Duration) course {
	talk, by := p.talk, call.PartyBot
	if p.disposition == call.Human {
		by = call.PartyCallee
	}
	decided, verdict := min(p.decided, talk), p.amd
	if !r.MachineDetection.Enabled() {
		verdict = ""
	}
	c := course{news: []news{{at: ring, event: &call.Event{Status: call.StatusAnswered}}}}
	if verdict != "" && !r.NoAMDEvents {
		c.news = append(c.news, news{at: ring + decided, event: &call.Event{Status: call.StatusProgress, AMD: verdict}})
	}
	if r.MachineDetection == call.DetectionDisconnect && p.disposition == call.Machine {
		talk, by = decided, call.PartyGateway
	}
	c.over = ring + talk
	c.news = append(c.news, news{at: c.over, event: &call.Event{Status: call.StatusCompleted, AMD: verdict, SIP: 200, Reason: "OK", EndedBy: by,
		Duration: talk.Truncate(time.Second)}})
	for i := range p.says {
		at := c.over - min(time.Second, talk)
		if p.says[i].late {
			at = c.over + p.says[i].after
		}
		c.news = append(c.news, news{at: at, result: &p.says[i]})
	}
	return c
}

// disturbed is the call as it is heard with its faults.
func (p plan) disturbed(c course) course {
	var heard []news
	for _, n := range c.news {
		end := n.event != nil && n.event.Status.Terminal()
		switch {
		case end && p.lost:
			continue
		case end && p.disorder:
			without := *n.event
			if without.AMD = ""; p.late == 0 {
				n.event = &without
			}
		case n.event != nil && p.disorder:
			n.at = c.over + 500*time.Millisecond
		}
		if end {
			n.at += p.late
		}
		heard = append(heard, n)
		if p.duplicate && n.event != nil {
			again := n
			if again.at += time.Second; p.early {
				again.at = 0
			}
			heard = append(heard, again)
		}
	}
	slices.SortStableFunc(heard, func(a, b news) int { return int(a.at - b.at) })
	c.news = heard
	return c
}
