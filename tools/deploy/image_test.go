package deploy

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"encoding/pem"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/stretchr/testify/require"
)

// dockerfile is the Dockerfile as BuildKit reads it: how it builds, and what the image is.
func dockerfile(t *testing.T) (build, image instructions.Stage) {
	t.Helper()
	parsed, err := parser.Parse(strings.NewReader(source(t, "Dockerfile")))
	require.NoError(t, err)
	require.Empty(t, parsed.Warnings)
	var complaints []string
	stages, _, err := instructions.Parse(parsed.AST, linter.New(&linter.Config{
		Warn: func(rule, _, _, message string, _ []parser.Range) { complaints = append(complaints, rule+": "+message) },
	}))
	require.NoError(t, err)
	require.Empty(t, complaints)
	require.Len(t, stages, 2)
	return stages[0], stages[1]
}

// only is the stage's one instruction of its kind.
func only[T any](t *testing.T, s instructions.Stage) (one T) {
	t.Helper()
	found := 0
	for _, c := range s.Commands {
		if c, ok := c.(T); ok {
			one = c
			found++
		}
	}
	require.Equal(t, 1, found, "%T", one)
	return one
}

func TestTheImageIsPinnedSmallAndRunsAsNobody(t *testing.T) {
	build, image := dockerfile(t)
	require.Equal(t, "scratch", image.BaseName)
	require.Regexp(t, `^golang:\d+\.\d+\.\d+$`, build.BaseName)
	needs := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(source(t, "go.mod"))[1]
	require.True(t, strings.HasPrefix(build.BaseName, "golang:"+needs+"."), "%s builds a module that asks for Go %s", build.BaseName, needs)
	require.Regexp(t, `^[1-9]\d*:[1-9]\d*$`, only[*instructions.UserCommand](t, image).User)
	require.Equal(t, []string{"redial"}, []string(only[*instructions.EntrypointCommand](t, image).CmdLine))
	require.False(t, only[*instructions.EntrypointCommand](t, image).PrependShell)
	require.Equal(t, []string{"CMD", "redial", "health"}, only[*instructions.HealthCheckCommand](t, image).Health.Test, "no shell, no curl")
}

// context copies what .dockerignore lets through into a folder, as docker build sends it.
func buildContext(t *testing.T) string {
	t.Helper()
	patterns, err := ignorefile.ReadAll(strings.NewReader(source(t, ".dockerignore")))
	require.NoError(t, err)
	ignored, err := patternmatcher.New(patterns)
	require.NoError(t, err)
	to := t.TempDir()
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		name, _ := filepath.Rel(root, path)
		if err != nil || name == "." {
			return err
		}
		if name == ".git" || name == "bin" {
			return filepath.SkipDir
		}
		if out, err := ignored.MatchesOrParentMatches(name); err != nil || out || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		require.NoError(t, os.MkdirAll(filepath.Join(to, filepath.Dir(name)), 0o755))
		return os.WriteFile(filepath.Join(to, name), data, 0o644)
	}))
	return to
}

func TestTheContextHoldsWhatIsBuiltAndNothingElse(t *testing.T) {
	secret := filepath.Join(root, "app", ".env")
	if _, err := os.Stat(secret); err == nil {
		t.Skip("there is an app/.env")
	}
	require.NoError(t, os.WriteFile(secret, nil, 0o600))
	t.Cleanup(func() { require.NoError(t, os.Remove(secret)) })
	context := buildContext(t)
	require.FileExists(t, filepath.Join(context, "app", "main.go"))
	for _, absent := range []string{"app/.env", "app/main_test.go", "docs", "deploy", "tools", "README.md"} {
		require.NoFileExists(t, filepath.Join(context, absent))
		require.NoDirExists(t, filepath.Join(context, absent))
	}
}

const revision = "0123456789abcdef0123456789abcdef01234567"

// filesystem is the image's, made by the Dockerfile's own commands out of the context that it would be sent.
var filesystem = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "redial-image-") })

