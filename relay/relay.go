// Package relay delivers what the ledger owes: signals and wakes to call flows, signed webhooks to other systems, escalations to a
// deployment's own sink. What is owed is on disk, so that a Temporal server or a receiver that is away costs time and nothing else.
package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.temporal.io/api/serviceerror"
	"go.uber.org/zap"

	"redial/ledger"
	"redial/workflows"
)

const (
	signals     = 128              // signals under way at most
	webhooks    = 32               // webhooks under way at most: they have slots of their own, because a receiver may be slow
	signalFor   = 10 * time.Second // how long one signal may take
	webhookFor  = 20 * time.Second // how long one webhook may take, its redirects included: there are none
	lookAtLeast = time.Second      // how often the ledger is asked although nothing was said to be due: another process may write to it
	lookFull    = time.Second      // how often it is asked while more is due than there are slots
	// settleWithin is how long a signal that was taken waits to be written down together with what is due next.
	settleWithin = 200 * time.Millisecond
)

// Ledger is what the relay asks of the ledger.
type Ledger interface {
	Exchange(ctx context.Context, delivered []ledger.Delivery, room map[ledger.Lane]int) ([]ledger.Delivery, ledger.Agenda, error)
	Delivered(ctx context.Context, d ledger.Delivery, gone bool) error
	Failed(ctx context.Context, d ledger.Delivery, why string, pause time.Duration) error
	Tick(ctx context.Context) (next time.Time, err error)
	Changed() <-chan struct{}
}

// Flows is the part of Temporal's client that the relay needs. Plain signals only: a late event must not start a call.
type Flows interface {
	SignalWorkflow(ctx context.Context, workflowID, runID, signal string, arg any) error
}

// Config is what a relay needs. Ledger, Flows and Logger are required.
type Config struct {
	Ledger Ledger
	Flows  Flows
	Logger *zap.Logger
	// Secret signs webhooks (Standard Webhooks, "whsec_…"). Without it webhooks stay owed, and say why.
	Secret string
	// Sink takes escalations that have no webhook, those that were put into the inbox before it was there included, unless somebody has
	// acknowledged them; nil: they stay in the inbox.
	Sink Sink
}

// Relay delivers until it is told to stop.
type Relay struct {
	Config
	signer *standardwebhooks.Webhook
	client *http.Client
	lanes  map[ledger.Lane]lane
	freed  chan struct{} // a slot of a lane that was full
	out    sync.WaitGroup

	mu      sync.Mutex
	settled []ledger.Delivery // were made, and are written down with the next round
	first   chan struct{}     // the first of them is there

	sinkFor  time.Duration
	stopping <-chan struct{} // closed when Run is to end
}

// lane is the slots of a kind of delivery.
type lane chan struct{}

func (l lane) free() int { return cap(l) - len(l) }

// New makes a relay. The error is about the secret.
func New(c Config) (*Relay, error) {
	r := &Relay{Config: c, freed: make(chan struct{}, 1), first: make(chan struct{}, 1), sinkFor: sinkFor,
		lanes: map[ledger.Lane]lane{ledger.ToFlows: make(lane, signals), ledger.ToSystems: make(lane, webhooks)},
		client: &http.Client{Timeout: webhookFor,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	if c.Sink != nil {
		r.lanes[ledger.ToSink] = make(lane, sinks)
	}
	if c.Secret == "" {
		return r, nil
	}
	var err error
	if r.signer, err = standardwebhooks.NewWebhook(c.Secret); err != nil {
		return nil, errors.New("it is no Standard Webhooks secret: write whsec_ and base64")
	}
	return r, nil
}

// Run delivers until ctx ends, then lets deliveries under way finish.
func (r *Relay) Run(ctx context.Context) error {
	defer r.finish(context.WithoutCancel(ctx))
	r.stopping = ctx.Done()
	for ctx.Err() == nil {
		wait, err := r.round(ctx)
		if err != nil && ctx.Err() == nil {
			r.Logger.Warn("the ledger could not be asked what is due", zap.Error(err))
			wait = time.Second
		}
		r.rest(ctx, wait)
	}
	return nil
}

// rest waits for so long, or until there is something to do.
func (r *Relay) rest(ctx context.Context, wait time.Duration) {
	end := time.Now().Add(wait)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-r.first:
			timer.Reset(min(time.Until(end), settleWithin))
			continue
		case <-ctx.Done():
		case <-r.Ledger.Changed():
		case <-r.freed:
		case <-timer.C:
		}
		return
	}
}

// finish waits for deliveries under way and writes them down: those that were made already at once, for others may take a while.
func (r *Relay) finish(ctx context.Context) {
	r.writeDown(ctx)
	r.out.Wait()
	r.writeDown(ctx)
}

func (r *Relay) writeDown(ctx context.Context) {
	made := r.made()
	if len(made) == 0 {
		return
	}
	if _, _, err := r.Ledger.Exchange(ctx, made, nil); err != nil {
		r.Logger.Warn("deliveries could not be written down and will be made again", zap.Int("deliveries", len(made)), zap.Error(err))
	}
}

