package account_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/seal/sealtest"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
	"github.com/wanbi/wanbi/internal/testkit/fixture"
)

const (
	liPhone  = "+8613800001234"
	liEmail  = "li@example.cn"
	phoneTwo = "+8613900005678"
)

func li() account.Record {
	return account.Record{ID: "li", Phone: "138 0000 1234", Email: "Li@Example.cn", Username: "liwei", ResidentID: "11010519491231002x", RealName: "李伟"}
}

func TestImportCreatesAnAccount(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		h := newHost(t, engine)
		record := li()
		record.MorePhones, record.MoreEmails = []string{phoneTwo}, []string{"wife@example.cn"}
		record.LastSignInAt, record.ContactChangedAt = ago(400*24*time.Hour), ago(time.Hour)
		result := h.bring(record)[0]
		if !result.Created || result.Account != h.id("li") {
			t.Errorf("%+v", result)
		}
		row := h.row("li")
		if row.Locale != h.Policy.Realm.Locale || row.LastSignInAt != store.Millis(*record.LastSignInAt) || row.CreatedAt != store.Millis(fixture.Began) {
			t.Errorf("%+v", row)
		}
		if hostID, err := h.Accounts.HostID(row); err != nil || hostID != "li" {
			t.Errorf("the host's ID is %q, %v", hostID, err)
		}
		for kind, value := range map[recovery.IdentifierKind]string{
			recovery.IdentifierPhone: liPhone, recovery.IdentifierEmail: liEmail, recovery.IdentifierUsername: "liwei", recovery.IdentifierResidentID: "11010519491231002X",
		} {
			if got := h.find(kind, value); !slices.Equal(got, []recovery.AccountID{result.Account}) {
				t.Errorf("%s finds %v", kind, got)
			}
		}
		if len(h.find(recovery.IdentifierPhone, phoneTwo)) != 0 {
			t.Error("a further phone is an identifier")
		}
		var values []string
		for _, c := range h.contacts("li") {
			values = append(values, c.Value)
			if !c.ChangedAt.Equal(*record.ContactChangedAt) || !c.AddedAt.Equal(fixture.Began) {
				t.Errorf("%s changed at %s, added at %s", c.Value, c.ChangedAt, c.AddedAt)
			}
		}
		slices.Sort(values)
		if want := []string{liPhone, phoneTwo, liEmail, "wife@example.cn"}; !slices.Equal(values, want) {
			t.Errorf("contacts %v, want %v", values, want)
		}
		facts := look(h, func(q *db.Queries) (map[string]string, error) {
			return h.Accounts.Facts(t.Context(), q, h.Realm, result.Account)
		})
		if facts["real-name"] != "李伟" || facts["resident-id"] != "11010519491231002X" {
			t.Errorf("facts %v", facts)
		}
		look(h, func(q *db.Queries) (*account.Reader, error) {
			r := h.Accounts.Reader(t.Context(), q, h.Realm, result.Account)
			phone, _ := r.Contact(recovery.ContactPhone)
			name, _ := r.Fact("real-name")
			_, none := r.Fact("imei")
			if phone.Value != liPhone || name != "李伟" || none || len(r.BackupCodes()) != 0 || r.Account() != result.Account {
				t.Errorf("read %v, %v, %v", phone.Value, name, none)
			}
			return r, r.Err()
		})
		if got := h.entries("li"); !slices.Equal(got, []string{"account.imported"}) {
			t.Errorf("entries %v", got)
		}
	})
}

func TestTimesInTheFutureAreNow(t *testing.T) {
	h := newHost(t, store.SQLite)
	record := li()
	record.LastSignInAt = ago(-time.Hour)
	h.bring(record)
	if got := h.row("li").LastSignInAt; got != store.Millis(fixture.Began) {
		t.Errorf("last signed in at %d", got)
	}
	record.LastSignInAt = ago(time.Hour) // older than what is known
	h.bring(record)
	if got := h.row("li").LastSignInAt; got != store.Millis(fixture.Began) {
		t.Errorf("an older sign-in counted: %d", got)
	}
}

