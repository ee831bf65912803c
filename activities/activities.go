// Package activities holds what call flows do in the world: they dial, write down what was decided, and tell people.
// Each activity is thin, over interfaces that this package declares, so that no database driver and no HTTP client
// comes with it.
package activities

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"redial/call"
	"redial/followup"
)

// Names under which the activities are registered. They are part of every recorded history and must not change.
const (
	NameDialout  = "Dialout"
	NameConclude = "Conclude"
	NameGiveUp   = "GiveUp"
	NameFinish   = "Finish"
	NameEscalate = "Escalate"
	NameHold     = "Hold"
	NameOptOut   = "OptOut"
	NameRecheck  = "Recheck"
	NameLook     = "Look"
	NameNote     = "Note"
	NameReplan   = "Replan"

	NameChangePolicy = "ChangePolicy"
)

// Light are the activities that only write to the ledger and read it, all but Dialout, by their names.
func (a *Activities) Light() map[string]any {
	return map[string]any{NameConclude: a.Conclude, NameGiveUp: a.GiveUp, NameFinish: a.Finish, NameEscalate: a.Escalate, NameHold: a.Hold, NameOptOut: a.OptOut,
		NameRecheck: a.Recheck, NameLook: a.Look, NameNote: a.Note, NameReplan: a.Replan, NameChangePolicy: a.ChangePolicy}
}

// DialoutTimeout is how long one execution of Dialout may take: its request leaves within followup.SendWithin, and the
// gateway then has ResponseTimeout; what remains is for the ledger.
const DialoutTimeout = 35 * time.Second

// ResponseTimeout is how long the gateway may take to answer a dial request.
const ResponseTimeout = 20 * time.Second

// shortHold is the longest wait that the server retries without a trace in the flow's history.
const shortHold = 6 * time.Second

// Ledger is what the activities ask of the ledger. All of it is safe to repeat.
type Ledger interface {
	Clear(context.Context, followup.ClearanceRequest) (followup.Clearance, error)
	Answer(ctx context.Context, key, owner string, d call.DialAnswer) (call.Attempt, error)
	Restore(ctx context.Context, r followup.ClearanceRequest, dialed call.Attempt, d call.DialAnswer) (call.Attempt, error)
	GiveUp(ctx context.Context, key, why string) (call.Attempt, error)
	Conclude(ctx context.Context, workflowID, key string, p followup.Policy, numbers ...call.Target) (followup.Decision, error)
	Finish(ctx context.Context, workflowID string, outcome call.Outcome, reason string) (call.Outcome, error)
	Escalate(ctx context.Context, e followup.Escalated, url string) error
	Wait(ctx context.Context, c followup.Claim, h followup.Hold) error
	Note(ctx context.Context, workflowID string, notes []followup.Note) error
	OptOut(ctx context.Context, c followup.Claim, by, reason string) error
	Recheck(ctx context.Context, c followup.Claim) (*followup.Refusal, error)
	Open(ctx context.Context, c followup.Claim) error
	Look(ctx context.Context, key string) (*call.Attempt, error)
	Replan(ctx context.Context, workflowID, key string, p followup.Policy, numbers ...call.Target) (followup.Plan, error)
	ChangePolicy(ctx context.Context, c followup.Claim, given followup.Policy, check func(followup.Policy) error) (followup.Plan, error)
}

// Gateway places one call. It sends at most one request that could ring a phone, before sendBy or never.
type Gateway interface {
	Dial(ctx context.Context, r call.DialRequest, notifyURL string, sendBy time.Time) call.DialAnswer
}

// NotifyURLs makes the URLs at which the gateway reports on one attempt, and at which its bot hands in its result.
type NotifyURLs interface {
	NotifyURL(attemptKey string, expires time.Time) (string, error)
	ResultURL(attemptKey string, expires time.Time) (string, error)
}

// MetadataResultURL is the key of the metadata under which the bot finds the URL at which it hands in its result, unless the
// caller's own metadata has this key.
const MetadataResultURL = "redial_result_url"

// resultGrace is how much longer than the gateway a bot may report without being late: what follows a call may take a while.
const resultGrace = 24 * time.Hour

