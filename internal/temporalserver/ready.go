package temporalserver

import (
	"context"
	"errors"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"

	enumspb "go.temporal.io/api/enums/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"redial/internal/devserver"
	"redial/internal/process"
)

// untilReady returns when a workflow could be started and a worker could take it: the frontend serves, the namespace is
// registered, and the history and matching services know it.
func (s *settings) untilReady(ctx context.Context) error {
	conn, err := devserver.Dial(s.address())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for _, condition := range []func(context.Context) error{
		func(ctx context.Context) error { return devserver.FrontendServes(ctx, conn) },
		func(ctx context.Context) error { return s.registerNamespace(ctx, conn) },
		func(ctx context.Context) error { return devserver.HistoryAnswers(ctx, conn, s.Namespace) },
		func(ctx context.Context) error { return s.matchingAnswers(ctx, conn) },
	} {
		if err := process.Until(ctx, condition); err != nil {
			return err
		}
	}
	return nil
}

func (s *settings) registerNamespace(ctx context.Context, conn *grpc.ClientConn) error {
	_, err := workflowservice.NewWorkflowServiceClient(conn).RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
		Namespace:                        s.Namespace,
		WorkflowExecutionRetentionPeriod: durationpb.New(s.Retention),
	})
	if _, there := errors.AsType[*serviceerror.NamespaceAlreadyExists](serviceerror.FromStatus(status.Convert(err))); there {
		return nil
	}
	return err
}

func (s *settings) matchingAnswers(ctx context.Context, conn *grpc.ClientConn) error {
	_, err := workflowservice.NewWorkflowServiceClient(conn).DescribeTaskQueue(ctx, &workflowservice.DescribeTaskQueueRequest{
		Namespace:     s.Namespace,
		TaskQueue:     &taskqueuepb.TaskQueue{Name: "redial-readiness"},
		TaskQueueType: enumspb.TASK_QUEUE_TYPE_WORKFLOW,
	})
	return err
}
