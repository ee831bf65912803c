package temporalserver

import (
	"fmt"
	"os"
	"os/exec"
	"strings"

	"redial/internal/process"
)

const (
	// ServerVariable and SQLToolVariable name binaries to use whatever their version.
	ServerVariable  = "TEMPORAL_SERVER_PATH"
	SQLToolVariable = "TEMPORAL_SQL_TOOL_PATH"
)

// Binaries are the server, and the tool of the same release that knows its schema.
type Binaries struct {
	Server  string
	SQLTool string
}

// Find returns the binaries to use: those that the variables name; or else the pinned ones that `make bin/temporal-server`
// builds, beside the running executable or in bin/ of the module that the working directory belongs to. What is on
// the PATH is not looked at: two binaries from there may be of two releases, and the schema would not fit.
func Find() (Binaries, error) {
	server, err := find("temporal-server", ServerVariable)
	if err != nil {
		return Binaries{}, err
	}
	tool, err := find("temporal-sql-tool", SQLToolVariable)
	if err != nil {
		return Binaries{}, err
	}
	return Binaries{Server: server, SQLTool: tool}, nil
}

func find(name, variable string) (string, error) {
	if path := os.Getenv(variable); path != "" {
		found, err := exec.LookPath(path)
		if err != nil {
			return "", fmt.Errorf("find %s: %s=%s: %w; correct the variable or unset it", name, variable, path, err)
		}
		return found, nil
	}
	path, places := process.FindBuilt(name)
	if path == "" {
		return "", fmt.Errorf("find %s: none is built in %s; run `make bin/temporal-server` in Redial's repository, or set %s",
			name, strings.Join(places, " or "), variable)
	}
	return path, nil
}
