package casework_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/claimant"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/server"
	"github.com/wanbi/wanbi/internal/testkit"
)

// T14: each span works to its last millisecond and not in the next.
func TestT14_SpansEndOnTheirMillisecond(t *testing.T) {
	for name, c := range map[string]struct {
		policy string
		after  time.Duration // the first instant at which it does not work
		begin  func(d *desk) func() error
		key    string
	}{
		"a code by phone": {faithful, 5 * time.Minute, func(d *desk) func() error {
			c := d.reset(liPhone).start("phone", "sms-code")
			return func() error { return c.code(d.code(liPhone)) }
		}, "error.code.expired"},
		"a code by e-mail": {faithful, 10 * time.Minute, func(d *desk) func() error {
			c := d.reset(liEmail).start("email", "email-code")
			return func() error { return c.code(d.code(liEmail)) }
		}, "error.code.expired"},
		"a link by e-mail": {faithful, 10 * time.Minute, func(d *desk) func() error {
			d.reset(liEmail).start("email-link", "email-link")
			return func() error { _, err := d.Claimant.ConfirmLink(ctx, from(2), d.token(liEmail)); return err }
		}, "error.link.expired"},
		"an open case": {faithful, 24 * time.Hour, func(d *desk) func() error {
			c := d.reset(liPhone)
			return func() error { return c.tryStart("phone", "sms-code") }
		}, "error.case.expired"},
		"a ready case": {hardened, 8 * 24 * time.Hour, func(d *desk) func() error {
			c := d.reset(liPhone).prove("phone", "sms-code", liPhone)
			return func() error { return c.outcome(goodPassword) }
		}, "error.case.expired"},
		"a notice's link": {hardened, 30 * 24 * time.Hour, func(d *desk) func() error {
			d.reset(liPhone).prove("phone", "sms-code", liPhone)
			d.settle()
			token := d.token(liEmail)
			return func() error { _, err := d.Guest.Show(ctx, token); return err }
		}, "error.link.expired"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, left := range []time.Duration{time.Millisecond, 0} {
				d := newDesk(t, testkit.Engines[0], []string{c.policy})
				d.enrol(li())
				try := c.begin(d)
				d.Clock.Advance(c.after - left)
				switch err := try(); {
				case left > 0:
					d.check(err)
				default:
					want(t, err, recovery.KindGone, c.key)
				}
			}
		})
	}
}

// T14: a hold ends on its millisecond.
func TestT14_AHoldEndsOnItsMillisecond(t *testing.T) {
	bothEngines(t, []string{hardened}, func(t *testing.T, d *desk) {
		d.enrol(li())
		c := d.reset(liPhone).prove("phone", "sms-code", liPhone)
		d.Clock.Advance(24*time.Hour - time.Millisecond)
		want(t, c.outcome(goodPassword), recovery.KindForbidden, "error.case.held")
		c.atStep(claimant.StepWait)
		d.Clock.Advance(time.Millisecond)
		c.atStep(claimant.StepSecret)
		d.check(c.outcome(goodPassword))
	})
}

// T14: a clock that steps back revives nothing: not while serving, and not
// across a restart behind the last thing that was recorded.
func TestT14_AClockThatStepsBackRevivesNothing(t *testing.T) {
	bothEngines(t, []string{faithful}, func(t *testing.T, d *desk) {
		d.enrol(li())
		c := d.reset(liPhone).start("phone", "sms-code")
		code := d.code(liPhone)
		for range 5 {
			want(t, c.code(d.wrongCode(liPhone)), recovery.KindNotProven, "")
		}
		other := d.reset(liEmail, from(2)).start("email", "email-code")
		mailed := d.code(liEmail)
		d.check(d.Advance(10 * time.Minute))
		d.reset("somebody", from(3)) // the last thing that is recorded
		d.settle()
		for _, restart := range []bool{false, true} {
			d.Clock.Set(testkit.Began)
			if restart {
				d.Restart()
			}
			want(t, c.code(code), recovery.KindGone, "error.code.expired")
			want(t, other.code(mailed), recovery.KindGone, "error.code.expired")
		}
		c.start("phone", "sms-code")
		want(t, c.code(d.code(liPhone)), recovery.KindLimited, "") // nor are guesses given back
	})
}

// T14: a database put back in time is not served.
func TestT14_ARestoredOlderDatabaseIsRefused(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{faithful})
	d.enrol(li())
	file := strings.TrimPrefix(d.Options.Database, "sqlite:")
	d.settle()
	d.check(d.Close())
	older, err := os.ReadFile(file)
	d.check(err)
	reopened, err := server.New(ctx, d.Options) // the same one is served
	d.check(err)
	d.Server.Server = reopened
	d.reset(liPhone).start("phone", "sms-code")
	d.settle()
	d.check(d.Close())
	for _, rest := range []string{"-wal", "-shm"} {
		_ = os.Remove(file + rest)
	}
	d.check(os.WriteFile(file, older, 0o600))
	if again, err := server.New(ctx, d.Options); err == nil {
		_ = again.Close()
		t.Fatal("a database older than its checkpoint is served")
	} else if !strings.Contains(err.Error(), "older than the checkpoint") {
		t.Fatal(err)
	}
}

