package storybook

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/recovery"
)

// scene is one page: what it is called and how a person comes to it.
type scene struct {
	name    string // of its file
	title   string // for the index
	heading string // key of the words that the page has to be headed by
	play    func(*stage) *visitor
}

// chapter is a part of the book.
type chapter struct {
	title  string
	scenes []scene
}

// asClaimant is a scene that somebody with a new account of our realm plays.
func asClaimant(act func(*actor)) func(*stage) *visitor {
	return func(s *stage) *visitor {
		a := s.actor(ours)
		act(a)
		return a.visitor
	}
}

// chapters are all scenes in the order they are played. Those that move the
// clock stand last within theirs.
func chapters() []chapter {
	return []chapter{
		{"Start", startScenes()},
		{"Prove", proveScenes()},
		{"Wait and stop", holdScenes()},
		{"Get it back", outcomeScenes()},
		{"Links in messages", linkScenes()},
		{"On another device", takeoverScenes()},
		{"Help", helpScenes()},
		{"White label", labelScenes()},
		{"Nothing more to do here", closedScenes()},
		{"Errors", errorScenes()},
	}
}

func startScenes() []scene {
	return []scene{
		{"front", "Which service", "page.front.heading", func(s *stage) *visitor { v := s.visitor(); v.open("/"); return v }},
		{"start", "Start", "page.start.heading", asClaimant(func(a *actor) { a.open(a.path("/recover")) })},
		{"start-resume", "Start, with a request in progress", "page.start.heading", asClaimant(func(a *actor) {
			a.begin(recovery.IntentResetPassword, a.Phone)
			a.open(a.path("/recover"))
		})},
		{"find", "Find: forgotten password", "page.find.heading", asClaimant(func(a *actor) { a.open(a.path("/recover/reset-password")) })},
		{"find-account", "Find: forgotten account", "page.find.heading", asClaimant(func(a *actor) { a.open(a.path("/recover/find-account")) })},
		{"find-wrong", "Find: what was typed is no identifier", "page.find.heading", asClaimant(func(a *actor) {
			a.begin(recovery.IntentResetPassword, "1380000")
		})},
	}
}

// takeoverScenes carry a case to another browser.
func takeoverScenes() []scene {
	moved := func(act func(*actor)) func(*stage) *visitor {
		return asClaimant(func(a *actor) {
			a.provePhone(recovery.IntentResetPassword)
			ref := a.reference()
			a.visitor = a.stage.visitor()
			a.open(a.path("/takeover"))
			a.submit("/takeover", map[string]string{"ref": ref})
			act(a)
		})
	}
	return []scene{
		{"takeover", "Go on by the reference number", "page.takeover.heading", asClaimant(func(a *actor) { a.open(a.path("/takeover")) })},
		{"takeover-wrong", "Go on by the reference number: mistyped", "page.takeover.heading", asClaimant(func(a *actor) {
			a.open(a.path("/takeover"))
			a.submit("/takeover", map[string]string{"ref": "123"})
		})},
		{"takeover-ways", "Prove it again", "page.takeover.ways.heading", moved(func(*actor) {})},
		{"takeover-prove", "Prove it again: code", "page.prove.code.heading", moved(func(a *actor) { a.start("sms-code") })},
	}
}

