package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

	"redial/activities"
	"redial/call"
	"redial/internal/devserver"
	"redial/internal/logging"
	"redial/internal/notify"
	"redial/internal/postgres"
	"redial/internal/serve"
	"redial/internal/temporalserver"
	"redial/internal/token"
	"redial/koreai"
	"redial/ledger"
	"redial/relay"
	"redial/simulator"
	"redial/starter"
	"redial/webhook"
	"redial/worker"
	"redial/workflows"
)

// caller is the number that calls are placed from.
const caller = "+12025550100"

// product is worker, webhook and relay in this process, with a simulated gateway: on SQLite as `redial dev` runs them, with a dev
// server on a database file; on PostgreSQL as roles apart are, with Temporal's server and the ledger in databases of one server.
type product struct {
	bench     *bench
	folder    string
	postgres  *postgres.Server // nil on SQLite
	temporal  engine
	client    client.Client
	simulator *simulator.Simulator
	gateway   *koreai.Client
	address   string         // of the ledger
	ledger    *ledger.Ledger // the worker's
	hears     *ledger.Ledger // the webhook's and the relay's: on SQLite the same, since a file has one owner
	starter   starter.Starter
	log       *zap.Logger
	logFile   *os.File

	stops []func() error // in the order in which they were started
}

// engine is a Temporal server.
type engine interface {
	Address() string
	Pid() int
	Stop(context.Context) error
}

// productOptions say what a product is to carry.
type productOptions struct {
	name      string // of its folder
	on        database
	lines     int
	rate      int
	window    time.Duration
	simulator simulator.Config
}

// startProduct starts everything, or nothing.
func (b *bench) startProduct(ctx context.Context, o productOptions) (p *product, err error) {
	p = &product{bench: b}
	if p.folder, err = b.subfolder(o.name); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	for _, start := range []func(context.Context, productOptions) error{p.startLog, p.startSimulator, p.startPostgres, p.startTemporal, p.startLedger, p.startRoles} {
		if err := start(ctx, o); err != nil {
			return p, err
		}
	}
	return p, nil
}

// close stops what was started, the last first.
func (p *product) close() error {
	var err error
	for i := len(p.stops) - 1; i >= 0; i-- {
		err = errors.Join(err, p.stops[i]())
	}
	p.stops = nil
	return err
}

func (p *product) onClose(stop func() error) { p.stops = append(p.stops, stop) }

func (p *product) startLog(context.Context, productOptions) (err error) {
	if p.logFile, err = os.Create(filepath.Join(p.folder, "redial.log")); err != nil {
		return err
	}
	p.onClose(p.logFile.Close)
	p.log, err = logging.New("info", p.logFile)
	return err
}

func (p *product) startSimulator(ctx context.Context, o productOptions) (err error) {
	if p.simulator, err = simulator.New(o.simulator); err != nil {
		return err
	}
	listener, err := listen()
	if err != nil {
		return err
	}
	p.onClose(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return p.simulator.Close(ctx)
	})
	p.background(ctx, func(ctx context.Context) error { return serve.Run(ctx, listener, p.simulator.Handler(), zap.NewNop()) })
	p.gateway, err = koreai.New(koreai.Config{BaseURL: "http://" + listener.Addr().String(), BotID: simulator.DefaultBotID,
		ClientID: simulator.DefaultClientID, ClientSecret: simulator.DefaultClientSecret, ResponseTimeout: activities.ResponseTimeout})
	return err
}

func (p *product) startPostgres(ctx context.Context, o productOptions) (err error) {
	if o.on != postgreSQL {
		return nil
	}
	if p.postgres, err = p.bench.startPostgres(ctx, p.folder); err != nil {
		return err
	}
	p.onClose(stopping(p.postgres))
	return nil
}

// startTemporal starts a server as the product has it, and connects to it.
func (p *product) startTemporal(ctx context.Context, _ productOptions) (err error) {
	start := p.startDevServer
	if p.postgres != nil {
		start = p.startCluster
	}
	if err := start(ctx); err != nil {
		return err
	}
	p.onClose(stopping(p.temporal))
	p.client, err = client.DialContext(ctx, client.Options{HostPort: p.temporal.Address(), Logger: logging.ForTemporal(p.log.Named("temporal"))})
	if err != nil {
		return err
	}
	p.onClose(func() error { p.client.Close(); return nil })
	p.starter = starter.Starter{Client: p.client}
	if p.postgres != nil {
		return p.registerAttributes(ctx)
	}
	return nil
}

// startDevServer starts the dev server on a file.
func (p *product) startDevServer(ctx context.Context) error {
	attributes := map[string]string{}
	for _, key := range workflows.SearchAttributes() {
		attributes[key.GetName()] = key.GetValueType().String()
	}
	server, err := devserver.Start(ctx, devserver.Options{DatabaseFile: filepath.Join(p.folder, "temporal.db"),
		LogFile: filepath.Join(p.folder, "temporal.log"), SearchAttributes: attributes})
	p.temporal = server
	return err
}

