package serve_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"redial/internal/serve"
)

func TestATakenAddressIsOneLineThatNamesTheVariable(t *testing.T) {
	l, err := serve.Listen("127.0.0.1:0", "X")
	require.NoError(t, err)
	defer l.Close()
	_, err = serve.Listen(l.Addr().String(), "REDIAL_WEBHOOK_ADDR")
	require.ErrorContains(t, err, "REDIAL_WEBHOOK_ADDR")
	require.ErrorContains(t, err, l.Addr().String())
	require.NotContains(t, err.Error(), "\n")
}

func TestStoppingLetsRequestsUnderWayFinishAndTakesNoNewOnes(t *testing.T) {
	l, err := serve.Listen("127.0.0.1:0", "X")
	require.NoError(t, err)
	entered, release := make(chan struct{}), make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- serve.Run(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(entered)
			<-release
			_, _ = io.WriteString(w, "done")
		}), zap.NewNop())
	}()
	answer := make(chan string, 1)
	go func() {
		r, err := http.Get("http://" + l.Addr().String())
		if err != nil {
			answer <- err.Error()
			return
		}
		defer r.Body.Close()
		body, _ := io.ReadAll(r.Body)
		answer <- string(body)
	}()
	<-entered
	stop()
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err == nil {
			conn.Close()
		}
		return err != nil
	}, 10*time.Second, 5*time.Millisecond, "the port is given back at once")
	close(release)
	require.Equal(t, "done", <-answer)
	require.NoError(t, <-done)
}

func TestAListenerThatBreaksIsAnError(t *testing.T) {
	l, err := serve.Listen("127.0.0.1:0", "X")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	require.ErrorContains(t, serve.Run(t.Context(), l, http.NotFoundHandler(), zap.NewNop()), "serve 127.0.0.1:")
}

func TestHeadersHaveALimit(t *testing.T) {
	l, err := serve.Listen("127.0.0.1:0", "X")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serve.Run(ctx, l, http.NotFoundHandler(), zap.NewNop()) }()
	r, err := http.NewRequest(http.MethodGet, "http://"+l.Addr().String(), nil)
	require.NoError(t, err)
	r.Header.Set("X", strings.Repeat("x", 64<<10))
	response, err := http.DefaultClient.Do(r)
	if err == nil { // the server may also close before all was sent
		response.Body.Close()
		require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, response.StatusCode)
	}
	http.DefaultClient.CloseIdleConnections()
	stop()
	require.NoError(t, <-done)
}
