package audit_test

import (
	"context"
	"fmt"
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

const (
	caseSubject = "000102030405060708090a0b0c0d0e0f"
	caseID      = "0190f3a4-0000-7000-8000-00000000abcd"
)

// history fills a kit with what happens: two accounts in the log, one of them
// locked and unlocked, a case from its opening to its end, and an account that
// the log has not taken yet.
func history(t testing.TB, k *fixture.Kit) {
	t.Helper()
	imported(t, k, "a", "b")
	for _, on := range []bool{true, false} {
		if err := k.Accounts.SetLock(t.Context(), k.Realm, "a", recovery.LockRiskAlarm, on); err != nil {
			t.Fatal(err)
		}
	}
	openCase(t, k)
	step(t, k.Log)
	k.Clock.Advance(time.Millisecond)
	imported(t, k, "c")
}

func imported(t testing.TB, k *fixture.Kit, ids ...string) {
	t.Helper()
	for _, id := range ids {
		results, err := k.Accounts.Import(t.Context(), k.Realm, []account.Record{{ID: id, Username: "name-" + id}})
		if err != nil || results[0].Err != nil {
			t.Fatal(err, results)
		}
	}
}

func caseChain(k *fixture.Kit) audit.Chain {
	return audit.Chain{Owner: caseSubject, ID: caseID, Realm: k.Realm}
}

// openCase takes a case through every state to its end, one transaction a move.
func openCase(t testing.TB, k *fixture.Kit) {
	t.Helper()
	head := audit.Start()
	state := recovery.State("")
	for i, event := range []recovery.Event{
		"case.opened", "code.sent", recovery.EventEnoughEvidence, recovery.EventOutcomeTaken, recovery.EventHostConfirmed,
	} {
		next, err := recovery.Next(state, event)
		switch {
		case i == 0:
			next = recovery.StateOpen
		case err != nil:
			next = state // an entry that moves nothing
		}
		err = k.DB.Write(t.Context(), func(tx *store.Tx) error {
			after, err := audit.Append(t.Context(), tx, k.Keys, caseChain(k), head, audit.Entry{
				At: k.Clock.Now(), Event: string(event), From: state, To: next, Data: map[string]string{"n": fmt.Sprint(i), "note": "<&>"},
			})
			if err != nil {
				return err
			}
			head = after
			if i == 0 {
				return insertCase(t.Context(), tx, k, head, next)
			}
			return tx.UpdateCase(t.Context(), db.UpdateCaseParams{
				Subject: caseSubject, ID: caseID, State: string(next), ChainSeq: head.Seq, ChainHead: head.Hash, Was: int64(i),
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		state = next
	}
}

func insertCase(ctx context.Context, tx *store.Tx, k *fixture.Kit, head audit.Head, state recovery.State) error {
	return tx.InsertCase(ctx, db.InsertCaseParams{
		Subject: caseSubject, ID: caseID, Ref: "R", Realm: string(k.Realm), State: string(state), Version: 1, Identifier: []byte("sealed"),
		ChainSeq: head.Seq, ChainHead: head.Hash,
	})
}

// step lets the log take everything.
func step(t testing.TB, l *audit.Log) {
	t.Helper()
	for {
		taken, err := l.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if taken == 0 {
			return
		}
	}
}

func verify(t testing.TB, l *audit.Log) audit.Report {
	t.Helper()
	report, err := l.Verify(t.Context(), nil)
	if err != nil {
		t.Fatalf("verify broke off instead of telling what is wrong: %v", err)
	}
	return report
}

func accountOf(t testing.TB, k *fixture.Kit, hostID string) recovery.AccountID {
	t.Helper()
	var found recovery.AccountID
	if err := k.DB.Read(t.Context(), func(q *db.Queries) error {
		id, ok, err := k.Accounts.FindHostID(t.Context(), q, k.Realm, hostID)
		if !ok {
			t.Fatalf("no account %s", hostID)
		}
		found = id
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return found
}
