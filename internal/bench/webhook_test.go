package main

import (
	"bytes"
	"database/sql"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"redial/internal/postgres/postgrestest"
)

func TestFiguresOfTheWebhookAreVoidWhenWhatWasAcknowledgedIsNotInTheDatabase(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	drivers := map[database]string{sqlite: "sqlite", postgreSQL: "pgx"}
	for on, driver := range drivers {
		t.Run(string(on), func(t *testing.T) {
			if on == postgreSQL {
				postgrestest.Binary(t)
			}
			w, requests, err := startWebhook(t.Context(), testBench(t), on, 5)
			require.NoError(t, err)
			defer func() { require.NoError(t, w.close()) }()
			s, err := httpLoad{address: w.address, connections: 2, requests: requests}.run(t.Context(), time.Minute)
			require.NoError(t, err)
			require.Equal(t, 5, s.count())
			require.NoError(t, w.stop())
			require.NoError(t, w.account(t.Context(), s.accepted))

			db, err := sql.Open(driver, strings.TrimPrefix(w.database, "sqlite:"))
			require.NoError(t, err)
			defer db.Close()
			_, err = db.Exec("DELETE FROM notifications WHERE attempt_key = '" + w.keys[3] + "'")
			require.NoError(t, err)
			require.ErrorContains(t, w.account(t.Context(), s.accepted), w.keys[3])
			s.accepted[3] = false
			require.NoError(t, w.account(t.Context(), s.accepted), "what was not acknowledged may be missing")
		})
	}
}

// testBench has a folder that a PostgreSQL can reach which runs as another user.
func testBench(t *testing.T) *bench {
	t.Helper()
	folder, err := os.MkdirTemp("", "redial-bench-test-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(folder)) })
	require.NoError(t, letThrough(folder))
	return &bench{folder: folder, progress: &bytes.Buffer{}, began: time.Now()}
}

func TestACommitOnPostgreSQLIsSlowerWhereItIsMadeSlower(t *testing.T) {
	postgrestest.Binary(t)
	b := testBench(t)
	server, err := b.startPostgres(t.Context(), b.folder)
	require.NoError(t, err)
	defer func() { require.NoError(t, stopping(server)()) }()
	require.NotEmpty(t, b.machine.PostgreSQL[postgresVersion])
	require.Equal(t, "on", b.machine.PostgreSQL["fsync"], "figures of a server that does not wait for the disk mean nothing")
	how, err := (&listening{postgres: server}).slowCommits(t.Context())
	require.NoError(t, err) // which says that a commit took its three milliseconds
	require.Contains(t, how, "commit_delay")
}
