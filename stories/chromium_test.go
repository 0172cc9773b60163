package stories

import (
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/testkit"
	"github.com/wanbi/wanbi/internal/testkit/chromium"
)

// A person walks the main job in a real browser over plain HTTP on loopback, as
// the demo does it: cookies, CSP and forms as Chromium has them, in both
// languages, on a narrow phone. Nothing may be complained about in the console.
// WANBI_SHOTS=DIR keeps a screenshot of every page.
func TestAPersonWalksTheMainJobInChromium(t *testing.T) {
	s := testkit.Start(t, store.SQLite, []string{"yichuangtong"})
	plain := httptest.NewServer(s.Handler())
	defer plain.Close()
	for _, lang := range []string{"zh-CN", "en"} {
		t.Run(lang, func(t *testing.T) {
			w := walk{t: t, s: s, base: plain.URL, lang: lang, phone: "1380000123" + map[string]string{"zh-CN": "4", "en": "5"}[lang]}
			w.importAccount()
			w.run()
		})
	}
}

type walk struct {
	t     *testing.T
	s     *testkit.Server
	base  string
	lang  string
	phone string
	ctx   context.Context
	said  []string // what the console complained about
}

func (w *walk) importAccount() {
	results, err := w.s.Accounts.Import(w.t.Context(), "yichuangtong", []account.Record{{
		ID: "host-" + w.lang, Phone: w.phone, Email: w.lang + "@example.cn", Username: "name-" + strings.ToLower(w.lang[:2]), Locale: w.lang,
	}})
	if err != nil || results[0].Err != nil {
		w.t.Fatal(err, results)
	}
}

func (w *walk) run() {
	w.ctx = chromium.New(w.t)
	chromedp.ListenTarget(w.ctx, func(event any) {
		switch e := event.(type) {
		case *log.EventEntryAdded:
			// A 422 is how a form says that something is wrong; Chromium logs every such answer.
			if e.Entry.Source != log.SourceNetwork {
				w.said = append(w.said, e.Entry.Text)
			}
		case *runtime.EventExceptionThrown:
			w.said = append(w.said, e.ExceptionDetails.Text)
		}
	})
	w.do("start", log.Enable(), chromedp.EmulateViewport(360, 800), chromedp.Navigate(w.base+"/yichuangtong/recover?lang="+w.lang))
	w.do("find", chromedp.Click(`a[href$="/recover/reset-password"]`))
	w.do("ways", chromedp.SendKeys(`input[name=identifier]`, w.phone), chromedp.Click(`main form button[type=submit]`))
	w.do("prove", chromedp.Click(`section:first-of-type form button[type=submit]`))
	w.stay("wrong", chromedp.SendKeys(`input[name=code]`, "000000"), chromedp.Click(`form:has(input[name=code]) button[type=submit]`),
		chromedp.WaitVisible(`[role=alert]`))
	messages := w.s.Inbox.Messages("+86" + w.phone)
	if len(messages) != 1 {
		w.t.Fatalf("%d messages came", len(messages))
	}
	w.do("secret", chromedp.SendKeys(`input[name=code]`, messages[0].Code),
		chromedp.Click(`form:has(input[name=code]) button[type=submit]`))
	w.expect(`input[name=password][autocomplete=new-password]`)
	w.do("done", chromedp.SendKeys(`input[name=password]`, "New-jade-2026"), chromedp.Click(`form:has(input[name=password]) button[type=submit]`))
	w.see(map[string]string{"zh-CN": "账号已安全", "en": "Your account is secure"}[w.lang])
	got, err := w.s.Accounts.Verify(w.t.Context(), account.SignIn{Realm: "yichuangtong", Identifier: w.phone, Secret: "New-jade-2026"})
	if err != nil || got.Result != account.ResultOK {
		w.t.Fatalf("the new password: %v %v", got.Result, err)
	}
	if len(w.said) > 0 {
		w.t.Errorf("the console said: %s", strings.Join(w.said, "\n"))
	}
}

// do acts, waits for the page, lets the server settle and keeps the picture.
func (w *walk) do(name string, actions ...chromedp.Action) {
	w.t.Helper()
	last := actions[len(actions)-1]
	if err := chromedp.Run(w.ctx, actions[:len(actions)-1]...); err != nil {
		w.t.Fatalf("%s: %v", name, err)
	}
	if _, err := chromedp.RunResponse(w.ctx, last); err != nil {
		w.t.Fatalf("%s: %v", name, err)
	}
	w.settle(name)
}

// stay acts where the answer takes the place of the page; the last action waits for it.
func (w *walk) stay(name string, actions ...chromedp.Action) {
	w.t.Helper()
	if err := chromedp.Run(w.ctx, actions...); err != nil {
		w.t.Fatalf("%s: %v", name, err)
	}
	w.settle(name)
}

func (w *walk) settle(name string) {
	w.t.Helper()
	if err := w.s.Settle(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	dir := os.Getenv("WANBI_SHOTS")
	if dir == "" {
		return
	}
	var picture []byte
	if err := chromedp.Run(w.ctx, chromedp.FullScreenshot(&picture, 100)); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, w.lang+"-"+name+".png"), picture, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *walk) expect(selector string) {
	w.t.Helper()
	var count int
	if err := chromedp.Run(w.ctx, chromedp.Evaluate("document.querySelectorAll('"+selector+"').length", &count)); err != nil || count == 0 {
		w.t.Fatalf("no %s on the page: %v", selector, err)
	}
}

func (w *walk) see(text string) {
	w.t.Helper()
	var body string
	if err := chromedp.Run(w.ctx, chromedp.Text("main", &body)); err != nil || !strings.Contains(body, text) {
		w.t.Fatalf("%q is not on the page: %v\n%s", text, err, body)
	}
}
