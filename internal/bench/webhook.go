package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"

	"redial/activities"
	"redial/call"
	"redial/followup"
	"redial/internal/logging"
	"redial/internal/notify"
	"redial/internal/postgres"
	"redial/internal/serve"
	"redial/internal/token"
	"redial/ledger"
	"redial/webhook"
	"redial/workflows"
)

var (
	webhookBudgets = []budget{
		{name: "webhook-rate", what: "webhook: durable acknowledgements, SQLite with full sync", limit: "at least 5,000/s", holds: atLeast(5000)},
		{name: "webhook-latency", what: "webhook: p99 at 1,000/s", limit: "under 10 ms", holds: under(10)},
		{name: "webhook-slow-disk", what: "webhook: durable acknowledgements with each commit 3 ms slower", limit: "at least 1,000/s", holds: atLeast(1000)},
	}
	// The design states the limits for SQLite. A deployment that moves to PostgreSQL has the same gateway, which sends a notification
	// once: the limits are shown, and missed where they are missed.
	webhookPostgresBudgets = []budget{
		{name: "webhook-rate-postgres", what: "webhook: durable acknowledgements, PostgreSQL", limit: "at least 5,000/s (as SQLite's)", holds: atLeast(5000)},
		{name: "webhook-latency-postgres", what: "webhook: p99 at 1,000/s, PostgreSQL", limit: "under 10 ms (as SQLite's)", holds: under(10)},
		{name: "webhook-slow-disk-postgres", what: "webhook: durable acknowledgements with each commit 3 ms slower, PostgreSQL", limit: "at least 1,000/s (as SQLite's)", holds: atLeast(1000)},
	}
)

// measureWebhook posts to the webhook the ends of calls that are under way, each of a call of its own, so that every one
// is stored, folded, and owed to its flow. A figure counts only when all that was acknowledged is found in the database.
func measureWebhook(ctx context.Context, b *bench, on database) error {
	limit, closed, paced := 10*time.Second, 60_000, 10_000
	if b.quick {
		limit, closed, paced = 3*time.Second, 20_000, 3_000
	}
	b.say("webhook, %s: placing %d calls to report on", on, 2*closed+paced)
	w, requests, err := startWebhook(ctx, b, on, 2*closed+paced)
	if err != nil {
		return err
	}
	defer w.close()

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
	b.say("webhook, %s: %d acknowledged in %s", on, fast.count(), fast.took)
	even, err := measure(httpLoad{connections: connections, requests: requests[closed : closed+paced], every: time.Millisecond})
	if err != nil {
		return err
	}
	b.say("webhook, %s: p99 %.2f ms of %d at 1,000/s", on, percentile(even.latency, 99), even.count())
	slowness, err := w.slowCommits(ctx)
	if err != nil {
		return err
	}
	slow, err := measure(httpLoad{connections: connections, requests: requests[closed+paced:]})
	commitDelay.Store(0)
	if err != nil {
		return err
	}
	b.say("webhook, %s: %d acknowledged in %s, commits 3 ms slower", on, slow.count(), slow.took)
	if err := w.stop(); err != nil {
		return err
	}
	if err := w.account(ctx, all.accepted); err != nil {
		return err
	}

	b.record(on.row("webhook-rate"), perSecond(fast), "%.0f/s (%d connections, p50 %.1f ms, p99 %.1f ms)",
		perSecond(fast), connections, median(fast.latency), percentile(fast.latency, 99))
	if rejected := len(even.accepted) - even.count(); rejected > 0 {
		return fmt.Errorf("%d of %d notifications at 1,000/s were not acknowledged", rejected, len(even.accepted))
	}
	b.record(on.row("webhook-latency"), percentile(even.latency, 99), "%.1f ms (p50 %.1f ms, most %.1f ms)",
		percentile(even.latency, 99), median(even.latency), percentile(even.latency, 100))
	b.record(on.row("webhook-slow-disk"), perSecond(slow), "%.0f/s (%d connections, p99 %.1f ms)",
		perSecond(slow), connections, percentile(slow.latency, 99))
	b.note("webhook, %s: the load generator runs in the same process and shares the processors with what it measures; "+
		"every notification ends another call; no relay runs, as when Temporal is away; %s; %s", on, slowness, w.found())
	return nil
}

func perSecond(s sent) float64 { return float64(s.count()) / s.took.Seconds() }

// listening is a webhook on a ledger of its own.
type listening struct {
	address  string // of the webhook
	database string // the ledger's address
	postgres *postgres.Server
	ledger   *ledger.Ledger
	urls     notify.URLs
	keys     []string // of the attempts under way

	stop  func() error // the webhook and its ledger; the server of the database stays
	close func() error
}

