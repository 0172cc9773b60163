package browser

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf16"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Fill types value into the visible field with this name, label or accessible
// name. Like a browser it stops at maxlength and takes no line breaks outside a
// textarea. A select is filled with the text or the value of an option.
func (b *Browser) Fill(field, value string) error {
	if b.page == nil {
		return errNoPage
	}
	n, err := b.page.field(field)
	if err != nil {
		return err
	}
	switch n.DataAtom {
	case atom.Select:
		return b.page.pick(n, value)
	case atom.Textarea:
		for child := n.FirstChild; child != nil; child = n.FirstChild {
			n.RemoveChild(child)
		}
		n.AppendChild(&html.Node{Type: html.TextNode, Data: typed(n, value)})
	default:
		setAttr(n, "value", typed(n, strings.NewReplacer("\r", "", "\n", "").Replace(value)))
	}
	return nil
}

// typed cuts the value at maxlength, which counts UTF-16 units.
func typed(n *html.Node, value string) string {
	limit, err := strconv.Atoi(attr(n, "maxlength"))
	units := utf16.Encode([]rune(value))
	if err != nil || limit < 0 || len(units) <= limit {
		return value
	}
	return string(utf16.Decode(units[:limit]))
}

// pick selects one option.
func (p *page) pick(sel *html.Node, wanted string) error {
	var chosen *html.Node
	var names []string
	for n := range sel.Descendants() {
		if n.DataAtom != atom.Option {
			continue
		}
		names = append(names, name(n))
		if chosen == nil && !has(n, "disabled") && (name(n) == collapse(wanted) || optionValue(n) == wanted) {
			chosen = n
		}
	}
	if chosen == nil {
		return p.errorf("no option %q; there are %s", wanted, list(names))
	}
	for n := range sel.Descendants() {
		if n.DataAtom == atom.Option {
			dropAttr(n, "selected")
		}
	}
	setAttr(chosen, "selected", "")
	return nil
}

// Choose checks the radio button or box with this label. The label may be named
// in full, by its beginning where only one begins so, or by the box's value.
func (b *Browser) Choose(label string) error {
	if b.page == nil {
		return errNoPage
	}
	n, err := b.page.box(label)
	if err != nil {
		return err
	}
	if disabled(n) {
		return b.page.errorf("%q is disabled", label)
	}
	if strings.EqualFold(attr(n, "type"), "radio") {
		for other := range b.page.elements() {
			if isBox(other) && attr(other, "name") == attr(n, "name") && b.page.owner(other) == b.page.owner(n) {
				dropAttr(other, "checked")
			}
		}
	}
	setAttr(n, "checked", "")
	return nil
}

// box finds a radio button or box, by label, value, or the label's beginning.
func (p *page) box(label string) (*html.Node, error) {
	label = collapse(label)
	var exact, begins []*html.Node
	var names []string
	for n := range p.elements() {
		if !isBox(n) || concealed(n) {
			continue
		}
		text := p.label(n)
		names = append(names, text)
		switch {
		case text == label, attr(n, "value") == label, collapse(attr(n, "aria-label")) == label && label != "":
			exact = append(exact, n)
		case strings.HasPrefix(text, label):
			begins = append(begins, n)
		}
	}
	found := exact
	if len(found) == 0 {
		found = begins
	}
	switch len(found) {
	case 0:
		return nil, p.errorf("nothing to choose called %q; there are %s", label, list(names))
	case 1:
		return found[0], nil
	}
	return nil, p.errorf("%d things to choose are called %q", len(found), label)
}

// Press submits the form with the button that has this visible text or
// accessible name, in full.
func (b *Browser) Press(text string) error { return b.press("", text) }

// PressUnder presses a button of a section, where several sections have one
// with the same text.
func (b *Browser) PressUnder(heading, text string) error { return b.press(heading, text) }

