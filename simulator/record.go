package simulator

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// Call is one call that was really placed, whatever its dialer was told. Times are of our clock.
type Call struct {
	SID            string `json:"sid"`
	CallID         string `json:"call_id"`
	ConversationID string `json:"conversation_id"`
	SessionID      string `json:"session_id"`

	Target    string          `json:"target"` // as requested
	Caller    string          `json:"caller"`
	Trunk     string          `json:"trunk,omitempty"`
	N         int             `json:"n"` // which dial of this target it was, counting those that a script refused
	NotifyURL string          `json:"notify_url,omitempty"`
	Metadata  json.RawMessage `json:"metadata,omitempty"`
	Requested Requested       `json:"requested"`

	Step    string  `json:"step"` // of the script that decided it
	Dialect Dialect `json:"dialect"`
	Answer  string  `json:"answer"` // to the request: an HTTP status, "reset", or "" while it is not written

	ReceivedAt time.Time `json:"received_at"`
	AnsweredAt time.Time `json:"answered_at,omitzero"` // zero for a call that was not answered (yet)
	EndedAt    time.Time `json:"ended_at,omitzero"`    // zero for a call that is live, or was hung up by Reset or Close

	// Outcome is empty until the call has ended.
	Outcome Outcome `json:"outcome,omitempty"`
	SIP     int     `json:"sip,omitempty"`      // final response; 0 when the gateway had none
	AMD     string  `json:"amd,omitempty"`      // what the truthful terminal notification says of detection
	EndedBy Party   `json:"ended_by,omitempty"` // of an answered call

	Notifications []Notification `json:"notifications"`
	// Results is what the bot handed in, or could not: the event of each is its word.
	Results []Notification `json:"results"`
}

// Live reports whether the call has not ended.
func (c Call) Live() bool { return c.EndedAt.IsZero() }

// Notification is one POST to the notify URL of a call, or to the bot's result URL, or one that was left out.
type Notification struct {
	// Event is answered, completed, failed, or the name of an answering-machine event.
	Event string `json:"event"`
	// Fault is what was done to it on purpose: dropped, duplicate, contradiction, malformed, wrong_token, or "". A
	// notification of [Simulator.Notify] is forced.
	Fault string `json:"fault,omitempty"`
	// Body is what was sent, or would have been.
	Body string `json:"body"`

	SentAt     time.Time `json:"sent_at,omitzero"`     // of the last attempt; zero when dropped
	AnsweredAt time.Time `json:"answered_at,omitzero"` // when its answer, or the end of hope for one, came
	Attempts   int       `json:"attempts"`             // POSTs made
	Status     int       `json:"status"`               // the last HTTP status that came back; 0 for none
	Error      string    `json:"error,omitempty"`      // why none came back
}

// The values of [Notification.Fault].
const (
	faultDropped       = "dropped"
	faultDuplicate     = "duplicate"
	faultContradiction = "contradiction"
	faultMalformed     = "malformed"
	faultWrongToken    = "wrong_token"
	faultForced        = "forced"
)

// Dropped reports whether the notification was left out.
func (n Notification) Dropped() bool { return n.Fault == faultDropped }

// Stats is what a dialer did to the gateway, since the last reset.
type Stats struct {
	// Requests counts every POST to the dialout endpoint.
	Requests int `json:"requests"`
	// Launched counts calls really placed, those included whose dialer was told otherwise or nothing.
	Launched int `json:"launched"`
	// Refused counts requests that placed no call, by kind: unauthorized, unknown_app, forbidden, bot, bad_request,
	// too_large, rate_limit, closed, and for those that a script or an outage refused, refuse, reset_before and http_NNN.
	Refused map[string]int `json:"refused"`
	// MetOutage counts requests that came during an outage, whether they placed a call or not.
	MetOutage int `json:"met_outage"`

	// Live is how many calls are under way; MaxConcurrent is the most that ever were.
	Live          int `json:"live"`
	MaxConcurrent int `json:"max_concurrent"`
	// NoLine counts calls that found all lines of their trunk taken and failed with 503.
	NoLine int `json:"no_line"`
	// MaxPerMinute is the most authenticated requests in any sixty seconds of the gateway's clock, refused ones included.
	MaxPerMinute int `json:"max_per_minute"`

	// MaxPerTarget is the most calls that one target ever had at once. Above 1 a person's phone rang during a call: the
	// failure that matters most.
	MaxPerTarget int `json:"max_per_target"`
	// Overlapping lists the targets that had two calls at once, sorted.
	Overlapping []string `json:"overlapping"`
	// DuplicateDials counts calls placed with the notify URL of an earlier call. For a dialer that gives each attempt a URL of its
	// own it counts attempts dialed twice.
	DuplicateDials int `json:"duplicate_dials"`

	Notifications NotificationStats `json:"notifications"`
	// Results counts what bots handed in.
	Results NotificationStats `json:"results"`
}

// NotificationStats counts notifications, or results.
type NotificationStats struct {
	Posted     int `json:"posted"`     // POSTs made, retries and duplicates included
	Accepted   int `json:"accepted"`   // of these, answered 2xx
	Rejected   int `json:"rejected"`   // of these, answered otherwise
	Failed     int `json:"failed"`     // of these, not answered
	Dropped    int `json:"dropped"`    // left out on purpose, overtaken by Close or Reset, or without a URL
	Duplicated int `json:"duplicated"` // sent a second time on purpose
}

// Calls gives every call placed since the last reset, in the order of placing, as it stands now.
func (s *Simulator) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := make([]Call, len(s.era.calls))
	for i, c := range s.era.calls {
		calls[i] = c.snapshot()
	}
	return calls
}

// CallsTo is [Simulator.Calls] for one target, in any of its spellings.
func (s *Simulator) CallsTo(target string) ([]Call, error) {
	key, err := lookupKey(target)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := []Call{}
	for _, c := range s.era.calls {
		if c.request.to.key == key {
			calls = append(calls, c.snapshot())
		}
	}
	return calls, nil
}

// Stats gives the statistics as they stand now.
func (s *Simulator) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.era.stats
	stats.Refused = maps.Clone(stats.Refused)
	stats.Live = s.era.live
	stats.MaxPerMinute = s.era.requests.most
	stats.Overlapping = slices.AppendSeq([]string{}, maps.Keys(s.era.overlaps))
	slices.Sort(stats.Overlapping)
	return stats
}