// startWebhook starts a webhook on a ledger with calls under way, and returns the notification of the end of each.
func startWebhook(ctx context.Context, b *bench, on database, calls int) (w *listening, requests [][]byte, err error) {
	folder, err := b.subfolder("webhook")
	if err != nil {
		return nil, nil, err
	}
	listener, err := listen()
	if err != nil {
		return nil, nil, err
	}
	started := &listening{address: listener.Addr().String(), database: "sqlite:" + filepath.Join(folder, slowName)}
	w = started
	w.stop = sync.OnceValue(func() error { return listener.Close() })
	w.close = sync.OnceValue(func() error { return errors.Join(started.stop(), started.stopPostgres()) })
	defer func() {
		if err != nil {
			err = errors.Join(err, started.close())
		}
	}()
	keys, urls, err := notifyKeys("http://" + w.address)
	if err != nil {
		return nil, nil, err
	}
	w.urls = urls
	if requests, err = w.callsUnderWay(ctx, calls); err != nil {
		return nil, nil, err
	}
	if on == postgreSQL {
		if err := w.move(ctx, b, folder); err != nil {
			return nil, nil, err
		}
	}
	return w, requests, w.serve(ctx, listener, keys, folder)
}

// callsUnderWay records attempts as the worker does, intent and answer, and prepares for each the notification of its
// end, to its own notify URL.
func (w *listening) callsUnderWay(ctx context.Context, n int) (requests [][]byte, err error) {
	if w.ledger, err = ledger.Open(ctx, w.database, ledger.Options{Owner: true}); err != nil {
		return nil, err
	}
	w.keys, requests = make([]string, n), make([][]byte, n)
	errs := make([]error, n)
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
	return requests, errors.Join(append(errs, w.ledger.Close())...)
}

// move moves the ledger to PostgreSQL, where so many calls one after the other would take minutes to place, and leaves it as it is
// long after a move: its tables vacuumed, its pages written.
func (w *listening) move(ctx context.Context, b *bench, folder string) (err error) {
	if w.postgres, err = b.startPostgres(ctx, folder); err != nil {
		return err
	}
	if err := w.postgres.CreateDatabase(ctx, ledgerDatabase, ""); err != nil {
		return err
	}
	from := w.database
	w.database = w.postgres.URL(ledgerDatabase)
	if _, err := ledger.Move(ctx, from, w.database); err != nil {
		return err
	}
	db, err := look(w.database)
	if err != nil {
		return err
	}
	defer db.Close()
	for _, statement := range []string{"VACUUM (ANALYZE)", "CHECKPOINT"} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// serve opens the ledger, and serves the webhook on it.
func (w *listening) serve(ctx context.Context, listener net.Listener, keys token.Keys, folder string) error {
	logFile, err := os.Create(filepath.Join(folder, "redial.log"))
	if err != nil {
		return err
	}
	log, err := logging.New("info", logFile)
	if err != nil {
		return errors.Join(err, logFile.Close())
	}
	if w.ledger, err = ledger.Open(ctx, w.database, ledger.Options{Owner: true}); err != nil {
		return errors.Join(err, logFile.Close())
	}
	serving, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	handler := webhook.New(webhook.Config{Ledger: w.ledger, Tokens: keys, ResultTokens: keys.For(token.Result), Logger: log.Named("webhook")})
	go func() { served <- serve.Run(serving, listener, handler, zap.NewNop()) }()
	w.stop = sync.OnceValue(func() error {
		stop()
		return errors.Join(<-served, w.ledger.Close(), logFile.Close())
	})
	return nil
}

func (w *listening) stopPostgres() error {
	if w.postgres == nil {
		return nil
	}
	return stopping(w.postgres)()
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

// account looks for everything that was acknowledged in the ledger's database, after the webhook has closed it and, where there is
// a server, after that was killed and has recovered: the notification as it came, and the end of its call.
func (w *listening) account(ctx context.Context, acknowledged []bool) error {
	if w.postgres != nil {
		w.postgres.Kill()
		recovering, cancel := context.WithTimeout(ctx, 5*time.Minute)
		defer cancel()
		if err := w.postgres.Restart(recovering); err != nil {
			return err
		}
	}
	stored, err := w.stored(ctx)
	if err != nil {
		return err
	}
	var missing []string
	for i, ok := range acknowledged {
		if ok && stored[w.keys[i]] != 1 {
			missing = append(missing, w.keys[i])
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%d acknowledged notifications are not in the ledger once each, such as %s: the figures are void", len(missing), missing[0])
	}
	return nil
}

// stored counts the notifications of each call that has ended as was reported.
func (w *listening) stored(ctx context.Context) (map[string]int, error) {
	db, err := look(w.database)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, `SELECT n.attempt_key, n.raw FROM notifications n JOIN attempts a ON a.key = n.attempt_key
		WHERE a.disposition = 'human' AND n.note = ''`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	stored := map[string]int{}
	for rows.Next() {
		var key string
		var raw []byte
		if err := rows.Scan(&key, &raw); err != nil {
			return nil, err
		}
		if bytes.Contains(raw, []byte(`"completed"`)) {
			stored[key]++
		}
	}
	return stored, rows.Err()
}

// found says where all that was acknowledged was found.
func (w *listening) found() string {
	if w.postgres == nil {
		return "all that was acknowledged was found in the file afterwards"
	}
	return "one process, with a pool of the usual size; the calls were placed in a SQLite file and moved; " +
		"all that was acknowledged was found after the server was killed and had recovered"
}
