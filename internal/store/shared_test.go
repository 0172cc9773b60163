package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
	"github.com/wanbi/wanbi/internal/testkit/fixture"
)

// Whoever writes at the same moment may share a transaction (SQLite) or send
// statements together (PostgreSQL). Nobody else's error, panic or departure shows.
func TestWritersAtTheSameMomentAreApart(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		const each = 40
		ctx, d := t.Context(), open(t, engine)
		mine := errors.New("mine")
		left, leave := context.WithCancel(ctx)
		defer leave()
		begin, committed := make(chan struct{}), make(chan string, 5*each)
		var all sync.WaitGroup
		at := func(what string, n int, with context.Context, fn func(tx *store.Tx, id string) error, want func(error) bool) {
			all.Go(func() {
				id := fmt.Sprintf("%s-%d", what, n)
				<-begin
				defer func() {
					if died := recover(); (died != nil) != (what == "panics") {
						t.Errorf("%s: %v", id, died)
					}
				}()
				err := d.Write(with, func(tx *store.Tx) error {
					tx.Committed(func() { committed <- id })
					return errors.Join(insertAccount(with, tx, id), fn(tx, id))
				})
				if !want(err) {
					t.Errorf("%s: %v", id, err)
				}
			})
		}
		fine := func(err error) bool { return err == nil }
		for n := range each {
			at("writes", n, ctx, func(*store.Tx, string) error { return nil }, fine)
			at("reads", n, ctx, func(tx *store.Tx, id string) error { // its own write, whatever waits
				_, err := tx.GetAccount(ctx, id)
				return err
			}, fine)
			at("fails", n, ctx, func(*store.Tx, string) error { return mine }, func(err error) bool { return errors.Is(err, mine) })
			at("panics", n, ctx, func(*store.Tx, string) error { panic("ours") }, func(error) bool { return true })
			at("leaves", n, left, func(tx *store.Tx, id string) error {
				leave()
				_, err := tx.GetAccount(left, id)
				return err
			}, func(err error) bool { return err != nil })
		}
		close(begin)
		all.Wait()
		close(committed)
		told := map[string]bool{}
		for id := range committed {
			told[id] = true
		}
		if err := d.Read(ctx, func(q *db.Queries) error {
			for n := range each {
				for what, there := range map[string]bool{"writes": true, "reads": true, "fails": false, "panics": false, "leaves": false} {
					id := fmt.Sprintf("%s-%d", what, n)
					_, err := q.GetAccount(ctx, id)
					if err != nil && !store.NotFound(err) {
						return err
					}
					if (err == nil) != there || told[id] != there {
						t.Errorf("%s: there %v, told %v, want %v", id, err == nil, told[id], there)
					}
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}

// A guard that refuses is in the last statements of a transaction, where on
// PostgreSQL they wait for the commit: nothing before it may stay.
func TestAGuardThatRefusesUndoesEverything(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		ctx, d := t.Context(), open(t, engine)
		tries := 0
		err := d.Write(ctx, func(tx *store.Tx) error {
			tries++
			return errors.Join(
				insertAccount(ctx, tx, "a"),
				tx.InsertIdentifier(ctx, db.InsertIdentifierParams{Idx: "i", AccountID: "a"}),
				tx.UpdateAccount(ctx, db.UpdateAccountParams{AccountID: "a", ChainHead: []byte{}, Was: 7}),
			)
		})
		if tries != store.WriteTries || !recovery.IsKind(err, recovery.KindUnavailable) {
			t.Errorf("after %d tries: %v", tries, err)
		}
		if err := d.Read(ctx, func(q *db.Queries) error {
			found, err := q.FindAccounts(ctx, "i")
			if len(found) > 0 {
				t.Errorf("the identifier of %v stayed", found)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		// And the next one is not disturbed.
		if err := d.Write(ctx, func(tx *store.Tx) error { return insertAccount(ctx, tx, "a") }); err != nil {
			t.Error(err)
		}
	})
}

// Statements keep their order: what is read sees everything that was written
// before it in the transaction, and nothing of it is there after a rollback.
func TestAReadSeesWhatWasWrittenBefore(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		ctx, d := t.Context(), open(t, engine)
		count := func(q *db.Queries) int {
			rows, err := q.ListAccountIdentifiers(ctx, "a")
			if err != nil {
				t.Fatal(err)
			}
			return len(rows)
		}
		put := func(tx *store.Tx, idx string) error {
			return tx.InsertAccountIdentifier(ctx, db.InsertAccountIdentifierParams{AccountID: "a", Kind: "phone", Idx: idx, Value: []byte{1}})
		}
		back := errors.New("back")
		err := d.Write(ctx, func(tx *store.Tx) error {
			for n := range 5 {
				if err := put(tx, fmt.Sprint(n)); err != nil {
					return err
				}
				if n == 2 {
					if err := tx.DeleteAccountIdentifier(ctx, db.DeleteAccountIdentifierParams{AccountID: "a", Kind: "phone", Idx: "0"}); err != nil {
						return err
					}
				}
				want := n + 1
				if n >= 2 {
					want = n
				}
				if got := count(tx.Queries); got != want {
					t.Errorf("after %d writes %d are there, want %d", n+1, got, want)
				}
			}
			return back
		})
		if !errors.Is(err, back) {
			t.Fatal(err)
		}
		if err := d.Read(ctx, func(q *db.Queries) error {
			if n := count(q); n != 0 {
				t.Errorf("%d stayed", n)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}
