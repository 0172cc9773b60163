package casework_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/claimant"
	"github.com/wanbi/wanbi/internal/identifier"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/testkit"
)

// takeOver opens a takeover of the case with the reference.
func (d *desk) takeOver(ref recovery.CaseRef, from claimant.Caller) *claim {
	d.t.Helper()
	opened, err := d.Claimant.TakeOver(ctx, from, d.realm, string(ref))
	d.check(err)
	return &claim{d: d, from: from, who: opened.Credentials, ref: opened.Ref, name: string(ref)}
}

// again proves a channel anew for a takeover, a minute after the last message.
func (c *claim) again(way, name, address string) error {
	c.d.t.Helper()
	c.d.check(c.d.Advance(time.Minute))
	c.start(way, name)
	return c.code(c.d.code(address))
}

// moved gives the case that a takeover brought to its browser.
func (c *claim) moved() *claim {
	c.d.t.Helper()
	v := c.view()
	if v.Step != claimant.StepMoved || v.Moved == nil {
		c.d.t.Fatalf("the takeover is at step %s", v.Step)
	}
	c.d.settle()
	return &claim{d: c.d, from: c.from, who: v.Moved.Credentials, ref: v.Ref}
}

// lost fails unless the holder's token is refused, with the reason why.
func (c *claim) lost() {
	c.d.t.Helper()
	_, err := c.d.Claimant.View(ctx, c.from, c.who)
	want(c.d.t, err, recovery.KindUnknown, "error.case.elsewhere")
	want(c.d.t, c.outcome(goodPassword), recovery.KindUnknown, "error.case.elsewhere")
	want(c.d.t, c.cancel(), recovery.KindUnknown, "error.case.elsewhere")
	want(c.d.t, c.tryStart("phone", "sms-code"), recovery.KindUnknown, "error.case.elsewhere")
}

// T1: the case comes as it is, with no proof more than it had, and the browser
// that had it is refused. Until the proof it keeps the case.
func TestT01_ATakeoverMovesTheCaseAndAddsNoProof(t *testing.T) {
	bothEngines(t, []string{hardened}, func(t *testing.T, d *desk) {
		d.enrol(li())
		old := d.reset(liPhone, from(1)).prove("phone", "sms-code", liPhone)
		before := old.row()
		fresh := d.takeOver(old.ref, from(2))
		d.check(d.Advance(time.Minute))
		fresh.start("sms-code", "sms-code")
		want(t, fresh.code(d.wrongCode(liPhone)), recovery.KindNotProven, "error.code.wrong")
		old.atStep(claimant.StepWait)
		d.check(fresh.code(d.code(liPhone)))
		now := fresh.moved()
		now.atStep(claimant.StepWait)
		old.lost()
		after := now.row()
		if after.ID != before.ID || after.State != before.State || after.HoldBegan != before.HoldBegan || after.HoldUntil != before.HoldUntil {
			t.Errorf("the case changed: %s until %d, was %s until %d", after.State, after.HoldUntil, before.State, before.HoldUntil)
		}
		if n := d.number(`SELECT count(*) FROM evidence WHERE case_id = '` + after.ID + `'`); n != 1 {
			t.Errorf("it rests on %d proofs", n)
		}
		if n := d.number(`SELECT count(*) FROM audit_entries WHERE event = 'case.moved' AND chain = '` + after.ID + `'`); n != 1 {
			t.Errorf("%d entries say that it moved", n)
		}
		d.check(d.Advance(24 * time.Hour))
		d.check(now.outcome(goodPassword))
	})
}

// T12: every contact is told that the case moved, and can stop it.
func TestT12_EveryContactIsToldThatACaseMoved(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{hardened})
	d.enrol(li())
	old := d.reset(liPhone, from(1)).prove("phone", "sms-code", liPhone)
	d.settle()
	addresses := []string{liPhone, liEmail, "li.old@example.cn"}
	held := map[string]int{}
	for _, address := range addresses {
		held[address] = len(d.Inbox.Messages(address))
	}
	fresh := d.takeOver(old.ref, from(2))
	d.check(fresh.again("sms-code", "sms-code", liPhone))
	now := fresh.moved()
	for _, address := range addresses {
		got := d.Inbox.Messages(address)[held[address]:]
		if last := got[len(got)-1]; !strings.Contains(last.Text, "另一台设备") || len(last.Links) != 1 {
			t.Errorf("%s was told: %s", address, last.Text)
		}
	}
	_, err := d.Guest.Act(ctx, d.token(liEmail))
	d.check(err)
	now.atStep(claimant.StepStopped)
}

