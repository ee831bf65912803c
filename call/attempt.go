package call

import (
	"fmt"
	"time"
)

// State is where an attempt stands. It only ever moves forward, but for not_placed, which may be dialed again, and for
// unknown, which a late end of the call settles.
type State string

const (
	StateDialing   State = "dialing"    // the intent is recorded; the request may have left
	StateNotPlaced State = "not_placed" // provably no call
	StatePlaced    State = "placed"     // the gateway took the call, or has reported something about it
	StateUnknown   State = "unknown"    // in doubt; never sent again, still listened for
	StateEnded     State = "ended"      // the end was heard, or an operator settled it
)

// Attempt is one attempt to reach a target: the ledger's row with every event folded in. It is what a flow receives,
// what it returns in its result and what an operator is shown. Times are our own.
type Attempt struct {
	N           int         `json:"n"`   // counted from 1 in the flow
	Key         string      `json:"key"` // <workflow id>/<first run id>/<n>
	State       State       `json:"state"`
	Seq         int64       `json:"seq"`                   // grows with every change; the highest is the newest
	Disposition Disposition `json:"disposition,omitempty"` // empty while the call is under way
	Permanent   bool        `json:"permanent,omitempty"`   // not placed, and the same request would be refused again

	Status     Status `json:"status,omitempty"`
	AMD        AMD    `json:"amd,omitempty"`
	SIP        int    `json:"sip,omitempty"`
	Reason     string `json:"reason,omitempty"`
	ReasonCode string `json:"reason_code,omitempty"`
	EndedBy    Party  `json:"ended_by,omitempty"`

	SID            string `json:"sid,omitempty"`
	CallID         string `json:"call_id,omitempty"`
	ConversationID string `json:"conversation_id,omitempty"`
	SessionID      string `json:"session_id,omitempty"`

	DialedAt   time.Time `json:"dialed_at,omitzero"`
	AnsweredAt time.Time `json:"answered_at,omitzero"` // the end less the reported duration; before the end, when the answer was reported
	EndedAt    time.Time `json:"ended_at,omitzero"`
	DurationS  int64     `json:"duration_s"`

	// SuspectedHuman is a machine by its verdict whose call the callee ended within QuickHangup: machines wait for the
	// beep, people hang up. It changes nothing, and is counted.
	SuspectedHuman bool `json:"suspected_human,omitempty"`
	// HearUntil is when the call is surely over, heard of or not: ringing, talking and the grace for its notification.
	HearUntil time.Time `json:"hear_until,omitzero"`
	// Detection is whether machine detection was asked for, so that a verdict is worth a short wait.
	Detection bool `json:"detection,omitempty"`
	// SettledAt is when the disposition became final: what arrives later is kept beside the attempt and changes nothing.
	SettledAt time.Time `json:"settled_at,omitzero"`
	// Error is why the attempt was not placed, or why it is unknown.
	Error string `json:"error,omitempty"`
}

// QuickHangup is how soon after the answer a callee who hangs up is hardly a machine: greetings last longer.
const QuickHangup = 4 * time.Second

// AttemptKey is the key of the n-th attempt of a contact's run: the same after a crash, a replay, a workflow reset and a
// continue-as-new, because the first run's id stays what it was.
func AttemptKey(workflowID, firstRunID string, n int) string {
	return fmt.Sprintf("%s/%s/%d", workflowID, firstRunID, n)
}

// Over tells whether the attempt needs no more waiting: it ended, or there was provably no call.
func (a Attempt) Over() bool { return a.State == StateEnded || a.State == StateNotPlaced }
