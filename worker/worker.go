// Package worker hosts the call flows and their activities on Temporal's task queues.
package worker

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	sdk "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"redial/activities"
	"redial/workflows"
)

// StopTimeout is how long a worker that stops lets its activities finish: longer than a dial may take, so that stopping a
// worker never makes an attempt unknown.
const StopTimeout = activities.DialoutTimeout + 5*time.Second

// Config is what a worker needs. Client and Activities are required.
type Config struct {
	Client     client.Client
	Activities *activities.Activities
	// Flows are further flows to host, by their type names.
	Flows map[string]any
}

// Run hosts flows and activities until ctx ends, then stops within StopTimeout. There are two task queues: flows and what
// only writes to the ledger on the one, dials on the other, so that dialing alone can be stopped.
func Run(ctx context.Context, c Config) error {
	fatal := make(chan error, 2)
	options := sdk.Options{WorkerStopTimeout: StopTimeout, DisableRegistrationAliasing: true, OnFatalError: func(err error) { fatal <- err }}
	flows := sdk.New(c.Client, workflows.TaskQueue, options)
	flows.RegisterWorkflowWithOptions(workflows.OutboundCall, workflow.RegisterOptions{Name: workflows.NameOutboundCall})
	for name, flow := range c.Flows {
		flows.RegisterWorkflowWithOptions(flow, workflow.RegisterOptions{Name: name})
	}
	for name, fn := range map[string]any{
		activities.NameConclude: c.Activities.Conclude,
		activities.NameGiveUp:   c.Activities.GiveUp,
		activities.NameFinish:   c.Activities.Finish,
		activities.NameEscalate: c.Activities.Escalate,
	} {
		flows.RegisterActivityWithOptions(fn, activity.RegisterOptions{Name: name})
	}
	options.DisableWorkflowWorker = true
	dials := sdk.New(c.Client, workflows.DialTaskQueue, options)
	dials.RegisterActivityWithOptions(c.Activities.Dialout, activity.RegisterOptions{Name: activities.NameDialout})

	if err := flows.Start(); err != nil {
		return fmt.Errorf("start worker on task queue %s: %w", workflows.TaskQueue, err)
	}
	defer flows.Stop()
	if err := dials.Start(); err != nil {
		return fmt.Errorf("start worker on task queue %s: %w", workflows.DialTaskQueue, err)
	}
	// Dials stop first: their answers still have to reach the flows' history.
	defer dials.Stop()
	select {
	case <-ctx.Done():
		return nil
	case err := <-fatal:
		return fmt.Errorf("worker: %w", err)
	}
}
