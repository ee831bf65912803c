package app_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// shell runs one of the README's blocks as a user would who pastes it, with this program as bin/redial.
func (s stage) shell(t *testing.T, block string) string {
	t.Helper()
	return s.shellOf(t, "README.md", block)
}

// shellOf is shell for another document.
func (s stage) shellOf(t *testing.T, document, block string) string {
	t.Helper()
	data, err := os.ReadFile("../" + document)
	require.NoError(t, err)
	_, text, found := strings.Cut(string(data), "<!-- checked: "+block+" -->\n```sh\n")
	require.True(t, found, "the block is gone")
	text, _, _ = strings.Cut(text, "```")
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	text = strings.NewReplacer("2026-12-01", someDay(), "bin/redial", os.Args[0], "koreai/testdata", root+"/koreai/testdata").Replace(text)
	c := exec.Command("bash", "-euc", text)
	c.Dir = s.folder
	for name, value := range s.environment {
		c.Env = append(c.Env, name+"="+value)
	}
	c.Env = append(c.Env, "GATEWAY="+string(s.gateway))
	out, err := c.CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

// someDay is the day that the documents call 1 December 2026: one within the lifetime of a contact of today.
func someDay() string { return time.Now().UTC().AddDate(0, 0, 7).Format(time.DateOnly) }

func TestTheREADMEsCurlIsAnsweredAsTheGatewayDocumentsIt(t *testing.T) {
	t.Parallel()
	requireTools(t, "bash", "curl", "openssl")
	s := newStage(t)
	answer := decode[struct {
		SID    string `json:"sid"`
		CallID string `json:"callId"`
	}](t, s.shell(t, "request"))
	require.NotEmpty(t, answer.SID)
	require.NotEmpty(t, answer.CallID)
	require.Equal(t, 1, s.gateway.stats(t).Launched)
}

func TestTheREADMEsNotificationsLeadToTheOutcomesThatItNames(t *testing.T) {
	t.Parallel()
	requireTools(t, "bash", "curl")
	s := newStage(t)
	s.up(t)
	said := s.shell(t, "notifications")
	require.Equal(t, 6, strings.Count(said, "200\n"), said)
	var outcomes []string
	for _, m := range regexp.MustCompile(`(?m)^outcome +([a-z_]+),`).FindAllStringSubmatch(said, -1) {
		outcomes = append(outcomes, m[1])
	}
	require.Equal(t, []string{"human", "machine", "answered", "network_error", "busy", "unreachable"}, outcomes, said)
}

func TestTheREADMEsResultIsTakenAndShownAndABadOneExplained(t *testing.T) {
	t.Parallel()
	requireTools(t, "bash", "curl")
	s := newStage(t)
	s.up(t)
	said := s.shell(t, "result")
	require.Contains(t, said, "result is \"yes\": give one of confirmed, declined, callback, opted_out, unfinished\n200\n")
	require.Regexp(t, `(?m)#1  result +not understood: \{"result":"yes"\}  \(result is "yes"`, said)
	require.Regexp(t, `(?m)#1  result +the bot says: confirmed \{"slot":"9:30"\}$`, said)
}

// requireTools skips where a machine lacks what the block is written in: the product itself needs none of it.
func requireTools(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip("this machine has no " + name)
		}
	}
}

func TestTheREADMEsModuleOfOnesOwnIsMadeAndTested(t *testing.T) {
	t.Parallel()
	requireTools(t, "bash", "go", "make")
	s := stage{program: withGo(t, newProgram(t))}
	s.folder = filepath.Join(s.folder, "checkout")
	require.NoError(t, os.Mkdir(s.folder, 0o700))
	s.file(t, "go.mod", "module example.com/checkout\n\nreplace redial => "+sources(t)+"\n")
	require.Contains(t, s.shell(t, "new"), "--flow")
}