func proveScenes() []scene {
	begun := func(act func(*actor)) func(*stage) *visitor {
		return asClaimant(func(a *actor) {
			a.begin(recovery.IntentResetPassword, a.Phone)
			act(a)
		})
	}
	named := func(act func(*actor)) func(*stage) *visitor {
		return func(s *stage) *visitor {
			a := s.actor(ours, resident(s))
			a.begin(recovery.IntentFindAccount, a.ResidentID)
			act(a)
			return a.visitor
		}
	}
	proven := func(a *actor) {
		a.start("sms-code")
		a.answer(recovery.ContactPhone)
	}
	return []scene{
		{"ways", "Ways", "page.ways.heading", begun(func(*actor) {})},
		{"ways-again", "Ways, while a check waits", "page.ways.heading", begun(func(a *actor) {
			a.start("sms-code")
			a.open(a.path("/case/ways"))
		})},
		{"ways-half", "Ways, one of two proven", "page.ways.heading", named(proven)},
		{"prove-sms", "Code by text message", "page.prove.code.heading", begun(func(a *actor) { a.start("sms-code") })},
		{"prove-sms-wrong", "Code by text message: wrong", "page.prove.code.heading", begun(func(a *actor) {
			a.start("sms-code")
			a.submit("/case/answer", map[string]string{"code": "000000"})
		})},
		{"prove-email", "Code by email", "page.prove.code.heading", begun(func(a *actor) { a.start("email-code") })},
		{"prove-link", "Link by email", "page.prove.link.heading", begun(func(a *actor) { a.start("email-link") })},
		{"prove-backup", "Backup code", "page.prove.backup.heading", begun(func(a *actor) {
			a.start("sms-code")
			a.open(a.path("/case/ways"))
			a.start("backup-code")
		})},
		{"prove-backup-wrong", "Backup code: wrong", "page.prove.backup.heading", begun(func(a *actor) {
			a.start("backup-code")
			a.submit("/case/answer", map[string]string{"code": "AAAA-AAAA-AAAA"})
		})},
		{"prove-name", "Name and ID", "page.prove.name.heading", named(func(a *actor) { proven(a); a.start("real-name") })},
		{"prove-name-wrong", "Name and ID: no match", "page.prove.name.heading", named(func(a *actor) {
			proven(a)
			a.start("real-name")
			a.submit("/case/answer", map[string]string{"name": "王芳", "resident-id": "110101190003070010"})
		})},
		{"choose", "Which of several accounts", "page.choose.heading", twoAccounts(func(*actor) {})},
		{"choose-wrong", "Which of several accounts: none chosen", "page.choose.heading", twoAccounts(func(a *actor) { a.submit("/case/choose", nil) })},
		{"prove-sms-expired", "Code by text message: expired", "page.prove.code.heading", begun(func(a *actor) {
			a.start("sms-code")
			a.advance(6 * time.Minute)
			a.open(a.path("/case"))
		})},
		{"prove-link-expired", "Link by email: expired", "page.prove.link.heading", begun(func(a *actor) {
			a.start("email-link")
			a.advance(11 * time.Minute)
			a.open(a.path("/case"))
		})},
	}
}

// residentIDs are well formed, and whoever has one would be over a hundred years old.
var residentIDs = []string{"110101190805120024", "11010119080513002X", "110101190805140025", "110101190805150020"}

// resident gives an account a real name and the next resident ID.
func resident(s *stage) func(*account.Record) {
	return func(r *account.Record) {
		r.RealName, r.ResidentID = "李小梅", residentIDs[s.residents%len(residentIDs)]
		s.residents++
	}
}

// twoAccounts is a phone on two accounts, proven.
func twoAccounts(act func(*actor)) func(*stage) *visitor {
	return func(s *stage) *visitor {
		a := s.actor(ours)
		second := a.Record
		second.ID, second.Email, second.Username = a.ID+"-shop", "shop-"+a.Email, a.Username+"-shop"
		a.bring(second)
		a.provePhone(recovery.IntentResetPassword)
		act(a)
		return a.visitor
	}
}

func holdScenes() []scene {
	held := func(act func(*actor)) func(*stage) *visitor {
		return asClaimant(func(a *actor) {
			a.provePhone(recovery.IntentResetPassword)
			act(a)
		})
	}
	return []scene{
		{"held", "Waiting period", "page.wait.heading", held(func(*actor) {})},
		{"held-later", "Waiting period, half over", "page.wait.heading", held(func(a *actor) {
			a.advance(11 * time.Hour)
			a.open(a.path("/case"))
		})},
		{"held-prove", "Waiting period, proving more", "page.wait.heading", held(func(a *actor) { a.startWay("backup-and-phone") })},
		{"cancel", "Cancel?", "page.cancel.heading", held(func(a *actor) { a.open(a.path("/case/cancel")) })},
		{"stopped", "Cancelled", "page.stopped.heading", held(func(a *actor) {
			a.open(a.path("/case/cancel"))
			a.submit("/case/cancel", nil)
		})},
		{"notice", "From a notice: was this you?", "page.guest.heading", held((*actor).followMail)},
		{"notice-kept", "From a notice: it was me", "page.guest.kept.heading", held(func(a *actor) {
			a.followMail()
			a.submit("/cancel", nil, "answer", "mine")
		})},
		{"notice-cancelled", "From a notice: cancelled", "page.stopped.heading", held(func(a *actor) {
			a.followMail()
			a.submit("/cancel", nil, "answer", "stop")
		})},
	}
}

