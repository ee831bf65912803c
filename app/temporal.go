package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/log"
	"go.uber.org/zap"

	"redial/internal/logging"
	"redial/workflows"
)

// connectFor is how long a server may take to answer before it counts as unreachable.
const connectFor = 10 * time.Second

// temporalOptions are the connection's settings from Temporal's own variables and profiles.
func temporalOptions() (client.Options, error) {
	o, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return o, usagef("Temporal's settings (TEMPORAL_*): %w", err)
	}
	return o, nil
}

// connection is a client of Temporal, and what it is connected to.
type connection struct {
	client.Client
	address, namespace string
}

// connectedBy is the connection that c has by o.
func connectedBy(c client.Client, o client.Options) connection {
	return connection{c, cmp.Or(o.HostPort, client.DefaultHostPort), cmp.Or(o.Namespace, client.DefaultNamespace)}
}

// connect connects to Temporal.
func connect(ctx context.Context, o client.Options, logger log.Logger) (connection, error) {
	o.Logger = logger
	ctx, cancel := context.WithTimeout(ctx, connectFor)
	defer cancel()
	c, err := client.DialContext(ctx, o)
	to := connectedBy(c, o)
	if err != nil {
		return connection{}, fmt.Errorf("temporal at %s cannot be reached: %s; %s", to.address, plainCause(err), remedy(plainCause(err)))
	}
	return to, nil
}

// remedy is what to do about a server that was not reached for this cause: whoever is connected to and hangs up wants other
// credentials, or other TLS.
func remedy(cause string) string {
	if strings.Contains(cause, "dial ") || strings.Contains(cause, "deadline") {
		return "start it (redial dev runs one), or set TEMPORAL_ADDRESS"
	}
	return "check TEMPORAL_ADDRESS, TEMPORAL_TLS_* and TEMPORAL_API_KEY"
}

// plainCause is what the network said, without the layers that gRPC puts around it.
func plainCause(err error) string {
	text := err.Error()
	for _, layer := range []string{"Error while dialing: ", "error reading server preface: ", "authentication handshake failed: "} {
		if _, cause, found := strings.Cut(text, layer); found {
			return strings.TrimSuffix(cause, `"`)
		}
	}
	return strings.TrimPrefix(text, "failed reaching server: ")
}

// connectQuietly connects for a short command: by the environment, and without a log of the SDK's own.
func connectQuietly(ctx context.Context) (connection, error) {
	o, err := temporalOptions()
	if err != nil {
		return connection{}, err
	}
	return connect(ctx, o, logging.ForTemporal(zap.NewNop()))
}

// explain says what to do about a namespace that is not there, or that redial setup was not run for.
func explain(err error) error {
	var absent *serviceerror.NamespaceNotFound
	var invalid *serviceerror.InvalidArgument
	switch {
	case errors.As(err, &absent):
		return fmt.Errorf("%w create it, or name another with TEMPORAL_NAMESPACE", err) // the server's sentence ends in a full stop
	case errors.As(err, &invalid) && strings.Contains(invalid.Message, "search attribute"):
		return fmt.Errorf("%w: run redial setup", err)
	}
	return err
}

// patiently asks a server that was reached, and that may be looking for its own database: the SDK's raw services do not ask twice.
func patiently[T any](ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	return backoff.Retry(ctx, func() (T, error) {
		ctx, cancel := context.WithTimeout(ctx, connectFor)
		defer cancel()
		answer, err := ask(ctx)
		var unavailable *serviceerror.Unavailable
		if err != nil && !errors.As(err, &unavailable) {
			err = backoff.Permanent(err)
		}
		return answer, err
	}, backoff.WithMaxElapsedTime(connectFor))
}

// missingAttributes are the search attributes that the namespace does not have yet.
func missingAttributes(ctx context.Context, c connection) (map[string]enumspb.IndexedValueType, error) {
	have, err := patiently(ctx, func(ctx context.Context) (*operatorservice.ListSearchAttributesResponse, error) {
		return c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: c.namespace})
	})
	if err != nil {
		return nil, fmt.Errorf("list search attributes of namespace %s: %w", c.namespace, explain(err))
	}
	missing := map[string]enumspb.IndexedValueType{}
	for _, key := range workflows.SearchAttributes() {
		found, ok := have.CustomAttributes[key.GetName()]
		switch {
		case !ok:
			missing[key.GetName()] = key.GetValueType()
		case found != key.GetValueType():
			return nil, fmt.Errorf("search attribute %s of namespace %s is a %s and must be a %s: remove it and run redial setup, or use another namespace",
				key.GetName(), c.namespace, found, key.GetValueType())
		}
	}
	return missing, nil
}

// registerAttributes registers what is missing and waits until the server knows it.
func registerAttributes(ctx context.Context, c connection) (added int, err error) {
	missing, err := missingAttributes(ctx, c)
	if err != nil || len(missing) == 0 {
		return 0, err
	}
	_, err = c.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{Namespace: c.namespace, SearchAttributes: missing})
	if err != nil {
		return 0, fmt.Errorf("register search attributes in namespace %s: %w", c.namespace, err)
	}
	added = len(missing)
	for len(missing) > 0 {
		select {
		case <-ctx.Done():
			return added, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		if missing, err = missingAttributes(ctx, c); err != nil {
			return added, err
		}
	}
	return added, awaitAttributes(ctx, c)
}

// attributesFor is how long a server may go by what it has read of search attributes before they were registered: a minute, and some.
const attributesFor = 90 * time.Second

// awaitAttributes waits until the server takes the attributes, as it does of those that it has registered within a minute.
func awaitAttributes(ctx context.Context, c connection) error {
	ctx, cancel := context.WithTimeout(ctx, attributesFor)
	defer cancel()
	for {
		_, err := c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Namespace: c.namespace, PageSize: 1,
			Query: workflows.AttributeState.GetName() + " = 'none'"})
		var invalid *serviceerror.InvalidArgument
		if err == nil || !errors.As(err, &invalid) {
			return explain(err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the server does not take the search attributes that it has registered in namespace %s: %w; run redial setup again in a minute", c.namespace, err)
		case <-time.After(500 * time.Millisecond):
		}
	}
}
