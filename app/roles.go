package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

	"redial/activities"
	"redial/internal/config"
	"redial/internal/serve"
	"redial/koreai"
	"redial/ledger"
	"redial/relay"
	"redial/webhook"
	"redial/worker"
)

// product is the whole product in one process: worker, webhook and relay on one ledger.
type product struct {
	config config.Config
	log    *zap.Logger
	client client.Client

	ledger  *ledger.Ledger
	gateway activities.Gateway
	urls    activities.NotifyURLs
	webhook *webhook.Webhook
	relay   *relay.Relay
}

// newProduct checks everything that can be checked before anything is dialed, and opens the ledger.
func newProduct(ctx context.Context, c config.Config, temporal client.Client, log *zap.Logger) (*product, error) {
	gateway, err := newGateway(c)
	if err != nil {
		return nil, err
	}
	urls, err := c.NotifyURLs()
	if err != nil {
		return nil, err
	}
	keys, err := c.NotifyKeys()
	if err != nil {
		return nil, err
	}
	p := &product{config: c, log: log, client: temporal, gateway: gateway, urls: urls}
	if p.ledger, err = openLedger(ctx, c, ledger.Options{Owner: true, Allow: c.AllowTo.Allows}); err != nil {
		return nil, err
	}
	if err := p.ledger.SetLimits(ctx, int(c.MaxCalls), c.DialRate.N, c.DialRate.Per); err != nil {
		return nil, errors.Join(err, p.ledger.Close())
	}
	p.webhook = webhook.New(webhook.Config{Ledger: p.ledger, Tokens: keys, Zone: c.KoreTimezone.Location, Logger: log.Named("webhook"),
		SignatureSecret: []byte(c.KoreSignature)})
	p.relay, err = relay.New(relay.Config{Ledger: p.ledger, Flows: temporal, Logger: log.Named("relay"), Secret: c.EscalationSecret})
	if err != nil {
		return nil, errors.Join(&config.Error{Variable: "REDIAL_ESCALATION_SECRET", Problem: err.Error()}, p.ledger.Close())
	}
	return p, nil
}

// openLedger opens the ledger that the settings name. Where that fails the setting is wrong, unless another process owns
// the file.
func openLedger(ctx context.Context, c config.Config, o ledger.Options) (*ledger.Ledger, error) {
	l, err := ledger.Open(ctx, c.Database, o)
	if err != nil && !errors.Is(err, ledger.ErrOwned) && ctx.Err() == nil {
		err = usageError{err}
	}
	return l, err
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

// run works until ctx ends, then stops in an order in which nothing is lost: no new dials, then no new notifications,
// then what is owed stays owed, on disk.
func (p *product) run(ctx context.Context, listener net.Listener) error {
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	working, stopWorking := context.WithCancel(ctx)
	defer stopWorking()
	served := make(chan error, 3)
	go func() {
		err := serve.Run(serving, listener, p.webhook, p.log)
		stopWorking()
		served <- err
	}()
	go func() { served <- p.relay.Run(serving) }()
	sweeper := relay.Sweeper{Ledger: p.ledger, Runs: p.client, Logger: p.log.Named("sweeper")}
	go func() { served <- sweeper.Run(serving) }()

	err := worker.Run(working, worker.Config{Client: p.client, Activities: &activities.Activities{
		Ledger: p.ledger, Gateway: p.gateway, NotifyURLs: p.urls, Caller: p.config.KoreCaller, Trunk: p.config.KoreTrunk}})
	p.webhook.Drain()
	stopServing()
	err = errors.Join(err, <-served, <-served, <-served)
	return errors.Join(err, p.ledger.Close())
}

// attributesReady refuses to work in a namespace that redial setup has not been run for: flows would get stuck there.
func attributesReady(ctx context.Context, c client.Client, namespace string) error {
	missing, err := missingAttributes(ctx, c, namespace)
	if err != nil {
		return err
	}
	for name := range missing {
		return fmt.Errorf("namespace %s does not know the search attribute %s: run redial setup", namespace, name)
	}
	return nil
}
