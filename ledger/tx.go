package ledger

import (
	"cmp"
	"encoding/json"
	"fmt"
	"time"
)

// tx is one transaction: its clock, its statements, and what has to be done when it is over.
type tx struct {
	session
	now     time.Time     // the database's time, which pace, leases and all that is written down go by
	ahead   time.Duration // how far this machine's clock is ahead of that, at least: the request for the time took a while
	again   bool          // this transaction was tried before, and may even have been committed
	partial bool          // it does not have the whole ledger, and cannot count what is free

	kept map[string]keptAttempt // attempts that were read ahead, by their keys, as long as nobody has asked for them
	owed bool                   // a relay has to look at what was done
}

// session is how the statements of a transaction get to its database. They are written for both: placeholders are question marks.
type session interface {
	// exec runs a statement, at the latest before the next one whose answer is waited for, or the commit.
	exec(query string, args ...any) error
	// change is exec that waits, and tells how many rows were changed.
	change(query string, args ...any) (int64, error)
	rows(query string, args ...any) (rows, error)
	// soon has read read the rows of a query, at the latest when the next answer is waited for, or by wait.
	soon(read func(rows) error, query string, args ...any) error
	// wait waits for the answers to all that was asked.
	wait() error
	// forUpdate is what makes a SELECT keep its rows for this transaction.
	forUpdate() string
	// leaveOut is what makes a SELECT keep its rows, and leave out those that others keep.
	leaveOut() string
}

// here is a time of the database by this machine's clock.
func (t *tx) here(at time.Time) time.Time {
	if at.IsZero() {
		return at
	}
	return at.Add(t.ahead)
}

// rows are the rows of a query, as database/sql has them.
type rows interface {
	Next() bool
	Scan(...any) error
	Err() error
	Close() error
}

// read calls fn for every row; fn scans.
func read(r rows, fn func(scan func(...any) error) error) error {
	for r.Next() {
		if err := fn(r.Scan); err != nil {
			return err
		}
	}
	return r.Err()
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
	return true, cmp.Or(rows.Scan(dest...), rows.Close())
}

// each calls fn for every row of a query; fn scans.
func (t *tx) each(query string, args []any, fn func(scan func(...any) error) error) error {
	rows, err := t.rows(query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	return read(rows, fn)
}

// soon is each at the latest when the next answer is waited for: questions that do not depend on each other travel together.
func (t *tx) soon(query string, args []any, fn func(scan func(...any) error) error) error {
	return t.session.soon(func(r rows) error { return read(r, fn) }, query, args...)
}

// micros and moment are how times are stored.
// clock is this machine's time as the ledger keeps times: what is reckoned from a time that was read must be what was reckoned from it before.
func clock() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

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
