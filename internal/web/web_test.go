package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/claimant"
	"github.com/wanbi/wanbi/internal/i18n"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
)

// The doors are nil throughout this file: whatever is tested here must not need
// them, and a page that asked one anyway would break.

func get(t *testing.T, cfg Config, target string, set ...string) *http.Response {
	t.Helper()
	return send(t, cfg, http.MethodGet, target, nil, set...)
}

func send(t *testing.T, cfg Config, method, target string, form url.Values, headers ...string) *http.Response {
	t.Helper()
	var r *http.Request
	if form == nil {
		r = httptest.NewRequest(method, target, nil)
	} else {
		r = httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	New(cfg).ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func cookieOf(r *http.Response, name string) *http.Cookie {
	for _, c := range r.Cookies() {
		if c.Name == name {
			return c
		}
	}
	return nil
}

func TestWhereThingsAre(t *testing.T) {
	for _, c := range []struct {
		target   string
		status   int
		location string
	}{
		{"/", 200, ""},
		{"/tong", 303, "/tong/recover"},
		{"/tong/", 303, "/tong/recover"},
		{"/tong/recover", 200, ""},
		{"/tong/recover/reset-password", 200, ""},
		{"/tong/recover/emergency", 404, ""},
		{"/bare/recover/unlock", 404, ""}, // an intent that exists, but not in this policy
		{"/tong/help", 200, ""},
		{"/tong/safety", 200, ""},
		{"/tong/case", 401, ""}, // no case in this browser
		{"/tong/case/ways", 401, ""},
		{"/tong/case/answer", 303, "/tong/case"}, // reloading after a refused answer
		{"/tong/case/challenge", 303, "/tong/case"},
		{"/tong/link", 404, ""},
		{"/tong/cancel", 404, ""},
		{"/tong/cancel/kept", 200, ""},
		{"/tong/.well-known/change-password", 303, "/tong/recover"},
		{"/.well-known/change-password", 303, "/"},
		{"/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200", 404, ""},
		{"/nobody/recover", 404, ""},
		{"/nobody", 404, ""},
		{"/favicon.svg", 200, ""},
		{"/assets/app.css", 200, ""},
		{"/assets/none.css", 404, ""},
		{"/assets/realm/tong.css", 200, ""},
		{"/assets/realm/nobody.css", 404, ""},
		{"/assets/realm/tong", 404, ""},
		{"/assets/realm/tong.svg", 200, ""},
		{"/assets/realm/bare.svg", 404, ""}, // it has the mark
		{assetPath("app.js"), 200, ""},
	} {
		r := get(t, testConfig(), c.target)
		if r.StatusCode != c.status || r.Header.Get("Location") != c.location {
			t.Errorf("%s: %d %q, want %d %q", c.target, r.StatusCode, r.Header.Get("Location"), c.status, c.location)
		}
	}
}

func TestOneRealmIsTheFrontPage(t *testing.T) {
	cfg := testConfig()
	cfg.Realms = func() []recovery.Realm { return []recovery.Realm{"tong"} }
	for _, target := range []string{"/", "/.well-known/change-password"} {
		if r := get(t, cfg, target); r.StatusCode != 303 || r.Header.Get("Location") != "/tong/recover" {
			t.Errorf("%s: %d %q", target, r.StatusCode, r.Header.Get("Location"))
		}
	}
}

// T24: CSRF, clickjacking, cache.
func TestT24HeadersOnEveryAnswer(t *testing.T) {
	for _, target := range []string{"/", "/tong/recover", "/tong/case", "/nobody", "/tong/link/abc", "/tong/cancel/abc"} {
		h := get(t, testConfig(), target).Header
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Cache-Control": "no-store",
			"Cross-Origin-Opener-Policy": "same-origin",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s is %q, want %q", target, name, h.Get(name), want)
			}
		}
		for _, part := range []string{
			"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'",
			"form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'",
		} {
			if !strings.Contains(h.Get("Content-Security-Policy"), part) {
				t.Errorf("%s: no %s", target, part)
			}
		}
		if strings.Contains(h.Get("Content-Security-Policy"), "unsafe") || h.Get("Permissions-Policy") == "" {
			t.Errorf("%s: %v", target, h)
		}
	}
}

