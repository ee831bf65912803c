package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"go.temporal.io/sdk/client"
	sdk "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"go.uber.org/zap"

	"redial/call"
	"redial/followup"
	"redial/internal/serve"
)

// floor is the least that can place a call and hear of its end: a workflow with one activity, which makes the same POST
// with the same client, and one signal, sent by a bare handler straight to Temporal. It writes nothing down, checks
// nothing, and can lose and repeat calls.
type floor struct {
	*product
	base string // of its notify URLs
}

const (
	floorQueue  = "floor"
	floorSignal = "ended"
)

// startFloor hosts the floor on the product's server, client and gateway.
func startFloor(ctx context.Context, p *product) (*floor, error) {
	listener, err := listen()
	if err != nil {
		return nil, err
	}
	f := &floor{product: p, base: "http://" + listener.Addr().String() + "/"}
	handler := gin.New()
	handler.POST("/*workflow", f.notify)
	p.background(ctx, func(ctx context.Context) error { return serve.Run(ctx, listener, handler, zap.NewNop()) })
	w := sdk.New(p.client, floorQueue, sdk.Options{})
	w.RegisterWorkflow(f.Workflow)
	w.RegisterActivity(f.Dial)
	if err := w.Start(); err != nil {
		return nil, err
	}
	p.onClose(func() error { w.Stop(); return nil })
	return f, nil
}

// Workflow dials and waits for the end.
func (f *floor) Workflow(ctx workflow.Context, to call.Target) (json.RawMessage, error) {
	ended := workflow.GetSignalChannel(ctx, floorSignal)
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: 30 * time.Second})
	var answer call.DialAnswer
	id := workflow.GetInfo(ctx).WorkflowExecution.ID
	if err := workflow.ExecuteActivity(ctx, f.Dial, to, id).Get(ctx, &answer); err != nil {
		return nil, err
	}
	var end json.RawMessage
	ended.Receive(ctx, &end)
	return end, nil
}

// Dial makes the POST.
func (f *floor) Dial(ctx context.Context, to call.Target, workflowID string) (call.DialAnswer, error) {
	request := followup.Policy{}.WithDefaults().Dial.Request(to, caller, "", nil)
	return f.gateway.Dial(ctx, request, f.base+url.PathEscape(workflowID), time.Now().Add(followup.SendWithin)), nil
}

// notify passes a notification on as a signal.
func (f *floor) notify(c *gin.Context) {
	body, err := c.GetRawData()
	if err == nil {
		err = f.client.SignalWorkflow(c.Request.Context(), strings.TrimPrefix(c.Param("workflow"), "/"), "", floorSignal, json.RawMessage(body))
	}
	if err != nil {
		c.Status(http.StatusServiceUnavailable)
		return
	}
	c.Status(http.StatusOK)
}

// callOnce makes one call and waits for its end.
func (f *floor) callOnce(ctx context.Context, n int) error {
	run, err := f.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: fmt.Sprintf("floor-%d", n), TaskQueue: floorQueue}, f.Workflow, target(n))
	if err != nil {
		return err
	}
	return run.Get(ctx, nil)
}
