package store_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// What an operator is shown is asked in SQL of each engine's own.
func TestADatabaseSaysHowItIs(t *testing.T) {
	for _, engine := range []store.Engine{store.SQLite, store.PostgreSQL} {
		t.Run(string(engine), func(t *testing.T) {
			d := open(t, engine)
			c, err := d.Inspect(t.Context())
			if err != nil || c.Engine != engine || c.Pending || c.OldVersion() {
				t.Fatalf("%+v, %v", c, err)
			}
			if apart := time.Since(c.Clock).Abs(); apart > time.Minute {
				t.Errorf("its clock is %s apart", apart)
			}
			if err := d.Write(t.Context(), func(tx *store.Tx) error {
				if err := tx.InsertJob(t.Context(), db.InsertJobParams{Key: "k", ID: "1", Kind: "x", DueAt: 5000, Payload: []byte("x")}); err != nil {
					return err
				}
				entry := db.AuditEntry{Owner: "s", Chain: "c", Seq: 1, At: 7000, Event: "answer.wrong", Commitment: []byte{1}, Prev: []byte{1}, Hash: []byte{1}}
				tx.Record(entry)
				return tx.InsertLeaf(t.Context(), db.InsertLeafParams{Leaf: 0, Owner: "s", Chain: "c", Seq: 1})
			}); err != nil {
				t.Fatal(err)
			}
			b, err := d.Backlog(t.Context())
			want := store.Backlog{Waiting: 1, Unsequenced: 1, OldestDue: time.UnixMilli(5000).UTC(), OldestUnsequenced: time.UnixMilli(7000).UTC()}
			if err != nil || b != want {
				t.Errorf("%+v, %v", b, err)
			}
			tallied, err := d.Tally(t.Context(), 0, 10)
			if err != nil || len(tallied) != 1 || tallied[0] != (store.Tallied{Event: "answer.wrong"}) {
				t.Errorf("%+v, %v", tallied, err)
			}
			if size, err := d.LogSize(t.Context()); err != nil || size != 0 {
				t.Errorf("%d, %v", size, err)
			}
			if len(d.Pools()) == 0 {
				t.Error("no pools")
			}
		})
	}
}

func TestWhatARestoreVoidsIsOneTransactionOnEachEngine(t *testing.T) {
	for _, engine := range []store.Engine{store.SQLite, store.PostgreSQL} {
		t.Run(string(engine), func(t *testing.T) {
			d := open(t, engine)
			now := time.UnixMilli(1_800_000_000_000).UTC()
			count := func() (minute int64) {
				if err := d.Write(t.Context(), func(tx *store.Tx) error {
					row, err := tx.Count(t.Context(), db.CountParams{Key: "k", MinuteStart: store.Millis(now)})
					minute = row.MinuteN
					return err
				}); err != nil {
					t.Fatal(err)
				}
				return minute
			}
			count()
			broken := errors.New("the entry cannot be written")
			if _, err := d.VoidRestored(t.Context(), now, func(*store.Tx, store.Voided) error { return broken }); !errors.Is(err, broken) {
				t.Fatal(err)
			}
			if n := count(); n != 2 {
				t.Errorf("a restore that failed filled a counter: %d", n)
			}
			v, err := d.VoidRestored(t.Context(), now, func(*store.Tx, store.Voided) error { return nil })
			if err != nil || v.Counters != 1 {
				t.Fatalf("%+v, %v", v, err)
			}
			if n := count(); n < 1_000_000 {
				t.Errorf("the counter is at %d", n)
			}
			if engine != store.SQLite {
				if err := d.Backup(t.Context(), filepath.Join(t.TempDir(), "x")); !errors.Is(err, store.ErrNotSQLite) {
					t.Errorf("a copy of %s: %v", engine, err)
				}
			}
		})
	}
}
