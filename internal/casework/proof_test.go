package casework_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/claimant"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/testkit"
)

// T1: what was sent for one case counts for no other, though the person, the
// phone and the channel are the same.
func TestT01_AProofOfAnotherCaseNeverCounts(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{faithful})
	d.enrol(li())
	first := d.reset(liPhone).start("phone", "sms-code")
	firstCode, firstID := d.code(liPhone), first.live()
	d.check(d.Advance(time.Minute))
	second := d.reset(liPhone).start("phone", "sms-code")
	secondCode := d.code(liPhone)
	if firstCode != secondCode { // equal one time in a million
		want(t, second.code(firstCode), recovery.KindNotProven, "error.code.wrong")
	}
	want(t, second.answer(firstID, map[string]string{"code": firstCode}), recovery.KindNotFound, "error.challenge.unknown")
	crossed := *second
	crossed.who.Token = first.who.Token
	want(t, crossed.answer(second.live(), map[string]string{"code": secondCode}), recovery.KindUnknown, "error.case.unknown")
	d.check(second.code(secondCode))
	d.check(first.code(firstCode))
}

// T1: two realms are two worlds, though the person is one.
func TestT01_AProofOfAnotherRealmNeverCounts(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{faithful, hardened})
	other := &desk{Server: d.Server, t: t, realm: d.Options.Realms[1].Policy.Realm.ID, creep: d.creep}
	d.enrol(li())
	other.enrol(li())
	a := d.reset(liPhone).start("phone", "sms-code")
	code, challenge := d.code(liPhone), a.live()
	b := other.reset(liPhone).start("phone", "sms-code")
	want(t, b.answer(challenge, map[string]string{"code": code}), recovery.KindNotFound, "error.challenge.unknown")
	if code != d.code(liPhone) {
		want(t, b.code(code), recovery.KindNotProven, "error.code.wrong")
	}
	d.check(a.code(code))
	b.atStep(claimant.StepProve)
}

// T1: an ID or a token made for one purpose is none for another.
func TestT01_ATokenOfAnotherPurposeIsRefused(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{faithful})
	d.enrol(li())
	c := d.reset(liEmail).start("email-link", "email-link")
	link, challenge := d.token(liEmail), c.live()
	for name, wrong := range map[string]string{"the case's ID": c.who.Case, "the link": link, "the token": c.who.Token, "nothing": "", "noise": strings.Repeat("A", 4000)} {
		want(t, c.answer(wrong, map[string]string{"code": "1"}), recovery.KindNotFound, "error.challenge.unknown")
		_, err := d.Claimant.Choose(ctx, c.from, c.who, wrong)
		want(t, err, recovery.KindConflict, "error.choice.unknown")
		if wrong != link {
			_, err = d.Claimant.ConfirmLink(ctx, c.from, wrong)
			want(t, err, recovery.KindNotFound, "error.link.unknown")
		}
		_, err = d.Guest.Act(ctx, wrong)
		want(t, err, recovery.KindNotFound, "error.link.unknown")
		if wrong != c.who.Case {
			_, err = d.Claimant.View(ctx, c.from, claimant.Credentials{Case: wrong, Token: c.who.Token})
			want(t, err, recovery.KindUnknown, "error.case.unknown")
		}
		if wrong != c.who.Token {
			_, err = d.Claimant.View(ctx, c.from, claimant.Credentials{Case: c.who.Case, Token: wrong})
			want(t, err, recovery.KindUnknown, "error.case.unknown")
		}
		if t.Failed() {
			t.Fatal(name)
		}
	}
	want(t, c.answer(challenge, map[string]string{"secret": ""}), recovery.KindNotProven, "error.link.unknown")
}

// T1: "try another way" replaces the challenge; the code that was sent before is worth nothing.
func TestT01_AnotherWayReplacesTheChallenge(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{faithful})
	d.enrol(li())
	c := d.reset(liPhone).start("phone", "sms-code")
	sms, before := d.code(liPhone), c.live()
	c.start("email", "email-code")
	want(t, c.answer(before, map[string]string{"code": sms}), recovery.KindGone, "error.code.expired")
	if sms != d.code(liEmail) {
		want(t, c.code(sms), recovery.KindNotProven, "error.code.wrong")
	}
	d.check(c.code(d.code(liEmail)))
	if n := d.number(`SELECT count(*) FROM challenges WHERE consumed_at = 0`); n != 0 {
		t.Errorf("%d challenges are live", n)
	}
}