// T14: a stronger proof never lengthens a hold, and counts from when it began.
func TestT14_AStrongerProofNeverLengthensTheHold(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{hardened})
	d.enrol(li())
	c := d.reset(liPhone).prove("phone", "sms-code", liPhone)
	began := d.Now()
	d.check(d.Advance(30 * time.Minute))
	record := li()
	record.Email = "li.new@example.cn" // a contact changed meanwhile: 72 hours by now
	d.enrol(record)
	c.prove("phone-and-email", "email-code", "li.new@example.cn")
	if got := c.view().HoldUntil.Sub(began); got > 24*time.Hour {
		t.Errorf("the hold is %s after a second proof", got)
	}
}

// T23: what a contact proves is worth less while it is new; a week later it is
// worth what it was.
func TestT23_AContactThatChangedLatelyProvesLess(t *testing.T) {
	for name, c := range map[string]struct {
		ago  time.Duration
		hold time.Duration
	}{
		"at once":                 {0, 72 * time.Hour},
		"the last millisecond":    {7*24*time.Hour - time.Millisecond, 72 * time.Hour},
		"a week later":            {7 * 24 * time.Hour, 24 * time.Hour},
		"never changed":           {-1, 24 * time.Hour},
		"changed long ago, added": {365 * 24 * time.Hour, 24 * time.Hour},
	} {
		d := newDesk(t, testkit.Engines[0], []string{hardened})
		d.enrol(li())
		address := liPhone
		if c.ago >= 0 {
			record := li()
			record.Phone, address = "13800009999", "+8613800009999"
			d.enrol(record)
			d.Clock.Advance(c.ago)
		}
		got := d.reset(address).prove("phone", "sms-code", address).view().HoldUntil.Sub(d.Now())
		if got != c.hold {
			t.Errorf("%s: the hold is %s, want %s", name, got, c.hold)
		}
	}
}

// T23: a phone changed lately makes a proof by the old mailbox wait as well, and
// a known device does not shorten that.
func TestT23_AKnownDeviceDoesNotShortenAfterAChange(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{hardened})
	d.enrol(li())
	c := d.reset(liPhone).prove("phone", "sms-code", liPhone)
	d.check(d.Advance(24 * time.Hour))
	done, err := d.Claimant.TakeOutcome(ctx, c.from, c.who, goodPassword)
	d.check(err)
	d.check(d.Advance(7 * 24 * time.Hour))
	known := claimant.Caller{Network: network(1), Device: done.Device}
	if got := d.reset(liPhone, known).prove("phone", "sms-code", liPhone).view().HoldUntil.Sub(d.Now()); got != 0 {
		t.Fatalf("on a known device the hold is %s", got)
	}
	record := li()
	record.Phone = "13800009999"
	d.enrol(record)
	if got := d.reset(liEmail, known).prove("email", "email-code", liEmail).view().HoldUntil.Sub(d.Now()); got != 72*time.Hour {
		t.Errorf("after a change the hold on a known device is %s, want 72h", got)
	}
}

// T12: every contact on file is told at the start, at the hold, at a cancel, at
// the change and at a disavowal, each with a link that says "not me".
func TestT12_EveryContactIsToldOfEveryTurn(t *testing.T) {
	bothEngines(t, []string{hardened}, func(t *testing.T, d *desk) {
		record := li()
		record.MorePhones = []string{"13800003333"}
		d.enrol(record)
		contacts := []string{liPhone, "+8613800003333", liEmail, "li.old@example.cn"}
		seen := map[string]int{}
		told := func(turn string, newOnes int) {
			t.Helper()
			d.settle()
			for _, address := range contacts {
				var links int
				all := d.Inbox.Messages(address)
				for _, m := range all[seen[address]:] {
					if len(m.Links) > 0 {
						links++
						if _, err := d.Guest.Show(ctx, d.token(address)); err != nil {
							t.Errorf("%s: the link to %s: %v", turn, address, err)
						}
					}
				}
				if seen[address] = len(all); links != newOnes {
					t.Errorf("%s: %s was told %d times with a link, want %d", turn, address, links, newOnes)
				}
			}
		}
		c := d.reset(liPhone).start("phone", "sms-code")
		told("before a proof", 0)
		d.check(c.code(d.code(liPhone)))
		told("the hold", 1)
		d.check(c.cancel())
		told("the cancel", 1)
		d.check(d.Advance(time.Hour))
		c = d.reset(liEmail).prove("email", "email-code", liEmail)
		told("the second hold", 1)
		d.check(d.Advance(24 * time.Hour))
		d.check(c.outcome(goodPassword))
		told("the change", 1)
		_, err := d.Guest.Act(ctx, d.token("li.old@example.cn"))
		d.check(err)
		told("the disavowal", 1)
		found := d.open(recovery.IntentFindAccount, liPhone).prove("phone", "sms-code", liPhone)
		told("the start of a search", 1)
		d.check(found.outcome(""))
		told("its end", 1)
	})
}

// T12: of several accounts behind one contact the owners of all hear that they
// were looked for, each with a link of their own.
func TestT12_EveryAccountThatIsShownIsTold(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{faithful})
	d.enrol(li(), account.Record{ID: "mei", Phone: "13800001234", Username: "limei", Email: "mei@example.cn"})
	c := d.open(recovery.IntentFindAccount, liPhone).prove("phone", "sms-code", liPhone)
	d.check(c.outcome(""))
	d.settle()
	a, b := d.token(liEmail), d.token("mei@example.cn")
	if a == b {
		t.Error("two owners have one link")
	}
	_, err := d.Guest.Act(ctx, b)
	d.check(err)
	if n := d.number(fmt.Sprintf(`SELECT count(*) FROM account_locks WHERE reason = '%s'`, recovery.LockDisavowed)); n != 1 {
		t.Errorf("%d accounts are frozen by one owner's link", n)
	}
}
