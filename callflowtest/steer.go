package callflowtest

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/testsuite"

	"redial/workflows"
)

// Steered is what came of steering a run.
type Steered struct {
	answered bool
	err      error
}

// Err is why the run has refused what was asked; nil: it has not.
func (s *Steered) Err() error {
	if !s.answered {
		return fmt.Errorf("the run has not answered: it was over, or has not begun")
	}
	return s.err
}

// SteerAfter asks something of the next run, some time after its start: update is one of those of package workflows, such as
// workflows.UpdatePause. A Steering without a By is asked by "the test".
func (k *Kit) SteerAfter(d time.Duration, update string, s workflows.Steering) *Steered {
	if s.By == "" {
		s.By = "the test"
	}
	asked := &Steered{}
	answer := func(err error) { asked.answered, asked.err = true, err }
	k.After(d, func() {
		k.env.UpdateWorkflow(update, fmt.Sprintf("%s %p", update, asked), &testsuite.TestUpdateCallback{
			OnAccept:   func() {},
			OnReject:   answer,
			OnComplete: func(_ any, err error) { answer(err) },
		}, s)
	})
	return asked
}
