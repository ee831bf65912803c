//go:build unix

package app_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"redial/call"
)

// TestEachExampleDoesWhatItsREADMESays runs the commands of the READMEs with the examples' own binaries, under redial up on the
// parts of the tests in place of redial dev.
func TestEachExampleDoesWhatItsREADMESays(t *testing.T) {
	t.Parallel()
	requireTools(t, "go")
	for name, ends := range map[string]string{"appointment": "human (confirmed)", "oncall": "human (accepted)"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := filepath.Join(sources(t), "examples", name)
			readme, err := os.ReadFile(filepath.Join(folder, "README.md"))
			require.NoError(t, err)
			for _, file := range regexp.MustCompile(`\]\(([a-z_]+\.(?:go|yaml))\)`).FindAllStringSubmatch(string(readme), -1) {
				require.FileExists(t, filepath.Join(folder, file[1]))
			}
			s := newStage(t)
			build := exec.Command("go", "build", "-o", filepath.Join(s.folder, name), ".")
			build.Dir = folder
			out, err := build.CombinedOutput()
			require.NoError(t, err, "%s", out)
			inputs, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
			require.NoError(t, err)
			for _, input := range inputs {
				data, err := os.ReadFile(input)
				require.NoError(t, err)
				s.file(t, filepath.Base(input), string(data))
			}
			s.binary = filepath.Join(s.folder, name)
			s.up(t)
			commands := regexp.MustCompile(`(?m)^\./`+name+` (call|show) (.*)$`).FindAllStringSubmatch(string(readme), -1)
			require.Len(t, commands, 2)
			require.Contains(t, s.must(t, append([]string{"call"}, strings.Fields(commands[0][2])...)...), ends)
			require.Contains(t, s.must(t, append([]string{"show"}, strings.Fields(commands[1][2])...)...), string(call.Human))
		})
	}
}
