package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"

	"redial/call"
	"redial/ledger"
	"redial/workflows"
)

// desk is a sink that takes nothing at its first tries.
type desk struct {
	closedFor int
	mu        sync.Mutex
	told      map[string][]ledger.Story // by id
}

func (d *desk) Escalate(_ context.Context, id string, story ledger.Story) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.told == nil {
		d.told = map[string][]ledger.Story{}
	}
	d.told[id] = append(d.told[id], story)
	if len(d.told[id]) <= d.closedFor {
		return fmt.Errorf("closed, try %d", len(d.told[id]))
	}
	return nil
}

// of is what it was told of a contact, try by try.
func (d *desk) of(workflowID string) []ledger.Story {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.told["escalation/"+workflowID]
}

func TestTheSinkOfABinaryIsToldTheWholeStoryWhoeverEscalatesAndHoweverTheRolesRun(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		complain := define("Complain", func(ctx workflow.Context, f *workflows.Flow) error {
			if _, err := f.Call(ctx); err != nil {
				return err
			}
			f.Note(ctx, "it is the third complaint")
			return f.Escalate(ctx, "a complaint")
		})
		fails := define("Fail", func(ctx workflow.Context, f *workflows.Flow) error {
			if _, err := f.Call(ctx); err != nil {
				return err
			}
			return errors.New("the flow is wrong")
		})
		d := &desk{closedFor: 2}
		w := at.newWorld(t, worldOptions{sink: d, flows: []workflows.Definition{complain, fails}})
		byPolicy := w.start("+12025550101", "busy+ring=1s,blocked+ring=1s", quick())
		byFlow := w.flow(complain, "complains", w.script("+12025550102", "human+ring=1s"))
		byError := w.flow(fails, "fails", w.script("+12025550103", "human+ring=1s"))
		delivered := func(workflowID string) ledger.Contact {
			var c ledger.Contact
			require.Eventually(t, func() bool {
				var err error
				c, err = w.ledger.Show(t.Context(), workflowID)
				return err == nil && c.Escalation != nil && !c.Escalation.DeliveredAt.IsZero()
			}, time.Minute, 10*time.Millisecond)
			return c
		}
		for workflowID, reason := range map[string]string{byPolicy.WorkflowID: "blocked", byFlow.WorkflowID: "a complaint", byError.WorkflowID: "the flow is wrong"} {
			c := delivered(workflowID)
			require.Equal(t, []any{3, ""}, []any{c.Escalation.Tries, c.Escalation.URL})
			told := d.of(workflowID)
			require.Len(t, told, 3)
			require.Equal(t, []ledger.Story{told[0], told[0]}, told[1:])
			require.Equal(t, []any{workflowID, c.ContactID, c.Target}, []any{told[0].WorkflowID, told[0].ContactID, told[0].To})
			require.Contains(t, told[0].Reason, reason)
			require.Equal(t, c.Folded(), told[0].Attempts)
			require.Equal(t, c.Decisions[:len(told[0].Decisions)], told[0].Decisions)
			require.NotEmpty(t, told[0].Decisions)
		}
		require.Len(t, d.of(byPolicy.WorkflowID)[0].Attempts, 2)
		require.Equal(t, call.Busy, d.of(byPolicy.WorkflowID)[0].Attempts[0].Disposition)
		require.Len(t, d.told, 3)
	})
}
