package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"redial/call"
	"redial/internal/config"
	"redial/internal/notify"
	"redial/ledger"
	"redial/workflows"
)

// verdict is how a check went.
type verdict string

const (
	healthy verdict = "ok"
	doubt   verdict = "warning" // it may be meant
	sick    verdict = "failed"
)

// finding is what one check found, and how to mend it.
type finding struct {
	Check   string  `json:"check"`
	Verdict verdict `json:"verdict"`
	Says    string  `json:"says"`
}

// probeTimeout bounds each request of the doctor's own.
const probeTimeout = 5 * time.Second

// Limits of what the doctor accepts without a word.
const (
	maxSkew   = 20 * time.Second // the JWT is dated back by 30 s; a clock that runs ahead by more is refused
	maxCommit = 50 * time.Millisecond
	// suspicious: one in twenty machines that hangs up at once. Dialers are held to three lost calls in a hundred.
	suspicious = 20
)

func doctorCommand() *cobra.Command {
	var asJSON bool
	var target string
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Check every connection, credential and URL, without ringing a phone",
		Long: `Check the settings, the ledger, Temporal, the gateway's account and the way back from it, and say how to mend what is
wrong. No phone rings: the gateway is asked with a request that names no target.

With --call one real call is placed through a running "redial up", and what the gateway reported is told: which
generation of notifications, with which fields, how fast, and what of the set-up is missing.

Exit status: 0 nothing failed; 1 something did; 2 wrong usage or a setting that cannot be read.`,
		Example: `  redial doctor
  redial doctor --call +14155550100`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.FromEnvironment()
			if err != nil {
				return err
			}
			d := &doctor{cfg: cfg, out: c.OutOrStdout(), quiet: asJSON}
			d.examine(c.Context())
			if target != "" && !d.failed() {
				if err := d.placeCall(c.Context(), target); err != nil {
					return err
				}
			}
			if asJSON {
				if err := printJSON(c.OutOrStdout(), d.findings); err != nil {
					return err
				}
			}
			if d.failed() {
				return errors.New("something is wrong: see above")
			}
			return nil
		},
	}
	c.Flags().StringVar(&target, "call", "", "also place one real call to this target")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// doctor runs the checks one after the other, and says each as it is done.
type doctor struct {
	cfg      config.Config
	out      io.Writer
	quiet    bool
	findings []finding
}

func (d *doctor) say(check string, v verdict, format string, args ...any) {
	f := finding{check, v, oneLine(fmt.Errorf(format, args...))}
	d.findings = append(d.findings, f)
	if !d.quiet {
		fmt.Fprintf(d.out, "%-8s %-16s %s\n", f.Verdict, f.Check, f.Says)
	}
}

// judge says how a check went: what it found, or its error.
func (d *doctor) judge(check, says string, err error) bool {
	if err != nil {
		d.say(check, sick, "%w", err)
		return false
	}
	d.say(check, healthy, "%s", says)
	return true
}

func (d *doctor) failed() bool {
	for _, f := range d.findings {
		if f.Verdict == sick {
			return true
		}
	}
	return false
}

func (d *doctor) examine(ctx context.Context) {
	d.examineSettings(ctx)
	d.examineLedger(ctx)
	d.examineTemporal(ctx)
	d.examineGateway(ctx)
	d.examineWayBack(ctx)
}

func (d *doctor) examineSettings(ctx context.Context) {
	if d.cfg.AllowTo.Any() {
		d.say("REDIAL_ALLOW_TO", healthy, "every target may be dialed")
	} else {
		d.say("REDIAL_ALLOW_TO", healthy, "only %s may be dialed", d.cfg.AllowTo)
	}
	d.say("limits", healthy, "%d calls at a time, %s dials (the gateway's own limit is 60/1m)", d.cfg.MaxCalls, d.cfg.DialRate)
	if sinkOf(ctx) != nil {
		d.say("escalations", healthy, "those without a webhook go to the sink of this binary, from the roles up, dev and webhook of this binary alone")
	}
	if d.cfg.EscalationSecret == "" {
		d.say("escalation", doubt, "REDIAL_ESCALATION_SECRET is not set: escalations to a webhook stay owed; escalations to the inbox need none")
	}
	if d.cfg.IDSecret == "" {
		d.say("contact ids", doubt, "REDIAL_ID_SECRET is not set, and REDIAL_NOTIFY_SECRET hides ids that read as numbers: rotating it would make known contacts new ones")
	}
}

func (d *doctor) examineLedger(ctx context.Context) {
	l, err := openExisting(ctx, d.cfg)
	if err != nil {
		d.judge("ledger", "", fmt.Errorf("%w; redial setup makes one", err))
		return
	}
	defer l.Close()
	begin := time.Now()
	if err := l.Ready(ctx); err != nil {
		d.judge("ledger", "", err)
		return
	}
	took := time.Since(begin).Round(10 * time.Microsecond)
	v := healthy
	if took > maxCommit {
		v = doubt
	}
	d.say("ledger", v, "%s: a durable write takes %s", ledger.Name(d.cfg.Database), took)
	d.examineDoubts(ctx, l)
	d.examineDetection(ctx, l)
}

// examineDetection looks for people taken for machines: callees who hang up at once, as machines do not.
func (d *doctor) examineDetection(ctx context.Context, l *ledger.Ledger) {
	const week = 7 * 24 * time.Hour
	seen, err := l.Detected(ctx, time.Now().Add(-week))
	switch {
	case err != nil:
		d.judge("detection", "", err)
	case seen.Machines == 0:
	case seen.SuspectedHumans*suspicious > seen.Machines:
		d.say("detection", doubt, "%d of %d machines of the last week hung up at once, as people do: raise threshold_words, or use machine_detection: detect so that nobody is hung up on",
			seen.SuspectedHumans, seen.Machines)
	default:
		d.say("detection", healthy, "%d of %d machines of the last week hung up at once, as people do", seen.SuspectedHumans, seen.Machines)
	}
}

