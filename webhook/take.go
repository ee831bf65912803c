package webhook

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/gin-gonic/gin"
	"go.uber.org/zap"

	"redial/call"
	"redial/koreai"
)

// kind is a kind of report on attempts.
type kind struct {
	what   string // one report, as logs and answers call it
	tokens Tokens
	// read understands a report. The error is what is wrong with it; what is wrong is stored, too.
	read func(report) (store func(context.Context) error, err error)
	// explained: the sender of one that is wrong is a person's work, and is answered 400 with the error, which may quote what was sent.
	// Else nobody would read that, the error quotes nothing and is for the log, and the answer is 200.
	explained bool
}

// report is one report as it was received.
type report struct {
	attempt string // its key
	raw     []byte
	header  http.Header
	at      time.Time
}

// notification is what the gateway says of a call, whose signature has to hold where there is a secret for it.
func (w *Webhook) notification(r report) (store func(context.Context) error, err error) {
	var events []call.Event
	if len(w.SignatureSecret) > 0 {
		err = koreai.VerifySignature(r.header.Get(koreai.SignatureHeader), r.raw, w.SignatureSecret, r.at)
	}
	if err == nil {
		events, err = koreai.Decode(r.raw, koreai.DecodeOptions{Zone: w.Zone, ReceivedAt: r.at})
	}
	return func(ctx context.Context) error { return w.Ledger.Receive(ctx, r.attempt, r.raw, events, text(err)) }, err
}

// result is what a bot says that a conversation came to.
func (w *Webhook) result(r report) (store func(context.Context) error, err error) {
	said, err := call.ParseBotResult(r.raw, r.at)
	return func(ctx context.Context) error { return w.Ledger.ReceiveResult(ctx, r.attempt, r.raw, said, text(err)) }, err
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// take handles the reports of a kind.
func (w *Webhook) take(k kind) gin.HandlerFunc {
	return func(c *gin.Context) {
		received := time.Now()
		key, late, err := k.tokens.Open(c.Param("token"), received)
		if err != nil {
			c.Status(http.StatusNotFound)
			return
		}
		raw, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, MaxBody))
		if err != nil {
			k.broken(c, err)
			return
		}
		c.Set("attempt", key)
		attempt := zap.String("attempt", key)
		store, wrong := k.read(report{attempt: key, raw: raw, header: c.Request.Header, at: received})
		if wrong != nil {
			w.Logger.Warn("a "+k.what+" could not be read and is kept", attempt, k.cause(wrong))
		}
		if err := w.store(c.Request.Context(), store); err != nil {
			w.Logger.Error("a "+k.what+" could not be stored", attempt, zap.Error(err))
			c.Header("Retry-After", "5")
			c.String(http.StatusServiceUnavailable, "the %s could not be stored; send it again\n", k.what)
			return
		}
		if late {
			w.Logger.Info("a "+k.what+" came after its token's time", attempt)
		}
		if wrong != nil && k.explained {
			c.String(http.StatusBadRequest, "%s\n", wrong)
			return
		}
		c.Status(http.StatusOK)
	}
}

// cause is what is wrong with a report, for the log.
func (k kind) cause(wrong error) zap.Field {
	if k.explained {
		return zap.Skip()
	}
	return zap.Error(wrong)
}

// broken answers a report of which there is nothing to keep.
func (k kind) broken(c *gin.Context, err error) {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		c.String(http.StatusRequestEntityTooLarge, "a %s has at most %d bytes\n", k.what, MaxBody)
		return
	}
	c.String(http.StatusBadRequest, "the %s did not arrive whole\n", k.what)
}

// store writes a report to the ledger, and tries again while the ledger is slow or locked. The write goes on when the
// sender hangs up: what has arrived is not to be lost for want of somebody to tell.
func (w *Webhook) store(ctx context.Context, write func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.storeFor)
	defer cancel()
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval = 50 * time.Millisecond
	_, err := backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, write(ctx) }, backoff.WithBackOff(pause))
	return err
}
