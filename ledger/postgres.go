package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jackc/puddle/v2"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/postgres/*.sql
var postgresMigrations embed.FS

const (
	// retryFor is how long a transaction is tried again while the server is away: longer than a restart takes, shorter than
	// anybody waits for an answer.
	retryFor = 8 * time.Second
	// tryFor is how long one try may take, its wait for a connection and for others included: on a network that swallows everything
	// nothing else would end it for a quarter of an hour.
	tryFor = 5 * time.Second
	// endFor is how long a commit or a rollback may take. It does not end with its caller: half a commit is a doubt.
	endFor = 5 * time.Second
	// idleFor is how long a transaction may be left alone by its process before the server ends it: one that is frozen, or cut off,
	// must not keep the ledger from the others for as long as a webhook waits to store a notification.
	idleFor = "3s"
	// lockFor is how long the server lets a transaction wait for a lock. One that waits while its process freezes may still be let in,
	// and then has idleFor: both together are less than a webhook waits. A limit to whole statements would end the wait of a commit
	// for a standby too, and call it committed.
	lockFor = "4s"
	// connections is the size of a process's pool, unless pool_max_conns in the URL says otherwise.
	connections = 10
	// groups is how many groups of writes a process has under way at most: while one waits for the disk, or for a processor, others are
	// written. With many more of them each is small, and all are slow.
	groups = 3
	// groupMost is how many writes share a commit at most: they fail together when one does, and keep their rows until the last is done.
	groupMost = 64
	// wholeMost is how many writes that want the whole ledger share a commit at most: all others wait for it.
	wholeMost = 8
	// keptApart is how many attempts are read ahead by a statement each: one for all of them is planned anew each time, which takes the server
	// as long as some of them.
	keptApart = 8
	// wholeLock is the advisory lock of the database on which the access to the ledger is kept.
	wholeLock = 7233_8081
)

// postgres is a ledger in a database that many processes share.
type postgres struct {
	pool  *pgxpool.Pool
	parts *batcher // of writes that take a part of the ledger
	whole *batcher // of writes that want all of it, one group at a time
	// turn is held by the one transaction of this process that wants the whole ledger. Without it they would queue at the server, each
	// with a connection, and should this process freeze then, the server would let it have its turn for every one of them. Those that want
	// a part are let in, and ended, together.
	turn chan struct{}
}

func openPostgres(ctx context.Context, address string, o Options) (*postgres, error) {
	failed := func(err error) error {
		return fmt.Errorf("open ledger %s: %w (REDIAL_DATABASE)", Name(address), inOneLine{err})
	}
	config, err := pgxpool.ParseConfig(address)
	if err != nil || Name(address) == unshown {
		return nil, failed(errors.New("it is no PostgreSQL URL: write postgres://user:password@host/database"))
	}
	if !strings.Contains(address, "pool_max_conns") {
		config.MaxConns = connections
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "redial"
	}
	if config.ConnConfig.ConnectTimeout == 0 || !strings.Contains(address, "connect_timeout") {
		config.ConnConfig.ConnectTimeout = tryFor
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, failed(err)
	}
	p := &postgres{pool: pool, turn: make(chan struct{}, 1)}
	if err := p.prepare(ctx, o.Migrate); err != nil {
		pool.Close()
		return nil, failed(err)
	}
	p.parts, p.whole = newBatcher(groups, groupMost, p.together), newBatcher(1, wholeMost, p.together)
	return p, nil
}

// inOneLine is an error in one line; pgx lists the addresses that it tried one below the other.
type inOneLine struct{ error }

func (e inOneLine) Error() string { return strings.Join(strings.Fields(e.error.Error()), " ") }
func (e inOneLine) Unwrap() error { return e.error }

// prepare checks that what is committed stays, and that the tables are what this version knows.
func (p *postgres) prepare(ctx context.Context, up bool) error {
	var durable string
	err := p.pool.QueryRow(ctx, "SHOW synchronous_commit").Scan(&durable)
	switch {
	case err != nil && transient(err):
		return fmt.Errorf("%w: %w; check that it runs, and that host and port are right", ErrAway, err)
	case err != nil:
		return fmt.Errorf("%w; check user, password and database", err)
	}
	if durable == "off" {
		return errors.New("synchronous_commit is off, so that acknowledged notifications could be lost: set it to on for this database")
	}
	files, err := fs.Sub(postgresMigrations, "migrations/postgres")
	if err != nil {
		return err
	}
	db := stdlib.OpenDBFromPool(p.pool)
	defer db.Close()
	return p.migrate(ctx, db, files, up)
}