// Activities are the activities with what they need.
type Activities struct {
	Ledger     Ledger
	Gateway    Gateway
	NotifyURLs NotifyURLs
	// Caller and Trunk are taken by attempts that name none.
	Caller, Trunk string
}

// DialoutInput is one attempt of a contact. What the policy leaves open is filled in when the attempt is dialed.
type DialoutInput struct {
	N          int               `json:"n"` // counted from 1 over the contact's life
	FirstRunID string            `json:"first_run_id"`
	ContactID  string            `json:"contact_id"`
	Campaign   string            `json:"campaign,omitempty"`
	To         call.Target       `json:"to"`
	Caller     string            `json:"caller,omitempty"` // empty: the deployment's
	Trunk      string            `json:"trunk,omitempty"`  // empty: the deployment's
	Metadata   map[string]any    `json:"metadata,omitempty"`
	Dial       followup.Dial     `json:"dial,omitzero"`
	Lifetime   followup.Duration `json:"lifetime,omitempty"`
	Rules      followup.Rules    `json:"rules,omitzero"`
	Subject    string            `json:"subject,omitempty"`  // what the call is about; empty: the contact
	Consent    *followup.Consent `json:"consent,omitempty"`  // the recipient's; nil: none is known
	MidCall    bool              `json:"mid_call,omitempty"` // signal while the call is under way, too
	// Others is whether the contact has other targets, so that a refusal of this one does not end it.
	Others bool `json:"others,omitempty"`
	// First is the number of the first attempt that is dialed at the same time; 0: this one is dialed alone.
	First int `json:"first,omitempty"`
	// Promised is whether the call was promised for this time: it goes ahead of all others that wait.
	Promised bool `json:"promised,omitempty"`
	// Follows is the policy of the ledger by which the contact goes; its rules are looked at in place of Rules and Lifetime.
	Follows        string          `json:"follows,omitempty"`
	FollowsVersion int             `json:"follows_version,omitempty"` // by which the input was made
	Notes          []followup.Note `json:"notes,omitempty"`
}

func (a *Activities) request(in DialoutInput, info activity.Info) followup.ClearanceRequest {
	caller, trunk := cmp.Or(in.Caller, a.Caller), cmp.Or(in.Trunk, a.Trunk)
	p := followup.Policy{Dial: in.Dial, Lifetime: in.Lifetime}.WithDefaults()
	workflowID := info.WorkflowExecution.ID
	return followup.ClearanceRequest{
		Key: call.AttemptKey(workflowID, in.FirstRunID, in.N), N: in.N,
		WorkflowID: workflowID, FirstRunID: in.FirstRunID, ContactID: in.ContactID, Campaign: in.Campaign,
		Request:  p.Dial.Request(in.To, caller, trunk, in.Metadata),
		HearFor:  p.Dial.HearFor(),
		Lifetime: time.Duration(p.Lifetime),
		Rules:    in.Rules,
		Subject:  in.Subject,
		Consent:  in.Consent,
		MidCall:  in.MidCall,
		Others:   in.Others,
		First:    in.First,
		Promised: in.Promised,
		Follows:  in.Follows,

		FollowsVersion: in.FollowsVersion,

		Owner: fmt.Sprintf("%s/%s/%d", info.WorkflowExecution.RunID, info.ActivityID, info.Attempt),
	}
}

// DialoutResult is what came of Dialout: exactly one of its fields is set.
type DialoutResult struct {
	Attempt *call.Attempt     `json:"attempt,omitempty"` // dialed now or earlier, or not placed for good
	Held    *followup.Hold    `json:"held,omitempty"`    // not dialed yet: wait, then ask again
	Refused *followup.Refusal `json:"refused,omitempty"` // never dialed
	Open    bool              `json:"open,omitempty"`    // refused for its target alone: the contact has no outcome yet
}

