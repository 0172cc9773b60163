// Package store keeps everything Wanbi remembers: one SQL text on two engines,
// SQLite embedded and PostgreSQL, with migrations and guarded transactions.
//
// There is no storage interface. The queries are generated (package db) from
// internal/store/queries, in the dialect both engines share; SQLite in a
// temporary folder is the test double.
//
// Trust: whoever can write this database can roll cases back, but not unseen:
// the audit log's signed checkpoint lives outside as well (package audit). What
// is personal in a row is sealed before it comes here (package seal).
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/span"
	"github.com/wanbi/wanbi/internal/store/db"
)

// Engine names the database system in use.
type Engine string

// The engines.
const (
	SQLite     Engine = "sqlite"
	PostgreSQL Engine = "postgres"
)

// DB is an open database. SQLite has one writer and many readers; PostgreSQL
// has one pool. Safe for concurrent use.
type DB struct {
	engine Engine
	write  *sql.DB
	read   *sql.DB
	// Prepared once by Ready on SQLite; pgx keeps its own, so on PostgreSQL these are plain.
	writes *db.Queries
	reads  *db.Queries
	bulk   map[string]*sql.Stmt // by text, likewise

	together together // who waits for SQLite's writer
}

// Tx is one transaction: the generated queries, bound to it.
type Tx struct {
	*db.Queries
	engine    Engine
	sql       *sql.Tx
	bulk      map[string]*sql.Stmt
	entries   []db.AuditEntry
	committed []func()
}

// Committed has f called once the transaction was committed; a transaction that
// is tried again begins without.
func (tx *Tx) Committed(f func()) { tx.committed = append(tx.committed, f) }

// Open opens the database that the DSN names: "sqlite:/path/file.db", or a
// PostgreSQL URL (several hosts with target_session_attrs=read-write for a
// standby). It does not migrate.
func Open(dsn string) (*DB, error) {
	switch {
	case strings.HasPrefix(dsn, "sqlite:"):
		return openSQLite(strings.TrimPrefix(dsn, "sqlite:"))
	case strings.HasPrefix(dsn, "postgres://"), strings.HasPrefix(dsn, "postgresql://"):
		return openPostgres(dsn)
	}
	return nil, fmt.Errorf("database %q: write sqlite:/path/to/file.db or postgres://…", redact(dsn))
}

// redact gives the scheme only: any other part of a DSN may hold a password.
func redact(dsn string) string {
	scheme, _, found := strings.Cut(dsn, ":")
	if !found || strings.ContainsAny(scheme, " =@/") {
		return "…"
	}
	return scheme + ":…"
}

// sqlitePragmas: WAL with synchronous=FULL, so that an acknowledged step
// survives a power cut; SQLite below 3.51.3 corrupted WAL files and is refused
// by the module pin.
const sqlitePragmas = "_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)" +
	"&_pragma=foreign_keys(ON)&_pragma=temp_store(MEMORY)"

// Page caches of one connection, in KiB: the one writer's holds the inner pages of
// its indexes; readers are many, find by key, and have the system's cache below them.
const (
	writerCache = "&_pragma=cache_size(-16000)"
	readerCache = "&_pragma=cache_size(-4000)"
)

