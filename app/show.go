package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"redial/internal/config"
	"redial/ledger"
	"redial/workflows"
)

func showCommand() *cobra.Command {
	var asJSON bool
	var zone string
	c := &cobra.Command{
		Use:   "show ID",
		Short: "Show one contact: what it does now and why, and all that happened, in order",
		Long: `Show what the ledger (REDIAL_DATABASE) knows of a contact, by its id or its workflow id. At the top stands what it does now: for
which reason, under which rule, until when, and what would end the wait earlier. Below is all that happened: dials, what the
gateway reported, what the bot said, waits, decisions, what people asked for, and who was told. Rules stand in brackets, the
column before an event's name is its attempt, and the one before that the time since the contact was opened.
Where Temporal and a worker answer, the state of the run is shown beside it.

Times are those of --zone: an IANA name, or recipient for the zone of whoever is called, where exactly one is known.`,
		Example: `  redial show anna-7
  redial show anna-7 --zone Europe/Paris
  redial show redial/-/anna-7 --json`,
		Args: oneArgument("id"),
		RunE: func(c *cobra.Command, args []string) error {
			if zone != zoneOfRecipient {
				if _, err := clockIn(zone, nil); err != nil {
					return err
				}
			}
			cfg, err := config.FromEnvironment()
			if err != nil {
				return err
			}
			s, err := lookAt(c.Context(), cfg, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), s)
			}
			clock, err := clockIn(zone, s.zones())
			if err != nil {
				return err
			}
			s.print(c.OutOrStdout(), time.Now(), clock)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().StringVar(&zone, "zone", "UTC", "the time zone of the times that are printed; recipient: that of whoever is called")
	return c
}

// shown is what redial show prints as JSON.
type shown struct {
	ledger.Contact
	Run *workflows.Status `json:"run,omitempty"` // live, when a worker answers
	// RunClosed: Temporal says that the run is over, and nobody has closed its contact yet.
	RunClosed *closedRun `json:"run_closed,omitempty"`
}

// closedRun is how a run has ended.
type closedRun struct {
	Status string    `json:"status"` // such as terminated
	At     time.Time `json:"at"`
}

// openExisting opens a ledger for a short command, which must not make a new one.
func openExisting(ctx context.Context, cfg config.Config) (*ledger.Ledger, error) {
	if path, found := strings.CutPrefix(cfg.Database, "sqlite:"); found {
		if _, err := os.Stat(filepath.Clean(path)); errors.Is(err, os.ErrNotExist) {
			return nil, &config.Error{Variable: "REDIAL_DATABASE", Problem: "there is no ledger " + path + ": name the file that redial up writes"}
		}
	}
	return openLedger(ctx, cfg, ledger.Options{})
}

// notDialedYet explains a contact that the ledger does not know: its run may be under way, and wait for a worker.
func notDialedYet(ctx context.Context, unknown *ledger.NotFoundError, database string) error {
	other := fmt.Errorf("%w; check the id, or name the ledger of its worker (REDIAL_DATABASE is %s)", unknown, database)
	temporal, err := connectQuietly(ctx)
	if err != nil {
		return other
	}
	defer temporal.Close()
	id := unknown.ID
	if _, _, full := workflows.ParseWorkflowID(id); !full {
		id = workflows.WorkflowID("", id)
	}
	d, err := temporal.DescribeWorkflowExecution(ctx, id, "")
	if err != nil || d.GetWorkflowExecutionInfo().GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return other
	}
	return fmt.Errorf("%s was started and has not asked to dial yet: it waits for a worker; start redial up, or name the ledger of its worker (REDIAL_DATABASE is %s)", id, database)
}

// lookAt is a contact as the ledger and its run tell it.
func lookAt(ctx context.Context, cfg config.Config, id string) (shown, error) {
	l, err := openExisting(ctx, cfg)
	if err != nil {
		return shown{}, err
	}
	defer l.Close()
	contact, err := l.Show(ctx, id)
	var unknown *ledger.NotFoundError
	if errors.As(err, &unknown) {
		return shown{}, notDialedYet(ctx, unknown, ledger.Name(cfg.Database))
	}
	if err != nil {
		return shown{}, err
	}
	run, closed := live(ctx, contact.WorkflowID)
	if closed != nil && contact.Outcome == "" {
		// A run that ends in order has closed its contact before, and maybe after the look at it.
		if contact, err = l.Show(ctx, contact.WorkflowID); err != nil {
			return shown{}, err
		}
	}
	if closed != nil && contact.Outcome == "" {
		return shown{Contact: contact, RunClosed: closed}, nil // what it answers is how it stood when it was ended
	}
	return shown{Contact: contact, Run: run}, nil
}

// liveFor is how long redial show waits for the run itself: a worker that is busy replays it first.
const liveFor = 5 * time.Second

// live asks the run itself, and Temporal whether it is over; nil where nobody answers in time, or it is not.
func live(ctx context.Context, workflowID string) (*workflows.Status, *closedRun) {
	ctx, cancel := context.WithTimeout(ctx, liveFor)
	defer cancel()
	temporal, err := connectQuietly(ctx)
	if err != nil {
		return nil, nil
	}
	defer temporal.Close()
	closed := runClosed(ctx, temporal, workflowID)
	return askRun(ctx, temporal, workflowID), closed
}

// closings are the states in which nothing comes of a run any more.
var closings = map[enumspb.WorkflowExecutionStatus]string{
	enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED: "terminated", enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED: "canceled",
	enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED: "completed", enumspb.WORKFLOW_EXECUTION_STATUS_FAILED: "failed",
	enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT: "timed out",
}

func runClosed(ctx context.Context, temporal client.Client, workflowID string) *closedRun {
	d, err := temporal.DescribeWorkflowExecution(ctx, workflowID, "")
	info := d.GetWorkflowExecutionInfo()
	if status := closings[info.GetStatus()]; err == nil && status != "" {
		return &closedRun{status, info.GetCloseTime().AsTime()}
	}
	return nil
}

func askRun(ctx context.Context, temporal client.Client, workflowID string) *workflows.Status {
	value, err := temporal.QueryWorkflow(ctx, workflowID, "", workflows.QueryStatus)
	if err != nil {
		return nil
	}
	var s workflows.Status
	if value.Get(&s) != nil {
		return nil
	}
	return &s
}

// stamp is a time as people read it, in UTC.
func stamp(t time.Time) string { return t.Format("2006-01-02 15:04:05Z") }
