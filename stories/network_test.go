package stories

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/testkit"
	"github.com/wanbi/wanbi/internal/testkit/chromium"
)

// line is what is between the browser and the server. When it is to lose a reply
// the server takes the next POST, says so on taken, and the connection ends
// without an answer once lost is closed.
type line struct {
	server http.Handler
	losing atomic.Bool
	taken  chan struct{}
	lost   chan struct{}
	posts  atomic.Int64
}

func (l *line) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		l.server.ServeHTTP(w, r)
		return
	}
	l.posts.Add(1)
	if !l.losing.CompareAndSwap(true, false) {
		l.server.ServeHTTP(w, r)
		return
	}
	l.server.ServeHTTP(httptest.NewRecorder(), r)
	l.taken <- struct{}{}
	<-l.lost
	panic(http.ErrAbortHandler)
}

// The line breaks while the reply to a code, and to a new password, is on its
// way. The page says so, keeps what was typed, and sends it again when the
// network is back: the code counts once and the password is set once (P4).
func TestALostReplyIsAskedForAgainInChromium(t *testing.T) {
	s := testkit.Start(t, store.SQLite, []string{"yichuangtong"})
	l := &line{server: s.Handler(), taken: make(chan struct{})}
	plain := httptest.NewServer(l)
	defer plain.Close()
	w := walk{t: t, s: s, base: plain.URL, lang: "zh-CN", phone: "13800001234"}
	w.importAccount()
	w.ctx = chromium.New(t)
	chromedp.ListenTarget(w.ctx, func(event any) {
		switch e := event.(type) {
		case *log.EventEntryAdded:
			if e.Entry.Source != log.SourceNetwork { // what was lost is logged
				w.said = append(w.said, e.Entry.Text)
			}
		case *runtime.EventExceptionThrown:
			w.said = append(w.said, e.ExceptionDetails.Text)
		}
	})
	w.do("start", log.Enable(), chromedp.EmulateViewport(360, 800), chromedp.Navigate(w.base+"/yichuangtong/recover/reset-password?lang=zh-CN"))
	w.do("ways", chromedp.SendKeys(`input[name=identifier]`, w.phone), chromedp.Click(`main form button[type=submit]`))
	w.do("prove", chromedp.Click(`section:first-of-type form button[type=submit]`))
	code := s.Inbox.Messages("+86" + w.phone)[0].Code

	w.lose(l, `input[name=code]`, code)
	w.back(`input[name=password]`)
	w.lose(l, `input[name=password]`, "New-jade-2026")
	w.back(`.tasks`)
	w.see("账号已安全")

	got, err := s.Accounts.Verify(t.Context(), account.SignIn{Realm: "yichuangtong", Identifier: w.phone, Secret: "New-jade-2026"})
	if err != nil || got.Result != account.ResultOK {
		t.Fatalf("the new password: %v %v", got.Result, err)
	}
	if n := l.posts.Load(); n < 6 { // Chromium itself may have tried again, too
		t.Errorf("%d posts, want the four of the walk and the two that were sent again", n)
	}
	for _, once := range []string{"正在申请找回", "资料刚刚有变更"} {
		if n := w.told(once); n != 1 {
			t.Errorf("told %d times: %s", n, once)
		}
	}
	if len(w.said) > 0 {
		t.Errorf("the console said: %s", strings.Join(w.said, "\n"))
	}
}

// Which of two buttons was pressed goes with the form, and while the line is
// broken the one pressed last: whoever meant to stop a recovery stops it.
func TestTheButtonPressedLastCountsInChromium(t *testing.T) {
	s := testkit.Start(t, store.SQLite, []string{"hardened/yichuangtong"})
	plain := httptest.NewServer(s.Handler())
	defer plain.Close()
	w := walk{t: t, s: s, base: plain.URL, lang: "zh-CN", phone: "13800001234"}
	results, err := s.Accounts.Import(t.Context(), "hardened-yichuangtong", []account.Record{{ID: "li", Phone: w.phone}})
	if err != nil || results[0].Err != nil {
		t.Fatal(err, results)
	}
	w.ctx = chromium.New(t)
	w.do("find", chromedp.Navigate(w.base+"/hardened-yichuangtong/recover/reset-password?lang=zh-CN"))
	w.do("ways", chromedp.SendKeys(`input[name=identifier]`, w.phone), chromedp.Click(`main form button[type=submit]`))
	w.do("prove", chromedp.Click(`section:first-of-type form button[type=submit]`))
	w.do("wait", chromedp.SendKeys(`input[name=code]`, s.Inbox.Messages("+86" + w.phone)[0].Code),
		chromedp.Click(`form:has(input[name=code]) button[type=submit]`))
	messages := s.Inbox.Messages("+86" + w.phone)
	link := messages[len(messages)-1].Links[0]
	w.do("notice", chromedp.Navigate(strings.Replace(link, s.HTTP.URL, w.base, 1)))
	w.act(offline(true), chromedp.Click(`button[value=mine]`), chromedp.WaitVisible(`.offline:not(:empty)`))
	w.see("没有网络")
	w.act(chromedp.Click(`button[value=stop]`))
	w.act(offline(false), chromedp.WaitNotPresent(`button[value=stop]`))
	w.see("已取消")
}

// lose fills the field and sends the form; the network goes when the server has
// taken it, so that no answer comes.
func (w *walk) lose(l *line, field, value string) {
	w.t.Helper()
	l.lost = make(chan struct{})
	l.losing.Store(true)
	button := `form:has(` + field + `) button[type=submit]`
	w.act(chromedp.SendKeys(field, value), chromedp.Click(button))
	<-l.taken
	w.act(offline(true))
	close(l.lost)
	var kept string
	w.act(chromedp.WaitVisible(`.offline:not(:empty)`), chromedp.Value(field, &kept))
	w.see("没有网络")
	if kept != value {
		w.t.Errorf("%s holds %q", field, kept)
	}
	var stored int
	w.act(chromedp.Evaluate(`localStorage.length + sessionStorage.length`, &stored))
	if stored != 0 {
		w.t.Errorf("%d things are in the browser's storage", stored)
	}
	if err := w.s.Settle(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// back brings the network back and waits for the page that follows.
func (w *walk) back(next string) {
	w.t.Helper()
	w.act(offline(false), chromedp.WaitVisible(next))
}

func (w *walk) act(actions ...chromedp.Action) {
	w.t.Helper()
	if err := chromedp.Run(w.ctx, actions...); err != nil {
		w.t.Fatal(err)
	}
}

func offline(yes bool) chromedp.Action {
	return chromedp.Tasks{network.Enable(), network.EmulateNetworkConditions(yes, 0, -1, -1)}
}

// told counts the messages to the phone that have the text in them.
func (w *walk) told(text string) (n int) {
	for _, m := range w.s.Inbox.Messages("+86" + w.phone) {
		if strings.Contains(m.Text, text) {
			n++
		}
	}
	return n
}
