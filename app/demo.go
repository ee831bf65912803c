package app

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/spf13/cobra"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.uber.org/zap"

	"redial/call"
	"redial/followup"
	"redial/internal/config"
	"redial/internal/devserver"
	"redial/internal/logging"
	"redial/internal/serve"
	"redial/ledger"
	"redial/phone"
	"redial/simulator"
	"redial/starter"
	"redial/workflows"
)

//go:embed demo.yaml
var demoPolicy []byte

const (
	demoCampaign = "demo"
	demoLines    = 8
	demoHour     = time.Second // what an hour of the policy takes
	demoSpeed    = 20          // of the simulated gateway's clock
	demoFor      = 3 * time.Minute
)

func demoCommand() *cobra.Command {
	var keep, asJSON bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "See the whole product at work on this machine, in under a minute",
		Long: `Call some thirty invented people through a simulated voice gateway: every way in which a call can end, and what goes wrong
on a wire. An hour of the policy passes in a second. Temporal's dev server, the gateway and all roles run in this
process and on this machine only; KORE_* is ignored, and no phone can ring.`,
		Example: `  redial demo
  redial demo --keep     (stay up, to look around in the Temporal UI)`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			o := demoOptions{keep: keep, out: c.OutOrStdout()}
			if asJSON {
				o.out, o.json = c.ErrOrStderr(), c.OutOrStdout()
			}
			return runDemo(c.Context(), o)
		},
	}
	c.Flags().BoolVar(&keep, "keep", false, "stay up afterwards, until Ctrl-C")
	c.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	return c
}

type demoOptions struct {
	keep bool
	out  io.Writer // for people
	json io.Writer // for programs; nil: they are not served
}

// demo is a running demo.
type demo struct {
	*local
	simulator *simulator.Simulator
	receiver  *receiver
	folder    string
	startedAt time.Time
}

func runDemo(ctx context.Context, o demoOptions) (err error) {
	fmt.Fprintln(o.out, "Starting Temporal's dev server, a simulated voice gateway, worker, webhook and relay…")
	d, err := startDemo(ctx)
	if err != nil {
		return unlessInterrupted(ctx, err)
	}
	defer func() { err = errors.Join(err, d.close(o.keep)) }()
	fmt.Fprintf(o.out, "Temporal UI: %s\n\n", d.temporal.UIURL())
	b := newBoard(o.out, len(demoContacts))
	contacts, err := d.play(ctx, b)
	if err != nil {
		return unlessInterrupted(ctx, err)
	}
	return d.report(ctx, o, b, contacts)
}

// startDemo starts everything in a folder of its own, on ports of its own.
func startDemo(ctx context.Context) (*demo, error) {
	folder, err := os.MkdirTemp("", "redial-demo-")
	if err != nil {
		return nil, err
	}
	d := &demo{folder: folder, startedAt: time.Now()}
	if err := d.start(ctx); err != nil {
		return nil, errors.Join(err, d.close(false))
	}
	return d, nil
}

func (d *demo) start(ctx context.Context) (err error) {
	logFile, err := os.Create(filepath.Join(d.folder, "redial.log"))
	if err != nil {
		return err
	}
	log, err := logging.New("info", logFile)
	if err != nil {
		return err
	}
	if d.simulator, err = simulator.New(simulator.Config{Speed: demoSpeed, Dialect: simulator.Mixed, Logger: log.Named("simulator")}); err != nil {
		return err
	}
	for _, c := range demoContacts {
		if err := d.simulator.Script(c.number, c.script); err != nil {
			return err
		}
	}
	cfg, err := config.From(map[string]string{
		"REDIAL_DATABASE":  "sqlite:" + filepath.Join(d.folder, "redial.db"),
		"REDIAL_MAX_CALLS": fmt.Sprint(demoLines),
		"REDIAL_CEILINGS":  "none", // its days are seconds
		"REDIAL_DIAL_RATE": "600/1m",
	})
	if err != nil {
		return err
	}
	d.local, err = startLocal(withSink(ctx, nil), localOptions{ // nobody is told of invented people
		config: cfg, simulator: d.simulator, simulatorAddr: "127.0.0.1:0", webhookAddr: "127.0.0.1:0", log: log,
		temporal: devserver.Options{DatabaseFile: filepath.Join(d.folder, "temporal.db"), LogFile: filepath.Join(d.folder, "temporal.log")},
	})
	if err != nil {
		return err
	}
	d.receiver, err = startReceiver(ctx, d.config.EscalationSecret)
	return err
}

func (d *demo) close(keepFiles bool) error {
	var err error
	if d.local != nil {
		err = d.local.Close()
	}
	if d.receiver != nil {
		err = errors.Join(err, d.receiver.part.close())
	}
	if !keepFiles {
		err = errors.Join(err, os.RemoveAll(d.folder))
	}
	return err
}