func (p *postgres) migrate(ctx context.Context, db *sql.DB, files fs.FS, up bool) error {
	locker, err := lock.NewPostgresSessionLocker() // of several that start together, one migrates
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithSessionLocker(locker))
	if err != nil {
		return err
	}
	if up {
		_, err = provider.Up(ctx)
		return err
	}
	// Asked first, because goose would make the table of its versions, for whoever comes by.
	var there bool
	if err := p.pool.QueryRow(ctx, "SELECT to_regclass('goose_db_version') IS NOT NULL").Scan(&there); err != nil {
		return err
	}
	// Tables newer than this version are those of an upgrade under way: a version adds to the tables of the one before.
	pending := !there
	if there {
		pending, err = provider.HasPending(ctx)
	}
	if err == nil && pending {
		err = errors.New("its tables are not there, or older than this version: run redial setup")
	}
	return err
}

func (p *postgres) close() error {
	p.whole.end()
	p.parts.end()
	p.pool.Close()
	return nil
}

// update shares a commit with concurrent callers that want as much of the ledger.
func (p *postgres) update(ctx context.Context, a access, fn func(*tx) error) error {
	switch a.share {
	case whole.share:
		return p.whole.do(ctx, a, fn)
	case part.share:
		return p.parts.do(ctx, a, fn)
	}
	return p.insist(ctx, a, false, fn)
}

// together runs a group of writes in one transaction. When anything goes wrong, each is tried again by itself, gets an error of its own,
// and holds up no other. Two groups do not wait for each other in a circle: they lock attempts in one order, and over anything else the
// server ends one of them, which goes wrong like this.
func (p *postgres) together(group []*write) {
	var attempts []string
	for _, w := range group {
		attempts = append(attempts, w.access.attempt)
	}
	// By nobody's context: a caller that goes must not end what others wait for.
	doubt, err := p.once(context.Background(), access{share: group[0].access.share}, attempts, false, func(t *tx) error {
		for _, w := range group {
			if err := w.fn(t); err != nil {
				return err
			}
		}
		return nil
	})
	for _, w := range group {
		if err == nil {
			w.settle(nil)
			continue
		}
		p.parts.under.Go(func() { w.settle(p.insist(w.ctx, w.access, doubt, w.fn)) })
	}
}

// insist tries again while the server is away. A try whose commit is in doubt is repeated too: every transaction of the ledger may
// be, for all of them are compare-and-set. With again, the first try is a repetition already.
func (p *postgres) insist(ctx context.Context, a access, again bool, fn func(*tx) error) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval = 20 * time.Millisecond
	pause.MaxInterval = time.Second
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		doubt, err := p.once(ctx, a, []string{a.attempt}, again, fn)
		again = again || doubt
		switch {
		case err == nil:
		case transient(err) && ctx.Err() == nil:
			var server *pgconn.PgError
			if !errors.As(err, &server) {
				p.pool.Reset() // one connection that broke is rarely alone
			}
		default:
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(pause), backoff.WithMaxElapsedTime(retryFor))
	return err
}

// transient tells whether a statement failed because the server, or the way to it, was away.
func transient(err error) bool {
	var server *pgconn.PgError
	if errors.As(err, &server) {
		switch server.Code {
		case "40001", "40P01", // serialization failure, deadlock
			"55P03",                   // a lock was waited for too long
			"53300",                   // too many connections
			"57P01", "57P02", "57P03", // it stops, has crashed, or cannot be connected to yet
			"25P03", // the transaction was idle for too long
			"25006": // read only: a standby, or a server that has become one
			return true
		}
		return strings.HasPrefix(server.Code, "08")
	}
	var network net.Error
	var connect *pgconn.ConnectError
	return errors.As(err, &network) || errors.As(err, &connect) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || pgconn.SafeToRetry(err)
}

