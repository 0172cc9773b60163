package store_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
	"github.com/wanbi/wanbi/internal/testkit/fixture"
)

func TestMigrateUpTwiceDownAndUp(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		ctx := t.Context()
		d, err := store.Open(fixture.Empty(t, engine))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		if d.Engine() != engine {
			t.Errorf("the engine is %q", d.Engine())
		}
		if err := d.Ready(ctx); err == nil || !strings.Contains(err.Error(), "wanbi migrate") {
			t.Errorf("an empty database is ready: %v", err)
		}
		for round, want := range []bool{true, false} {
			steps, err := d.Migrate(ctx)
			if err != nil || (len(steps) > 0) != want {
				t.Fatalf("round %d took %v, %v", round, steps, err)
			}
		}
		if err := d.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		if err := d.Ping(ctx); err != nil {
			t.Fatal(err)
		}
		if err := d.Down(ctx); err != nil {
			t.Fatalf("down: %v", err)
		}
		if steps, err := d.Migrate(ctx); err != nil || len(steps) == 0 {
			t.Fatalf("up again took %v, %v", steps, err)
		}
		if err := d.Write(ctx, func(tx *store.Tx) error { return insertAccount(ctx, tx, "a") }); err != nil {
			t.Error(err)
		}
	})
}

// A newer program migrated, and this one goes on: until a migration takes away
// what it uses and says so.
func TestASchemaMayBeNewerThanTheProgram(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		dsn := dsnOf(t, engine)
		raw := fixture.Raw(t, dsn)
		run := func(statement string) {
			t.Helper()
			if _, err := raw.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		ready := func() error {
			d, err := store.Open(dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			if err := d.Ready(t.Context()); err != nil {
				return err
			}
			return d.Write(t.Context(), func(tx *store.Tx) error { return insertAccount(t.Context(), tx, rand.Text()) })
		}
		run("ALTER TABLE accounts ADD COLUMN later TEXT")
		run("CREATE TABLE later (id TEXT NOT NULL PRIMARY KEY)")
		run("INSERT INTO goose_db_version (version_id, is_applied) VALUES (9000, true)")
		if err := ready(); err != nil {
			t.Errorf("after an additive migration: %v", err)
		}
		run("INSERT INTO schema_needs (version) VALUES (9000)")
		if err := ready(); err == nil || !strings.Contains(err.Error(), "needs a newer program: one that knows migration 9000") {
			t.Errorf("after one that needs a newer program: %v", err)
		}
		d, err := store.Open(dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if c, err := d.Inspect(t.Context()); err != nil || !c.TooOld {
			t.Errorf("it says of itself %+v, %v", c, err)
		}
	})
}

// dsnOf gives one more migrated database.
func dsnOf(t testing.TB, engine store.Engine) string { return fixture.Database(t, engine) }

func open(t testing.TB, engine store.Engine) *store.DB { return fixture.Open(t, dsnOf(t, engine)) }

func insertAccount(ctx context.Context, tx *store.Tx, id string) error {
	return tx.InsertAccount(ctx, db.InsertAccountParams{
		AccountID: id, Realm: "r", HostID: []byte("sealed"), Version: 1, Locale: "zh-CN", ChainHead: make([]byte, 32),
	})
}

// bump raises the account's event number, guarded by its version.
func bump(ctx context.Context, tx *store.Tx, id string) error {
	row, err := tx.GetAccount(ctx, id)
	if err != nil {
		return err
	}
	return tx.UpdateAccount(ctx, db.UpdateAccountParams{
		AccountID: id, Locale: row.Locale, EventSeq: row.EventSeq + 1, ChainHead: row.ChainHead, Was: row.Version,
	})
}

func eventSeq(t testing.TB, d *store.DB, id string) (n int64) {
	t.Helper()
	if err := d.Read(t.Context(), func(q *db.Queries) error {
		row, err := q.GetAccount(t.Context(), id)
		n = row.EventSeq
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestALostRaceIsTriedAgain(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		ctx, d := t.Context(), open(t, engine)
		if err := d.Write(ctx, func(tx *store.Tx) error { return insertAccount(ctx, tx, "a") }); err != nil {
			t.Fatal(err)
		}
		tries := 0
		err := d.Write(ctx, func(tx *store.Tx) error {
			tries++
			if err := bump(ctx, tx, "a"); err != nil || tries == 3 {
				return err
			}
			return fmt.Errorf("around: %w", store.ErrStale)
		})
		if err != nil || tries != 3 || eventSeq(t, d, "a") != 1 {
			t.Errorf("after %d tries: %v; %d updates are there, want 1", tries, err, eventSeq(t, d, "a"))
		}
		tries = 0
		err = d.Write(ctx, func(*store.Tx) error { tries++; return store.ErrStale })
		if !recovery.IsKind(err, recovery.KindUnavailable) || tries != store.WriteTries {
			t.Errorf("a race lost for ever ended after %d tries with %v", tries, err)
		}
		stale := func(tx *store.Tx) error { // a version that is not there any more
			return tx.UpdateAccount(ctx, db.UpdateAccountParams{AccountID: "a", ChainHead: []byte{}, Was: 77})
		}
		if err := d.Write(ctx, stale); !recovery.IsKind(err, recovery.KindUnavailable) || eventSeq(t, d, "a") != 1 {
			t.Errorf("an update of a version that is gone gave %v", err)
		}
	})
}

func TestAnErrorOrAPanicLeavesNothing(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		ctx, d := t.Context(), open(t, engine)
		mine := errors.New("mine")
		if err := d.Write(ctx, func(tx *store.Tx) error { return errors.Join(insertAccount(ctx, tx, "a"), mine) }); !errors.Is(err, mine) {
			t.Errorf("the error became %v", err)
		}
		func() {
			defer func() { _ = recover() }()
			_ = d.Write(ctx, func(tx *store.Tx) error { _ = insertAccount(ctx, tx, "a"); panic("ours") })
		}()
		err := d.Read(ctx, func(q *db.Queries) error { _, err := q.GetAccount(ctx, "a"); return err })
		if !store.NotFound(err) {
			t.Errorf("something stayed: %v", err)
		}
		if err := d.Write(ctx, func(tx *store.Tx) error { return insertAccount(ctx, tx, "a") }); err != nil {
			t.Errorf("the writer is stuck: %v", err)
		}
	})
}

