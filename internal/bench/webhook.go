package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"redial/activities"
	"redial/call"
	"redial/followup"
	"redial/internal/logging"
	"redial/internal/notify"
	"redial/internal/serve"
	"redial/ledger"
	"redial/webhook"
	"redial/workflows"
)

const slower = 3 * time.Millisecond

var webhookBudgets = []budget{
	{name: "webhook-rate", what: "webhook: durable acknowledgements, SQLite with full sync", limit: "at least 5,000/s", holds: atLeast(5000)},
	{name: "webhook-latency", what: "webhook: p99 at 1,000/s", limit: "under 10 ms", holds: under(10)},
	{name: "webhook-slow-disk", what: "webhook: durable acknowledgements with each commit 3 ms slower", limit: "at least 1,000/s", holds: atLeast(1000)},
}

// measureWebhook posts to the webhook the ends of calls that are under way, each of a call of its own, so that every one
// is stored, folded, and owed to its flow. A figure counts only when all that was acknowledged is found in the file.
func measureWebhook(ctx context.Context, b *bench) error {
	limit, closed, paced := 10*time.Second, 60_000, 10_000
	if b.quick {
		limit, closed, paced = 3*time.Second, 20_000, 3_000
	}
	w, err := startWebhook(ctx, b)
	if err != nil {
		return err
	}
	defer w.close()
	b.say("webhook: placing %d calls to report on", 2*closed+paced)
	requests, err := w.callsUnderWay(ctx, 2*closed+paced)
	if err != nil {
		return err
	}

	all := sent{}
	measure := func(l httpLoad) (sent, error) {
		l.address = w.address
		s, err := l.run(ctx, limit)
		all.accepted = append(all.accepted, s.accepted...)
		if err == nil && s.count() == 0 {
			err = errors.New("nothing was acknowledged")
		}
		return s, err
	}
	const connections = 128
	fast, err := measure(httpLoad{connections: connections, requests: requests[:closed]})
	if err != nil {
		return err
	}
	b.say("webhook: %d acknowledged in %s", fast.count(), fast.took)
	even, err := measure(httpLoad{connections: connections, requests: requests[closed : closed+paced], every: time.Millisecond})
	if err != nil {
		return err
	}
	b.say("webhook: p99 %.2f ms of %d at 1,000/s", percentile(even.latency, 99), even.count())
	commitDelay.Store(int64(slower))
	slow, err := measure(httpLoad{connections: connections, requests: requests[closed+paced:]})
	commitDelay.Store(0)
	if err != nil {
		return err
	}
	b.say("webhook: %d acknowledged in %s, commits 3 ms slower", slow.count(), slow.took)
	if err := w.close(); err != nil {
		return err
	}
	if err := w.account(ctx, all.accepted); err != nil {
		return err
	}

	b.record("webhook-rate", perSecond(fast), "%.0f/s (%d connections, p50 %.1f ms, p99 %.1f ms)",
		perSecond(fast), connections, median(fast.latency), percentile(fast.latency, 99))
	if rejected := len(even.accepted) - even.count(); rejected > 0 {
		return fmt.Errorf("%d of %d notifications at 1,000/s were not acknowledged", rejected, len(even.accepted))
	}
	b.record("webhook-latency", percentile(even.latency, 99), "%.1f ms (p50 %.1f ms, most %.1f ms)",
		percentile(even.latency, 99), median(even.latency), percentile(even.latency, 100))
	b.record("webhook-slow-disk", perSecond(slow), "%.0f/s (%d connections, p99 %.1f ms)",
		perSecond(slow), connections, percentile(slow.latency, 99))
	b.note("webhook: the load generator runs in the same process and shares the processors with what it measures; " +
		"every notification ends another call; no relay runs, as when Temporal is away; all that was acknowledged was found in the file afterwards")
	return nil
}

func perSecond(s sent) float64 { return float64(s.count()) / s.took.Seconds() }

// listening is a webhook on a ledger of its own.
type listening struct {
	address string
	path    string // of the ledger's file
	ledger  *ledger.Ledger
	urls    notify.URLs
	keys    []string // of the attempts under way
	close   func() error
}