// A contact that changed is marked, and no other (T23).
func TestAChangedContactIsMarkedAndOnlyThat(t *testing.T) {
	base := li()
	base.MorePhones = []string{phoneTwo}
	for name, c := range map[string]struct {
		change  func(r *account.Record)
		changed []string // marked as changed now
		gone    []string
	}{
		"the same again":         {func(*account.Record) {}, nil, nil},
		"written differently":    {func(r *account.Record) { r.Phone, r.Email = "+86-138-0000-1234", "li@EXAMPLE.cn" }, nil, nil},
		"another name":           {func(r *account.Record) { r.Username = "li2" }, nil, nil},
		"another phone":          {func(r *account.Record) { r.Phone = "13700000000" }, []string{"+8613700000000"}, []string{liPhone}},
		"another e-mail":         {func(r *account.Record) { r.Email = "new@example.cn" }, []string{"new@example.cn"}, []string{liEmail}},
		"one more":               {func(r *account.Record) { r.MoreEmails = []string{"x@example.cn"} }, []string{"x@example.cn"}, nil},
		"one less":               {func(r *account.Record) { r.MorePhones = nil }, nil, []string{phoneTwo}},
		"swapped":                {func(r *account.Record) { r.Phone, r.MorePhones = phoneTwo, []string{liPhone} }, []string{liPhone, phoneTwo}, nil},
		"the host says long ago": {func(r *account.Record) { r.Phone, r.ContactChangedAt = "13700000000", ago(1000*time.Hour) }, []string{"+8613700000000"}, []string{liPhone}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, store.SQLite)
			h.bring(base)
			before := h.contacts("li")
			now := h.Clock.Advance(time.Hour)
			record := base
			record.MorePhones = slices.Clone(base.MorePhones)
			c.change(&record)
			if h.bring(record)[0].Created {
				t.Error("it was created again")
			}
			after := h.contacts("li")
			for _, one := range after {
				marked := one.ChangedAt.Equal(now)
				if marked != slices.Contains(c.changed, one.Value) || (!marked && !one.ChangedAt.IsZero()) {
					t.Errorf("%s changed at %s", one.Value, one.ChangedAt)
				}
				kept := slices.ContainsFunc(before, func(b recovery.Contact) bool { return b.ID == one.ID && b.AddedAt.Equal(one.AddedAt) })
				if kept == marked {
					t.Errorf("%s: kept its row: %v", one.Value, kept)
				}
			}
			if len(after) != len(before)+len(c.changed)-len(c.gone)-len(swapped(name)) {
				t.Errorf("contacts are now %d, were %d", len(after), len(before))
			}
			data := h.records("li")[1].Data
			if want := map[bool]string{true: fmt.Sprint(len(c.changed))}[len(c.changed) > 0]; data["contacts_changed"] != want {
				t.Errorf("the entry says %v", data)
			}
		})
	}
}

// swapped are the contacts that changed places: new at one, gone from the other.
func swapped(name string) []string {
	if name == "swapped" {
		return []string{liPhone, phoneTwo}
	}
	return nil
}

func TestAnIdentifierMovesBetweenAccounts(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		h := newHost(t, engine)
		h.bring(account.Record{ID: "a", Phone: liPhone}, account.Record{ID: "b", Username: "bee"})
		a, b := h.id("a"), h.id("b")
		h.bring(account.Record{ID: "b", Phone: liPhone})
		both := []recovery.AccountID{a, b}
		slices.Sort(both)
		if got := h.find(recovery.IdentifierPhone, liPhone); !slices.Equal(got, both) {
			t.Errorf("the phone of both finds %v, want %v", got, both)
		}
		h.bring(account.Record{ID: "a", Phone: phoneTwo})
		if got := h.find(recovery.IdentifierPhone, liPhone); !slices.Equal(got, []recovery.AccountID{b}) {
			t.Errorf("the phone that moved finds %v", got)
		}
		if len(h.find(recovery.IdentifierUsername, "bee")) != 0 {
			t.Error("a name that was taken away still finds its account")
		}
		if got := h.find(recovery.IdentifierUsername, liPhone); len(got) != 0 {
			t.Errorf("a phone is found as a name: %v", got)
		}
	})
}

