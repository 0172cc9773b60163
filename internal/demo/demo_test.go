package demo

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/identifier"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/secret"
	"github.com/wanbi/wanbi/internal/testkit/browser"
	"github.com/wanbi/wanbi/internal/testkit/clock"
)

// began is when the tests' demos start.
var began = time.Date(2026, 3, 1, 1, 0, 0, 0, time.UTC)

// cheap makes a new hash cost next to nothing; the imported one keeps its cost.
var cheap = secret.Params{Memory: 64, Time: 1, Threads: 1}

// started is a demo behind real HTTP, whose work beside requests is done after
// each of them.
type started struct {
	*Demo
	t    *testing.T
	url  string
	http http.RoundTripper
}

func start(t *testing.T, folder string) *started {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.Start()
	t.Cleanup(server.Close)
	stands := clock.New(began)
	d, err := New(t.Context(), Options{Origin: server.URL, Folder: folder, Hash: cheap, Base: stands.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	server.Config.Handler = d.Handler()
	return &started{Demo: d, t: t, url: server.URL, http: server.Client().Transport}
}

// RoundTrip answers a request and then does what it brought.
func (s *started) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := s.http.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	return response, s.Server.Settle(context.Background())
}

func (s *started) browser() *browser.Browser {
	b := browser.New(s, s.url)
	b.Now = s.Server.Now
	return b
}

func (s *started) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// inbox reads an address's messages as a script would, newest first.
func (s *started) inbox(to string) []Message {
	s.t.Helper()
	response, err := http.Get(s.url + "/demo/inbox.json?to=" + to)
	s.must(err)
	defer response.Body.Close()
	var list []Message
	s.must(json.NewDecoder(response.Body).Decode(&list))
	return list
}

// signIn tries a password through the form.
func (s *started) signIn(b *browser.Browser, realm, who, password, want string) {
	s.t.Helper()
	s.must(b.Visit("/demo/sign-in?lang=zh-CN"))
	s.must(b.Choose(realm))
	s.must(b.Fill("identifier", who))
	s.must(b.Fill("password", password))
	s.must(b.Press("检查密码"))
	if err := b.See("回答 " + want); err != nil {
		s.t.Fatal(err)
	}
}

// recover goes through the pages to where a new password is wanted, or a wait.
func (s *started) recover(b *browser.Browser, realm, phone string) {
	s.t.Helper()
	s.must(b.Visit("/" + realm + "/recover/reset-password?lang=zh-CN"))
	s.must(b.Fill("identifier", phone))
	s.must(b.Press("继续"))
	s.must(b.PressUnder("短信验证码", "发送短信验证码"))
	list := s.inbox(phone)
	if len(list) == 0 || list[0].Code == "" {
		s.t.Fatalf("no code for %s in %v", phone, list)
	}
	s.must(b.Fill("code", list[0].Code))
	s.must(b.Press("继续"))
}

func TestEveryPageOfTheDemoAnswers(t *testing.T) {
	s := start(t, "")
	for path, kind := range map[string]string{
		"/demo": "text/html", "/demo/inbox": "text/html", "/demo/sign-in": "text/html", "/demo/inbox.json": "application/json",
		"/demo/demo.css": "text/css", "/assets/app.css": "text/css", "/healthz": "application/json",
		"/openapi.json": "application/openapi+json", "/": "text/html", "/favicon.svg": "image/svg+xml",
	} {
		response, err := http.Get(s.url + path)
		s.must(err)
		response.Body.Close()
		if response.StatusCode != http.StatusOK || !strings.HasPrefix(response.Header.Get("Content-Type"), kind) {
			t.Errorf("%s: %d %s", path, response.StatusCode, response.Header.Get("Content-Type"))
		}
	}
}

var missing = regexp.MustCompile(`\?[a-z]+\.[a-z-]+\?|%s|&lt;no value|<no value`)

// In both languages, without scripts and inline styles, and with nothing from elsewhere.
func TestThePagesOfTheDemoAreAsStrictAsTheReal(t *testing.T) {
	s := start(t, "")
	b := s.browser()
	s.recover(b, "yichuangtong", "13800001001")
	for _, locale := range []string{"zh-CN", "en"} {
		for _, path := range []string{"/demo", "/demo/inbox", "/demo/sign-in"} {
			s.must(b.Visit(path + "?lang=" + locale))
			source := b.Source()
			if word := missing.FindString(source); word != "" {
				t.Errorf("%s in %s shows %s", path, locale, word)
			}
			for _, never := range []string{"<script", "<style", " style=", " onclick=", "//cdn"} {
				if strings.Contains(source, never) {
					t.Errorf("%s in %s has %s", path, locale, never)
				}
			}
			if !strings.Contains(source, `<html lang="`+locale+`"`) {
				t.Errorf("%s does not say that it is in %s", path, locale)
			}
			policy := b.Header("Content-Security-Policy")
			if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || b.Header("Cache-Control") != "no-store" {
				t.Errorf("%s: %s, %s", path, policy, b.Header("Cache-Control"))
			}
		}
	}
}

func TestEveryWordOfTheDemoIsInBothLanguages(t *testing.T) {
	for key, both := range words {
		if both[0] == "" || both[1] == "" || strings.Count(both[0], "%s") != strings.Count(both[1], "%s") {
			t.Errorf("%s: %q", key, both)
		}
	}
}

// The first thing that the demo suggests.
func TestAPasswordIsRecoveredThroughThePages(t *testing.T) {
	s := start(t, "")
	b := s.browser()
	s.signIn(b, "一窗通", "lilei", Password, "ok")
	s.recover(b, "yichuangtong", "13800001001")
	const fresh = "Returned-whole-2026"
	s.must(b.Fill("password", fresh))
	s.must(b.Press("设置新密码"))
	s.signIn(b, "一窗通", "lilei", Password, "wrong")
	s.signIn(b, "一窗通", "lilei", fresh, "ok")
	s.signIn(b, "微信支付", "lilei", Password, "ok") // another realm, another account
	told := s.inbox("family-of-lilei@example.cn")
	if len(told) == 0 || len(told[0].Links) == 0 || told[0].Code != "" {
		t.Errorf("the second mailbox was told %v", told)
	}
}

// The second: the hardened policy waits, and the clock makes it short.
func TestTheClockEndsTheHoldOfTheHardenedPolicy(t *testing.T) {
	s := start(t, "")
	b := s.browser()
	s.recover(b, "hardened-yichuangtong", "13800001001")
	s.must(b.See("等待期"))
	other := s.browser()
	s.must(other.Visit("/demo?lang=zh-CN"))
	s.must(other.Press("+1 天"))
	s.must(other.See("2026年3月2日 09:00"))
	s.must(other.See("比真实时间快 24 小时"))
	s.must(b.Reload())
	s.must(b.Fill("password", "correct jade returned whole"))
	s.must(b.Press("设置新密码"))
	s.signIn(b, "一窗通（加固）", "lilei", "correct jade returned whole", "ok")
}

func TestANoticeInTheInboxStopsTheRecovery(t *testing.T) {
	s := start(t, "")
	thief, owner := s.browser(), s.browser()
	s.recover(thief, "hardened-yichuangtong", "13800001001")
	s.must(owner.Visit("/demo/inbox?lang=zh-CN&to=lilei@example.cn"))
	notice, ok := s.Inbox.Last(recovery.ContactEmail, "lilei@example.cn")
	if !ok || len(notice.Links) == 0 {
		t.Fatalf("no notice: %v", notice)
	}
	s.must(owner.Follow(notice.Links[0]))
	s.must(owner.See("是你本人发起的吗"))
}

// The third: five wrong passwords, and what each reason to be locked looks like.
func TestSignInShowsLockoutAndLocks(t *testing.T) {
	s := start(t, "")
	b := s.browser()
	for range 4 {
		s.signIn(b, "一窗通", "lilei", "wrong", "wrong")
	}
	s.signIn(b, "一窗通", "lilei", "wrong", "locked")
	s.signIn(b, "一窗通", "lilei", Password, "locked")
	s.signIn(b, "一窗通", "zhaoqiang", Password, "disabled")
	s.must(b.See("因违规被停用"))
	s.signIn(b, "一窗通", "nobody-here", Password, "wrong")
}

func TestTheClockMovesForwardOnlyAndWithinBounds(t *testing.T) {
	s := start(t, "")
	for by, want := range map[string]int{
		"60": http.StatusSeeOther, "2592000": http.StatusSeeOther,
		"2592001": http.StatusUnprocessableEntity, "0": http.StatusUnprocessableEntity, "-60": http.StatusUnprocessableEntity,
		"": http.StatusUnprocessableEntity, "1h": http.StatusUnprocessableEntity,
	} {
		before := s.Server.Now()
		if got := s.post("/demo/clock", "by="+by, "same-origin"); got != want {
			t.Errorf("by=%s: %d, want %d", by, got, want)
		}
		if moved := s.Server.Now().After(before); moved != (want == http.StatusSeeOther) {
			t.Errorf("by=%s: moved %v", by, moved)
		}
	}
}

func TestAnotherSiteMovesNothing(t *testing.T) {
	s := start(t, "")
	if got := s.post("/demo/clock", "by=60", "cross-site"); got != http.StatusForbidden || !s.Server.Now().Equal(began) {
		t.Errorf("%d, now %s", got, s.Server.Now())
	}
}

func (s *started) post(path, form, site string) int {
	s.t.Helper()
	request, err := http.NewRequest(http.MethodPost, s.url+path, strings.NewReader(form))
	s.must(err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Sec-Fetch-Site", site)
	response, err := s.http.RoundTrip(request)
	s.must(err)
	response.Body.Close()
	return response.StatusCode
}

func TestBackupCodesWorkOnceInEachSystem(t *testing.T) {
	s := start(t, "")
	if len(s.BackupCodes) != 10 || len(slices.Compact(slices.Sorted(slices.Values(s.BackupCodes)))) != 10 {
		t.Fatalf("codes %v", s.BackupCodes)
	}
	use := func(realm string) *browser.Browser {
		b := s.browser()
		s.must(b.Visit("/" + realm + "/recover/reset-password?lang=zh-CN"))
		s.must(b.Fill("identifier", "13800001001"))
		s.must(b.Press("继续"))
		s.must(b.PressUnder("备用码", "输入备用码"))
		s.must(b.Fill("code", s.BackupCodes[0]))
		s.must(b.Press("继续"))
		return b
	}
	for _, realm := range []string{"yichuangtong", "vivo-service-code"} {
		s.must(use(realm).See("设置新密码"))
		s.must(s.Advance(t.Context(), time.Minute))
		s.must(use(realm).NotSee("设置新密码"))
	}
}

func TestAFolderKeepsAccountsAndTime(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "demo")
	first := start(t, folder)
	b := first.browser()
	first.recover(b, "yichuangtong", "13800001001")
	first.must(b.Fill("password", "Returned-whole-2026"))
	first.must(b.Press("设置新密码"))
	first.must(first.Advance(t.Context(), 24*time.Hour))
	first.signIn(b, "一窗通", "lilei", "Returned-whole-2026", "ok") // something happens on that day
	if first.Kept {
		t.Error("a new folder is said to be kept")
	}
	first.must(first.Demo.Server.Close())

	second := start(t, folder)
	if !second.Kept {
		t.Error("the accounts are not said to be kept")
	}
	if got := second.Clock.Now(); got.Before(began.Add(24 * time.Hour)) {
		t.Errorf("the clock went back to %s", got)
	}
	second.signIn(second.browser(), "一窗通", "lilei", "Returned-whole-2026", "ok")
	first.Demo.Server = nil // closed above
}

func TestATemporaryFolderIsGoneAtTheEnd(t *testing.T) {
	d, err := New(t.Context(), Options{Origin: "http://127.0.0.1:8080", Hash: cheap})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(d.folder, "keys.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("keys: %v, %v", info, err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(d.folder); !os.IsNotExist(err) {
		t.Errorf("%s: %v", d.folder, err)
	}
}

func TestSamplePeopleAreSoundAndMadeUp(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range Data(began) {
		for kind, value := range map[recovery.IdentifierKind]string{
			recovery.IdentifierPhone: s.Phone, recovery.IdentifierEmail: s.Email, recovery.IdentifierUsername: s.Username, recovery.IdentifierResidentID: s.ResidentID,
		} {
			if _, err := identifier.Parse(kind, value); value != "" && err != nil {
				t.Errorf("%s: %s %q: %v", s.ID, kind, value, err)
			}
		}
		if !strings.HasPrefix(s.Phone, "1380000") || !regexp.MustCompile(`@example\.(cn|com)$`).MatchString(s.Email) {
			t.Errorf("%s could be somebody's: %s %s", s.ID, s.Phone, s.Email)
		}
		if s.ResidentID != "" && s.ResidentID[6:10] > "1909" {
			t.Errorf("%s could be alive", s.ID)
		}
		if s.What["zh-CN"] == "" || s.What["en"] == "" || seen[s.ID] || seen[s.ResidentID] && s.ResidentID != "" {
			t.Errorf("%s says too little, or is there twice", s.ID)
		}
		seen[s.ID], seen[s.ResidentID] = true, true
	}
	if !secret.KnownHash(importedHash("x")) {
		t.Error("the hash is not one that an import takes")
	}
}