// Dialout places the attempt's call, at most once whatever happens: the ledger records the intent under the attempt's
// key before the request leaves, and an attempt that is recorded is never sent again unless it was provably no call.
// Short waits are errors that the server retries; longer ones are returned, and the flow sleeps.
func (a *Activities) Dialout(ctx context.Context, in DialoutInput) (DialoutResult, error) {
	r := a.request(in, activity.GetInfo(ctx))
	if err := a.note(ctx, r.WorkflowID, in.Notes); err != nil {
		return DialoutResult{}, err
	}
	for {
		c, err := a.Ledger.Clear(ctx, r)
		switch {
		case err != nil:
			return DialoutResult{}, err
		case c.Refused != nil:
			return DialoutResult{Refused: c.Refused, Open: c.Open}, nil
		case c.Held != nil:
			return a.held(*c.Held)
		case c.Recorded:
			return DialoutResult{Attempt: &c.Attempt}, nil
		}
		attempt, err := a.dial(ctx, r, c)
		if err != nil {
			return DialoutResult{}, err
		}
		if attempt.State != call.StateNotPlaced {
			return DialoutResult{Attempt: &attempt}, nil
		}
		// No phone rang: clearance knows whether and when this attempt may be sent again.
	}
}

// dial sends the cleared request and records its answer. From here on nothing is cut short by the flow or by a worker
// that stops: half a dial is an unknown one.
func (a *Activities) dial(ctx context.Context, r followup.ClearanceRequest, c followup.Clearance) (call.Attempt, error) {
	ctx = context.WithoutCancel(ctx)
	var answer call.DialAnswer
	expires := c.SendBy.Add(r.HearFor)
	url, err := a.NotifyURLs.NotifyURL(r.Key, expires)
	request := r.Request
	if err == nil {
		request, err = a.withResultURL(request, r.Key, expires.Add(resultGrace))
	}
	if err != nil {
		answer = call.DialAnswer{Class: call.AnswerRefused, Message: "no notify URL: " + err.Error()}
	} else {
		answer = a.Gateway.Dial(ctx, request, url, c.SendBy)
	}
	activity.GetLogger(ctx).Info("dialed", "attempt", r.Key, "answer", answer.Class, "http_status", answer.HTTPStatus, "message", answer.Message)
	return a.record(ctx, r, c.Attempt, answer)
}

// withResultURL tells the bot where to hand in its result. The URL is a credential: it is in the request that leaves, and in
// nothing that is kept of it.
func (a *Activities) withResultURL(r call.DialRequest, key string, expires time.Time) (call.DialRequest, error) {
	if _, own := r.Metadata[MetadataResultURL]; own {
		return r, nil
	}
	url, err := a.NotifyURLs.ResultURL(key, expires)
	if err != nil {
		return r, err
	}
	metadata := make(map[string]any, len(r.Metadata)+1)
	maps.Copy(metadata, r.Metadata)
	metadata[MetadataResultURL] = url
	r.Metadata = metadata
	return r, nil
}

// record writes the answer down, and insists for as long as this execution may last: an answer that is lost makes the
// attempt unknown.
func (a *Activities) record(ctx context.Context, r followup.ClearanceRequest, dialed call.Attempt, answer call.DialAnswer) (call.Attempt, error) {
	const tries, pause = 4, time.Second
	for n := 1; ; n++ {
		attempt, err := a.Ledger.Answer(ctx, r.Key, r.Owner, answer)
		if errors.Is(err, followup.ErrLost) {
			attempt, err = a.Ledger.Restore(ctx, r, dialed, answer)
		}
		if err == nil || n == tries {
			return attempt, err
		}
		activity.GetLogger(ctx).Warn("the answer could not be recorded", "attempt", r.Key, "error", err)
		time.Sleep(pause)
	}
}

func (a *Activities) held(h followup.Hold) (DialoutResult, error) {
	wait := time.Until(h.Until)
	if wait <= shortHold && !h.Queued {
		return DialoutResult{}, temporal.NewApplicationErrorWithOptions(
			fmt.Sprintf("held until %s: %s", h.Until.Format(time.RFC3339), h.Reason), "Held",
			temporal.ApplicationErrorOptions{NextRetryDelay: max(wait, time.Second), Category: temporal.ApplicationErrorCategoryBenign})
	}
	if wait < time.Second { // clocks differ, and a flow that does not sleep asks without end
		h.Until = time.Now().Add(time.Second)
	}
	return DialoutResult{Held: &h}, nil
}

// ConcludeInput names an attempt and the policy that decides on it.
type ConcludeInput struct {
	WorkflowID string          `json:"workflow_id"`
	Key        string          `json:"key"`
	Policy     followup.Policy `json:"policy"`
	Numbers    []call.Target   `json:"numbers,omitempty"` // among which next_number chooses
	Notes      []followup.Note `json:"notes,omitempty"`
}

