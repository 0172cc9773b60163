// Package browser is a small text browser for story tests: it speaks real HTTP,
// keeps cookies, fills forms and reads what a person would see, and it runs no
// scripts, as our self-service pages must work without them.
//
// Where a browser's rules protect somebody it is as strict as one: __Host-
// cookies, SameSite, Sec-Fetch-Site and Origin follow the standards, a link in a
// message counts as coming from another site, and a Set-Cookie that a browser
// would drop is an error instead of a silence.
//
// Trust: none is asked for; only tests import it. What it shows comes from the
// server under test and is compared, never executed.
package browser

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxRedirects is how many redirects in a row are followed before giving up.
const maxRedirects = 10

// maxBody is the largest page that is read, in bytes.
const maxBody = 8 << 20

// Browser is one person's browser: its own cookies and one page at a time. Not
// safe for concurrent use.
type Browser struct {
	// Language is the Accept-Language header; New sets that of a Chinese browser.
	Language string
	// UserAgent is the User-Agent header.
	UserAgent string
	// Now tells when cookies expire; New sets time.Now. A story with a fake clock
	// puts that clock's Now here.
	Now func() time.Time

	transport http.RoundTripper
	base      *url.URL
	jar       jar
	page      *page
	posted    *visit // the last form that was sent
	losing    bool   // the next answer does not arrive
}

// New gives an empty browser. base is the scheme and host that Visit's paths
// belong to, such as http://127.0.0.1:8080; transport nil means
// http.DefaultTransport. It panics on a base that is no absolute URL.
func New(transport http.RoundTripper, base string) *Browser {
	at, err := url.Parse(base)
	if err != nil || at.Host == "" || at.Scheme == "" {
		panic(fmt.Sprintf("browser: base %q is no absolute URL", base))
	}
	if transport == nil {
		transport = http.DefaultTransport
	}
	return &Browser{
		Language:  "zh-CN,zh;q=0.9,en;q=0.5",
		UserAgent: "Mozilla/5.0 (story test; no scripts)",
		Now:       time.Now,
		transport: transport,
		base:      at,
	}
}

// Visit opens a path of the server as if its address had been typed.
func (b *Browser) Visit(path string) error {
	to, err := b.base.Parse(path)
	if err != nil {
		return fmt.Errorf("visit %q: %w", path, err)
	}
	return b.load(visit{method: http.MethodGet, to: to, site: siteNone})
}

// FollowURL opens an absolute link that came in a message. It counts as coming
// from another site, as it does from a mailbox in the same browser: cookies with
// SameSite=Strict stay at home, also for the redirects that follow.
func (b *Browser) FollowURL(link string) error {
	to, err := url.Parse(link)
	if err != nil || to.Host == "" {
		return fmt.Errorf("follow %q: not an absolute URL", link)
	}
	return b.load(visit{method: http.MethodGet, to: to, site: siteCross})
}

// Follow clicks the link with this visible text or accessible name, in full.
func (b *Browser) Follow(text string) error {
	if b.page == nil {
		return errNoPage
	}
	link, err := b.page.link(text)
	if err != nil {
		return err
	}
	to, err := b.page.url.Parse(strings.TrimSpace(link))
	if err != nil {
		return b.page.errorf("link %q leads to %q: %v", text, link, err)
	}
	switch {
	case b.page.isMessage():
		return b.FollowURL(to.String())
	case to.Scheme != "http" && to.Scheme != "https":
		return b.page.errorf("link %q leads to %q, which is no page", text, link)
	case to.Fragment != "" && withoutFragment(to) == withoutFragment(b.page.url):
		return nil // a jump within the page
	}
	return b.load(b.from(visit{method: http.MethodGet, to: to}))
}

// Reload opens the page again with a GET, as a bookmark would.
func (b *Browser) Reload() error {
	if b.page == nil {
		return errNoPage
	}
	if b.page.isMessage() {
		return b.page.errorf("a message cannot be reloaded")
	}
	return b.load(b.from(visit{method: http.MethodGet, to: b.page.url}))
}

// LoseReply cuts the line for the next request after the server has taken it: its
// answer does not arrive, so cookies and page stay as they are.
func (b *Browser) LoseReply() { b.losing = true }

// Resubmit sends the last form once more, as a browser does that reloads the
// page a POST led to, or one that never came.
func (b *Browser) Resubmit() error {
	if b.posted == nil {
		return errors.New("no form was sent yet")
	}
	return b.load(*b.posted)
}

// See fails unless the text is visible on the page. White space counts as one
// space, also between blocks.
func (b *Browser) See(text string) error {
	if b.page == nil {
		return errNoPage
	}
	if !strings.Contains(collapse(b.page.text()), collapse(text)) {
		return b.page.errorf("%q is not to be seen", text)
	}
	return nil
}

// NotSee fails if the text is visible on the page.
func (b *Browser) NotSee(text string) error {
	if b.page == nil {
		return errNoPage
	}
	if strings.Contains(collapse(b.page.text()), collapse(text)) {
		return b.page.errorf("%q is to be seen", text)
	}
	return nil
}

// Text is what a person sees on the page, one line per block.
func (b *Browser) Text() string {
	if b.page == nil {
		return ""
	}
	return b.page.text()
}

