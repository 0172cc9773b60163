package storybook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"

	"golang.org/x/net/html"

	"github.com/wanbi/wanbi/internal/i18n"
)

// origin is where the pages believe they are: https, so that cookies are those
// of production.
const origin = "https://id.example.cn"

// direct hands requests to a handler without a network between.
type direct struct {
	handler http.Handler
	peer    string // the caller's address and port
	settle  func() error
	late    bool // the caller's deadline has passed
}

// RoundTrip answers a request and, when it was not only a look, does what it brought.
func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	if d.late {
		var stop context.CancelFunc
		ctx, stop = context.WithDeadline(ctx, time.Unix(0, 0))
		defer stop()
	}
	asked := r.Clone(ctx)
	asked.RemoteAddr, asked.RequestURI = d.peer, r.URL.RequestURI()
	if asked.Body == nil {
		asked.Body = http.NoBody
	}
	w := &answer{header: http.Header{}, status: http.StatusOK}
	d.handler.ServeHTTP(w, asked)
	response := &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r,
	}
	if d.settle == nil || r.Method == http.MethodGet {
		return response, nil
	}
	return response, d.settle()
}

// answer collects what a handler writes.
type answer struct {
	header http.Header
	status int
	wrote  bool
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if !a.wrote {
		a.status, a.wrote = status, true
	}
}

func (a *answer) Write(data []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(data)
}

// visitor is one made-up person's browser: it keeps cookies, follows redirects
// and fills forms, and it runs no scripts. The first error stays, and nothing is
// done after it.
type visitor struct {
	client *http.Client
	page   []byte
	status int
	at     *url.URL
	err    error
}

func newVisitor(handler http.Handler, peer string, settle func() error) *visitor {
	jar, err := cookiejar.New(nil)
	return &visitor{client: &http.Client{Transport: direct{handler: handler, peer: peer, settle: settle}, Jar: jar}, err: err}
}

// fail keeps the first error, with the page it happened on.
func (v *visitor) fail(format string, args ...any) {
	if v.err == nil {
		v.err = fmt.Errorf("%w, on %s (status %d)", fmt.Errorf(format, args...), v.at, v.status)
	}
}

// open visits a path of the server, or an address from a message.
func (v *visitor) open(path string) {
	if v.err != nil {
		return
	}
	if strings.HasPrefix(path, "/") {
		path = origin + path
	}
	v.keep(v.client.Get(path))
}

func (v *visitor) keep(response *http.Response, err error) {
	if err != nil {
		v.fail("%w", err)
		return
	}
	defer response.Body.Close()
	v.page, err = io.ReadAll(response.Body)
	v.status, v.at = response.StatusCode, response.Request.URL
	if err != nil {
		v.fail("%w", err)
	}
}

// submit fills and sends the first form whose action ends with this and whose
// hidden fields hold what typed says of them. pressed is the name and value of
// the button where it has some.
func (v *visitor) submit(action string, typed map[string]string, pressed ...string) {
	if v.err != nil {
		return
	}
	form, to, err := v.form(action, typed)
	if err != nil {
		v.fail("%w", err)
		return
	}
	if len(pressed) == 2 {
		form.Set(pressed[0], pressed[1])
	}
	v.keep(v.client.PostForm(origin+to, form))
}

var errNoForm = errors.New("there is no such form")

// form finds a form and gives its fields as they would be sent.
func (v *visitor) form(action string, typed map[string]string) (url.Values, string, error) {
	doc, err := html.Parse(bytes.NewReader(v.page))
	if err != nil {
		return nil, "", err
	}
	for node := range doc.Descendants() {
		if node.Type != html.ElementNode || node.Data != "form" || !strings.HasSuffix(attribute(node, "action"), action) {
			continue
		}
		fields, fits := url.Values{}, true
		for input := range node.Descendants() {
			name := attribute(input, "name")
			if input.Data != "input" || name == "" {
				continue
			}
			value, given := typed[name]
			switch kind := attribute(input, "type"); {
			case kind == "hidden":
				fits = fits && (!given || value == attribute(input, "value"))
				fields.Set(name, attribute(input, "value"))
			case given:
				fields.Set(name, value)
			case kind != "radio":
				fields.Set(name, attribute(input, "value"))
			}
		}
		if fits {
			return fields, attribute(node, "action"), nil
		}
	}
	return nil, "", fmt.Errorf("%w: %s %v", errNoForm, action, typed)
}

// headed reports whether the page's heading is that of the words, whatever stands
// in their placeholders.
func (v *visitor) headed(locale, key string) bool {
	const anything = "\x00"
	args := map[string]any{}
	for _, name := range i18n.Placeholders(key) {
		args[name] = anything
	}
	words := strings.ReplaceAll(regexp.QuoteMeta(i18n.T(locale, key, args)), anything, ".+")
	return regexp.MustCompile("<h1>" + words + "</h1>").Match(v.page)
}

func attribute(node *html.Node, name string) string {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