// Conclude decides what follows an attempt. The decision is recorded: asking again gives the same.
func (a *Activities) Conclude(ctx context.Context, in ConcludeInput) (followup.Decision, error) {
	if err := a.note(ctx, in.WorkflowID, in.Notes); err != nil {
		return followup.Decision{}, err
	}
	return a.Ledger.Conclude(ctx, in.WorkflowID, in.Key, in.Policy, in.Numbers...)
}

// GiveUp stops listening for an attempt's end and returns what is known of it.
func (a *Activities) GiveUp(ctx context.Context, key string) (call.Attempt, error) {
	return a.Ledger.GiveUp(ctx, key, "no notification of the call's end arrived in time")
}

// FinishInput is an outcome that no attempt decided.
type FinishInput struct {
	WorkflowID string          `json:"workflow_id"`
	Outcome    call.Outcome    `json:"outcome"`
	Reason     string          `json:"reason"`
	Notes      []followup.Note `json:"notes,omitempty"`
	Claim      *followup.Claim `json:"claim,omitempty"` // of a contact that the ledger may not know; nil: it does
}

// Finish closes a contact and returns the outcome that stands: the first one.
func (a *Activities) Finish(ctx context.Context, in FinishInput) (call.Outcome, error) {
	if err := a.open(ctx, in.Claim); err != nil {
		return "", err
	}
	if err := a.note(ctx, in.WorkflowID, in.Notes); err != nil {
		return "", err
	}
	return a.Ledger.Finish(ctx, in.WorkflowID, in.Outcome, in.Reason)
}

// EscalateInput is what people are told, and where; without a URL it goes to the ledger's inbox.
type EscalateInput struct {
	Contact followup.Escalated `json:"contact"`
	Webhook string             `json:"webhook,omitempty"`
	Notes   []followup.Note    `json:"notes,omitempty"`
	Claim   *followup.Claim    `json:"claim,omitempty"` // as of FinishInput
}

// Escalate writes the escalation down; the relay delivers it, signed, until it is taken.
func (a *Activities) Escalate(ctx context.Context, in EscalateInput) error {
	if err := a.open(ctx, in.Claim); err != nil {
		return err
	}
	if err := a.note(ctx, in.Contact.WorkflowID, in.Notes); err != nil {
		return err
	}
	return a.Ledger.Escalate(ctx, in.Contact, in.Webhook)
}

// HoldInput is a wait that a flow has chosen itself.
type HoldInput struct {
	Claim followup.Claim  `json:"claim"`
	Hold  followup.Hold   `json:"hold"`
	Notes []followup.Note `json:"notes,omitempty"`
}

// Hold writes down what the contact waits for. A contact that waits before its first attempt becomes known with it.
func (a *Activities) Hold(ctx context.Context, in HoldInput) error {
	if err := a.Ledger.Wait(ctx, in.Claim, in.Hold); err != nil {
		return err
	}
	return a.note(ctx, in.Claim.WorkflowID, in.Notes)
}

// OptOutInput is a recipient who does not want to be called.
type OptOutInput struct {
	Claim  followup.Claim `json:"claim"`
	By     string         `json:"by"`
	Reason string         `json:"reason,omitempty"`
}

// OptOut suppresses the number and the contact. It ends nothing: what is in the air is heard out.
func (a *Activities) OptOut(ctx context.Context, in OptOutInput) error {
	return a.Ledger.OptOut(ctx, in.Claim, in.By, in.Reason)
}

// RecheckInput is a contact that waits, with the number that ends it when it must not be called; empty: none does.
type RecheckInput struct {
	Claim followup.Claim  `json:"claim"`
	Notes []followup.Note `json:"notes,omitempty"`
}

// Recheck tells why a contact that waits must not be called any more, and ends it then; nil: it goes on.
func (a *Activities) Recheck(ctx context.Context, in RecheckInput) (*followup.Refusal, error) {
	if err := a.note(ctx, in.Claim.WorkflowID, in.Notes); err != nil {
		return nil, err
	}
	return a.Ledger.Recheck(ctx, in.Claim)
}