// round writes down what was delivered, hands out what is due, no more than there are slots for, and returns how long there is nothing
// to do. What a tick makes due is said by Changed.
func (r *Relay) round(ctx context.Context) (time.Duration, error) {
	room := make(map[ledger.Lane]int, len(r.lanes))
	for to, l := range r.lanes {
		room[to] = l.free()
	}
	made := r.made()
	due, agenda, err := r.Ledger.Exchange(ctx, made, room)
	if err != nil {
		r.unwritten(made)
		return 0, err
	}
	for _, d := range due {
		r.hand(ctx, d)
	}
	full := false
	for to, l := range r.lanes { // what a sink may have is not in the agenda, and its end is said
		full = full || to != ledger.ToSink && l.free() == 0
	}
	next := agenda.Next
	if agenda.Tick {
		if next, err = r.Ledger.Tick(ctx); err != nil {
			return 0, err
		}
	}
	switch {
	case full:
		return lookFull, nil
	case next.IsZero():
		return lookAtLeast, nil
	}
	return min(max(time.Until(next), time.Millisecond), lookAtLeast), nil
}

// hand lets a delivery be made, in a slot that is free.
func (r *Relay) hand(ctx context.Context, d ledger.Delivery) {
	l := r.lanes[d.Lane()]
	l <- struct{}{}
	r.out.Go(func() {
		defer r.release(l)
		r.deliver(context.WithoutCancel(ctx), d)
	})
}

// release gives a slot back. While a lane is full nothing is asked for it, so that the end of that is said.
func (r *Relay) release(l lane) {
	full := l.free() == 0
	<-l
	if full {
		say(r.freed)
	}
}

func say(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// settle has a delivery written down with the next round, which is soon. Should that never come, it is made again.
func (r *Relay) settle(d ledger.Delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.settled) == 0 {
		say(r.first)
	}
	r.settled = append(r.settled, d)
}

// made takes what is to be written down.
func (r *Relay) made() []ledger.Delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.first:
	default:
	}
	made := r.settled
	r.settled = nil
	return made
}

// unwritten gives back what could not be written down, for the next round.
func (r *Relay) unwritten(made []ledger.Delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settled = append(made, r.settled...)
}

// deliver makes one delivery and writes down what came of it: at once, unless it may be made again without harm, as to a flow.
func (r *Relay) deliver(ctx context.Context, d ledger.Delivery) {
	gone, err := r.send(ctx, d)
	if err == nil && !gone && d.Lane() == ledger.ToFlows {
		r.settle(d)
		return
	}
	log := r.Logger.With(zap.String("workflow_id", d.WorkflowID), zap.Int("try", d.Tries+1))
	switch {
	case errors.Is(err, errLeft):
		log.Warn("a delivery was left alone", zap.Error(err))
		return
	case err == nil:
		if gone {
			log.Info("nobody is there any more for a delivery")
		}
		err = r.Ledger.Delivered(ctx, d, gone)
	default:
		pause := r.pause(d)
		log.Warn("a delivery failed", zap.Error(loggable(d, err)), zap.Duration("again_in", pause))
		err = r.Ledger.Failed(ctx, d, onOneLine(err), pause)
	}
	if err != nil {
		log.Warn("a delivery could not be written down and will be made again", zap.Error(err))
	}
}

// loggable is what a log may say of a failure. What a sink says may hold anything, and is known to who asks for it.
func loggable(d ledger.Delivery, err error) error {
	if d.Story != nil {
		return errors.New("the sink has not taken an escalation: redial escalations list --undelivered says why")
	}
	return err
}

// longestError is how much of an error is kept, in bytes.
const longestError = 500

func onOneLine(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	return strings.ToValidUTF8(text[:min(len(text), longestError)], "")
}

// pause is the wait after a failed delivery: it doubles from half a second. A flow is told within half a minute of its
// server's return; somebody else's system is asked for days, at last every hour.
func (r *Relay) pause(d ledger.Delivery) time.Duration {
	longest := 15 * time.Second
	if d.Webhook != nil || d.Story != nil {
		longest = time.Hour
	}
	return min(500*time.Millisecond<<min(d.Tries, 20), longest)
}

// send delivers. It is gone when there is no such run any more.
func (r *Relay) send(ctx context.Context, d ledger.Delivery) (gone bool, err error) {
	switch {
	case d.Webhook != nil:
		return false, r.post(ctx, *d.Webhook)
	case d.Story != nil:
		return false, r.escalate(ctx, d)
	}
	ctx, cancel := context.WithTimeout(ctx, signalFor)
	defer cancel()
	signal, arg := signalOf(d)
	err = r.Flows.SignalWorkflow(ctx, d.WorkflowID, "", signal, arg)
	var notFound *serviceerror.NotFound
	if errors.As(err, &notFound) {
		return true, nil
	}
	return false, err
}

// signalOf is the signal of a delivery to a flow, with what it carries.
func signalOf(d ledger.Delivery) (name string, arg any) {
	switch {
	case d.Wake && (d.Recheck || d.Replan):
		return workflows.SignalWake, workflows.Wake{Recheck: d.Recheck, Replan: d.Replan}
	case d.Wake:
		return workflows.SignalWake, nil
	case d.Result != nil:
		return workflows.SignalResult, d.Result
	}
	return workflows.SignalAttempt, d.Attempt
}

// post sends one webhook, signed the Standard Webhooks way. Any 2xx takes it.
func (r *Relay) post(ctx context.Context, w ledger.Webhook) error {
	if r.signer == nil {
		return errors.New("there is no secret to sign the webhook with: set REDIAL_ESCALATION_SECRET")
	}
	now := time.Now()
	signature, err := r.signer.Sign(w.ID, now, w.Body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(w.Body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "redial")
	request.Header.Set(standardwebhooks.HeaderWebhookID, w.ID)
	request.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	request.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	response, err := r.client.Do(request)
	if err != nil {
		// Without the URL, which may hold a receiver's secret, and is known to who asks for it.
		var u *url.Error
		if errors.As(err, &u) {
			return u.Err
		}
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("the receiver answered %s", response.Status)
	}
	return nil
}
