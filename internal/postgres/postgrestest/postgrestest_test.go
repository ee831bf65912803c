package postgrestest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"redial/internal/postgres"
	"redial/internal/postgres/postgrestest"
	"redial/internal/process/processtest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	postgrestest.Stop()
	os.Exit(code)
}

func execute(url, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, statement)
	return err
}

func TestEveryDatabaseIsEmptyAndGoesWithItsTest(t *testing.T) {
	var gone string
	t.Run("one", func(t *testing.T) {
		began := time.Now()
		gone = postgrestest.Database(t)
		t.Log("the first database, with the start of the shared server, took", time.Since(began))
		require.NoError(t, execute(gone, "CREATE TABLE rows (n int)"))
		left, err := pgx.Connect(t.Context(), gone) // a test that forgets a connection is not in the way
		require.NoError(t, err)
		_ = left
	})
	began := time.Now()
	other := postgrestest.Database(t)
	t.Log("an empty database took", time.Since(began))
	require.NoError(t, execute(other, "CREATE TABLE rows (n int)"))
	require.ErrorContains(t, execute(gone, "SELECT 1"), "does not exist")
}

func TestATemplateIsPreparedOnceAndItsCopiesAreIndependent(t *testing.T) {
	prepared := 0
	prepare := func(url string) error {
		prepared++
		return execute(url, "CREATE TABLE rows (n int PRIMARY KEY)")
	}
	for i := range 10 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			began := time.Now()
			url := postgrestest.Template(t, "rows", prepare)
			t.Log("a copy took", time.Since(began))
			require.NoError(t, execute(url, "INSERT INTO rows VALUES (1)"))
		})
	}
	require.Equal(t, 1, prepared)
}

// failing is a test that can fail or skip without the outer one doing so.
type failing struct {
	testing.TB
	fatal, skipped string
}

func (f *failing) Fatal(args ...any) { f.fatal = fmt.Sprint(args...); panic(f) }
func (f *failing) Fatalf(format string, args ...any) {
	f.fatal = fmt.Sprintf(format, args...)
	panic(f)
}
func (f *failing) Skip(args ...any) { f.skipped = fmt.Sprint(args...); panic(f) }

func outcome(t *testing.T, do func(testing.TB)) (f *failing) {
	f = &failing{TB: t}
	defer func() {
		if r := recover(); r != nil && r != any(f) {
			panic(r)
		}
	}()
	do(f)
	return f
}

func TestATemplateThatCannotBePreparedFailsEveryTestThatAsks(t *testing.T) {
	prepare := func(string) error { return errors.New("planted") }
	for range 2 {
		got := outcome(t, func(tb testing.TB) { postgrestest.Template(tb, "broken", prepare) })
		if got.skipped != "" {
			t.Skip(got.skipped)
		}
		require.Contains(t, got.fatal, "planted")
	}
}

func TestWithoutPostgreSQLATestIsSkippedUnlessTheRunRequiresIt(t *testing.T) {
	t.Setenv(postgres.FolderVariable, t.TempDir())
	t.Setenv(processtest.Require, "temporal")
	ask := func(tb testing.TB) { postgrestest.Database(tb) }
	require.Contains(t, outcome(t, ask).skipped, postgres.FolderVariable)
	t.Setenv(processtest.Require, "temporal,postgres")
	require.Contains(t, outcome(t, ask).fatal, postgres.FolderVariable)
}
