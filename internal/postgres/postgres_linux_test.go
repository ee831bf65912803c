package postgres_test

import (
	"context"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"redial/internal/postgres"
	"redial/internal/postgres/postgrestest"
)

func deadline(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	tb.Cleanup(cancel)
	return ctx
}

// ask runs statements on one connection, and returns what the last one gives.
func ask(tb testing.TB, url string, statements ...string) (answer string) {
	tb.Helper()
	ctx := deadline(tb)
	conn, err := pgx.Connect(ctx, url)
	require.NoError(tb, err)
	defer func() { _ = conn.Close(ctx) }()
	for i, statement := range statements {
		if i < len(statements)-1 {
			_, err = conn.Exec(ctx, statement)
		} else {
			err = conn.QueryRow(ctx, statement).Scan(&answer)
		}
		require.NoError(tb, err, statement)
	}
	return answer
}

func setting(tb testing.TB, s *postgres.Server, name string) string {
	return ask(tb, s.URL("postgres"), "SHOW "+name)
}

func TestAStartedServerIsUsableAtOnceAndStopLeavesNothing(t *testing.T) {
	t.Setenv("PGPORT", "1") // a client's setting must not reach the server
	log := filepath.Join(t.TempDir(), "postgres.log")
	began := time.Now()
	server := postgrestest.Start(t, postgres.Options{LogFile: log, Settings: map[string]string{"work_mem": "5MB"}})
	t.Log("a durable start took", time.Since(began))
	for name, want := range map[string]string{
		"fsync": "on", "synchronous_commit": "on", "max_connections": "200", "work_mem": "5MB", "server_encoding": "UTF8", "lc_collate": "C",
		"listen_addresses": "127.0.0.1", "unix_socket_directories": "",
	} {
		if name == "lc_collate" { // no setting any more since version 16
			require.Equal(t, want, ask(t, server.URL("postgres"), "SELECT datcollate FROM pg_database WHERE datname = 'template1'"))
			continue
		}
		require.Equal(t, want, setting(t, server, name), name)
	}
	folder, all := server.Folder(), processes(t, server)
	require.Greater(t, len(all), 2)
	for range 2 { // stopping twice is as good as once
		require.NoError(t, server.Stop(deadline(t)))
	}
	requireGone(t, all)
	require.NoDirExists(t, folder)
	require.NoError(t, server.Err())
	said, err := os.ReadFile(log)
	require.NoError(t, err)
	require.Contains(t, string(said), "database system is shut down")
	require.ErrorContains(t, server.Restart(deadline(t)), "temporary folder")
}

func TestWhatWasCommittedSurvivesACrashAndARestart(t *testing.T) {
	server := postgrestest.Start(t, postgres.Options{})
	ctx, port := deadline(t), server.Port()
	require.NoError(t, server.CreateDatabase(ctx, "kept", ""))
	ask(t, server.URL("kept"), "CREATE TABLE rows (n int)", "INSERT INTO rows VALUES (1)", "SELECT 'made'")
	for name, end := range map[string]func(){"crash": server.Kill, "restart": func() {}} {
		before, ended := processes(t, server), server.Done()
		busy, err := pgx.Connect(ctx, server.URL("kept"))
		require.NoError(t, err)
		end()
		require.NoError(t, server.Restart(ctx), name)
		<-ended
		requireGone(t, before)
		require.Error(t, busy.Ping(ctx), "a connection outlived a %s", name)
		require.Equal(t, port, server.Port())
		require.Equal(t, "1", ask(t, server.URL("kept"), "SELECT count(*)::text FROM rows"), name)
	}
}

func TestKillEndsWhatTheServerIsComputing(t *testing.T) {
	server := postgrestest.Start(t, postgres.Options{NoSync: true})
	conn, err := pgx.Connect(deadline(t), server.URL("postgres"))
	require.NoError(t, err)
	pid := int(conn.PgConn().PID())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = conn.Exec(context.Background(), "SELECT count(*) FROM generate_series(1, 1000000000000)")
	}()
	require.Eventually(t, func() bool {
		return ask(t, server.URL("postgres"), "SELECT coalesce(max(state), '') FROM pg_stat_activity WHERE pid = "+strconv.Itoa(pid)) == "active"
	}, time.Minute, 10*time.Millisecond)
	server.Kill()
	requireGone(t, []int{pid})
	<-ended
	require.NoError(t, server.Err())
}

func TestAFolderIsKeptAndServesOneServerAtATime(t *testing.T) {
	folder := filepath.Join(enterable(t), "kept")
	first := postgrestest.Start(t, postgres.Options{Folder: folder})
	ask(t, first.URL("postgres"), "CREATE TABLE rows (n int)", "SELECT 'made'")
	second := postgrestest.Start(t, postgres.Options{NoSync: true}) // in a folder of its own
	require.NotEqual(t, first.Port(), second.Port())
	require.Equal(t, "", ask(t, second.URL("postgres"), "SELECT coalesce(to_regclass('rows')::text, '')"))

	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := postgres.Start(short, postgres.Options{Folder: folder})
	require.ErrorContains(t, err, "in use by another server")
	_, err = postgres.Start(deadline(t), postgres.Options{Port: first.Port()})
	require.ErrorContains(t, err, "choose another port")

	require.NoError(t, first.Stop(deadline(t)))
	third := postgrestest.Start(t, postgres.Options{Folder: folder})
	require.Equal(t, "rows", ask(t, third.URL("postgres"), "SELECT to_regclass('rows')::text"))
	require.NoError(t, third.Stop(deadline(t)))
	require.NoError(t, third.Restart(deadline(t)), "a folder that was given is kept by Stop")
}

func TestAServerThatEndsByItselfSaysSo(t *testing.T) {
	server := postgrestest.Start(t, postgres.Options{NoSync: true})
	require.NoError(t, server.Err())
	process, err := os.FindProcess(server.Pid())
	require.NoError(t, err)
	require.NoError(t, process.Kill())
	select {
	case <-server.Done():
	case <-deadline(t).Done():
		t.Fatal("Done was not closed")
	}
	require.ErrorContains(t, server.Err(), "killed")
}

func TestABadSettingIsToldInTheServersWords(t *testing.T) {
	postgrestest.Binary(t)
	_, err := postgres.Start(deadline(t), postgres.Options{NoSync: true, Settings: map[string]string{"no_such_thing": "1"}})
	require.ErrorContains(t, err, "no_such_thing")
	require.NotContains(t, err.Error(), "\n")
}

// enterable is a folder that is removed with the test, and that the user can enter as whom the server runs.
func enterable(t *testing.T) string {
	folder, err := os.MkdirTemp("", "redial-test-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(folder, 0o755))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(folder)) })
	return folder
}

func TestNothingOfAServerRunsAsRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("this is not root")
	}
	server := postgrestest.Start(t, postgres.Options{NoSync: true})
	want, err := user.Lookup("postgres")
	if err != nil {
		want, err = user.Lookup("nobody")
		require.NoError(t, err)
	}
	seen := 0
	for _, pid := range processes(t, server) {
		status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
		if err != nil { // some end meanwhile, as those that vacuum
			continue
		}
		seen++
		_, ids, _ := strings.Cut(string(status), "\nUid:")
		require.Equal(t, []string{want.Uid, want.Uid, want.Uid, want.Uid}, strings.Fields(ids)[:4])
	}
	require.Greater(t, seen, 2)
	closed := t.TempDir()
	require.NoError(t, os.Chmod(closed, 0o700))
	_, err = postgres.Start(deadline(t), postgres.Options{Folder: filepath.Join(closed, "data")})
	require.ErrorContains(t, err, "cannot enter")
}
