package callflowtest

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/workflow"

	"redial/activities"
)

// errEndless ends a flow that would never end.
var errEndless = errors.New("the flow never ends")

// busy counts the dials and waits of a run. It suggests to renew the run when it is due, and ends a flow that would go on for ever.
func (k *Kit) busy() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.run.steps++
	switch n := k.run.steps; {
	case n > maxBusy:
		k.run.endless = fmt.Sprintf("the flow had not ended after %d dials and waits", maxBusy)
		k.env.RegisterDelayedCallback(func() { panic(errEndless) }, 0)
		return errEndless
	case k.renew > 0 && n%k.renew == 0:
		env := k.env
		env.RegisterDelayedCallback(func() { env.SetContinueAsNewSuggested(true) }, 0)
	}
	return nil
}

// stagehand is what the environment of the SDK leaves open: the name of the first run, and the order of what is started together.
type stagehand struct {
	interceptor.WorkerInterceptorBase
	firstRunID string
	turns      *turns
	now        func() time.Time
}

func (s *stagehand) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	in := &inbound{stagehand: s}
	in.Next = next
	return in
}

type inbound struct {
	interceptor.WorkflowInboundInterceptorBase
	*stagehand
}

func (in *inbound) Init(next interceptor.WorkflowOutboundInterceptor) error {
	out := &outbound{stagehand: in.stagehand}
	out.Next = next
	return in.Next.Init(out)
}

type outbound struct {
	interceptor.WorkflowOutboundInterceptorBase
	*stagehand
}

func (o *outbound) GetInfo(ctx workflow.Context) *workflow.Info {
	info := o.Next.GetInfo(ctx)
	info.FirstRunID = o.firstRunID
	return info
}

func (o *outbound) ExecuteActivity(ctx workflow.Context, name string, args ...any) workflow.Future {
	if in, dial := first[activities.DialoutInput](args); dial && name == activities.NameDialout {
		o.turns.start(in.N, o.now())
	}
	return o.Next.ExecuteActivity(ctx, name, args...)
}

// first is the first argument, if it is of the type.
func first[T any](args []any) (v T, ok bool) {
	if len(args) > 0 {
		v, ok = args[0].(T)
	}
	return v, ok
}

// silent is a logger that says nothing: what the SDK has to say of every timer takes longer than the flow.
type silent struct{}

func (silent) Debug(string, ...any) {}
func (silent) Info(string, ...any)  {}
func (silent) Warn(string, ...any)  {}
func (silent) Error(string, ...any) {}
