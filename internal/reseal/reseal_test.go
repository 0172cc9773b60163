package reseal_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/claimant"
	"github.com/wanbi/wanbi/internal/jobs"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/reseal"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/server"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
	"github.com/wanbi/wanbi/internal/testkit"
	"github.com/wanbi/wanbi/internal/testkit/fixture"
)

const realm = recovery.Realm("hardened-yichuangtong")

// installation is a server with something in every sealed column.
type installation struct {
	*testkit.Server
	t      *testing.T
	text   []byte // of the key file
	keys   *seal.Keyring
	walk   *reseal.Walker
	raw    *sql.DB
	theirs claimant.Opened // a case that waits
	open   claimant.Opened // a case with a challenge that runs
}

const phone, mail = "13800001234", "li@example.cn"

func installed(t *testing.T, engine store.Engine) *installation {
	t.Helper()
	i := &installation{t: t}
	i.keys, i.text = fixture.OwnKeys(t)
	i.Server = testkit.Start(t, engine, []string{"hardened/yichuangtong"}, func(o *server.Options) { o.Keys = i.keys })
	i.raw = fixture.Raw(t, i.Options.Database)
	i.walk = i.Reseal
	i.walk.Rest = func(context.Context, time.Duration) {}
	li := account.Record{ID: "li", Phone: phone, Email: "former@example.cn", Username: "lili", RealName: "李四", MorePhones: []string{"13900001234"}}
	i.bring(li)
	li.Email = mail
	i.bring(li)
	if _, err := i.Accounts.RecordSignIns(t.Context(), realm, []account.PastSignIn{{HostID: "li", At: i.Now(), Device: "d", Place: "p"}}); err != nil {
		t.Fatal(err)
	}
	i.theirs = i.begin("0123456789abcdef0")
	view, err := i.Claimant.View(t.Context(), claimant.Caller{}, i.theirs.Credentials)
	if err != nil {
		t.Fatal(err)
	}
	code, ok := i.Inbox.Last(recovery.ContactPhone, "+86"+phone)
	if !ok {
		t.Fatal("no code")
	}
	if _, err = i.Claimant.Answer(t.Context(), claimant.Caller{}, i.theirs.Credentials, view.Challenge.ID, map[string]string{"code": code.Code}); err != nil {
		t.Fatal(err)
	}
	if err := i.Advance(2 * time.Minute); err != nil {
		t.Fatal(err)
	}
	i.open = i.begin("0123456789abcdef1")
	i.settle()
	i.fill()
	return i
}

// fill puts something into what is empty most of the time.
func (i *installation) fill() {
	i.t.Helper()
	if err := i.DB.Write(i.t.Context(), func(tx *store.Tx) error {
		return i.Queue.Enqueue(i.t.Context(), tx, jobs.New{Key: "k", Kind: "later", Realm: realm, Due: i.Now().Add(time.Hour), Payload: "p"})
	}); err != nil {
		i.t.Fatal(err)
	}
	var subject, id string
	if err := i.raw.QueryRowContext(i.t.Context(), "SELECT subject, id FROM cases WHERE state = 'held'").Scan(&subject, &id); err != nil {
		i.t.Fatal(err)
	}
	sealed, err := i.keys.Seal(seal.Place{Realm: realm, Owner: subject + "/" + id, Column: "cases.outcome"}, []byte("pending"))
	if err != nil {
		i.t.Fatal(err)
	}
	if _, err := i.raw.ExecContext(i.t.Context(), "UPDATE cases SET outcome = $1 WHERE id = $2", sealed, id); err != nil {
		i.t.Fatal(err)
	}
}

func (i *installation) bring(records ...account.Record) {
	i.t.Helper()
	results, err := i.Accounts.Import(i.t.Context(), realm, records)
	if err != nil {
		i.t.Fatal(err)
	}
	for _, r := range results {
		if r.Err != nil {
			i.t.Fatal(r.Err)
		}
	}
}