func TestMain(m *testing.M) {
	code := m.Run()
	if folder, err := filesystem(); err == nil {
		_ = os.RemoveAll(folder)
	}
	os.Exit(code)
}

// rootfs builds the image's filesystem, once.
func rootfs(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("an empty root needs chroot, and that needs root")
	}
	folder, err := filesystem()
	require.NoError(t, err)
	if _, err := os.Stat(filepath.Join(folder, "usr")); err == nil {
		return folder
	}
	context := buildContext(t)
	build, _ := dockerfile(t)
	environment := append(os.Environ(), "REVISION="+revision, "TARGETOS=", "TARGETARCH=")
	for _, c := range build.Commands {
		switch c := c.(type) {
		case *instructions.EnvCommand:
			for _, e := range c.Env {
				environment = append(environment, e.String())
			}
		case *instructions.RunCommand:
			line := strings.Join(c.CmdLine, " ")
			if line == "go mod download" { // go build fetches what is missing
				continue
			}
			command := exec.Command("/bin/sh", "-c", strings.ReplaceAll(line, "/out/", folder+"/"))
			command.Dir, command.Env = context, environment
			out, err := command.CombinedOutput()
			require.NoError(t, err, "%s\n%s", line, out)
		}
	}
	require.NoError(t, os.Chmod(folder, 0o755))
	return folder
}

// inImage is redial in the image: in its root, as its user, with its environment and these settings.
func inImage(t *testing.T, settings []string, args ...string) *exec.Cmd {
	t.Helper()
	folder := rootfs(t)
	_, image := dockerfile(t)
	command := exec.Command("/usr/local/bin/redial", args...)
	for _, e := range only[*instructions.EnvCommand](t, image).Env {
		command.Env = append(command.Env, e.String())
	}
	command.Env = append(command.Env, settings...)
	command.Dir = only[*instructions.WorkdirCommand](t, image).Path
	command.SysProcAttr = &syscall.SysProcAttr{Chroot: folder, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	return command
}

// run runs a command in the image to its end.
func run(t *testing.T, settings []string, args ...string) (code int, said string) {
	t.Helper()
	out, err := inImage(t, settings, args...).CombinedOutput()
	if exit, ok := err.(*exec.ExitError); ok {
		return exit.ExitCode(), string(out)
	}
	require.NoError(t, err)
	return 0, string(out)
}

// stay starts a role in the image and ends it with the test.
func stay(t *testing.T, settings []string, args ...string) (stop func()) {
	t.Helper()
	var said bytes.Buffer
	command := inImage(t, settings, args...)
	command.Stdout, command.Stderr = &said, &said
	require.NoError(t, command.Start())
	stop = sync.OnceFunc(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	})
	t.Cleanup(stop)
	return stop
}

func TestTheBinaryIsStaticAndKnowsItsRevision(t *testing.T) {
	file, err := elf.Open(filepath.Join(rootfs(t), "usr/local/bin/redial"))
	require.NoError(t, err)
	defer file.Close()
	libraries, err := file.ImportedLibraries()
	require.NoError(t, err)
	require.Empty(t, libraries)
	for _, p := range file.Progs {
		require.NotEqual(t, elf.PT_INTERP, p.Type, "it asks for a dynamic loader")
	}
	code, said := run(t, nil, "version", "--json")
	require.Zero(t, code, said)
	var version struct{ Build string }
	require.NoError(t, json.Unmarshal([]byte(said), &version))
	require.Equal(t, revision, version.Build)
}

