package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"go.uber.org/zap"

	"redial/ledger"
)

// Sink takes the escalations of a deployment, in place of webhooks: it opens a ticket, or pages somebody.
type Sink interface {
	// Escalate tells people of one contact: story is all that has happened to it. They have been told when it returns nil. An error, or a
	// panic, is kept with the escalation, where operators read it: it should hold no number and no name. Escalate is then called again,
	// after half a second, twice that, and so on, at last every hour, until it succeeds or an operator acknowledges the escalation.
	//
	// It may be called again although it has succeeded, when the process, or the ledger, was away before that was on disk. The id is the
	// same each time, and that of no other escalation: whoever is told can tell by it. Several escalations are told of at the same
	// time, up to 32; one of them is told of by one call at a time. ctx ends after 20 seconds.
	Escalate(ctx context.Context, id string, story ledger.Story) error
}

const (
	sinks      = 32               // escalations that a sink is told of at the same time
	sinkFor    = 20 * time.Second // how long it may take over one
	keepFor    = 30 * time.Second // how long an escalation stays with a sink that takes longer
	renewEvery = 10 * time.Second // how often that is renewed
)

// errLeft is of a call that was still going on when the relay had to stop. What became of it is not known, and so it is made again.
var errLeft = errors.New("the sink has not returned, and the relay stops")

// escalate tells the sink. A sink that takes longer than it may keeps what it is at, until it returns: nobody is told the same meanwhile.
func (r *Relay) escalate(ctx context.Context, d ledger.Delivery) error {
	var story ledger.Story
	if err := json.Unmarshal(d.Story, &story); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, r.sinkFor)
	defer cancel()
	done := make(chan error, 1)
	go r.tell(limited, d, story, done)
	timer := time.NewTimer(r.sinkFor + r.sinkFor/10) // by then it has noticed
	defer timer.Stop()
	var stopping <-chan struct{} // for as long as it may take it is waited for, though
	for {
		select {
		case err := <-done:
			return err
		case <-stopping:
			return errLeft
		case <-timer.C:
		}
		stopping = r.stopping
		timer.Reset(renewEvery)
		if err := r.Ledger.Failed(ctx, d, fmt.Sprintf("it takes longer than %s, and goes on", r.sinkFor), keepFor); err != nil {
			r.Logger.Warn("a sink takes longer than it may, which could not be written down", zap.String("workflow_id", d.WorkflowID), zap.Error(err))
		}
	}
}

// tell calls the sink, and says what came of it however that ends.
func (r *Relay) tell(ctx context.Context, d ledger.Delivery, story ledger.Story, done chan<- error) {
	err := errors.New("it has not returned")
	defer func() {
		if p := recover(); p != nil {
			r.Logger.Error("the sink panicked", zap.String("workflow_id", d.WorkflowID), zap.ByteString("stack", debug.Stack())) // which holds no value
			err = fmt.Errorf("it panicked: %v", p)
		}
		done <- err
	}()
	err = r.Sink.Escalate(ctx, "escalation/"+d.WorkflowID, story)
}
