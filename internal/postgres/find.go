package postgres

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// FolderVariable names the folder of initdb and postgres to use. Only tests and the local topology read it; the
	// product connects to a server that somebody else runs.
	FolderVariable = "REDIAL_POSTGRES_BIN"

	// oldest is the first major version that drops a database with its connections. The statements of the product
	// itself need nothing newer than 12, whose support has ended.
	oldest = 13
)

// installed is where Debian and Ubuntu keep the programs of each major version, off the PATH.
var installed = "/usr/lib/postgresql/*/bin"

// Find returns the folder of initdb and postgres: the one that REDIAL_POSTGRES_BIN names; or that of the initdb on the
// PATH; or the newest that Debian's packages have installed. What is older than version 13 is passed over.
func Find() (string, error) {
	if folder := os.Getenv(FolderVariable); folder != "" {
		if err := usable(folder); err != nil {
			return "", fmt.Errorf("find PostgreSQL: %s=%s: %w; correct the variable or unset it", FolderVariable, folder, err)
		}
		return filepath.Abs(folder)
	}
	var folders, refused []string
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			folders = append(folders, filepath.Dir(path))
		}
	}
	for _, folder := range append(folders, newestFirst()...) {
		err := usable(folder)
		if err == nil {
			return filepath.Abs(folder)
		}
		refused = append(refused, err.Error())
	}
	if refused == nil {
		refused = []string{"there is no initdb on the PATH nor in " + installed}
	}
	return "", fmt.Errorf("find PostgreSQL: %s; install version %d or newer (apt-get install postgresql), or set %s to the folder of its initdb",
		strings.Join(refused, ", "), oldest, FolderVariable)
}

func newestFirst() []string {
	folders, _ := filepath.Glob(installed)
	slices.SortFunc(folders, func(a, b string) int { return cmp.Compare(majorOf(b), majorOf(a)) })
	return folders
}

// majorOf is the version in a folder's name; 9.6 counts as 9.
func majorOf(folder string) int {
	major, _, _ := strings.Cut(filepath.Base(filepath.Dir(folder)), ".")
	n, _ := strconv.Atoi(major)
	return n
}

var printedVersion = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// usable tells why the programs in a folder cannot be used.
func usable(folder string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, name := range []string{"initdb", "postgres"} {
		program := filepath.Join(folder, name)
		said, err := exec.CommandContext(ctx, program, "--version").Output()
		if err != nil {
			return fmt.Errorf("%s --version: %w", program, err)
		}
		match := printedVersion.FindSubmatch(said)
		if match == nil {
			return fmt.Errorf("%s --version printed %q", program, strings.TrimSpace(string(said)))
		}
		if major, _ := strconv.Atoi(string(match[1])); major < oldest {
			return fmt.Errorf("%s is version %d, older than %d", program, major, oldest)
		}
	}
	return nil
}
