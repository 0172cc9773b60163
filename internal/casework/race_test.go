package casework_test

import (
	"fmt"
	"net/http"
	"path"
	"slices"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/claimant"
	"github.com/wanbi/wanbi/internal/directory/directorytest"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/testkit"
)

// rounds is how often a race is run: each is another interleaving.
const rounds = 12

// token is the last part of the newest link that an address was sent.
func (d *desk) token(address string) string {
	d.t.Helper()
	for _, m := range slices.Backward(d.Inbox.Messages(address)) {
		if len(m.Links) > 0 {
			return path.Base(m.Links[len(m.Links)-1])
		}
	}
	d.t.Fatalf("%s got no link", address)
	return ""
}

// wantOne fails unless exactly one call succeeded and the others lost the race.
func wantOne(t testing.TB, errs []error) {
	t.Helper()
	got := tally(errs)
	for kind := range got {
		switch kind {
		case "ok", recovery.KindGone.String(), recovery.KindConflict.String(), recovery.KindUnavailable.String(), recovery.KindNotProven.String():
		default:
			t.Fatalf("ended with %s: %v", kind, errs)
		}
	}
	if got["ok"] != 1 {
		t.Fatalf("want one winner, got %v", got)
	}
}

// T13: the same right code, many times at once, is one proof.
func TestT13_ParallelRedemptionsOfOneCodeGiveOneProof(t *testing.T) {
	bothEngines(t, []string{hardened}, func(t *testing.T, d *desk) {
		d.enrol(li())
		c := d.reset(liPhone).start("phone", "sms-code")
		challenge, code := c.live(), d.code(liPhone)
		tries := make([]func() error, 24)
		for i := range tries {
			tries[i] = func() error { return c.answer(challenge, map[string]string{"code": code}) }
		}
		wantOne(t, together(tries...))
		if n := d.number(`SELECT count(*) FROM evidence`); n != 1 {
			t.Errorf("%d pieces of evidence", n)
		}
	})
}

// T13: many outcomes of one case at once set one password.
func TestT13_ParallelOutcomesOfOneCaseSetOneSecret(t *testing.T) {
	bothEngines(t, []string{faithful}, func(t *testing.T, d *desk) {
		d.enrol(li())
		c := d.reset(liPhone).prove("phone", "sms-code", liPhone)
		tries := make([]func() error, 8)
		for i := range tries {
			tries[i] = func() error { return c.outcome(fmt.Sprint(goodPassword, i)) }
		}
		errs := together(tries...)
		wantOne(t, errs)
		winner := slices.IndexFunc(errs, func(err error) bool { return err == nil })
		if got := d.signIn("liwei", fmt.Sprint(goodPassword, winner)); got != "ok" {
			t.Errorf("the winner's password is %s", got)
		}
		if n := d.number(`SELECT count(*) FROM audit_entries WHERE event = 'secret.changed'`); n != 1 {
			t.Errorf("the secret was changed %d times", n)
		}
	})
}

// T13, T9: of two cases of one account that are ready at once, one completes and
// the other is void.
func TestT13_TwoReadyCasesOfOneAccountGiveOneWinner(t *testing.T) {
	bothEngines(t, []string{faithful}, func(t *testing.T, d *desk) {
		d.enrol(li())
		for round := range rounds {
			a := d.reset(liPhone, from(2*round)).prove("phone", "sms-code", liPhone)
			b := d.reset(liEmail, from(2*round+1)).prove("email", "email-code", liEmail)
			errs := together(
				func() error { return a.outcome(fmt.Sprint(goodPassword, "a", round)) },
				func() error { return b.outcome(fmt.Sprint(goodPassword, "b", round)) },
			)
			wantOne(t, errs)
			winner := "a"
			if errs[0] != nil {
				winner = "b"
			}
			if got := d.signIn("liwei", fmt.Sprint(goodPassword, winner, round)); got != "ok" {
				t.Fatalf("the winner's password is %s", got)
			}
			d.check(d.Advance(3 * time.Hour)) // messages of another hour
		}
	})
}

// T13: cancel and outcome at once: one of the two happens, never both.
func TestT13_CancelAndOutcomeAtOnceGiveOneWinner(t *testing.T) {
	bothEngines(t, []string{faithful}, func(t *testing.T, d *desk) {
		id := d.enrol(li())[0]
		for round := range rounds {
			d.setPassword(id, oldPassword)
			c := d.reset(liPhone, from(round)).prove("phone", "sms-code", liPhone)
			d.settle()
			errs := together(func() error { return c.outcome(goodPassword) }, c.cancel)
			wantOne(t, errs)
			state, password := recovery.StateCompleted, goodPassword
			if errs[0] != nil {
				state, password = recovery.StateCancelled, oldPassword
			}
			if got := c.row().State; got != string(state) {
				t.Fatalf("the case is %s, want %s", got, state)
			}
			if got := d.signIn("liwei", password); got != "ok" {
				t.Fatalf("after %s the password is %s", state, got)
			}
			d.check(d.Advance(3 * time.Hour))
		}
	})
}

