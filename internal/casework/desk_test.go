// The tests of this folder are the threats of docs/threats.md: each shows, on a
// whole server and through its doors, that one rule holds.
package casework_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/channel"
	"github.com/wanbi/wanbi/internal/claimant"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/secret"
	"github.com/wanbi/wanbi/internal/server"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
	"github.com/wanbi/wanbi/internal/testkit"
	"github.com/wanbi/wanbi/internal/testkit/postgres"
)

func TestMain(m *testing.M) { os.Exit(postgres.Main(m)) }

const (
	faithful = "yichuangtong"          // no hold
	hardened = "hardened/yichuangtong" // a day's hold

	liPhone, liEmail = "+8613800001234", "li@example.cn"
	goodPassword     = "four-Jade-rings-by-the-river-7"
	oldPassword      = "Old-jade-2025"
)

var ctx = context.Background()

// li is the owner in most tests.
func li() account.Record {
	return account.Record{
		ID: "host-li", Phone: "13800001234", Email: liEmail, Username: "liwei", ResidentID: "11010519491231002X", RealName: "李伟",
		MoreEmails: []string{"li.old@example.cn"},
	}
}

// liNames are the names that Li's account answers to.
var liNames = []string{"13800001234", liEmail, "liwei", "11010519491231002X"}

// desk is one server with the first realm of its policies.
type desk struct {
	*testkit.Server
	t     testing.TB
	realm recovery.Realm
	creep *atomic.Bool // the clock moves on by a millisecond at every look
}

// bothEngines runs a test on a fresh server of each engine.
func bothEngines(t *testing.T, policies []string, run func(t *testing.T, d *desk), change ...func(*server.Options)) {
	t.Helper()
	for _, engine := range testkit.Engines {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			run(t, newDesk(t, engine, policies, change...))
		})
	}
}

func newDesk(t *testing.T, engine store.Engine, policies []string, change ...func(*server.Options)) *desk {
	t.Helper()
	d := &desk{t: t, creep: &atomic.Bool{}}
	started := testkit.Start(t, engine, policies, append(change, func(o *server.Options) {
		now := o.Now
		o.Now = func() time.Time {
			if d.creep.Load() {
				defer d.Clock.Advance(time.Millisecond)
			}
			return now()
		}
	})...)
	d.Server, d.realm = started, started.Options.Realms[0].Policy.Realm.ID
	return d
}

// enrol imports accounts into the first realm and gives their IDs.
func (d *desk) enrol(records ...account.Record) []recovery.AccountID {
	d.t.Helper()
	results, err := d.Accounts.Import(ctx, d.realm, records)
	d.check(err)
	ids := make([]recovery.AccountID, len(results))
	for i, r := range results {
		if r.Err != nil {
			d.t.Fatalf("account %d: %s at %s", i, r.Err.Key, r.Err.Field)
		}
		ids[i] = r.Account
	}
	d.settle()
	return ids
}

// setPassword gives an account a sign-in secret.
func (d *desk) setPassword(id recovery.AccountID, password string) {
	d.t.Helper()
	hash, err := d.Accounts.Hasher.Hash(ctx, password, account.PasswordBinding(id))
	d.check(err)
	d.check(d.DB.Write(ctx, func(tx *store.Tx) error {
		return tx.PutSecret(ctx, db.PutSecretParams{AccountID: string(id), Kind: account.SecretPassword, Hash: hash, SetAt: store.Millis(d.Now())})
	}))
}

// signIn asks as a host whether the password is right.
func (d *desk) signIn(name, password string) string {
	d.t.Helper()
	got, err := d.Accounts.Verify(ctx, account.SignIn{Realm: d.realm, Identifier: name, Secret: password})
	d.check(err)
	return string(got.Result)
}

// backupCodes mints codes for an account.
func (d *desk) backupCodes(id recovery.AccountID) []string {
	d.t.Helper()
	codes := make([]string, channel.BackupCodes)
	d.check(d.DB.Write(ctx, func(tx *store.Tx) error {
		for i := range codes {
			codes[i] = secret.NewBackupCode()
			canonical, _ := secret.CanonicalBackupCode(codes[i])
			if err := tx.InsertBackupCode(ctx, db.InsertBackupCodeParams{
				AccountID: string(id), Hash: channel.HashBackupCode(d.Keys, id, canonical),
			}); err != nil {
				return err
			}
		}
		return nil
	}))
	return codes
}

func (d *desk) settle() {
	d.t.Helper()
	d.check(d.Settle(ctx))
}

