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
		k.stop(fmt.Sprintf("the flow had not ended after %d dials and waits", maxBusy))
		return errEndless
	case k.renew > 0 && n%k.renew == 0:
		env := k.env
		env.RegisterDelayedCallback(func() { env.SetContinueAsNewSuggested(true) }, 0)
	}
	return nil
}

// act counts the timers and activities of a run, those that go past the handle included, and ends a flow that would go on for ever.
func (k *Kit) act() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.run.acts++; k.run.acts > maxActs {
		k.stop(fmt.Sprintf("the flow had not ended after %d timers and activities", maxActs))
	}
}

// stop ends the run from without.
func (k *Kit) stop(why string) {
	if k.run.endless == "" {
		k.run.endless = why
		k.env.RegisterDelayedCallback(func() { panic(errEndless) }, 0)
	}
}

// stagehand is what the environment of the SDK leaves open: the name of the first run, and the order of what is started together.
type stagehand struct {
	interceptor.WorkerInterceptorBase
	firstRunID string
	turns      *turns
	kit        *Kit
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
	o.kit.act()
	if in, dial := first[activities.DialoutInput](args); dial && name == activities.NameDialout {
		o.turns.start(in.N, o.kit.Now())
	}
	return o.Next.ExecuteActivity(ctx, name, args...)
}

func (o *outbound) ExecuteLocalActivity(ctx workflow.Context, name string, args ...any) workflow.Future {
	o.kit.act()
	return o.Next.ExecuteLocalActivity(ctx, name, args...)
}

func (o *outbound) NewTimer(ctx workflow.Context, d time.Duration) workflow.Future {
	o.kit.act()
	return o.Next.NewTimer(ctx, d)
}

func (o *outbound) NewTimerWithOptions(ctx workflow.Context, d time.Duration, options workflow.TimerOptions) workflow.Future {
	o.kit.act()
	return o.Next.NewTimerWithOptions(ctx, d, options)
}

func (o *outbound) Sleep(ctx workflow.Context, d time.Duration) error {
	o.kit.act()
	return o.Next.Sleep(ctx, d)
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
