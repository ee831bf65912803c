package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"redial/workflows"
)

// latestAtMost is how many runs are looked up at the most.
const latestAtMost = 1000

func historiesCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "histories",
		Short: "Save the histories of runs, for the test that a changed flow can go on with them",
		Long: `A flow that is changed must be able to go on with the runs that the old one began. Whether it is, is told by a test that lets
it go through their histories: callflowtest.Replay. This saves them.`,
		Example: `  redial histories save anna-7
  redial histories save --latest 20`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(historiesSaveCommand())
	return c
}

func historiesSaveCommand() *cobra.Command {
	var dir string
	var latest int
	var asJSON bool
	c := &cobra.Command{
		Use:   "save [ID]...",
		Short: "Save the histories of contacts' runs as JSON files",
		Long: `Save the history of each contact's run, by the contact's id or its workflow id, under way or ended, as a file in --dir. A flow
that was continued in new runs has a file for each. Files that are there are not overwritten.

A history has what the run was started with: the number, the metadata, the flow's input. Save runs of invented contacts, or
keep the files where such data may be kept.`,
		Example: `  redial histories save anna-7 redial/spring/bert-2
  redial histories save --latest 20 --dir testdata/histories`,
		RunE: func(c *cobra.Command, ids []string) error {
			if latest < 0 || latest > latestAtMost {
				return usagef("--latest %d: write 1 to %d", latest, latestAtMost)
			}
			if len(ids) == 0 && latest == 0 {
				return usagef("redial histories save takes the id of a contact, or --latest")
			}
			saved, err := saveHistories(c.Context(), dir, ids, latest)
			if err != nil {
				return err
			}
			fmt.Fprintln(c.ErrOrStderr(), "redial: warning: histories hold numbers, metadata and inputs of their contacts: look at them before you commit them")
			if asJSON {
				return printJSON(c.OutOrStdout(), saved)
			}
			for _, s := range saved {
				fmt.Fprintf(c.OutOrStdout(), "%s  %s, %d events\n", s.File, s.WorkflowID, s.Events)
			}
			return nil
		},
	}
	c.Flags().StringVar(&dir, "dir", "testdata/histories", "folder that the files are written to")
	c.Flags().IntVar(&latest, "latest", 0, "as many runs of this binary's flows: those under way, then those that ended last")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// savedHistory is one file that was written.
type savedHistory struct {
	File       string `json:"file"`
	WorkflowID string `json:"workflow_id"`
	RunID      string `json:"run_id"`
	Events     int    `json:"events"`

	history *historypb.History
}

// saveHistories downloads everything before it writes anything.
func saveHistories(ctx context.Context, dir string, ids []string, latest int) ([]savedHistory, error) {
	temporal, err := connectQuietly(ctx)
	if err != nil {
		return nil, err
	}
	defer temporal.Close()
	for i, id := range ids {
		if _, _, full := workflows.ParseWorkflowID(id); !full {
			ids[i] = workflows.WorkflowID("", id)
		}
	}
	if latest > 0 {
		more, err := latestRuns(ctx, temporal, latest)
		if err != nil {
			return nil, err
		}
		ids = append(ids, more...)
	}
	all, known := []savedHistory{}, map[string]bool{}
	for _, id := range ids {
		if known[id] {
			continue
		}
		known[id] = true
		runs, err := historiesOf(ctx, temporal, dir, id)
		if err != nil {
			return nil, err
		}
		all = append(all, runs...)
	}
	return all, writeHistories(dir, all)
}

// latestRuns are the workflow ids of this binary's flows, those under way first.
func latestRuns(ctx context.Context, temporal connection, n int) (ids []string, err error) {
	var names []string
	for _, f := range flowsOf(ctx) {
		names = append(names, "'"+f.Name()+"'")
	}
	list, err := temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Namespace: temporal.namespace, PageSize: int32(n),
		Query: fmt.Sprintf("WorkflowType IN (%s) AND ExecutionStatus != 'ContinuedAsNew'", strings.Join(names, ", "))})
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", explain(err))
	}
	for _, e := range list.Executions[:min(n, len(list.Executions))] {
		ids = append(ids, e.Execution.WorkflowId)
	}
	return ids, nil
}

// historiesOf are the histories of a contact's run, and of the runs that it continues.
func historiesOf(ctx context.Context, temporal connection, dir, id string) (all []savedHistory, err error) {
	for runID := ""; ; {
		s := savedHistory{WorkflowID: id, history: &historypb.History{}}
		for i := temporal.GetWorkflowHistory(ctx, id, runID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); i.HasNext(); {
			e, err := i.Next()
			var unknown *serviceerror.NotFound
			if errors.As(err, &unknown) && len(all) > 0 {
				return all, nil // Temporal has forgotten the earlier ones
			}
			if errors.As(err, &unknown) {
				return nil, fmt.Errorf("there is no run of %s in namespace %s: check the id, and TEMPORAL_NAMESPACE", id, temporal.namespace)
			}
			if err != nil {
				return nil, fmt.Errorf("history of %s: %w", id, explain(err))
			}
			s.history.Events = append(s.history.Events, e)
		}
		began := s.history.Events[0].GetWorkflowExecutionStartedEventAttributes()
		s.RunID, s.Events = began.GetOriginalExecutionRunId(), len(s.history.Events)
		s.File = filepath.Join(dir, historyFile(began.GetWorkflowType().GetName(), id, s.RunID))
		all = append(all, s)
		if runID = began.GetContinuedExecutionRunId(); runID == "" {
			return all, nil
		}
	}
}

var notInFileNames = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// historyFile is FLOW-CONTACT-RUN.json, with the campaign before the contact.
func historyFile(flow, workflowID, runID string) string {
	campaign, contact, ok := workflows.ParseWorkflowID(workflowID)
	if !ok {
		contact = workflowID
	}
	run := runID[max(0, len(runID)-8):] // run ids begin with the time, and their ends differ
	parts := []string{flow, contact, run}
	if campaign != "" {
		parts = []string{flow, campaign, contact, run}
	}
	return notInFileNames.ReplaceAllString(strings.Join(parts, "-"), "_") + ".json"
}

func writeHistories(dir string, all []savedHistory) error {
	for _, s := range all {
		if _, err := os.Lstat(s.File); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there already, and nothing was saved: remove it, or name another folder with --dir", s.File)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("--dir: %w", err)
	}
	for _, s := range all {
		text, err := protojson.MarshalOptions{Indent: " "}.Marshal(s.history)
		if err != nil {
			return fmt.Errorf("history of %s: %w", s.WorkflowID, err)
		}
		if err := os.WriteFile(s.File, append(text, '\n'), 0o600); err != nil {
			return fmt.Errorf("save the history of %s: %w", s.WorkflowID, err)
		}
	}
	return nil
}