func (b *Browser) press(heading, text string) error {
	if b.page == nil {
		return errNoPage
	}
	button, err := b.page.button(heading, text)
	if err != nil {
		return err
	}
	form := b.page.owner(button)
	switch {
	case disabled(button):
		return b.page.errorf("button %q is disabled", text)
	case form == nil:
		return b.page.errorf("button %q belongs to no form and does nothing without scripts", text)
	}
	v, err := b.page.submission(form, button)
	if err != nil {
		return b.page.errorf("button %q: %v", text, err)
	}
	return b.load(b.from(v))
}

// button finds the one visible submit button with this text, in the section with
// this heading unless that is empty.
func (p *page) button(heading, text string) (*html.Node, error) {
	var found []*html.Node
	var names []string
	for n := range p.elements() {
		if !isButton(n) || concealed(n) || (heading != "" && !under(n, heading)) {
			continue
		}
		names = append(names, name(n))
		if called(n, text) {
			found = append(found, n)
		}
	}
	switch len(found) {
	case 0:
		return nil, p.errorf("no button %q; there are %s", text, list(names))
	case 1:
	default:
		return nil, p.errorf("%d buttons are called %q", len(found), text)
	}
	if kind := strings.ToLower(attr(found[0], "type")); kind == "button" || kind == "reset" {
		return nil, p.errorf("button %q has type=%s and sends nothing", text, kind)
	}
	return found[0], nil
}

// under reports whether the node's nearest section has the heading.
func under(n *html.Node, heading string) bool {
	for n = n.Parent; n != nil; n = n.Parent {
		if n.DataAtom != atom.Section {
			continue
		}
		for d := range n.Descendants() {
			switch d.DataAtom {
			case atom.H1, atom.H2, atom.H3, atom.H4:
				return called(d, heading)
			}
		}
		return false
	}
	return false
}

// submission builds the request that the button's form makes.
func (p *page) submission(form, button *html.Node) (visit, error) {
	setting := func(onButton, onForm string) string {
		if has(button, onButton) {
			return attr(button, onButton)
		}
		return attr(form, onForm)
	}
	if kind := setting("formenctype", "enctype"); kind != "" && kind != "application/x-www-form-urlencoded" {
		return visit{}, fmt.Errorf("its form is sent as %s, which this browser does not speak", kind)
	}
	to, err := p.url.Parse(strings.TrimSpace(setting("formaction", "action")))
	if err != nil {
		return visit{}, err
	}
	if to.Scheme != "http" && to.Scheme != "https" {
		return visit{}, fmt.Errorf("its form goes to %s", to)
	}
	data := p.fields(form, button)
	switch method := strings.ToUpper(setting("formmethod", "method")); method {
	case http.MethodPost:
		return visit{method: method, to: to, body: data}, nil
	case http.MethodGet, "":
		to.RawQuery, to.Fragment = data, ""
		return visit{method: http.MethodGet, to: to}, nil
	default:
		return visit{}, fmt.Errorf("its form has method %q", method)
	}
}

// fields encodes what the form sends, in document order, with the pressed button.
func (p *page) fields(form, button *html.Node) string {
	var pairs []string
	add := func(n *html.Node, value string) {
		if attr(n, "name") != "" {
			pairs = append(pairs, url.QueryEscape(attr(n, "name"))+"="+url.QueryEscape(value))
		}
	}
	for n := range p.elements() {
		if !isControl(n) || p.owner(n) != form || disabled(n) {
			continue
		}
		switch {
		case isButton(n):
			if n == button {
				add(n, attr(n, "value"))
			}
		case isBox(n):
			if !has(n, "checked") {
				continue
			}
			if !has(n, "value") {
				add(n, "on")
				continue
			}
			add(n, attr(n, "value"))
		case n.DataAtom == atom.Select:
			for _, value := range selected(n) {
				add(n, value)
			}
		case n.DataAtom == atom.Textarea:
			add(n, strings.ReplaceAll(strings.ReplaceAll(ownText(n), "\r\n", "\n"), "\n", "\r\n"))
		default:
			add(n, attr(n, "value"))
		}
	}
	return strings.Join(pairs, "&")
}