func TestTheImageHasCertificatesAndZones(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	bundle := filepath.Join(rootfs(t), "etc/ssl/certs/ca-certificates.crt")
	public, err := os.ReadFile(bundle)
	require.NoError(t, err)
	require.Contains(t, string(public), "BEGIN CERTIFICATE")
	code, said := run(t, []string{"KORE_TIMEZONE=Asia/Kolkata"}, "health", server.URL)
	require.Equal(t, 1, code)
	require.Contains(t, said, "unknown authority", "the zone is known, the test's CA is not")

	// Where the image keeps them is where the binary looks for them.
	own := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	require.NoError(t, os.WriteFile(bundle, own, 0o644))
	t.Cleanup(func() { require.NoError(t, os.WriteFile(bundle, public, 0o644)) })
	code, said = run(t, nil, "health", server.URL)
	require.Zero(t, code, said)
}

// The health check of the image is asked of each role as it is started by the compose file, with the secrets that the
// compose file makes.
func TestTheHealthCheckNeedsNoArgument(t *testing.T) {
	settings := append(madeSecrets(t), "REDIAL_WEBHOOK_ADDR=127.0.0.1:"+freePort(t), "REDIAL_HEALTH_ADDR=127.0.0.1:"+freePort(t),
		"REDIAL_CONSOLE_ADDR=127.0.0.1:"+freePort(t),
		"REDIAL_DATABASE=sqlite:/data/redial.db", "TEMPORAL_ADDRESS=127.0.0.1:"+freePort(t), "REDIAL_DRAIN_DELAY=0s")
	_, image := dockerfile(t)
	check := only[*instructions.HealthCheckCommand](t, image).Health.Test[2:]
	code, said := run(t, settings, check...)
	require.Equal(t, 1, code)
	require.Contains(t, said, "no role listens here")

	stop := stay(t, settings, "webhook") // it takes reports also while Temporal is away
	require.Eventually(t, func() bool { code, said = run(t, settings, check...); return code == 0 }, 30*time.Second, 100*time.Millisecond)
	require.Contains(t, said, "/readyz: ready")
	stop()
	code, _ = run(t, settings, check...)
	require.Equal(t, 1, code)
}

// madeSecrets runs the job of the compose file that makes the secrets, in the image's filesystem, and returns the settings
// of a webhook that read them.
func madeSecrets(t *testing.T) (settings []string) {
	t.Helper()
	p := everything(t)
	folder := filepath.Join(rootfs(t), "run/redial")
	require.NoError(t, os.MkdirAll(folder, 0o755))
	job := p.Services["secrets"]
	script := func() {
		// Compose has a dollar sign doubled, and hands it over single.
		text := strings.ReplaceAll(job.Command[0], "$$", "$")
		command := exec.Command(job.Entrypoint[0], job.Entrypoint[1], strings.ReplaceAll(text, "/run/redial", folder))
		out, err := command.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	script()
	made := map[string]string{}
	for name, value := range p.Services["webhook-1"].Environment {
		if value == nil || !strings.HasPrefix(*value, "/run/redial/") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(rootfs(t), *value))
		require.NoError(t, err, name)
		require.Greater(t, len(data), 40, name)
		made[*value] = string(data)
		if name != "REDIAL_DATABASE_FILE" {
			settings = append(settings, name+"="+*value)
		}
	}
	require.Len(t, made, 4)
	script()
	for file, content := range made {
		again, err := os.ReadFile(filepath.Join(rootfs(t), file))
		require.NoError(t, err)
		require.Equal(t, content, string(again), "made once, and kept")
	}
	return settings
}

func TestTheSimulatorAndTheLedgerWorkInTheImage(t *testing.T) {
	address := "127.0.0.1:" + freePort(t)
	stay(t, nil, "simulator", "--addr", address)
	require.Eventually(t, func() bool { code, _ := run(t, nil, "health", "http://"+address+"/healthz"); return code == 0 }, 30*time.Second, 100*time.Millisecond)

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	setup := inImage(t, []string{"TEMPORAL_ADDRESS=" + address}, "setup") // of which no Temporal answers; the ledger comes first
	out, _ := setup.CombinedOutput()
	require.NoError(t, ctx.Err())
	require.Contains(t, string(out), "cannot be reached")
	require.FileExists(t, filepath.Join(rootfs(t), "data/redial.db"))
}
