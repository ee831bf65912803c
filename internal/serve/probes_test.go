package serve_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"redial/internal/serve"
)

func TestAProcessIsReadyWhileAllChecksHoldAndAliveAllTheSame(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	var first, second atomic.Pointer[string]
	holds := func(why *atomic.Pointer[string], asked *atomic.Int64) func(context.Context) error {
		return func(context.Context) error {
			asked.Add(1)
			if s := why.Load(); s != nil {
				return errors.New(*s)
			}
			return nil
		}
	}
	var asked, last atomic.Int64
	probes := serve.NewProbes(zap.NewNop(), serve.Check{Ready: holds(&first, &asked), Says: "the ledger cannot be read"}, serve.Check{Ready: holds(&second, &last)})
	engine := gin.New()
	probes.Route(engine)
	server := httptest.NewServer(engine)
	defer server.Close()
	get := func(path string) (int, string) {
		response, err := http.Get(server.URL + path)
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response.StatusCode, string(body)
	}
	says := func(status int, text string) {
		t.Helper()
		require.Eventually(t, func() bool { // an answer is kept for a moment
			code, body := get("/readyz")
			return code == status && body == text+"\n"
		}, 10*time.Second, 10*time.Millisecond, text)
		code, _ := get("/healthz")
		require.Equal(t, http.StatusOK, code)
	}
	secret, two := "the password is wrong", "it is\nnot there"
	says(http.StatusOK, "ready")
	second.Store(&two)
	says(http.StatusServiceUnavailable, "it is not there")
	first.Store(&secret)
	says(http.StatusServiceUnavailable, "the ledger cannot be read")
	before := asked.Load()
	for range 100 {
		get("/readyz")
	}
	require.Less(t, asked.Load(), before+20, "whoever asks often keeps the work waiting")
	first.Store(nil)
	second.Store(nil)
	says(http.StatusOK, "ready")
	probes.Drain()
	code, body := get("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Equal(t, "stopping\n", body)
}