func (d *doctor) examineDoubts(ctx context.Context, l *ledger.Ledger) {
	unknown, err := l.UnknownAttempts(ctx, shownAttempts)
	switch {
	case err != nil:
		d.judge("attempts", "", err)
	case len(unknown) > 0:
		d.say("attempts", doubt, "%d attempts are in doubt: see redial attempt list", len(unknown))
	}
}

func (d *doctor) examineTemporal(ctx context.Context) {
	c, err := connectQuietly(ctx)
	if err != nil {
		d.judge("temporal", "", err)
		return
	}
	defer c.Close()
	if !d.judge("temporal", "namespace "+c.namespace+" answers and knows the search attributes", attributesReady(ctx, c)) {
		return
	}
	d.examineWorkers(ctx, c)
}

func (d *doctor) examineWorkers(ctx context.Context, c client.Client) {
	for _, q := range []struct {
		name string
		kind enumspb.TaskQueueType
	}{{workflows.TaskQueue, enumspb.TASK_QUEUE_TYPE_WORKFLOW}, {workflows.DialTaskQueue, enumspb.TASK_QUEUE_TYPE_ACTIVITY}} {
		ctx, cancel := context.WithTimeout(ctx, probeTimeout)
		description, err := c.DescribeTaskQueue(ctx, q.name, q.kind)
		cancel()
		switch {
		case err != nil:
			d.judge("worker", "", fmt.Errorf("task queue %s: %w", q.name, err))
		case len(description.GetPollers()) == 0:
			d.say("worker", doubt, "nobody works on task queue %s: start redial up", q.name)
		default:
			d.say("worker", healthy, "%d work on task queue %s", len(description.GetPollers()), q.name)
		}
	}
}

func (d *doctor) examineGateway(ctx context.Context) {
	gateway, err := newGateway(d.cfg)
	if err != nil {
		d.judge("gateway", "", err)
		return
	}
	answer := gateway.Probe(ctx)
	switch {
	case answer.Class == call.AnswerRefused && (answer.HTTPStatus == http.StatusBadRequest || answer.HTTPStatus == http.StatusUnprocessableEntity):
		d.say("gateway", healthy, "%s takes the account (asked without a target, it answered %d)", gateway.Endpoint(), answer.HTTPStatus)
	case answer.Class == call.AnswerThrottled:
		d.say("gateway", doubt, "%s is over its limit and did not look at the account: %s", gateway.Endpoint(), answer.Message)
	case answer.Class == call.AnswerPlaced || answer.Class == call.AnswerUnknown:
		d.say("gateway", doubt, "%s answered oddly to a request without a target, and the account could not be checked: %d %s", gateway.Endpoint(), answer.HTTPStatus, answer.Message)
	default:
		d.judge("gateway", "", fmt.Errorf("%s: %s", gateway.Endpoint(), answer.Message))
	}
	d.examineClock(ctx)
}

// examineClock compares our clock with the gateway's: a JWT of the future is refused.
func (d *doctor) examineClock(ctx context.Context) {
	response, err := d.request(ctx, http.MethodHead, d.cfg.KoreBaseURL)
	if err != nil {
		return // what is wrong with the connection has been said
	}
	theirs, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		return
	}
	skew := time.Since(theirs).Round(time.Second)
	if skew.Abs() > maxSkew {
		d.judge("clock", "", fmt.Errorf("this machine's clock differs from the gateway's by %s, and its JWTs may be refused: set the clock (NTP)", skew))
		return
	}
	d.say("clock", healthy, "within %s of the gateway's", maxSkew)
}

// examineWayBack asks for the webhook the way the gateway will: by its public URL, following no redirect.
func (d *doctor) examineWayBack(ctx context.Context) {
	if _, err := d.cfg.NotifyURLs(); err != nil {
		d.judge("notify URL", "", err)
		return
	}
	base := strings.TrimRight(d.cfg.NotifyURL, "/")
	if u, err := url.Parse(base); err == nil && u.Scheme == "http" && !loopback(u.Hostname()) {
		d.say("notify URL", doubt, "%s is not encrypted: its tokens, and what is said of calls, travel in the clear", base)
	}
	for _, probe := range []struct {
		method, path string
		want         int
	}{{http.MethodGet, "/healthz", http.StatusOK}, {http.MethodPost, notify.Path + "doctor", http.StatusNotFound}} {
		response, err := d.request(ctx, probe.method, base+probe.path)
		switch {
		case err != nil:
			d.judge("notify URL", "", fmt.Errorf("%s %s: %w; start redial up, and check name, port, certificate and proxy", probe.method, base+probe.path, err))
			return
		case response.StatusCode/100 == 3:
			d.judge("notify URL", "", fmt.Errorf("%s redirects to %s, and the gateway follows no redirect: set REDIAL_NOTIFY_URL to where it ends", base+probe.path, response.Header.Get("Location")))
			return
		case response.StatusCode != probe.want:
			d.judge("notify URL", "", fmt.Errorf("%s %s answered %s instead of %d: something else answers there", probe.method, base+probe.path, response.Status, probe.want))
			return
		}
	}
	d.say("notify URL", healthy, "%s reaches a webhook of redial from here", base)
}

func (d *doctor) request(ctx context.Context, method, url string) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, err
	}
	c := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := c.Do(request)
	if err != nil {
		return nil, err
	}
	return response, response.Body.Close()
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