func (d *desk) check(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// code is the newest code that an address was sent.
func (d *desk) code(address string) string {
	d.t.Helper()
	for _, m := range slices.Backward(d.Inbox.Messages(address)) {
		if m.Code != "" {
			return m.Code
		}
	}
	d.t.Fatalf("%s got no code", address)
	return ""
}

// wrongCode is a code that the address was not sent last.
func (d *desk) wrongCode(address string) string {
	if d.code(address) == "000000" {
		return "000001"
	}
	return "000000"
}

// row reads the case as it is stored.
func (c *claim) row() db.Case {
	c.d.t.Helper()
	opened, ok := c.d.Keys.OpenID("case", c.who.Case)
	if !ok {
		c.d.t.Fatal("not a case")
	}
	var row db.Case
	c.d.check(c.d.DB.Read(ctx, func(q *db.Queries) (err error) {
		row, err = q.GetCase(ctx, db.GetCaseParams{Subject: string(opened.Subject()), ID: opened.ID})
		return err
	}))
	return row
}

// claim is one person's case.
type claim struct {
	d    *desk
	from claimant.Caller
	who  claimant.Credentials
	ref  recovery.CaseRef
	name string // as typed
}

// network gives a caller's address; each n is a network of its own.
func network(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(n / 256), byte(n % 256), 7})
}

func (d *desk) open(intent recovery.Intent, name string, from ...claimant.Caller) *claim {
	d.t.Helper()
	c, err := d.tryOpen(intent, name, from...)
	d.check(err)
	return c
}

func (d *desk) tryOpen(intent recovery.Intent, name string, from ...claimant.Caller) (*claim, error) {
	c := &claim{d: d, name: name, from: claimant.Caller{Network: network(1), Locale: "zh-CN"}}
	if len(from) > 0 {
		c.from = from[0]
	}
	opened, err := d.Claimant.Open(ctx, c.from, claimant.OpenRequest{Realm: d.realm, Intent: intent, Identifier: name})
	c.who, c.ref = opened.Credentials, opened.Ref
	return c, err
}

func (d *desk) reset(name string, from ...claimant.Caller) *claim {
	d.t.Helper()
	return d.open(recovery.IntentResetPassword, name, from...)
}

// start starts a channel and lets the messages out.
func (c *claim) start(way, name string) *claim {
	c.d.t.Helper()
	c.d.check(c.tryStart(way, name))
	c.d.settle()
	return c
}

func (c *claim) tryStart(way, name string) error {
	_, err := c.d.Claimant.StartChallenge(ctx, c.from, c.who, way, name)
	return err
}

func (c *claim) view() claimant.CaseView {
	c.d.t.Helper()
	v, err := c.d.Claimant.View(ctx, c.from, c.who)
	c.d.check(err)
	return v
}

// live is the external ID of the live challenge.
func (c *claim) live() string {
	c.d.t.Helper()
	v := c.view()
	if v.Challenge == nil {
		c.d.t.Fatalf("no live challenge at step %s", v.Step)
	}
	return v.Challenge.ID
}

// code answers the live challenge.
func (c *claim) code(code string) error {
	c.d.t.Helper()
	return c.answer(c.live(), map[string]string{"code": code})
}

func (c *claim) answer(challenge string, answer map[string]string) error {
	_, err := c.d.Claimant.Answer(ctx, c.from, c.who, challenge, answer)
	return err
}

// prove answers with what was sent to the address.
func (c *claim) prove(way, name, address string) *claim {
	c.d.t.Helper()
	c.start(way, name)
	c.d.check(c.code(c.d.code(address)))
	return c
}

func (c *claim) outcome(password string) error {
	_, err := c.d.Claimant.TakeOutcome(ctx, c.from, c.who, password)
	return err
}

func (c *claim) cancel() error {
	_, err := c.d.Claimant.Cancel(ctx, c.from, c.who)
	return err
}

// want fails unless the error is of the kind; key may be empty for any.
func want(t testing.TB, err error, kind recovery.Kind, key string) {
	t.Helper()
	var e *recovery.Error
	if !errors.As(err, &e) || e.Kind != kind || (key != "" && e.Key != key) {
		t.Fatalf("got %v, want %s %s", err, kind, key)
	}
}

// atStep fails unless the claimant's next step is this one.
func (c *claim) atStep(step claimant.Step) {
	c.d.t.Helper()
	if got := c.view().Step; got != step {
		c.d.t.Fatalf("the case is at step %s, want %s", got, step)
	}
}

// together runs all of them at once and gives how each ended.
func together(run ...func() error) []error {
	errs := make([]error, len(run))
	var start, done sync.WaitGroup
	start.Add(1)
	for i, f := range run {
		done.Go(func() {
			start.Wait()
			errs[i] = f()
		})
	}
	start.Done()
	done.Wait()
	return errs
}

// tally counts errors by kind; "ok" for none.
func tally(errs []error) map[string]int {
	out := map[string]int{}
	for _, err := range errs {
		kind := "ok"
		if e := recovery.AsError(err); e != nil {
			kind = e.Kind.String()
		}
		out[kind]++
	}
	return out
}