// fresh is a password that every realm of the book takes.
const fresh = "correct Jade returned whole 2026"

func outcomeScenes() []scene {
	locked := func(act func(*actor)) func(*stage) *visitor {
		return asClaimant(func(a *actor) {
			a.wrongPasswords(5)
			a.provePhone(recovery.IntentUnlock)
			act(a)
		})
	}
	found := func(act func(*actor)) func(*stage) *visitor {
		return asClaimant(func(a *actor) {
			a.provePhone(recovery.IntentFindAccount)
			act(a)
		})
	}
	waited := func(act func(*actor)) func(*stage) *visitor {
		return asClaimant(func(a *actor) {
			a.provePhone(recovery.IntentResetPassword)
			a.advance(24 * time.Hour)
			a.open(a.path("/case"))
			act(a)
		})
	}
	set := func(password string) func(*actor) {
		return func(a *actor) { a.submit("/case/outcome", map[string]string{"password": password}) }
	}
	return []scene{
		{"account", "Show the account", "page.account.heading", found(func(*actor) {})},
		{"done-account", "Done: the account", "page.done.heading.find-account", found(func(a *actor) {
			a.submit("/case/outcome", nil)
			a.open(a.path("/case"))
		})},
		{"unlock", "Lift the lock", "page.unlock.heading", locked(func(*actor) {})},
		{"done-unlock", "Done: unlocked", "page.done.heading.unlock", locked(func(a *actor) {
			a.submit("/case/outcome", nil)
			a.open(a.path("/case"))
		})},
		{"person-only", "No way is left but a person", "page.person.heading", func(s *stage) *visitor {
			a := s.actor(ours, func(r *account.Record) { r.Locked = "violation" })
			a.provePhone(recovery.IntentUnlock)
			return a.visitor
		}},
		{"person", "A person has to look", "page.person.heading", func(s *stage) *visitor {
			a := s.actor(ours, func(r *account.Record) { r.Locked = "violation" })
			a.provePhone(recovery.IntentResetPassword)
			a.advance(24 * time.Hour)
			a.open(a.path("/case"))
			return a.visitor
		}},
		{"secret", "New password", "page.secret.heading", waited(func(*actor) {})},
		{"secret-wrong", "New password: too short", "page.secret.heading", waited(set("short"))},
		{"applying", "Taking effect", "page.applying.heading", waited(func(a *actor) {
			a.become(recovery.StateApplying)
			a.open(a.path("/case"))
		})},
		{"done", "Done: secured", "page.done.heading", waited(func(a *actor) {
			set(fresh)(a)
			a.open(a.path("/case"))
		})},
		{"notice-disavow", "From a notice: it is done already", "page.guest.heading", waited(func(a *actor) {
			set(fresh)(a)
			a.followMail()
		})},
		{"notice-frozen", "From a notice: frozen", "page.guest.frozen.heading", waited(func(a *actor) {
			set(fresh)(a)
			a.followMail()
			a.submit("/cancel", nil, "answer", "stop")
		})},
	}
}

func linkScenes() []scene {
	mailed := func(act func(*actor)) func(*stage) *visitor {
		return asClaimant(func(a *actor) {
			a.begin(recovery.IntentResetPassword, a.Email)
			a.start("email-link")
			a.followMail()
			act(a)
		})
	}
	return []scene{
		{"link", "From a mailed link: continue here?", "page.link.heading", mailed(func(*actor) {})},
		{"link-dead", "From a mailed link: used already", "page.link.dead", mailed(func(a *actor) {
			mail := a.message(recovery.ContactEmail)
			a.submit("/link", nil)
			a.follow(mail)
		})},
	}
}

func helpScenes() []scene {
	page := func(path string) func(*stage) *visitor {
		return asClaimant(func(a *actor) { a.open(a.path(path)) })
	}
	return []scene{{"help", "Help", "page.help.heading", page("/help")}, {"safety", "Staying safe", "page.safety.heading", page("/safety")}}
}

