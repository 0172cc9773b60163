package demo

import (
	"bytes"
	"embed"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/i18n"
	"github.com/wanbi/wanbi/internal/identifier"
	"github.com/wanbi/wanbi/internal/recovery"
)

//go:embed pages
var pageFiles embed.FS

var pages = template.Must(template.ParseFS(pageFiles, "pages/*.html"))

// maxForm bounds a form, in bytes.
const maxForm = 16 << 10

// routes puts the demo's pages before the server's own.
func (d *Demo) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /demo", d.showDemo)
	mux.HandleFunc("GET /demo/inbox", d.showInbox)
	mux.HandleFunc("GET /demo/inbox.json", d.giveInbox)
	mux.HandleFunc("GET /demo/demo.css", serveSheet)
	mux.HandleFunc("POST /demo/clock", d.moveClock)
	mux.HandleFunc("GET /demo/sign-in", d.showSignIn)
	mux.HandleFunc("POST /demo/sign-in", d.trySignIn)
	mux.Handle("GET /demo/{$}", http.RedirectHandler("/demo", http.StatusMovedPermanently))
	checked := http.NewCrossOriginProtection().Handler(mux)
	all := http.NewServeMux()
	all.Handle("/", d.Server.Handler())
	for _, path := range []string{"/demo", "/demo/"} {
		all.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			setHeaders(w.Header())
			r.Body = http.MaxBytesReader(w, r.Body, maxForm)
			checked.ServeHTTP(w, r)
		})
	}
	return all
}

// setHeaders is what the real pages carry, without their one script.
func setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cache-Control", "no-store")
}

func serveSheet(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, pageFiles, "pages/demo.css")
}

// page is what every page of the demo shows.
type page struct {
	demo   *Demo
	Locale string
	Other  string
	Here   string // path
	Title  string
	Now    string
	// Moved is how far the clock is ahead, empty when it is not.
	Moved string
}

func (d *Demo) page(r *http.Request, title string) page {
	locale := r.FormValue("lang")
	if !slices.Contains(i18n.Locales, locale) {
		locale = i18n.Match(r.Header.Get("Accept-Language"))
	}
	if locale == "" {
		locale = i18n.Chinese
	}
	p := page{demo: d, Locale: locale, Other: i18n.Other(locale), Here: r.URL.Path, Now: i18n.FormatTime(locale, d.Server.Now())}
	if moved := d.Clock.Offset(); moved > 0 {
		p.Moved = i18n.FormatDuration(locale, moved)
	}
	p.Title = p.T(title)
	return p
}

// T gives the demo's own words, with what stands for %s.
func (p page) T(key string, values ...string) string { return say(p.Locale, key, values...) }

// Language names a language in itself.
func (page) Language(locale string) string { return i18n.T(locale, "language.name", nil) }

// To gives an address of the demo in the page's language.
func (p page) To(path string, pairs ...string) string {
	query := url.Values{"lang": {p.Locale}}
	for i := 0; i+1 < len(pairs); i += 2 {
		query.Set(pairs[i], pairs[i+1])
	}
	return path + "?" + query.Encode()
}