// Status is the HTTP status of the page, 0 when there is none or it is a message.
func (b *Browser) Status() int {
	if b.page == nil {
		return 0
	}
	return b.page.status
}

// Title is the page's title.
func (b *Browser) Title() string {
	if b.page == nil {
		return ""
	}
	return b.page.title()
}

// URL is where the page was found after all redirects, nil when there is none.
func (b *Browser) URL() *url.URL {
	if b.page == nil {
		return nil
	}
	at := *b.page.url
	return &at
}

// Header is one header of the page's answer.
func (b *Browser) Header(name string) string {
	if b.page == nil {
		return ""
	}
	return b.page.header.Get(name)
}

// Source is the page's body as it came.
func (b *Browser) Source() string {
	if b.page == nil {
		return ""
	}
	return string(b.page.body)
}

// Cookie is the value of a cookie that would be sent to the server now.
func (b *Browser) Cookie(name string) (value string, ok bool) {
	for _, c := range b.jar.cookies {
		if c.name == name && c.matches(b.base) && !c.expired(b.Now()) {
			return c.value, true
		}
	}
	return "", false
}

// Forget drops all cookies and the page: the same person on another device.
func (b *Browser) Forget() { b.jar, b.page, b.posted = jar{}, nil, nil }

var errNoPage = errors.New("no page is open: visit one first")

// visit is one navigation: what is asked for, and how far from here it began.
type visit struct {
	method  string
	to      *url.URL
	body    string // form fields, URL-encoded
	site    site
	origin  string // Origin header of a POST
	referer string
}

// from makes a visit one that began on the open page.
func (b *Browser) from(v visit) visit {
	here := b.page.url
	v.site = relation(here, v.to)
	silent := strings.EqualFold(strings.TrimSpace(b.page.header.Get("Referrer-Policy")), "no-referrer")
	if v.method != http.MethodGet {
		v.origin = here.Scheme + "://" + here.Host
		if silent { // the Fetch standard hides the origin of a form's POST, too
			v.origin = "null"
		}
	}
	if !silent && v.site == siteSame {
		v.referer = withoutFragment(here)
	}
	return v
}

// load sends the visit and follows redirects until a page comes back.
func (b *Browser) load(v visit) error {
	trail := []string{v.method + " " + v.to.String()}
	if v.method == http.MethodPost {
		again := v
		b.posted = &again
	}
	for {
		answer, body, err := b.send(v)
		if err != nil {
			return fmt.Errorf("%s: %w", strings.Join(trail, " → "), err)
		}
		if b.losing {
			b.losing = false
			return nil
		}
		if err := b.jar.keep(v.to, answer, b.Now()); err != nil {
			return fmt.Errorf("%s: %w", strings.Join(trail, " → "), err)
		}
		next, err := redirected(v, answer)
		if err != nil {
			return fmt.Errorf("%s: %w", strings.Join(trail, " → "), err)
		}
		if next == nil {
			b.page, err = newPage(v.to, answer, body)
			return err
		}
		trail = append(trail, next.method+" "+next.to.String())
		if len(trail) > maxRedirects+1 {
			return fmt.Errorf("more than %d redirects: %s", maxRedirects, strings.Join(trail, " → "))
		}
		v = *next
	}
}

// send makes one request and reads its answer.
func (b *Browser) send(v visit) (*http.Response, []byte, error) {
	req, err := http.NewRequest(v.method, v.to.String(), bytes.NewReader([]byte(v.body)))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	req.Header.Set("Accept-Language", b.Language)
	req.Header.Set("User-Agent", b.UserAgent)
	req.Header.Set("Sec-Fetch-Site", string(v.site))
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	req.Header.Set("Sec-Fetch-Dest", "document")
	req.Header.Set("Sec-Fetch-User", "?1")
	if v.origin != "" {
		req.Header.Set("Origin", v.origin)
	}
	if v.referer != "" {
		req.Header.Set("Referer", v.referer)
	}
	if v.method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if cookies := b.jar.header(v, b.Now()); cookies != "" {
		req.Header.Set("Cookie", cookies)
	}
	client := http.Client{
		Transport:     b.transport,
		Timeout:       time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxBody+1))
	if err != nil {
		return nil, nil, err
	}
	if len(body) > maxBody {
		return nil, nil, fmt.Errorf("the page is longer than %d bytes", maxBody)
	}
	return answer, body, nil
}

// redirected gives the visit that the answer asks for, nil when it is a page.
func redirected(v visit, answer *http.Response) (*visit, error) {
	next := visit{method: http.MethodGet, referer: v.referer}
	switch answer.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther:
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		next.method, next.body, next.origin = v.method, v.body, v.origin
	default:
		return nil, nil
	}
	location := answer.Header.Get("Location")
	if location == "" {
		return nil, fmt.Errorf("status %d without a Location", answer.StatusCode)
	}
	to, err := v.to.Parse(location)
	if err != nil {
		return nil, fmt.Errorf("location %q: %w", location, err)
	}
	next.to = to
	next.site = v.site.further(relation(v.to, to))
	return &next, nil
}

func withoutFragment(u *url.URL) string {
	bare := *u
	bare.Fragment, bare.RawFragment, bare.User = "", "", nil
	return bare.String()
}
