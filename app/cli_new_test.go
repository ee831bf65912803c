//go:build unix

package app_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"redial/internal/process/processtest"
)

// sources is the folder of this repository.
func sources(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	return root
}

// withGo lets the program run the go command, on what this machine has downloaded and compiled already, and nothing else.
func withGo(t *testing.T, p program) program {
	t.Helper()
	for _, name := range []string{"GOMODCACHE", "GOCACHE"} {
		value, err := exec.Command("go", "env", name).Output()
		require.NoError(t, err)
		p = p.with(name + "=" + strings.TrimSpace(string(value)))
	}
	return p.with("GOPROXY=off", "GOFLAGS=-mod=readonly -buildvcs=false")
}

// command runs a command of the machine in the program's folder.
func (p program) command(t *testing.T, folder, name string, args ...string) ended {
	t.Helper()
	c := exec.Command(name, args...)
	c.Dir = filepath.Join(p.folder, folder)
	for name, value := range p.environment {
		c.Env = append(c.Env, name+"="+value)
	}
	var e ended
	out, err := c.Output()
	e.stdout = string(out)
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		e.code, e.stderr = failed.ExitCode(), string(failed.Stderr)
	} else {
		require.NoError(t, err)
	}
	return e
}

// mustCommand is command of one that has to succeed.
func (p program) mustCommand(t *testing.T, folder, name string, args ...string) string {
	t.Helper()
	e := p.command(t, folder, name, args...)
	require.Zero(t, e.code, "%s %s\n%s%s", name, strings.Join(args, " "), e.stdout, e.stderr)
	return e.stdout
}

func TestANewModuleBuildsAndPassesItsTestsWithoutDownloadingAnything(t *testing.T) {
	t.Parallel()
	requireTools(t, "go", "make", "gofmt")
	p := withGo(t, newProgram(t))
	said := p.must(t, "new", "orders", "--redial", sources(t))
	require.Contains(t, said, "cd orders")

	require.Empty(t, p.mustCommand(t, "orders", "gofmt", "-l", "."))
	p.mustCommand(t, "orders", "go", "vet", "./...")
	require.Contains(t, p.mustCommand(t, "orders", "go", "test", "-v", "./..."), "--- PASS: TestItCallsUntilTheOrderIsConfirmed")
	p.mustCommand(t, "orders", "make", "build")
	help := p.mustCommand(t, "orders", filepath.Join(p.folder, "orders/bin/orders"), "call", "--help")
	require.Contains(t, help, "--flow")
	e := p.command(t, "orders", filepath.Join(p.folder, "orders/bin/orders"), "call", "--flow", "Confirmation", "--to", anna)
	require.Equal(t, misuse, e.code)
	require.Contains(t, e.stderr, "number: it is missing")
}

// workflowcheck is the checker of workflow code that make check has built.
func workflowcheck(t *testing.T) string {
	t.Helper()
	built, _ := filepath.Glob(filepath.Join(sources(t), "bin/tools/workflowcheck-*"))
	if len(built) == 0 {
		processtest.Skip(t, "workflowcheck", errors.New("make check-workflows builds it"))
	}
	return built[len(built)-1]
}

func TestTheFlowOfANewModuleIsDeterministic(t *testing.T) {
	t.Parallel()
	requireTools(t, "go")
	checker := workflowcheck(t)
	p := withGo(t, newProgram(t))
	p.must(t, "new", "orders", "--redial", sources(t))
	p.file(t, "orders/hurried.go", "package main\n\nimport (\n\t\"time\"\n\n\t\"go.temporal.io/sdk/workflow\"\n)\n\n"+
		"func hurried(workflow.Context) time.Time { return time.Now() }\n")
	found := p.command(t, "orders", checker, "./...")
	require.NotZero(t, found.code)
	require.Contains(t, found.stderr, "orders.hurried is non-deterministic", "a checker that finds nothing checks nothing")
	require.NotContains(t, found.stderr, "orders.Confirm is")
}

func TestANewModuleFindsRedialsSourcesByItself(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	p.folder = filepath.Join(p.folder, "mine")
	require.NoError(t, os.Mkdir(p.folder, 0o700))
	p.file(t, "../go.mod", "module example.com/mine\n\nreplace redial => "+sources(t)+"\n")
	p.must(t, "new", "orders")
	made, err := os.ReadFile(filepath.Join(p.folder, "orders/go.mod"))
	require.NoError(t, err)
	require.Contains(t, string(made), "\nreplace redial => "+sources(t)+"\n")
}

func TestANewModuleIsRefusedInOneLineAndNothingIsLeftOfIt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		says []string
	}{
		"no folder":             {nil, []string{"redial new takes one folder, and was given 0"}},
		"two folders":           {[]string{"a", "b"}, []string{"was given 2"}},
		"a folder in none":      {[]string{"none/orders"}, []string{"none", "create that folder first"}},
		"the folder above":      {[]string{"../.."}, []string{`".." is no name`}},
		"capitals":              {[]string{"Orders"}, []string{`"Orders" is no name`, "lower-case"}},
		"a module of Redial's":  {[]string{"orders", "--module", "redial/orders"}, []string{"--module", `"redial/orders"`, "github.com/example/orders"}},
		"a module with spaces":  {[]string{"orders", "--module", "my orders"}, []string{"--module", `"my orders"`}},
		"a folder that is used": {[]string{"used"}, []string{"the folder used is not empty", "name another"}},
		"a file":                {[]string{"file"}, []string{"file", "name another folder"}},
		"no sources":            {[]string{"orders", "--redial", "used"}, []string{"--redial", "these are not Redial's sources"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProgram(t)
			require.NoError(t, os.Mkdir(filepath.Join(p.folder, "used"), 0o700))
			p.file(t, "used/go.mod", "module example.com/used\n")
			p.file(t, "file", "")
			e := p.run(t, append([]string{"new"}, test.args...)...)
			require.Equal(t, misuse, e.code)
			require.Empty(t, e.stdout)
			processtest.RequireOneLine(t, errors.New(strings.TrimSpace(e.stderr)), test.says...)
			left, err := os.ReadDir(p.folder)
			require.NoError(t, err)
			require.Len(t, left, 2, "nothing is left half-done")
		})
	}
}