// T1: what one account can prove does not help a case of another.
func TestT01_EvidenceOfOneAccountNeverHelpsAnother(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{faithful})
	mei := account.Record{ID: "mei", Phone: "13800001234", Username: "limei", RealName: "李梅", ResidentID: "110101199003070011"}
	ids := d.enrol(li(), mei)
	liCodes := d.backupCodes(ids[0])
	meiCode := d.backupCodes(ids[1])[0]

	// Li's own code in a case about Mei's name.
	c := d.reset("limei").start("backup-code", "backup-code")
	want(t, c.code(liCodes[0]), recovery.KindNotProven, "error.backup-code.wrong")
	d.check(c.code(meiCode))

	// The family's phone answers to both, so a code of either account waits for the choice.
	shared := d.reset(liPhone).start("backup-code", "backup-code")
	want(t, shared.code(liCodes[1]), recovery.KindNotProven, "error.backup-code.wrong")
	shared.prove("phone", "sms-code", liPhone)
	shared.atStep(claimant.StepChoose)
	want(t, shared.tryStart("phone-and-name", "real-name"), recovery.KindConflict, "error.way.closed")

	// Mei's facts in a case of Li's.
	accounts := shared.view().Accounts
	i := slices.IndexFunc(accounts, func(a claimant.AccountView) bool {
		return slices.ContainsFunc(a.Identifiers, func(m claimant.MaskedIdentifier) bool { return m.Value == "liwei" })
	})
	_, err := d.Claimant.Choose(ctx, shared.from, shared.who, accounts[i].Choice)
	d.check(err)
	if got := shared.row().AccountID; got != string(ids[0]) {
		t.Fatal("another account was bound than the chosen one")
	}
	_, err = d.Claimant.Choose(ctx, shared.from, shared.who, accounts[1-i].Choice)
	want(t, err, recovery.KindConflict, "error.choice.unknown") // final
	own := d.open(recovery.IntentFindAccount, "11010519491231002X")
	d.check(d.Advance(time.Minute))
	own.prove("resident-id-and-phone", "sms-code", liPhone).start("resident-id-and-phone", "real-name")
	want(t, own.answer(own.live(), map[string]string{"name": "李梅", "resident-id": "110101199003070011"}), recovery.KindNotProven, "error.answer.wrong")
	d.check(own.answer(own.live(), map[string]string{"name": "李伟", "resident-id": "11010519491231002X"}))
}

// T1: a choice is one of this case's candidates, and a closed case chooses nothing.
func TestT01_AChoiceOfAnotherCaseNeverCounts(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{faithful})
	ids := d.enrol(li(), account.Record{ID: "mei", Phone: "13800001234", Username: "limei"}, account.Record{ID: "wang", Phone: "13800005555"})
	c := d.reset(liPhone).prove("phone", "sms-code", liPhone)
	row := c.row()
	for _, subject := range []string{row.Subject, strings.Repeat("ab", 16)} {
		foreign, err := d.Keys.SealID("choice", subject, string(ids[2]), nil)
		d.check(err)
		_, err = d.Claimant.Choose(ctx, c.from, c.who, foreign)
		want(t, err, recovery.KindConflict, "error.choice.unknown")
	}
	choice := c.view().Accounts[0].Choice
	d.check(c.cancel())
	_, err := d.Claimant.Choose(ctx, c.from, c.who, choice)
	want(t, err, recovery.KindConflict, "error.case.closed")
	if got := c.row(); got.AccountID != "" || got.State != string(recovery.StateCancelled) {
		t.Errorf("a cancelled case moved: %s, account %q", got.State, got.AccountID)
	}
}

