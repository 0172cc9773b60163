package audit_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/audit"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
	"github.com/wanbi/wanbi/internal/testkit/fixture"
)

func TestEntriesComeBackInOrder(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		k := fixture.New(t, engine)
		openCase(t, k)
		records := read(t, k, caseChain(k))
		if len(records) != 5 {
			t.Fatalf("%d entries", len(records))
		}
		for i, r := range records {
			if r.Seq != int64(i+1) || r.Leaf != -1 || r.Data["n"] != fmt.Sprint(i) || r.Data["note"] != "<&>" || !r.At.Equal(k.Clock.Now()) {
				t.Errorf("entry %d: %+v", i, r)
			}
			if i > 0 && r.From != records[i-1].To {
				t.Errorf("entry %d begins in %q, the one before ends in %q", i, r.From, records[i-1].To)
			}
		}
		step(t, k.Log)
		if records = read(t, k, caseChain(k)); records[4].Leaf != 4 {
			t.Errorf("the last entry is at leaf %d", records[4].Leaf)
		}
	})
}

// Audit before answer: what cannot be recorded does not happen (T26).
func TestAnEntryThatCannotBeWrittenFailsTheChange(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		k := fixture.New(t, engine)
		openCase(t, k)
		for what, c := range map[string]struct {
			head  audit.Head
			entry audit.Entry
		}{
			"a move that the table does not have": {audit.Head{Seq: 5, Hash: make([]byte, 32)}, audit.Entry{
				Event: string(recovery.EventApproved), From: recovery.StateCompleted, To: recovery.StateHeld,
			}},
			"a place on the chain that is taken": {audit.Head{Seq: 2, Hash: make([]byte, 32)}, audit.Entry{Event: "note"}},
		} {
			err := k.DB.Write(t.Context(), func(tx *store.Tx) error {
				if _, err := tx.TellUnknown(t.Context(), db.TellUnknownParams{Subject: caseSubject, Now: 1}); err != nil {
					return err
				}
				_, err := audit.Append(t.Context(), tx, k.Keys, caseChain(k), c.head, c.entry)
				return err
			})
			if err == nil {
				t.Errorf("%s: it was recorded", what)
			}
			told := int64(0)
			if err := k.DB.Write(t.Context(), func(tx *store.Tx) (err error) {
				told, err = tx.TellUnknown(t.Context(), db.TellUnknownParams{Subject: caseSubject, Now: 1, Before: 0})
				return errors.Join(err, errors.New("only looking"))
			}); told != 1 {
				t.Errorf("%s: the change happened without its entry (%v)", what, err)
			}
		}
	})
}

// Two changes of one account at once both happen, one after the other.
func TestParallelChangesOfOneAccountAllHappen(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		const writers = 6
		k := fixture.New(t, engine)
		imported(t, k, "a")
		id := accountOf(t, k, "a")
		var all sync.WaitGroup
		for range writers {
			all.Go(func() {
				if err := k.DB.Write(t.Context(), func(tx *store.Tx) error {
					return k.Accounts.Edit(t.Context(), tx, id, func(e *account.Edit) error {
						e.Record(t.Context(), "signed-in", nil)
						e.Tell(t.Context(), account.EventSessionsEnded, "", "")
						return nil
					})
				}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if records := read(t, k, account.Chain(k.Realm, id)); len(records) != writers+1 {
			t.Errorf("%d entries, want %d", len(records), writers+1)
		}
		k.Verified(t)
	})
}

// docs/audit.md holds an example that anybody can recompute; it must not go stale.
func TestTheDocumentedExampleIsRight(t *testing.T) {
	nonce, payload := make([]byte, 32), []byte(`{"created":"true"}`)
	commitment := audit.Commit(nonce, payload)
	hash := audit.EntryHash("0190f3a4-0000-7000-8000-000000000001", 1, 1772326800000, "account.imported", "", "", commitment, make([]byte, 32))
	text, err := os.ReadFile("../../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	for what, sum := range map[string][]byte{"commitment": commitment, "entry hash": hash} {
		if !strings.Contains(string(text), hex.EncodeToString(sum)) {
			t.Errorf("the example's %s is %x, which docs/audit.md does not say", what, sum)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, engine := range fixture.Engines {
		b.Run(string(engine), func(b *testing.B) {
			k := fixture.New(b, engine)
			head := audit.Start()
			entry := audit.Entry{At: k.Clock.Now(), Event: "note", Data: map[string]string{"by": "bench", "n": "1"}}
			for b.Loop() {
				if err := k.DB.Write(b.Context(), func(tx *store.Tx) (err error) {
					head, err = audit.Append(b.Context(), tx, k.Keys, caseChain(k), head, entry)
					return err
				}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// fill writes n entries on one chain that a case owns.
func fill(b *testing.B, k *fixture.Kit, n int) {
	b.Helper()
	if err := k.DB.Write(b.Context(), func(tx *store.Tx) (err error) {
		head := audit.Start()
		for range n {
			if head, err = audit.Append(b.Context(), tx, k.Keys, caseChain(k), head, audit.Entry{
				At: k.Clock.Now(), Event: "note", From: "open", To: "open", Data: map[string]string{"by": "bench"},
			}); err != nil {
				return err
			}
		}
		return insertCase(b.Context(), tx, k, head, "open")
	}); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkStep takes 500 entries into the log, a full batch.
func BenchmarkStep(b *testing.B) {
	for _, engine := range fixture.Engines {
		b.Run(string(engine), func(b *testing.B) {
			k := fixture.New(b, engine)
			fill(b, k, 500*b.N)
			b.ResetTimer()
			for range b.N {
				if taken, err := k.Log.Step(b.Context()); err != nil || taken != 500 {
					b.Fatal(taken, err)
				}
			}
			b.ReportMetric(float64(500*b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

// BenchmarkVerify checks a record of 10,000 entries.
func BenchmarkVerify(b *testing.B) {
	for _, engine := range fixture.Engines {
		b.Run(string(engine), func(b *testing.B) {
			k := fixture.New(b, engine)
			fill(b, k, 10_000)
			k.Verified(b)
			for b.Loop() {
				if report, err := k.Log.Verify(b.Context(), nil); err != nil || len(report.Problems) > 0 {
					b.Fatal(report, err)
				}
			}
			b.ReportMetric(float64(10_000*b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}
