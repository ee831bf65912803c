package ledger

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// movedTables are the tables that are moved: all but those of the migrations and of the moves.
var movedTables = []string{"contacts", "attempts", "notifications", "results", "decisions", "queue", "outbox", "accounts", "suppression_entries", "suppression_imports", "policies"}

// Moved is how many rows of each table were moved.
type Moved map[string]int64

// Move moves a ledger from a SQLite file to a PostgreSQL database that has no ledger's rows yet: all of it, or nothing. The file is
// owned while it is moved, and is refused by Open from the moment at which the move begins, because two ledgers of one deployment
// would dial everybody twice. A move that was interrupted is finished by moving again.
func Move(ctx context.Context, from, to string) (Moved, error) {
	path, found := strings.CutPrefix(from, "sqlite:")
	if !found || !strings.HasPrefix(to, "postgres") {
		return nil, fmt.Errorf("move ledger %s to %s: only a SQLite file (sqlite:FILE) can be moved, and only to PostgreSQL (postgres://…)", Name(from), Name(to))
	}
	source, err := openFile(ctx, filepath.Clean(path), Options{Owner: true})
	if err != nil {
		return nil, err
	}
	defer source.close()
	target, err := openPostgres(ctx, to, Options{Migrate: true})
	if err != nil {
		return nil, err
	}
	defer target.close()
	m := mover{source: source, target: target, to: Name(to)}
	moved, err := m.move(ctx)
	if err != nil {
		return nil, fmt.Errorf("move ledger %s to %s: %w", path, m.to, inOneLine{err})
	}
	return moved, nil
}

// mover is one move.
type mover struct {
	source *sqlite
	target *postgres
	to     string // the target's name
}

func (m mover) move(ctx context.Context) (moved Moved, err error) {
	id, err := m.begin(ctx)
	if err != nil {
		return nil, err
	}
	// Nothing else writes to the file from here on, commands that opened it beside its owner included.
	err = m.source.update(ctx, whole, func(t *tx) error {
		if moved, err = t.countRows(); err != nil {
			return err
		}
		if err := m.copy(ctx, t, id, moved); err != nil {
			return err
		}
		return t.exec(`UPDATE moves SET ended_at = ? WHERE id = ?`, micros(time.Now()), id)
	})
	return moved, err
}

func (t *tx) countRows() (Moved, error) {
	counts := Moved{}
	for _, table := range movedTables {
		var n int64
		if _, err := t.get("SELECT COUNT(*) FROM "+table, nil, &n); err != nil {
			return nil, err
		}
		counts[table] = n
	}
	return counts, nil
}

// begin marks the file as one that is being moved. A move that was begun before is gone on with.
func (m mover) begin(ctx context.Context) (id string, err error) {
	err = m.source.update(ctx, whole, func(t *tx) error {
		before, found, err := t.move()
		switch {
		case err != nil:
			return err
		case found && !before.endedAt.IsZero():
			return before.refusal()
		case found && before.target != m.to:
			return fmt.Errorf("a move to %s was begun on %s: finish that one", before.target, before.begunAt.Format(time.DateTime))
		case found:
			id = before.id
			return nil
		}
		// What can be found out before the file is marked is.
		if err := m.empty(ctx); err != nil {
			return err
		}
		id = uuid.NewString()
		return t.exec(`INSERT INTO moves (id, target, begun_at) VALUES (?, ?, ?)`, id, m.to, micros(time.Now()))
	})
	return id, err
}

func (m mover) empty(ctx context.Context) error {
	for _, table := range movedTables {
		var used bool
		if err := m.target.pool.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM "+table+")").Scan(&used); err != nil {
			return err
		}
		if used && table != "accounts" { // which has a row from the beginning
			return fmt.Errorf("its table %s has rows: move to a database whose ledger was not used yet", table)
		}
	}
	return nil
}

// copy copies all tables in one transaction of the target, unless a former try has done so.
func (m mover) copy(ctx context.Context, source *tx, id string, counts Moved) error {
	return pgx.BeginFunc(ctx, m.target.pool, func(target pgx.Tx) error {
		if _, err := target.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", wholeLock); err != nil {
			return err
		}
		var done bool
		if err := target.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM moves WHERE id = $1)", id).Scan(&done); err != nil || done {
			return err
		}
		if err := m.empty(ctx); err != nil {
			return err
		}
		if _, err := target.Exec(ctx, "DELETE FROM accounts"); err != nil {
			return err
		}
		for _, table := range movedTables {
			n, err := copyTable(ctx, source, target, table)
			if err == nil && n != counts[table] {
				err = fmt.Errorf("%d of %d rows arrived", n, counts[table])
			}
			if err != nil {
				return fmt.Errorf("table %s: %w", table, err)
			}
		}
		_, err := target.Exec(ctx, "INSERT INTO moves (id, at) VALUES ($1, $2)", id, micros(time.Now()))
		return err
	})
}

// column is a column of the target.
type column struct{ Name, Type string }

// value is a value of SQLite as the column takes it.
func (c column) value(v any) any {
	switch v := v.(type) {
	case int64:
		if c.Type == "boolean" {
			return v != 0
		}
	case string:
		if c.Type == "bytea" {
			return []byte(v)
		}
		return storable([]any{v})[0]
	}
	return v
}

func copyTable(ctx context.Context, source *tx, target pgx.Tx, table string) (int64, error) {
	found, err := target.Query(ctx, `SELECT column_name, data_type FROM information_schema.columns
		WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position`, table)
	if err != nil {
		return 0, err
	}
	columns, err := pgx.CollectRows(found, pgx.RowToStructByPos[column])
	if err != nil {
		return 0, err
	}
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	rows, err := source.rows("SELECT " + strings.Join(names, ", ") + " FROM " + table)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	n, err := target.CopyFrom(ctx, pgx.Identifier{table}, names, &copied{rows: rows, columns: columns})
	if err != nil || names[0] != "id" {
		return n, err
	}
	_, err = target.Exec(ctx, "SELECT setval(pg_get_serial_sequence('"+table+"', 'id'), (SELECT COALESCE(MAX(id), 0) + 1 FROM "+table+"), false)")
	return n, err
}

// copied are the rows of a table on their way.
type copied struct {
	rows
	columns []column
}

// Values reads one row.
func (c *copied) Values() ([]any, error) {
	values, into := make([]any, len(c.columns)), make([]any, len(c.columns))
	for i := range values {
		into[i] = &values[i]
	}
	if err := c.Scan(into...); err != nil {
		return nil, err
	}
	for i, column := range c.columns {
		values[i] = column.value(values[i])
	}
	return values, nil
}

// move is a move that was begun.
type move struct {
	id, target       string
	begunAt, endedAt time.Time
}

func (t *tx) move() (m move, found bool, err error) {
	var begun, ended int64
	found, err = t.get("SELECT id, target, begun_at, ended_at FROM moves", nil, &m.id, &m.target, &begun, &ended)
	m.begunAt, m.endedAt = moment(begun), moment(ended)
	return m, found, err
}

// refusal is why a file that is being moved, or was, is not opened.
func (m move) refusal() error {
	if m.endedAt.IsZero() {
		return fmt.Errorf("it is being moved to %s since %s: finish that first, with redial setup --from", m.target, m.begunAt.Format(time.DateTime))
	}
	return fmt.Errorf("it was moved to %s on %s: set REDIAL_DATABASE to that", m.target, m.endedAt.Format(time.DateTime))
}