func TestT24PostsFromElsewhereAreRefused(t *testing.T) {
	form := url.Values{"identifier": {"13800001234"}}
	for name, headers := range map[string][]string{
		"fetch metadata": {"Sec-Fetch-Site", "cross-site", "Cookie", "__Host-wanbi-lang=en"},
		"sibling site":   {"Sec-Fetch-Site", "same-site", "Cookie", "__Host-wanbi-lang=en"},
		"origin":         {"Origin", "https://evil.example", "Cookie", "__Host-wanbi-lang=en"},
		"opaque origin":  {"Origin", "null", "Cookie", "__Host-wanbi-lang=en"},
	} {
		r := send(t, testConfig(), http.MethodPost, "/tong/recover/reset-password", form, headers...)
		if text := body(t, r); r.StatusCode != 403 || !strings.Contains(text, i18n.T("en", "error.csrf", nil)) {
			t.Errorf("%s: %d", name, r.StatusCode)
		}
	}
}

// T4: GET consumes nothing, and a token leaves the address at once.
func TestT4TokensMoveFromTheAddressIntoACookie(t *testing.T) {
	for path, name := range map[string]string{"/tong/link": "__Host-wanbi-link", "/tong/cancel": "__Host-wanbi-notice"} {
		r := get(t, testConfig(), path+"/tok-en_123")
		if r.StatusCode != 303 || r.Header.Get("Location") != path {
			t.Fatalf("%s: %d to %q", path, r.StatusCode, r.Header.Get("Location"))
		}
		c := cookieOf(r, name)
		if c == nil || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
			t.Fatalf("%s: cookie %+v", path, c)
		}
		if c.MaxAge <= 0 || c.MaxAge > int(linkCookieAge.Seconds()) {
			t.Errorf("%s: the token stays for %d s", path, c.MaxAge)
		}
		if r.Header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: the address may leak as a referrer", path)
		}
		var realm, token string
		if !unpack(c.Value, &realm, &token) || realm != "tong" || token != "tok-en_123" {
			t.Errorf("%s: cookie holds %q", path, c.Value)
		}
		// Another realm's page does not take it.
		other := strings.Replace(path, "tong", "bare", 1)
		if r := get(t, testConfig(), other, "Cookie", name+"="+c.Value); r.StatusCode != 404 {
			t.Errorf("%s takes a token of tong: %d", other, r.StatusCode)
		}
	}
}

// T2: exactly one value; the doors never see two.
func TestT2TwoValuesAreRefused(t *testing.T) {
	who := pack("case", "token")
	for target, form := range map[string]url.Values{
		"/tong/recover/reset-password": {"identifier": {"li@example.cn", "wu@example.cn"}},
		"/tong/case/answer":            {"challenge": {"a"}, "code": {"111111", "222222"}},
		"/tong/case/outcome":           {"password": {"correct horse", "battery staple"}},
		"/tong/case/choose":            {"choice": {"a", "b"}},
	} {
		r := send(t, testConfig(), http.MethodPost, target, form, "Cookie", "__Host-wanbi-tong="+who)
		text := body(t, r)
		if r.StatusCode != 422 {
			t.Errorf("%s: %d", target, r.StatusCode)
		}
		for _, typed := range []string{"111111", "222222", "correct horse", "battery", "li@example.cn"} {
			if strings.Contains(text, typed) {
				t.Errorf("%s echoes %q (T15)", target, typed)
			}
		}
	}
}

func TestBodiesAreBounded(t *testing.T) {
	for size, want := range map[int]bool{maxBody - len("password="): true, maxBody - len("password=") + 1: false} {
		form := url.Values{"password": {strings.Repeat("a", size)}}
		v, _ := fixtureVisit("tong", i18n.Chinese)
		read := false
		handler := v.guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			v.w, v.r = w, r
			_, err := v.form()
			read = err == nil
		}))
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		handler.ServeHTTP(httptest.NewRecorder(), r)
		if read != want {
			t.Errorf("%d bytes: read %v, want %v", size, read, want)
		}
	}
}

func TestLanguage(t *testing.T) {
	for _, c := range []struct{ target, accept, cookie, want string }{
		{"/tong/recover", "", "", i18n.Chinese},
		{"/tong/recover", "en-US,en", "", i18n.English},
		{"/tong/recover", "en-US,en", i18n.Chinese, i18n.Chinese},
		{"/tong/recover", "zh-CN", i18n.English, i18n.English},
		{"/tong/recover", "zh-CN", "tlh", i18n.Chinese},
		{"/", "", "", i18n.Chinese},
	} {
		r := get(t, testConfig(), c.target, "Accept-Language", c.accept, "Cookie", "__Host-wanbi-lang="+c.cookie)
		if got := r.Header.Get("Content-Language"); got != c.want || !strings.Contains(body(t, r), `<html lang="`+c.want+`"`) {
			t.Errorf("%+v: %s", c, got)
		}
	}
	cfg := testConfig()
	realm := cfg.Realm
	cfg.Realm = func(r recovery.Realm) (*policy.Policy, bool) {
		p, ok := realm(r)
		if ok {
			p.Realm.Locale = i18n.English
		}
		return p, ok
	}
	if r := get(t, cfg, "/tong/recover"); r.Header.Get("Content-Language") != i18n.English {
		t.Error("the realm's language is not the default")
	}
}