func TestABadRecordStaysOutAlone(t *testing.T) {
	h := newHost(t, store.SQLite)
	many := make([]string, 9)
	for i := range many {
		many[i] = fmt.Sprintf("1380000%04d", i)
	}
	bad := map[string]struct {
		record account.Record
		field  string
	}{
		"no ID":               {account.Record{Phone: liPhone}, "id"},
		"a long ID":           {account.Record{ID: strings.Repeat("x", 201), Phone: liPhone}, "id"},
		"an ID of two lines":  {account.Record{ID: "a\nb", Phone: liPhone}, "id"},
		"another language":    {account.Record{ID: "x", Phone: liPhone, Locale: "fr"}, "locale"},
		"a lock of our own":   {account.Record{ID: "x", Phone: liPhone, Locked: "disavowed"}, "locked"},
		"a lock that ends":    {account.Record{ID: "x", Phone: liPhone, Locked: "too-many-failures"}, "locked"},
		"no identifier":       {account.Record{ID: "x", RealName: "李伟"}, "phone"},
		"no phone":            {account.Record{ID: "x", Phone: "12"}, "phone"},
		"two e-mails in one":  {account.Record{ID: "x", Email: "a@example.cn,b@example.cn"}, "email"}, // T2
		"a bad name":          {account.Record{ID: "x", Username: "a b\x00"}, "username"},
		"a bad resident ID":   {account.Record{ID: "x", ResidentID: "110105194912310021"}, "resident_id"},
		"a bad further phone": {account.Record{ID: "x", Phone: liPhone, MorePhones: []string{phoneTwo, "x"}}, "more_phones[1]"},
		"a bad further mail":  {account.Record{ID: "x", Phone: liPhone, Email: "x@example.cn", MoreEmails: []string{"x"}}, "more_emails[0]"},
		"too many":            {account.Record{ID: "x", Phone: liPhone, MorePhones: many}, "more_phones"},
		"a password in clear": {account.Record{ID: "x", Phone: liPhone, PasswordHash: "geheim"}, "password_hash"},
		"a hash of our own":   {account.Record{ID: "x", Phone: liPhone, PasswordHash: "$argon2id$v=19$m=64,t=1,p=1,k=abc$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}, "password_hash"},
	}
	var batch []account.Record
	var names []string
	for name, b := range bad {
		names = append(names, name)
		batch = append(batch, account.Record{ID: "good " + name, Username: "name" + fmt.Sprint(len(batch))}, b.record)
	}
	results, err := h.Accounts.Import(t.Context(), h.Realm, batch)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		good, out := results[2*i], results[2*i+1]
		if good.Err != nil || !good.Created || h.id("good "+name) != good.Account {
			t.Errorf("beside %s: %+v", name, good)
		}
		if out.Err == nil || out.Err.Kind != recovery.KindBadInput || out.Err.Field != bad[name].field || out.Account != "" {
			t.Errorf("%s: %+v", name, out)
			continue
		}
		for _, secret := range []string{"geheim", "110105194912310021", "a@example.cn"} {
			if strings.Contains(fmt.Sprintf("%#v %v", out.Err, out.Err), secret) {
				t.Errorf("%s: the error repeats the value", name)
			}
		}
	}
	if len(h.find(recovery.IdentifierPhone, liPhone)) != 0 {
		t.Error("something of a bad record got in")
	}
	if _, err := h.Accounts.Import(t.Context(), "no-such-realm", nil); !recovery.IsKind(err, recovery.KindNotFound) {
		t.Errorf("an unknown realm: %v", err)
	}
	record := li()
	record.PasswordHash = "geheim"
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		if got := fmt.Sprintf(verb, record); got != "account li" {
			t.Errorf("%s of a record prints %s", verb, got)
		}
	}
}

func TestTheSameAccountTwiceInABatchIsOne(t *testing.T) {
	h := newHost(t, store.SQLite)
	results := h.bring(account.Record{ID: "a", Username: "one"}, account.Record{ID: "a", Username: "two"})
	if !results[0].Created || results[1].Created || results[0].Account != results[1].Account {
		t.Errorf("%+v", results)
	}
	if len(h.find(recovery.IdentifierUsername, "one")) != 0 || len(h.find(recovery.IdentifierUsername, "two")) != 1 {
		t.Error("the later record does not count")
	}
}

