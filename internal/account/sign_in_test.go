package account_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/secret"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
	"github.com/wanbi/wanbi/internal/testkit/fixture"
)

const (
	right = "correct horse 电池"
	wrong = "incorrect horse 电池"
)

// withPassword makes the account li with a password of ours.
func withPassword(t testing.TB, engine store.Engine) host {
	t.Helper()
	h := newHost(t, engine)
	h.bring(li())
	h.setPassword("li", right)
	return h
}

func TestSignInByEveryName(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		h := withPassword(t, engine)
		h.Clock.Advance(time.Hour)
		for _, name := range []string{"13800001234", "+86 138 0000 1234", "li@example.cn", "LI@EXAMPLE.CN", "liwei", "11010519491231002x"} {
			if got := h.signIn(account.SignIn{Identifier: name, Secret: right}); got.Result != account.ResultOK || got.HostID != "li" {
				t.Errorf("%s: %+v", name, got)
			}
			if got := h.signIn(account.SignIn{Identifier: name, Secret: wrong}); got.Result != account.ResultWrong || got.HostID != "" {
				t.Errorf("%s with a wrong secret: %+v", name, got)
			}
		}
		if got := h.row("li").LastSignInAt; got != store.Millis(h.Clock.Now()) {
			t.Errorf("last signed in at %d", got)
		}
		if _, err := h.Accounts.Verify(t.Context(), account.SignIn{Realm: "no-such-realm"}); !recovery.IsKind(err, recovery.KindNotFound) {
			t.Errorf("an unknown realm: %v", err)
		}
	})
}

// Whoever knows no secret cannot tell an account from none: not by the answers,
// not by when they are locked out, not for how long (T7).
func TestWrongUnknownAndLockedLookAlike(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		h := withPassword(t, engine)
		h.bring(account.Record{ID: "bare", Username: "bare"},
			account.Record{ID: "one", Username: "one", Phone: phoneTwo}, account.Record{ID: "two", Username: "two", Phone: phoneTwo},
			account.Record{ID: "locked", Username: "locked", Locked: "violation"})
		h.setPassword("locked", right)
		seen := map[string]string{}
		for what, name := range map[string]string{
			"known": "liwei", "unknown": "nobody-has-this", "without a secret": "bare", "of two accounts": phoneTwo, "disabled": "locked",
			"no name at all": "\x00", "empty": "",
		} {
			h.Clock.Set(fixture.Began)
			var answers []account.Checked
			for _, d := range []time.Duration{0, 0, 0, 0, 0, time.Minute, 0, 40 * time.Minute, 0, 0, 0, 0, 0, 3 * time.Hour} {
				h.Clock.Advance(d)
				answers = append(answers, h.signIn(account.SignIn{Identifier: name, Secret: wrong, Device: "d"}))
			}
			seen[what] = fmt.Sprintf("%+v", answers)
		}
		for what, answers := range seen {
			if answers != seen["known"] {
				t.Errorf("%s:\n%s\nknown:\n%s", what, answers, seen["known"])
			}
		}
	})
}

// fail gives n wrong secrets and then tells the result of the last.
func (h host) fail(n int) (last account.Checked) {
	for range n {
		last = h.signIn(account.SignIn{Identifier: "liwei", Secret: wrong})
	}
	return last
}

func (h host) try() account.Checked {
	return h.signIn(account.SignIn{Identifier: "liwei", Secret: right})
}

// The policy's text: 5 wrong within an hour, then 30 minutes, then 2 hours.
func TestLockoutsAreGradedToTheMillisecond(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		h := withPassword(t, engine)
		h.Policy.Lock.TooManyFailures.FurtherTriesExtend = false
		if got := h.fail(4); got.Result != account.ResultWrong {
			t.Fatalf("the fourth: %+v", got)
		}
		for i, length := range []time.Duration{30 * time.Minute, 2 * time.Hour, 2 * time.Hour} {
			n := 5
			if i == 0 {
				n = 1
			}
			if got := h.fail(n); got.Result != account.ResultLocked || got.RetryAfter != length {
				t.Fatalf("lockout %d: %+v, want %s", i+1, got, length)
			}
			if _, ok := h.locks("li")[recovery.LockTooManyFailures]; !ok {
				t.Errorf("lockout %d is not among the locks", i+1)
			}
			h.Clock.Advance(length - time.Millisecond)
			if got := h.try(); got.Result != account.ResultLocked || got.RetryAfter != time.Millisecond {
				t.Fatalf("a millisecond before lockout %d ends, the right secret: %+v", i+1, got)
			}
			h.Clock.Advance(time.Millisecond)
			if got := h.fail(1); got.Result != account.ResultWrong { // it is compared again
				t.Fatalf("when lockout %d ends: %+v", i+1, got)
			}
			h.fail(3)
			if i < 2 {
				h.Clock.Advance(time.Hour) // the four are forgotten
			}
		}
		if got := h.try(); got.Result != account.ResultOK {
			t.Errorf("the right secret after four wrong: %+v", got)
		}
		if got := h.fail(5); got.RetryAfter != 30*time.Minute {
			t.Errorf("after the owner was back it begins anew with %s", got.RetryAfter)
		}
	})
}