// startCluster starts the server that a cluster has.
func (p *product) startCluster(ctx context.Context) error {
	server, err := temporalserver.Start(ctx, temporalserver.Options{Postgres: p.postgres.URL("postgres"), Folder: p.folder,
		LogFile:       filepath.Join(p.folder, "temporal.log"),
		DynamicConfig: map[string]any{"system.forceSearchAttributesCacheRefreshOnRead": false}}) // as in a deployment
	p.temporal = server
	return err
}

func (p *product) registerAttributes(ctx context.Context) error {
	attributes := map[string]enumspb.IndexedValueType{}
	for _, key := range workflows.SearchAttributes() {
		attributes[key.GetName()] = key.GetValueType()
	}
	_, err := p.client.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
		Namespace: client.DefaultNamespace, SearchAttributes: attributes})
	if err != nil {
		return err
	}
	select { // each service of the server goes by what it has read for so long
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Minute + 5*time.Second):
		return nil
	}
}

func (p *product) startLedger(ctx context.Context, o productOptions) (err error) {
	p.address = "sqlite:" + filepath.Join(p.folder, "redial.db")
	if p.postgres != nil {
		p.address = p.postgres.URL(ledgerDatabase)
		if err := p.postgres.CreateDatabase(ctx, ledgerDatabase, ""); err != nil {
			return err
		}
	}
	if p.ledger, err = p.openLedger(ctx); err != nil {
		return err
	}
	p.hears = p.ledger
	if p.postgres != nil {
		if p.hears, err = p.openLedger(ctx); err != nil {
			return err
		}
	}
	return p.ledger.SetLimits(ctx, o.lines, o.rate, o.window)
}

func (p *product) openLedger(ctx context.Context) (*ledger.Ledger, error) {
	l, err := ledger.Open(ctx, p.address, ledger.Options{Owner: true, Migrate: true})
	if err == nil {
		p.onClose(l.Close)
	}
	return l, err
}

func (p *product) startRoles(ctx context.Context, _ productOptions) error {
	listener, err := listen()
	if err != nil {
		return err
	}
	keys, urls, err := notifyKeys("http://" + listener.Addr().String())
	if err != nil {
		return err
	}
	r, err := relay.New(relay.Config{Ledger: p.hears, Flows: p.client, Logger: p.log.Named("relay")})
	if err != nil {
		return err
	}
	w := webhook.New(webhook.Config{Ledger: p.hears, Tokens: keys, ResultTokens: keys.For(token.Result), Logger: p.log.Named("webhook")})
	p.background(ctx, r.Run)
	p.background(ctx, func(ctx context.Context) error { return serve.Run(ctx, listener, w, p.log) })
	p.background(ctx, func(ctx context.Context) error {
		return worker.New(worker.Config{Client: p.client, Logger: p.log.Named("worker"), Activities: &activities.Activities{
			Ledger: p.ledger, Gateway: p.gateway, NotifyURLs: urls, Caller: caller}}).Run(ctx)
	})
	return nil
}

// background runs a part until the product is closed.
func (p *product) background(ctx context.Context, run func(context.Context) error) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var done sync.WaitGroup
	var err error
	done.Go(func() { err = run(ctx) })
	p.onClose(func() error {
		stop()
		done.Wait()
		return err
	})
}

// call starts the standard flow for a contact and waits for its result.
func (p *product) call(ctx context.Context, in workflows.Input) (starter.Call, call.Result, error) {
	started, err := p.starter.Call(ctx, workflows.NameOutboundCall, in)
	if err != nil {
		return started, call.Result{}, err
	}
	result, err := p.starter.Result(ctx, started)
	return started, result, err
}

// events counts the events of a run's history.
func (p *product) events(ctx context.Context, c starter.Call) (n int, err error) {
	for i := p.client.GetWorkflowHistory(ctx, c.WorkflowID, c.RunID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); i.HasNext(); n++ {
		if _, err := i.Next(); err != nil {
			return n, err
		}
	}
	return n, nil
}

func listen() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }

// notifyKeys are fresh keys, and the notify URLs that they sign.
func notifyKeys(base string) (token.Keys, notify.URLs, error) {
	keys, err := token.ParseKeys(rand.Text())
	if err != nil {
		return keys, notify.URLs{}, err
	}
	urls, err := notify.NewURLs(base, keys)
	return keys, urls, err
}

// target is the n-th of eight million numbers, all different.
func target(n int) call.Target { return call.Target{URI: fmt.Sprintf("tel:+1202%07d", 2_000_000+n)} }
