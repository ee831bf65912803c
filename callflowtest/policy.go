package callflowtest

import (
	"os"
	"testing"

	"redial/followup"
	"redial/workflows"
)

// Policy is for Kit.Call: the run is started with the policy of a file, as redial call --policy does it.
func Policy(t testing.TB, file string) func(*workflows.Input) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("callflowtest.Policy: %v", err)
	}
	p, err := followup.Parse(data)
	if err != nil {
		t.Fatalf("callflowtest.Policy: %s: %v", file, err)
	}
	return func(in *workflows.Input) { in.Policy = p.WithDefaults() }
}