func startWebhook(ctx context.Context, b *bench) (*listening, error) {
	folder, err := b.subfolder("webhook")
	if err != nil {
		return nil, err
	}
	logFile, err := os.Create(filepath.Join(folder, "redial.log"))
	if err != nil {
		return nil, err
	}
	log, err := logging.New("info", logFile)
	if err != nil {
		return nil, err
	}
	listener, err := listen()
	if err != nil {
		return nil, err
	}
	w := &listening{address: listener.Addr().String(), path: filepath.Join(folder, slowName)}
	keys, urls, err := notifyKeys("http://" + w.address)
	if err != nil {
		return nil, err
	}
	w.urls = urls
	if w.ledger, err = ledger.Open(ctx, "sqlite:"+w.path, ledger.Options{Owner: true}); err != nil {
		return nil, err
	}
	serving, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	handler := webhook.New(webhook.Config{Ledger: w.ledger, Tokens: keys, Logger: log.Named("webhook")})
	go func() { served <- serve.Run(serving, listener, handler, zap.NewNop()) }()
	w.close = sync.OnceValue(func() error {
		stop()
		return errors.Join(<-served, w.ledger.Close(), logFile.Close())
	})
	return w, nil
}

// callsUnderWay records attempts as the worker does, intent and answer, and prepares for each the notification of its
// end, to its own notify URL.
func (w *listening) callsUnderWay(ctx context.Context, n int) ([][]byte, error) {
	w.keys = make([]string, n)
	requests, errs := make([][]byte, n), make([]error, n)
	slots := make(chan struct{}, 512)
	var all sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			w.keys[i], requests[i], errs[i] = w.callUnderWay(ctx, i)
		})
	}
	all.Wait()
	return requests, errors.Join(errs...)
}

func (w *listening) callUnderWay(ctx context.Context, i int) (key string, request []byte, err error) {
	contact := fmt.Sprintf("c%d", i)
	workflowID, run := workflows.WorkflowID("bench", contact), "0198f7a0-0000-7000-8000-000000000000"
	key = call.AttemptKey(workflowID, run, 1)
	dial := followup.Policy{}.WithDefaults().Dial
	cleared, err := w.ledger.Clear(ctx, followup.ClearanceRequest{Key: key, N: 1, WorkflowID: workflowID, FirstRunID: run, ContactID: contact, Campaign: "bench",
		Request: dial.Request(target(i), caller, "", nil), HearFor: dial.HearFor(), Owner: run})
	if err != nil {
		return key, nil, err
	}
	if !cleared.Cleared {
		return key, nil, fmt.Errorf("attempt %s was not cleared", key)
	}
	sid := fmt.Sprintf("0198f7a0-1111-7000-8000-%012d", i)
	if _, err := w.ledger.Answer(ctx, key, run, call.DialAnswer{Class: call.AnswerPlaced, HTTPStatus: 200, SID: sid, CallID: sid}); err != nil {
		return key, nil, err
	}
	address, err := w.urls.NotifyURL(key, cleared.SendBy.Add(dial.HearFor()+activities.ResponseTimeout))
	if err != nil {
		return key, nil, err
	}
	request, err = notification(address, sid)
	return key, request, err
}

// notification is the gateway's report of a call's end, as its documentation shows it, as bytes of HTTP.
func notification(address, conversation string) ([]byte, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	body := `{"conversationId":"` + conversation + `","reasonCode":"caller-disconnected","status":"completed","reason":"200 OK","duration":14,` +
		`"machinedetection":"amd_human_detected","callconnecttime":"5/8/2023,11:32:49AM","callDisconnectTime":"5/8/2023,11:33:03AM"}`
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		u.EscapedPath(), u.Host, len(body), body), nil
}

// account looks for everything that was acknowledged in the ledger's file, after its owner has closed it: the
// notification as it came, and the end of its call.
func (w *listening) account(ctx context.Context, acknowledged []bool) error {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: w.path}).EscapedPath()+"?mode=ro")
	if err != nil {
		return err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, `SELECT n.attempt_key FROM notifications n JOIN attempts a ON a.key = n.attempt_key WHERE a.disposition = 'human'
		AND n.note = '' AND instr(CAST(n.raw AS TEXT), 'completed') > 0`)
	if err != nil {
		return err
	}
	defer rows.Close()
	stored := map[string]int{}
	for rows.Next() {
		var key string
		if err := rows.Scan(&key); err != nil {
			return err
		}
		stored[key]++
	}
	var missing []string
	for i, ok := range acknowledged {
		if ok && stored[w.keys[i]] != 1 {
			missing = append(missing, w.keys[i])
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%d acknowledged notifications are not in the ledger once each, such as %s: the figures are void", len(missing), strings.Join(missing[:1], ""))
	}
	return rows.Err()
}
