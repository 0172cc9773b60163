package casework_test

import (
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/claimant"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
	"github.com/wanbi/wanbi/internal/testkit"
)

// known makes the account trust a device.
func known(t *testing.T, d *desk, device string, id recovery.AccountID) {
	t.Helper()
	d.check(d.DB.Write(ctx, func(tx *store.Tx) error {
		return tx.PutDevice(ctx, db.PutDeviceParams{AccountID: string(id), Device: device, CaseID: "c", TrustedFrom: store.Millis(d.Now())})
	}))
}

// device gives a caller with a device cookie of ours.
func (d *desk) device(n int, id string) claimant.Caller {
	c := from(n)
	c.Device = id + "~" + d.Keys.Mac("device", id)
	return c
}

// What the account knew of the old device does not count for the new one: the
// hold is what this one has to wait, from when it began.
func TestT08_AKnownDeviceDoesNotMoveWithTheCase(t *testing.T) {
	bothEngines(t, []string{hardened}, func(t *testing.T, d *desk) {
		id := d.enrol(li())[0]
		known(t, d, "home", id)
		old := d.reset(liPhone, d.device(1, "home")).prove("phone", "sms-code", liPhone)
		old.atStep(claimant.StepSecret) // hold.known-device: 0s
		began := old.row().HoldBegan
		fresh := d.takeOver(old.ref, from(2))
		d.check(fresh.again("sms-code", "sms-code", liPhone))
		now := fresh.moved()
		now.atStep(claimant.StepWait)
		if row := now.row(); row.KnownDevice != 0 || row.HoldUntil != began+(24*time.Hour).Milliseconds() {
			t.Errorf("known %d, hold of %s", row.KnownDevice, time.Duration(row.HoldUntil-began)*time.Millisecond)
		}
		want(t, now.outcome(goodPassword), recovery.KindForbidden, "error.case.held")
		// Back on the known device nothing gets shorter by moving.
		back := d.takeOver(old.ref, d.device(3, "home"))
		d.check(back.again("sms-code", "sms-code", liPhone))
		back.moved().atStep(claimant.StepWait)
	})
}

// A hold goes on as it was, but for an hour from the move somebody can still stop it.
func TestT14_AMovedHoldHasAnHourToGo(t *testing.T) {
	for name, c := range map[string]struct{ passed, left time.Duration }{
		"early":     {2 * time.Hour, 22 * time.Hour},
		"just so":   {23 * time.Hour, time.Hour},
		"late":      {23*time.Hour + time.Millisecond, time.Hour},
		"ready":     {30 * time.Hour, time.Hour},
		"last time": {7*24*time.Hour + 23*time.Hour, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, testkit.Engines[0], []string{hardened})
			d.enrol(li())
			old := d.reset(liPhone, from(1)).prove("phone", "sms-code", liPhone)
			d.settle()
			d.check(d.Advance(c.passed - time.Minute))
			fresh := d.takeOver(old.ref, from(2))
			d.check(fresh.again("sms-code", "sms-code", liPhone))
			now := fresh.moved()
			if left := time.Duration(now.row().HoldUntil-d.Now().UnixMilli()) * time.Millisecond; left != c.left {
				t.Errorf("%s are left, want %s", left, c.left)
			}
			d.Clock.Advance(c.left - time.Millisecond)
			want(t, now.outcome(goodPassword), recovery.KindForbidden, "error.case.held")
			d.Clock.Advance(time.Millisecond)
			d.check(now.outcome(goodPassword))
		})
	}
}

// A policy without a hold has none after a move.
func TestT14_AMoveMakesNoHold(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{faithful})
	d.enrol(li())
	old := d.reset(liPhone, from(1)).prove("phone", "sms-code", liPhone)
	fresh := d.takeOver(old.ref, from(2))
	d.check(fresh.again("sms-code", "sms-code", liPhone))
	d.check(fresh.moved().outcome(goodPassword))
}

// A case that stands by a way of known devices only stays on one.
func TestT08_AWayOfKnownDevicesIsNotTakenElsewhere(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{hardened}, withPolicy(func(t *testing.T) *policy.Policy {
		return testkit.PolicyWith(t, hardened,
			"      - name: phone\n", "      - name: phone\n        when: identifier == \"email\"\n",
			"      - name: email\n", "      - name: email\n        when: identifier == \"email\"\n",
			"      - name: phone-and-email\n", "      - name: phone-and-email\n        when: known_device\n")
	}, t))
	id := d.enrol(li())[0]
	known(t, d, "home", id)
	old := d.reset(liPhone, d.device(1, "home")).prove("backup-and-email", "email-code", liEmail)
	old.prove("phone-and-email", "sms-code", liPhone).atStep(claimant.StepSecret)
	fresh := d.takeOver(old.ref, from(2))
	d.check(fresh.again("sms-code", "sms-code", liPhone))
	want(t, fresh.again("takeover", "email-code", liEmail), recovery.KindGone, "error.takeover.over")
	old.atStep(claimant.StepSecret)
	home := d.takeOver(old.ref, d.device(3, "home"))
	d.check(home.again("sms-code", "sms-code", liPhone))
	d.check(home.again("takeover", "email-code", liEmail))
	home.moved().atStep(claimant.StepSecret)
	old.lost()
}
