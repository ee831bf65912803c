package worker_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

	"redial/activities"
	"redial/internal/devserver"
	"redial/internal/devserver/devservertest"
	"redial/internal/logging"
	"redial/worker"
)

func TestAWorkerIsReadyWhileItPollsAServerThatAnswers(t *testing.T) {
	server := devservertest.Start(t, devserver.Options{Headless: true})
	temporal, err := client.Dial(client.Options{HostPort: server.Address(), Logger: logging.ForTemporal(zap.NewNop())})
	require.NoError(t, err)
	t.Cleanup(temporal.Close)
	w := worker.New(worker.Config{Client: temporal, Logger: zap.NewNop(), Activities: &activities.Activities{}})
	ready := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		return w.Ready(ctx)
	}
	require.ErrorContains(t, ready(), "does not poll")

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	require.Eventually(t, func() bool { return ready() == nil }, time.Minute, 20*time.Millisecond)
	server.Kill()
	require.Eventually(t, func() bool { return ready() != nil }, time.Minute, 20*time.Millisecond)
	require.ErrorContains(t, ready(), "temporal cannot be reached")

	stop()
	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(worker.StopTimeout):
		require.FailNow(t, "a worker without work does not stop")
	}
	require.ErrorContains(t, ready(), "does not poll")
}
