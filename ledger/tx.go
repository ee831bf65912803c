package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// tx is one transaction: its time, its statements, and whether the relay has to look at what it did.
type tx struct {
	ctx   context.Context
	conn  *sql.Conn
	stmts map[string]*sql.Stmt // prepared once per connection; nil prepares nothing
	now   time.Time
	owed  bool
}

func (t *tx) stmt(query string) (*sql.Stmt, error) {
	if s, ok := t.stmts[query]; ok {
		return s, nil
	}
	s, err := t.conn.PrepareContext(t.ctx, query)
	if err == nil {
		t.stmts[query] = s
	}
	return s, err
}

func (t *tx) exec(query string, args ...any) error {
	_, err := t.change(query, args...)
	return err
}

// change is exec that tells how many rows it changed.
func (t *tx) change(query string, args ...any) (int64, error) {
	var result sql.Result
	var err error
	if t.stmts == nil {
		result, err = t.conn.ExecContext(t.ctx, query, args...)
	} else {
		var s *sql.Stmt
		if s, err = t.stmt(query); err == nil {
			result, err = s.ExecContext(t.ctx, args...)
		}
	}
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (t *tx) rows(query string, args ...any) (*sql.Rows, error) {
	if t.stmts == nil {
		return t.conn.QueryContext(t.ctx, query, args...)
	}
	s, err := t.stmt(query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(t.ctx, args...)
}

// get reads one row into dest, and tells whether there was one.
func (t *tx) get(query string, args []any, dest ...any) (bool, error) {
	rows, err := t.rows(query, args...)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	if !rows.Next() {
		return false, rows.Err()
	}
	return true, errors.Join(rows.Scan(dest...), rows.Close())
}

// each calls fn for every row of a query; fn scans.
func (t *tx) each(query string, args []any, fn func(scan func(...any) error) error) error {
	rows, err := t.rows(query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// micros and moment are how times are stored.
func micros(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.UnixMicro()
}

func moment(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// document scans a JSON column into what it points to; an empty column leaves that as it is.
type document struct{ into any }

func (d document) Scan(value any) error {
	var data []byte
	switch v := value.(type) {
	case string:
		data = []byte(v)
	case []byte:
		data = v
	default:
		return fmt.Errorf("a document column holds %T", value)
	}
	if len(data) == 0 {
		return nil
	}
	return json.Unmarshal(data, d.into)
}

// encode is a JSON column's value.
func encode(v any) (string, error) {
	data, err := json.Marshal(v)
	return string(data), err
}
