package audit_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/audit"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/testkit/fixture"
)

// receipt gives a chain's receipt as its owner gets it: as JSON and back.
func receipt(t testing.TB, k *fixture.Kit, chain audit.Chain) audit.Receipt {
	t.Helper()
	r, err := k.Log.Receipt(t.Context(), chain)
	if err != nil {
		t.Fatal(err)
	}
	return carried(t, r)
}

func carried(t testing.TB, r audit.Receipt) (out audit.Receipt) {
	t.Helper()
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAReceiptProvesItself(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		k := fixture.New(t, engine)
		history(t, k)
		key := k.Keys.LogVerifier()
		r := receipt(t, k, caseChain(k))
		if err := audit.VerifyReceipt(r, key); err != nil {
			t.Fatal(err)
		}
		if len(r.Entries) != 5 || r.Entries[0].Event != "case.opened" || !bytes.Contains(r.Entries[0].Payload, []byte(`"n"`)) {
			t.Errorf("%+v", r.Entries)
		}
		c := accountOf(t, k, "c") // not in the log yet
		pending := receipt(t, k, account.Chain(k.Realm, c))
		if err := audit.VerifyReceipt(pending, key); len(pending.Entries) != 0 || err == nil {
			t.Errorf("an entry that is not in the log is in a receipt: %v", err)
		}
		if err := audit.VerifyReceipt(r, "wanbi.test/log+00000000+AAAA"); err == nil {
			t.Error("it verifies with another key")
		}
		step(t, k.Log)
		if err := audit.VerifyReceipt(r, key); err != nil {
			t.Errorf("it does not outlive the next checkpoint: %v", err)
		}
		if err := audit.VerifyReceipt(receipt(t, k, caseChain(k)), key); err != nil {
			t.Errorf("a newer receipt: %v", err)
		}
	})
}

func TestATamperedReceiptIsRefused(t *testing.T) {
	k := fixture.New(t, store.SQLite)
	history(t, k)
	key := k.Keys.LogVerifier()
	whole := receipt(t, k, caseChain(k))
	last := len(whole.Entries) - 1
	for what, change := range map[string]func(r *audit.Receipt){
		"another log":           func(r *audit.Receipt) { r.Log += "x" },
		"another checkpoint":    func(r *audit.Receipt) { r.Checkpoint = "x" + r.Checkpoint },
		"no checkpoint":         func(r *audit.Receipt) { r.Checkpoint = "" },
		"another chain":         func(r *audit.Receipt) { r.Chain += "x" },
		"no entries":            func(r *audit.Receipt) { r.Entries = nil },
		"entries twice":         func(r *audit.Receipt) { r.Entries = append(r.Entries, r.Entries...) },
		"another order":         func(r *audit.Receipt) { r.Entries[0], r.Entries[1] = r.Entries[1], r.Entries[0] },
		"another number":        func(r *audit.Receipt) { r.Entries[last].Seq++ },
		"another time":          func(r *audit.Receipt) { r.Entries[0].At = r.Entries[0].At.Add(time.Millisecond) },
		"a finer time":          func(r *audit.Receipt) { r.Entries[0].At = r.Entries[0].At.Add(time.Microsecond) },
		"another event":         func(r *audit.Receipt) { r.Entries[0].Event = "case.closed" },
		"another state":         func(r *audit.Receipt) { r.Entries[last].To = "denied" },
		"another start":         func(r *audit.Receipt) { r.Entries[last].From = "open" },
		"another payload":       func(r *audit.Receipt) { r.Entries[0].Payload = json.RawMessage(`{"n":"1"}`) },
		"no payload":            func(r *audit.Receipt) { r.Entries[0].Payload = nil },
		"a payload and more":    func(r *audit.Receipt) { r.Entries[0].Payload = append(r.Entries[0].Payload, "{}"...) },
		"another nonce":         func(r *audit.Receipt) { r.Entries[0].Nonce[0] ^= 1 },
		"no nonce":              func(r *audit.Receipt) { r.Entries[0].Nonce = nil },
		"another entry before":  func(r *audit.Receipt) { r.Entries[1].Prev[0] ^= 1 },
		"another leaf":          func(r *audit.Receipt) { r.Entries[0].Leaf++ },
		"a leaf beyond the log": func(r *audit.Receipt) { r.Entries[0].Leaf = 1 << 40 },
		"a leaf below the log":  func(r *audit.Receipt) { r.Entries[0].Leaf = -1 },
		"another proof":         func(r *audit.Receipt) { r.Entries[0].Proof[0][0] ^= 1 },
		"a proof cut":           func(r *audit.Receipt) { r.Entries[0].Proof = r.Entries[0].Proof[1:] },
		"a proof hash cut":      func(r *audit.Receipt) { r.Entries[0].Proof[0] = r.Entries[0].Proof[0][1:] },
	} {
		r := carried(t, whole)
		change(&r)
		if err := audit.VerifyReceipt(r, key); err == nil {
			t.Errorf("%s: it verifies", what)
		}
	}
	if err := audit.VerifyReceipt(whole, key); err != nil {
		t.Errorf("untouched: %v", err)
	}
}

// Erased entries are left out, and the others still prove themselves.
func TestAReceiptAfterErasure(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		k := fixture.New(t, engine)
		history(t, k)
		step(t, k.Log)
		if _, err := fixture.Raw(t, k.DSN).ExecContext(t.Context(),
			"UPDATE audit_entries SET payload = NULL, nonce = NULL WHERE chain = $1 AND seq IN (1, 3)", caseID); err != nil {
			t.Fatal(err)
		}
		r := receipt(t, k, caseChain(k))
		if err := audit.VerifyReceipt(r, k.Keys.LogVerifier()); err != nil || len(r.Entries) != 3 {
			t.Errorf("%d entries, %v", len(r.Entries), err)
		}
		report := verify(t, k.Log)
		if len(report.Problems) > 0 || report.Erased != 2 {
			t.Errorf("%+v", report)
		}
		records := read(t, k, caseChain(k))
		for i, record := range records {
			if want := i == 0 || i == 2; record.Erased != want || (record.Data == nil) != want {
				t.Errorf("entry %d: erased %v, data %v", i+1, record.Erased, record.Data)
			}
		}
	})
}

func read(t testing.TB, k *fixture.Kit, chain audit.Chain) (out []audit.Record) {
	t.Helper()
	if err := k.DB.Write(t.Context(), func(tx *store.Tx) (err error) {
		out, err = audit.Read(t.Context(), tx.Queries, k.Keys, chain)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// An entry without data is a payload like any other.
func TestAnEntryWithoutData(t *testing.T) {
	k := fixture.New(t, store.SQLite)
	imported(t, k, "a")
	id := accountOf(t, k, "a")
	if err := k.DB.Write(t.Context(), func(tx *store.Tx) error {
		return k.Accounts.Edit(t.Context(), tx, id, func(e *account.Edit) error {
			e.Record(t.Context(), "dormancy.warned", nil)
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	k.Verified(t)
	r := receipt(t, k, account.Chain(k.Realm, id))
	if err := audit.VerifyReceipt(r, k.Keys.LogVerifier()); err != nil || len(r.Entries) != 2 {
		t.Errorf("%v %s", err, fmt.Sprint(r.Entries))
	}
}