// T13: a link pressed many times at once stops the case once; a second press is
// answered with what is.
func TestT13_ANoticeLinkStopsOnce(t *testing.T) {
	bothEngines(t, []string{hardened}, func(t *testing.T, d *desk) {
		d.enrol(li())
		c := d.reset(liPhone).prove("phone", "sms-code", liPhone)
		d.settle()
		d.pressAtOnce(d.token(liEmail))
		if got := c.row().State; got != string(recovery.StateCancelled) {
			t.Errorf("the case is %s", got)
		}
		if n := d.number(`SELECT count(*) FROM audit_entries WHERE event = 'case.cancelled'`); n != 1 {
			t.Errorf("cancelled %d times", n)
		}
		want(t, c.outcome(goodPassword), recovery.KindConflict, "error.case.moved")
	})
}

// pressAtOnce presses the buttons behind links at the same time.
func (d *desk) pressAtOnce(tokens ...string) {
	d.t.Helper()
	var presses []func() error
	for i := range 6 {
		presses = append(presses, func() error {
			_, err := d.Guest.Act(ctx, tokens[i%len(tokens)])
			return err
		})
	}
	for _, err := range together(presses...) {
		if err != nil && !recovery.IsKind(err, recovery.KindUnavailable) {
			d.t.Fatal(err)
		}
	}
	d.settle()
}

// T13: after completion the same links disavow: the account is frozen once, and
// one linked case waits for a person, which no other recovery makes void.
func TestT13_ADisavowalFreezesOnceAndWaitsForAPerson(t *testing.T) {
	bothEngines(t, []string{faithful}, func(t *testing.T, d *desk) {
		id := d.enrol(li())[0]
		c := d.reset(liPhone).prove("phone", "sms-code", liPhone)
		d.settle()
		started := d.token(liEmail)
		d.check(d.Advance(time.Second))
		d.check(c.outcome(goodPassword))
		d.settle()
		if changed := d.token(liEmail); changed == started {
			t.Fatal("no new notice")
		}
		d.pressAtOnce(started, d.token(liEmail))
		if got := d.signIn("liwei", goodPassword); got != "disabled" {
			t.Errorf("sign-in is %s", got)
		}
		if n := d.number(`SELECT count(*) FROM audit_entries WHERE event = 'case.disavowed'`); n != 1 {
			t.Errorf("disavowed %d times", n)
		}
		if n := d.number(`SELECT count(*) FROM cases WHERE linked <> '' AND state = 'in_review'`); n != 1 {
			t.Errorf("%d linked cases", n)
		}
		stale := d.number(`SELECT count(*) FROM cases c JOIN accounts a ON a.account_id = c.account_id WHERE c.linked <> '' AND c.account_epoch <> a.epoch`)
		if stale != 0 {
			t.Errorf("the linked case is void before anybody saw it (account %s)", id)
		}
	})
}

// T13: a second cancel for one account opens a review.
func TestT13_ASecondCancelOpensALinkedReview(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{hardened})
	d.enrol(li())
	for i, want := range []int{0, 1} {
		d.reset(liPhone, from(i)).prove("phone", "sms-code", liPhone)
		d.settle()
		d.pressAtOnce(d.token(liEmail))
		if n := d.number(`SELECT count(*) FROM cases WHERE linked <> ''`); n != want {
			t.Errorf("after cancel %d: %d reviews", i+1, n)
		}
		d.check(d.Advance(2 * time.Minute))
	}
}

// T13, T1: a backup code given in two cases at once proves one of them.
func TestT13_ABackupCodeInTwoCasesAtOnceCountsOnce(t *testing.T) {
	bothEngines(t, []string{faithful}, func(t *testing.T, d *desk) {
		codes := d.backupCodes(d.enrol(li())[0])
		for round := range 5 {
			var tries []func() error
			for i, name := range []string{liPhone, "liwei"} {
				c := d.reset(name, from(10*round+i)).start("backup-code", "backup-code")
				challenge := c.live()
				tries = append(tries, func() error { return c.answer(challenge, map[string]string{"code": codes[round]}) })
			}
			wantOne(t, together(tries...))
			d.check(d.Advance(3 * time.Hour))
		}
		if n := d.number(`SELECT count(*) FROM backup_codes WHERE consumed_at > 0`); n != 5 {
			t.Errorf("%d codes used up", n)
		}
	})
}

