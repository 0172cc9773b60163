package storybook

import (
	"context"
	"embed"
	"fmt"
	"regexp"
	"time"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/channel"
	"github.com/wanbi/wanbi/internal/demo"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/secret"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

//go:embed realms/*.yaml
var realmFiles embed.FS

// The realms of the book: Wanbi's own look, and another brand's.
const (
	ours  = "qingchuan"
	label = "yunfan"
)

// began is when the clock of every stage starts: 1 March 2026, 09:00 in Beijing.
var began = time.Date(2026, 3, 1, 1, 0, 0, 0, time.UTC)

// cheap makes Argon2id cost next to nothing: nothing on a stage is worth guarding.
var cheap = secret.Params{Memory: 64, Time: 1, Threads: 1}

// stage is one demo server on which the scenes are played, one after another, in
// one language and one size of text.
type stage struct {
	*demo.Demo
	ctx               context.Context
	locale            string
	larger            bool
	people, residents int // how many so far
}

func newStage(ctx context.Context, locale string, larger bool) (*stage, error) {
	realms := make([]*policy.Policy, 0, 2)
	for _, name := range []string{ours, label} {
		text, err := realmFiles.ReadFile("realms/" + name + ".yaml")
		if err != nil {
			return nil, err
		}
		p, err := policy.Load(name, text, channel.Catalogue())
		if err != nil {
			return nil, err
		}
		realms = append(realms, p)
	}
	d, err := demo.New(ctx, demo.Options{
		Origin: origin, Realms: realms, Hash: cheap, Base: func() time.Time { return began },
	})
	if err != nil {
		return nil, err
	}
	return &stage{Demo: d, ctx: ctx, locale: locale, larger: larger}, nil
}

// actor is one made-up person with an account of their own and a browser.
type actor struct {
	*visitor
	stage *stage
	realm string
	account.Record
}

// visitor gives a browser that has chosen the stage's language and size of text.
func (s *stage) visitor() *visitor {
	s.people++
	v := newVisitor(s.Handler(), fmt.Sprintf("198.18.%d.1:1", s.people), func() error { return s.Server.Settle(s.ctx) })
	v.open("/?lang=" + s.locale)
	if s.larger {
		v.open("/?text=larger")
	}
	return v
}

// actor brings a new account into a realm. change, when given, alters it first.
func (s *stage) actor(realm string, change ...func(*account.Record)) *actor {
	a := &actor{visitor: s.visitor(), stage: s, realm: realm}
	a.Record = account.Record{
		ID: fmt.Sprintf("book-%d", s.people), Phone: fmt.Sprintf("1380000%04d", 2000+s.people),
		Email: fmt.Sprintf("lixiaomei%d@example.cn", s.people), Username: fmt.Sprintf("lixiaomei%d", s.people), Locale: s.locale,
	}
	for _, alter := range change {
		alter(&a.Record)
	}
	a.bring(a.Record)
	return a
}

// bring imports one account.
func (a *actor) bring(r account.Record) {
	results, err := a.stage.Server.Accounts.Import(a.stage.ctx, recovery.Realm(a.realm), []account.Record{r})
	switch {
	case err != nil:
		a.fail("%w", err)
	case results[0].Err != nil:
		a.fail("%w", results[0].Err)
	}
}

func (a *actor) path(rest string) string { return "/" + a.realm + rest }

// begin opens a case about what the actor types.
func (a *actor) begin(intent recovery.Intent, typed string) {
	a.open(a.path("/recover/" + string(intent)))
	a.submit("/recover/"+string(intent), map[string]string{"identifier": typed})
}

// start presses the button of the first way that begins with this channel.
func (a *actor) start(channel string) {
	a.submit("/case/challenge", map[string]string{"channel": channel})
}

// startWay presses the button of one way.
func (a *actor) startWay(way string) { a.submit("/case/challenge", map[string]string{"way": way}) }

// message gives the newest message to the actor's phone or mailbox.
func (a *actor) message(kind recovery.ContactKind) demo.Message {
	to := "+86" + a.Phone
	if kind == recovery.ContactEmail {
		to = a.Email
	}
	m, ok := a.stage.Inbox.Last(kind, to)
	if !ok {
		a.fail("no message came to %s", to)
	}
	return m
}

// answer types the code that came.
func (a *actor) answer(kind recovery.ContactKind) {
	if a.err != nil {
		return
	}
	a.submit("/case/answer", map[string]string{"code": a.message(kind).Code})
}

// provePhone goes from nothing to a proven phone.
func (a *actor) provePhone(intent recovery.Intent) {
	a.begin(intent, a.Phone)
	a.start("sms-code")
	a.answer(recovery.ContactPhone)
}

// follow opens the first link of a message.
func (a *actor) follow(m demo.Message) {
	if a.err != nil {
		return
	}
	if len(m.Links) == 0 {
		a.fail("the message has no link")
		return
	}
	a.open(m.Links[0])
}

// followMail opens the first link of the newest mail.
func (a *actor) followMail() { a.follow(a.message(recovery.ContactEmail)) }

// advance moves the stage's clock.
func (a *actor) advance(by time.Duration) {
	if a.err != nil {
		return
	}
	if err := a.stage.Advance(a.stage.ctx, by); err != nil {
		a.fail("%w", err)
	}
}

// through does something over a changed transport, so that a page is seen which
// passes in a moment or comes with trouble only.
func (a *actor) through(change func(*direct), do func()) {
	usual := a.client.Transport
	d, ok := usual.(direct)
	if !ok {
		a.fail("the visitor has another transport")
		return
	}
	change(&d)
	a.client.Transport = d
	do()
	a.client.Transport = usual
}

// wrongPasswords tries to sign in until the account is locked.
func (a *actor) wrongPasswords(n int) {
	for range n {
		if a.err != nil {
			return
		}
		_, err := a.stage.Server.Accounts.Verify(a.stage.ctx, account.SignIn{
			Realm: recovery.Realm(a.realm), Identifier: a.Phone, Secret: "not-the-password",
		})
		if err != nil {
			a.fail("%w", err)
		}
	}
}

var shownRef = regexp.MustCompile(`<dd class="ref">([0-9A-Z-]+)</dd>`)

// reference is the number on the page of the actor's case.
func (a *actor) reference() string {
	found := shownRef.FindSubmatch(a.page)
	if found == nil {
		a.fail("no reference on the page")
		return ""
	}
	return string(found[1])
}

// become puts the actor's case into a state that nothing on a stage brings about:
// staff have no desk yet to deny one, and the built-in directory confirms at once
// what another host takes its time for. The row is written; the page is the real one.
func (a *actor) become(state recovery.State) {
	ref := a.reference()
	if a.err != nil {
		return
	}
	closed := int64(0)
	if state.Closed() {
		closed = store.Millis(a.stage.Server.Now())
	}
	err := a.stage.Server.DB.Write(a.stage.ctx, func(tx *store.Tx) error {
		at, err := tx.CaseByRef(a.stage.ctx, ref)
		if err != nil {
			return err
		}
		c, err := tx.GetCase(a.stage.ctx, db.GetCaseParams{Subject: at.Subject, ID: at.CaseID})
		if err != nil {
			return err
		}
		return tx.UpdateCase(a.stage.ctx, db.UpdateCaseParams{
			Subject: c.Subject, ID: c.ID, State: string(state), TokenSerial: c.TokenSerial, Device: c.Device,
			AccountID: c.AccountID, AccountEpoch: c.AccountEpoch, KnownDevice: c.KnownDevice, TouchedAt: c.TouchedAt,
			ExpiresAt: c.ExpiresAt, HoldBegan: c.HoldBegan, HoldUntil: c.HoldUntil, ClosedAt: closed,
			Outcome: c.Outcome, ChainSeq: c.ChainSeq, ChainHead: c.ChainHead, Was: c.Version,
		})
	})
	if err != nil {
		a.fail("%w", err)
	}
}
