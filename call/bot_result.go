package call

import (
	"encoding/json"
	"time"
)

// ResultKind is what a conversation came to, as the bot says. The list is closed; what it does not cover goes into the data
// of a result.
type ResultKind string

const (
	Confirmed  ResultKind = "confirmed"  // the person agreed to what was asked
	Refused    ResultKind = "declined"   // the person did not agree; not Declined, which is a call that was not taken
	Callback   ResultKind = "callback"   // the person asked to be called at a time
	OptedOut   ResultKind = "opted_out"  // the person does not want to be called again
	Unfinished ResultKind = "unfinished" // the conversation broke off, or came to nothing
)

// ResultKinds lists every kind.
func ResultKinds() []ResultKind {
	return []ResultKind{Confirmed, Refused, Callback, OptedOut, Unfinished}
}

// BotResult is the bot's own word on one attempt: what the conversation came to, which no status of the gateway tells. The zero
// BotResult is none.
type BotResult struct {
	AttemptKey string          `json:"attempt_key"`
	Kind       ResultKind      `json:"result"`
	At         time.Time       `json:"at,omitzero"`          // when to call back
	Data       json.RawMessage `json:"data,omitempty"`       // whatever else the bot has to say: one JSON value
	ReceivedAt time.Time       `json:"received_at,omitzero"` // our time
}
