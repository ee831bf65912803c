package simulator

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// postTimeout is how long the engine waits for an answer to a notification.
	postTimeout = 10 * time.Second
	// retryDelay is the first delay of [Config.Retries], on the gateway's clock; each further one is twice as long.
	retryDelay = time.Second
	// platformAuthorization stands for the Basic header that the platform puts on every notification: the same for
	// everybody, and therefore proof of nothing.
	platformAuthorization = "Basic a29yZS5haTpzaW11bGF0b3I="
)

// courier posts notifications, and what the bot hands in. It follows no redirect, as the engine does not.
type courier struct {
	client  *http.Client
	clock   *clock
	secret  []byte
	retries int
}

func newCourier(c Config, k *clock) *courier {
	transport := &http.Transport{
		// A burst of calls ends together; connections are kept for the next one.
		MaxIdleConns:        256,
		MaxIdleConnsPerHost: 256,
		IdleConnTimeout:     30 * time.Second,
		TLSHandshakeTimeout: postTimeout,
	}
	return &courier{
		client: &http.Client{
			Transport:     transport,
			Timeout:       postTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		clock:   k,
		secret:  []byte(c.SignatureSecret),
		retries: c.Retries,
	}
}

// attempt is one POST and what came of it.
type attempt struct {
	sent, answered time.Time
	status         int
	err            error // set when no answer came
}

// accepted reports whether the receiver took the notification.
func (a attempt) accepted() bool { return a.err == nil && a.status >= 200 && a.status < 300 }

// deliver posts a letter, a notification again if so configured, and reports each attempt.
func (k *courier) deliver(ctx context.Context, l letter, report func(attempt)) {
	delay := retryDelay
	for try := 0; ; try++ {
		a := attempt{sent: time.Now()}
		a.status, a.err = k.post(ctx, l)
		a.answered = time.Now()
		report(a)
		if a.accepted() || l.kind == kindResult || try >= k.retries || !k.clock.sleep(ctx, delay) {
			return
		}
		delay *= 2
	}
}

// post sends a letter once.
func (k *courier) post(ctx context.Context, l letter) (status int, err error) {
	what := "notification"
	if l.kind == kindResult {
		what = "result"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url, bytes.NewReader(l.body))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	request.Header.Set("Content-Type", "application/json")
	if l.kind != kindResult {
		k.dress(request, l)
	}
	response, err := k.client.Do(request)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	defer response.Body.Close()
	// Draining keeps the connection; an endless answer is not worth one.
	_, _ = io.CopyN(io.Discard, response.Body, 64<<10)
	return response.StatusCode, nil
}

// dress gives a notification the headers of the documentation's dump.
func (k *courier) dress(request *http.Request, l letter) {
	request.Header.Set("Accept", "*/*")
	request.Header.Set("Accept-Language", "*")
	request.Header.Set("Authorization", platformAuthorization)
	request.Header.Set("Sec-Fetch-Mode", "cors")
	request.Header.Set("User-Agent", "node")
	for name, value := range l.heads {
		request.Header.Set(name, value)
	}
	request.Header.Set("SAVG-Signature", k.sign(time.Now(), l.body))
}

// sign is the engine's signature of a webhook: HMAC-SHA256 over the Unix time, a dot and the body.
func (k *courier) sign(at time.Time, body []byte) string {
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, k.secret)
	mac.Write([]byte(stamp + "."))
	mac.Write(body)
	return "t=" + stamp + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// misaddressed changes one character in the last segment of a notify URL's path, well inside of it: the last
// characters of an encoded token may carry bits that its reader ignores.
func misaddressed(url string) string {
	base, query, hasQuery := strings.Cut(url, "?")
	at := strings.LastIndexByte(base, '/')
	segment := []byte(base[at+1:])
	if at <= len("https:/") || len(segment) == 0 {
		segment = []byte("wrong-token")
		base = strings.TrimSuffix(base, "/")
		at = len(base)
		base += "/"
	} else {
		i := len(segment) / 2
		for i > 0 && segment[i] == '.' {
			i--
		}
		if segment[i] != 'x' {
			segment[i] = 'x'
		} else {
			segment[i] = 'y'
		}
	}
	wrong := base[:at+1] + string(segment)
	if hasQuery {
		wrong += "?" + query
	}
	return wrong
}
