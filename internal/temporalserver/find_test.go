package temporalserver_test

import (
	"os"
	"path/filepath"
	"testing"

	"redial/internal/process/processtest"
	"redial/internal/temporalserver"
)

func TestFindTakesTheBuiltPairUnlessAVariableNamesAnother(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "go.mod"), []byte("module redial\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(root)
	t.Setenv(temporalserver.ServerVariable, "")
	t.Setenv(temporalserver.SQLToolVariable, "")

	_, err := temporalserver.Find()
	processtest.RequireOneLine(t, err, "temporal-server", filepath.Join(root, "bin"), "make bin/temporal-server", "TEMPORAL_SERVER_PATH")

	want := temporalserver.Binaries{Server: filepath.Join(root, "bin", "temporal-server"), SQLTool: filepath.Join(root, "bin", "temporal-sql-tool")}
	plant(t, want.Server)
	_, err = temporalserver.Find()
	processtest.RequireOneLine(t, err, "temporal-sql-tool", "make bin/temporal-server", "TEMPORAL_SQL_TOOL_PATH")

	plant(t, want.SQLTool)
	if got, err := temporalserver.Find(); err != nil || got != want {
		t.Errorf("found %v, %v, want %v", got, err, want)
	}

	want.Server = filepath.Join(root, "mine")
	plant(t, want.Server)
	t.Setenv(temporalserver.ServerVariable, want.Server)
	if got, err := temporalserver.Find(); err != nil || got != want {
		t.Errorf("found %v, %v, want %v", got, err, want)
	}

	t.Setenv(temporalserver.ServerVariable, "/nowhere/server")
	_, err = temporalserver.Find()
	processtest.RequireOneLine(t, err, "TEMPORAL_SERVER_PATH=/nowhere/server", "unset it")
}

func plant(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
}