// T1, T8: who takes a case over shows everything again that it rests on, by the
// same channels; other proofs of the account open nothing.
func TestT08_ATakeoverInheritsNoProof(t *testing.T) {
	bothEngines(t, []string{hardened}, func(t *testing.T, d *desk) {
		d.enrol(li())
		old := d.reset(liPhone, from(1)).prove("phone", "sms-code", liPhone)
		other := d.takeOver(old.ref, from(2)).start("email-code", "email-code")
		d.noCode(liEmail) // the case does not rest on the mailbox
		want(t, other.code("123456"), recovery.KindNotProven, "error.code.wrong")
		d.check(d.Advance(time.Minute))
		old.prove("phone-and-email", "email-code", liEmail)
		fresh := d.takeOver(old.ref, from(3))
		d.check(fresh.again("sms-code", "sms-code", liPhone))
		fresh.atStep(claimant.StepWays)
		old.atStep(claimant.StepWait)
		want(t, fresh.tryStart("sms-code", "sms-code"), recovery.KindConflict, "error.way.closed")
		d.check(fresh.again("takeover", "email-code", liEmail))
		fresh.moved().atStep(claimant.StepWait)
		old.lost()
	})
}

// noCode fails if the address was ever sent a code.
func (d *desk) noCode(address string) {
	d.t.Helper()
	for _, m := range d.Inbox.Messages(address) {
		if m.Code != "" {
			d.t.Fatalf("%s was sent a code: %s", address, m.Text)
		}
	}
}

// T1: a proof about fewer accounts than the case may be about moves nothing.
func TestT01_ATakeoverProvesForEveryAccountOfTheCase(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{faithful})
	one := account.Record{ID: "one", Phone: "13844441234", Username: "one"}
	two := account.Record{ID: "two", Phone: "13844441234", Username: "two"}
	d.enrol(one, two)
	old := d.reset(one.Phone, from(1)).prove("phone", "sms-code", "+8613844441234")
	old.atStep(claimant.StepChoose)
	d.check(d.takeOver(old.ref, from(2)).again("sms-code", "sms-code", "+8613844441234"))
	two.Phone = "13855551234"
	d.enrol(two)
	fresh := d.takeOver(old.ref, from(3))
	want(t, fresh.again("sms-code", "sms-code", "+8613844441234"), recovery.KindGone, "error.takeover.over")
}

// A case that rests on nothing yet moves by any contact of its ways, and rests on nothing still.
func TestT01_ATakeoverProvesNothingForTheCase(t *testing.T) {
	bothEngines(t, []string{faithful}, func(t *testing.T, d *desk) {
		d.enrol(li())
		old := d.reset("liwei", from(1))
		fresh := d.takeOver(old.ref, from(2))
		d.check(fresh.again("email-code", "email-code", liEmail))
		now := fresh.moved()
		now.atStep(claimant.StepWays)
		if n := len(now.view().Notified); n != 0 {
			t.Errorf("it knows %d contacts", n)
		}
		want(t, now.outcome(goodPassword), recovery.KindConflict, "error.case.moved")
		old.lost()
	})
}

