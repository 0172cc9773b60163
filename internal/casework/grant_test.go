package casework_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/claimant"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/testkit"
)

// T8: a case gives what it is for and nothing else.
func TestT08_ARecoveryGrantsOnlyItsIntent(t *testing.T) {
	for _, intent := range []recovery.Intent{recovery.IntentFindAccount, recovery.IntentUnlock} {
		t.Run(string(intent), func(t *testing.T) {
			d := newDesk(t, testkit.Engines[0], []string{faithful})
			id := d.enrol(li())[0]
			d.setPassword(id, oldPassword)
			before := d.dump()["account_secrets"]
			c := d.open(intent, liPhone).prove("phone", "sms-code", liPhone)
			d.check(c.outcome(goodPassword))
			c.atStep(claimant.StepDone)
			if got := d.signIn("liwei", oldPassword) + d.signIn("liwei", goodPassword); got != "okwrong" {
				t.Errorf("old and new password: %s", got)
			}
			if !slices.Equal(before, d.dump()["account_secrets"]) {
				t.Error("a secret changed")
			}
		})
	}
}

// T8: one code alone takes nothing before the hold, and a way of two proofs needs both.
func TestT08_NoOutcomeBeforeTheProofIsEnough(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{hardened})
	id := d.enrol(li())[0]
	d.check(d.Accounts.SetLock(ctx, d.realm, "host-li", recovery.LockRiskAlarm, true))
	c := d.reset(liPhone)
	want(t, c.outcome(goodPassword), recovery.KindConflict, "error.case.moved")
	c.start("phone", "sms-code")
	want(t, c.outcome(goodPassword), recovery.KindConflict, "error.case.moved")
	d.check(c.code(d.code(liPhone)))
	want(t, c.outcome(goodPassword), recovery.KindForbidden, "error.case.held")
	d.check(d.Advance(time.Minute))
	u := d.open(recovery.IntentUnlock, liPhone).prove("phone-and-email", "sms-code", liPhone)
	want(t, u.outcome(""), recovery.KindConflict, "error.case.moved")
	if locks := d.dump()["account_locks"]; len(locks) != 1 {
		t.Errorf("locks of %s: %v", id, locks)
	}
}

// T9: a completed recovery voids the account's other cases, codes and links, and its old secret.
func TestT09_CompletionVoidsWhatWasOutstanding(t *testing.T) {
	bothEngines(t, []string{faithful}, func(t *testing.T, d *desk) {
		id := d.enrol(li())[0]
		d.setPassword(id, oldPassword)
		ready := d.reset("liwei", from(1)).prove("phone", "sms-code", liPhone)
		coded := d.reset(liEmail, from(2)).start("email", "email-code")
		emailCode := d.code(liEmail)
		d.check(d.Advance(time.Minute))
		d.reset("11010519491231002X", from(3)).start("email-link", "email-link")
		link := d.token(liEmail)
		d.check(d.Advance(time.Minute))
		winner := d.reset(liPhone, from(4)).prove("phone", "sms-code", liPhone)
		d.check(winner.outcome(goodPassword))
		d.settle()
		want(t, ready.outcome("Thief-jade-2026-rings"), recovery.KindGone, "error.case.closed")
		ready.atStep(claimant.StepStopped)
		want(t, coded.code(emailCode), recovery.KindNotProven, "error.code.wrong")
		_, err := d.Claimant.ConfirmLink(ctx, from(9), link)
		want(t, err, recovery.KindNotProven, "")
		if got := d.signIn("liwei", oldPassword) + d.signIn("liwei", goodPassword); got != "wrongok" {
			t.Errorf("old and new password: %s", got)
		}
		if n := d.number(`SELECT count(*) FROM audit_entries WHERE event = 'sessions.ended'`); n != 1 {
			t.Errorf("sessions ended %d times", n)
		}
	})
}

// T9: who unlocks an account that is not locked makes nobody's case void and
// earns no trust: the holder of one contact must not stop the owner for ever.
func TestT09_AnUnlockWithoutALockVoidsNothing(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{hardened})
	d.enrol(li())
	owner := d.reset(liEmail).prove("email", "email-code", liEmail)
	thief := d.open(recovery.IntentUnlock, liPhone).prove("phone", "sms-code", liPhone)
	d.check(thief.outcome(""))
	d.settle()
	d.check(d.Advance(24 * time.Hour))
	d.check(owner.outcome(goodPassword))
	if n := d.number(`SELECT count(*) FROM account_devices`); n != 1 {
		t.Errorf("%d devices are on their way to trust, want the owner's", n)
	}
}

