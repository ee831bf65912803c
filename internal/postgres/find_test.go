package postgres

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// programs are stand-ins that tell a version, and can do nothing else.
func programs(t *testing.T, folder, version string) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(folder, 0o700))
	for _, name := range []string{"initdb", "postgres"} {
		body := fmt.Sprintf("#!/bin/sh\necho '%s (PostgreSQL) %s'\n", name, version)
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(body), 0o700))
	}
	return folder
}

// elsewhere lets Find look in an empty place instead of this machine.
func elsewhere(t *testing.T) (root string) {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	before := installed
	installed = filepath.Join(root, "*", "bin")
	t.Cleanup(func() { installed = before })
	t.Setenv(FolderVariable, "")
	t.Setenv("PATH", t.TempDir())
	return root
}

func TestWithoutPostgreSQLTheErrorTellsHowToGetIt(t *testing.T) {
	elsewhere(t)
	_, err := Find()
	require.ErrorContains(t, err, "apt-get install postgresql")
	require.ErrorContains(t, err, FolderVariable)
	_, err = Start(t.Context(), Options{})
	require.ErrorContains(t, err, "apt-get install postgresql")
}

func TestTheNewestInstalledVersionIsFoundByNumber(t *testing.T) {
	root := elsewhere(t)
	for _, version := range []string{"9.6", "13", "15"} {
		programs(t, filepath.Join(root, version, "bin"), version)
	}
	newest := programs(t, filepath.Join(root, "100", "bin"), "100.1")
	found, err := Find()
	require.NoError(t, err)
	require.Equal(t, newest, found)
}

func TestAnOldVersionIsPassedOverOnThePathAndRefusedInTheVariable(t *testing.T) {
	root := elsewhere(t)
	old := programs(t, filepath.Join(t.TempDir(), "old"), "12.22")
	t.Setenv("PATH", old+":/bin:/usr/bin")
	_, err := Find()
	require.ErrorContains(t, err, "version 12, older than 13")
	want := programs(t, filepath.Join(root, "13", "bin"), "13.1")
	found, err := Find()
	require.NoError(t, err)
	require.Equal(t, want, found)
	t.Setenv(FolderVariable, old)
	_, err = Find()
	require.ErrorContains(t, err, "correct the variable or unset it")
}

func TestALinkOnThePathLeadsToItsFolder(t *testing.T) {
	root := elsewhere(t)
	real := programs(t, filepath.Join(root, "elsewhere"), "16.2")
	links := t.TempDir()
	require.NoError(t, os.Symlink(filepath.Join(real, "initdb"), filepath.Join(links, "initdb")))
	t.Setenv("PATH", links)
	found, err := Find()
	require.NoError(t, err)
	require.Equal(t, real, found)
}
