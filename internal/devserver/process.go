package devserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"

	commonpb "go.temporal.io/api/common/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// pollEvery is the grain of waiting for a condition that nobody announces.
const pollEvery = 20 * time.Millisecond

type process struct {
	cmd    *exec.Cmd
	output *output
	done   chan struct{} // closed after the process was waited for
	asked  atomic.Bool   // we ended it
}

func spawn(o Options) (*process, error) {
	p := &process{
		cmd:    exec.Command(o.Binary, o.arguments()...),
		output: &output{},
		done:   make(chan struct{}),
	}
	if o.LogFile != "" {
		file, err := os.OpenFile(o.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, fmt.Errorf("%w; give a log file that can be written", err)
		}
		p.output.file = file
	}
	p.cmd.Env = environment()
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	p.cmd.SysProcAttr = attributes()
	// A wrapper script may leave somebody behind who holds the pipe.
	p.cmd.WaitDelay = time.Second

	started := make(chan error, 1)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("%w; set %s to a temporal CLI %s or newer, or build the pinned one with `make bin/temporal`",
			err, PathVariable, oldest)
	}
	return p, nil
}

// run starts the process and waits for it on one thread: the kernel's parent-death signal is sent when the
// thread that forked ends, not when the process does, and Go ends idle threads as it likes.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer p.output.close()
	if err := p.cmd.Start(); err != nil {
		started <- err
		return
	}
	started <- nil
	_ = p.cmd.Wait() // how it ended is kept in ProcessState
	close(p.done)
}

// exit says how the process ended. It may be called after done.
func (p *process) exit() string { return p.cmd.ProcessState.String() }

func (p *process) stop(ctx context.Context) error {
	p.asked.Store(true)
	select {
	case <-p.done:
		return nil
	default:
	}
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	began := time.Now()
	terminate(p.cmd.Process)
	select {
	case <-p.done:
		return nil
	case <-grace.C:
	case <-ctx.Done():
	}
	p.kill()
	return fmt.Errorf("stop the Temporal dev server: pid %d had not ended %s after it was asked to, and was killed; "+
		"its database file is safe", p.cmd.Process.Pid, time.Since(began).Round(time.Millisecond))
}

func (p *process) kill() {
	p.asked.Store(true)
	select {
	case <-p.done:
		return
	default:
	}
	kill(p.cmd.Process)
	<-p.done
}

// waitReady returns when a workflow could be started: the frontend serves, the namespace is there, the
// history service behind it answers, and so does the UI.
func (p *process) waitReady(parent context.Context, o Options) error {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	go func() {
		select {
		case <-p.done:
			cancel()
		case <-ctx.Done():
		}
	}()

	err := p.untilReady(ctx, o)
	select {
	case <-p.done:
		// Also when something answered: then it was somebody else's server on a port that ours has lost.
		return fmt.Errorf("it ended before it answered (%s)", p.exit())
	default:
	}
	if err == nil {
		return nil
	}
	if cause := parent.Err(); cause != nil {
		return fmt.Errorf("it runs but did not answer in time (%w; last: %v)", cause, err)
	}
	return err
}

func (p *process) untilReady(ctx context.Context, o Options) error {
	address := net.JoinHostPort(host, strconv.Itoa(o.FrontendPort))
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		// gRPC's own first pause is a second, as long as the whole start.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: pollEvery, Multiplier: 1, MaxDelay: pollEvery},
			MinConnectTimeout: time.Second,
		}))
	if err != nil {
		return fmt.Errorf("dial %s: %w", address, err)
	}
	defer func() { _ = conn.Close() }()

	if err := until(ctx, func(ctx context.Context) error { return frontendServes(ctx, conn) }); err != nil {
		return err
	}
	namespace := o.Namespace
	if namespace == "" {
		namespace = "default"
	}
	if err := until(ctx, func(ctx context.Context) error { return historyAnswers(ctx, conn, namespace) }); err != nil {
		return err
	}
	if o.Headless {
		return nil
	}
	return until(ctx, func(ctx context.Context) error {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(o.UIPort)))
		if err != nil {
			return err
		}
		return c.Close()
	})
}

func frontendServes(ctx context.Context, conn *grpc.ClientConn) error {
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

// historyAnswers asks for a workflow that does not exist: only the history service can say so. A frontend
// serves for some hundred milliseconds before that, in which a first start would fail.
func historyAnswers(ctx context.Context, conn *grpc.ClientConn, namespace string) error {
	_, err := workflowservice.NewWorkflowServiceClient(conn).DescribeWorkflowExecution(ctx,
		&workflowservice.DescribeWorkflowExecutionRequest{
			Namespace: namespace,
			Execution: &commonpb.WorkflowExecution{WorkflowId: "redial-devserver-readiness"},
		})
	if _, absent := errors.AsType[*serviceerror.NotFound](serviceerror.FromStatus(status.Convert(err))); absent {
		return nil
	}
	return err
}

// until repeats try until it succeeds or ctx ends, and returns the last error of its own making.
func until(ctx context.Context, try func(context.Context) error) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var last error
	for {
		attempt, cancel := context.WithTimeout(ctx, time.Second)
		err := try(attempt)
		cancel()
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-tick.C:
		}
	}
}
