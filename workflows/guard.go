package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/workflow"
)

// Interceptor is what a worker needs so that flows are continued in new runs. Without it they run, in one history. It gives the
// clock and the versions of the earlier runs to a flow that goes through them again, and notices what a flow does past its
// handle: such a flow is not continued, because it could not be gone through again.
type Interceptor struct {
	interceptor.WorkerInterceptorBase
	// Upgrade continues a flow that is pinned to a build when another one has become current, at the flow's next wait.
	// It must be the same for all workers of a build.
	Upgrade bool
}

// InterceptWorkflow implements interceptor.WorkerInterceptor.
func (i *Interceptor) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	in := &inbound{guard: &guard{upgrade: i.Upgrade}}
	in.Next = next
	return in
}

// guard watches over one run.
type guard struct {
	upgrade bool
	flow    *Flow
}

type guardKey struct{}

func guardOf(ctx workflow.Context) *guard {
	g, _ := ctx.Value(guardKey{}).(*guard)
	return g
}

// due tells whether the run is to be continued in a new one.
func (g *guard) due(info *workflow.Info) bool {
	return info.GetContinueAsNewSuggested() || g.upgrade && info.GetTargetWorkerDeploymentVersionChanged()
}

// next continues the run in a new one.
func (g *guard) next(ctx workflow.Context, flow string, in Input) error {
	var o workflow.ContinueAsNewErrorOptions
	if g.upgrade {
		o.InitialVersioningBehavior = workflow.ContinueAsNewVersioningBehaviorAutoUpgrade
	}
	return workflow.NewContinueAsNewErrorWithOptions(ctx, o, flow, in)
}

type inbound struct {
	interceptor.WorkflowInboundInterceptorBase
	guard *guard
}

func (in *inbound) Init(next interceptor.WorkflowOutboundInterceptor) error {
	out := &outbound{guard: in.guard}
	out.Next = next
	return in.Next.Init(out)
}

func (in *inbound) ExecuteWorkflow(ctx workflow.Context, input *interceptor.ExecuteWorkflowInput) (any, error) {
	return in.Next.ExecuteWorkflow(workflow.WithValue(ctx, guardKey{}, in.guard), input)
}

type outbound struct {
	interceptor.WorkflowOutboundInterceptorBase
	guard *guard
}

type handleKey struct{}

// inHandle marks what the handle does for the flow: the journal has it.
func inHandle(ctx workflow.Context) workflow.Context {
	return workflow.WithValue(ctx, handleKey{}, true)
}

// past notes what the flow itself does, and its handle does not.
func (o *outbound) past(ctx workflow.Context, what string) {
	if f := o.guard.flow; f != nil && ctx.Value(handleKey{}) == nil {
		f.journal.past(what)
	}
}

func (o *outbound) Now(ctx workflow.Context) time.Time {
	if f := o.guard.flow; f != nil && f.journal.replaying() {
		return f.journal.now
	}
	return o.Next.Now(ctx)
}

// GetVersion gives, for a change that an earlier run has met, what it was told; for one that it has passed by, the version
// before all changes, as in a replay.
func (o *outbound) GetVersion(ctx workflow.Context, id string, oldest, newest workflow.Version) workflow.Version {
	f := o.guard.flow
	if f == nil {
		return o.Next.GetVersion(ctx, id, oldest, newest)
	}
	j := &f.journal
	for _, v := range j.versions {
		if v.ID == id && v.Step <= len(j.steps) {
			if v.Version < oldest || v.Version > newest {
				panic(fmt.Sprintf("workflows: change %q has version %d in an earlier run, and this build knows versions %d to %d", id, v.Version, oldest, newest))
			}
			return v.Version
		}
	}
	v := workflow.DefaultVersion
	if !j.replaying() {
		v = o.Next.GetVersion(ctx, id, oldest, newest)
	}
	j.versions = append(j.versions, Version{ID: id, Version: v, Step: len(j.steps)})
	return v
}

func (o *outbound) Await(ctx workflow.Context, condition func() bool) error {
	o.past(ctx, "await something")
	return o.Next.Await(ctx, condition)
}

func (o *outbound) SetUpdateHandler(ctx workflow.Context, name string, handler any, options workflow.UpdateHandlerOptions) error {
	o.past(ctx, "listen for update "+name)
	return o.Next.SetUpdateHandler(ctx, name, handler, options)
}

func (o *outbound) GetSignalChannelWithOptions(ctx workflow.Context, name string, options workflow.SignalChannelOptions) workflow.ReceiveChannel {
	o.past(ctx, "listen for signal "+name)
	return o.Next.GetSignalChannelWithOptions(ctx, name, options)
}