func TestLanguageSwitchStaysHere(t *testing.T) {
	r := get(t, testConfig(), "/tong/help?lang=en")
	c := cookieOf(r, "__Host-wanbi-lang")
	if r.StatusCode != 303 || r.Header.Get("Location") != "/tong/help" || c == nil || c.Value != "en" {
		t.Errorf("%d %q %v", r.StatusCode, r.Header.Get("Location"), c)
	}
	if r := get(t, testConfig(), "/tong/help?lang=tlh"); cookieOf(r, "__Host-wanbi-lang") != nil {
		t.Error("an unknown language was remembered")
	}
	for _, target := range []string{"/%2Fevil.example?lang=en", "/%5Cevil.example?lang=en", "//evil.example?lang=en", "/%2F%2Fevil.example/x?lang=en"} {
		location := get(t, testConfig(), target).Header.Get("Location")
		if strings.HasPrefix(location, "//") || strings.HasPrefix(location, `/\`) || strings.Contains(location, ":") {
			t.Errorf("%s leads to %q", target, location)
		}
	}
}

func TestCookiesKeepTheCaseToItsRealm(t *testing.T) {
	v, recorder := fixtureVisit("tong", i18n.Chinese)
	v.enterCase(claimant.Credentials{Case: "case.1/=", Token: "to.ken"})
	c := cookieOf(recorder.Result(), "__Host-wanbi-tong")
	if c == nil || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
		t.Fatalf("cookie %+v", c)
	}
	back, _ := fixtureVisit("tong", i18n.Chinese)
	back.r.AddCookie(c)
	if who, err := back.credentials(); err != nil || who.Case != "case.1/=" || who.Token != "to.ken" {
		t.Errorf("%+v %v", who, err)
	}
	other, _ := fixtureVisit("bare", i18n.Chinese)
	other.r.AddCookie(c)
	if _, err := other.credentials(); !recovery.IsKind(err, recovery.KindUnknown) {
		t.Errorf("another realm takes the cookie: %v", err)
	}
	for _, junk := range []string{"", ".", "a", "YQ", "YQ.", "YQ.YQ.YQ", "!.YQ"} {
		if unpack(junk, new(string), new(string)) {
			t.Errorf("%q unpacks", junk)
		}
	}
}

func TestInsecureCookiesHaveNoPrefix(t *testing.T) {
	cfg := testConfig()
	cfg.Insecure = true
	c := get(t, cfg, "/tong/link/abc").Cookies()
	if len(c) != 1 || c[0].Name != "wanbi-link" || c[0].Secure {
		t.Errorf("%v", c)
	}
}

// Pressing twice is one request; typing something else is another.
func TestFillingKey(t *testing.T) {
	a := fillingKey("n", "/tong/case/answer", []string{"c", "123456"})
	if a != fillingKey("n", "/tong/case/answer", []string{"c", "123456"}) {
		t.Error("pressing twice gives two keys")
	}
	for name, other := range map[string]string{
		"another answer":  fillingKey("n", "/tong/case/answer", []string{"c", "123457"}),
		"shifted fields":  fillingKey("n", "/tong/case/answer", []string{"c1", "23456"}),
		"another form":    fillingKey("n", "/tong/case/choose", []string{"c", "123456"}),
		"another page":    fillingKey("m", "/tong/case/answer", []string{"c", "123456"}),
		"no nonce at all": fillingKey("", "/tong/case/answer", []string{"c", "123456"}),
	} {
		if other == a {
			t.Errorf("%s gives the same key", name)
		}
	}
	if first := fillingKey("", "/", nil); first == fillingKey("", "/", nil) {
		t.Error("without the page's nonce, two people would share a request")
	}
}

func TestErrorsHaveTheirStatusAndRetry(t *testing.T) {
	for _, c := range []struct {
		err    *recovery.Error
		status int
		retry  string
	}{
		{recovery.BadInput("error.request.malformed"), 422, ""},
		{recovery.NotProven("error.code.wrong"), 422, ""},
		{recovery.Withheld("error.forbidden"), 403, ""},
		{recovery.Forbidden("error.csrf"), 403, ""},
		{recovery.Unknown("error.case.unknown"), 401, ""},
		{recovery.NotFound("error.not-found"), 404, ""},
		{recovery.Conflict("error.case.moved"), 409, ""},
		{recovery.Gone("error.case.expired"), 410, ""},
		{recovery.Limited("error.limited", 90*time.Second), 429, "90"},
		{recovery.Limited("error.limited", 1500*time.Millisecond), 429, "2"},
		{recovery.Unavailable("error.unavailable", time.Minute), 503, "60"},
		{recovery.Internal(errBroken), 500, ""},
	} {
		v, recorder := fixtureVisit("tong", i18n.English)
		v.fail(c.err)
		r := recorder.Result()
		if r.StatusCode != c.status || r.Header.Get("Retry-After") != c.retry {
			t.Errorf("%s: %d %q, want %d %q", c.err.Kind, r.StatusCode, r.Header.Get("Retry-After"), c.status, c.retry)
		}
		if text := body(t, r); strings.Contains(text, errBroken.Error()) {
			t.Errorf("%s shows its cause", c.err.Kind)
		}
	}
}

func TestAPanicIsAPage(t *testing.T) {
	cfg := testConfig()
	calls := 0
	cfg.Realms = func() []recovery.Realm {
		calls++
		panic("password=hunter2")
	}
	r := get(t, cfg, "/")
	if text := body(t, r); r.StatusCode != 500 || calls != 1 || strings.Contains(text, "hunter2") {
		t.Errorf("%d after %d calls", r.StatusCode, calls)
	}
}

func TestAssetsAreKeptForEverByTheirHash(t *testing.T) {
	for target, want := range map[string]string{
		assetPath("app.css"): "immutable", "/assets/app.css": "max-age=60", "/assets/realm/tong.css": "max-age=3600",
	} {
		r := get(t, testConfig(), target)
		if !strings.Contains(r.Header.Get("Cache-Control"), want) || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/css") {
			t.Errorf("%s: %v", target, r.Header)
		}
	}
}

// Whatever a policy names, its accent reads on both grounds.
func TestAccentsAreLegible(t *testing.T) {
	for _, accent := range []string{"", "nonsense", "#0b6b4f", "#ffffff", "#000000", "#ffe600", "#0000ff", "#c2255c", "#808080"} {
		sheet := string(accentSheet(accent))
		parts := strings.Split(sheet, "--accent:")
		day, ok1 := parseColour(parts[1][:7])
		largerDay, ok3 := parseColour(parts[2][:7])
		dark, ok2 := parseColour(parts[3][:7])
		largerDark, ok4 := parseColour(parts[4][:7])
		if !ok1 || !ok2 || !ok3 || !ok4 {
			t.Fatalf("%q gives %s", accent, sheet)
		}
		if c := day.contrast(paper); c < 4.5 {
			t.Errorf("%q on paper: %.2f", accent, c)
		}
		if c := day.contrast(white); c < 4.5 {
			t.Errorf("white on %q: %.2f", accent, c)
		}
		for name, pair := range map[string][2]colour{"paper": {day, paper}, "night": {dark, night}} {
			// The darkest tint of the sheets is of 10 %.
			if c := pair[0].contrast(mixed(pair[0], pair[1], 10)); c < 4.5 {
				t.Errorf("%q on its own tint on %s: %.2f", accent, name, c)
			}
		}
		if a, b := largerDay.contrast(paper), largerDark.contrast(night); a < 7 || b < 7 {
			t.Errorf("%q in larger text: %.2f and %.2f, want 7", accent, a, b)
		}
		if c := dark.contrast(night); c < 7 {
			t.Errorf("%q by night: %.2f", accent, c)
		}
	}
	if got := white.contrast(black); got != 21 {
		t.Errorf("white on black is %v, want 21", got)
	}
}

// Larger text is a cookie and a link on every page; the steps stay the same.
func TestLargerText(t *testing.T) {
	r := get(t, testConfig(), "/tong/help?text=larger")
	c := cookieOf(r, "__Host-wanbi-text")
	if r.StatusCode != 303 || r.Header.Get("Location") != "/tong/help" || c == nil || c.Value != textLarger || !c.HttpOnly || !c.Secure {
		t.Fatalf("%d %v", r.StatusCode, c)
	}
	for cookie, want := range map[string]bool{textLarger: true, textUsual: false, "": false, "huge": false} {
		text := body(t, get(t, testConfig(), "/tong/help", "Cookie", "__Host-wanbi-text="+cookie))
		if got := strings.Contains(text, `class="larger"`); got != want {
			t.Errorf("%q: larger is %v", cookie, got)
		}
		if got := strings.Contains(text, `href="/tong/help?text=usual"`); got != want {
			t.Errorf("%q: the way back is there: %v", cookie, got)
		}
	}
	if r := get(t, testConfig(), "/tong/help?text=huge"); cookieOf(r, "__Host-wanbi-text") != nil {
		t.Error("a size that is none is remembered")
	}
}

// tokens reads the colours that the sheet sets by day or by night, in the usual or
// the larger text: later blocks win, as in a browser.
func tokens(t *testing.T, night, larger bool) func(name string) colour {
	t.Helper()
	sheet, _, _ := strings.Cut(string(assets["app.css"].data), "/* The frame of every page")
	day, dark, found := strings.Cut(sheet, "@media screen and (prefers-color-scheme: dark)")
	if !found {
		t.Fatal("the sheet has no night")
	}
	at := strings.Index(day, ":root:lang(en)") // the colours stand before it
	blocks := []string{day[:at]}
	dark, largerDay, ok1 := strings.Cut(dark, ":root.larger {")
	largerDay, largerDark, ok2 := strings.Cut(largerDay, ":root.larger {")
	if !ok1 || !ok2 {
		t.Fatal("no blocks for larger text, one by day and one by night")
	}
	if night {
		blocks = append(blocks, dark)
	}
	if larger {
		blocks = append(blocks, largerDay)
	}
	if night && larger {
		blocks = append(blocks, largerDark)
	}
	return func(name string) colour {
		for _, block := range slices.Backward(blocks) {
			_, after, found := strings.Cut(block, "--"+name+": #")
			if !found {
				continue
			}
			digits, _, _ := strings.Cut(after, ";")
			if len(digits) == 3 {
				digits = strings.Repeat(digits[:1], 2) + strings.Repeat(digits[1:2], 2) + strings.Repeat(digits[2:], 2)
			}
			if c, ok := parseColour("#" + digits); ok {
				return c
			}
		}
		t.Fatalf("no colour --%s", name)
		return colour{}
	}
}

// mixed is color-mix in sRGB: so many hundredths of a colour on a ground.
func mixed(c, ground colour, hundredths int) colour {
	var out colour
	for i := range out {
		out[i] = uint8((int(c[i])*hundredths + int(ground[i])*(100-hundredths)) / 100)
	}
	return out
}

// The grounds in Go are the ones in the sheet, and its colours read on them: by
// WCAG 2.2 text has 4.5:1 (1.4.3), in larger text 7:1 (1.4.6), edges 3:1 (1.4.11).
func TestColoursOfTheSheet(t *testing.T) {
	for _, dark := range []bool{false, true} {
		for _, larger := range []bool{false, true} {
			token := tokens(t, dark, larger)
			if got, want := token("paper"), paper; !dark && got != want {
				t.Errorf("paper is %s in the sheet, %s in Go", got, want)
			}
			if got, want := token("sheet"), night; dark && got != want {
				t.Errorf("the sheet by night is %s in the sheet, %s in Go", got, want)
			}
			text := 4.5
			if larger {
				text = 7
			}
			grounds := map[string]colour{
				"paper": token("paper"), "sheet": token("sheet"),
				"wash": mixed(token("accent"), token("paper"), 10), "tint": mixed(token("accent"), token("sheet"), 6),
			}
			for name, ground := range grounds {
				for front, least := range map[string]float64{"ink": 7, "quiet": text, "accent": text, "edge": 3, "focus": 3} {
					if c := token(front).contrast(ground); c < least {
						t.Errorf("dark %v, larger %v: %s on %s is %.2f, want %.1f", dark, larger, front, name, c, least)
					}
				}
			}
			for name, pair := range map[string][2]colour{
				"alert on the sheet":   {token("alert"), token("sheet")},
				"alert on its tint":    {token("alert"), token("alert-tint")},
				"ink on alert's tint":  {token("ink"), token("alert-tint")},
				"words on a button":    {token("on-accent"), token("accent")},
				"the tag of what done": {token("accent"), mixed(token("accent"), token("sheet"), 10)},
			} {
				if c := pair[0].contrast(pair[1]); c < text {
					t.Errorf("dark %v, larger %v: %s is %.2f, want %.1f", dark, larger, name, c, text)
				}
			}
		}
	}
}

// A request whose deadline has passed still gets the page that says so.
func TestAPageIsShownAfterTheDeadline(t *testing.T) {
	ctx, stop := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer stop()
	w := httptest.NewRecorder()
	New(testConfig()).ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/tong/help", nil))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "</html>") {
		t.Errorf("%d, %d bytes", w.Code, w.Body.Len())
	}
}