// ReplanInput is a contact whose policy has changed.
type ReplanInput struct {
	WorkflowID string          `json:"workflow_id"`
	Key        string          `json:"key,omitempty"` // of the attempt after which it waits for a retry; empty: it waits for something else
	Policy     followup.Policy `json:"policy"`        // the run's own
	Numbers    []call.Target   `json:"numbers,omitempty"`
	Notes      []followup.Note `json:"notes,omitempty"`
}

// Replan decides anew on an attempt, under a policy that has changed.
func (a *Activities) Replan(ctx context.Context, in ReplanInput) (followup.Plan, error) {
	if err := a.note(ctx, in.WorkflowID, in.Notes); err != nil {
		return followup.Plan{}, err
	}
	return a.Ledger.Replan(ctx, in.WorkflowID, in.Key, in.Policy, in.Numbers...)
}

// ChangePolicyInput is another policy for one contact: one of the ledger, which the claim names, or else the one that is given.
type ChangePolicyInput struct {
	Claim   followup.Claim    `json:"claim"`
	Policy  json.RawMessage   `json:"policy,omitempty"`  // as in a file
	Targets []call.Target     `json:"targets,omitempty"` // the contact's numbers
	Consent *followup.Consent `json:"consent,omitempty"`
	Notes   []followup.Note   `json:"notes,omitempty"` // who has asked for it, and why; written down when it is done
}

// ChangePolicyResult is the policy by which the contact goes now, or why it cannot.
type ChangePolicyResult struct {
	followup.Plan
	Refused string `json:"refused,omitempty"`
}

// unfit is a policy that cannot hold for a contact.
type unfit struct{ error }

// ChangePolicy checks another policy for a contact and writes it down. It changes nothing where that is refused.
func (a *Activities) ChangePolicy(ctx context.Context, in ChangePolicyInput) (ChangePolicyResult, error) {
	var given followup.Policy
	if in.Claim.Follows == "" {
		var err error
		if given, err = parsePolicy(in.Policy); err != nil {
			return ChangePolicyResult{Refused: "policy: " + err.Error()}, nil
		}
	}
	plan, err := a.Ledger.ChangePolicy(ctx, in.Claim, given.WithDefaults(), func(p followup.Policy) error {
		if err := p.Check(in.Targets, in.Consent); err != nil {
			return unfit{fmt.Errorf("policy: %w", err)}
		}
		return nil
	})
	var unknown *followup.UnknownPolicyError
	var bad unfit
	switch {
	case errors.As(err, &unknown):
		return ChangePolicyResult{Refused: unknown.Error()}, nil
	case errors.As(err, &bad):
		return ChangePolicyResult{Refused: bad.Error()}, nil
	case err == nil:
		err = a.note(ctx, in.Claim.WorkflowID, in.Notes)
	}
	return ChangePolicyResult{Plan: plan}, err
}

// parsePolicy reads a policy that somebody has written by hand in Temporal's UI, perhaps. One that says nothing is a slip: all rules would
// be off.
func parsePolicy(document json.RawMessage) (followup.Policy, error) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(document, &keys); err == nil && len(keys) == 0 {
		return followup.Policy{}, errors.New("it says nothing: write what holds, as in a policy's file")
	}
	return followup.Parse(document)
}

// Look returns an attempt as the ledger has it; nil: it was never cleared.
func (a *Activities) Look(ctx context.Context, key string) (*call.Attempt, error) {
	return a.Ledger.Look(ctx, key)
}

// open makes a contact known to the ledger; one that is known stays as it is.
func (a *Activities) open(ctx context.Context, c *followup.Claim) error {
	if c == nil {
		return nil
	}
	return a.Ledger.Open(ctx, *c)
}

// NoteInput is what a flow wants to be known now, and not only with what comes next.
type NoteInput struct {
	WorkflowID string          `json:"workflow_id"`
	Notes      []followup.Note `json:"notes"`
}

// Note writes notes down, and changes nothing else.
func (a *Activities) Note(ctx context.Context, in NoteInput) error {
	return a.note(ctx, in.WorkflowID, in.Notes)
}

// note writes down what the flow wants to be known.
func (a *Activities) note(ctx context.Context, workflowID string, notes []followup.Note) error {
	if len(notes) == 0 {
		return nil
	}
	return a.Ledger.Note(ctx, workflowID, notes)
}
