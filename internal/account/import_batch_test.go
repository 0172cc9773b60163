package account_test

import (
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
	"github.com/wanbi/wanbi/internal/testkit/fixture"
)

const hostHash = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"

// many are records of every kind, more than one statement takes on either engine.
func many() (records []account.Record) {
	for i := range 180 {
		r := account.Record{ID: fmt.Sprint("host-", i), Phone: fmt.Sprintf("138%08d", i), Locale: []string{"zh-CN", "en", ""}[i%3]}
		if i%2 == 0 {
			r.Email, r.MoreEmails = fmt.Sprintf("p%d@example.cn", i), []string{fmt.Sprintf("more%d@example.cn", i)}
		}
		if i%5 == 0 {
			r.Username, r.RealName, r.PasswordHash = fmt.Sprint("name", i), "李伟", hostHash
		}
		if i%7 == 0 {
			r.MorePhones, r.LastSignInAt = []string{phoneTwo}, ago(1e9)
		}
		if i%11 == 0 {
			r.Locked = "violation"
		}
		records = append(records, r)
	}
	return append(records, account.Record{ID: "host-3", Phone: phoneTwo, Username: "later"}) // there already, in the same batch
}

// rows counts what a host's tables hold.
func (h host) rows() map[string]int {
	h.t.Helper()
	out := map[string]int{}
	for _, table := range []string{
		"accounts", "host_ids", "identifiers", "account_identifiers", "account_contacts", "account_facts", "account_secrets",
		"account_locks", "audit_entries", "jobs",
	} {
		var n int
		if err := fixture.Raw(h.t, h.DSN).QueryRowContext(h.t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil {
			h.t.Fatal(err)
		}
		out[table] = n
	}
	return out
}

func (h host) exported() map[string]account.Record {
	h.t.Helper()
	out := map[string]account.Record{}
	for r, err := range h.Accounts.Export(h.t.Context(), h.Realm) {
		if err != nil {
			h.t.Fatal(err)
		}
		out[r.ID] = r
	}
	return out
}

func TestABatchIsWhatItsRecordsAreOneByOne(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		together, apart := newHost(t, engine), newHost(t, engine)
		results := together.bring(many()...)
		for i, r := range many() {
			if one := apart.bring(r)[0]; one.Created != results[i].Created || results[i].Account != together.id(r.ID) {
				t.Errorf("%s: %+v alone, %+v in the batch", r.ID, one, results[i])
			}
		}
		if got, want := together.rows(), apart.rows(); !reflect.DeepEqual(got, want) {
			t.Errorf("the batch left %v, its records alone %v", got, want)
		}
		got, want := together.exported(), apart.exported()
		if len(want) != 180 || !reflect.DeepEqual(got, want) {
			t.Errorf("%d accounts of the batch and %d of its records alone differ", len(got), len(want))
		}
		for _, id := range []string{"host-0", "host-3", "host-5", "host-11"} {
			if got, want := together.entries(id), apart.entries(id); !slices.Equal(got, want) {
				t.Errorf("%s: entries %v, alone %v", id, got, want)
			}
		}
		id := together.id("host-5")
		if secret := look(together, func(q *db.Queries) (db.AccountSecret, error) {
			return q.GetSecret(t.Context(), db.GetSecretParams{AccountID: string(id), Kind: account.SecretPassword})
		}); secret.Hash != hostHash || secret.Imported == "" {
			t.Errorf("the secret is %+v", secret)
		}
		before := together.rows()
		for i, r := range together.bring(many()[:180]...) {
			if r.Created || r.Account != results[i].Account {
				t.Errorf("the second time: %+v", r)
			}
		}
		after := together.rows()
		before["audit_entries"], after["audit_entries"] = 0, 0 // each says that it came again
		before["account_identifiers"]--                        // host-3 lost its name
		before["identifiers"]--
		before["account_contacts"]++ // and keeps its former phone
		if !reflect.DeepEqual(before, after) {
			t.Errorf("the second time made %v of %v", after, before)
		}
	})
}

