//go:build unix

package app_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"redial/internal/devserver/devservertest"
)

// reader follows a document as a person would who has only that: the blocks in order, each as the mark above it says.
type reader struct {
	program
	folder string   // in which the commands run
	shell  []string // replacements: what the machine of the test calls things
	dev    []string // flags of the binary's dev, for ports of its own
	said   string   // by the last command
}

// block is a fenced block of a document with the mark above it.
type block struct{ mark, language, text string }

var fenced = regexp.MustCompile("(?ms)(?:^<!-- ([^\n]*) -->\n)?^```([a-z]*)\n(.*?)^```$")

func blocksOf(t *testing.T, document string) (blocks []block) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", document))
	require.NoError(t, err)
	for _, m := range fenced.FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, block{m[1], m[2], m[3]})
	}
	require.NotEmpty(t, blocks)
	return blocks
}

var mark = regexp.MustCompile(`^(not run|file|append|replace from|replace|insert after|run|stays|prints)(?: "(.*)")?(?:: (.*))?$`)

// follow does what a block says.
func (r *reader) follow(t *testing.T, b block) {
	t.Helper()
	m := mark.FindStringSubmatch(b.mark)
	require.NotNil(t, m, "a block that nobody checks: %s\n%s", b.mark, b.text)
	verb, anchor, rest := m[1], m[2], m[3]
	switch verb {
	case "not run":
	case "file":
		r.write(t, rest, b.text)
	case "append":
		r.write(t, rest, r.read(t, rest)+"\n"+b.text)
	case "replace from", "replace", "insert after":
		r.write(t, rest, r.edit(t, rest, verb, anchor, b.text))
	case "run":
		r.run(t, b.text, rest == "fails")
	case "stays":
		r.stay(t)
	case "prints":
		r.expect(t, b.text)
	}
}

func (r *reader) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(r.folder, name))
	require.NoError(t, err)
	return string(text)
}

func (r *reader) write(t *testing.T, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(r.folder, name), []byte(text), 0o600))
}

// edit changes a file at the first line that begins with, or else has, the anchor.
func (r *reader) edit(t *testing.T, name, verb, anchor, text string) string {
	t.Helper()
	lines := strings.SplitAfter(r.read(t, name), "\n")
	at := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, anchor) })
	require.GreaterOrEqual(t, at, 0, "%s has no line with %q", name, anchor)
	before, after := lines[:at], lines[at+1:]
	switch verb {
	case "replace from":
		after = nil
	case "insert after":
		before = lines[:at+1]
	}
	return strings.Join(before, "") + text + strings.Join(after, "")
}

// run runs commands in a shell. A change of the folder stays.
func (r *reader) run(t *testing.T, text string, fails bool) {
	t.Helper()
	where := filepath.Join(t.TempDir(), "pwd")
	c := exec.Command("bash", "-euc", strings.NewReplacer(r.shell...).Replace(text)+"\npwd > "+where)
	c.Dir = r.folder
	for name, value := range r.environment {
		c.Env = append(c.Env, name+"="+value)
	}
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	r.said = out.String()
	if fails {
		require.Error(t, err, text+r.said)
		return
	}
	require.NoError(t, err, text+r.said)
	folder, err := os.ReadFile(where)
	require.NoError(t, err)
	r.folder = strings.TrimSpace(string(folder))
}

// expect requires that the last command has said each of these lines, in this order; … stands for anything.
func (r *reader) expect(t *testing.T, lines string) {
	t.Helper()
	rest := r.said
	for line := range strings.Lines(lines) {
		pattern := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(line)), "…", ".*")
		at := regexp.MustCompile(pattern).FindStringIndex(rest)
		require.NotNil(t, at, "it does not say %q in\n%s", line, r.said)
		rest = rest[at[1]:]
	}
}

// stay starts the author's own binary as `make run` does, on ports of the test's own.
func (r *reader) stay(t *testing.T) {
	t.Helper()
	r.run(t, "make build", false)
	p := r.program
	p.folder, p.binary = r.folder, filepath.Join(r.folder, "bin", filepath.Base(r.folder))
	q := p.start(t, append([]string{"dev"}, r.dev...)...)
	q.says(t, &q.stdout, "Ctrl-C stops everything")
}

func TestTheTutorialWorksAsItIsWritten(t *testing.T) {
	t.Parallel()
	requireTools(t, "bash", "go", "make", "gofmt")
	temporal, ui, gateway, webhook := freePort(t), freePort(t), freePort(t), freePort(t)
	p := withGo(t, newProgram(t)).with("TEMPORAL_CLI_PATH="+devservertest.Binary(t), "TEMPORAL_ADDRESS=127.0.0.1:"+temporal,
		"REDIAL_WEBHOOK_ADDR=127.0.0.1:"+webhook)
	r := &reader{program: p, folder: filepath.Join(p.folder, "redial"),
		shell: []string{"bin/redial new ../recall", os.Args[0] + " new ../recall --redial " + sources(t)},
		dev:   []string{"--temporal-port", temporal, "--ui-port", ui, "--simulator-addr", "127.0.0.1:" + gateway, "--speed", "100"}}
	require.NoError(t, os.Mkdir(r.folder, 0o700))
	for _, b := range blocksOf(t, "docs/writing-flows.md") {
		r.follow(t, b)
	}
	r.run(t, "gofmt -l .", false)
	require.Empty(t, r.said, "gofmt would write something else")
	p.folder = r.folder
	p.mustCommand(t, ".", workflowcheck(t), "./...")
}

func TestChangingFlowsQuotesCodeThatIsTested(t *testing.T) {
	tested, err := os.ReadFile("changing_test.go")
	require.NoError(t, err)
	quoted := 0
	for _, b := range blocksOf(t, "docs/changing-flows.md") {
		if b.mark == "of the test" {
			require.Contains(t, string(tested), b.text)
			quoted++
		} else if b.language != "text" {
			require.Contains(t, b.mark, "not run: ", b.text)
		}
	}
	require.GreaterOrEqual(t, quoted, 3)
}
