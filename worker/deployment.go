package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	sdk "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Deployment is one version of a Temporal worker deployment: all workers of one build. Which version gets the flows is
// said by the operator, with the Temporal CLI, and by nothing here.
type Deployment struct {
	Name    string // of the deployment; empty: no versioning
	BuildID string
	// Pinned keeps each flow on the build that began it. Otherwise flows move to the build that is current, at their next
	// step, and the build has to be able to replay them.
	Pinned bool
	// UpgradeAtWait keeps each flow on its build through an attempt, and lets it go on with the current build when it next waits
	// between attempts: in a new run, which stands where the old one stood. It needs a server that tells a pinned run of a
	// newer build (Temporal 1.31 and later); with an older one flows stay where they are.
	UpgradeAtWait bool
}

func (d Deployment) version() sdk.WorkerDeploymentVersion {
	return sdk.WorkerDeploymentVersion{DeploymentName: d.Name, BuildID: d.BuildID}
}

func (d Deployment) options() sdk.DeploymentOptions {
	if d.Name == "" {
		return sdk.DeploymentOptions{}
	}
	o := sdk.DeploymentOptions{UseVersioning: true, Version: d.version(), DefaultVersioningBehavior: workflow.VersioningBehaviorAutoUpgrade}
	if d.Pinned || d.UpgradeAtWait {
		o.DefaultVersioningBehavior = workflow.VersioningBehaviorPinned
	}
	return o
}

// lookAtMost is the longest time between two looks at a deployment that sends this build nothing.
const lookAtMost = time.Minute

// watch says in the log where the tasks of the deployment go, until they come to this build. A deployment without a current
// version lets every call wait, which nothing else would tell.
func (d Deployment) watch(ctx context.Context, c client.Client, log *zap.Logger) {
	handle := c.WorkerDeploymentClient().GetHandle(d.Name)
	said := ""
	for pause := time.Second; ; pause = min(2*pause, lookAtMost) {
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		answer, err := handle.Describe(ctx, client.WorkerDeploymentDescribeOptions{})
		var unknown *serviceerror.NotFound
		if errors.As(err, &unknown) || ctx.Err() != nil {
			continue // the server has not heard of the first poll yet
		}
		if err != nil {
			log.Warn("the worker deployment cannot be described", zap.Error(err))
			continue
		}
		words, served, level := d.routing(answer.Info.RoutingConfig)
		if words != said || level == zap.WarnLevel && pause == lookAtMost {
			log.Log(level, words, zap.String("deployment", d.Name), zap.String("build", d.BuildID))
		}
		if said = words; served {
			return
		}
	}
}

// routing says where the tasks of the deployment go; served, when they come to this build.
func (d Deployment) routing(r client.WorkerDeploymentRoutingConfig) (words string, served bool, level zapcore.Level) {
	current, ramping := r.CurrentVersion, r.RampingVersion
	switch {
	case current != nil && *current == d.version():
		return "this build is the current version of its deployment", true, zap.InfoLevel
	case ramping != nil && *ramping == d.version() && r.RampingVersionPercentage > 0:
		return fmt.Sprintf("this build is ramping: it gets %g%% of its deployment's tasks", r.RampingVersionPercentage), true, zap.InfoLevel
	case current == nil:
		return "no call is made by this build: its deployment has no current version, and tasks go to workers without one, or " +
			"wait; run: " + d.makeCurrent(), false, zap.WarnLevel
	}
	return fmt.Sprintf("this build waits: build %s is the current version of the deployment; to send tasks here run: %s",
		current.BuildID, d.makeCurrent()), false, zap.InfoLevel
}

// makeCurrent is the operator's command that makes this build the current version, in an environment like this process's.
func (d Deployment) makeCurrent() string {
	return fmt.Sprintf("temporal worker deployment set-current-version --deployment-name %s --build-id %s", d.Name, d.BuildID)
}