// selected gives the values of a select's chosen options; a list with one choice
// shows its first option when none is marked.
func selected(sel *html.Node) []string {
	var values []string
	first := ""
	any, multiple := false, has(sel, "multiple")
	for n := range sel.Descendants() {
		if n.DataAtom != atom.Option || disabled(n) {
			continue
		}
		if !any {
			first, any = optionValue(n), true
		}
		if has(n, "selected") {
			values = append(values, optionValue(n))
		}
	}
	switch {
	case multiple:
		return values
	case len(values) > 0:
		return values[len(values)-1:]
	case any:
		return []string{first}
	}
	return nil
}

func optionValue(n *html.Node) string {
	if has(n, "value") {
		return attr(n, "value")
	}
	return name(n)
}

// field finds the one visible field that can be typed into.
func (p *page) field(wanted string) (*html.Node, error) {
	wanted = collapse(wanted)
	var byName, byLabel []*html.Node
	var names []string
	for n := range p.elements() {
		if !isControl(n) || isButton(n) || isBox(n) || concealed(n) {
			continue
		}
		names = append(names, attr(n, "name"))
		switch {
		case attr(n, "name") == wanted:
			byName = append(byName, n)
		case p.label(n) == wanted, collapse(attr(n, "aria-label")) == wanted:
			byLabel = append(byLabel, n)
		}
	}
	found := byName
	if len(found) == 0 {
		found = byLabel
	}
	switch {
	case len(found) == 0:
		return nil, p.errorf("no field %q; there are %s", wanted, list(names))
	case len(found) > 1:
		return nil, p.errorf("%d fields are called %q", len(found), wanted)
	case disabled(found[0]) || has(found[0], "readonly"):
		return nil, p.errorf("field %q cannot be changed", wanted)
	}
	return found[0], nil
}

// label is the text of the control's label, without the fields inside it.
func (p *page) label(n *html.Node) string {
	for up := n.Parent; up != nil; up = up.Parent {
		if up.DataAtom == atom.Label {
			return collapse(visible(up, false))
		}
	}
	if id := attr(n, "id"); id != "" {
		for other := range p.elements() {
			if other.DataAtom == atom.Label && attr(other, "for") == id {
				return collapse(visible(other, false))
			}
		}
	}
	return ""
}

// owner is the form that a control belongs to, by its form attribute or by
// where it stands.
func (p *page) owner(n *html.Node) *html.Node {
	if has(n, "form") {
		for other := range p.elements() {
			if other.DataAtom == atom.Form && attr(other, "id") == attr(n, "form") {
				return other
			}
		}
		return nil
	}
	for up := n.Parent; up != nil; up = up.Parent {
		if up.DataAtom == atom.Form {
			return up
		}
	}
	return nil
}

// disabled reports whether the control or a fieldset around it is disabled.
func disabled(n *html.Node) bool {
	if has(n, "disabled") {
		return true
	}
	for up := n.Parent; up != nil; up = up.Parent {
		if (up.DataAtom == atom.Fieldset || up.DataAtom == atom.Optgroup) && has(up, "disabled") {
			return true
		}
	}
	return false
}

func isControl(n *html.Node) bool {
	switch n.DataAtom {
	case atom.Input, atom.Textarea, atom.Select, atom.Button:
		return true
	}
	return false
}

func isButton(n *html.Node) bool {
	if n.DataAtom == atom.Button {
		return true
	}
	switch strings.ToLower(attr(n, "type")) {
	case "submit", "button", "reset", "image":
		return n.DataAtom == atom.Input
	}
	return false
}

func isBox(n *html.Node) bool {
	kind := strings.ToLower(attr(n, "type"))
	return n.DataAtom == atom.Input && (kind == "radio" || kind == "checkbox")
}
