package workflows_test

import (
	"testing"

	"redial/callflowtest"
)

// Recorded runs are kept under testdata, named after what happens in them. A change of a flow that breaks one of them
// would break runs that are under way: it needs a version gate. New ones are recorded with
//
//	go test ./app -run TestRecordHistories -record
func TestRecordedRunsReplay(t *testing.T) {
	callflowtest.Replay(t, "testdata/*.json")
}
