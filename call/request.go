package call

import "time"

// Detection is the mode of answering-machine detection asked of the gateway.
type Detection string

const (
	DetectionDetect     Detection = "detect"     // detect, and keep the call whatever answered
	DetectionDisconnect Detection = "disconnect" // detect, and let the gateway hang up on a machine
	DetectionDisabled   Detection = "disabled"   // no detection; the gateway reports no verdict
)

// Enabled tells whether a verdict can be expected at all.
func (d Detection) Enabled() bool { return d == DetectionDetect || d == DetectionDisconnect }

// Timers are the four timers of answering-machine detection. A zero timer is not sent, and the gateway's default
// holds (Kore.ai, "Timers configuration").
type Timers struct {
	NoSpeech           time.Duration `json:"no_speech,omitempty"`           // wait for any speech; gateway default 5 s
	Decision           time.Duration `json:"decision,omitempty"`            // wait for a decision; gateway default 15 s
	Tone               time.Duration `json:"tone,omitempty"`                // wait for a beep; gateway default 20 s
	GreetingCompletion time.Duration `json:"greeting_completion,omitempty"` // silence that ends a greeting; gateway default 2 s
}

// DialRequest is everything the gateway is told about one call, but for the notify URL, which names the attempt and
// is made when the request is sent.
type DialRequest struct {
	To     Target `json:"to"`
	Caller string `json:"caller"`          // caller id, as the gateway's account spells it; it also selects the experience flow
	Trunk  string `json:"trunk,omitempty"` // carrier; empty: the account's default carrier

	Metadata map[string]any `json:"metadata,omitempty"` // for the bot; not known to come back in notifications

	MachineDetection Detection     `json:"machine_detection,omitempty"`
	ThresholdWords   int           `json:"threshold_words,omitempty"` // words in a greeting that make it a machine
	Timers           Timers        `json:"timers,omitzero"`
	RingTimeout      time.Duration `json:"ring_timeout,omitempty"` // how long it may ring before the gateway gives up

	NotifyHeaders map[string]string `json:"notify_headers,omitempty"` // extra headers on notifications about detection
	NoAMDEvents   bool              `json:"no_amd_events,omitempty"`  // opt out of mid-call notifications about detection
	CallControl   map[string]any    `json:"call_control,omitempty"`   // speech settings for this call, passed through
}

// AnswerClass says what the answer to a dial request means for the person whose phone may ring.
type AnswerClass string

const (
	// AnswerPlaced: the gateway took the call (any 2xx).
	AnswerPlaced AnswerClass = "placed"
	// AnswerNotPlaced: provably no call (nothing was written to the wire, or a redirect); it may be tried again.
	AnswerNotPlaced AnswerClass = "not_placed"
	// AnswerThrottled: no call; the account is over a limit and all of its dials have to wait.
	AnswerThrottled AnswerClass = "throttled"
	// AnswerRefused: no call, and the same request will be refused again: configuration or data is wrong.
	AnswerRefused AnswerClass = "refused"
	// AnswerUnknown: a phone may be ringing. Never sent again.
	AnswerUnknown AnswerClass = "unknown"
)

// DialAnswer is what came of one dial request.
type DialAnswer struct {
	Class          AnswerClass   `json:"class"`
	SID            string        `json:"sid,omitempty"`
	CallID         string        `json:"call_id,omitempty"`
	ConversationID string        `json:"conversation_id,omitempty"`
	HTTPStatus     int           `json:"http_status,omitempty"` // 0: no answer was read
	Message        string        `json:"message,omitempty"`     // the gateway's own words, or the error, fit for an operator
	RetryAfter     time.Duration `json:"retry_after,omitempty"` // as stated by the gateway; 0: not stated
}
