package app

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"redial/internal/config"
)

// healthTimeout bounds one probe: the roles answer theirs within two seconds.
const healthTimeout = 4 * time.Second

func healthCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "health [URL]",
		Short: "Ask the roles that run here whether they are ready",
		Long: `Ask GET /readyz of each role that listens on this machine: a worker at REDIAL_HEALTH_ADDR, a webhook, or "redial up", at
REDIAL_WEBHOOK_ADDR, a console at REDIAL_CONSOLE_ADDR. Under the settings of the role it needs no argument, and is what a container's health check runs;
the certificate that the webhook shows is not looked at. A URL is asked instead of them, certificate and all.

Exit status: 0 everything that listens is ready; 1 something is not, or nothing listens; 2 wrong usage or a setting that
cannot be read.`,
		Example: `  redial health
  redial health http://127.0.0.1:8090/healthz`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := config.FromEnvironment()
			if err != nil {
				return err
			}
			probes, err := rolesHere(cfg, args)
			if err != nil {
				return err
			}
			answers, err := askAll(c.Context(), probes)
			if asJSON {
				return errors.Join(printJSON(c.OutOrStdout(), answers), err)
			}
			for _, a := range answers {
				if a.Ready {
					fmt.Fprintf(c.OutOrStdout(), "%s: %s\n", a.URL, a.Says)
				}
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// probe is a question to one role.
type probe struct {
	url string
	// optional: that nobody listens there is no failure.
	optional bool
	client   http.Client
}

// answer is what a role said of itself.
type answer struct {
	URL   string `json:"url"`
	Ready bool   `json:"ready"`
	Says  string `json:"says"`
}

// rolesHere are the questions to the roles that the settings tell of, or to the URL that was given.
func rolesHere(c config.Config, args []string) ([]probe, error) {
	if len(args) > 0 {
		if u, err := url.Parse(args[0]); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, usagef("redial health %q: write a URL, such as http://127.0.0.1:8081/readyz", args[0])
		}
		return []probe{{url: args[0]}}, nil
	}
	scheme := "http"
	if c.WebhookTLSCert != "" {
		scheme = "https"
	}
	// The certificate is of the public name, and one that has expired is no reason to take the role for dead.
	ours := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	return []probe{
		{"http://" + fromHere(c.HealthAddr) + "/readyz", true, ours},
		{scheme + "://" + fromHere(c.WebhookAddr) + "/readyz", true, ours},
		{"http://" + fromHere(c.ConsoleAddr) + "/readyz", true, ours},
	}, nil
}

// fromHere is an address to listen on as one dials it on the same machine.
func fromHere(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

func askAll(ctx context.Context, probes []probe) (answers []answer, err error) {
	var silent []string
	for _, p := range probes {
		a, failure := p.ask(ctx)
		if p.optional && errors.Is(failure, syscall.ECONNREFUSED) {
			silent = append(silent, p.url)
			continue
		}
		answers = append(answers, a)
		err = errors.Join(err, failure)
	}
	if len(answers) == 0 {
		return []answer{}, fmt.Errorf("no role listens here: asked %s; start one, or give its URL", strings.Join(silent, " and "))
	}
	return answers, err
}

func (p probe) ask(ctx context.Context) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	a := answer{URL: p.url}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return a, err
	}
	response, err := p.client.Do(request)
	if err != nil {
		a.Says = plainCause(err)
		return a, err
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	a.Says = cmp.Or(strings.TrimSpace(string(text)), response.Status)
	if a.Ready = response.StatusCode == http.StatusOK; !a.Ready {
		err = fmt.Errorf("%s is not ready: %s: %s", p.url, response.Status, a.Says)
	}
	return a, err
}