// T1: a takeover is good for one case of one realm, and does nothing else.
func TestT01_ATakeoverDoesNothingButMove(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{faithful, hardened})
	d.enrol(li())
	old := d.reset(liPhone, from(1)).prove("phone", "sms-code", liPhone)
	d.check(d.Advance(time.Minute))
	opened, err := d.Claimant.TakeOver(ctx, from(2), "hardened-yichuangtong", string(old.ref))
	d.check(err)
	sent := len(d.Inbox.Messages(liPhone))
	abroad := &claim{d: d, from: from(2), who: opened.Credentials}
	abroad.start("sms-code", "sms-code")
	if got := len(d.Inbox.Messages(liPhone)); got != sent {
		t.Error("another realm's number sent a code")
	}
	fresh := d.takeOver(old.ref, from(3))
	want(t, fresh.tryStart("phone", "sms-code"), recovery.KindConflict, "error.way.closed")
	want(t, fresh.tryStart("takeover", "sms-code"), recovery.KindConflict, "error.way.closed")
	want(t, fresh.tryStart("sms-code", "email-code"), recovery.KindConflict, "error.way.closed")
	want(t, fresh.tryStart("real-name", "real-name"), recovery.KindConflict, "error.way.closed")
	want(t, fresh.outcome(goodPassword), recovery.KindConflict, "error.case.moved")
	_, err = d.Claimant.Choose(ctx, fresh.from, fresh.who, "nothing")
	want(t, err, recovery.KindConflict, "error.choice.unknown")
	d.check(fresh.cancel()) // stops the takeover only
	old.atStep(claimant.StepSecret)
	fresh.atStep(claimant.StepStopped)
	_, err = d.Claimant.TakeOver(ctx, from(4), d.realm, "7K3MQ-X2V9")
	want(t, err, recovery.KindBadInput, "error.ref.malformed")
}

// T5: guesses through this door count with all others, and after the allowed
// number the right code is refused too, in either.
func TestT05_ATakeoverGivesNoGuessMore(t *testing.T) {
	bothEngines(t, []string{faithful}, func(t *testing.T, d *desk) {
		d.enrol(li())
		old := d.reset(liPhone, from(1)).start("phone", "sms-code")
		for range 3 {
			want(t, old.code("x"), recovery.KindNotProven, "error.code.wrong")
		}
		for i := range 2 { // another takeover, another network: the same count
			d.check(d.Advance(time.Minute))
			fresh := d.takeOver(old.ref, from(10+i)).start("sms-code", "sms-code")
			want(t, fresh.code("x"), recovery.KindNotProven, "error.code.wrong")
		}
		d.check(d.Advance(time.Minute))
		fresh := d.takeOver(old.ref, from(20)).start("sms-code", "sms-code")
		want(t, fresh.code(d.code(liPhone)), recovery.KindNotProven, "error.code.wrong")
		d.check(d.Advance(time.Minute))
		old.start("phone", "sms-code")
		want(t, old.code(d.code(liPhone)), recovery.KindNotProven, "error.code.wrong")
	})
}

// T6: what one network asks for by numbers is limited with all else.
func TestT06_OneNetworkTriesSoManyNumbers(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{faithful})
	limited := 0
	for range 400 {
		_, err := d.Claimant.TakeOver(ctx, from(1), d.realm, string(identifier.NewCaseRef()))
		if recovery.IsKind(err, recovery.KindLimited) {
			limited++
		}
	}
	p, _ := d.Realms.Policy(d.realm)
	if want := 400 - p.Limits.NetworkPerHour; limited != want {
		t.Errorf("%d were limited, want %d", limited, want)
	}
}

// T27: whoever has the number makes no message more than anybody else.
func TestT27_ANumberSendsNoMessageMore(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{faithful})
	d.enrol(li())
	old := d.reset(liPhone, from(1)).start("phone", "sms-code")
	for i := range 40 {
		d.check(d.Advance(time.Minute))
		fresh := d.takeOver(old.ref, from(10+i))
		if err := fresh.tryStart("sms-code", "sms-code"); err != nil {
			want(t, err, recovery.KindLimited, "error.limited")
		}
		d.settle()
	}
	if got := len(d.Inbox.Messages(liPhone)); got != 5 {
		t.Errorf("%d messages in an hour, want 5", got)
	}
}

