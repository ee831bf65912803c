package postgres

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"redial/internal/process"
)

func TestTemporaryFoldersAreRemovedWhenNobodyHoldsThem(t *testing.T) {
	root := t.TempDir()
	held, abandoned := filepath.Join(root, temporaryPrefix+"held"), filepath.Join(root, temporaryPrefix+"abandoned")
	for _, folder := range []string{held, abandoned} {
		require.NoError(t, os.Mkdir(folder, 0o700))
	}
	lock, err := lockFolder(held)
	require.NoError(t, err)
	removeAbandoned(root, unlockedAge)
	require.DirExists(t, abandoned, "its maker may be about to lock it")
	removeAbandoned(root, 0)
	require.NoDirExists(t, abandoned)
	require.DirExists(t, held)
	require.NoError(t, lock.Close())
	removeAbandoned(root, 0)
	require.NoDirExists(t, held)
}

func TestAPortLostBetweenChoiceAndUseIsReplaced(t *testing.T) {
	if _, err := Find(); err != nil {
		t.Skip("a real PostgreSQL is not here:", err)
	}
	taken, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	picks := 0
	server, err := start(t.Context(), Options{NoSync: true}, func() (int, error) {
		if picks++; picks == 1 {
			return taken.Addr().(*net.TCPAddr).Port, nil
		}
		return process.FreePort()
	})
	require.NoError(t, err)
	require.NoError(t, server.Stop(t.Context()))
	require.Equal(t, 2, picks)
}

func TestAnInitialisationThatWasCutOffIsBegunAnew(t *testing.T) {
	if _, err := Find(); err != nil {
		t.Skip("a real PostgreSQL is not here:", err)
	}
	folder, err := os.MkdirTemp("", "redial-test-")
	require.NoError(t, err)
	defer func() { require.NoError(t, os.RemoveAll(folder)) }()
	require.NoError(t, os.MkdirAll(filepath.Join(folder, "unfinished", "base"), 0o700))
	server, err := Start(t.Context(), Options{Folder: folder, NoSync: true})
	require.NoError(t, err)
	require.NoError(t, server.Stop(t.Context()))
}

func TestOnlyAServerThatWaitsForNoDiskLiesInMemory(t *testing.T) {
	durable, fast := &Server{}, &Server{options: Options{NoSync: true}}
	require.Equal(t, os.TempDir(), durable.temporaryRoot())
	if inMemory() == "" {
		t.Skip("there are no files in memory here, or little room for them")
	}
	require.Equal(t, inMemory(), fast.temporaryRoot())
}
