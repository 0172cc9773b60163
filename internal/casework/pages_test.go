package casework_test

import (
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/testkit"
)

// T7: before the first proof every page, status, header and cookie is the same
// for known, unknown, locked, disabled and shared identifiers.
func TestT07_EveryPageIsTheSameForKnownAndUnknown(t *testing.T) {
	bothEngines(t, []string{faithful}, func(t *testing.T, d *desk) {
		// The masks of these numbers are the same.
		ids := d.enrol(
			account.Record{ID: "known", Phone: "13800001234", Email: "a@example.cn"},
			account.Record{ID: "locked", Phone: "13811111234"},
			account.Record{ID: "alarmed", Phone: "13822221234", Locked: string(recovery.LockRiskAlarm)},
			account.Record{ID: "disabled", Phone: "13833331234", Locked: string(recovery.LockViolation)},
			account.Record{ID: "one", Phone: "13844441234"}, account.Record{ID: "two", Phone: "13844441234"},
		)
		d.setPassword(ids[1], oldPassword)
		for range 5 {
			d.signIn("13811111234", "wrong")
		}
		for _, intent := range recovery.Intents {
			var first []string
			for i, phone := range []string{"13899991234", "13800001234", "13811111234", "13822221234", "13833331234", "13844441234"} {
				v := d.visitor()
				v.walkBeforeAProof(intent, phone)
				if i == 0 {
					first = v.said
					continue
				}
				if len(v.said) != len(first) {
					t.Fatalf("%s %s: %d answers, want %d", intent, phone, len(v.said), len(first))
				}
				for step := range first {
					if v.said[step] != first[step] {
						t.Errorf("%s: %s differs from an unknown number at step %d\n%s\n--- unknown ---\n%s", intent, phone, step, v.said[step], first[step])
						break
					}
				}
			}
			d.check(d.Advance(25 * time.Hour)) // counters of another day; masks have no day in them
		}
		if n := d.number(`SELECT count(DISTINCT chain_seq) FROM cases`); n != 1 {
			t.Errorf("the same walk left records of %d lengths", n)
		}
	})
}

// walkBeforeAProof visits every page that one can reach without proving anything.
func (v *visitor) walkBeforeAProof(intent recovery.Intent, phone string) {
	v.d.t.Helper()
	v.get("/yichuangtong/recover/" + string(intent))
	v.post("/yichuangtong/recover/"+string(intent), "identifier", phone)
	for _, pick := range [][2]string{{"phone", "sms-code"}, {"email", "email-code"}, {"phone", "sms-code"}} { // the third is too soon
		v.post("/yichuangtong/case/challenge", "way", pick[0], "channel", pick[1])
		v.get("/yichuangtong/case/ways")
	}
	v.get("/yichuangtong/case")
	for range 6 { // the sixth is limited
		v.post("/yichuangtong/case/answer", "code", "000000")
		v.get("/yichuangtong/case")
	}
	v.post("/yichuangtong/case/outcome", "password", goodPassword)
	v.post("/yichuangtong/case/choose", "choice", "nothing")
	v.get("/yichuangtong/case/cancel")
	v.post("/yichuangtong/case/cancel")
	v.get("/yichuangtong/help")
}

// T3: whatever a request says of the host, links lead to the configured origin.
func TestT03_NoHeaderReachesAMessage(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{faithful})
	d.enrol(li())
	v := d.visitor()
	v.headers = map[string]string{
		"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http", "X-Forwarded-Server": "evil.example",
		"Forwarded": "host=evil.example;proto=http", "X-Original-URL": "//evil.example/", "X-Host": "evil.example",
	}
	v.get("/yichuangtong/recover/reset-password")
	v.post("/yichuangtong/recover/reset-password", "identifier", liEmail)
	v.post("/yichuangtong/case/challenge", "way", "email-link", "channel", "email-link")
	token := d.token(liEmail)
	v.get("/yichuangtong/link/" + token)
	v.get("/yichuangtong/link")
	v.post("/yichuangtong/link")
	v.post("/yichuangtong/case/outcome", "password", goodPassword)
	if got := d.signIn("liwei", goodPassword); got != "ok" {
		t.Fatalf("the flow did not complete: %s", got)
	}
	links := 0
	for _, address := range []string{liEmail, liPhone, "li.old@example.cn"} {
		for _, m := range d.Inbox.Messages(address) {
			if strings.Contains(m.Subject+m.Text+m.From, "evil") {
				t.Errorf("a header is in a message to %s", address)
			}
			for _, link := range m.Links {
				links++
				if !strings.HasPrefix(link, d.Options.Origin+"/yichuangtong/") {
					t.Errorf("a link leads to %s", link)
				}
			}
		}
	}
	if links < 5 {
		t.Errorf("%d links were looked at", links)
	}
	for _, answer := range v.said {
		if strings.Contains(answer, "evil.example") {
			t.Errorf("a header came back:\n%.600s", answer)
		}
	}
}

