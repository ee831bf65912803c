package console

import (
	"context"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"

	"redial/followup"
	"redial/ledger"
)

// scrapeFor is how long the ledger may take to answer a scrape: less than Prometheus waits by default.
const scrapeFor = 5 * time.Second

// maxScrapes is how many scrapes are served at once; each asks the ledger.
const maxScrapes = 2

// metrics are the deployment's figures, asked for at each scrape, and this process's own.
func (k *Console) metrics() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), figures{k.Ledger, k.Logger})
	return r
}

// gauge describes a metric of the whole deployment: every console of it tells the same.
func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("redial_"+name, help, labels, nil)
}

var (
	ledgerUp = gauge("ledger_up", "Whether the ledger answered this scrape; without it there are no other figures of the deployment.")

	linesLimit    = gauge("lines_limit", "Calls that the account may carry at the same time; +Inf is no limit.")
	linesInUse    = gauge("lines_in_use", "Calls that are under way, or may be.")
	linesReserved = gauge("lines_reserved", "Lines promised to contacts that were woken.")

	rateLimit  = gauge("dial_rate_limit", "Dials that the account may make in a window; +Inf is no limit.")
	rateWindow = gauge("dial_rate_window_seconds", "The window over which dials are counted; 0 without a limit.")
	rateUsed   = gauge("dial_rate_used", "Dials that count against the window now.")

	paused  = gauge("account_paused", "1 while no request of the account leaves, for this reason.", "reason")
	failing = gauge("account_failing", "1 from when a request did not get through until one does.")

	queueLength = gauge("queue_length", "Contacts that wait for capacity.", "class")
	queueOldest = gauge("queue_oldest_wait_seconds", "How long the contact that came first has waited; 0 when none waits.", "class")

	contactsOpen    = gauge("contacts_open", "Contacts without an outcome.")
	attemptsInDoubt = gauge("attempts_unknown", "Attempts of which nobody knows whether, or how, they ended.")

	outboxOwed    = gauge("outbox_owed", "Deliveries that are owed, those put off included.", "kind")
	outboxFailing = gauge("outbox_failing", "Deliveries that are owed and were tried in vain.", "kind")
	outboxOverdue = gauge("outbox_overdue_seconds", "How long the delivery that is due longest has been due; one tried in vain is due again after its pause.", "kind")
)

// figures collects the deployment's gauges from the ledger.
type figures struct {
	ledger Ledger
	log    *zap.Logger
}

func (f figures) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{ledgerUp, linesLimit, linesInUse, linesReserved, rateLimit, rateWindow, rateUsed, paused, failing,
		queueLength, queueOldest, contactsOpen, attemptsInDoubt, outboxOwed, outboxFailing, outboxOverdue} {
		ch <- d
	}
}

func (f figures) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeFor)
	defer cancel()
	set := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	now, err := f.ledger.Figures(ctx)
	if err != nil {
		f.log.Error("the ledger did not answer a scrape", zap.Error(err))
		set(ledgerUp, 0)
		return
	}
	set(ledgerUp, 1)
	carried(now.Capacity, set)
	set(contactsOpen, float64(now.OpenContacts))
	set(attemptsInDoubt, float64(now.AttemptsInDoubt))
	for _, o := range now.Owed {
		set(outboxOwed, float64(o.Owed), o.Kind)
		set(outboxFailing, float64(o.Failing), o.Kind)
		set(outboxOverdue, since(o.Due, now.At), o.Kind)
	}
}

func carried(c ledger.Capacity, set func(*prometheus.Desc, float64, ...string)) {
	set(linesLimit, limit(c.Lines.Limit))
	set(linesInUse, float64(c.Lines.InUse))
	set(linesReserved, float64(c.Lines.Reserved))
	set(rateLimit, limit(c.Rate.Limit))
	set(rateWindow, c.Rate.Window)
	set(rateUsed, float64(c.Rate.Used))
	for _, reason := range []followup.Reason{followup.ReasonThrottled, followup.ReasonUnreachable} {
		set(paused, truth(c.Paused != nil && c.Paused.Reason == reason), string(reason))
	}
	set(failing, truth(c.Failing))
	for _, q := range c.Queue {
		set(queueLength, float64(q.Length), q.Class)
		set(queueOldest, since(q.Oldest, c.At), q.Class)
	}
}

func limit(n int) float64 {
	if n == 0 {
		return math.Inf(1)
	}
	return float64(n)
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// since is how long ago a time was, in seconds; 0 for one that is to come, and for none.
func since(at, now time.Time) float64 {
	if at.IsZero() {
		return 0
	}
	return max(0, now.Sub(at).Seconds())
}