// T13, T1: an answer that races with a new code is taken or refused, and the old
// code is worth nothing once the new one is out.
func TestT13_AnAnswerRacingWithANewCode(t *testing.T) {
	bothEngines(t, []string{faithful}, func(t *testing.T, d *desk) {
		d.enrol(li())
		for round := range rounds {
			c := d.reset(liPhone, from(round)).start("phone", "sms-code")
			d.check(d.Advance(time.Minute))
			challenge, code := c.live(), d.code(liPhone)
			errs := together(
				func() error { return c.answer(challenge, map[string]string{"code": code}) },
				func() error { return c.tryStart("phone", "sms-code") },
			)
			d.settle()
			switch got := tally(errs[:1]); {
			case got["ok"] == 1 && errs[1] == nil: // answered first, and the way was open still: not after a proof of the channel
				t.Fatal("a proven channel was started again")
			case got["ok"] == 1:
				c.atStep(claimant.StepSecret)
			default:
				c.atStep(claimant.StepProve)
				want(t, c.answer(challenge, map[string]string{"code": code}), recovery.KindGone, "error.code.expired")
			}
			d.check(d.Advance(25 * time.Hour))
		}
	})
}

// T13: of two outcomes taken at once a host with its own accounts hears one.
func TestT13_AHostHearsOneOfTwoOutcomesTakenAtOnce(t *testing.T) {
	eachEngine(t, func(t *testing.T, h *hosted) {
		a := h.reset(liPhone, from(1)).prove("phone", "sms-code", liPhone)
		b := h.reset("liwei", from(2)).prove("email", "email-code", liEmail)
		errs := together(func() error { return a.outcome(goodPassword + "a") }, func() error { return b.outcome(goodPassword + "b") })
		wantOne(t, errs)
		h.settle()
		winner := "a"
		if errs[0] != nil {
			winner = "b"
		}
		if got := h.host.Secret("u-1"); got != goodPassword+winner {
			t.Errorf("the host has the secret %q, the winner's is %s", got, winner)
		}
		set := slices.DeleteFunc(h.host.Calls(), func(c directorytest.Call) bool { return c.Name != "set-secret" })
		if len(set) != 1 {
			t.Errorf("the host was given %d secrets", len(set))
		}
	})
}

// T13: an account that is frozen while its host is being told goes to a person,
// and the host is not told any more.
func TestT13_AFrozenAccountIsNotGivenASecretAnyMore(t *testing.T) {
	eachEngine(t, func(t *testing.T, h *hosted) {
		first := h.reset(liPhone, from(1)).prove("phone", "sms-code", liPhone)
		h.check(first.outcome(goodPassword))
		h.settle()
		notMe := h.token(liEmail)
		h.check(h.Advance(time.Minute))
		second := h.reset(liPhone, from(2)).prove("phone", "sms-code", liPhone)
		h.host.Fail(http.StatusServiceUnavailable)
		h.check(second.outcome("Thief-" + goodPassword))
		h.settle()
		second.atStep(claimant.StepApplying)
		_, err := h.Guest.Act(ctx, notMe)
		h.check(err)
		h.host.Fail(0)
		h.check(h.Advance(time.Hour))
		second.atStep(claimant.StepPerson)
		if got := h.host.Secret("u-1"); got != goodPassword {
			t.Errorf("the host has the secret %q", got)
		}
		if second.row().Outcome != nil {
			t.Error("the pending secret was kept")
		}
	})
}

// A password asked for in the last instant of the hold is refused or set, never
// taken for set: what is slow is prepared before the step, and the hold may end
// in between (T14).
func TestT14_AnOutcomeAcrossTheEndOfTheHoldSetsWhatItSaysOrNothing(t *testing.T) {
	bothEngines(t, []string{hardened}, func(t *testing.T, d *desk) {
		id := d.enrol(li())[0]
		d.setPassword(id, oldPassword)
		c := d.reset(liPhone).prove("phone", "sms-code", liPhone)
		end := c.view().HoldUntil
		d.Clock.Set(end.Add(-time.Millisecond))
		want(t, c.outcome(goodPassword), recovery.KindForbidden, "error.case.held")
		d.creep.Store(true) // every look at the clock finds it a millisecond on
		err := c.outcome(goodPassword)
		d.creep.Store(false)
		d.Clock.Set(end)
		password := oldPassword
		if err == nil {
			password = goodPassword
		}
		if got := d.signIn("liwei", password); got != "ok" {
			t.Fatalf("the outcome gave %v and the password that should work is %s", err, got)
		}
		if err != nil {
			d.check(c.outcome(goodPassword))
		}
	})
}
