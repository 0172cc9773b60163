package browser

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// messageScheme marks a page that is a message and came over no HTTP.
const messageScheme = "message"

// page is what is open: a parsed document and where it came from.
type page struct {
	url    *url.URL
	status int
	header http.Header
	body   []byte
	doc    *html.Node // nil for what is not HTML
}

// newPage reads an answer. Scripts do not run, so noscript is visible.
func newPage(at *url.URL, answer *http.Response, body []byte) (*page, error) {
	p := &page{url: at, status: answer.StatusCode, header: answer.Header, body: body}
	kind, params, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if kind != "text/html" {
		return p, nil
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return nil, fmt.Errorf("%s is in %s, not in UTF-8", at, charset)
	}
	if !utf8.Valid(body) {
		return nil, fmt.Errorf("%s is not valid UTF-8", at)
	}
	doc, err := html.ParseWithOptions(bytes.NewReader(body), html.ParseOptionEnableScripting(false))
	p.doc = doc
	return p, err
}

func (p *page) isMessage() bool { return p.url.Scheme == messageScheme }

// errorf names the page, what was wrong, and what a person sees there.
func (p *page) errorf(format string, args ...any) error {
	var b strings.Builder
	fmt.Fprintf(&b, format, args...)
	fmt.Fprintf(&b, "\n  on %s", p.url)
	if p.status != 0 {
		fmt.Fprintf(&b, " (%d)", p.status)
	}
	if title := p.title(); title != "" {
		fmt.Fprintf(&b, " %q", title)
	}
	b.WriteString(", where one sees:")
	text := p.text()
	if text == "" {
		text = "(nothing)"
	}
	for line := range strings.Lines(text) {
		b.WriteString("\n  | " + strings.TrimRight(line, "\n"))
	}
	return errors.New(b.String())
}

func (p *page) title() string {
	for n := range p.elements() {
		if n.DataAtom == atom.Title && n.Namespace == "" {
			return collapse(ownText(n))
		}
	}
	return ""
}

// text is the visible text, one line per block.
func (p *page) text() string {
	if p.doc == nil {
		if !utf8.Valid(p.body) {
			return fmt.Sprintf("(%d bytes of %s)", len(p.body), p.header.Get("Content-Type"))
		}
		return string(p.body)
	}
	return visible(p.doc, true)
}

// elements goes through all elements in document order, hidden ones too.
func (p *page) elements() func(yield func(*html.Node) bool) {
	return func(yield func(*html.Node) bool) {
		if p.doc == nil {
			return
		}
		for n := range p.doc.Descendants() {
			if n.Type == html.ElementNode && !yield(n) {
				return
			}
		}
	}
}

// link gives where the visible link with this text or accessible name leads.
func (p *page) link(text string) (string, error) {
	var found []*html.Node
	var names []string
	for n := range p.elements() {
		if n.DataAtom != atom.A || !has(n, "href") || concealed(n) {
			continue
		}
		names = append(names, name(n))
		if called(n, text) {
			found = append(found, n)
		}
	}
	if len(found) == 0 {
		return "", p.errorf("no link %q; there are %s", text, list(names))
	}
	for _, other := range found[1:] {
		if attr(other, "href") != attr(found[0], "href") {
			return "", p.errorf("%d links %q lead to different places", len(found), text)
		}
	}
	return attr(found[0], "href"), nil
}

// called reports whether a person would call the element so: by its visible text
// or by the name that it has for a screen reader.
func called(n *html.Node, text string) bool {
	text = collapse(text)
	return name(n) == text || (has(n, "aria-label") && collapse(attr(n, "aria-label")) == text)
}

// name is the visible text of a link or button.
func name(n *html.Node) string {
	if n.DataAtom == atom.Input {
		if !has(n, "value") {
			return "Submit"
		}
		return collapse(attr(n, "value"))
	}
	if text := collapse(visible(n, true)); text != "" {
		return text
	}
	return collapse(attr(n, "aria-label"))
}

