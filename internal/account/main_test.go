package account_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/audit"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
	"github.com/wanbi/wanbi/internal/testkit/fixture"
	"github.com/wanbi/wanbi/internal/testkit/postgres"
)

func TestMain(m *testing.M) { os.Exit(postgres.Main(m)) }

// host is a kit with what these tests ask of it, as a host system would.
type host struct {
	*fixture.Kit
	t testing.TB
}

func newHost(t testing.TB, engine store.Engine) host {
	t.Helper()
	h := host{fixture.New(t, engine), t}
	t.Cleanup(func() { // every change left its entry, and the chains hold
		if !t.Failed() {
			h.verified()
		}
	})
	return h
}

// verified runs after the test's context ended.
func (h host) verified() {
	h.t.Helper()
	ctx := context.Background()
	for {
		taken, err := h.Log.Step(ctx)
		if err != nil {
			h.t.Fatal(err)
		}
		if taken == 0 {
			break
		}
	}
	report, err := h.Log.Verify(ctx, nil)
	if err != nil || len(report.Problems) > 0 {
		h.t.Errorf("audit: %v %v", err, report.Problems)
	}
}

// bring imports records that must all get in.
func (h host) bring(records ...account.Record) []account.Imported {
	h.t.Helper()
	results, err := h.Accounts.Import(h.t.Context(), h.Realm, records)
	if err != nil {
		h.t.Fatal(err)
	}
	for i, r := range results {
		if r.Err != nil {
			h.t.Fatalf("record %d: %v at %s", i, r.Err, r.Err.Field)
		}
	}
	return results
}

// look reads from the database.
func look[T any](h host, f func(q *db.Queries) (T, error)) (out T) {
	h.t.Helper()
	if err := h.DB.Read(h.t.Context(), func(q *db.Queries) (err error) { out, err = f(q); return err }); err != nil {
		h.t.Fatal(err)
	}
	return out
}

func (h host) id(hostID string) recovery.AccountID {
	h.t.Helper()
	return look(h, func(q *db.Queries) (recovery.AccountID, error) {
		id, ok, err := h.Accounts.FindHostID(h.t.Context(), q, h.Realm, hostID)
		if !ok {
			h.t.Fatalf("there is no account %s", hostID)
		}
		return id, err
	})
}

func (h host) row(hostID string) db.Account {
	id := h.id(hostID)
	return look(h, func(q *db.Queries) (db.Account, error) { return q.GetAccount(h.t.Context(), string(id)) })
}

func (h host) contacts(hostID string) []recovery.Contact {
	id := h.id(hostID)
	return look(h, func(q *db.Queries) ([]recovery.Contact, error) {
		return h.Accounts.Contacts(h.t.Context(), q, h.Realm, id)
	})
}

func (h host) find(kind recovery.IdentifierKind, value string) []recovery.AccountID {
	return look(h, func(q *db.Queries) ([]recovery.AccountID, error) {
		return h.Accounts.Find(h.t.Context(), q, h.Realm, recovery.Identifier{Kind: kind, Value: value})
	})
}

func (h host) locks(hostID string) map[recovery.LockReason]recovery.Lock {
	id := h.id(hostID)
	out := map[recovery.LockReason]recovery.Lock{}
	for _, l := range look(h, func(q *db.Queries) ([]recovery.Lock, error) { return h.Accounts.Locks(h.t.Context(), q, id) }) {
		out[l.Reason] = l
	}
	return out
}

// entries gives the events on the account's chain.
func (h host) entries(hostID string) (events []string) {
	for _, r := range h.records(hostID) {
		events = append(events, r.Event)
	}
	return events
}

func (h host) records(hostID string) []audit.Record {
	id := h.id(hostID)
	return look(h, func(q *db.Queries) ([]audit.Record, error) {
		return audit.Read(h.t.Context(), q, h.Keys, account.Chain(h.Realm, id))
	})
}

func (h host) signIn(in account.SignIn) account.Checked {
	h.t.Helper()
	in.Realm = h.Realm
	checked, err := h.Accounts.Verify(h.t.Context(), in)
	if err != nil {
		h.t.Fatal(err)
	}
	return checked
}

func (h host) setLock(hostID string, reason recovery.LockReason, on bool) {
	h.t.Helper()
	if err := h.Accounts.SetLock(h.t.Context(), h.Realm, hostID, reason, on); err != nil {
		h.t.Fatal(err)
	}
}

// setPassword is what the end of a recovery does.
func (h host) setPassword(hostID, password string) {
	h.t.Helper()
	ctx, id := context.Background(), h.id(hostID)
	hash, err := h.Accounts.Hasher.Hash(ctx, password, account.PasswordBinding(id))
	if err != nil {
		h.t.Fatal(err)
	}
	if err := h.DB.Write(ctx, func(tx *store.Tx) error {
		return h.Accounts.Edit(ctx, tx, id, func(e *account.Edit) error { return e.SetSecret(ctx, hash, "", "test") })
	}); err != nil {
		h.t.Fatal(err)
	}
}

func ago(d time.Duration) *time.Time { at := fixture.Began.Add(-d); return &at }