func labelScenes() []scene {
	shopper := func(act func(*actor)) func(*stage) *visitor {
		return func(s *stage) *visitor {
			a := s.actor(label)
			act(a)
			return a.visitor
		}
	}
	proven := func(act func(*actor)) func(*stage) *visitor {
		return shopper(func(a *actor) {
			a.provePhone(recovery.IntentResetPassword)
			act(a)
		})
	}
	return []scene{
		{"label-start", "Start", "page.start.heading", shopper(func(a *actor) { a.open(a.path("/recover")) })},
		{"label-ways", "Ways", "page.ways.heading", shopper(func(a *actor) { a.begin(recovery.IntentResetPassword, a.Phone) })},
		{"label-prove", "Code: wrong", "page.prove.code.heading", shopper(func(a *actor) {
			a.begin(recovery.IntentResetPassword, a.Phone)
			a.start("sms-code")
			a.submit("/case/answer", map[string]string{"code": "000000"})
		})},
		{"label-secret", "New password of several kinds of characters", "page.secret.heading", proven(func(*actor) {})},
		{"label-done", "Done", "page.done.heading", proven(func(a *actor) {
			a.submit("/case/outcome", map[string]string{"password": fresh})
			a.open(a.path("/case"))
		})},
		{"label-help", "Help", "page.help.heading", shopper(func(a *actor) { a.open(a.path("/help")) })},
	}
}

func closedScenes() []scene {
	return []scene{
		{"denied", "Not approved", "page.denied.heading", func(s *stage) *visitor {
			a := s.actor(ours, func(r *account.Record) { r.Locked = "violation" })
			a.provePhone(recovery.IntentUnlock)
			a.become(recovery.StateDenied)
			a.open(a.path("/case"))
			return a.visitor
		}},
		{"expired", "Expired", "page.expired.heading", asClaimant(func(a *actor) {
			a.provePhone(recovery.IntentResetPassword)
			a.advance(8 * 24 * time.Hour)
			a.open(a.path("/case"))
		})},
		{"notice-over", "From a notice: nothing to do any more", "page.guest.over.heading", asClaimant(func(a *actor) {
			a.provePhone(recovery.IntentResetPassword)
			a.advance(8 * 24 * time.Hour)
			a.followMail()
		})},
	}
}

func errorScenes() []scene {
	return []scene{
		{"error-not-found", "404: no such page", "page.error.not-found.heading", asClaimant(func(a *actor) { a.open(a.path("/nowhere")) })},
		{"error-no-realm", "404: no such service", "page.error.not-found.heading", asClaimant(func(a *actor) { a.open("/nobody/recover") })},
		{"error-no-case", "401: a request that this browser does not know", "page.takeover.lost", asClaimant(func(a *actor) { a.open(a.path("/case")) })},
		{"error-no-link", "404: a link that is none of ours", "page.error.not-found.heading", asClaimant(func(a *actor) { a.open(a.path("/cancel/none-of-ours")) })},
		{"error-elsewhere", "403: a form from another site", "page.error.forbidden.heading", asClaimant(func(a *actor) { a.fromElsewhere() })},
		{"error-limited", "429: too many tries", "page.error.limited.heading", asClaimant(func(a *actor) {
			a.begin(recovery.IntentResetPassword, a.Phone)
			a.start("sms-code")
			for range 5 {
				a.submit("/case/answer", map[string]string{"code": "000000"})
			}
			a.submit("/case/answer", map[string]string{"code": "000001"})
		})},
		{"error-network", "429: too many requests from one network", "page.error.limited.heading", asClaimant(func(a *actor) {
			for range 21 {
				a.begin(recovery.IntentResetPassword, a.Phone)
			}
		})},
		{"error-away", "503: the database does not answer in time", "page.error.unavailable.heading", asClaimant(func(a *actor) {
			a.begin(recovery.IntentResetPassword, a.Phone)
			a.through(func(d *direct) { d.late = true }, func() { a.open(a.path("/case")) })
		})},
	}
}

// fromElsewhere posts a form as another site's page would.
func (a *actor) fromElsewhere() {
	if a.err != nil {
		return
	}
	r, err := http.NewRequestWithContext(a.stage.ctx, http.MethodPost, origin+a.path("/recover/reset-password"),
		strings.NewReader(url.Values{"identifier": {a.Phone}}.Encode()))
	if err != nil {
		a.fail("%w", err)
		return
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	a.keep(a.client.Do(r))
}