func TestFailuresCountForAnHour(t *testing.T) {
	for after, want := range map[time.Duration]account.Result{
		time.Hour - time.Millisecond: account.ResultLocked, time.Hour: account.ResultWrong,
	} {
		h := withPassword(t, store.SQLite)
		h.fail(4)
		h.Clock.Advance(after)
		if got := h.fail(1); got.Result != want {
			t.Errorf("the fifth after %s: %+v, want %s", after, got, want)
		}
	}
}

// Where the policy says so, a try while locked begins the lockout anew.
func TestFurtherTriesExtend(t *testing.T) {
	h := withPassword(t, store.SQLite)
	h.fail(5)
	h.Clock.Advance(29 * time.Minute)
	if got := h.try(); got.Result != account.ResultLocked || got.RetryAfter != 30*time.Minute {
		t.Errorf("%+v", got)
	}
}

// counted counts how often a secret is compared.
type counted struct {
	keys     secret.Pepper
	compared atomic.Int64
	during   func() // runs within the first comparison
	once     sync.Once
}

func (c *counted) Pepper(id string, data []byte) ([]byte, error) {
	c.compared.Add(1)
	if c.during != nil {
		c.once.Do(c.during)
	}
	return c.keys.Pepper(id, data)
}

func (c *counted) CurrentPepper() string { return c.keys.CurrentPepper() }

// A hundred at once are compared five times, and then the right one is refused (T5).
func TestParallelGuessesAreComparedAsOftenAsAllowed(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		h := withPassword(t, engine)
		pepper := &counted{keys: h.Keys}
		h.Accounts.Hasher = secret.NewHasher(pepper, secret.Params{Memory: 64, Time: 1, Threads: 1})
		names := []string{"liwei", "13800001234", "li@example.cn"} // one account, whatever it is called
		results := make([]account.Result, 100)
		var all sync.WaitGroup
		for i := range results {
			all.Go(func() {
				checked, err := h.Accounts.Verify(t.Context(), account.SignIn{Realm: h.Realm, Identifier: names[i%3], Secret: wrong})
				if err != nil {
					t.Error(err)
				}
				results[i] = checked.Result
			})
		}
		all.Wait()
		if got := pepper.compared.Load(); got != 5 {
			t.Errorf("%d guesses were compared, want 5", got)
		}
		if slices.Contains(results, account.ResultOK) || h.try().Result != account.ResultLocked {
			t.Error("the right secret is taken while the account is locked")
		}
		locked := 0
		for _, event := range h.entries("li") {
			if event == "account.locked" {
				locked++
			}
		}
		if locked != 1 {
			t.Errorf("the lockout was recorded %d times", locked)
		}
	})
}

// A device that signed in before has guesses of its own, so that strangers do not
// keep its owner out (T10); and what it spends locks nobody else out.
func TestAKnownDeviceIsNotLockedOutByStrangers(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		h := withPassword(t, engine)
		from := func(device, secret string) account.Result {
			return h.signIn(account.SignIn{Identifier: "liwei", Secret: secret, Device: device}).Result
		}
		if from("phone", right) != account.ResultOK {
			t.Fatal("the first sign-in")
		}
		h.fail(5)
		for i := range 20 { // a name that somebody made up is no known device
			if got := from(fmt.Sprint("made up ", i), right); got != account.ResultLocked {
				t.Fatalf("another device while locked: %s", got)
			}
		}
		if got := from("phone", right); got != account.ResultOK {
			t.Errorf("the known device: %s", got)
		}
		for range 5 {
			from("phone", wrong)
		}
		if got := from("phone", right); got != account.ResultLocked {
			t.Errorf("the known device after five wrong: %s", got)
		}
		h.setLock("li", recovery.LockTooManyFailures, false)
		if got := from("phone", right); got != account.ResultOK {
			t.Errorf("after an unlock the known device is %s", got)
		}
		if got := h.try().Result; got != account.ResultOK {
			t.Errorf("after an unlock another device is %s", got)
		}
	})
}

func (h host) hash(hostID string) string {
	id := h.id(hostID)
	return look(h, func(q *db.Queries) (string, error) {
		row, err := q.GetSecret(h.t.Context(), db.GetSecretParams{AccountID: string(id), Kind: account.SecretPassword})
		return row.Hash, err
	})
}

func bcrypted(t testing.TB, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

func TestAnImportedHashIsUpgradedAtTheFirstSignIn(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		h := newHost(t, engine)
		record := li()
		record.PasswordHash = bcrypted(t, right)
		h.bring(record)
		if h.fail(1).Result != account.ResultWrong || h.hash("li") != record.PasswordHash {
			t.Error("a wrong secret changed the hash")
		}
		if h.try().Result != account.ResultOK || !strings.HasPrefix(h.hash("li"), "$argon2id$") {
			t.Errorf("after the first sign-in the hash is %.10s…", h.hash("li"))
		}
		upgraded := h.hash("li")
		if h.try().Result != account.ResultOK || h.hash("li") != upgraded {
			t.Error("a hash that is current was upgraded again")
		}
	})
}

