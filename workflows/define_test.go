package workflows_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"

	"redial/workflows"
)

// visit is an input of a flow's own.
type visit struct {
	Day   string `json:"day"`
	Hours []int  `json:"hours"`
}

func (v visit) Validate() error {
	if v.Day == "" {
		return errors.New("day: it is missing")
	}
	return nil
}

func TestMistakesInAFlowsOwnInputAreToldInItsWords(t *testing.T) {
	flow := workflows.Define("Visit", func(workflow.Context, *workflows.Flow, visit) error { return nil })
	for data, says := range map[string]string{
		``:                            "day: it is missing",
		`{"daj": "Monday"}`:           `unknown field "daj"`,
		`{"day": ["Monday"]}`:         "day: there is a JSON array, and the Go type string is wanted",
		`{"hours": [9, "ten"]}`:       "hours: there is a JSON string, and the Go type int is wanted",
		`{"day": "Monday"} {}`:        "there is something after the value",
		`{"day": "Monday"`:            "unexpected EOF",
		strings.Repeat(" ", 64<<10+1): "65537 bytes are too many: write at most 65536",
	} {
		_, err := flow.Parse([]byte(data))
		require.EqualError(t, err, says, data)
	}
	parsed, err := flow.Parse([]byte(`{"day": "Monday", "hours": [9, 10]}`))
	require.NoError(t, err)
	require.JSONEq(t, `{"day": "Monday", "hours": [9, 10]}`, string(parsed))
}