// begin opens a case and has a code sent.
func (i *installation) begin(key string) claimant.Opened {
	i.t.Helper()
	opened, err := i.Claimant.Open(i.t.Context(), claimant.Caller{Key: key}, claimant.OpenRequest{Realm: realm, Intent: recovery.IntentResetPassword, Identifier: phone})
	if err != nil {
		i.t.Fatal(err)
	}
	i.settle()
	if _, err := i.Claimant.StartChallenge(i.t.Context(), claimant.Caller{}, opened.Credentials, "phone", "sms-code"); err != nil {
		i.t.Fatal(err)
	}
	i.settle()
	return opened
}

func (i *installation) settle() {
	i.t.Helper()
	if err := i.Settle(i.t.Context()); err != nil {
		i.t.Fatal(err)
	}
}

// rotate has the server use a new version.
func (i *installation) rotate() {
	i.t.Helper()
	i.change(func(text []byte) ([]byte, error) { out, _, err := seal.Add(text); return out, err })
	i.change(func(text []byte) ([]byte, error) { out, _, err := seal.Promote(text, i.Now()); return out, err })
}

// change changes the key file and has the server take it up.
func (i *installation) change(f func([]byte) ([]byte, error)) {
	i.t.Helper()
	if err := i.tryChange(f); err != nil {
		i.t.Fatal(err)
	}
}

func (i *installation) tryChange(f func([]byte) ([]byte, error)) error {
	i.t.Helper()
	text, err := f(i.text)
	if err != nil {
		i.t.Fatal(err)
	}
	next, err := seal.Parse(text)
	if err != nil {
		i.t.Fatal(err)
	}
	if err := i.Rekey(i.t.Context(), next); err != nil {
		return err
	}
	i.text = text
	return nil
}

func (i *installation) once() {
	i.t.Helper()
	if err := i.walk.Once(i.t.Context()); err != nil {
		i.t.Fatal(err)
	}
}

// left counts by column what stands under version 1.
func (i *installation) left() map[string]int64 {
	i.t.Helper()
	found, err := reseal.Count(i.t.Context(), i.DB, []seal.Version{1}, []seal.Version{1})
	if err != nil {
		i.t.Fatal(err)
	}
	out := map[string]int64{}
	for _, l := range found {
		out[l.Column] += l.Values
	}
	return out
}

func (i *installation) export() string {
	i.t.Helper()
	var all strings.Builder
	for record, err := range i.Accounts.Export(i.t.Context(), realm) {
		if err != nil {
			i.t.Fatal(err)
		}
		if err := json.NewEncoder(&all).Encode(record); err != nil {
			i.t.Fatal(err)
		}
	}
	return all.String()
}

// find wants each name to find li, and only li.
func (i *installation) find() error {
	return i.DB.Read(context.WithoutCancel(i.t.Context()), func(q *db.Queries) error {
		want, ok, err := i.Accounts.FindHostID(i.t.Context(), q, realm, "li")
		if err != nil || !ok {
			return fmt.Errorf("by its host's ID: %v, %w", ok, err)
		}
		got, err := i.Accounts.Find(i.t.Context(), q, realm, recovery.Identifier{Kind: recovery.IdentifierPhone, Value: "+86" + phone})
		if err != nil || len(got) != 1 || got[0] != want {
			return fmt.Errorf("by phone: %v, %w", got, err)
		}
		return nil
	})
}