func TestDuplicate(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		ctx, d := t.Context(), open(t, engine)
		insert := func() error {
			return d.Write(ctx, func(tx *store.Tx) error { return insertAccount(ctx, tx, "a") })
		}
		if err := insert(); err != nil {
			t.Fatal(err)
		}
		err := insert()
		if !store.Duplicate(err) || store.NotFound(err) || recovery.IsKind(err, recovery.KindUnavailable) {
			t.Errorf("the same key again gave %v", err)
		}
		err = d.Write(ctx, func(tx *store.Tx) error { // a CHECK, not a key
			return tx.PutLock(ctx, db.PutLockParams{AccountID: "a", Reason: "too-many-failures"})
		})
		if err == nil || store.Duplicate(err) {
			t.Errorf("a lock of a reason that is not kept here gave %v", err)
		}
	})
}

// On SQLite, writers wait their turn and all get it. On PostgreSQL one that loses
// too often is told so. Neither loses an update.
func TestParallelWritersLoseNoUpdate(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		const writers = 200
		ctx, d := t.Context(), open(t, engine)
		if err := d.Write(ctx, func(tx *store.Tx) error { return insertAccount(ctx, tx, "a") }); err != nil {
			t.Fatal(err)
		}
		var done atomic.Int64
		var all sync.WaitGroup
		for range writers {
			all.Go(func() {
				err := d.Write(ctx, func(tx *store.Tx) error { return bump(ctx, tx, "a") })
				switch {
				case err == nil:
					done.Add(1)
				case engine == store.SQLite || !recovery.IsKind(err, recovery.KindUnavailable):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got := eventSeq(t, d, "a"); got != done.Load() || got == 0 {
			t.Errorf("%d writers were told that they wrote, %d updates are there", done.Load(), got)
		}
	})
}

func TestSnapshotDoesNotMove(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		ctx, d := t.Context(), open(t, engine)
		if err := d.Write(ctx, func(tx *store.Tx) error { return insertAccount(ctx, tx, "a") }); err != nil {
			t.Fatal(err)
		}
		err := d.Snapshots(ctx, 3, func(views []*db.Queries) error {
			if err := d.Write(ctx, func(tx *store.Tx) error { return bump(ctx, tx, "a") }); err != nil {
				return err
			}
			for i, q := range views { // all see the moment before, whichever reads first
				row, err := q.GetAccount(ctx, "a")
				if err != nil || row.EventSeq != 0 {
					t.Errorf("view %d sees event %d, %v", i, row.EventSeq, err)
				}
			}
			return nil
		})
		if err != nil || eventSeq(t, d, "a") != 1 {
			t.Errorf("%v; afterwards %d", err, eventSeq(t, d, "a"))
		}
		err = d.Snapshots(ctx, 1, func(views []*db.Queries) error {
			_, err := views[0].SweepCounters(ctx, 0)
			return err
		})
		if err == nil {
			t.Error("a snapshot can be written to")
		}
	})
}

func TestTimesComeBackAsTheyWent(t *testing.T) {
	if store.Millis(time.Time{}) != 0 || !store.Time(0).IsZero() {
		t.Error("never is not never")
	}
	rapid.Check(t, func(t *rapid.T) {
		ms := rapid.Int64Range(1, 253402300799999).Draw(t, "ms") // to the end of the year 9999
		at := store.Time(ms)
		if store.Millis(at) != ms || at.Location() != time.UTC {
			t.Fatalf("%d became %s and %d", ms, at, store.Millis(at))
		}
	})
}

func TestADSNThatIsWrongKeepsItsPassword(t *testing.T) {
	for _, dsn := range []string{
		"", "sqlite:", "mysql://root:geheim@db/wanbi", "host=db user=wanbi password=geheim", "postgres://wanbi:geheim%zz@db/x",
		"wanbi:geheim@db", "postgres://wanbi:geheim@db:port/x", "geheim",
	} {
		d, err := store.Open(dsn)
		if err == nil {
			_ = d.Close()
			t.Errorf("%q opens", dsn)
			continue
		}
		if strings.Contains(err.Error(), "geheim") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
	if got := store.Redact("mysql://u:p@h/d"); got != "mysql:…" {
		t.Errorf("a DSN shows as %q", got)
	}
}

// Whatever is written while they begin, all views are of one moment.
func TestSnapshotsAreOfOneMoment(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		ctx, d := t.Context(), open(t, engine)
		if err := d.Write(ctx, func(tx *store.Tx) error { return insertAccount(ctx, tx, "a") }); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		var writing sync.WaitGroup
		writing.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := d.Write(ctx, func(tx *store.Tx) error { return bump(ctx, tx, "a") }); err != nil {
					t.Error(err)
					return
				}
			}
		})
		for range 30 {
			err := d.Snapshots(ctx, 4, func(views []*db.Queries) error {
				first, err := views[0].GetAccount(ctx, "a")
				for _, q := range views {
					row, again := q.GetAccount(ctx, "a")
					if err = errors.Join(err, again); row.EventSeq != first.EventSeq {
						t.Errorf("one view sees event %d, another %d", first.EventSeq, row.EventSeq)
					}
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
		close(done)
		writing.Wait()
	})
}
