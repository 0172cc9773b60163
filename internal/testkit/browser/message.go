package browser

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"golang.org/x/net/html"
)

// ReadHTML opens a message in HTML as the page: See and Follow work on it, and a
// link in it opens as from another site. title says what it is, such as its subject.
func (b *Browser) ReadHTML(title, body string) error {
	doc, err := html.ParseWithOptions(strings.NewReader(body), html.ParseOptionEnableScripting(false))
	if err != nil {
		return fmt.Errorf("message %q: %w", title, err)
	}
	b.page = &page{
		url:    &url.URL{Scheme: messageScheme, Opaque: url.PathEscape(title)},
		header: http.Header{}, body: []byte(body), doc: doc,
	}
	return nil
}

// addresses are the web addresses in a text, in ASCII as they are sent.
var addresses = regexp.MustCompile(`https?://[-A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%]+`)

// ReadText opens a plain text as the page. Its web addresses become links, as
// mail programs and telephones make them; a link can be followed by its address
// or by the words before it on its line, or on the line above when it has a line
// of its own.
func (b *Browser) ReadText(title, body string) error {
	var page bytes.Buffer
	above := ""
	fmt.Fprintf(&page, "<title>%s</title>", html.EscapeString(title))
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		page.WriteString("<p>")
		rest, said := line, ""
		for at := addresses.FindStringIndex(rest); at != nil; at = addresses.FindStringIndex(rest) {
			link := strings.TrimRight(rest[at[0]:at[1]], ".,;:!?)'")
			before := rest[:at[0]]
			if said = words(before); said == "" {
				said = above
			}
			fmt.Fprintf(&page, `%s<a href="%s" aria-label="%s">%s</a>`, html.EscapeString(before),
				html.EscapeString(link), html.EscapeString(said), html.EscapeString(link))
			rest = rest[at[0]+len(link):]
		}
		page.WriteString(html.EscapeString(rest) + "</p>")
		if w := words(line); w != "" {
			above = w
		}
	}
	return b.ReadHTML(title, page.String())
}

// words strips what introduces an address.
func words(s string) string { return strings.Trim(strings.TrimSpace(s), " :：,，.。、→>-") }
