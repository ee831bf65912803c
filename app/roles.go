package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

	"redial/activities"
	"redial/followup"
	"redial/internal/config"
	"redial/internal/logging"
	"redial/internal/serve"
	"redial/internal/token"
	"redial/koreai"
	"redial/ledger"
	"redial/relay"
	"redial/webhook"
	"redial/worker"
)

// product is the whole product in one process: worker, webhook and relay on one ledger.
type product struct {
	config config.Config
	client client.Client
	ledger *ledger.Ledger

	worker  *worker.Worker
	hearing *hearing
}

// newProduct checks everything that can be checked before anything is dialed, and opens the ledger.
func newProduct(ctx context.Context, c config.Config, temporal connection, log *zap.Logger) (*product, error) {
	dials, err := dialing(c)
	if err != nil {
		return nil, err
	}
	keys, err := c.NotifyKeys()
	if err != nil {
		return nil, err
	}
	p := &product{config: c, client: temporal.Client}
	if p.ledger, err = ownLedger(ctx, c); err != nil {
		return nil, err
	}
	h := newHome(temporal, c, p.ledger)
	if err = h.join(ctx); err == nil {
		p.hearing, err = newHearing(ctx, c, keys, h, log)
	}
	if err == nil {
		p.worker, err = newWorker(ctx, c, dials, temporal.Client, p.ledger, log)
	}
	if err != nil {
		return nil, errors.Join(err, p.ledger.Close())
	}
	return p, nil
}

// run works until ctx ends, then stops in an order in which nothing is lost: no new dials, then no new notifications,
// then what is owed stays owed, on disk.
func (p *product) run(ctx context.Context, listener net.Listener) error {
	hears := runPart(ctx, func(ctx context.Context) error { return p.hearing.run(ctx, listener, 0) })
	working, stopWorking := untilEnded(ctx, hears)
	defer stopWorking()
	err := p.worker.Run(working)
	return errors.Join(err, hears.close(), p.ledger.Close())
}

// untilEnded is a context that ends with ctx, or when the part has ended by itself.
func untilEnded(ctx context.Context, p *part) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancel(ctx)
	go func() {
		select {
		case <-ctx.Done():
		case <-p.done:
			stop()
		}
	}()
	return ctx, stop
}

// dialing is what a worker's settings give it: the gateway's account, the URLs at which the gateway reports, and the
// version that its flows run under.
func dialing(c config.Config) (w worker.Config, err error) {
	gateway, err := newGateway(c)
	if err != nil {
		return w, err
	}
	urls, err := c.NotifyURLs()
	if err != nil {
		return w, err
	}
	w.Activities = &activities.Activities{Gateway: gateway, NotifyURLs: urls, Caller: c.KoreCaller, Trunk: c.KoreTrunk}
	w.Deployment, err = deployment(c)
	return w, err
}

// deployment is the version of a worker deployment that this process runs, if one is named.
func deployment(c config.Config) (worker.Deployment, error) {
	if c.Deployment == "" {
		return worker.Deployment{}, nil
	}
	d := worker.Deployment{Name: string(c.Deployment), BuildID: cmp.Or(c.BuildID, thisBuild().ID), Pinned: c.Versioning == config.Pinned,
		UpgradeAtWait: c.Versioning == config.UpgradeAtWait}
	if d.BuildID == "" {
		return d, &config.Error{Variable: "REDIAL_BUILD_ID", Problem: "it is missing, REDIAL_DEPLOYMENT is set, and this binary does not say " +
			"what it was built from; give the revision of its sources"}
	}
	return d, nil
}

// newWorker makes a worker on a ledger, whose limits become this process's.
func newWorker(ctx context.Context, c config.Config, w worker.Config, temporal client.Client, l *ledger.Ledger, log *zap.Logger) (*worker.Worker, error) {
	if err := setLimits(ctx, c, l, log); err != nil {
		return nil, err
	}
	if strings.HasSuffix(w.Deployment.BuildID, dirty) {
		log.Warn("this build was made from changed sources: another one with the same id may differ; set REDIAL_BUILD_ID",
			zap.String("build", w.Deployment.BuildID))
	}
	w.Client, w.Activities.Ledger, w.Logger, w.Flows = temporal, l, log.Named("worker"), flowsOf(ctx)
	return worker.New(w), nil
}