func TestEverythingIsSealedAnewAndTheOldVersionIsNotNeeded(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		i := installed(t, engine)
		before := i.export()
		for _, c := range slices.Concat(store.Sealed, store.Indexed) {
			if i.left()[c.Name()] == 0 {
				t.Errorf("nothing stands in %s: the test would hold of nothing", c.Name())
			}
		}
		i.once()
		if i.walk.Remaining() != 0 || len(i.left()) == 0 {
			t.Errorf("with one version there is nothing to do: %d, %v", i.walk.Remaining(), i.left())
		}
		i.rotate()
		retire := func(text []byte) ([]byte, error) { return seal.Retire(text, 1, []string{"seal", "index"}) }
		if err := i.tryChange(retire); err == nil || !strings.Contains(err.Error(), "lacks version 1") {
			t.Errorf("a file without what is needed was taken up: %v", err)
		}
		i.once()
		if left := i.left(); len(left) != 0 || i.walk.Remaining() != 0 {
			t.Fatalf("left: %v; remaining %d", left, i.walk.Remaining())
		}
		if forgotten := i.madeBy(1); len(forgotten) != 0 {
			t.Errorf("version 1 made values in %v, which no list in store names", forgotten)
		}
		i.change(retire)
		if got := i.export(); got != before {
			t.Errorf("the accounts became\n%s\nfrom\n%s", got, before)
		}
		if err := i.find(); err != nil {
			t.Error(err)
		}
		for _, c := range []claimant.Opened{i.theirs, i.open} {
			if _, err := i.Claimant.View(t.Context(), claimant.Caller{}, c.Credentials); err != nil {
				t.Errorf("a case from before: %v", err)
			}
		}
		again, err := i.Claimant.Open(t.Context(), claimant.Caller{Key: "0123456789abcdef0"}, claimant.OpenRequest{Realm: realm, Intent: recovery.IntentResetPassword, Identifier: phone})
		if err != nil || again.Ref != i.theirs.Ref {
			t.Errorf("a repeated request: %v, %v", again.Ref, err)
		}
		i.settle()
		report, err := i.Log.Verify(t.Context(), nil)
		if err != nil || len(report.Problems) > 0 {
			t.Errorf("the record: %v, %v", report.Problems, err)
		}
	})
}

// madeBy looks through every column of every table for what a version made, but
// for those of store.Hashed.
func (i *installation) madeBy(v seal.Version) (columns []string) {
	i.t.Helper()
	sealed, index, mac, _ := v.Prefixes()
	marks := []*regexp.Regexp{
		regexp.MustCompile(`(?s)^` + regexp.QuoteMeta(string(sealed))), regexp.MustCompile(`(?s)^[a-z-]*\n` + regexp.QuoteMeta(string(sealed))),
		regexp.MustCompile(`^` + index + `[0-9a-f]{32}$`), regexp.MustCompile(`^` + regexp.QuoteMeta(mac) + `[A-Za-z0-9_-]{43}$`),
	}
	for table, names := range columnsOf(i.t, i.raw) {
		for _, name := range names {
			if slices.ContainsFunc(store.Hashed, func(h store.HashedColumn) bool { return h.Table == table && h.Column == name }) {
				continue
			}
			rows, err := i.raw.QueryContext(i.t.Context(), "SELECT "+name+" FROM "+table+" WHERE "+name+" IS NOT NULL")
			if err != nil {
				i.t.Fatal(err)
			}
			for rows.Next() {
				var value []byte
				if err := rows.Scan(&value); err != nil {
					i.t.Fatal(err)
				}
				if slices.ContainsFunc(marks, func(m *regexp.Regexp) bool { return m.Match(value) }) {
					columns = append(columns, table+"."+name)
					break
				}
			}
			_ = rows.Close()
		}
	}
	return columns
}

func columnsOf(t *testing.T, raw *sql.DB) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	seen := map[string]bool{}
	for _, c := range slices.Concat(store.Sealed, store.Indexed) {
		seen[c.Table] = true
	}
	for _, more := range []string{"account_secrets", "account_locks", "lockouts", "account_devices", "backup_codes", "account_cases", "counters", "unknown_told", "api_keys", "policies", "case_refs"} {
		seen[more] = true
	}
	for table := range seen {
		rows, err := raw.QueryContext(t.Context(), "SELECT * FROM "+table+" LIMIT 1")
		if err != nil {
			t.Fatal(err)
		}
		if out[table], err = rows.Columns(); err != nil {
			t.Fatal(err)
		}
		_ = rows.Close()
	}
	return out
}

// A walk that is stopped anywhere is gone on with by the next, of whatever process.
func TestAWalkThatIsStoppedIsGoneOnWith(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		i := installed(t, engine)
		i.rotate()
		total, walks := int64(0), 0
		for _, n := range i.left() {
			total += n
		}
		for i.walk.Remaining() != 0 {
			if walks++; walks > 100 {
				t.Fatalf("it does not end: %v", i.left())
			}
			ctx, stop := context.WithCancel(t.Context())
			steps := 0
			i.walk.Rest = func(context.Context, time.Duration) {
				if steps++; steps == 3 {
					stop()
				}
			}
			_ = i.walk.Once(ctx)
			stop()
			now := int64(0)
			for _, n := range i.left() {
				now += n
			}
			if now > total {
				t.Fatalf("%d became %d", total, now)
			}
			total = now
		}
		if walks < 4 || total != 0 {
			t.Errorf("%d walks, %d left", walks, total)
		}
	})
}

