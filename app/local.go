package app

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

	"redial/internal/config"
	"redial/internal/devserver"
	"redial/internal/logging"
	"redial/internal/serve"
	"redial/simulator"
	"redial/workflows"
)

// localOptions say how the product runs with everything it needs on this machine.
type localOptions struct {
	simulator     *simulator.Simulator // nil: the gateway that config names
	simulatorAddr string
	webhookAddr   string
	temporal      devserver.Options
	config        config.Config // where there is a simulator, its account is filled in
	log           *zap.Logger
	adopt         bool                                                                            // the ledger goes on in this server, whoever it was with
	product       func(context.Context, config.Config, connection, *zap.Logger) (*product, error) // nil: in one process
}

// local is the product with a Temporal dev server and, usually, a simulated gateway.
type local struct {
	*product
	temporal     *devserver.Server
	simulatorURL string
	webhookURL   string

	roles     *part // of the product
	simulated *part // the gateway; nil where there is a real one
}

// part is something that runs until it is stopped.
type part struct {
	stop context.CancelFunc
	done chan struct{} // closed when it has ended
	err  error
}

// runPart runs a part until its stop is called; the end of ctx alone does not stop it.
func runPart(ctx context.Context, run func(context.Context) error) *part {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	p := &part{stop: stop, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = run(ctx)
	}()
	return p
}

func (p *part) close() error {
	p.stop()
	<-p.done
	return p.err
}

// startLocal starts everything, or nothing. What it started ends with Close, not with ctx.
func startLocal(ctx context.Context, o localOptions) (l *local, err error) {
	l = &local{}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	cfg := o.config
	webhook, err := serve.Listen(o.webhookAddr, "REDIAL_WEBHOOK_ADDR")
	if err != nil {
		return l, err
	}
	defer func() {
		if err != nil {
			webhook.Close()
		}
	}()
	l.webhookURL = "http://" + reachable(webhook.Addr())
	if o.simulator != nil {
		listener, err := serve.Listen(o.simulatorAddr, "--simulator-addr")
		if err != nil {
			return l, err
		}
		l.simulatorURL = "http://" + listener.Addr().String()
		useSimulator(&cfg, l.simulatorURL, l.webhookURL)
		l.simulated = runPart(ctx, func(ctx context.Context) error { return runSimulator(ctx, o.simulator, listener) })
	}
	o.temporal.SearchAttributes = attributeTypes()
	if l.temporal, err = devserver.Start(ctx, o.temporal); err != nil {
		return l, err
	}
	temporal, err := connect(ctx, client.Options{HostPort: l.temporal.Address()}, logging.ForTemporal(o.log.Named("temporal")))
	if err != nil {
		return l, err
	}
	defer func() {
		if err != nil {
			temporal.Close()
		}
	}()
	if _, err = registerAttributes(ctx, temporal); err != nil {
		return l, err
	}
	if o.adopt {
		if err = settle(ctx, cfg, temporal, true); err != nil {
			return l, err
		}
	}
	if o.product == nil {
		o.product = newProduct
	}
	p, err := o.product(ctx, cfg, temporal, o.log)
	if err != nil {
		return l, err
	}
	l.product = p
	l.roles = runPart(ctx, func(ctx context.Context) error { return p.run(ctx, webhook) })
	return l, nil
}

// Close stops what was started and waits for it: first the product, so that its last dials are answered, then the gateway,
// then Temporal.
func (l *local) Close() error {
	var err error
	if l.product != nil {
		err = l.roles.close()
		l.client.Close()
	}
	if l.simulated != nil {
		err = errors.Join(err, l.simulated.close())
	}
	if l.temporal != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		defer cancel()
		err = errors.Join(err, l.temporal.Stop(ctx))
	}
	return err
}

// Broken is closed when a part has ended by itself.
func (l *local) Broken() <-chan struct{} {
	broken := make(chan struct{})
	go func() {
		defer close(broken)
		gatewayDone := make(chan struct{}) // never, where there is none
		if l.simulated != nil {
			gatewayDone = l.simulated.done
		}
		select {
		case <-l.roles.done:
		case <-gatewayDone:
		case <-l.temporal.Done():
		}
	}()
	return broken
}

// runURL is a run's page in the Temporal UI.
func (l *local) runURL(workflowID, runID string) string {
	return fmt.Sprintf("%s/namespaces/default/workflows/%s/%s/history", l.temporal.UIURL(), url.PathEscape(workflowID), runID)
}

// useSimulator points the configuration at a simulator on this machine: its well-known account, and keys that live as
// long as this process.
func useSimulator(c *config.Config, gatewayURL, webhookURL string) {
	c.KoreBaseURL, c.KoreAPI = gatewayURL, "v1"
	c.KoreBotID, c.KoreClientID, c.KoreClientSecret = simulator.DefaultBotID, simulator.DefaultClientID, simulator.DefaultClientSecret
	c.KoreCaller, c.KoreTrunk = "+12025550100", ""
	c.NotifyURL = webhookURL
	c.Deployment = "" // nobody would say which version is current
	if c.NotifySecret == "" {
		c.NotifySecret = rand.Text()
	}
	if c.EscalationSecret == "" {
		c.EscalationSecret = "whsec_" + base64.StdEncoding.EncodeToString([]byte(rand.Text()))
	}
}

func attributeTypes() map[string]string {
	types := map[string]string{}
	for _, key := range workflows.SearchAttributes() {
		types[key.GetName()] = key.GetValueType().String()
	}
	return types
}

// reachable is a listener's address as something on this machine dials it.
func reachable(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return a.String()
}