// T4: GET and HEAD of everything, with every token in hand, change nothing.
func TestT04_ReadingChangesNothing(t *testing.T) {
	bothEngines(t, []string{faithful, hardened}, func(t *testing.T, d *desk) {
		d.enrol(li())
		v := d.visitor()
		v.get("/yichuangtong/recover/reset-password")
		v.post("/yichuangtong/recover/reset-password", "identifier", liEmail)
		v.post("/yichuangtong/case/challenge", "way", "email-link", "channel", "email-link")
		link := d.token(liEmail)
		held := d.reset(liPhone).prove("phone", "sms-code", liPhone)
		d.settle()
		notice := d.token(liPhone)
		var paths []string
		for _, p := range []string{
			"", "/", "/help", "/safety", "/.well-known/change-password", "/recover", "/recover/reset-password", "/recover/find-account",
			"/recover/unlock", "/case", "/case/ways", "/case/cancel", "/case/challenge", "/case/answer", "/case/choose", "/case/outcome",
			"/link/" + link, "/link", "/cancel/" + notice, "/cancel", "/cancel/kept", "/link/nonsense", "/cancel/nonsense", "/nothing",
		} {
			paths = append(paths, "/yichuangtong"+p, "/hardened-yichuangtong"+p)
		}
		paths = append(paths, "/", "/favicon.svg", "/nothing", "/?lang=en", "/yichuangtong/case?lang=en", "/healthz", "/readyz", "/metrics",
			"/openapi.json", "/audit/checkpoint", "/v1/cases/"+path.Base(held.who.Case))
		before := d.dump()
		for _, at := range paths {
			for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodGet} {
				v.do(method, at, nil)
			}
			if diff := differences(before, d.dump()); len(diff) > 0 {
				t.Fatalf("reading %s changed %v", at, diff)
			}
		}
		v.get("/yichuangtong/link/" + link) // nonsense took its place in the browser
		if _, text := v.get("/yichuangtong/link"); !strings.Contains(text, `name="ref"`) {
			t.Fatal("the link was not in hand, or is burnt")
		}
		v.post("/yichuangtong/link")
		if diff := differences(before, d.dump()); !slices.Contains(diff, "evidence") {
			t.Error("the button did nothing: this test would not see a change")
		}
	})
}

// T2: a field that comes twice, or as a list, is refused; nobody chooses one.
func TestT02_AFieldThatComesTwiceIsRefused(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{faithful})
	d.enrol(li())
	v := d.visitor()
	for name, form := range map[string]url.Values{
		"twice":    {"identifier": {liEmail, "evil@example.com"}},
		"a list":   {"identifier[]": {liEmail, "evil@example.com"}},
		"an index": {"identifier[0]": {liEmail}, "identifier[1]": {"evil@example.com"}},
	} {
		if answer, _ := v.do(http.MethodPost, "/yichuangtong/recover/reset-password", form); answer.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%s: %s", name, answer.Status)
		}
	}
	if n := d.number(`SELECT count(*) FROM cases`); n != 0 {
		t.Errorf("%d cases were opened", n)
	}
	long := url.Values{"identifier": {strings.Repeat("a", 70<<10)}}
	if answer, _ := v.do(http.MethodPost, "/yichuangtong/recover/reset-password", long); answer.StatusCode < 400 || answer.StatusCode >= 500 {
		t.Errorf("a form of 70 KiB: %s", answer.Status)
	}
}