// Hosts and claimants write beside the walk: nothing is lost, nothing is missed
// by a look-up, and nothing stays behind.
func TestAWalkBesideLiveTraffic(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		i := installed(t, engine)
		var many []account.Record
		for n := range 40 {
			many = append(many, account.Record{ID: fmt.Sprint("a", n), Phone: fmt.Sprintf("137%08d", n), Email: fmt.Sprintf("a%d@example.cn", n)})
		}
		i.bring(many...)
		i.rotate()
		done := make(chan struct{})
		var all sync.WaitGroup
		load := func(one func(n int) error) {
			all.Go(func() {
				for n := 0; ; n++ {
					if err := one(n); err != nil {
						t.Error(err)
						return
					}
					select {
					case <-done:
						return
					default:
					}
				}
			})
		}
		load(func(int) error { return i.find() })
		load(func(n int) error { // a host sends accounts again, changed
			r := many[n%len(many)]
			r.Email = fmt.Sprintf("b%d@example.cn", n)
			results, err := i.Accounts.Import(t.Context(), realm, []account.Record{r, {ID: "li", Phone: phone, Email: mail, Username: fmt.Sprint("lili", n)}})
			if err == nil && (results[0].Err != nil || results[0].Created || results[1].Err != nil || results[1].Created) {
				err = fmt.Errorf("account %s: %+v", r.ID, results)
			}
			return err
		})
		load(func(n int) error {
			_, err := i.Accounts.RecordSignIns(t.Context(), realm, []account.PastSignIn{{HostID: "li", At: i.Now().Add(time.Duration(n) * time.Second), Device: fmt.Sprint(n)}})
			return err
		})
		i.once()
		close(done)
		all.Wait()
		i.once()
		if left := i.left(); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
		var dangling int
		if err := i.raw.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM identifiers i WHERE NOT EXISTS
			(SELECT 1 FROM account_identifiers a WHERE a.account_id = i.account_id AND a.idx = i.idx)`).Scan(&dangling); err != nil || dangling > 0 {
			t.Errorf("%d names find accounts that do not have them, %v", dangling, err)
		}
		i.settle()
		if report, err := i.Log.Verify(t.Context(), nil); err != nil || len(report.Problems) > 0 {
			t.Errorf("the record: %v, %v", report.Problems, err)
		}
	})
}

// What cannot be read stays, is counted, and keeps the version from going.
func TestAValueThatCannotBeReadIsLeftAndCounted(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		i := installed(t, engine)
		if _, err := i.raw.ExecContext(t.Context(), "UPDATE account_facts SET account_id = 'another'"); err != nil {
			t.Fatal(err)
		}
		if _, err := i.raw.ExecContext(t.Context(), "INSERT INTO identifiers (idx, account_id) SELECT MIN(idx), 'nobody' FROM identifiers"); err != nil {
			t.Fatal(err)
		}
		i.rotate()
		i.once()
		if left := i.left(); len(left) != 2 || left["account_facts.value"] != 1 || left["identifiers.idx"] != 1 || i.walk.Remaining() != 2 {
			t.Errorf("left: %v, remaining %d", left, i.walk.Remaining())
		}
	})
}

// A batch may be prepared before a rotation and written after it.
func TestABatchFromBeforeARotationFindsItsAccounts(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		i := installed(t, engine)
		batch, err := i.Accounts.Prepare(t.Context(), realm, []account.Record{{ID: "li", Phone: phone, Email: mail, Username: "lili"}, {ID: "new", Phone: "13700000001"}})
		if err != nil {
			t.Fatal(err)
		}
		i.rotate()
		i.once()
		results, err := i.Accounts.Put(t.Context(), batch)
		if err != nil || results[0].Created || !results[1].Created || results[0].Err != nil || results[1].Err != nil {
			t.Errorf("%+v, %v", results, err)
		}
		if left := i.left(); len(left) != 0 {
			t.Errorf("written under the version from before: %v", left)
		}
		if err := i.find(); err != nil {
			t.Error(err)
		}
	})
}
