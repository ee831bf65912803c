package call

import (
	"strings"
	"time"
)

// Status is what a notification says about the call.
type Status string

const (
	StatusAnswered  Status = "answered"  // the connection is established
	StatusProgress  Status = "progress"  // something happened in mid-call, usually a step of machine detection
	StatusCompleted Status = "completed" // ended after it was answered
	StatusFailed    Status = "failed"    // ended before it was answered
	StatusOther     Status = "other"     // a status this version does not know: kept, and never an end
)

// Terminal tells whether nothing but late news can follow.
func (s Status) Terminal() bool { return s == StatusCompleted || s == StatusFailed }

// AMD is a value of answering-machine detection as the gateway spells it, in lower case. Besides the eight events it
// may be the mode of the request echoed back ("disabled", "detect", "disconnect"), or something new.
type AMD string

const (
	AMDHuman           AMD = "amd_human_detected"
	AMDMachine         AMD = "amd_machine_detected"
	AMDTone            AMD = "amd_tone_detected"
	AMDStoppedSpeaking AMD = "amd_machine_stopped_speaking"
	AMDNoSpeech        AMD = "amd_no_speech_detected"
	AMDDecisionTimeout AMD = "amd_decision_timeout"
	AMDError           AMD = "amd_error"
	AMDStopped         AMD = "amd_stopped"
)

// ParseAMD folds case and white space; it accepts any text, since new values must be kept.
func ParseAMD(s string) AMD { return AMD(strings.ToLower(strings.TrimSpace(s))) }

// verdicts ranks what detection may report about who answered, strongest first. A human outranks a machine: a call is
// hung up, or repeated, at a person's cost, so one sign of a person is believed. A tone outranks silence, because a
// beep is heard by machines only; an error says least.
var verdicts = map[AMD]struct {
	rank        int
	disposition Disposition
}{
	AMDHuman:           {7, Human},
	AMDMachine:         {6, Machine},
	AMDStoppedSpeaking: {5, Machine},
	AMDTone:            {4, Machine},
	AMDNoSpeech:        {3, Silent},
	AMDDecisionTimeout: {2, Undecided},
	AMDError:           {1, AMDFailed},
}

// IsVerdict tells whether the value says who answered: not so for amd_stopped, an echoed mode, or anything new.
func (a AMD) IsVerdict() bool { _, ok := verdicts[a]; return ok }

// isEvent tells whether detection was at work, as it is only on an answered call: a mode is merely echoed.
func (a AMD) isEvent() bool { return strings.HasPrefix(string(a), "amd_") }

// stronger picks the one that says more: a verdict by its rank. Of two that are none either would do, and the same is
// picked whichever came first.
func stronger(a, b AMD) AMD {
	if ra, rb := verdicts[a].rank, verdicts[b].rank; ra > rb || ra == rb && a > b {
		return a
	}
	return b
}

// Party is who ended an answered call.
type Party string

const (
	PartyCallee  Party = "callee"  // the person called hung up
	PartyBot     Party = "bot"     // the bot hung up
	PartyGateway Party = "gateway" // the gateway hung up, for instance on a machine
)

// Event is one notification, understood. What the gateway claims about time is kept, and never relied on.
type Event struct {
	Status     Status `json:"status"`
	RawStatus  string `json:"raw_status,omitempty"`
	AMD        AMD    `json:"amd,omitempty"`
	SIP        int    `json:"sip,omitempty"` // three-digit final response; 0: none could be read
	Reason     string `json:"reason,omitempty"`
	ReasonCode string `json:"reason_code,omitempty"`
	EndedBy    Party  `json:"ended_by,omitempty"`

	ConversationID string `json:"conversation_id,omitempty"`
	SID            string `json:"sid,omitempty"`
	CallID         string `json:"call_id,omitempty"`
	SessionID      string `json:"session_id,omitempty"`

	Duration   time.Duration `json:"duration,omitempty"` // from connection to end, whole seconds, never negative
	Ring       time.Duration `json:"ring,omitempty"`
	Connect    time.Duration `json:"connect,omitempty"`
	Claimed    ClaimedTimes  `json:"claimed,omitzero"`
	ReceivedAt time.Time     `json:"received_at"` // our own clock; the only one that decides anything
}

// ClaimedTimes are the times a notification states: raw, and read in the configured zone where they could be.
type ClaimedTimes struct {
	RawConnect    string    `json:"raw_connect,omitempty"`
	RawDisconnect string    `json:"raw_disconnect,omitempty"`
	Connect       time.Time `json:"connect,omitzero"`
	Disconnect    time.Time `json:"disconnect,omitzero"`
}