// once runs fn in one transaction, with these attempts read ahead, and tells whether it is in doubt that it was committed.
func (p *postgres) once(ctx context.Context, a access, attempts []string, again bool, fn func(*tx) error) (doubt bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	if a.share == whole.share {
		select {
		case p.turn <- struct{}{}:
			defer func() { <-p.turn }()
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	conn, err := p.pool.Acquire(ctx)
	if err != nil {
		return false, closed(err)
	}
	defer conn.Release() // which closes it when it is still in a transaction
	s := &postgresSession{ctx: ctx, conn: conn.Conn(), write: true}
	t := &tx{session: s, again: again, partial: a.share != whole.share}
	if err := s.begin(t, a, attempts); err != nil {
		return false, err
	}
	if err := caught(fn, t); err != nil {
		_ = s.end("ROLLBACK") // should it fail, the connection is given up
		return false, err
	}
	err = s.end("COMMIT")
	return err != nil, err
}

func closed(err error) error {
	if errors.Is(err, puddle.ErrClosedPool) {
		return errClosed
	}
	return err
}

func (p *postgres) view(ctx context.Context, fn func(*tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	conn, err := p.pool.Acquire(ctx)
	if err != nil {
		return closed(err)
	}
	defer conn.Release()
	s := &postgresSession{ctx: ctx, conn: conn.Conn()}
	t := &tx{session: s}
	if err := s.begin(t, apart, nil); err != nil {
		return err
	}
	err = caught(fn, t)
	_ = s.end("ROLLBACK")
	return err
}

// postgresSession is one transaction on one connection. Statements whose answer nobody waits for travel with the next one.
type postgresSession struct {
	ctx   context.Context
	conn  *pgx.Conn
	write bool
	ahead pgx.Batch // statements that were not sent yet
}

// begin begins the transaction, waits for its access to the ledger, reads attempts ahead, and then the clock: those who have the whole
// ledger, or an attempt, one after the other see time go forward.
func (s *postgresSession) begin(t *tx, a access, attempts []string) error {
	if s.write {
		s.ahead.Queue("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE") // a statement sees what was committed before its locks were granted
		s.ahead.Queue("SELECT set_config('idle_in_transaction_session_timeout', $1, TRUE), set_config('lock_timeout', $2, TRUE)", idleFor, lockFor)
	} else {
		s.ahead.Queue("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
	}
	switch a.share {
	case whole.share:
		s.ahead.Queue("SELECT pg_advisory_xact_lock($1)", wholeLock)
	case part.share:
		s.ahead.Queue("SELECT pg_advisory_xact_lock_shared($1)", wholeLock)
	}
	s.keep(t, attempts)
	asked := time.Now()
	var began, now int64
	// What was waited for has come between the two times of the server: our clock is compared with the first.
	if _, err := t.get(`SELECT (EXTRACT(EPOCH FROM transaction_timestamp()) * 1000000)::BIGINT, (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT`,
		nil, &began, &now); err != nil {
		return err
	}
	t.now = moment(now)
	t.ahead = asked.Sub(moment(began))
	return nil
}

// keep reads rows of attempts on the way of the next statement. They are locked in the order of their keys: of two groups that want the
// same ones, one waits for the other. Each is looked for by itself: for many at once the server may keep to a plan from when the table was
// small, and read all of it.
func (s *postgresSession) keep(t *tx, attempts []string) {
	var keys []string
	for _, key := range attempts {
		if key != "" {
			keys = append(keys, storableText(key))
		}
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	t.kept = make(map[string]keptAttempt, len(keys))
	for _, key := range keys {
		t.kept[key] = keptAttempt{}
	}
	keep := func(scan func(...any) error) error {
		var key string
		kept := keptAttempt{found: true}
		err := kept.row.scan(func(row ...any) error { return scan(append(row, &key)...) })
		t.kept[key] = kept
		return err
	}
	if len(keys) > keptApart {
		_ = t.soon("SELECT a.* FROM (SELECT key FROM unnest(?::TEXT[]) AS key ORDER BY key COLLATE \"C\") AS wanted, LATERAL ("+
			attemptAndKey+"= wanted.key"+s.forUpdate()+") AS a", []any{keys}, keep)
		return
	}
	for _, key := range keys {
		_ = t.soon(attemptAndKey+"= ?"+s.forUpdate(), []any{key}, keep)
	}
}

// end commits or rolls back. A transaction that is broken is not committed, and the server says so in its answer only.
func (s *postgresSession) end(how string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), endFor)
	defer cancel()
	if how == "ROLLBACK" {
		s.ahead = pgx.Batch{}
	}
	s.ctx = ctx
	tag, err := s.answer(how)
	if err == nil && tag.String() != how {
		err = errors.New("the transaction was rolled back: an error in it was passed over")
	}
	return err
}

func (s *postgresSession) forUpdate() string {
	if s.write {
		return " FOR UPDATE"
	}
	return ""
}

func (s *postgresSession) leaveOut() string { return " FOR UPDATE SKIP LOCKED" }

func (s *postgresSession) exec(query string, args ...any) error {
	s.ahead.Queue(numbered(query), storable(args)...)
	return nil
}

func (s *postgresSession) soon(read func(rows) error, query string, args ...any) error {
	s.ahead.Queue(numbered(query), storable(args)...).Query(func(r pgx.Rows) error { return read(postgresRows{Rows: r}) })
	return nil
}

func (s *postgresSession) change(query string, args ...any) (int64, error) {
	tag, err := s.answer(query, args...)
	return tag.RowsAffected(), err
}

// answer runs a statement behind those that wait to be sent.
func (s *postgresSession) answer(query string, args ...any) (pgconn.CommandTag, error) {
	results, err := s.send(query, args)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	tag, err := results.Exec()
	return tag, cmp.Or(err, results.Close())
}

func (s *postgresSession) rows(query string, args ...any) (rows, error) {
	results, err := s.send(query, args)
	if err != nil {
		return nil, err
	}
	read, err := results.Query()
	if err != nil {
		_ = results.Close()
		return nil, err
	}
	return postgresRows{read, results}, nil
}

func (s *postgresSession) wait() error {
	if s.ahead.Len() == 0 {
		return nil
	}
	results, err := s.flush(s.ahead.Len())
	if err != nil {
		return err
	}
	return results.Close()
}

// send sends all statements that wait, and this one, whose result is the next to be read.
func (s *postgresSession) send(query string, args []any) (pgx.BatchResults, error) {
	before := s.ahead.Len()
	s.ahead.Queue(numbered(query), storable(args)...)
	return s.flush(before)
}

// flush sends all statements that wait, and reads the results of so many.
func (s *postgresSession) flush(n int) (pgx.BatchResults, error) {
	batch := s.ahead
	s.ahead = pgx.Batch{}
	results := s.conn.SendBatch(s.ctx, &batch)
	for _, q := range batch.QueuedQueries[:n] {
		read := q.Fn
		if read == nil {
			read = func(r pgx.BatchResults) error { _, err := r.Exec(); return err }
		}
		if err := read(results); err != nil {
			_ = results.Close()
			return nil, err
		}
	}
	return results, nil
}

type postgresRows struct {
	pgx.Rows
	results pgx.BatchResults // nil: others read on in them
}

func (r postgresRows) Close() error {
	r.Rows.Close()
	if r.results == nil {
		return r.Err()
	}
	return cmp.Or(r.Err(), r.results.Close())
}

// numberedQueries are queries whose question marks have become numbered placeholders. There are as many as this package states.
var numberedQueries sync.Map

func numbered(query string) string {
	if known, ok := numberedQueries.Load(query); ok {
		return known.(string)
	}
	var b strings.Builder
	parts := strings.Split(query, "?")
	for i, part := range parts {
		if i > 0 {
			b.WriteString("$" + strconv.Itoa(i))
		}
		b.WriteString(part)
	}
	numberedQueries.Store(query, b.String())
	return b.String()
}

// storable takes out of texts what PostgreSQL does not take: zero bytes, and what is no UTF-8. Both come with errors and reasons that
// quote what others sent; the bytes themselves are kept as bytes.
func storable(args []any) []any {
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			args[i] = storableText(text)
		}
	}
	return args
}

func storableText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