func (d *Demo) show(w http.ResponseWriter, name string, data any) {
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, name, data); err != nil {
		http.Error(w, "the page failed", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(body.Bytes()) // the reader is gone; nobody is left to tell
}

// realmLink is one system to try.
type realmLink struct {
	ID, Name, Path string
	Identifiers    string
}

// Realms are the systems to try.
func (p page) Realms() []realmLink {
	var out []realmLink
	for _, r := range p.demo.Realms {
		names := make([]string, len(r.Identifiers))
		for i, kind := range r.Identifiers {
			names[i] = i18n.T(p.Locale, "identifier."+string(kind)+".name", nil)
		}
		id := string(r.Realm.ID)
		out = append(out, realmLink{id, r.Realm.Name[p.Locale], "/" + id + "/recover?lang=" + p.Locale, i18n.List(p.Locale, names)})
	}
	return out
}

// person is a sample account as the page lists it.
type person struct {
	Sample
	Note   string
	Locked string
}

// People are the sample accounts.
func (p page) People() []person {
	var out []person
	for _, s := range p.demo.Samples {
		one := person{Sample: s, Note: s.What[p.Locale]}
		if s.Record.Locked != "" {
			one.Locked = i18n.T(p.Locale, "lock."+s.Record.Locked+".name", nil)
		}
		out = append(out, one)
	}
	return out
}

// BackupCodes are those of the first sample account.
func (p page) BackupCodes() []string { return p.demo.BackupCodes }

// Password is that of every sample account.
func (page) Password() string { return Password }

// step is one button of the clock.
type step struct{ Label, By string }

// Steps are how far the clock can be moved at a press.
func (p page) Steps() []step {
	var out []step
	for _, by := range []struct {
		label string
		span  time.Duration
	}{{"clock.minute", time.Minute}, {"clock.hour", time.Hour}, {"clock.day", 24 * time.Hour}, {"clock.days", 3 * 24 * time.Hour}} {
		out = append(out, step{p.T(by.label), strconv.Itoa(int(by.span.Seconds()))})
	}
	return out
}

func (d *Demo) showDemo(w http.ResponseWriter, r *http.Request) {
	d.show(w, "demo.html", d.page(r, "demo.title"))
}

// moveClock moves the clock by a number of seconds, at most 30 days, and leads
// back. A press of a second button meanwhile moves it further.
func (d *Demo) moveClock(w http.ResponseWriter, r *http.Request) {
	seconds, err := strconv.Atoi(r.PostFormValue("by"))
	if err != nil || seconds <= 0 || seconds > int((30*24*time.Hour).Seconds()) {
		http.Error(w, "by: a number of seconds, from 1 to 2592000", http.StatusUnprocessableEntity)
		return
	}
	if err := d.Advance(r.Context(), time.Duration(seconds)*time.Second); err != nil {
		http.Error(w, "the clock was moved, but not everything that was due could be done", http.StatusInternalServerError)
		return
	}
	back := "/demo"
	if r.PostFormValue("back") == "/demo/inbox" {
		back = "/demo/inbox"
	}
	http.Redirect(w, r, d.page(r, "demo.title").To(back), http.StatusSeeOther)
}

// inboxPage is the inbox of one address or of all.
type inboxPage struct {
	page
	Address  string // as typed
	Messages []shownMessage
	// Refresh is where the page leads after a while by itself; empty to stand still.
	Refresh string
	Still   string // where it stands still
}

// shownMessage is a message with its addresses made into links.
type shownMessage struct {
	Message
	Kind  string
	When  string
	Parts []part
}

// part is a piece of a message's text.
type part struct {
	Text string
	Link string // empty for words
}

// canonicalAddress reads an address as people type it; what is none stays.
func canonicalAddress(typed string) string {
	typed = strings.TrimSpace(typed)
	id, err := identifier.Detect(typed, []recovery.IdentifierKind{recovery.IdentifierPhone, recovery.IdentifierEmail})
	if err != nil {
		return typed
	}
	return id.Value
}

// parts cuts a text at its links.
func parts(text string, links []string) []part {
	var out []part
	for text != "" {
		at, found := len(text), ""
		for _, link := range links {
			if i := strings.Index(text, link); i >= 0 && (i < at || i == at && len(link) > len(found)) {
				at, found = i, link
			}
		}
		if at > 0 {
			out = append(out, part{Text: text[:at]})
		}
		if found != "" {
			out = append(out, part{Text: found, Link: found})
		}
		text = text[at+len(found):]
	}
	return out
}

func (d *Demo) showInbox(w http.ResponseWriter, r *http.Request) {
	p := inboxPage{page: d.page(r, "inbox.title"), Address: strings.TrimSpace(r.FormValue("to"))}
	p.Still = p.To(p.Here, "to", p.Address, "still", "1")
	if r.FormValue("still") == "" {
		p.Refresh = p.To(p.Here, "to", p.Address)
	}
	for _, m := range slices.Backward(d.Inbox.Messages(canonicalAddress(p.Address))) {
		p.Messages = append(p.Messages, shownMessage{
			Message: m, Kind: p.T("inbox." + string(m.Kind)), When: i18n.FormatTime(p.Locale, m.At), Parts: parts(m.Text, m.Links),
		})
	}
	d.show(w, "inbox.html", p)
}

// giveInbox gives the messages as a JSON list, newest first.
func (d *Demo) giveInbox(w http.ResponseWriter, r *http.Request) {
	list := d.Inbox.Messages(canonicalAddress(r.FormValue("to")))
	slices.Reverse(list)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(list) // the reader is gone; nobody is left to tell
}

// signInPage says how a sign-in ended.
type signInPage struct {
	page
	Realm, Identifier string
	Result            string // empty before the first try
	Said              string
	Reasons           []string
}

func (d *Demo) showSignIn(w http.ResponseWriter, r *http.Request) {
	d.show(w, "sign-in.html", signInPage{page: d.page(r, "signin.title"), Realm: r.FormValue("realm"), Identifier: r.FormValue("identifier")})
}

// trySignIn asks what a host would ask. The answer is shown at once: a repeat of
// this page is another try, and it should be.
func (d *Demo) trySignIn(w http.ResponseWriter, r *http.Request) {
	p := signInPage{page: d.page(r, "signin.title"), Realm: r.PostFormValue("realm"), Identifier: r.PostFormValue("identifier")}
	checked, err := d.Server.Accounts.Verify(r.Context(), account.SignIn{
		Realm: recovery.Realm(p.Realm), Identifier: p.Identifier, Secret: r.PostFormValue("password"),
	})
	if err != nil {
		e := recovery.AsError(err)
		p.Result, p.Said = "error", i18n.Problem(p.Locale, e.Key, e.Args, e.RetryAfter)
		d.show(w, "sign-in.html", p)
		return
	}
	p.Result = string(checked.Result)
	p.Said = p.T("signin."+p.Result, checked.HostID)
	if checked.Result == account.ResultLocked {
		p.Said = p.T("signin.locked", i18n.FormatDuration(p.Locale, checked.RetryAfter))
	}
	for _, reason := range checked.Reasons {
		p.Reasons = append(p.Reasons, i18n.T(p.Locale, "lock."+string(reason)+".name", nil))
	}
	d.show(w, "sign-in.html", p)
}