// visible collects what a person sees within n. Fields are left out when
// fields is false, which is how the text of a label is read.
func visible(n *html.Node, fields bool) string {
	var b strings.Builder
	write(&b, n, fields)
	var lines []string
	for line := range strings.Lines(b.String()) {
		if line = collapse(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

func write(b *strings.Builder, n *html.Node, fields bool) {
	switch n.Type {
	case html.TextNode:
		b.WriteString(strings.NewReplacer("\n", " ", "\r", " ").Replace(n.Data))
		return
	case html.ElementNode:
		if hidden(n) {
			return
		}
		switch n.DataAtom {
		case atom.Br:
			b.WriteByte('\n')
		case atom.Img:
			b.WriteString(" " + attr(n, "alt") + " ")
		case atom.Input:
			if fields {
				b.WriteString(" " + shownValue(n) + " ")
			}
			return
		case atom.Textarea, atom.Select:
			if !fields {
				return
			}
		}
	}
	block := n.Type == html.ElementNode && slices.Contains(blocks, n.DataAtom)
	if block {
		b.WriteByte('\n')
	}
	for child := range n.ChildNodes() {
		write(b, child, fields)
	}
	if block {
		b.WriteByte('\n')
	}
}

// shownValue is the text inside an input; what is typed as a password is dots.
func shownValue(n *html.Node) string {
	switch strings.ToLower(attr(n, "type")) {
	case "checkbox", "radio", "password", "file", "range", "color":
		return ""
	case "submit", "reset", "image":
		return name(n)
	}
	return attr(n, "value")
}

// hidden reports whether the element itself hides what is in it.
func hidden(n *html.Node) bool {
	switch n.DataAtom {
	case atom.Head, atom.Script, atom.Style, atom.Template, atom.Datalist, atom.Iframe, atom.Object:
		return true
	case atom.Title, atom.Desc:
		return true // the name of a drawing
	case atom.Dialog:
		if !has(n, "open") {
			return true
		}
	case atom.Input:
		if strings.EqualFold(attr(n, "type"), "hidden") {
			return true
		}
	}
	style := strings.ReplaceAll(strings.ToLower(attr(n, "style")), " ", "")
	return has(n, "hidden") || strings.Contains(style, "display:none") || strings.Contains(style, "visibility:hidden")
}

// concealed reports whether the element or anything around it is hidden.
func concealed(n *html.Node) bool {
	for ; n != nil; n = n.Parent {
		if n.Type == html.ElementNode && hidden(n) {
			return true
		}
	}
	return false
}

// blocks are the elements that begin and end a line. A closed details element
// counts as open: a person can open it without scripts.
var blocks = []atom.Atom{
	atom.Address, atom.Article, atom.Aside, atom.Blockquote, atom.Body, atom.Button, atom.Caption,
	atom.Dd, atom.Details, atom.Dialog, atom.Div, atom.Dl, atom.Dt, atom.Fieldset, atom.Figcaption,
	atom.Figure, atom.Footer, atom.Form, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6,
	atom.Header, atom.Hr, atom.Label, atom.Legend, atom.Li, atom.Main, atom.Menu, atom.Nav, atom.Ol,
	atom.Optgroup, atom.Option, atom.P, atom.Pre, atom.Section, atom.Select, atom.Summary, atom.Table,
	atom.Tbody, atom.Td, atom.Tfoot, atom.Th, atom.Thead, atom.Tr, atom.Ul,
}

// ownText is the text directly inside n.
func ownText(n *html.Node) string {
	var b strings.Builder
	for child := range n.ChildNodes() {
		if child.Type == html.TextNode {
			b.WriteString(child.Data)
		}
	}
	return b.String()
}

func has(n *html.Node, key string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == key })
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func setAttr(n *html.Node, key, value string) {
	dropAttr(n, key)
	n.Attr = append(n.Attr, html.Attribute{Key: key, Val: value})
}

func dropAttr(n *html.Node, key string) {
	n.Attr = slices.DeleteFunc(n.Attr, func(a html.Attribute) bool { return a.Key == key })
}

func collapse(s string) string { return strings.Join(strings.Fields(s), " ") }

// list quotes names for an error.
func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(quoted, ", ")
}
