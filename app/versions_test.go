package app

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"redial/call"
	"redial/internal/config"
	"redial/internal/logging"
	"redial/simulator"
	"redial/starter"
	"redial/workflows"
)

// rollout is a worker deployment beside the world's own worker, which has no version.
type rollout struct {
	*world
	deployment client.WorkerDeploymentHandle
	versioning config.Versioning
}

func newRollout(t *testing.T, v config.Versioning, ofTemporal ...string) rollout {
	w := newWorld(t, worldOptions{simulator: simulator.Config{PlainNumbers: true}, temporal: ofTemporal, flows: []workflows.Definition{before}})
	return rollout{w, w.client.WorkerDeploymentClient().GetHandle("redial"), v}
}

// deploy starts a worker of a build, which signs what it does with the build's id, and waits until the server knows that it
// polls both task queues. Beside OutboundCall it hosts the flows. It returns the worker's log.
func (r rollout) deploy(build string, flows ...workflows.Definition) *observer.ObservedLogs {
	r.t.Helper()
	ctx, err := withFlows(r.t.Context(), flows)
	require.NoError(r.t, err)
	cfg := r.config
	cfg.Deployment, cfg.BuildID, cfg.Versioning = "redial", build, r.versioning
	signing, err := client.NewClientFromExistingWithContext(r.t.Context(), r.client, client.Options{Identity: build, Logger: logging.ForTemporal(zap.NewNop())})
	require.NoError(r.t, err)
	dials, err := dialing(cfg)
	require.NoError(r.t, err)
	core, logs := observer.New(zap.InfoLevel)
	w, err := newWorker(ctx, cfg, dials, signing, r.ledger, zap.New(core))
	require.NoError(r.t, err)
	hosted := runPart(r.t.Context(), w.Run)
	r.t.Cleanup(func() { require.NoError(r.t, hosted.close()) })
	require.Eventually(r.t, func() bool {
		v, err := r.deployment.DescribeVersion(r.t.Context(), client.WorkerDeploymentDescribeVersionOptions{BuildID: build})
		if err != nil {
			return false
		}
		var queues []string
		for _, q := range v.Info.TaskQueuesInfos {
			queues = append(queues, q.Name)
		}
		return slices.Contains(queues, workflows.TaskQueue) && slices.Contains(queues, workflows.DialTaskQueue)
	}, time.Minute, 50*time.Millisecond, "the build does not poll both task queues under its version")
	return logs
}

func (r rollout) makeCurrent(build string) {
	r.t.Helper()
	r.insist(func() error {
		_, err := r.deployment.SetCurrentVersion(r.t.Context(), client.WorkerDeploymentSetCurrentVersionOptions{BuildID: build})
		return err
	})
	r.awaitRouting(build)
}

// awaitRouting waits until the task queues know where new runs go, which the server tells them after it has answered.
func (r rollout) awaitRouting(build string) {
	r.t.Helper()
	for queue, kind := range map[string]enumspb.TaskQueueType{workflows.TaskQueue: enumspb.TASK_QUEUE_TYPE_WORKFLOW, workflows.DialTaskQueue: enumspb.TASK_QUEUE_TYPE_ACTIVITY} {
		require.Eventually(r.t, func() bool {
			d, err := r.client.WorkflowService().DescribeTaskQueue(r.t.Context(),
				&workflowservice.DescribeTaskQueueRequest{Namespace: "default", TaskQueue: &taskqueuepb.TaskQueue{Name: queue}, TaskQueueType: kind})
			return err == nil && d.GetVersioningInfo().GetCurrentDeploymentVersion().GetBuildId() == build
		}, time.Minute, 50*time.Millisecond, "task queue %s does not know its current build", queue)
	}
}

// insist asks again, as an operator does: the server refuses while a version of the deployment is still being registered.
func (r rollout) insist(ask func() error) {
	r.t.Helper()
	var err error
	require.Eventually(r.t, func() bool { err = ask(); return err == nil }, time.Minute, 200*time.Millisecond)
	require.NoError(r.t, err)
}

// talk starts a call that lasts until hangUp; the next call to the number is an ordinary one.
func (r rollout) talk(number string) starter.Call {
	r.t.Helper()
	p := quick()
	p.Dial.MaxCall = seconds(600)
	c := r.start(number, "human+never_ends+lost,human+ring=1s", p)
	r.notifyURL(number)
	return c
}