// ceilings are the deployment's limits on the calls to a number.
func ceilings(c config.Config) []followup.Limit {
	var limits []followup.Limit
	for _, ceiling := range c.Ceilings {
		limits = append(limits, followup.Limit{Calls: ceiling.Calls, Per: followup.Span{For: followup.Duration(ceiling.Per), Day: ceiling.Day}})
	}
	return limits
}

// setLimits makes the settings the account's limits. Two workers with different settings would take turns at that, and nobody would
// know which hold.
func setLimits(ctx context.Context, c config.Config, l *ledger.Ledger, log *zap.Logger) error {
	before, err := l.Capacity(ctx)
	if err != nil {
		return err
	}
	rate := config.Rate{N: before.Rate.Limit, Per: time.Duration(before.Rate.Window * float64(time.Second))}
	if before.Lines.Limit != 0 && (before.Lines.Limit != int(c.MaxCalls) || rate != c.DialRate) {
		log.Warn("the limits of the account change: give all workers the same REDIAL_MAX_CALLS and REDIAL_DIAL_RATE",
			zap.Int("lines_before", before.Lines.Limit), zap.Int("lines", int(c.MaxCalls)),
			zap.Stringer("rate_before", rate), zap.Stringer("rate", c.DialRate))
	}
	return l.SetLimits(ctx, int(c.MaxCalls), c.DialRate.N, c.DialRate.Per)
}

// hearing is what hears the gateway and tells the flows: the webhook, the relay and the sweeper. It knows no credentials of
// the gateway.
type hearing struct {
	webhook *webhook.Webhook
	relay   *relay.Relay
	sweeper relay.Sweeper
	home    *home
	log     *zap.Logger
}

func newHearing(ctx context.Context, c config.Config, keys token.Keys, h *home, log *zap.Logger) (*hearing, error) {
	r, err := relay.New(relay.Config{Ledger: h.ledger, Flows: h, Logger: log.Named("relay"), Secret: c.EscalationSecret, Sink: sinkOf(ctx)})
	if err != nil {
		return nil, &config.Error{Variable: "REDIAL_ESCALATION_SECRET", Problem: err.Error()}
	}
	w := webhook.New(webhook.Config{Ledger: h.ledger, Tokens: keys, ResultTokens: keys.For(token.Result), Zone: c.KoreTimezone.Location, Logger: log.Named("webhook"),
		SignatureSecret: []byte(c.KoreSignature), TrustedProxies: c.TrustedProxies})
	return &hearing{webhook: w, relay: r, sweeper: relay.Sweeper{Ledger: h.ledger, Runs: h, Logger: log.Named("sweeper")}, home: h, log: log}, nil
}

// run hears and tells until ctx ends. Then it says that it is not ready and goes on for the delay, in which proxies are to
// notice that; then it lets requests and deliveries under way finish. What is still owed stays owed, on disk. In a namespace that
// turns out not to be the ledger's it ends by itself.
func (h *hearing) run(ctx context.Context, listener net.Listener, delay time.Duration) error {
	server := runPart(ctx, func(ctx context.Context) error { return serve.Run(ctx, listener, h.webhook, h.log) })
	relaying, sweeping := runPart(ctx, h.relay.Run), runPart(ctx, h.sweeper.Run)
	guarding := runPart(ctx, func(ctx context.Context) error { return h.home.guard(ctx, h.log) })
	select {
	case <-ctx.Done():
		h.webhook.Drain()
		select {
		case <-time.After(delay):
		case <-server.done:
		}
	case <-server.done:
	case <-guarding.done:
	}
	server.stop()
	relaying.stop()
	sweeping.stop()
	return errors.Join(guarding.close(), server.close(), relaying.close(), sweeping.close())
}

// openLedger opens the ledger that the settings name. Where that fails the setting is wrong, unless another process owns
// the file, or the server is away.
func openLedger(ctx context.Context, c config.Config, o ledger.Options) (*ledger.Ledger, error) {
	l, err := ledger.Open(ctx, c.Database, o)
	if err != nil && !errors.Is(err, ledger.ErrOwned) && !errors.Is(err, ledger.ErrAway) && ctx.Err() == nil {
		err = usageError{err}
	}
	return l, err
}

