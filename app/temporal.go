package app

import (
	"context"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/log"

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

// connect connects to Temporal.
func connect(ctx context.Context, o client.Options, logger log.Logger) (client.Client, error) {
	o.Logger = logger
	ctx, cancel := context.WithTimeout(ctx, connectFor)
	defer cancel()
	c, err := client.DialContext(ctx, o)
	if err != nil {
		address := o.HostPort
		if address == "" {
			address = client.DefaultHostPort
		}
		return nil, fmt.Errorf("temporal at %s cannot be reached: %w; start it (redial dev runs one), or set TEMPORAL_ADDRESS", address, err)
	}
	return c, nil
}

// namespace is the namespace that o names.
func namespace(o client.Options) string {
	if o.Namespace == "" {
		return client.DefaultNamespace
	}
	return o.Namespace
}

// missingAttributes are the search attributes that the namespace does not have yet.
func missingAttributes(ctx context.Context, c client.Client, namespace string) (map[string]enumspb.IndexedValueType, error) {
	ctx, cancel := context.WithTimeout(ctx, connectFor)
	defer cancel()
	have, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return nil, fmt.Errorf("list search attributes of namespace %s: %w", namespace, err)
	}
	missing := map[string]enumspb.IndexedValueType{}
	for _, key := range workflows.SearchAttributes() {
		found, ok := have.CustomAttributes[key.GetName()]
		switch {
		case !ok:
			missing[key.GetName()] = key.GetValueType()
		case found != key.GetValueType():
			return nil, fmt.Errorf("search attribute %s of namespace %s is a %s and must be a %s: remove it and run redial setup, or use another namespace",
				key.GetName(), namespace, found, key.GetValueType())
		}
	}
	return missing, nil
}

// registerAttributes registers what is missing and waits until the server knows it.
func registerAttributes(ctx context.Context, c client.Client, namespace string) (added int, err error) {
	missing, err := missingAttributes(ctx, c, namespace)
	if err != nil || len(missing) == 0 {
		return 0, err
	}
	_, err = c.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{Namespace: namespace, SearchAttributes: missing})
	if err != nil {
		return 0, fmt.Errorf("register search attributes in namespace %s: %w", namespace, err)
	}
	added = len(missing)
	for len(missing) > 0 {
		select {
		case <-ctx.Done():
			return added, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		if missing, err = missingAttributes(ctx, c, namespace); err != nil {
			return added, err
		}
	}
	return added, nil
}
