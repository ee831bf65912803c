package app_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"

	"redial/call"
)

// A bot's result is on record when its call is, and the credential with which it came is in the gateway's request alone.
func TestASimulatedBotsResultIsOnRecordAndItsURLIsKeptNowhere(t *testing.T) {
	t.Parallel()
	s := newStage(t, "REDIAL_LOG_LEVEL=debug")
	up := s.up(t)
	s.must(t, "call", "--to", anna, "--id", "anna", "--metadata", "simulate=human+result=callback+duplicate_result", "--metadata", "order=7")
	eventually(t, "the call to be decided on", func() bool {
		return strings.Contains(s.run(t, "show", "anna").stdout, "decided")
	})

	results := s.show(t, "anna").Results
	require.Len(t, results, 1, "the same one twice is one")
	require.Equal(t, call.Callback, results[0].Said.Kind)
	require.True(t, results[0].Said.At.After(results[0].At))
	require.Empty(t, results[0].Note)
	require.Regexp(t, `#1  result +the bot says: callback at [A-Za-z0-9: ]+\n`, s.must(t, "show", "anna"))

	var metadata map[string]string
	require.NoError(t, json.Unmarshal(s.gateway.calls(t, anna)[0].Metadata, &metadata))
	require.Equal(t, "7", metadata["order"])
	_, credential, found := strings.Cut(metadata["redial_result_url"], "/result/")
	require.True(t, found)
	up.ctrlC(t)
	e := up.wait(t)
	require.False(t, strings.Contains(e.stdout+e.stderr, credential), "it is in the log")
	files, err := filepath.Glob(filepath.Join(s.folder, "redial.db*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		data, err := os.ReadFile(f)
		require.NoError(t, err)
		require.False(t, strings.Contains(string(data), credential), f)
	}
	for events := s.temporal.GetWorkflowHistory(t.Context(), "redial/-/anna", "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); events.HasNext(); {
		e, err := events.Next()
		require.NoError(t, err)
		require.False(t, strings.Contains(e.String(), credential), e.GetEventType())
	}
}
