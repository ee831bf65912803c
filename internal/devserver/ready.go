package devserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"

	commonpb "go.temporal.io/api/common/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"redial/internal/process"
)

func spawn(o Options) (*process.Process, error) {
	cmd := exec.Command(o.Binary, o.arguments()...)
	cmd.Env = environment()
	p, err := process.Start(cmd, process.Options{Name: "the Temporal dev server at " + o.address(), LogFile: o.LogFile})
	if err != nil {
		return nil, fmt.Errorf("%w; set %s to a temporal CLI %s or newer, or build the pinned one with `make bin/temporal`",
			err, PathVariable, oldest)
	}
	return p, nil
}

func (o Options) address() string {
	return net.JoinHostPort(process.Host, strconv.Itoa(o.FrontendPort))
}

// untilReady returns when a workflow could be started: the frontend serves, the namespace is there, the
// history service behind it answers, and so does the UI.
func (o Options) untilReady(ctx context.Context) error {
	conn, err := Dial(o.address())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()

	if err := process.Until(ctx, func(ctx context.Context) error { return FrontendServes(ctx, conn) }); err != nil {
		return err
	}
	namespace := o.Namespace
	if namespace == "" {
		namespace = "default"
	}
	if err := process.Until(ctx, func(ctx context.Context) error { return HistoryAnswers(ctx, conn, namespace) }); err != nil {
		return err
	}
	if o.Headless {
		return nil
	}
	return process.Until(ctx, func(ctx context.Context) error {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(process.Host, strconv.Itoa(o.UIPort)))
		if err != nil {
			return err
		}
		return c.Close()
	})
}

// Dial is a connection to a Temporal server of ours that may not serve yet. It asks for no network.
func Dial(address string) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		// gRPC's own first pause is a second, as long as the whole start.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: process.PollEvery, Multiplier: 1, MaxDelay: process.PollEvery},
			MinConnectTimeout: time.Second,
		}))
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	return conn, nil
}

// FrontendServes says why the frontend takes no requests yet, or nil.
func FrontendServes(ctx context.Context, conn *grpc.ClientConn) error {
	const service = "temporal.api.workflowservice.v1.WorkflowService"
	answer, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
	if err != nil {
		return err
	}
	if answer.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("the frontend says %s", answer.Status)
	}
	return nil
}

// HistoryAnswers asks for a workflow that does not exist: only the history service can say so. A frontend
// serves for some hundred milliseconds before that, in which a first start would fail.
func HistoryAnswers(ctx context.Context, conn *grpc.ClientConn, namespace string) error {
	_, err := workflowservice.NewWorkflowServiceClient(conn).DescribeWorkflowExecution(ctx,
		&workflowservice.DescribeWorkflowExecutionRequest{
			Namespace: namespace,
			Execution: &commonpb.WorkflowExecution{WorkflowId: "redial-readiness"},
		})
	if _, absent := errors.AsType[*serviceerror.NotFound](serviceerror.FromStatus(status.Convert(err))); absent {
		return nil
	}
	return err
}