// T7: a number that nobody has, one of a case that is closed, one of an unknown
// identifier, one that expired and one that can move look alike to the byte, and
// leave records of the same size.
func TestT07_EveryNumberLooksAlike(t *testing.T) {
	bothEngines(t, []string{faithful}, func(t *testing.T, d *desk) {
		d.enrol(li(), account.Record{ID: "closed", Phone: "13811111111"}, account.Record{ID: "done", Phone: "13822222222"})
		expired := d.reset("13811111111", from(5)).prove("phone", "sms-code", "+8613811111111")
		d.check(d.Advance(15 * 24 * time.Hour))
		refs := map[string]recovery.CaseRef{"expired": expired.ref, "nobody's": identifier.NewCaseRef()}
		known := d.reset(liPhone, from(1)).start("phone", "sms-code")
		for range 3 { // what the holder does, and does wrong, does not show
			want(t, known.code("x"), recovery.KindNotProven, "error.code.wrong")
		}
		refs["known"] = known.ref
		d.check(known.code(d.code(liPhone)))
		refs["unknown identifier"] = d.reset("13899991234", from(2)).start("phone", "sms-code").ref
		cancelled := d.reset("13811111111", from(3)).prove("phone", "sms-code", "+8613811111111")
		d.check(cancelled.cancel())
		refs["cancelled"] = cancelled.ref
		completed := d.reset("13822222222", from(4)).prove("phone", "sms-code", "+8613822222222")
		d.check(completed.outcome(goodPassword))
		refs["completed"] = completed.ref
		d.settle()
		d.check(d.Advance(time.Minute))
		began := d.Now()
		var first []string
		var size int
		for _, name := range []string{"nobody's", "known", "unknown identifier", "cancelled", "completed", "expired"} {
			rows := `SELECT (SELECT count(*) FROM cases) + (SELECT count(*) FROM challenges) + (SELECT count(*) FROM audit_entries) +
				(SELECT count(*) FROM idempotency) + (SELECT count(*) FROM jobs) + (SELECT count(*) FROM evidence)`
			before := d.number(rows)
			v := d.visitor()
			v.walkATakeover(string(refs[name]))
			grown := d.number(rows) - before
			for i, answer := range v.said {
				v.said[i] = strings.ReplaceAll(answer, url.QueryEscape(string(refs[name])), "REF")
			}
			if first == nil {
				first, size = v.said, grown
				continue
			}
			if grown != size {
				t.Errorf("%s: %d rows more, want %d", name, grown, size)
			}
			for step := range first {
				if v.said[step] != first[step] {
					t.Errorf("%s differs from nobody's at step %d\n%s\n--- nobody's ---\n%s", name, step, v.said[step], first[step])
					break
				}
			}
		}
		if !d.Now().Equal(began) {
			t.Fatal("the clock moved: times on the pages would differ")
		}
	})
}

// walkATakeover visits what one can reach by a number without a proof.
func (v *visitor) walkATakeover(ref string) {
	v.d.t.Helper()
	v.get("/yichuangtong/takeover")
	v.post("/yichuangtong/takeover", "ref", ref)
	for _, channel := range []string{"sms-code", "email-code", "email-link", "backup-code", "sms-code"} { // the last is too soon
		v.post("/yichuangtong/case/challenge", "way", channel, "channel", channel)
		v.get("/yichuangtong/case/ways")
		v.get("/yichuangtong/case")
	}
	v.post("/yichuangtong/case/challenge", "way", "takeover", "channel", "sms-code")
	for range 6 {
		v.get("/yichuangtong/case")
		v.post("/yichuangtong/case/answer", "code", "x")
	}
	v.post("/yichuangtong/case/outcome", "password", goodPassword)
	v.post("/yichuangtong/case/choose", "choice", "nothing")
	v.post("/yichuangtong/case/cancel")
	v.get("/yichuangtong/case")
}

// T13: of two takeovers proven at once one has the case, and the other is told.
func TestT13_TwoTakeoversAtOnceGiveOneWinner(t *testing.T) {
	bothEngines(t, []string{hardened}, func(t *testing.T, d *desk) {
		d.enrol(li())
		for round := range rounds {
			old := d.reset(liPhone, from(3*round)).prove("phone", "sms-code", liPhone)
			type try struct {
				*claim
				challenge, code string
			}
			var tries []try
			for i := range 2 {
				d.check(d.Advance(time.Minute))
				c := d.takeOver(old.ref, from(3*round+1+i)).start("sms-code", "sms-code")
				tries = append(tries, try{c, c.live(), d.code(liPhone)})
			}
			errs := together(
				func() error { return tries[0].answer(tries[0].challenge, map[string]string{"code": tries[0].code}) },
				func() error { return tries[1].answer(tries[1].challenge, map[string]string{"code": tries[1].code}) },
			)
			wantOne(t, errs)
			winner, loser := tries[0].claim, tries[1].claim
			if errs[0] != nil {
				winner, loser = loser, winner
			}
			winner.moved().atStep(claimant.StepWait)
			if row := winner.moved().row(); row.TokenSerial != 2 {
				t.Fatalf("it moved to token %d", row.TokenSerial)
			}
			v, err := d.Claimant.View(ctx, loser.from, loser.who)
			if err == nil && v.Moved != nil {
				t.Fatal("both have the case")
			}
			old.lost()
			d.check(winner.moved().cancel())
			d.check(d.Advance(25 * time.Hour)) // messages of another day
		}
	})
}