// Two nodes that are told of one account for the first time at once make one.
func TestOneAccountIsCreatedOnceWhoeverIsFirst(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		h := newHost(t, engine)
		const nodes = 6
		results := make([][]account.Imported, nodes)
		var all sync.WaitGroup
		for i := range nodes {
			all.Go(func() {
				var err error
				if results[i], err = h.Accounts.Import(t.Context(), h.Realm, []account.Record{li()}); err != nil || results[i][0].Err != nil {
					t.Error(err, results[i])
				}
			})
		}
		all.Wait()
		created := 0
		for _, r := range results {
			if r[0].Created {
				created++
			}
			if r[0].Account != results[0][0].Account {
				t.Error("there are two accounts of one ID")
			}
		}
		if got := h.find(recovery.IdentifierPhone, liPhone); created != 1 || len(got) != 1 {
			t.Errorf("%d were created, the phone finds %v", created, got)
		}
	})
}

// rotate gives the host new keys for its indexes, the old ones still read.
func (h host) rotate() {
	h.t.Helper()
	text, err := seal.Generate("wanbi.test/log")
	if err != nil {
		h.t.Fatal(err)
	}
	before, err := seal.Parse(text)
	if err != nil {
		h.t.Fatal(err)
	}
	rotated, err := sealtest.Rotate(text, "index")
	if err != nil {
		h.t.Fatal(err)
	}
	after, err := seal.Parse(rotated)
	if err != nil {
		h.t.Fatal(err)
	}
	h.Rekey(before)
	h.bring(li(), account.Record{ID: "wang", Phone: liPhone})
	h.Rekey(after)
}

func TestAccountsAreFoundByAnOlderKeyAndMoveToTheNew(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		h := newHost(t, engine)
		h.rotate()
		both := []recovery.AccountID{h.id("li"), h.id("wang")}
		slices.Sort(both)
		if got := h.find(recovery.IdentifierPhone, liPhone); !slices.Equal(got, both) {
			t.Errorf("under the old key: %v", got)
		}
		contacts := h.contacts("li")
		h.Clock.Advance(time.Hour)
		if h.bring(li())[0].Created {
			t.Error("the account was not found by its ID")
		}
		if got := h.find(recovery.IdentifierPhone, liPhone); !slices.Equal(got, both) {
			t.Errorf("one under each key: %v", got)
		}
		if got := h.contacts("li"); fmt.Sprintf("%#v", ids(got)) != fmt.Sprintf("%#v", ids(contacts)) || !got[0].ChangedAt.IsZero() {
			t.Error("a new key made the contacts look changed")
		}
		if data := h.records("li")[1].Data; len(data) != 1 {
			t.Errorf("the entry says %v", data)
		}
		raw := fixture.Raw(t, h.DSN)
		for table, query := range map[string]string{
			"host_ids": "SELECT idx FROM host_ids WHERE account_id = $1", "identifiers": "SELECT idx FROM identifiers WHERE account_id = $1",
			"account_identifiers": "SELECT idx FROM account_identifiers WHERE account_id = $1", "account_contacts": "SELECT idx FROM account_contacts WHERE account_id = $1",
		} {
			now := h.current(li())
			rows, err := raw.QueryContext(t.Context(), query, string(h.id("li")))
			if err != nil {
				t.Fatal(err)
			}
			for rows.Next() {
				var idx string
				if err := rows.Scan(&idx); err != nil {
					t.Fatal(err)
				}
				if !now[idx] {
					t.Errorf("%s still holds an index of the old key", table)
				}
			}
			_ = rows.Close()
		}
	})
}

func ids(contacts []recovery.Contact) (out []string) {
	for _, c := range contacts {
		out = append(out, c.ID)
	}
	return out
}

// current are the indexes of a record under the current key.
func (h host) current(r account.Record) map[string]bool {
	out := map[string]bool{}
	for kind, value := range map[string]string{
		"host-id": r.ID, "phone": liPhone, "email": liEmail, "username": r.Username, "resident-id": "11010519491231002X",
		"contact-phone": liPhone, "contact-email": liEmail,
	} {
		out[h.Keys.Index(h.Realm, kind, value)[0]] = true
	}
	return out
}

func TestARecordThatSaysLockedTellsOnce(t *testing.T) {
	h := newHost(t, store.SQLite)
	record := li()
	record.Locked = "violation"
	h.bring(record)
	h.bring(record)
	locked := 0
	for _, event := range h.entries("li") {
		if event == "account.locked" {
			locked++
		}
	}
	if _, ok := h.locks("li")[recovery.LockViolation]; !ok || locked != 1 {
		t.Errorf("locked %v, recorded %d times", ok, locked)
	}
}
