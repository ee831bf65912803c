// Package starter starts call flows from Go, and steers them.
package starter

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"redial/call"
	"redial/phone"
	"redial/workflows"
)

// contactID is what an id may look like: it is part of a workflow id, of attempt keys and of notify URLs.
var contactID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:@+ ()-]{0,119}$`)

// campaignName is what a campaign may be called.
var campaignName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,47}$`)

// Starter starts call flows, and steers them.
type Starter struct {
	Client client.Client
	// IDKey is the secret under which contact ids that read as phone numbers are hashed, so that no number stands in a
	// workflow id. Whoever starts calls for the same contacts needs the same key.
	IDKey []byte
}

// Call is a call flow that was started.
type Call struct {
	WorkflowID string `json:"workflow_id"`
	RunID      string `json:"run_id"`
	ContactID  string `json:"contact_id"`
}

// ErrDuplicateID says that the contact id has a run already, under way or over. Nothing was started.
var ErrDuplicateID = errors.New("duplicate_id")

// InputError is an input with which no call can be started, in one line.
type InputError struct{ Field, Problem string }

func (e *InputError) Error() string { return e.Field + ": " + e.Problem }

// check validates an input, gives the contact an id where it has none, and hides one that is a number.
func (s Starter) check(in *workflows.Input) error {
	if in.ContactID == "" {
		in.ContactID = uuid.NewString() // not looked at for numbers: some random ids read like one
	} else {
		id, err := s.ContactID(in.ContactID)
		if err != nil {
			return err
		}
		in.ContactID = id
	}
	if in.Campaign != "" && !campaignName.MatchString(in.Campaign) {
		return &InputError{"campaign", fmt.Sprintf("%q: use 1 to 48 letters, digits and . _ -, starting with a letter or digit", in.Campaign)}
	}
	if err := in.Policy.Validate(); err != nil {
		return &InputError{"policy", err.Error()}
	}
	in.Policy = in.Policy.WithDefaults() // what a run was started with stands in its history
	return checkRules(in)
}

// ContactID is a contact's id as its runs and the ledger have it: one that reads as a phone number is replaced by its keyed hash. Errors
// are an *InputError.
func (s Starter) ContactID(id string) (string, error) {
	if err := s.hideNumber(&id); err != nil {
		return "", err
	}
	if !contactID.MatchString(id) {
		return "", &InputError{"contact id", fmt.Sprintf("%q: use 1 to 120 letters, digits and . _ : @ + - ( ), starting with a letter or digit", id)}
	}
	return id, nil
}

// maxSubject is the longest subject, in bytes.
const maxSubject = 120

// checkRules refuses what the policy's rules would refuse at each dial.
func checkRules(in *workflows.Input) error {
	if len(in.Subject) > maxSubject {
		return &InputError{"subject", fmt.Sprintf("%d bytes are too long: write at most %d", len(in.Subject), maxSubject)}
	}
	if len(in.Further) > workflows.MaxFurther {
		return &InputError{"to", fmt.Sprintf("%d further numbers are too many: name at most %d", len(in.Further), workflows.MaxFurther)}
	}
	targets := append([]call.Target{in.To}, in.Further...)
	for i, t := range targets {
		if slices.ContainsFunc(targets[:i], func(have call.Target) bool { return have.URI == t.URI }) {
			return &InputError{"to", fmt.Sprintf("%s is named twice: name each number once", t)}
		}
	}
	if err := in.Policy.Check(targets, in.Consent); err != nil {
		field, problem, _ := strings.Cut(err.Error(), ": ")
		return &InputError{field, problem}
	}
	return nil
}

// Call starts the named flow for one contact. An empty contact id gets a random one. The same contact id in the same
// campaign is refused for as long as Temporal remembers its run, and by the ledger after that.
func (s Starter) Call(ctx context.Context, flow string, in workflows.Input) (Call, error) {
	if err := s.check(&in); err != nil {
		return Call{}, err
	}
	id := workflows.WorkflowID(in.Campaign, in.ContactID)
	attributes := []temporal.SearchAttributeUpdate{workflows.AttributeState.ValueSet(string(workflows.StateCalling)), workflows.AttributeAttempts.ValueSet(0)}
	if in.Campaign != "" {
		attributes = append(attributes, workflows.AttributeCampaign.ValueSet(in.Campaign))
	}
	run, err := s.Client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID:                                       id,
		TaskQueue:                                workflows.TaskQueue,
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		TypedSearchAttributes:                    temporal.NewSearchAttributes(attributes...),
		StaticSummary:                            "policy " + in.Policy.Name,
	}, flow, in)
	var started *serviceerror.WorkflowExecutionAlreadyStarted
	switch {
	case errors.As(err, &started):
		return Call{}, fmt.Errorf("%w: contact %s has been called already, see workflow %s; nothing was started", ErrDuplicateID, in.ContactID, id)
	case err != nil:
		return Call{}, fmt.Errorf("start workflow %s: %w", id, err)
	}
	return Call{WorkflowID: id, RunID: run.GetRunID(), ContactID: in.ContactID}, nil
}

// Result waits for a call's result.
func (s Starter) Result(ctx context.Context, c Call) (call.Result, error) {
	var r call.Result
	if err := s.Client.GetWorkflow(ctx, c.WorkflowID, c.RunID).Get(ctx, &r); err != nil {
		return r, fmt.Errorf("wait for workflow %s: %w", c.WorkflowID, err)
	}
	return r, nil
}

// hideNumber replaces an id that reads as a phone number by its keyed hash. A hash without a key would hide nothing:
// there are too few numbers.
func (s Starter) hideNumber(id *string) error {
	if !phone.LooksLikeNumber(*id) {
		return nil
	}
	if len(s.IDKey) == 0 {
		return &InputError{"contact id", call.Mask(*id) + " reads as a phone number and there is no key to hide it: set REDIAL_ID_SECRET, or use another id"}
	}
	mac := hmac.New(sha256.New, s.IDKey)
	mac.Write([]byte(*id))
	*id = "h-" + hex.EncodeToString(mac.Sum(nil))[:32]
	return nil
}