// A takeover is of the holder there was when it began: after the next one it is void.
func TestT13_ATakeoverOfAnEarlierHolderIsVoid(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{hardened})
	d.enrol(li())
	old := d.reset(liPhone, from(1)).prove("phone", "sms-code", liPhone)
	d.check(d.Advance(time.Minute))
	late := d.takeOver(old.ref, from(2)).start("sms-code", "sms-code")
	code := d.code(liPhone)
	fresh := d.takeOver(old.ref, from(3))
	d.check(fresh.again("sms-code", "sms-code", liPhone))
	now := fresh.moved()
	want(t, late.code(code), recovery.KindGone, "error.takeover.over")
	now.atStep(claimant.StepWait)
	third := d.takeOver(old.ref, from(4))
	d.check(third.again("sms-code", "sms-code", liPhone))
	third.moved().atStep(claimant.StepWait)
	now.lost()
	_, err := d.Claimant.View(ctx, fresh.from, fresh.who) // the takeover before gives no token any more
	want(t, err, recovery.KindUnknown, "error.case.elsewhere")
}

// T9, T13: a case that closed, or that the host is being told of, is not moved by
// a code that was sent before.
func TestT09_AClosedCaseIsNotTakenOver(t *testing.T) {
	for name, end := range map[string]func(*claim) error{
		"cancelled": (*claim).cancel,
		"completed": func(c *claim) error { return c.outcome(goodPassword) },
		"recovered by another": func(c *claim) error {
			return c.d.reset(liEmail, from(9)).prove("email", "email-code", liEmail).outcome(goodPassword)
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, testkit.Engines[0], []string{faithful})
			d.enrol(li())
			old := d.reset(liPhone, from(1)).prove("phone", "sms-code", liPhone)
			d.check(d.Advance(time.Minute))
			fresh := d.takeOver(old.ref, from(2)).start("sms-code", "sms-code")
			challenge, code := fresh.live(), d.code(liPhone)
			d.check(end(old))
			serial := old.row().TokenSerial
			if err := fresh.answer(challenge, map[string]string{"code": code}); err == nil {
				t.Fatal("a closed case moved")
			}
			if got := old.row().TokenSerial; got != serial {
				t.Error("its token changed")
			}
		})
	}
}

// A case that is being told to the host stays where it is.
func TestT13_ACaseThatIsAppliedIsNotTakenOver(t *testing.T) {
	h := newHosted(t, testkit.Engines[0])
	old := h.reset(liPhone, from(1)).prove("phone", "sms-code", liPhone)
	h.check(h.Advance(time.Minute))
	fresh := h.takeOver(old.ref, from(2)).start("sms-code", "sms-code")
	code := h.code(liPhone)
	h.check(old.outcome(goodPassword))
	if got := old.row().State; got != string(recovery.StateApplying) {
		t.Fatalf("the case is %s", got)
	}
	if err := fresh.code(code); err == nil {
		t.Fatal("it moved while the host was being told")
	}
	h.host.Fail(http.StatusServiceUnavailable)
	h.check(h.Advance(time.Minute)) // the host does not answer: tried again in a while
	h.host.Fail(0)
	sent := len(h.Inbox.Messages(liPhone))
	h.takeOver(old.ref, from(3)).start("sms-code", "sms-code")
	if row := old.row(); row.TokenSerial != 1 || row.State != string(recovery.StateApplying) || len(h.Inbox.Messages(liPhone)) != sent {
		t.Errorf("a case that is %s sent a code, or moved to token %d", row.State, row.TokenSerial)
	}
}

