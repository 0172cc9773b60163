package audit_test

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/audit"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/testkit/fixture"
)

// pages are sizes at which every border falls somewhere else.
var pages = []int32{1, 2, 3, 5, 2000}

func TestAWholeRecordIsWholeWhereverItsPagesEnd(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		k := fixture.New(t, engine)
		history(t, k)
		want := verify(t, k.Log)
		if want.Leaves < 9 || want.Pending == 0 || want.Chains < 4 {
			t.Fatalf("%+v", want)
		}
		for _, page := range pages {
			if got, err := k.Log.VerifyPaged(t.Context(), page); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("by pages of %d: %+v, %v; want %+v", page, got, err, want)
			}
		}
	})
}

func TestAnEmptyRecordIsWhole(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		k := fixture.New(t, engine)
		if report := verify(t, k.Log); len(report.Problems) > 0 || report.Leaves+report.Chains+report.Pending != 0 {
			t.Errorf("%+v", report)
		}
	})
}

// found fails unless every page size finds a problem that says what it should.
func found(t *testing.T, k *fixture.Kit, what, want string) {
	t.Helper()
	for _, page := range pages {
		report, err := k.Log.VerifyPaged(t.Context(), page)
		if err != nil || !strings.Contains(strings.Join(report.Problems, "\n"), want) {
			t.Errorf("%s, by pages of %d: %v, %v; want %q among them", what, page, report.Problems, err, want)
		}
	}
}

// What a look at each row alone cannot find: rows that are right and stand in the
// wrong place, or are there twice.
func TestRowsInEachOthersPlacesAreFound(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		k := fixture.New(t, engine)
		history(t, k)
		i := intruder{t, fixture.Raw(t, k.DSN)}
		var inLog []map[string]any
		for _, row := range i.read("audit_entries") {
			if row["leaf"] != nil {
				inLog = append(inLog, row)
			}
		}
		set := func(row map[string]any, column string, value any) {
			t.Helper()
			if err := i.update("audit_entries", watched["audit_entries"].key, row, column, value); err != nil {
				t.Fatal(err)
			}
		}
		leafOf := func(leaf any) map[string]any {
			for _, row := range i.read("log_leaves") {
				if row["leaf"] == leaf {
					return row
				}
			}
			t.Fatalf("no leaf %v", leaf)
			return nil
		}
		a, b := inLog[0], inLog[len(inLog)-1]

		set(a, "leaf", b["leaf"])
		found(t, k, "two entries at one leaf", "says it stands elsewhere")
		set(b, "leaf", a["leaf"])
		found(t, k, "two entries at each other's leaf", "says it stands elsewhere")

		// The leaves follow: now every row agrees with every other, and not with the tree.
		atA, atB := leafOf(a["leaf"]), leafOf(b["leaf"])
		for _, row := range []map[string]any{atA, atB} {
			i.remove("log_leaves", watched["log_leaves"].key, row)
		}
		swapped := []map[string]any{maps.Clone(atA), maps.Clone(atB)}
		swapped[0]["leaf"], swapped[1]["leaf"] = atB["leaf"], atA["leaf"]
		for _, row := range swapped {
			i.insert("log_leaves", row)
		}
		found(t, k, "entries and leaves swapped", "it is not the hash of entry")
		for _, row := range swapped {
			i.remove("log_leaves", watched["log_leaves"].key, row)
		}
		i.insert("log_leaves", atA)
		i.insert("log_leaves", atB)
		set(a, "leaf", a["leaf"])
		set(b, "leaf", b["leaf"])

		// An entry that is right, once more on a chain of its own, with and without a leaf.
		for _, leaf := range []any{a["leaf"], nil} {
			twin := maps.Clone(a)
			twin["owner"], twin["leaf"] = "zzzz", leaf
			i.insert("audit_entries", twin)
			found(t, k, "an entry twice", "1 entries are on no chain")
			i.remove("audit_entries", watched["audit_entries"].key, twin)
		}
		// One of another chain between two of this one.
		between := maps.Clone(b)
		between["owner"], between["chain"], between["seq"], between["leaf"] = a["owner"], a["chain"], int64(1000), nil
		i.insert("audit_entries", between)
		found(t, k, "an entry of another chain", "is missing")
		i.remove("audit_entries", watched["audit_entries"].key, between)

		if report := verify(t, k.Log); len(report.Problems) > 0 {
			t.Errorf("after everything was put back: %v", report.Problems)
		}
	})
}

// Cases and accounts whose entries are all gone, before, between and after others.
func TestChainsWithoutEntriesAreFound(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		k := fixture.New(t, engine)
		history(t, k)
		i := intruder{t, fixture.Raw(t, k.DSN)}
		chains := map[string][]map[string]any{}
		for _, row := range i.read("audit_entries") {
			chains[row["chain"].(string)] = append(chains[row["chain"].(string)], row)
		}
		if len(chains) < 4 {
			t.Fatalf("%d chains", len(chains))
		}
		for chain, rows := range chains {
			for _, row := range rows {
				i.remove("audit_entries", watched["audit_entries"].key, row)
			}
			found(t, k, chain, fmt.Sprintf("chain %s: 0 entries are there, its row says %d", chain, len(rows)))
			for _, row := range rows {
				i.insert("audit_entries", row)
			}
		}
		for _, row := range i.read("audit_entries") {
			i.remove("audit_entries", watched["audit_entries"].key, row)
		}
		found(t, k, "no entry at all", "its row says")
	})
}

// SQLite lets anybody store a key of another type, which no condition of the queries passes.
func TestKeysOfAnotherTypeEndTheVerification(t *testing.T) {
	k := fixture.New(t, store.SQLite)
	history(t, k)
	i := intruder{t, fixture.Raw(t, k.DSN)}
	for _, edit := range []string{
		"UPDATE audit_entries SET owner = CAST(owner AS BLOB)", "UPDATE accounts SET account_id = CAST(account_id AS BLOB)",
		"UPDATE cases SET subject = CAST(subject AS BLOB)", "UPDATE audit_entries SET chain = CAST(chain AS BLOB) WHERE seq = 1",
		"UPDATE log_leaves SET chain = CAST(chain AS BLOB)",
	} {
		for _, page := range pages {
			tx, err := i.raw.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.ExecContext(t.Context(), edit); err != nil {
				t.Fatal(err)
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			report, err := k.Log.VerifyPaged(t.Context(), page)
			if err == nil && len(report.Problems) == 0 {
				t.Errorf("%s was not found by pages of %d", edit, page)
			}
			if _, err := i.raw.ExecContext(t.Context(), strings.Replace(edit, "AS BLOB", "AS TEXT", 1)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if report := verify(t, k.Log); len(report.Problems) > 0 {
		t.Errorf("after everything was put back: %v", report.Problems)
	}
}

// The server writes and the log grows while the record is verified.
func TestVerifyMayRunWhileTheServerDoes(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		k := fixture.New(t, engine)
		history(t, k)
		done, n := make(chan struct{}), 0
		var writing sync.WaitGroup
		writing.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				n++
				if _, err := k.Accounts.Import(t.Context(), k.Realm, []account.Record{{ID: fmt.Sprint("more-", n), Username: fmt.Sprint("more", n)}}); err != nil {
					t.Error(err)
				}
				if _, err := k.Log.Step(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
		var last audit.Report
		for range 20 {
			report, err := k.Log.VerifyPaged(context.Background(), 7)
			if err != nil || len(report.Problems) > 0 || report.Leaves < last.Leaves {
				t.Errorf("%+v, %v", report, err)
			}
			last = report
		}
		close(done)
		writing.Wait()
	})
}
