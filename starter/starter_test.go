package starter_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/mocks"

	"redial/call"
	"redial/followup"
	"redial/starter"
	"redial/workflows"
)

// temporal is a client that starts what it is asked to, and shows it.
type temporal struct {
	*mocks.Client
	options client.StartWorkflowOptions
	flow    any
	input   workflows.Input
	starts  int
	err     error
}

func newTemporal(t *testing.T) *temporal {
	return &temporal{Client: mocks.NewClient(t)}
}

func (c *temporal) ExecuteWorkflow(_ context.Context, o client.StartWorkflowOptions, flow any, args ...any) (client.WorkflowRun, error) {
	c.starts++
	c.options, c.flow, c.input = o, flow, args[0].(workflows.Input)
	if c.err != nil {
		return nil, c.err
	}
	run := &mocks.WorkflowRun{}
	run.On("GetRunID").Return("run")
	return run, nil
}

var ctx = context.Background()

func TestACallIsStartedOnceAndNeverRepeatedByTemporal(t *testing.T) {
	c := newTemporal(t)
	started, err := starter.Starter{Client: c}.Call(ctx, workflows.NameOutboundCall, workflows.Input{ContactID: "order-1", Campaign: "spring"})
	require.NoError(t, err)
	require.Equal(t, starter.Call{WorkflowID: "redial/spring/order-1", RunID: "run", ContactID: "order-1"}, started)
	require.Equal(t, "redial/spring/order-1", c.options.ID)
	require.Equal(t, workflows.TaskQueue, c.options.TaskQueue)
	require.Equal(t, enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE, c.options.WorkflowIDReusePolicy)
	require.True(t, c.options.WorkflowExecutionErrorWhenAlreadyStarted)
	require.Nil(t, c.options.RetryPolicy, "a retry policy would repeat the keys of attempts")
	require.Empty(t, c.options.CronSchedule)
	campaign, ok := c.options.TypedSearchAttributes.GetKeyword(workflows.AttributeCampaign)
	require.True(t, ok)
	require.Equal(t, "spring", campaign)
	require.Equal(t, workflows.NameOutboundCall, c.flow)
}

func TestWithoutAnIDAContactGetsOneOfItsOwn(t *testing.T) {
	c := newTemporal(t)
	one, err := starter.Starter{Client: c}.Call(ctx, "F", workflows.Input{})
	require.NoError(t, err)
	other, err := starter.Starter{Client: c}.Call(ctx, "F", workflows.Input{})
	require.NoError(t, err)
	require.NotEqual(t, one.ContactID, other.ContactID)
	require.Equal(t, "redial/-/"+other.ContactID, other.WorkflowID)
	require.Equal(t, other.ContactID, c.input.ContactID)
}

func TestTheSameIDTwiceIsRefused(t *testing.T) {
	c := newTemporal(t)
	c.err = serviceerror.NewWorkflowExecutionAlreadyStarted("again", "request", "run")
	_, err := starter.Starter{Client: c}.Call(ctx, "F", workflows.Input{ContactID: "a"})
	require.ErrorIs(t, err, starter.ErrDuplicateID)
	require.ErrorContains(t, err, "nothing was started")

	c.err = errors.New("unreachable")
	_, err = starter.Starter{Client: c}.Call(ctx, "F", workflows.Input{ContactID: "a"})
	require.NotErrorIs(t, err, starter.ErrDuplicateID)
	require.ErrorContains(t, err, "redial/-/a")
}

func TestIDsAndNamesThatBreakAnIDAreRefusedBeforeAnythingStarts(t *testing.T) {
	for _, in := range []workflows.Input{
		{ContactID: "a/b"}, {ContactID: " a"}, {ContactID: "a\n"}, {ContactID: "ä"}, {ContactID: "-a"}, {ContactID: "a\"b"},
		{ContactID: strings.Repeat("a", 121)}, {ContactID: "a", Campaign: "-"}, {ContactID: "a", Campaign: "a/b"}, {ContactID: "a", Campaign: "a b"},
		{ContactID: "a", Campaign: strings.Repeat("a", 49)},
	} {
		c := newTemporal(t)
		_, err := starter.Starter{Client: c, IDKey: []byte("k")}.Call(ctx, "F", in)
		require.Error(t, err, "%+v", in)
		require.Zero(t, c.starts)
	}
	for _, id := range []string{"a", "7-of-9", "order_12.b:3@x", strings.Repeat("a", 120)} {
		_, err := starter.Starter{Client: newTemporal(t)}.Call(ctx, "F", workflows.Input{ContactID: id})
		require.NoError(t, err, id)
	}
}

