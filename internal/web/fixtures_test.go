package web

import (
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/wanbi/wanbi/internal/claimant"
	"github.com/wanbi/wanbi/internal/guest"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
)

var noon = time.Date(2026, 3, 4, 4, 0, 0, 0, time.UTC)

// tongPolicy is a realm with everything on its pages.
func tongPolicy() *policy.Policy {
	return &policy.Policy{
		Realm: policy.RealmSection{
			ID: "tong", Name: policy.Text{"zh-CN": "一窗通", "en": "One Window"},
			Accent: "#0b6b4f", Locale: "zh-CN", SignIn: "https://sign-in.example/",
			Logo: `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path d="M0 8L4 0l4 8z"/></svg>`,
		},
		Identifiers: []recovery.IdentifierKind{
			recovery.IdentifierPhone, recovery.IdentifierEmail, recovery.IdentifierUsername,
		},
		Intents: map[recovery.Intent]*policy.IntentSection{
			recovery.IntentResetPassword: {}, recovery.IntentFindAccount: {}, recovery.IntentUnlock: {},
		},
		Help: policy.HelpSection{
			Phone:   "010-5555 0100",
			Hours:   policy.Text{"zh-CN": "工作日 9:00 到 18:00", "en": "Working days, 9:00 to 18:00"},
			Prepare: policy.Text{"zh-CN": "身份证和受理编号", "en": "Your identity card and the reference number"},
		},
	}
}

// barePolicy is a realm that says as little as it may.
func barePolicy() *policy.Policy {
	return &policy.Policy{
		Realm:       policy.RealmSection{ID: "bare", Name: policy.Text{"zh-CN": "小站", "en": "Small Site"}},
		Identifiers: []recovery.IdentifierKind{recovery.IdentifierEmail},
		Intents:     map[recovery.Intent]*policy.IntentSection{recovery.IntentResetPassword: {}},
	}
}

func testConfig() Config {
	realms := map[recovery.Realm]*policy.Policy{"tong": tongPolicy(), "bare": barePolicy()}
	return Config{
		Realm:  func(realm recovery.Realm) (*policy.Policy, bool) { p, ok := realms[realm]; return p, ok },
		Realms: func() []recovery.Realm { return []recovery.Realm{"tong", "bare"} },
		Now:    func() time.Time { return noon },
	}
}

// fixtureVisit is a GET of a realm's page; realm may be empty.
func fixtureVisit(realm recovery.Realm, locale string) (*visit, *httptest.ResponseRecorder) {
	cfg := testConfig()
	cfg.Log, cfg.Network = discard, peer
	recorder := httptest.NewRecorder()
	v := &visit{
		site: &site{cfg}, w: recorder, r: httptest.NewRequest(http.MethodGet, "/"+string(realm), nil),
		now: noon, locale: locale, realm: realm,
	}
	v.policy, _ = cfg.Realm(realm)
	return v, recorder
}

// fixture is one page of the gallery.
type fixture struct {
	name  string
	realm recovery.Realm
	show  func(*visit) error
}

func baseView(step claimant.Step, state recovery.State) claimant.CaseView {
	return claimant.CaseView{
		Case: "case-1", Ref: "W7K2-9QX4", Realm: "tong", Intent: recovery.IntentResetPassword,
		State: state, Turn: state.Turn(), Step: step,
		Identifier: "138****1234", IdentifierKind: recovery.IdentifierPhone,
		OpenedAt: noon.Add(-3 * time.Minute), ExpiresAt: noon.Add(24 * time.Hour),
	}
}

func waysView() claimant.CaseView {
	view := baseView(claimant.StepWays, recovery.StateOpen)
	view.Ways = []claimant.WayView{
		{Name: "sms", Channels: []claimant.ChannelView{{Name: "sms-code", Open: true}}, Hold: 24 * time.Hour},
		{Name: "email-link", Channels: []claimant.ChannelView{{Name: "email-link", Open: true}}},
		{
			Name: "sms-real-name", Hold: 0,
			Channels: []claimant.ChannelView{{Name: "sms-code", Open: true}, {Name: "real-name"}},
		},
		{
			Name: "email-backup", Hold: time.Hour,
			Label:    map[string]string{"zh-CN": "邮箱和备用码一起用", "en": "Mailbox and backup code together"},
			Channels: []claimant.ChannelView{{Name: "email-code", Proven: true}, {Name: "backup-code", Open: true}},
		},
		{Name: "person", Person: true},
	}
	return view
}

