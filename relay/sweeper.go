package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.uber.org/zap"

	"redial/ledger"
)

const (
	sweepEvery = 30 * time.Second
	sweepBatch = 200 // contacts compared with Temporal in a sweep: some seven a second
)

// Sweepable is what the sweeper asks of the ledger.
type Sweepable interface {
	ToSweep(ctx context.Context, limit int) ([]ledger.OpenContact, error)
	Abandon(ctx context.Context, c ledger.OpenContact, canceled bool, why string) (bool, error)
	ExpireAttempts(ctx context.Context, limit int) (int, error)
}

// Runs is the part of Temporal's client that tells how a run stands.
type Runs interface {
	DescribeWorkflowExecution(ctx context.Context, workflowID, runID string) (*workflowservice.DescribeWorkflowExecutionResponse, error)
}

// Sweeper compares the ledger's open contacts with Temporal, so that a contact whose run was terminated, failed or is gone
// still gets its outcome.
type Sweeper struct {
	Ledger Sweepable
	Runs   Runs
	Logger *zap.Logger
	Every  time.Duration // 0: half a minute
}

// Run sweeps until ctx ends.
func (s Sweeper) Run(ctx context.Context) error {
	every := s.Every
	if every == 0 {
		every = sweepEvery
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if err := s.sweep(ctx); err != nil && ctx.Err() == nil {
			s.Logger.Warn("the sweep was cut short", zap.Error(err))
		}
	}
}

func (s Sweeper) sweep(ctx context.Context) error {
	if n, err := s.Ledger.ExpireAttempts(ctx, sweepBatch); err != nil {
		return err
	} else if n > 0 {
		s.Logger.Info("attempts that must be over were closed", zap.Int("attempts", n))
	}
	open, err := s.Ledger.ToSweep(ctx, sweepBatch)
	if err != nil {
		return err
	}
	for _, c := range open {
		over, canceled, why, err := s.fate(ctx, c)
		if err != nil {
			return err
		}
		if !over {
			continue
		}
		abandoned, err := s.Ledger.Abandon(ctx, c, canceled, why)
		if err != nil {
			return err
		}
		if abandoned {
			s.Logger.Warn("an open contact has no run any more", zap.String("workflow_id", c.WorkflowID), zap.String("why", why))
		}
	}
	return nil
}

// fate tells whether a contact's run is over, whether somebody ended it, and why in words.
func (s Sweeper) fate(ctx context.Context, c ledger.OpenContact) (over, canceled bool, why string, err error) {
	d, err := s.Runs.DescribeWorkflowExecution(ctx, c.WorkflowID, "")
	var gone *serviceerror.NotFound
	switch {
	case errors.As(err, &gone):
		return true, false, "the run is gone from Temporal", nil
	case err != nil:
		return false, false, "", fmt.Errorf("describe workflow %s: %w", c.WorkflowID, err)
	}
	switch status := d.GetWorkflowExecutionInfo().GetStatus(); status {
	case enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED, enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED:
		return true, true, fmt.Sprintf("the run was ended by hand (%s)", status), nil
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:
		return true, false, fmt.Sprintf("the run ended without an outcome (%s)", status), nil
	default: // running, paused, or something that this version does not know
		return false, false, "", nil
	}
}
