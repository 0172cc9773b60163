package store_test

import (
	"context"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
	"github.com/wanbi/wanbi/internal/testkit/fixture"
	"github.com/wanbi/wanbi/internal/testkit/wire"
)

// away fails unless reading and writing say that the database is away, and for
// how long to wait.
func away(t *testing.T, d *store.DB) {
	t.Helper()
	for what, err := range map[string]error{
		"write": d.Write(t.Context(), func(tx *store.Tx) error { return bump(t.Context(), tx, "a") }),
		"ping":  d.Ping(t.Context()),
	} {
		if !recovery.IsKind(err, recovery.KindUnavailable) || recovery.AsError(err).RetryAfter <= 0 {
			t.Errorf("%s while the database is away: %v", what, err)
		}
	}
}

// back fails unless the database serves again. A pool may first have to find out
// that its connections are dead, which costs it an outage a connection.
func back(t *testing.T, d *store.DB) {
	t.Helper()
	var err error
	for range 25 {
		if err = d.Write(t.Context(), func(tx *store.Tx) error { return bump(t.Context(), tx, "a") }); err == nil {
			return
		}
		if !recovery.IsKind(err, recovery.KindUnavailable) {
			break
		}
	}
	t.Errorf("after the outage: %v", err)
}

func withAccount(t *testing.T, dsn string) *store.DB {
	t.Helper()
	d := fixture.Open(t, dsn)
	if err := d.Write(t.Context(), func(tx *store.Tx) error { return insertAccount(t.Context(), tx, "a") }); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestNobodyListens(t *testing.T) {
	u, err := url.Parse(fixture.Database(t, store.PostgreSQL))
	if err != nil {
		t.Fatal(err)
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*url.URL){
		"no server":          func(u *url.URL) { u.Host = closed.Addr().String() },
		"no such database":   func(u *url.URL) { u.Path = "/no_such_database" },
		"a password changed": func(u *url.URL) { u.User = url.UserPassword("postgres", "another") },
	} {
		t.Run(name, func(t *testing.T) {
			_ = closed.Close()
			other := *u
			change(&other)
			d, err := store.Open(other.String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = d.Close() }()
			away(t, d)
			if err := d.Ready(t.Context()); !recovery.IsKind(err, recovery.KindUnavailable) {
				t.Errorf("ready: %v", err)
			}
		})
	}
}

// wired gives a database that is reached by a wire, as the change to its URL says.
func wired(t *testing.T, change func(url.Values)) (*store.DB, *wire.Wire) {
	t.Helper()
	u, err := url.Parse(fixture.Database(t, store.PostgreSQL))
	if err != nil {
		t.Fatal(err)
	}
	w, err := wire.New(u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Cut)
	q := u.Query()
	change(q)
	u.Host, u.RawQuery = w.Addr(), q.Encode()
	return withAccount(t, u.String()), w
}

func mend(t *testing.T, w *wire.Wire) {
	t.Helper()
	if err := w.Mend(); err != nil {
		t.Fatal(err)
	}
}

func TestTheWireIsCutAndMended(t *testing.T) {
	d, w := wired(t, func(url.Values) {})
	w.Cut()
	away(t, d)
	mend(t, w)
	back(t, d)
	err := d.Write(t.Context(), func(tx *store.Tx) error { // in the middle of a transaction
		w.Cut()
		return bump(t.Context(), tx, "a")
	})
	if !recovery.IsKind(err, recovery.KindUnavailable) {
		t.Errorf("cut within a transaction: %v", err)
	}
	before := int64(1)
	mend(t, w)
	back(t, d)
	if got := eventSeq(t, d, "a"); got != before+1 {
		t.Errorf("%d updates are there, want %d: a transaction that was cut left something", got, before+1)
	}
}

// A host that lost its power closes nothing: what waits for it is refused, and not
// stuck until the system's own timeouts end.
func TestAFrozenServerIsAway(t *testing.T) {
	d, w := wired(t, func(q url.Values) { q.Set("statement_timeout", "100") })
	w.Freeze()
	away(t, d)
	w.Thaw()
	back(t, d)
	err := d.Write(t.Context(), func(tx *store.Tx) error { // in the middle of a transaction
		w.Freeze()
		return bump(t.Context(), tx, "a")
	})
	if !recovery.IsKind(err, recovery.KindUnavailable) {
		t.Errorf("frozen within a transaction: %v", err)
	}
	w.Thaw()
	back(t, d)
	if got := eventSeq(t, d, "a"); got != 2 {
		t.Errorf("%d updates are there, want 2: a transaction that was given up left something", got)
	}
}

// Connections die with a restart of the server, and a primary that was demoted
// takes no writes: both pass.
func TestAServerThatRestartsOrIsDemoted(t *testing.T) {
	dsn := fixture.Database(t, store.PostgreSQL)
	d, raw := withAccount(t, dsn), fixture.Raw(t, dsn)
	run := func(statements ...string) {
		t.Helper()
		for _, s := range statements {
			if _, err := raw.ExecContext(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
	}
	const drop = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
	name := ""
	if err := raw.QueryRowContext(t.Context(), "SELECT current_database()").Scan(&name); err != nil {
		t.Fatal(err)
	}
	err := d.Write(t.Context(), func(tx *store.Tx) error {
		run(drop)
		return bump(t.Context(), tx, "a")
	})
	if !recovery.IsKind(err, recovery.KindUnavailable) {
		t.Errorf("a connection that the server closed: %v", err)
	}
	back(t, d)
	run("ALTER DATABASE "+name+" SET default_transaction_read_only = on", drop)
	err = nil
	for range 25 { // the pool's old connections are found dead first
		if err = d.Write(t.Context(), func(tx *store.Tx) error { return bump(t.Context(), tx, "a") }); err == nil {
			break
		}
	}
	if !recovery.IsKind(err, recovery.KindUnavailable) {
		t.Errorf("a server that takes no writes: %v", err)
	}
	if err := d.Ping(t.Context()); err != nil {
		t.Errorf("reading from a server that takes no writes: %v", err)
	}
	run("SET default_transaction_read_only = off", "ALTER DATABASE "+name+" RESET default_transaction_read_only", drop)
	back(t, d)
}

func TestSQLiteThatCannotWrite(t *testing.T) {
	for name, c := range map[string]struct{ breaks, mends string }{
		"a full disk": {"PRAGMA max_page_count = 1", "PRAGMA max_page_count = 1000000"},
		"read-only":   {"PRAGMA query_only = ON", "PRAGMA query_only = OFF"},
	} {
		t.Run(name, func(t *testing.T) {
			d := withAccount(t, fixture.Database(t, store.SQLite))
			pragma := func(text string) {
				if _, err := d.Writer().ExecContext(t.Context(), text); err != nil {
					t.Fatal(err)
				}
			}
			pragma(c.breaks)
			fill := func() error {
				return d.Write(t.Context(), func(tx *store.Tx) error {
					return tx.InsertSignIn(t.Context(), db.InsertSignInParams{AccountID: "a", ID: "x", Data: make([]byte, 1<<20)})
				})
			}
			if err := fill(); !recovery.IsKind(err, recovery.KindUnavailable) {
				t.Errorf("writing: %v", err)
			}
			if err := d.Ping(t.Context()); err != nil {
				t.Errorf("reading: %v", err)
			}
			pragma(c.mends)
			if err := fill(); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

func TestSQLiteThatAnotherProgramHolds(t *testing.T) {
	dsn := fixture.Database(t, store.SQLite)
	d, raw := withAccount(t, dsn), fixture.Raw(t, dsn)
	raw.SetMaxOpenConns(1)
	if _, err := d.Writer().ExecContext(t.Context(), "PRAGMA busy_timeout = 1"); err != nil {
		t.Fatal(err)
	}
	if _, err := raw.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	err := d.Write(t.Context(), func(tx *store.Tx) error { return bump(t.Context(), tx, "a") })
	if !recovery.IsKind(err, recovery.KindUnavailable) {
		t.Errorf("while another program holds the file: %v", err)
	}
	if err := d.Ping(t.Context()); err != nil {
		t.Errorf("reading meanwhile: %v", err)
	}
	if _, err := raw.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	back(t, d)
}

// A deadline is the database being too slow; a caller who hung up is not.
func TestDeadlinesAndCallersWhoHangUp(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		d := withAccount(t, dsnOf(t, engine))
		late, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
		defer cancel()
		gone, hangUp := context.WithCancel(t.Context())
		hangUp()
		for ctx, want := range map[context.Context]bool{late: true, gone: false} {
			err := d.Write(ctx, func(tx *store.Tx) error { return bump(ctx, tx, "a") })
			if err == nil || recovery.IsKind(err, recovery.KindUnavailable) != want {
				t.Errorf("%v: %v", ctx.Err(), err)
			}
		}
		back(t, d)
	})
}