// A record that only the database refuses keeps no other out.
func TestARecordThatTheDatabaseRefusesStaysOutAlone(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		h := newHost(t, engine)
		if _, err := fixture.Raw(t, h.DSN).ExecContext(t.Context(), "CREATE UNIQUE INDEX one_name ON account_identifiers (idx)"); err != nil {
			t.Fatal(err)
		}
		records := many()[:30]
		records[12].Phone = records[4].Phone
		results, err := h.Accounts.Import(t.Context(), h.Realm, records)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range results {
			if (r.Err != nil) != (i == 12) || r.Created != (i != 12) || (r.Account == "") != (i == 12) {
				t.Errorf("record %d: %+v", i, r)
			}
		}
		if got := h.exported(); len(got) != 29 {
			t.Errorf("%d accounts", len(got))
		}
		rows := h.rows()
		if rows["accounts"] != 29 || rows["host_ids"] != 29 || rows["identifiers"] != rows["account_identifiers"] {
			t.Errorf("a part of the refused record is there: %v", rows)
		}
	})
}

// Two nodes that are given the same file make one account of each record.
func TestOverlappingBatchesCreateEachAccountOnce(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		h := newHost(t, engine)
		const nodes = 4
		results := make([][]account.Imported, nodes)
		var all sync.WaitGroup
		for i := range nodes {
			all.Go(func() {
				records := many()[:60]
				if i%2 == 1 {
					slices.Reverse(records)
				}
				var err error
				if results[i], err = h.Accounts.Import(t.Context(), h.Realm, records); err != nil {
					t.Error(err)
				}
				if i%2 == 1 {
					slices.Reverse(results[i])
				}
			})
		}
		all.Wait()
		for record := range 60 {
			created, ids := 0, map[recovery.AccountID]bool{}
			for _, r := range results {
				if r[record].Err != nil {
					t.Fatalf("record %d: %v", record, r[record].Err)
				}
				if ids[r[record].Account] = true; r[record].Created {
					created++
				}
			}
			if created != 1 || len(ids) != 1 {
				t.Errorf("record %d was created %d times, as %v", record, created, ids)
			}
		}
		if rows := h.rows(); rows["accounts"] != 60 || rows["host_ids"] != 60 {
			t.Errorf("%v", rows)
		}
	})
}

// What was prepared while somebody else brought the account in updates it.
func TestAnAccountThatCameSinceItWasPreparedIsBroughtUpToDate(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		h := newHost(t, engine)
		record := li()
		record.Username = "later"
		prepared, err := h.Accounts.Prepare(t.Context(), h.Realm, []account.Record{record})
		if err != nil {
			t.Fatal(err)
		}
		first := h.bring(li())[0]
		results, err := h.Accounts.Put(t.Context(), prepared)
		if err != nil || results[0].Err != nil || results[0].Created || results[0].Account != first.Account {
			t.Fatalf("%+v, %v", results, err)
		}
		if h.exported()["li"].Username != "later" || len(h.find(recovery.IdentifierUsername, "liwei")) != 0 {
			t.Error("the later record does not count")
		}
		if got := h.entries("li"); !slices.Equal(got, []string{"account.imported", "account.imported"}) {
			t.Errorf("entries %v", got)
		}
	})
}

// BenchmarkImport brings new accounts in by batches of a thousand; ns/op is for one account.
func BenchmarkImport(b *testing.B) {
	for _, engine := range fixture.Engines {
		b.Run(string(engine), func(b *testing.B) {
			k, n := fixture.New(b, engine), 0
			for b.Loop() {
				records := make([]account.Record, 1000)
				for i := range records {
					n++
					records[i] = account.Record{ID: fmt.Sprint("h-", n), Email: fmt.Sprintf("owner%d@mail.example.cn", n), Username: fmt.Sprint("owner", n)}
				}
				if _, err := k.Accounts.Import(b.Context(), k.Realm, records); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/account")
		})
	}
}