// hangUp ends the call as busy, so that another attempt follows, and returns the run's result.
func (r rollout) hangUp(c starter.Call, number string) call.Result {
	r.t.Helper()
	require.Equal(r.t, 200, r.post(r.notifyURL(number), seedSamples[4].body))
	result := r.result(c)
	require.Equal(r.t, call.Outcome(call.Human), result.Outcome)
	require.Len(r.t, result.Attempts, 2)
	require.Equal(r.t, 2, r.placed(number), "once per attempt, whoever dialed")
	return result
}

// workers are those that did a kind of work for a run, in order, each once.
func (r rollout) workers(c starter.Call, kind enumspb.EventType) []string {
	r.t.Helper()
	var all []string
	for _, e := range r.history(c) {
		switch {
		case e.EventType != kind:
		case kind == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
			all = append(all, e.GetWorkflowTaskCompletedEventAttributes().GetIdentity())
		case kind == enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED:
			all = append(all, e.GetActivityTaskStartedEventAttributes().GetIdentity())
		}
	}
	return slices.Compact(all)
}

// requireOn requires that flow steps and dials of a run were done by these builds, in this order.
func (r rollout) requireOn(c starter.Call, builds ...string) {
	r.t.Helper()
	require.Equal(r.t, builds, r.workers(c, enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED), "steps of the flow")
	require.Equal(r.t, builds, r.workers(c, enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED), "dials")
}

func TestCallsUnderWayMoveToTheBuildThatIsMadeCurrentOrRampedTo(t *testing.T) {
	r := newRollout(t, config.AutoUpgrade)
	const before, first, second, third = "+12025550101", "+12025550102", "+12025550103", "+12025550104"
	unversioned := r.talk(before)
	said := r.deploy("build-a")
	require.Eventually(t, func() bool { return said.FilterLevelExact(zap.WarnLevel).Len() > 0 }, time.Minute, 50*time.Millisecond,
		"nobody is told that no call will be made")
	require.Contains(t, said.FilterLevelExact(zap.WarnLevel).All()[0].Message,
		"temporal worker deployment set-current-version --deployment-name redial --build-id build-a")
	r.makeCurrent("build-a")
	require.Eventually(t, func() bool {
		return said.FilterMessage("this build is the current version of its deployment").Len() == 1
	},
		2*time.Minute, 50*time.Millisecond)

	r.hangUp(unversioned, before)
	require.Equal(t, "build-a", r.workers(unversioned, enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED)[1], "a run from before there were versions")

	onA := r.talk(first)
	waits := r.deploy("build-b")
	require.Eventually(t, func() bool { return waits.FilterLevelExact(zap.InfoLevel).Len() > 0 }, time.Minute, 50*time.Millisecond)
	require.Contains(t, waits.All()[0].Message, "this build waits: build build-a is the current version")
	r.makeCurrent("build-b")
	r.hangUp(onA, first)
	r.requireOn(onA, "build-a", "build-b")

	onB := r.talk(second)
	r.deploy("build-c")
	r.insist(func() error {
		_, err := r.deployment.SetRampingVersion(t.Context(), client.WorkerDeploymentSetRampingVersionOptions{BuildID: "build-c", Percentage: 100})
		return err
	})
	onC := r.talk(third)
	r.hangUp(onB, second)
	r.hangUp(onC, third)
	r.requireOn(onB, "build-b", "build-c")
	r.requireOn(onC, "build-c")
	require.Zero(t, r.simulator.Stats().DuplicateDials)
}

func TestPinnedCallsEndOnTheBuildThatBeganThem(t *testing.T) {
	r := newRollout(t, config.Pinned)
	const first, second = "+12025550101", "+12025550102"
	r.deploy("build-a")
	r.makeCurrent("build-a")
	onA := r.talk(first)
	r.deploy("build-b")
	r.makeCurrent("build-b")
	onB := r.talk(second)
	r.hangUp(onA, first)
	r.hangUp(onB, second)
	r.requireOn(onA, "build-a")
	r.requireOn(onB, "build-b")
	require.Zero(t, r.simulator.Stats().DuplicateDials)
}