func takeoverView(channels ...string) claimant.CaseView {
	view := baseView(claimant.StepWays, recovery.StateOpen)
	view.Intent, view.Identifier, view.IdentifierKind = recovery.IntentTakeover, string(view.Ref), recovery.IdentifierCaseRef
	for _, name := range channels {
		view.Ways = append(view.Ways, claimant.WayView{Name: name, Channels: []claimant.ChannelView{{Name: name, Open: true}}})
	}
	return view
}

func restView() claimant.CaseView {
	view := takeoverView()
	view.Ways = []claimant.WayView{{
		Name: "takeover", Channels: []claimant.ChannelView{{Name: "sms-code", Proven: true, Open: true}, {Name: "real-name", Open: true}},
	}}
	return view
}

func takeoverProveView() claimant.CaseView {
	view := takeoverView("sms-code")
	view.Step, view.Challenge = claimant.StepProve, proveView("sms-code", 6).Challenge
	return view
}

func proveView(channel string, digits int) claimant.CaseView {
	view := waysView()
	view.Step = claimant.StepProve
	view.Challenge = &claimant.ChallengeView{
		ID: "challenge-1", Way: "sms", Channel: channel, Digits: digits,
		SentAt: noon, ExpiresAt: noon.Add(5 * time.Minute), ResendAt: noon.Add(time.Minute),
	}
	return view
}

func expiredView(channel string, digits int) claimant.CaseView {
	view := proveView(channel, digits)
	view.Challenge.Expired = true
	return view
}

func chooseView() claimant.CaseView {
	view := baseView(claimant.StepChoose, recovery.StateOpen)
	view.Accounts = []claimant.AccountView{
		{Choice: "a", Identifiers: []claimant.MaskedIdentifier{
			{Kind: recovery.IdentifierUsername, Value: "li***i"}, {Kind: recovery.IdentifierEmail, Value: "l***@example.cn"},
		}},
		{Choice: "b", Identifiers: []claimant.MaskedIdentifier{
			{Kind: recovery.IdentifierUsername, Value: "wei***8"},
		}, Locks: []recovery.LockReason{recovery.LockDormant}},
		{Choice: "c"},
	}
	return view
}

func waitView() claimant.CaseView {
	view := baseView(claimant.StepWait, recovery.StateHeld)
	view.HoldBegan, view.HoldUntil = noon, noon.Add(24*time.Hour)
	view.Notified = []string{"138****1234", "l***@example.cn"}
	return view
}

func shorterView() claimant.CaseView {
	view := waitView()
	view.Ways = []claimant.WayView{{
		Name: "sms-real-name",
		Channels: []claimant.ChannelView{
			{Name: "sms-code", Proven: true, Open: true}, {Name: "real-name", Open: true},
		},
	}}
	return view
}

func waitProveView() claimant.CaseView {
	view := shorterView()
	view.Challenge = proveView("real-name", 0).Challenge
	return view
}

func secretView(profile string, classes int) claimant.CaseView {
	view := baseView(claimant.StepSecret, recovery.StateHeld)
	view.Secret = &claimant.SecretView{Profile: profile, MinLength: 8, MaxLength: 64, Classes: classes}
	return view
}

func lockedView(step claimant.Step, state recovery.State) claimant.CaseView {
	view := baseView(step, state)
	view.Intent = recovery.IntentUnlock
	view.Locks = []claimant.LockView{
		{Reason: recovery.LockTooManyFailures, Until: noon.Add(2 * time.Hour), Clears: true},
		{Reason: recovery.LockViolation},
	}
	return view
}

func doneView(intent recovery.Intent) claimant.CaseView {
	view := baseView(claimant.StepDone, recovery.StateCompleted)
	view.Intent = intent
	view.Done = []claimant.TaskView{
		{Key: "task.sessions-ended", Done: true, At: noon},
		{Key: "task.contacts-told", Done: true, At: noon},
		{Key: "task.sign-in-again"},
		{Key: "task.review-phone"},
		{Key: "task.review-backup-codes"},
		{Key: "task.record"},
	}
	if intent == recovery.IntentFindAccount {
		view.Done = view.Done[5:]
		view.Accounts = []claimant.AccountView{{Identifiers: []claimant.MaskedIdentifier{
			{Kind: recovery.IdentifierUsername, Value: "lixiaomei"}, {Kind: recovery.IdentifierPhone, Value: "13800001234"},
		}}}
	}
	return view
}