func openSQLite(path string) (*DB, error) {
	if path == "" {
		return nil, errors.New("database: sqlite needs a file, such as sqlite:/var/lib/wanbi/wanbi.db")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	name := "file:" + (&url.URL{Path: abs}).EscapedPath() + "?" + sqlitePragmas
	connector, err := sqlite.NewConnector(name + writerCache + "&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	write := sql.OpenDB(steadfast{connector})
	write.SetMaxOpenConns(1)
	write.SetMaxIdleConns(1)
	read, err := sql.Open("sqlite", name+readerCache+"&_pragma=query_only(ON)")
	if err != nil {
		_ = write.Close()
		return nil, err
	}
	readers := max(4, runtime.GOMAXPROCS(0)*2)
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	return &DB{engine: SQLite, write: write, read: read, writes: db.New(write), reads: db.New(read)}, nil
}

func openPostgres(dsn string) (*DB, error) {
	u, err := url.Parse(dsn)
	if err != nil { // its text would repeat the password
		return nil, fmt.Errorf("database %q: not a URL; percent-encode what stands in the password", redact(dsn))
	}
	q := u.Query()
	// A statement that waits longer than this would outlive its caller.
	for key, value := range map[string]string{"statement_timeout": "10000", "connect_timeout": "2"} {
		if !q.Has(key) {
			q.Set(key, value)
		}
	}
	u.RawQuery = q.Encode()
	settings, err := pgx.ParseConfig(u.String())
	if err != nil {
		cause := errors.Unwrap(err) // its own text would repeat the DSN
		if cause == nil {
			cause = errors.New("its parameters are not understood")
		}
		return nil, fmt.Errorf("database %q: %w", redact(dsn), cause)
	}
	boundSilence(settings)
	pool := sql.OpenDB(pipelining{stdlib.GetConnector(*settings, stdlib.OptionShouldPing(asleep))})
	pool.SetMaxOpenConns(20)
	pool.SetMaxIdleConns(20)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	return &DB{engine: PostgreSQL, write: pool, read: pool, writes: db.New(pool), reads: db.New(pool)}, nil
}

// Engine tells which engine this is.
func (d *DB) Engine() Engine { return d.engine }

// Close closes the pools.
func (d *DB) Close() error {
	if d.read != d.write {
		return errors.Join(d.read.Close(), d.write.Close())
	}
	return d.write.Close()
}

// writeTries bounds how often a transaction is tried again after it lost a race.
const writeTries = 20

// Write runs fn in one transaction and commits it when fn gives nil. A lost race
// (serialisation, deadlock, busy, a guard that refused, a key that exists, [ErrStale])
// is tried again from the start, so fn must have no effect outside the transaction. A database that is away gives
// an error of kind unavailable. A failed commit is unknown: callers repeat with
// the same idempotency key.
func (d *DB) Write(ctx context.Context, fn func(tx *Tx) error) error {
	ctx, mark := span.Begin(ctx, "transaction")
	err := d.tried(ctx, func() error { return d.writeOnce(ctx, fn) })
	mark.End(err)
	return err
}

// tried does it until it loses no race.
func (d *DB) tried(ctx context.Context, do func() error) error {
	var err error
	for try := range writeTries {
		if err = do(); err == nil || !lostRace(err) && !duplicate(err) {
			break
		}
		if try > 1 {
			if waitErr := backoff(ctx, try); waitErr != nil {
				return outage(waitErr)
			}
		}
	}
	return outage(err)
}

func backoff(ctx context.Context, try int) error {
	// Drawn, so that those who lost together do not meet again, and longer each time:
	// a long transaction has to get through among short ones. All of them together
	// are more than half a second on average.
	timer := time.NewTimer(rand.N(time.Duration(try*try+1) * time.Millisecond / 2))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (d *DB) writeOnce(ctx context.Context, fn func(tx *Tx) error) error {
	if d.engine == SQLite {
		return d.writeTogether(ctx, fn)
	}
	tx, err := d.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	out := d.tx(tx)
	if err := fn(out); err != nil {
		return err
	}
	return out.commit(ctx)
}

func (d *DB) tx(begun *sql.Tx) *Tx {
	return &Tx{Queries: d.writes.WithTx(begun), engine: d.engine, sql: begun, bulk: d.bulk}
}

func (tx *Tx) commit(ctx context.Context) error {
	if err := tx.writeEntries(ctx); err != nil {
		return err
	}
	if err := tx.sql.Commit(); err != nil {
		return err
	}
	tx.callCommitted()
	return nil
}

func (tx *Tx) callCommitted() {
	for _, f := range tx.committed {
		f()
	}
}

// Read runs fn on the readers, outside any transaction.
func (d *DB) Read(ctx context.Context, fn func(q *db.Queries) error) error {
	return outage(fn(d.reads))
}

// Ping reports whether the database answers.
func (d *DB) Ping(ctx context.Context) error {
	return d.Read(ctx, func(q *db.Queries) error {
		_, err := q.Ping(ctx)
		return err
	})
}

// ErrStale is what a guarded update gives when somebody else moved the row
// first; [DB.Write] tries the transaction again with what is there now.
var ErrStale = errors.New("the row moved on")

// Moved turns the row count of a guarded update into ErrStale when nothing matched.
func Moved(rows int64, err error) error {
	if err != nil {
		return err
	}
	if rows == 0 {
		return ErrStale
	}
	return nil
}

// NotFound reports whether the error is that of a row that is not there.
func NotFound(err error) bool { return errors.Is(err, sql.ErrNoRows) }

// retryWhenAway is how long a caller waits after the database was away.
const retryWhenAway = 2 * time.Second

// outage gives connection trouble the kind unavailable; all else stays as it is.
func outage(err error) error {
	if err == nil || !databaseAway(err) {
		return err
	}
	return recovery.Unavailable("error.unavailable", retryWhenAway).Because(err)
}

// Millis gives the stored form of a time: milliseconds, 0 for the zero time.
func Millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// Time reads the stored form, in UTC.
func Time(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
