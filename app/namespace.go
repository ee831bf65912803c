package app

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cenkalti/backoff/v5"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.uber.org/zap"

	"redial/internal/config"
	"redial/ledger"
)

// identify asks Temporal which namespace this is.
func (c connection) identify(ctx context.Context) (ledger.Namespace, error) {
	ctx, cancel := context.WithTimeout(ctx, connectFor)
	defer cancel()
	n := ledger.Namespace{Name: c.namespace}
	d, err := c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: c.namespace})
	if err != nil {
		return n, fmt.Errorf("describe namespace %s: %w", c.namespace, explain(err))
	}
	if n.ID = d.GetNamespaceInfo().GetId(); n.ID == "" {
		return n, fmt.Errorf("describe namespace %s: the server at %s does not tell its id, without which it cannot be told from another", c.namespace, c.address)
	}
	return n, nil
}

// home is the namespace in which the runs of a ledger's contacts are. In another one all of them would be taken for gone, and
// everybody would be told to people; so nothing is asked or told before it is known to be the right one, and that a run is not
// there is believed only as long as it is.
type home struct {
	connection
	ledger   *ledger.Ledger
	database string // the ledger's name
	joined   atomic.Bool
}

func newHome(c connection, cfg config.Config, l *ledger.Ledger) *home {
	return &home{connection: c, ledger: l, database: ledger.Name(cfg.Database)}
}

// join refuses a namespace that is not the ledger's.
func (h *home) join(ctx context.Context) error {
	n, err := patiently(ctx, h.identify)
	if err != nil {
		return err
	}
	return h.belongs(ctx, n)
}

func (h *home) belongs(ctx context.Context, n ledger.Namespace) error {
	err := h.ledger.Join(ctx, n)
	var other *ledger.NamespaceError
	if errors.As(err, &other) {
		return fmt.Errorf("ledger %s: %w at %s: set TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE to its own or, if that is gone for good, "+
			"run redial setup --adopt-namespace (redial dev has the same flag)", h.database, other, h.address)
	}
	if err == nil {
		h.joined.Store(true)
	}
	return err
}

// guard returns nil when ctx ends; before that it returns only if the namespace is not the ledger's. A server that is away is
// waited for.
func (h *home) guard(ctx context.Context, log *zap.Logger) error {
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		n, err := h.identify(ctx)
		if err != nil {
			if ctx.Err() == nil {
				log.Warn("temporal cannot be reached: reports are taken, and kept until it can; check TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE",
					zap.String("cause", plainCause(err)))
			}
			return struct{}{}, err
		}
		err = h.belongs(ctx, n)
		var other *ledger.NamespaceError
		if errors.As(err, &other) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithMaxElapsedTime(0))
	if err == nil {
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// SignalWorkflow signals a run of the ledger's.
func (h *home) SignalWorkflow(ctx context.Context, workflowID, runID, signal string, arg any) error {
	return h.ask(ctx, func() error { return h.Client.SignalWorkflow(ctx, workflowID, runID, signal, arg) })
}

// DescribeWorkflowExecution describes a run of the ledger's.
func (h *home) DescribeWorkflowExecution(ctx context.Context, workflowID, runID string) (d *workflowservice.DescribeWorkflowExecutionResponse, err error) {
	err = h.ask(ctx, func() error {
		d, err = h.Client.DescribeWorkflowExecution(ctx, workflowID, runID)
		return err
	})
	return d, err
}

func (h *home) ask(ctx context.Context, question func() error) error {
	if !h.joined.Load() {
		if err := h.join(ctx); err != nil {
			return err
		}
	}
	err := question()
	var gone *serviceerror.NotFound
	if errors.As(err, &gone) {
		if other := h.join(ctx); other != nil { // such as a server that was started anew without its data
			return other
		}
	}
	return err
}

// settle brings the ledger's tables up to date and joins the namespace, or makes it the ledger's.
func settle(ctx context.Context, cfg config.Config, c connection, adopt bool) error {
	l, err := openLedger(ctx, cfg, ledger.Options{Migrate: true, Owner: adopt}) // whoever works on a file has joined the other
	if err != nil {
		return err
	}
	if adopt {
		n, failed := patiently(ctx, c.identify)
		if err = failed; err == nil {
			err = l.Adopt(ctx, n)
		}
	} else {
		err = newHome(c, cfg, l).join(ctx)
	}
	return errors.Join(err, l.Close())
}