// A record that comes again does not bring back the password that a recovery
// replaced (T9); another hash is a change that the host made.
func TestAnOldPasswordDoesNotComeBackByImport(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		h := newHost(t, engine)
		record := li()
		record.PasswordHash = bcrypted(t, "the old one")
		h.bring(record)
		h.setPassword("li", right)
		h.bring(record)
		if got := h.signIn(account.SignIn{Identifier: "liwei", Secret: "the old one"}); got.Result != account.ResultWrong {
			t.Errorf("the old password is %s", got.Result)
		}
		if got := h.try(); got.Result != account.ResultOK {
			t.Errorf("the new one is %s", got.Result)
		}
		record.PasswordHash = bcrypted(t, "a third")
		h.bring(record)
		if got := h.signIn(account.SignIn{Identifier: "liwei", Secret: "a third"}); got.Result != account.ResultOK {
			t.Errorf("the host's newest is %s", got.Result)
		}
		last := h.records("li")
		if data := last[len(last)-2].Data; data["secret_changed"] != "1" {
			t.Errorf("the entry says %v", data)
		}
	})
}

// A hash copied to another account is worthless there.
func TestAHashBelongsToItsAccount(t *testing.T) {
	h := withPassword(t, store.SQLite)
	h.bring(account.Record{ID: "thief", Username: "thief"})
	h.setPassword("thief", "known to the thief")
	if _, err := fixture.Raw(t, h.DSN).ExecContext(t.Context(), "UPDATE account_secrets SET hash = $1 WHERE account_id = $2", h.hash("thief"), string(h.id("li"))); err != nil {
		t.Fatal(err)
	}
	if got := h.signIn(account.SignIn{Identifier: "liwei", Secret: "known to the thief"}); got.Result != account.ResultWrong {
		t.Errorf("the thief is in: %+v", got)
	}
}

func TestARightSecretTellsWhyItIsNotEnough(t *testing.T) {
	h := withPassword(t, store.SQLite)
	h.setLock("li", recovery.LockViolation, true)
	h.setLock("li", recovery.LockDormant, true)
	before := h.row("li").LastSignInAt
	h.Clock.Advance(time.Hour)
	got := h.try()
	slices.Sort(got.Reasons)
	if got.Result != account.ResultDisabled || !slices.Equal(got.Reasons, []recovery.LockReason{recovery.LockDormant, recovery.LockViolation}) {
		t.Errorf("%+v", got)
	}
	if h.row("li").LastSignInAt != before {
		t.Error("it counts as a sign-in")
	}
	h.setLock("li", recovery.LockViolation, false)
	h.setLock("li", recovery.LockDormant, false)
	if got := h.try(); got.Result != account.ResultOK {
		t.Errorf("afterwards: %+v", got)
	}
}

func TestAPasswordIsDueForChangeOnTheMillisecond(t *testing.T) {
	h := withPassword(t, store.SQLite)
	h.Policy.Secrets.Password.MaxAge = policy.Duration(90 * 24 * time.Hour)
	h.Clock.Advance(90*24*time.Hour - time.Millisecond)
	if got := h.try(); got.Result != account.ResultOK {
		t.Errorf("the last instant: %s", got.Result)
	}
	h.Clock.Advance(time.Millisecond)
	if got := h.try(); got.Result != account.ResultMustChange || got.HostID != "li" {
		t.Errorf("the first after: %+v", got)
	}
}

// A recovery that ends while the old password is being compared wins (T9).
func TestAPasswordReplacedMeanwhileIsWrong(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		h := withPassword(t, engine)
		real := h.Accounts.Hasher
		h.Clock.Advance(time.Hour)
		pepper := &counted{keys: h.Keys}
		pepper.during = func() {
			ctx, id := context.Background(), h.id("li")
			hash, err := real.Hash(ctx, "set by the recovery", account.PasswordBinding(id))
			if err != nil {
				t.Error(err)
			}
			if err := h.DB.Write(ctx, func(tx *store.Tx) error {
				return h.Accounts.Edit(ctx, tx, id, func(e *account.Edit) error { return e.SetSecret(ctx, hash, "", "test") })
			}); err != nil {
				t.Error(err)
			}
		}
		h.Accounts.Hasher = secret.NewHasher(pepper, secret.Params{Memory: 64, Time: 1, Threads: 1})
		if got := h.try(); got.Result != account.ResultWrong {
			t.Errorf("the old password is %s", got.Result)
		}
		if got := h.signIn(account.SignIn{Identifier: "liwei", Secret: "set by the recovery"}); got.Result != account.ResultOK {
			t.Errorf("the new one is %s", got.Result)
		}
	})
}

func TestASignInPrintsNothing(t *testing.T) {
	in := account.SignIn{Identifier: liPhone, Secret: "geheim", Device: "d"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(verb, in); got != "sign-in" {
			t.Errorf("%s prints %s", verb, got)
		}
	}
}
