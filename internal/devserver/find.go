package devserver

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"redial/internal/process"
)

const (
	// PathVariable names a temporal CLI to use whatever its version.
	PathVariable = "TEMPORAL_CLI_PATH"

	// oldest is the first CLI release whose server has what the contract needs: task-queue configuration,
	// updates and user metadata.
	oldest = "1.5.0"
)

// Find returns the temporal CLI to use: the one that TEMPORAL_CLI_PATH names; or the one on the PATH, when it is
// recent enough; or the pinned one that `make bin/temporal` builds, beside the running executable or in bin/
// of the module that the working directory belongs to.
func Find() (string, error) {
	if path := os.Getenv(PathVariable); path != "" {
		found, err := exec.LookPath(path)
		if err != nil {
			return "", fmt.Errorf("find the temporal CLI: %s=%s: %w; correct the variable or unset it", PathVariable, path, err)
		}
		return found, nil
	}

	onPath := "there is none on the PATH"
	if path, err := exec.LookPath("temporal"); err == nil {
		version, err := versionOf(path)
		switch {
		case err != nil:
			onPath = fmt.Sprintf("the one on the PATH, %s, does not tell its version (%v)", path, err)
		case !atLeast(version, oldest):
			onPath = fmt.Sprintf("the one on the PATH, %s, is version %s, older than %s", path, version, oldest)
		default:
			return path, nil
		}
	}

	path, places := process.FindBuilt("temporal")
	if path != "" {
		return path, nil
	}
	return "", fmt.Errorf("find the temporal CLI: %s, and none is built in %s; run `make bin/temporal` in Redial's "+
		"repository (`make demo` does), install release %s or newer, or set %s",
		onPath, strings.Join(places, " or "), oldest, PathVariable)
}

var printedVersion = regexp.MustCompile(`\bversion v?(\d+\.\d+\.\d+)`)

// versionOf asks the binary. One that was built with `go install` calls itself 0.0.0-DEV, but the Go toolchain
// has written the true version into it.
func versionOf(path string) (string, error) {
	if info, err := buildinfo.ReadFile(path); err == nil && info.Main.Path == "github.com/temporalio/cli" {
		if version, tagged := strings.CutPrefix(info.Main.Version, "v"); tagged {
			return version, nil
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.Env = environment()
	said, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", path, err)
	}
	match := printedVersion.FindSubmatch(said)
	if match == nil {
		return "", fmt.Errorf("%s --version printed %q", path, strings.TrimSpace(string(said)))
	}
	return string(match[1]), nil
}

// atLeast compares releases; what follows the patch number, as in 1.6.0-rc.1, is not looked at.
func atLeast(version, least string) bool {
	have, want := numbers(version), numbers(least)
	for i := range want {
		if have[i] != want[i] {
			return have[i] > want[i]
		}
	}
	return true
}

func numbers(version string) (n [3]int) {
	for i, part := range strings.SplitN(version, ".", 3) {
		digits := strings.IndexFunc(part, func(r rune) bool { return r < '0' || r > '9' })
		if digits >= 0 {
			part = part[:digits]
		}
		n[i], _ = strconv.Atoi(part)
	}
	return n
}
