package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"redial/followup"
	"redial/internal/config"
	"redial/ledger"
	"redial/workflows"
)

func showCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "show ID",
		Short: "Show one contact: its attempts, its decisions, what it waits for and why",
		Long: `Show what the ledger (REDIAL_DATABASE) knows of a contact, by its id or its workflow id: every attempt, every decision with
its rule, and for an open contact what it waits for and until when. Where Temporal and a worker answer, the state of the
run is shown beside it.`,
		Example: `  redial show anna-7
  redial show redial/-/anna-7 --json`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("redial show takes one id, and was given %d", len(args))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := config.FromEnvironment()
			if err != nil {
				return err
			}
			return show(c.Context(), cfg, args[0], asJSON, c.OutOrStdout())
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// shown is what redial show prints as JSON.
type shown struct {
	ledger.Contact
	Run *workflows.Status `json:"run,omitempty"` // live, when a worker answers
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

// untilWhen says when a wait ends.
func untilWhen(h followup.Hold) string {
	if !h.NotBefore.IsZero() {
		return "until " + stamp(h.NotBefore) + ", then in its turn"
	}
	return "until " + stamp(h.Until) + " at the latest"
}

// overdue tells whether what an open contact waits for has happened, and only its flow is still to notice.
func (s shown) overdue(now time.Time) bool {
	const slack = 10 * time.Second
	if s.Wait.Reason == followup.ReasonCall && len(s.Attempts) > 0 {
		last := s.Attempts[len(s.Attempts)-1]
		return last.Disposition != "" && now.After(last.SettledAt.Add(slack))
	}
	return now.After(s.Wait.Until.Add(slack))
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

func show(ctx context.Context, cfg config.Config, id string, asJSON bool, out io.Writer) error {
	l, err := openExisting(ctx, cfg)
	if err != nil {
		return err
	}
	defer l.Close()
	contact, err := l.Show(ctx, id)
	var unknown *ledger.NotFoundError
	if errors.As(err, &unknown) {
		return notDialedYet(ctx, unknown, ledger.Name(cfg.Database))
	}
	if err != nil {
		return err
	}
	s := shown{Contact: contact, Run: liveStatus(ctx, contact.WorkflowID)}
	if asJSON {
		return printJSON(out, s)
	}
	printContact(out, s)
	return nil
}

// liveFor is how long redial show waits for the run itself: a worker that is busy replays it first.
const liveFor = 5 * time.Second

// liveStatus asks the run itself; nil when nobody answers in time.
func liveStatus(ctx context.Context, workflowID string) *workflows.Status {
	ctx, cancel := context.WithTimeout(ctx, liveFor)
	defer cancel()
	temporal, err := connectQuietly(ctx)
	if err != nil {
		return nil
	}
	defer temporal.Close()
	return askRun(ctx, temporal, workflowID)
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

func printContact(w io.Writer, s shown) {
	fmt.Fprintf(w, "contact  %s\nworkflow %s\nopened   %s\n", s.ContactID, s.WorkflowID, stamp(s.OpenedAt))
	switch {
	case s.Outcome != "":
		fmt.Fprintf(w, "outcome  %s, %s", s.Outcome, stamp(s.ClosedAt))
		if s.Reason != "" {
			fmt.Fprintf(w, ": %s", s.Reason)
		}
		fmt.Fprintf(w, "  [%s]\n", s.Rule)
	case s.Wait != nil && s.overdue(time.Now()):
		fmt.Fprintf(w, "waits    for a worker: its wait (%s, until %s) is over, and its flow has not gone on\n", s.Wait.Reason, stamp(s.Wait.Until))
	case s.Wait != nil:
		fmt.Fprintf(w, "waits    %s, %s  [%s]\n", s.Wait.Reason, untilWhen(*s.Wait), s.Wait.Rule)
		if s.Wait.Event != "" {
			fmt.Fprintf(w, "         or until %s\n", s.Wait.Event)
		}
	}
	if s.Run != nil && s.Outcome == "" {
		fmt.Fprintf(w, "run      %s\n", s.Run.State)
	}
	for _, made := range s.Suppressed {
		fmt.Fprintln(w, describeSuppression(made))
	}
	if e := s.Escalation; e != nil {
		fmt.Fprintf(w, "people   %s\n", describeEscalation(*e))
	}
	fmt.Fprintln(w)
	for _, line := range timeline(s.Contact) {
		fmt.Fprintf(w, "%s  %s\n", stamp(line.at), line.text)
	}
}

func describeEscalation(e ledger.Escalation) string {
	switch {
	case e.URL == "":
		return "were told in the ledger's inbox"
	case !e.DeliveredAt.IsZero():
		return fmt.Sprintf("were told at %s, %s", e.URL, stamp(e.DeliveredAt))
	default:
		return fmt.Sprintf("could not be told yet at %s: %s (%d tries)", e.URL, e.LastError, e.Tries)
	}
}

// stamp is a time as people read it, in UTC.
func stamp(t time.Time) string { return t.Format("2006-01-02 15:04:05Z") }

type moment struct {
	at   time.Time
	text string
}

// timeline is everything that happened to a contact, in order.
func timeline(c ledger.Contact) []moment {
	var lines []moment
	number := func(key string) string { return key[strings.LastIndex(key, "/")+1:] }
	for _, d := range c.Decisions {
		text := fmt.Sprintf("%-8s attempt %s: %s  [%s]", d.Kind, number(d.AttemptKey), d.Reason, d.Rule)
		if !d.Until.IsZero() {
			text += " until " + stamp(d.Until)
		}
		lines = append(lines, moment{d.At, text})
	}
	received := func(at time.Time, how, key, raw, note string) {
		text := fmt.Sprintf("%-8s attempt %s: %s", how, number(key), compact(raw))
		if note != "" {
			text += "  (" + note + ")"
		}
		lines = append(lines, moment{at, text})
	}
	for _, n := range c.Notifications {
		received(n.At, "heard", n.AttemptKey, n.Raw, n.Note)
	}
	for _, r := range c.Results {
		received(r.At, "result", r.AttemptKey, r.Raw, r.Note)
	}
	for _, a := range c.Attempts {
		if !a.DialedAt.IsZero() {
			lines = append(lines, moment{a.DialedAt.Add(time.Microsecond), fmt.Sprintf("%-8s attempt %d: %s", "dialed", a.N, describeAttempt(a))})
		}
	}
	slices.SortStableFunc(lines, func(a, b moment) int { return a.at.Compare(b.at) })
	return lines
}

// compact is what was received, on one line, cut where it would run on.
func compact(raw string) string {
	var fields map[string]any
	if json.Unmarshal([]byte(raw), &fields) == nil {
		if data, err := json.Marshal(fields); err == nil {
			raw = string(data)
		}
	}
	const most = 160
	raw = strings.Join(strings.Fields(raw), " ")
	if len(raw) > most {
		return raw[:most] + "…"
	}
	return raw
}