func TestANumberThatIsNamedTwiceIsRefused(t *testing.T) {
	a, b := call.Target{URI: "tel:+12025550101"}, call.Target{URI: "tel:+12025550102"}
	for _, further := range [][]call.Target{{a}, {b, a}, {b, b}} {
		c := newTemporal(t)
		_, err := starter.Starter{Client: c}.Call(ctx, "F", workflows.Input{To: a, Further: further})
		var wrong *starter.InputError
		require.ErrorAs(t, err, &wrong)
		require.Equal(t, "to", wrong.Field)
		require.Contains(t, wrong.Problem, "is named twice")
		require.NotContains(t, wrong.Problem, "2025550")
		require.Zero(t, c.starts)
	}
	_, err := starter.Starter{Client: newTemporal(t)}.Call(ctx, "F", workflows.Input{To: a, Further: []call.Target{b}})
	require.NoError(t, err)
}

func TestWhatAPolicyLeavesOpenStandsInTheRunsInput(t *testing.T) {
	c := newTemporal(t)
	_, err := starter.Starter{Client: c}.Call(ctx, "F", workflows.Input{})
	require.NoError(t, err)
	require.Equal(t, followup.Policy{}.WithDefaults(), c.input.Policy, "also its jitter, which a run without one does not have")
}

// No phone number stands in a workflow id.
func TestAnIDThatReadsAsANumberIsHashedUnderAKey(t *testing.T) {
	call := func(id, key string) (starter.Call, *temporal, error) {
		c := newTemporal(t)
		started, err := starter.Starter{Client: c, IDKey: []byte(key)}.Call(ctx, "F", workflows.Input{ContactID: id})
		return started, c, err
	}
	for _, id := range []string{"+14155550100", "tel:+1-415-555-0100", "(415) 555-0100", "4155550100", "order/+14155550100", "0049-30-1234567"} {
		started, c, err := call(id, "key")
		require.NoError(t, err, id)
		require.Regexp(t, "^redial/-/h-[0-9a-f]{32}$", started.WorkflowID, id)
		require.Equal(t, started.ContactID, c.input.ContactID, "nor in its input's id")
		again, _, err := call(id, "key")
		require.NoError(t, err)
		require.Equal(t, started, again, "the same contact is refused the second time")
		other, _, err := call(id, "another key")
		require.NoError(t, err)
		require.NotEqual(t, started.ContactID, other.ContactID)

		_, c, err = call(id, "")
		require.Error(t, err, "without a key nothing is hidden: there are too few numbers")
		require.NotContains(t, err.Error(), id)
		require.Zero(t, c.starts)
	}
}

func TestResultWaitsForTheRun(t *testing.T) {
	c := mocks.NewClient(t)
	run := &mocks.WorkflowRun{}
	c.On("GetWorkflow", mock.Anything, "w", "r").Return(run)
	run.On("Get", mock.Anything, mock.Anything).Run(func(args mock.Arguments) {
		args.Get(1).(*call.Result).Outcome = "human"
	}).Return(nil).Once()
	r, err := starter.Starter{Client: c}.Result(ctx, starter.Call{WorkflowID: "w", RunID: "r"})
	require.NoError(t, err)
	require.EqualValues(t, "human", r.Outcome)
	run.On("Get", mock.Anything, mock.Anything).Return(errors.New("terminated"))
	_, err = starter.Starter{Client: c}.Result(ctx, starter.Call{WorkflowID: "w", RunID: "r"})
	require.ErrorContains(t, err, "workflow w: terminated")
}