// play starts the contacts and shows how they fare, until each has its outcome.
func (d *demo) play(ctx context.Context, b *board) ([]ledger.Summary, error) {
	ctx, cancel := context.WithTimeout(ctx, demoFor)
	defer cancel()
	policy, err := followup.Parse(demoPolicy)
	if err != nil {
		return nil, err
	}
	policy = policy.Scaled(float64(time.Hour) / float64(demoHour))
	policy.Escalate.Webhook = d.receiver.url
	s := starter.Starter{Client: d.client}
	for _, c := range demoContacts {
		to, err := phone.Parse(c.number, "")
		if err != nil {
			return nil, err
		}
		if _, err := s.Call(ctx, workflows.NameOutboundCall, workflows.Input{ContactID: c.id, Campaign: demoCampaign, To: to, Policy: policy,
			Metadata: map[string]any{"name": c.id}}); err != nil {
			return nil, err
		}
	}
	refresh := time.NewTicker(150 * time.Millisecond)
	defer refresh.Stop()
	broken := d.Broken()
	for {
		contacts, err := d.ledger.List(ctx, demoCampaign)
		if err != nil {
			return nil, err
		}
		b.draw(contacts, time.Since(d.startedAt))
		if finished(contacts) == len(demoContacts) {
			return contacts, nil
		}
		select {
		case <-refresh.C:
		case <-broken:
			return nil, errors.New("a part ended by itself")
		case <-ctx.Done():
			return nil, fmt.Errorf("after %s %d of %d contacts have their outcome: %w", demoFor, finished(contacts), len(demoContacts), ctx.Err())
		}
	}
}

func finished(contacts []ledger.Summary) int {
	n := 0
	for _, c := range contacts {
		if c.Outcome != "" {
			n++
		}
	}
	return n
}

// demoResult is the demo in numbers.
type demoResult struct {
	Contacts      map[call.Outcome]int `json:"contacts"`
	Dials         int                  `json:"dial_requests_in_the_ledger"`
	Received      int                  `json:"dial_requests_at_the_gateway"`
	Placed        int                  `json:"calls_placed"`
	Doubles       int                  `json:"attempts_dialed_twice"`
	MaxConcurrent int                  `json:"most_calls_at_once"`
	MaxPerNumber  int                  `json:"most_calls_at_once_to_one_number"`
	Escalations   int                  `json:"escalations_delivered_and_verified"`
	Seconds       float64              `json:"seconds"`
	TemporalUI    string               `json:"temporal_ui"`
	Runs          map[string]string    `json:"runs"`
}

// report says what came of it.
func (d *demo) report(ctx context.Context, o demoOptions, b *board, contacts []ledger.Summary) error {
	r, err := d.result(ctx, contacts)
	if err != nil {
		return err
	}
	printDemo(o.out, b, contacts, r)
	if o.json != nil {
		err = printJSON(o.json, r)
	}
	if err != nil || !o.keep {
		return err
	}
	fmt.Fprintf(o.out, "\nStaying up; files in %s. Ctrl-C stops everything.\n", d.folder)
	select {
	case <-ctx.Done():
		return nil
	case <-d.Broken():
		return errors.New("a part ended by itself")
	}
}

func (d *demo) result(ctx context.Context, contacts []ledger.Summary) (demoResult, error) {
	took := time.Since(d.startedAt)
	r := demoResult{Contacts: map[call.Outcome]int{}, Runs: map[string]string{}, Seconds: took.Seconds(), TemporalUI: d.temporal.UIURL()}
	for _, c := range contacts {
		r.Contacts[c.Outcome]++
		r.Runs[c.ContactID] = d.runURL(c.WorkflowID, c.FirstRunID)
	}
	// The last escalations may still be on their way.
	wait, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r.Escalations = d.receiver.await(wait, r.Contacts[call.OutcomeEscalated])
	var err error
	if r.Dials, err = d.ledger.Dials(ctx); err != nil {
		return r, err
	}
	stats := d.simulator.Stats()
	r.Received, r.Placed, r.Doubles = stats.Requests, stats.Launched, stats.DuplicateDials
	r.MaxConcurrent, r.MaxPerNumber = stats.MaxConcurrent, stats.MaxPerTarget
	return r, nil
}

// receiver stands for the system that people are told by: it takes escalations and checks their signatures.
type receiver struct {
	url  string
	part *part
	mu   sync.Mutex
	seen map[string]bool
	news chan struct{}
}

func startReceiver(ctx context.Context, secret string) (*receiver, error) {
	verifier, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{url: "http://" + listener.Addr().String() + "/escalations", seen: map[string]bool{}, news: make(chan struct{}, 1)}
	engine := gin.New()
	engine.POST("/escalations", func(c *gin.Context) {
		body, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, 1<<20))
		if err != nil || verifier.Verify(body, c.Request.Header) != nil {
			c.Status(http.StatusUnauthorized)
			return
		}
		var e followup.Escalated
		if json.Unmarshal(body, &e) != nil {
			c.Status(http.StatusBadRequest)
			return
		}
		r.take(e.WorkflowID)
		c.Status(http.StatusNoContent)
	})
	r.part = runPart(ctx, func(ctx context.Context) error { return serve.Run(ctx, listener, engine, zap.NewNop()) })
	return r, nil
}

func (r *receiver) take(workflowID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[workflowID] = true
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// await waits until n escalations have come, and returns how many have.
func (r *receiver) await(ctx context.Context, n int) int {
	for {
		r.mu.Lock()
		have := len(r.seen)
		r.mu.Unlock()
		if have >= n {
			return have
		}
		select {
		case <-r.news:
		case <-ctx.Done():
			return have
		}
	}
}
