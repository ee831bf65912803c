package workflows

import (
	"encoding/json"
	"fmt"
	"strings"

	"go.temporal.io/sdk/temporal"

	"redial/call"
	"redial/followup"
)

// Task queues. Dials have one of their own, so that setting its rate to zero stops all dialing at once.
const (
	TaskQueue     = "redial"
	DialTaskQueue = "redial-dial"
)

// Signals and queries that a flow answers to.
const (
	SignalAttempt = "redial.attempt" // carries a call.Attempt: the attempt as it stands
	SignalWake    = "redial.wake"    // carries a Wake or nothing: what a held contact waited for has happened
	SignalResult  = "redial.result"  // carries a call.BotResult: what the bot says a conversation came to
	QueryStatus   = "status"         // returns a Status
)

// Wake is what a wake may carry.
type Wake struct {
	// Recheck: somebody must not be called any more, and a contact that waits, for whatever, has to ask whether it is the one.
	Recheck bool `json:"recheck,omitempty"`
	// Replan: the policy of the ledger that the contact follows has changed, and what it waits for is to be planned anew.
	Replan bool `json:"replan,omitempty"`
}

// NameOutboundCall is the type name of the standard flow.
const NameOutboundCall = "OutboundCall"

// Search attributes by which runs are found in the Temporal UI, as they were at the flow's last decision or hold: an attempt
// that is dialed after it writes none of its own. None of them ever holds a number or a name.
var (
	AttributeCampaign   = temporal.NewSearchAttributeKeyKeyword("RedialCampaign")
	AttributeState      = temporal.NewSearchAttributeKeyKeyword("RedialState")
	AttributeOutcome    = temporal.NewSearchAttributeKeyKeyword("RedialOutcome")
	AttributeReason     = temporal.NewSearchAttributeKeyKeyword("RedialReason")
	AttributeAttempts   = temporal.NewSearchAttributeKeyInt64("RedialAttempts")
	AttributeNextAction = temporal.NewSearchAttributeKeyTime("RedialNextAction")
)

// SearchAttributes are all of them, for registration.
func SearchAttributes() []temporal.SearchAttributeKey {
	return []temporal.SearchAttributeKey{AttributeCampaign, AttributeState, AttributeOutcome, AttributeReason, AttributeAttempts, AttributeNextAction}
}

// State is where a flow stands, in its search attribute and in its status.
type State string

const (
	StateCalling    State = "calling"    // an attempt is dialed or under way
	StateHeld       State = "held"       // an attempt waits for leave to dial
	StateWaiting    State = "waiting"    // the next attempt is due later
	StatePaused     State = "paused"     // somebody has paused it
	StateEscalating State = "escalating" // people are being told
	StateDone       State = "done"       // the contact has its outcome
)

// MaxFurther is how many further numbers a contact may have.
const MaxFurther = 20

// Input is the input of a call flow: one contact, and how it is to be called.
type Input struct {
	ContactID string          `json:"contact_id"`
	Campaign  string          `json:"campaign,omitempty"`
	To        call.Target     `json:"to,omitzero"`       // may be left out where the flow names the target of each call
	Further   []call.Target   `json:"further,omitempty"` // the contact's further numbers, which next_number goes through; at most MaxFurther
	Caller    string          `json:"caller,omitempty"`  // empty: the deployment's
	Trunk     string          `json:"trunk,omitempty"`   // empty: the deployment's
	Metadata  map[string]any  `json:"metadata,omitempty"`
	Policy    followup.Policy `json:"policy"`
	// Follows is a policy that the ledger keeps under this name: its newest version holds in place of Policy, now and when it changes. Where
	// the ledger has none of the name, Policy holds. Empty: Policy holds until the run is given another.
	Follows string `json:"follows,omitempty"`
	// FollowsVersion is the version of that policy which Policy is; 0: it is not known to be one, and the ledger's is taken up before the first dial.
	FollowsVersion int `json:"follows_version,omitempty"`
	// Subject is what the calls are about, such as a debt: limits by subject count over all its contacts. Empty: the contact.
	Subject string `json:"subject,omitempty"`
	// Consent is the recipient's consent to be called; nil: none is known. Some presets demand one.
	Consent *followup.Consent `json:"consent,omitempty"`
	Data    json.RawMessage   `json:"data,omitempty"` // the flow's own input, as Definition.Parse returns it
	Earlier *Earlier          `json:"earlier,omitempty"`
}

// Status is the answer to the status query.
type Status struct {
	State    State          `json:"state"`
	Wait     *followup.Hold `json:"wait,omitempty"`   // what the flow waits for
	Paused   string         `json:"paused,omitempty"` // by whom and why; it may be said while a call goes on, which nothing follows then
	Ending   string         `json:"ending,omitempty"` // who has asked it to end, how and why, while a call goes on to its end
	Attempts []call.Attempt `json:"attempts"`
	Outcome  call.Outcome   `json:"outcome,omitempty"`
	Reason   string         `json:"reason,omitempty"`
}

const noCampaign = "-"

// WorkflowID is the workflow id of a contact: redial/<campaign or ->/<contact id>.
func WorkflowID(campaign, contactID string) string {
	if campaign == "" {
		campaign = noCampaign
	}
	return fmt.Sprintf("redial/%s/%s", campaign, contactID)
}

// ParseWorkflowID is the inverse of WorkflowID.
func ParseWorkflowID(id string) (campaign, contactID string, ok bool) {
	rest, found := strings.CutPrefix(id, "redial/")
	campaign, contactID, split := strings.Cut(rest, "/")
	if !found || !split || campaign == "" || contactID == "" {
		return "", "", false
	}
	if campaign == noCampaign {
		campaign = ""
	}
	return campaign, contactID, true
}
