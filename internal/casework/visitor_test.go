package casework_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// visitor is a client that sends what it likes: the pages over real HTTP,
// without what a browser would prevent.
type visitor struct {
	d       *desk
	client  *http.Client
	headers map[string]string // sent with everything; Host is the Host
	fields  url.Values        // hidden fields of the last page
	said    []string          // every answer, in the form that said makes
}

var hidden = regexp.MustCompile(`name="(nonce|challenge|ref)" value="([^"]*)"`)

func (d *desk) visitor() *visitor {
	d.t.Helper()
	jar, err := cookiejar.New(nil)
	d.check(err)
	return &visitor{d: d, headers: map[string]string{}, client: &http.Client{
		Transport: d.HTTP.Client().Transport, Jar: jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// do makes one request, lets what it brought happen, and reads the answer.
func (v *visitor) do(method, at string, form url.Values) (*http.Response, string) {
	v.d.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(ctx, method, v.d.HTTP.URL+at, body)
	v.d.check(err)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range v.headers {
		r.Header.Set(name, value)
	}
	r.Host = v.headers["Host"]
	answer, err := v.client.Do(r)
	v.d.check(err)
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	v.d.check(err)
	if method != http.MethodHead {
		v.fields = url.Values{}
		for _, found := range hidden.FindAllStringSubmatch(string(text), -1) {
			v.fields.Set(found[1], found[2])
		}
	}
	v.said = append(v.said, said(method, at, answer, string(text)))
	v.d.settle()
	return answer, string(text)
}

func (v *visitor) get(at string) (*http.Response, string) {
	v.d.t.Helper()
	return v.do(http.MethodGet, at, nil)
}

// post sends a form with the hidden fields of the last page, and follows to the page it leads to.
func (v *visitor) post(at string, pairs ...string) (*http.Response, string) {
	v.d.t.Helper()
	form := v.fields
	if form == nil {
		form = url.Values{}
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	answer, text := v.do(http.MethodPost, at, form)
	if answer.StatusCode == http.StatusSeeOther {
		return v.get(answer.Header.Get("Location"))
	}
	return answer, text
}

var (
	opaque    = regexp.MustCompile(`(name="(?:nonce|challenge|ref)" value=")[^"]*"`)
	reference = regexp.MustCompile(`[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}`)
	cookied   = regexp.MustCompile(`=[^;]*`)
)

// said is an answer without what is random in it.
func said(method, at string, answer *http.Response, text string) string {
	var b strings.Builder
	b.WriteString(method + " " + at + " " + answer.Status + "\n")
	var headers []string
	for name, values := range answer.Header {
		for _, value := range values {
			switch name {
			case "Date":
				continue
			case "Set-Cookie": // name, length and attributes
				pair, rest, _ := strings.Cut(value, ";")
				value = cookied.ReplaceAllString(pair, "") + strings.Repeat("x", len(pair)) + ";" + rest
			}
			headers = append(headers, name+": "+value)
		}
	}
	slices.Sort(headers)
	b.WriteString(strings.Join(headers, "\n") + "\n\n")
	b.WriteString(reference.ReplaceAllString(opaque.ReplaceAllString(text, `$1…"`), "REF"))
	return b.String()
}