// T1, T24: an e-mailed link moves the case: the opener's token, and whoever
// planted it, have lost it.
func TestT01_ALinkMovesTheCaseAndRevokesTheOpener(t *testing.T) {
	bothEngines(t, []string{faithful}, func(t *testing.T, d *desk) {
		d.enrol(li())
		stranger := d.reset(liEmail, from(1)).start("email-link", "email-link")
		token := d.token(liEmail)
		opened, err := d.Claimant.ConfirmLink(ctx, from(2), token)
		d.check(err)
		_, err = d.Claimant.View(ctx, stranger.from, stranger.who)
		want(t, err, recovery.KindUnknown, "error.case.elsewhere")
		want(t, stranger.outcome(goodPassword), recovery.KindUnknown, "error.case.elsewhere")
		want(t, stranger.cancel(), recovery.KindUnknown, "error.case.elsewhere")
		_, err = d.Claimant.ConfirmLink(ctx, from(3), token)
		want(t, err, recovery.KindGone, "error.link.expired")
		owner := &claim{d: d, from: from(2), who: opened.Credentials}
		owner.atStep(claimant.StepSecret)
	})
}

// T1: a link opened after its case was stopped proves nothing.
func TestT01_ALinkOfACancelledCaseIsDead(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{faithful})
	d.enrol(li())
	c := d.reset(liEmail).start("email-link", "email-link")
	token := d.token(liEmail)
	d.check(c.cancel())
	view, err := d.Claimant.Link(ctx, token)
	d.check(err)
	if view.Live {
		t.Error("the link of a cancelled case looks live")
	}
	_, err = d.Claimant.ConfirmLink(ctx, from(2), token)
	want(t, err, recovery.KindConflict, "error.case.closed")
}

// T2: exactly one address, and mail goes to the one on file, byte for byte.
func TestT02_AnIdentifierIsOneAddressAndMailGoesToTheOneOnFile(t *testing.T) {
	bothEngines(t, []string{faithful}, func(t *testing.T, d *desk) {
		d.enrol(li())
		for _, typed := range []string{
			"li@example.cn,evil@example.com", "li@example.cn;evil@example.com", "li@example.cn evil@example.com",
			"li@example.cn\r\nBcc: evil@example.com", "li@example.cn\nevil@example.com", "li@example.cn\x00", "li@example.cn\t",
			"<li@example.cn>", `"li"@example.cn`, "li@example.cn@example.com", "li@[127.0.0.1]", "li%evil.com@example.cn", "evil!li@example.cn",
			`["li@example.cn","evil@example.com"]`, "lі@example.cn", "li@exаmple.cn", "li@xn--exmple-4nf.cn", "l\u200bi@example.cn", "li@example。cn.",
			"13800001234,13900009999", "13800001234\n13900009999", "13800001234;ext=1", "13800001234 ext 5", strings.Repeat("a", 64<<10) + "@example.cn",
		} {
			_, err := d.tryOpen(recovery.IntentResetPassword, typed)
			if !recovery.IsKind(err, recovery.KindBadInput) {
				t.Errorf("%.60q: %v", typed, err)
			}
		}
		for i, typed := range []string{"LI@EXAMPLE.CN", " li@example.cn ", "li@ExAmple.cn"} {
			d.reset(typed, from(50+i)).start("email", "email-code")
			d.check(d.Advance(time.Minute))
		}
		for i, typed := range []string{"liwei", "ＬＩＷＥＩ", "11010519491231002x"} {
			d.reset(typed, from(60+i)).start("phone", "sms-code")
			d.check(d.Advance(time.Minute))
		}
		if e, p := len(d.Inbox.Messages(liEmail)), len(d.Inbox.Messages(liPhone)); e != 3 || p != 3 {
			t.Errorf("%d mails and %d texts to what is on file, want 3 and 3", e, p)
		}
		for _, other := range []string{"evil@example.com", "LI@EXAMPLE.CN", " li@example.cn ", "li.old@example.cn"} {
			if got := d.Inbox.Messages(other); len(got) > 0 {
				t.Errorf("%q was sent %d messages", other, len(got))
			}
		}
	})
}