// T10: however often a recovery is tried, sign-in works.
func TestT10_AThousandRecoveryAttemptsNeverLockSignIn(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{faithful})
	id := d.enrol(li())[0]
	d.setPassword(id, oldPassword)
	for i := range 250 {
		for j, name := range liNames {
			c := d.reset(name, from(4*i+j))
			if c.tryStart("phone", "sms-code") == nil {
				d.settle()
				_ = c.code("000000")
			}
		}
	}
	if got := d.signIn("liwei", oldPassword); got != "ok" {
		t.Errorf("sign-in is %s", got)
	}
	if n := d.number(`SELECT count(*) FROM account_locks`); n != 0 {
		t.Errorf("%d locks", n)
	}
}

// T10: lock reasons are typed, and a reset clears too-many-failures alone.
func TestT10_AResetClearsOnlyTooManyFailures(t *testing.T) {
	for _, reason := range []recovery.LockReason{recovery.LockDormant, recovery.LockRiskAlarm} {
		d := newDesk(t, testkit.Engines[0], []string{faithful})
		id := d.enrol(li())[0]
		d.setPassword(id, oldPassword)
		d.check(d.Accounts.SetLock(ctx, d.realm, "host-li", reason, true))
		for range 5 {
			d.signIn("liwei", "wrong")
		}
		if got := d.signIn("liwei", oldPassword); got != "locked" {
			t.Fatalf("after five failures sign-in is %s", got)
		}
		d.check(d.reset(liPhone).prove("phone", "sms-code", liPhone).outcome(goodPassword))
		if got := d.signIn("liwei", goodPassword); got != "disabled" {
			t.Errorf("%s: sign-in is %s: the reset cleared it", reason, got)
		}
	}
}

// T11: a stranger changes nothing about an account before a valid proof.
func TestT11_NothingOfAnAccountChangesBeforeAProof(t *testing.T) {
	bothEngines(t, []string{faithful}, func(t *testing.T, d *desk) {
		id := d.enrol(li())[0]
		d.setPassword(id, oldPassword)
		d.backupCodes(id)
		owned := func() map[string][]string {
			all := d.dump()
			maps.DeleteFunc(all, func(table string, _ []string) bool {
				return !strings.HasPrefix(table, "account") && !slices.Contains([]string{"identifiers", "lockouts", "backup_codes", "host_ids", "sign_ins"}, table)
			})
			return all
		}
		before := owned()
		if len(before["accounts"]) != 1 || len(before["backup_codes"]) == 0 {
			t.Fatal("the dump is empty")
		}
		for i, intent := range recovery.Intents {
			for j, name := range liNames {
				c := d.open(intent, name, from(10*i+j))
				_ = c.tryStart("phone", "sms-code")
				d.settle()
				if c.view().Challenge != nil {
					_ = c.code("000000")
				}
				_ = c.outcome(goodPassword)
				if j%2 == 0 {
					_ = c.cancel()
				}
				d.check(d.Advance(time.Minute))
			}
		}
		d.check(d.Advance(48 * time.Hour))
		if diff := differences(before, owned()); len(diff) > 0 {
			t.Errorf("changed: %v", diff)
		}
	})
}

// T16: real-name facts are right together or wrong; which was wrong is not said.
func TestT16_FactsAreRightTogetherOrWrong(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{faithful})
	d.enrol(li())
	c := d.open(recovery.IntentFindAccount, "11010519491231002X").prove("resident-id-and-phone", "sms-code", liPhone)
	c.start("resident-id-and-phone", "real-name")
	var first string
	for _, a := range []map[string]string{
		{"name": "王伟", "resident-id": "11010519491231002X"},
		{"name": "李伟", "resident-id": "110101199003070011"},
		{"name": "王伟", "resident-id": "110101199003070011"},
		{"name": "", "resident-id": "not an ID"},
	} {
		_, err := d.Claimant.Answer(ctx, c.from, c.who, c.live(), a)
		if got := fmt.Sprintf("%#v", *recovery.AsError(err)); first == "" {
			first = got
			want(t, err, recovery.KindNotProven, "error.answer.wrong")
		} else if got != first {
			t.Errorf("%v: %s, want %s", a, got, first)
		}
	}
	d.check(c.answer(c.live(), map[string]string{"name": "李 伟", "resident-id": "11010519491231002x"}))
}