func stillLockedView() claimant.CaseView {
	view := doneView(recovery.IntentResetPassword)
	view.Locks = []claimant.LockView{{Reason: recovery.LockRiskAlarm}}
	return view
}

func ofCase(view claimant.CaseView) func(*visit) error {
	return func(v *visit) error { return v.caseAt(http.StatusOK, view, nil) }
}

func wrong(view claimant.CaseView, e *recovery.Error) func(*visit) error {
	return func(v *visit) error { return v.caseAt(e.Kind.HTTPStatus(), view, v.problem(e)) }
}

func failing(e *recovery.Error) func(*visit) error {
	return func(v *visit) error { v.fail(e); return nil }
}

func noticeView(state recovery.State, act string) func(*visit) error {
	return func(v *visit) error {
		return v.noticeAt(guest.LinkView{
			Realm: "tong", Ref: "W7K2-9QX4", Intent: recovery.IntentResetPassword,
			State: state, OpenedAt: noon.Add(-time.Hour), Act: act,
		})
	}
}

func gallery() []fixture {
	link := claimant.LinkView{
		Realm: "tong", Ref: "W7K2-9QX4", Intent: recovery.IntentUnlock, OpenedAt: noon, ExpiresAt: noon.Add(time.Minute), Live: true,
	}
	dead := link
	dead.Live = false
	return []fixture{
		{"front", "", (*visit).showFront},
		{"front-empty", "", func(v *visit) error { return v.show(200, frontPage(v.page("/", v.t("page.front.heading")), nil)) }},
		{"start", "tong", func(v *visit) error {
			return v.show(200, startPage(v.page("/tong/recover", v.t("page.start.heading")), intents(v.policy), true))
		}},
		{"start-bare", "bare", (*visit).showStart},
		{"find", "tong", func(v *visit) error { return v.find(200, recovery.IntentResetPassword, "", nil) }},
		{"find-wrong", "tong", func(v *visit) error {
			e := recovery.BadInput("error.identifier.phone").At("identifier")
			return v.find(422, recovery.IntentResetPassword, `1380000<script>"`, v.problem(e))
		}},
		{"find-bare", "bare", func(v *visit) error {
			e := recovery.BadInput("error.identifier.empty").At("identifier")
			return v.find(422, recovery.IntentResetPassword, "", v.problem(e))
		}},
		{"takeover", "tong", (*visit).showTakeover},
		{"takeover-wrong", "tong", func(v *visit) error {
			e := recovery.BadInput("error.ref.malformed").At("ref")
			problem := v.problem(e)
			problem.field = "ref"
			return v.takeoverAt(422, "W7K2", problem)
		}},
		{"takeover-lost", "tong", failing(recovery.Unknown("error.case.elsewhere"))},
		{"takeover-ways", "tong", ofCase(takeoverView("sms-code", "email-code", "backup-code"))},
		{"takeover-rest", "tong", ofCase(restView())},
		{"takeover-prove", "tong", ofCase(takeoverProveView())},
		{"help", "tong", (*visit).showHelp},
		{"help-bare", "bare", (*visit).showHelp},
		{"safety", "tong", (*visit).showSafety},
		{"ways", "tong", ofCase(waysView())},
		{"ways-again", "tong", func(v *visit) error {
			c := newCasePage(v, proveView("sms-code", 6))
			c.step, c.heading = claimant.StepWays, v.t("page.ways.heading")
			return v.show(200, casePageOf(c))
		}},
		{"prove-sms", "tong", ofCase(proveView("sms-code", 6))},
		{"prove-sms-wrong", "tong", wrong(proveView("sms-code", 6), recovery.NotProven("error.code.wrong").At("code"))},
		{"prove-sms-expired", "tong", ofCase(expiredView("sms-code", 6))},
		{"prove-email", "tong", ofCase(proveView("email-code", 8))},
		{"prove-link", "tong", ofCase(proveView("email-link", 0))},
		{"prove-link-expired", "tong", ofCase(expiredView("email-link", 0))},
		{"prove-backup", "tong", ofCase(proveView("backup-code", 0))},
		{"prove-name", "tong", ofCase(proveView("real-name", 0))},
		{"prove-name-wrong", "tong", wrong(proveView("real-name", 0), recovery.NotProven("error.answer.wrong"))},
		{"ways-closed", "tong", wrong(waysView(), recovery.Conflict("case.moved"))},
		{"choose", "tong", ofCase(chooseView())},
		{"choose-wrong", "tong", wrong(chooseView(), recovery.BadInput("error.choice.unknown").At("choice"))},
		{"wait", "tong", ofCase(waitView())},
		{"wait-shorter", "tong", ofCase(shorterView())},
		{"wait-prove", "tong", ofCase(waitProveView())},
		{"secret", "tong", ofCase(secretView("gbt22239", 3))},
		{"secret-nist", "tong", ofCase(secretView("nist", 0))},
		{"secret-wrong", "tong", wrong(secretView("gbt22239", 3), recovery.BadInput("secret.too-short").With("min", 8).At("secret"))},
		{"account", "tong", ofCase(baseView(claimant.StepAccount, recovery.StateHeld))},
		{"unlock", "tong", ofCase(lockedView(claimant.StepUnlock, recovery.StateHeld))},
		{"person", "tong", ofCase(lockedView(claimant.StepPerson, recovery.StateInReview))},
		{"applying", "tong", ofCase(baseView(claimant.StepApplying, recovery.StateApplying))},
		{"done", "tong", ofCase(doneView(recovery.IntentResetPassword))},
		{"done-find", "tong", ofCase(doneView(recovery.IntentFindAccount))},
		{"done-unlock", "tong", ofCase(doneView(recovery.IntentUnlock))},
		{"done-locked", "tong", ofCase(stillLockedView())},
		{"stopped", "tong", ofCase(baseView(claimant.StepStopped, recovery.StateCancelled))},
		{"expired", "tong", ofCase(baseView(claimant.StepExpired, recovery.StateExpired))},
		{"denied", "tong", ofCase(baseView(claimant.StepDenied, recovery.StateDenied))},
		{"cancel", "tong", func(v *visit) error {
			c := newCasePage(v, waitView())
			c.heading = v.t("page.cancel.heading")
			return v.show(200, cancelPage(c))
		}},
		{"link", "tong", func(v *visit) error { return v.linkAt(link) }},
		{"link-dead", "tong", func(v *visit) error { return v.linkAt(dead) }},
		{"notice-cancel", "tong", noticeView(recovery.StateHeld, "cancel")},
		{"notice-disavow", "tong", noticeView(recovery.StateCompleted, "disavow")},
		{"notice-cancelled", "tong", noticeView(recovery.StateCancelled, "")},
		{"notice-frozen", "tong", noticeView(recovery.StateCompleted, "")},
		{"notice-applying", "tong", noticeView(recovery.StateApplying, "disavow")},
		{"notice-over", "tong", noticeView(recovery.StateExpired, "")},
		{"notice-kept", "tong", (*visit).showKept},
		{"error-limited", "tong", failing(recovery.Limited("error.limited", 12*time.Minute))},
		{"error-unavailable", "tong", failing(recovery.Unavailable("error.unavailable", time.Minute))},
		{"error-internal", "tong", failing(recovery.Internal(errBroken))},
		{"error-unknown", "tong", failing(recovery.Unknown("error.case.unknown"))},
		{"error-gone", "tong", failing(recovery.Gone("error.link.expired"))},
		{"error-csrf", "", failing(recovery.Forbidden("error.csrf"))},
		{"error-not-found", "", failing(recovery.NotFound("error.not-found"))},
		{"error-no-realm", "", failing(recovery.NotFound("error.realm.unknown"))},
		{"error-withheld", "tong", failing(recovery.Withheld("error.locked.person"))},
		{"error-conflict", "tong", failing(recovery.Conflict("error.idempotency.busy"))},
		{"error-form", "tong", failing(recovery.BadInput("error.request.malformed"))},
		{"error-proof", "tong", failing(recovery.NotProven("error.answer.wrong"))},
	}
}
