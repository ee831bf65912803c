package console_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/console"
	"redial/ledger"
)

// scraped are the console's own metrics, by name and labels.
func (d *desk) scraped() map[string]string {
	d.t.Helper()
	a := d.ask("/metrics")
	require.Equal(d.t, http.StatusOK, a.status, a.body)
	problems, err := promlint.New(strings.NewReader(a.body)).Lint()
	require.NoError(d.t, err)
	require.Empty(d.t, problems, "names follow Prometheus's conventions")
	values := map[string]string{}
	for line := range strings.Lines(a.body) {
		if name, value, found := strings.Cut(strings.TrimSpace(line), " "); found && strings.HasPrefix(name, "redial_") {
			values[strings.TrimPrefix(name, "redial_")] = value
		}
	}
	return values
}

func TestMetricsAreTheLedgersFiguresAtTheMomentOfTheScrape(t *testing.T) {
	d := newDesk(t)
	idle := d.scraped()
	for name, want := range map[string]string{"ledger_up": "1", "lines_limit": "+Inf", "dial_rate_limit": "+Inf", "lines_in_use": "0", "contacts_open": "0",
		`outbox_owed{kind="attempt"}`: "0", `queue_length{class="callback"}`: "0"} {
		require.Equal(t, want, idle[name], name)
	}
	d.busy()
	now := d.scraped()
	for name, want := range map[string]string{
		"lines_limit": "2", "lines_in_use": "2", "lines_reserved": "0", "dial_rate_limit": "55", "dial_rate_window_seconds": "60", "dial_rate_used": "3",
		`account_paused{reason="throttled"}`: "0", `account_paused{reason="gateway_unreachable"}`: "0", "account_failing": "0",
		`queue_length{class="first"}`: "1", `queue_length{class="retry"}`: "0", `queue_oldest_wait_seconds{class="retry"}`: "0",
		"contacts_open": "4", "attempts_unknown": "1", `outbox_owed{kind="attempt"}`: "1", `outbox_failing{kind="attempt"}`: "0",
	} {
		require.Equal(t, want, now[name], name)
	}
	require.NotEqual(t, "0", now[`queue_oldest_wait_seconds{class="first"}`])
	require.NotEqual(t, "0", now[`outbox_overdue_seconds{kind="attempt"}`])

	require.NoError(t, d.ledger.SetLimits(t.Context(), 5, 55, time.Minute))
	d.answer(ask("", "throttled", "+12025550105"), call.DialAnswer{Class: call.AnswerThrottled, RetryAfter: time.Minute, Message: "too many"})
	due, err := d.ledger.Due(t.Context(), ledger.ToFlows, 10)
	require.NoError(t, err)
	require.NotEmpty(t, due)
	for _, delivery := range due {
		require.NoError(t, d.ledger.Failed(t.Context(), delivery, "nobody answers", time.Hour))
	}
	now = d.scraped()
	require.Equal(t, "1", now[`account_paused{reason="throttled"}`])
	require.Equal(t, "1", now["account_failing"])
	require.Equal(t, "1", now[`outbox_failing{kind="attempt"}`])
	require.Equal(t, "0", now[`outbox_overdue_seconds{kind="attempt"}`], "it is put off")
}

func TestMetricsNameNoNumberAndNoContact(t *testing.T) {
	d := newDesk(t)
	d.busy()
	var samples strings.Builder // without what explains them
	for line := range strings.Lines(d.ask("/metrics").body) {
		if !strings.HasPrefix(line, "#") {
			samples.WriteString(line)
		}
	}
	for _, private := range []string{"2025550", "anna", "ended", "spring", "doubt"} {
		require.NotContains(t, samples.String(), private)
	}
	for _, own := range []string{"process_cpu_seconds_total", "go_goroutines", "redial_ledger_up 1"} {
		require.Contains(t, samples.String(), own)
	}
}

func TestAScrapeWithoutALedgerSaysSoAndGuessesNothing(t *testing.T) {
	d := newDesk(t)
	require.NoError(t, d.own.Close())
	require.Equal(t, map[string]string{"ledger_up": "0"}, d.scraped())
}

// stuck is a ledger that does not answer before it is no longer waited for.
type stuck struct{ *ledger.Ledger }

func (stuck) Figures(ctx context.Context) (ledger.Figures, error) {
	<-ctx.Done()
	return ledger.Figures{}, errors.Join(errors.New("stuck"), ctx.Err())
}

func TestAScrapeDoesNotWaitForALedgerThatIsStuck(t *testing.T) {
	d := newDesk(t, func(c *console.Config) { c.Ledger = stuck{c.Ledger.(*ledger.Ledger)} })
	begin := time.Now()
	require.Equal(t, map[string]string{"ledger_up": "0"}, d.scraped())
	require.Less(t, time.Since(begin), 10*time.Second, "Prometheus has gone by then")
}
