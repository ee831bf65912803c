package temporalserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// store is the PostgreSQL server that holds the databases, as Temporal wants to be told of it.
type store struct {
	host, port, user, password string

	maintenance *pgx.ConnConfig // of the database from which others are created
}

func (s store) String() string {
	return "PostgreSQL " + net.JoinHostPort(strings.Trim(s.host, "[]"), s.port)
}

func parseStore(url string) (store, error) {
	config, err := pgx.ParseConfig(url)
	switch {
	case url == "":
		return store{}, errors.New("no PostgreSQL: give its URL, as in postgres://user:password@127.0.0.1:5432")
	case err != nil:
		return store{}, fmt.Errorf("read the URL of PostgreSQL: %s; write it as in postgres://user:password@127.0.0.1:5432", oneLine(err.Error()))
	case strings.HasPrefix(config.Host, "/"):
		return store{}, fmt.Errorf("PostgreSQL at the socket %s: Temporal connects by TCP only; give a host and a port", config.Host)
	case config.TLSConfig != nil && !plainFallback(config):
		return store{}, fmt.Errorf("PostgreSQL at %s: the URL demands TLS, which this server on one machine does not speak; "+
			"say sslmode=disable", config.Host)
	}
	s := store{
		host: config.Host, port: strconv.Itoa(int(config.Port)), user: config.User, password: config.Password,
		maintenance: config,
	}
	if strings.Contains(s.host, ":") {
		s.host = "[" + s.host + "]"
	}
	if config.Database == "" {
		config.Database = "postgres"
	}
	return s, nil
}

// plainFallback tells whether the URL lets the connection do without TLS, as one without sslmode does.
func plainFallback(config *pgx.ConnConfig) bool {
	for _, fallback := range config.Fallbacks {
		if fallback.TLSConfig == nil {
			return true
		}
	}
	return false
}

// create creates a database that is not there.
func (s store) create(ctx context.Context, database string) error {
	conn, err := pgx.ConnectConfig(ctx, s.maintenance)
	if err != nil {
		return fmt.Errorf("connect to %s: %s; start it, or correct the URL", s, oneLine(err.Error()))
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var there bool
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", database).Scan(&there)
	if err == nil && !there {
		_, err = conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{database}.Sanitize())
	}
	if err != nil {
		return fmt.Errorf("create database %s on %s: %s; the user %s must be allowed to", database, s, oneLine(err.Error()), s.user)
	}
	return nil
}

// forgetMembers makes a new server the only member of its cluster. A server that was killed stays on record as one, at
// ports where nobody answers, and for most of a minute shards would be looked for there.
func (s store) forgetMembers(ctx context.Context, database string) error {
	config := s.maintenance.Copy()
	config.Database = database
	conn, err := pgx.ConnectConfig(ctx, config)
	if err == nil {
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
		_, err = conn.Exec(ctx, "DELETE FROM cluster_membership")
	}
	if err != nil {
		return fmt.Errorf("clear the members of the cluster in database %s on %s: %s", database, s, oneLine(err.Error()))
	}
	return nil
}

// migrate brings a database from whatever version of the schema to the tool's own. Both steps are safe to repeat.
func (s store) migrate(ctx context.Context, tool, database, schema string) error {
	for _, step := range [][]string{{"setup-schema", "--version", "0.0"}, {"update-schema", "--schema-name", schema}} {
		cmd := exec.CommandContext(ctx, tool, step...)
		cmd.Env = []string{
			"SQL_PLUGIN=postgres12", "SQL_HOST=" + s.host, "SQL_PORT=" + s.port,
			"SQL_USER=" + s.user, "SQL_PASSWORD=" + s.password, "SQL_DATABASE=" + database,
		}
		said, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s %s of database %s on %s: %w; drop the database if nothing in it is needed, "+
				"or mend it by hand; it said last: %s", tool, step[0], database, s, err, oneLine(string(lastLine(said))))
		}
	}
	return nil
}

func lastLine(said []byte) []byte {
	said = bytes.TrimSpace(said)
	return said[bytes.LastIndexByte(said, '\n')+1:]
}

// oneLine: the driver's errors have a line per address that was tried.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