// T24: every page of a case is kept by nobody and framed by nobody, its cookies
// stay on this host, and another site cannot press its buttons.
func TestT24_PagesOfACaseAreForThisBrowserOnly(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{faithful})
	d.enrol(li())
	v := d.visitor()
	check := func(answer *http.Response, _ string) {
		t.Helper()
		h := answer.Header
		if h.Get("Cache-Control") != "no-store" || !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") ||
			!strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", answer.Request.URL.Path, h)
		}
		for _, c := range answer.Cookies() {
			if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite != http.SameSiteLaxMode {
				t.Errorf("%s: cookie %s", answer.Request.URL.Path, c)
			}
		}
	}
	check(v.get("/yichuangtong/recover/reset-password"))
	answer, text := v.do(http.MethodPost, "/yichuangtong/recover/reset-password", url.Values{"identifier": {liPhone}})
	check(answer, text)
	check(v.get("/yichuangtong/case"))
	for _, from := range []map[string]string{
		{"Sec-Fetch-Site": "cross-site"},
		{"Sec-Fetch-Site": "same-site"},
		{"Origin": "https://evil.example"},
		{"Origin": "null"},
		{"Sec-Fetch-Site": "cross-site", "Origin": d.HTTP.URL},
	} {
		v.headers = from
		before := d.dump()
		for _, at := range []string{"/recover/unlock", "/case/challenge", "/case/answer", "/case/choose", "/case/outcome", "/case/cancel", "/link", "/cancel"} {
			if answer, text := v.do(http.MethodPost, "/yichuangtong"+at, url.Values{"way": {"phone"}, "channel": {"sms-code"}, "identifier": {liPhone}}); answer.StatusCode != http.StatusForbidden {
				t.Errorf("%v pressed %s: %s", from, at, answer.Status)
			} else {
				check(answer, text)
			}
		}
		if diff := differences(before, d.dump()); len(diff) > 0 {
			t.Errorf("%v changed %v", from, diff)
		}
	}
	v.headers = map[string]string{}
	check(v.post("/yichuangtong/case/challenge", "way", "phone", "channel", "sms-code"))
	check(v.post("/yichuangtong/case/answer", "code", d.wrongCode(liPhone)))
	check(v.post("/yichuangtong/case/answer", "code", d.code(liPhone)))
	answer, text = v.do(http.MethodPost, "/yichuangtong/case/outcome", url.Values{"password": {goodPassword}})
	check(answer, text)
	if answer.StatusCode != http.StatusSeeOther {
		t.Fatalf("the outcome: %s", answer.Status)
	}
	var names []string // T8: a recovery never signs in by itself
	for _, c := range answer.Cookies() {
		names = append(names, c.Name)
	}
	if !slices.Equal(names, []string{"__Host-wanbi-device-yichuangtong"}) {
		t.Errorf("completion set the cookies %v: there is no session", names)
	}
}

// T24: a case that a stranger planted in the owner's browser does not capture
// what the owner proves by the link in their mail.
func TestT24_APlantedCaseDoesNotCaptureAProof(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{faithful})
	d.enrol(li())
	stranger := d.visitor()
	stranger.get("/yichuangtong/recover/reset-password")
	stranger.post("/yichuangtong/recover/reset-password", "identifier", liEmail)
	stranger.post("/yichuangtong/case/challenge", "way", "email-link", "channel", "email-link")
	owner := d.visitor()
	at, err := url.Parse(d.HTTP.URL)
	d.check(err)
	planted := stranger.client.Jar.Cookies(at)
	owner.client.Jar.SetCookies(at, planted)
	owner.get("/yichuangtong/link/" + d.token(liEmail))
	owner.get("/yichuangtong/link")
	if _, text := owner.post("/yichuangtong/link"); !strings.Contains(text, "设置新密码") {
		t.Fatal("the owner did not get through")
	}
	if answer, text := stranger.get("/yichuangtong/case"); answer.StatusCode != http.StatusUnauthorized || strings.Contains(text, "设置新密码") {
		t.Errorf("the stranger's browser is still in the case: %s", answer.Status)
	}
	if slices.EqualFunc(owner.client.Jar.Cookies(at), planted, func(a, b *http.Cookie) bool { return a.Value == b.Value }) {
		t.Error("the owner goes on with the planted cookie")
	}
}

// Pressing twice is one try, and a new page is a new one; being asked to wait is
// no answer that has to be repeated.
func TestT05_PressingTwiceIsOneGuess(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{faithful})
	d.enrol(li())
	v := d.visitor()
	v.get("/yichuangtong/recover/reset-password")
	v.post("/yichuangtong/recover/reset-password", "identifier", liPhone)
	v.post("/yichuangtong/case/challenge", "way", "phone", "channel", "sms-code")
	v.get("/yichuangtong/case")
	filled := url.Values{"nonce": {v.fields.Get("nonce")}, "challenge": {v.fields.Get("challenge")}, "code": {d.wrongCode(liPhone)}}
	for range 30 {
		if answer, _ := v.do(http.MethodPost, "/yichuangtong/case/answer", filled); answer.StatusCode != http.StatusUnprocessableEntity {
			t.Fatalf("a repeated press: %s", answer.Status)
		}
	}
	resend := url.Values{"nonce": {v.fields.Get("nonce")}, "way": {"phone"}, "channel": {"sms-code"}}
	if answer, _ := v.do(http.MethodPost, "/yichuangtong/case/challenge", resend); answer.StatusCode != http.StatusTooManyRequests {
		t.Fatalf("a new code at once: %s", answer.Status)
	}
	d.check(d.Advance(time.Minute))
	if answer, _ := v.do(http.MethodPost, "/yichuangtong/case/challenge", resend); answer.StatusCode != http.StatusSeeOther {
		t.Errorf("the same button a minute later: %s", answer.Status)
	}
	v.get("/yichuangtong/case")
	for range 3 {
		v.post("/yichuangtong/case/answer", "code", d.wrongCode(liPhone))
	}
	if _, text := v.post("/yichuangtong/case/answer", "code", d.code(liPhone)); !strings.Contains(text, "设置新密码") {
		t.Error("presses of one button were counted as guesses")
	}
}
