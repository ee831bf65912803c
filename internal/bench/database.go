package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"redial/internal/postgres"
	"redial/internal/temporalserver"
)

// database is what a ledger is measured on.
type database string

const (
	sqlite     database = "SQLite"
	postgreSQL database = "PostgreSQL"
)

// Names of the databases of a server, as they begin.
const (
	ledgerDatabase    = "redial"
	temporalDatabases = "temporal"
)

// row is the name that a budget's figure on this database has in the report.
func (d database) row(budget string) string {
	if d == postgreSQL {
		return budget + "-postgres"
	}
	return budget
}

// lacksPostgres says what is missing to measure on PostgreSQL.
func lacksPostgres() error {
	_, err := postgres.Find()
	return err
}

// lacksCluster says what is missing to measure Temporal's server on PostgreSQL.
func lacksCluster() error {
	if err := lacksPostgres(); err != nil {
		return err
	}
	_, err := temporalserver.Find()
	return err
}

// startPostgres starts a server that waits for the disk, with PostgreSQL's own settings. It becomes part of the machine's description.
func (b *bench) startPostgres(ctx context.Context, folder string) (*postgres.Server, error) {
	server, err := postgres.Start(ctx, postgres.Options{Folder: filepath.Join(folder, "postgres"), LogFile: filepath.Join(folder, "postgres.log")})
	if err != nil {
		return nil, err
	}
	b.described.Do(func() { b.machine.PostgreSQL, err = describePostgres(ctx, server.URL("postgres")) })
	if err != nil {
		server.Kill()
		return nil, err
	}
	return server, nil
}

const postgresVersion = "server_version"

// describePostgres reads from a server its version, and what its figures depend on.
func describePostgres(ctx context.Context, address string) (map[string]string, error) {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY($1)", []string{postgresVersion,
		"fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "shared_buffers", "max_wal_size", "max_connections"})
	if err != nil {
		return nil, err
	}
	settings := map[string]string{}
	var name, value string
	_, err = pgx.ForEachRow(rows, []any{&name, &value}, func() error {
		settings[name] = value
		return nil
	})
	return settings, err
}

// look opens a ledger's database past the ledger.
func look(address string) (*sql.DB, error) {
	if file, ok := strings.CutPrefix(address, "sqlite:"); ok {
		return sql.Open("sqlite", "file:"+(&url.URL{Path: file}).EscapedPath()+"?mode=ro")
	}
	if !strings.HasPrefix(address, "postgres:") {
		return nil, fmt.Errorf("%q is no ledger's address", address)
	}
	return sql.Open("pgx", address)
}

// stopping ends a server in order, in the time that a server with much to write takes.
func stopping(server interface{ Stop(context.Context) error }) func() error {
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		return server.Stop(ctx)
	}
}