// ownLedger opens the ledger for a role.
func ownLedger(ctx context.Context, c config.Config) (*ledger.Ledger, error) {
	return openLedger(ctx, c, ledger.Options{Owner: true, Allow: c.AllowTo.Allows, Ceilings: ceilings(c)})
}

// newGateway is the client of the gateway's account, whose caller is checked with it.
func newGateway(c config.Config) (*koreai.Client, error) {
	g, err := koreai.New(koreai.Config{BaseURL: c.KoreBaseURL, BotID: c.KoreBotID, ClientID: c.KoreClientID,
		ClientSecret: c.KoreClientSecret, API: koreai.API(c.KoreAPI), ResponseTimeout: activities.ResponseTimeout})
	var field *koreai.FieldError
	if errors.As(err, &field) {
		variable := map[string]string{"BaseURL": "KORE_BASE_URL", "BotID": "KORE_BOT_ID", "ClientID": "KORE_CLIENT_ID",
			"ClientSecret": "KORE_CLIENT_SECRET", "API": "KORE_API"}[field.Field]
		problem := field.Problem
		if !strings.HasPrefix(problem, `"`) { // else it names the value itself
			problem = "it " + problem
		}
		return nil, &config.Error{Variable: variable, Problem: problem}
	}
	if err == nil && c.KoreCaller == "" {
		err = &config.Error{Variable: "KORE_CALLER", Problem: "it is missing; give the number of the experience flow that calls"}
	}
	return g, err
}

// joinTemporal connects a role that hosts flows, in a namespace that is prepared for them.
func joinTemporal(ctx context.Context, log *zap.Logger) (connection, error) {
	o, err := temporalOptions()
	if err != nil {
		return connection{}, err
	}
	temporal, err := connect(ctx, o, logging.ForTemporal(log.Named("temporal")))
	if err != nil {
		return connection{}, err
	}
	if err := attributesReady(ctx, temporal); err != nil {
		temporal.Close()
		return connection{}, err
	}
	return temporal, nil
}

// lazyTemporal is a client that connects when it is first needed.
func lazyTemporal(_ context.Context, log *zap.Logger) (connection, error) {
	o, err := temporalOptions()
	if err != nil {
		return connection{}, err
	}
	o.Logger = logging.ForTemporal(log.Named("temporal"))
	temporal, err := client.NewLazyClient(o)
	if err != nil {
		return connection{}, usagef("Temporal's settings (TEMPORAL_*): %w", err)
	}
	return connectedBy(temporal, o), nil
}

// attributesReady refuses to work in a namespace that redial setup has not been run for: flows would get stuck there.
func attributesReady(ctx context.Context, c connection) error {
	missing, err := missingAttributes(ctx, c)
	if err != nil {
		return err
	}
	for name := range missing {
		return fmt.Errorf("namespace %s does not know the search attribute %s: run redial setup", c.namespace, name)
	}
	return nil
}

// sayStopping says once that the role was told to stop, and how long that may take.
func sayStopping(ctx context.Context, log *zap.Logger, within time.Duration) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		log.Info("stopping: what is under way is finished; a second signal ends at once", zap.Duration("within", within))
	})
}

// role is a part of a deployment that runs in a process of its own.
type role struct {
	name              string
	address, variable string // where it listens, and the setting that says so
	connect           func(context.Context, *zap.Logger) (connection, error)
	stopsWithin       time.Duration
	// prepare makes what runs until its context ends. What it knows of itself is told to the log.
	prepare func(context.Context, *home) (run func(context.Context, net.Listener) error, about []zap.Field, err error)
}

// runRole runs a role until ctx ends.
func runRole(ctx context.Context, cfg config.Config, log *zap.Logger, r role) (err error) {
	if err := cfg.SharedDatabase(); err != nil {
		return err
	}
	temporal, err := r.connect(ctx, log)
	if err != nil {
		return err
	}
	defer temporal.Close()
	l, err := ownLedger(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	listener, err := serve.Listen(r.address, r.variable)
	if err != nil {
		return err
	}
	run, about, err := r.prepare(ctx, newHome(temporal, cfg, l))
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer sayStopping(ctx, log, r.stopsWithin)()
	log.With(about...).Info(r.name, zap.String("address", listener.Addr().String()), zap.String("ledger", ledger.Name(cfg.Database)),
		zap.String("temporal", temporal.address))
	err = run(ctx, listener)
	log.Info("stopped", zap.Error(err))
	return err
}
