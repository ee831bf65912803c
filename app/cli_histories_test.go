//go:build unix

package app_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"redial/callflowtest"
	"redial/internal/process/processtest"
)

func TestSavedHistoriesReplayAndAreNotOverwritten(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.up(t)
	s.must(t, "call", "--to", anna, "--id", "anna", "--metadata", "simulate=human", "--wait")
	s.must(t, "call", "--to", "+14155550101", "--id", "bert 7", "--campaign", "spring", "--metadata", "simulate=busy")
	eventually(t, "the second call to wait for its next attempt", func() bool {
		return strings.Contains(s.run(t, "show", "redial/spring/bert 7").stdout, "busy, retry")
	})

	e := s.run(t, "histories", "save", "anna", "redial/spring/bert 7")
	require.Zero(t, e.code, e.stderr)
	require.Contains(t, e.stderr, "look at them before you commit them")
	folder := filepath.Join(s.folder, "testdata", "histories")
	files, err := filepath.Glob(folder + "/*.json")
	require.NoError(t, err)
	require.Len(t, files, 2, e.stdout)
	require.Regexp(t, `^OutboundCall-anna-[0-9a-f]{8}\.json$`, filepath.Base(files[0]))
	require.Regexp(t, `^OutboundCall-spring-bert_7-[0-9a-f]{8}\.json$`, filepath.Base(files[1]))
	callflowtest.Replay(t, folder+"/*.json")

	e = s.run(t, "histories", "save", "anna")
	require.Equal(t, failed, e.code)
	processtest.RequireOneLine(t, errors.New(strings.TrimSpace(e.stderr)), filepath.Base(files[0]), "is there already", "--dir")

	s.must(t, "histories", "save", "--latest", "5", "--dir", "all")
	again, err := os.ReadDir(filepath.Join(s.folder, "all"))
	require.NoError(t, err)
	require.Len(t, again, 2)
}

func TestHistoriesThatCannotBeSavedAreExplainedInOneLine(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for name, test := range map[string]struct {
		args []string
		code int
		says []string
	}{
		"of nobody":             {nil, misuse, []string{"takes the id of a contact, or --latest"}},
		"of too many":           {[]string{"--latest", "1001"}, misuse, []string{"--latest 1001", "write 1 to 1000"}},
		"of an unknown contact": {[]string{"zoe"}, failed, []string{"there is no run of redial/-/zoe", "check the id"}},
	} {
		e := s.run(t, append([]string{"histories", "save"}, test.args...)...)
		require.Equal(t, test.code, e.code, name)
		processtest.RequireOneLine(t, errors.New(strings.TrimSpace(e.stderr)), test.says...)
		require.NoDirExists(t, filepath.Join(s.folder, "testdata"))
	}
}
