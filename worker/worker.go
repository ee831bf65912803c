// Package worker hosts the call flows and their activities on Temporal's task queues.
package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	sdk "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"go.uber.org/zap"

	"redial/activities"
	"redial/workflows"
)

// StopTimeout is how long a worker that stops lets its activities finish: longer than a dial may take, so that stopping a
// worker never makes an attempt unknown.
const StopTimeout = activities.DialoutTimeout + 5*time.Second

// Config is what a worker needs. Client, Activities and Logger are required.
type Config struct {
	Client     client.Client
	Activities *activities.Activities
	Logger     *zap.Logger
	// Flows are the flows to host, with the activities that they bring along; none: OutboundCall alone.
	Flows []workflows.Definition
	// Deployment is the version of a worker deployment that this worker belongs to; zero: its flows have no version.
	Deployment Deployment
}

// Worker hosts flows and activities on two task queues: flows and what only writes to the ledger on the one, dials on the
// other, so that dialing alone can be stopped.
type Worker struct {
	Config
	polling atomic.Bool
}

// New makes a worker.
func New(c Config) *Worker { return &Worker{Config: c} }

// Run hosts flows and activities until ctx ends. Then it takes no new work, lets what is under way finish, and returns
// within StopTimeout. It returns earlier, with an error, when the server no longer lets it work.
func (w *Worker) Run(ctx context.Context) error {
	fatal := make(chan error, 2)
	options := sdk.Options{WorkerStopTimeout: StopTimeout, DisableRegistrationAliasing: true, DeploymentOptions: w.Deployment.options(),
		Interceptors: []interceptor.WorkerInterceptor{&workflows.Interceptor{Upgrade: w.Deployment.UpgradeAtWait}},
		OnFatalError: func(err error) { fatal <- err }}
	flows, err := w.flows(options)
	if err != nil {
		return err
	}
	dials := w.dials(options)
	if err := flows.Start(); err != nil {
		return fmt.Errorf("start worker on task queue %s: %w", workflows.TaskQueue, err)
	}
	if err := dials.Start(); err != nil {
		flows.Stop()
		return fmt.Errorf("start worker on task queue %s: %w", workflows.DialTaskQueue, err)
	}
	w.polling.Store(true)
	defer w.stop(flows, dials)
	if w.Deployment.Name != "" {
		watching, stop := context.WithCancel(ctx)
		defer stop()
		go w.Deployment.watch(watching, w.Client, w.Logger)
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-fatal:
		return fmt.Errorf("worker: %w", err)
	}
}

// stop stops both at once: the answer to a dial under way reaches its flow's history also when no flow is hosted any more,
// and the flow goes on at another worker.
func (w *Worker) stop(flows, dials sdk.Worker) {
	w.polling.Store(false)
	var stopped sync.WaitGroup
	stopped.Go(flows.Stop)
	stopped.Go(dials.Stop)
	stopped.Wait()
}

func (w *Worker) flows(o sdk.Options) (sdk.Worker, error) {
	flows := sdk.New(w.Client, workflows.TaskQueue, o)
	hosted := w.Flows
	if len(hosted) == 0 {
		hosted = []workflows.Definition{workflows.Standard}
	}
	for _, flow := range hosted {
		flows.RegisterWorkflowWithOptions(flow.Workflow(), workflow.RegisterOptions{Name: flow.Name()})
	}
	all, err := workflows.ActivitiesOf(hosted...)
	if err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	maps.Copy(all, w.Activities.Light())
	for name, fn := range all {
		flows.RegisterActivityWithOptions(fn, activity.RegisterOptions{Name: name})
	}
	return flows, nil
}

func (w *Worker) dials(o sdk.Options) sdk.Worker {
	o.DisableWorkflowWorker = true
	dials := sdk.New(w.Client, workflows.DialTaskQueue, o)
	dials.RegisterActivityWithOptions(w.Activities.Dialout, activity.RegisterOptions{Name: activities.NameDialout})
	return dials
}

// Ready tells why the worker takes no work now: it has not started, it is stopping, or its server cannot be reached. Nil: it
// takes work.
func (w *Worker) Ready(ctx context.Context) error {
	if !w.polling.Load() {
		return errors.New("the worker does not poll: it is starting or stopping")
	}
	if _, err := w.Client.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
		return fmt.Errorf("temporal cannot be reached: %w", err)
	}
	return nil
}
