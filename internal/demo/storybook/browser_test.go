package storybook

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/wanbi/wanbi/internal/i18n"
	"github.com/wanbi/wanbi/internal/testkit/chromium"
)

// look is one file of the book as the browser shows it: the page in its own
// sheets, then dressed in the dark ones.
type look struct {
	page   Page
	mode   string
	dark   string
	locale string
	least  int      // of a target, in CSS pixels
	also   []string // rules of axe beyond its own set
	dim    []string // rules that are run again in the dark
}

// looks lists every page in both languages, in the usual text and in the larger.
func looks(pages []Page) []look {
	var all []look
	for _, p := range pages {
		for _, locale := range i18n.Locales {
			all = append(
				all,
				look{p, "light", "dark", locale, 44, nil, []string{"color-contrast"}},
				look{p, "larger", "larger-dark", locale, 60, []string{"color-contrast-enhanced"}, []string{"color-contrast-enhanced"}},
			)
		}
	}
	return all
}

// Every page in both languages, light and dark, in usual and larger text, in a
// real browser: no finding of axe, structure, size of targets, no scrolling
// sideways on the narrowest telephone (which is 400 % zoom of a wide screen),
// nothing inline and nothing from elsewhere.
func TestEveryPageInARealBrowser(t *testing.T) {
	dir := t.TempDir()
	pages, err := Write(t.Context(), dir, func(string, ...any) {})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(strictly(http.FileServer(http.Dir(dir))))
	defer server.Close()
	tools := textOf(t, "testdata/axe/axe.min.js") + textOf(t, "testdata/check.js")
	browser := chromium.New(t)
	queue := make(chan look)
	var working sync.WaitGroup
	for range 2 {
		tab, closeTab := chromedp.NewContext(browser)
		defer closeTab()
		working.Go(func() {
			v := viewer{t: t, ctx: tab, base: server.URL, tools: tools}
			v.begin()
			for l := range queue {
				v.check(l)
			}
		})
	}
	all := looks(pages)
	for _, l := range all {
		queue <- l
	}
	close(queue)
	working.Wait()
	t.Logf("%d pages, %d looks, each light and dark", len(pages), len(all))
}

func textOf(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

// strictly answers with the policy of the pages, so that whatever breaks it is
// complained about in the console.
func strictly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; "+
			"form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
		next.ServeHTTP(w, r)
	})
}

// viewer is one tab.
type viewer struct {
	t     *testing.T
	ctx   context.Context
	base  string
	tools string
	mu    sync.Mutex
	said  []string // what the console and the network complained about
}

func (v *viewer) begin() {
	chromedp.ListenTarget(v.ctx, func(event any) {
		switch e := event.(type) {
		case *log.EventEntryAdded:
			v.note("the console says: " + e.Entry.Text)
		case *runtime.EventExceptionThrown:
			v.note("an exception: " + e.ExceptionDetails.Error())
		case *network.EventRequestWillBeSent:
			if !strings.HasPrefix(e.Request.URL, v.base) {
				v.note("a request to " + e.Request.URL)
			}
		}
	})
	if err := chromedp.Run(v.ctx, log.Enable(), network.Enable(),
		chromedp.ActionFunc(func(ctx context.Context) error {
			_, err := page.AddScriptToEvaluateOnNewDocument(v.tools).Do(ctx)
			return err
		}),
		emulation.SetFocusEmulationEnabled(true), // also in the tab that is not in front
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}}),
	); err != nil {
		v.t.Error(err)
	}
}

func (v *viewer) note(what string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.said = append(v.said, what)
}

func (v *viewer) noted() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	said := v.said
	v.said = nil
	return said
}

// check looks at one page at three widths.
func (v *viewer) check(l look) {
	name := fmt.Sprintf("%s/%s/%s", l.mode, l.locale, l.page.Name)
	if err := chromedp.Run(v.ctx, chromedp.EmulateViewport(360, 740), chromedp.Navigate(v.base+"/"+name+".html")); err != nil {
		v.t.Errorf("%s: %v", name, err)
		return
	}
	wrong := v.ask(`wanbi.telephone(%s)`, map[string]any{"least": l.least, "also": l.also})
	wrong = append(wrong, v.at(320, `wanbi.width(%s)`, nil)...)
	wrong = append(wrong, v.at(1280, `wanbi.desk(%s)`, map[string]any{"least": l.least, "day": l.mode, "night": l.dark, "dim": l.dim})...)
	wrong = append(wrong, v.noted()...)
	slices.Sort(wrong)
	for _, what := range slices.Compact(wrong) {
		v.t.Errorf("%s: %s", name, what)
	}
}

// at asks at another width of the window, in CSS pixels.
func (v *viewer) at(width int64, question string, about any) []string {
	if err := chromedp.Run(v.ctx, chromedp.EmulateViewport(width, 740)); err != nil {
		return []string{err.Error()}
	}
	return v.ask(question, about)
}

// ask runs one function of check.js and gives what it found.
func (v *viewer) ask(question string, about any) []string {
	literal, err := json.Marshal(about)
	if err != nil {
		return []string{err.Error()}
	}
	var found []string
	call := fmt.Sprintf(question, literal)
	err = chromedp.Run(v.ctx, chromedp.Evaluate(call, &found, func(p *runtime.EvaluateParams) *runtime.EvaluateParams {
		return p.WithAwaitPromise(true)
	}))
	if err != nil {
		return []string{call + ": " + err.Error()}
	}
	return found
}