func (o *outbound) SignalChildWorkflow(ctx workflow.Context, workflowID, name string, arg any) workflow.Future {
	o.past(ctx, "signal a child workflow")
	return o.Next.SignalChildWorkflow(ctx, workflowID, name, arg)
}

func (o *outbound) RequestCancelExternalWorkflow(ctx workflow.Context, workflowID, runID string) workflow.Future {
	o.past(ctx, "cancel another workflow")
	return o.Next.RequestCancelExternalWorkflow(ctx, workflowID, runID)
}

func (o *outbound) SideEffectWithOptions(ctx workflow.Context, options workflow.SideEffectOptions, do func(workflow.Context) any) converter.EncodedValue {
	o.past(ctx, "have a side effect")
	return o.Next.SideEffectWithOptions(ctx, options, do)
}

func (o *outbound) MutableSideEffectWithOptions(ctx workflow.Context, id string, options workflow.MutableSideEffectOptions, do func(workflow.Context) any,
	equal func(a, b any) bool) converter.EncodedValue {
	o.past(ctx, "have a side effect")
	return o.Next.MutableSideEffectWithOptions(ctx, id, options, do, equal)
}

func (o *outbound) Go(ctx workflow.Context, name string, do func(workflow.Context)) workflow.Context {
	o.past(ctx, "start a coroutine")
	return o.Next.Go(ctx, name, do)
}

func (o *outbound) ExecuteActivity(ctx workflow.Context, activity string, args ...any) workflow.Future {
	o.past(ctx, "run activity "+activity)
	return o.Next.ExecuteActivity(ctx, activity, args...)
}

func (o *outbound) ExecuteLocalActivity(ctx workflow.Context, activity string, args ...any) workflow.Future {
	o.past(ctx, "run local activity "+activity)
	return o.Next.ExecuteLocalActivity(ctx, activity, args...)
}

func (o *outbound) ExecuteChildWorkflow(ctx workflow.Context, child string, args ...any) workflow.ChildWorkflowFuture {
	o.past(ctx, "run child workflow "+child)
	return o.Next.ExecuteChildWorkflow(ctx, child, args...)
}

func (o *outbound) ExecuteNexusOperation(ctx workflow.Context, in interceptor.ExecuteNexusOperationInput) workflow.NexusOperationFuture {
	o.past(ctx, "run a Nexus operation")
	return o.Next.ExecuteNexusOperation(ctx, in)
}

func (o *outbound) NewTimerWithOptions(ctx workflow.Context, d time.Duration, options workflow.TimerOptions) workflow.Future {
	o.past(ctx, "start a timer")
	return o.Next.NewTimerWithOptions(ctx, d, options)
}

func (o *outbound) NewTimer(ctx workflow.Context, d time.Duration) workflow.Future {
	o.past(ctx, "start a timer")
	return o.Next.NewTimer(ctx, d)
}

func (o *outbound) Sleep(ctx workflow.Context, d time.Duration) error {
	o.past(ctx, "sleep")
	return o.Next.Sleep(ctx, d)
}

func (o *outbound) AwaitWithTimeout(ctx workflow.Context, timeout time.Duration, condition func() bool) (bool, error) {
	o.past(ctx, "await something")
	return o.Next.AwaitWithTimeout(ctx, timeout, condition)
}

func (o *outbound) AwaitWithOptions(ctx workflow.Context, options workflow.AwaitOptions, condition func() bool) (bool, error) {
	o.past(ctx, "await something")
	return o.Next.AwaitWithOptions(ctx, options, condition)
}

func (o *outbound) GetSignalChannel(ctx workflow.Context, name string) workflow.ReceiveChannel {
	o.past(ctx, "listen for signal "+name)
	return o.Next.GetSignalChannel(ctx, name)
}

func (o *outbound) SignalExternalWorkflow(ctx workflow.Context, workflowID, runID, name string, arg any) workflow.Future {
	o.past(ctx, "signal another workflow")
	return o.Next.SignalExternalWorkflow(ctx, workflowID, runID, name, arg)
}

func (o *outbound) SideEffect(ctx workflow.Context, do func(workflow.Context) any) converter.EncodedValue {
	o.past(ctx, "have a side effect")
	return o.Next.SideEffect(ctx, do)
}

func (o *outbound) MutableSideEffect(ctx workflow.Context, id string, do func(workflow.Context) any, equal func(a, b any) bool) converter.EncodedValue {
	o.past(ctx, "have a side effect")
	return o.Next.MutableSideEffect(ctx, id, do, equal)
}