// A case that a disavowal opened for staff is of no browser.
func TestT01_StaffsCasesAreNotTakenOver(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{faithful})
	d.enrol(li())
	c := d.reset(liPhone, from(1)).prove("phone", "sms-code", liPhone)
	d.check(c.outcome(goodPassword))
	d.settle()
	d.pressAtOnce(d.token(liEmail))
	var ref string
	d.check(d.raw().QueryRowContext(ctx, `SELECT ref FROM cases WHERE state = 'in_review'`).Scan(&ref))
	d.check(d.Advance(time.Hour))
	sent := len(d.Inbox.Messages(liPhone))
	d.takeOver(recovery.CaseRef(ref), from(2)).start("sms-code", "sms-code")
	if got := len(d.Inbox.Messages(liPhone)); got != sent {
		t.Error("a case of no browser sent a code")
	}
}

// A mailed link moves the case to the browser that opens it, not to the one that asked.
func TestT01_ATakeoverByLinkGoesToWhoOpensIt(t *testing.T) {
	bothEngines(t, []string{faithful}, func(t *testing.T, d *desk) {
		d.enrol(li())
		d.reset(liEmail, from(1)).start("email-link", "email-link")
		opened, err := d.Claimant.ConfirmLink(ctx, from(2), d.token(liEmail))
		d.check(err)
		owner := &claim{d: d, from: from(2), who: opened.Credentials, ref: opened.Ref}
		owner.atStep(claimant.StepSecret)
		// The thief who opened the case knows its number; nothing but the link moves it.
		d.check(d.Advance(time.Minute))
		thief := d.takeOver(owner.ref, from(1)).start("email-code", "email-code")
		d.noCode(liEmail)
		want(t, thief.code("123456"), recovery.KindNotProven, "error.code.wrong")
		d.check(d.Advance(time.Minute))
		thief.start("email-link", "email-link")
		owner.atStep(claimant.StepSecret)
		opened, err = d.Claimant.ConfirmLink(ctx, from(3), d.token(liEmail))
		d.check(err)
		now := &claim{d: d, from: from(3), who: opened.Credentials}
		now.atStep(claimant.StepSecret)
		_, err = d.Claimant.View(ctx, thief.from, thief.who)
		want(t, err, recovery.KindUnknown, "error.case.elsewhere")
		owner.lost()
	})
}

// A repeated answer, as after a lost reply, gives the same case again.
func TestARepeatedProofOfATakeoverGivesTheCaseAgain(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{faithful})
	d.enrol(li())
	old := d.reset(liPhone, from(1)).prove("phone", "sms-code", liPhone)
	d.check(d.Advance(time.Minute))
	fresh := d.takeOver(old.ref, from(2)).start("sms-code", "sms-code")
	challenge, code := fresh.live(), map[string]string{"code": d.code(liPhone)}
	fresh.from.Key = "one-press-of-the-button"
	first, err := d.Claimant.Answer(ctx, fresh.from, fresh.who, challenge, code)
	d.check(err)
	second, err := d.Claimant.Answer(ctx, fresh.from, fresh.who, challenge, code)
	d.check(err)
	if first.Moved == nil || second.Moved == nil || *first.Moved != *second.Moved {
		t.Errorf("%v, then %v", first.Moved, second.Moved)
	}
	if got := old.row().TokenSerial; got != 2 {
		t.Errorf("it moved to token %d", got)
	}
}

// The device that a lost reply named is the one that the repeat names and that was noted.
func TestARepeatedOutcomeNamesTheDeviceThatWasNoted(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{hardened})
	d.enrol(li())
	c := d.reset(liPhone, from(1)).prove("phone", "sms-code", liPhone)
	d.check(d.Advance(24 * time.Hour))
	c.from.Key = "one-press-of-the-button"
	first, err := d.Claimant.TakeOutcome(ctx, c.from, c.who, goodPassword)
	d.check(err)
	second, err := d.Claimant.TakeOutcome(ctx, c.from, c.who, goodPassword)
	d.check(err)
	id, _, _ := strings.Cut(second.Device, "~")
	if first.Device != second.Device || d.number(`SELECT count(*) FROM account_devices WHERE device = '`+id+`'`) != 1 {
		t.Errorf("%s, then %s", first.Device, second.Device)
	}
}
