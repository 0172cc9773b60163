package web

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/wanbi/wanbi/internal/i18n"
)

var (
	discard   = slog.New(slog.DiscardHandler)
	errBroken = errors.New("broken")
)

// TestPages renders every page in both languages and looks at how it is built.
// With WANBI_PAGES=dir it also leaves them there, to be looked at.
func TestPages(t *testing.T) {
	dir := os.Getenv("WANBI_PAGES")
	if dir != "" {
		writeAssets(t, dir)
	}
	for _, f := range gallery() {
		for _, locale := range i18n.Locales {
			t.Run(f.name+"/"+locale, func(t *testing.T) {
				text := render(t, f, locale)
				if dir != "" {
					write(t, filepath.Join(dir, f.name+"."+locale+".html"), text)
				}
				doc, err := html.Parse(bytes.NewReader(text))
				if err != nil {
					t.Fatal(err)
				}
				for _, wrong := range inspect(doc, locale, f.realm != "") {
					t.Error(wrong)
				}
			})
		}
	}
}

func render(t *testing.T, f fixture, locale string) []byte {
	t.Helper()
	v, recorder := fixtureVisit(f.realm, locale)
	if err := f.show(v); err != nil {
		t.Fatal(err)
	}
	return recorder.Body.Bytes()
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func writeAssets(t *testing.T, dir string) {
	for name, a := range assets {
		write(t, filepath.Join(dir, "assets", name), a.data)
	}
	write(t, filepath.Join(dir, "assets/realm/tong.css"), accentSheet(tongPolicy().Realm.Accent))
	write(t, filepath.Join(dir, "assets/realm/bare.css"), accentSheet("#c2255c"))
}

// element is a node with its attributes at hand.
type element struct {
	*html.Node
	attr map[string]string
}

func elements(doc *html.Node) []element {
	var out []element
	for node := range doc.Descendants() {
		if node.Type != html.ElementNode {
			continue
		}
		attr := map[string]string{}
		for _, a := range node.Attr {
			attr[a.Key] = a.Val
		}
		out = append(out, element{node, attr})
	}
	return out
}

func words(node *html.Node) string {
	var b strings.Builder
	for n := range node.Descendants() {
		if n.Type == html.TextNode {
			b.WriteString(n.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// inspect lists what is wrong with a page.
func inspect(doc *html.Node, locale string, inRealm bool) []string {
	all := elements(doc)
	var wrong []string
	say := func(ok bool, what string) {
		if !ok {
			wrong = append(wrong, what)
		}
	}
	ids := map[string]int{}
	for _, e := range all {
		if id := e.attr["id"]; id != "" {
			ids[id]++
		}
	}
	for id, n := range ids {
		say(n == 1, "id "+id+" is used twice")
	}
	wrong = append(wrong, inspectFrame(doc, all, locale, inRealm)...)
	wrong = append(wrong, inspectText(doc, locale)...)
	level := 0
	for _, e := range all {
		if slices.Contains([]string{"h1", "h2", "h3"}, e.Data) {
			now := int(e.Data[1] - '0')
			// The summary of a problem stands before the heading.
			if e.attr["id"] != "problem-title" {
				say(now <= level+1, e.Data+" skips a level: "+words(e.Node))
				level = now
			}
			say(words(e.Node) != "", "an empty "+e.Data)
		}
		wrong = append(wrong, inspectElement(e, ids)...)
		if e.Data == "input" && e.attr["type"] != "hidden" && !has(e, "hidden") {
			say(labelled(all, e), "no label for input "+e.attr["name"])
		}
		if e.attr["role"] == "alert" {
			say(has(e, "tabindex"), "the summary cannot take the focus")
		}
		if has(e, "aria-invalid") {
			say(strings.Contains(e.attr["aria-describedby"], e.attr["id"]+"-error"), "the error is not read with "+e.attr["id"])
		}
	}
	return wrong
}

func has(e element, name string) bool { _, ok := e.attr[name]; return ok }

func labelled(all []element, input element) bool {
	for _, e := range all {
		if e.Data == "label" && e.attr["for"] == input.attr["id"] && input.attr["id"] != "" && words(e.Node) != "" {
			return true
		}
	}
	return false
}

// inspectFrame looks at what every page has.
func inspectFrame(doc *html.Node, all []element, locale string, inRealm bool) []string {
	var wrong []string
	count := map[string]int{}
	var title, heading string
	help, language := false, false
	for _, e := range all {
		count[e.Data]++
		switch {
		case e.Data == "html" && e.attr["lang"] != locale:
			wrong = append(wrong, "lang is "+e.attr["lang"])
		case e.Data == "title":
			title = words(e.Node)
		case e.Data == "h1":
			heading = words(e.Node)
		case e.Data == "a" && strings.HasSuffix(e.attr["href"], "/help") && e.Parent.Data == "nav":
			help = true
		case e.Data == "a" && has(e, "hreflang"):
			language = e.attr["lang"] == e.attr["hreflang"] && strings.HasPrefix(e.attr["href"], "/") &&
				strings.HasSuffix(e.attr["href"], "?lang="+i18n.Other(locale))
		}
	}
	for _, tag := range []string{"h1", "main", "title", "header", "footer"} {
		if count[tag] != 1 {
			wrong = append(wrong, "not exactly one "+tag)
		}
	}
	if heading == "" || !strings.Contains(title, heading) {
		wrong = append(wrong, "the title "+title+" lacks the heading "+heading)
	}
	if inRealm && !help {
		wrong = append(wrong, "no help link in the header")
	}
	if !language {
		wrong = append(wrong, "no link to the other language")
	}
	if strings.Count(words(doc), i18n.T(locale, "fraud.line", nil)) != 1 {
		wrong = append(wrong, "the fraud line is not there once")
	}
	return wrong
}

var (
	keyLike = regexp.MustCompile(`\b(page|action|error|secret|task|lock|intent|channel|layout|identifier)\.[a-z]+`)
	han     = regexp.MustCompile(`\p{Han}`)
)

// inspectText looks for keys, placeholders and words of the wrong language.
func inspectText(doc *html.Node, locale string) []string {
	var wrong []string
	for node := range doc.Descendants() {
		if node.Type != html.TextNode || node.Parent.Data == "script" {
			continue
		}
		if found := keyLike.FindString(node.Data); found != "" {
			wrong = append(wrong, "a key is shown: "+found)
		}
		if strings.ContainsAny(node.Data, "{}") {
			wrong = append(wrong, "a placeholder is shown: "+node.Data)
		}
		if locale == i18n.English && han.MatchString(node.Data) && !markedChinese(node) {
			wrong = append(wrong, "Chinese without lang: "+strings.TrimSpace(node.Data))
		}
	}
	return wrong
}

func markedChinese(node *html.Node) bool {
	for _, a := range node.Parent.Attr {
		if a.Key == "lang" && a.Val == i18n.Chinese {
			return true
		}
	}
	return false
}

// Standing alone, these are large enough to press; the storybook's check measures
// them in a browser.
var targets = []string{"brand", "nav-link", "button", "choice", "standing", "phone", "skip"}

// inspectElement looks at one element by itself.
func inspectElement(e element, ids map[string]int) []string {
	var wrong []string
	for name := range e.attr {
		if name == "style" || strings.HasPrefix(name, "on") {
			wrong = append(wrong, e.Data+" has "+name)
		}
	}
	for _, name := range []string{"aria-labelledby", "aria-describedby", "aria-controls"} {
		for _, id := range strings.Fields(e.attr[name]) {
			if ids[id] == 0 {
				wrong = append(wrong, name+" names "+id+", which is not there")
			}
		}
	}
	switch e.Data {
	case "style":
		wrong = append(wrong, "an inline style sheet")
	case "script":
		if !strings.HasPrefix(e.attr["src"], "/assets/") || words(e.Node) != "" {
			wrong = append(wrong, "a script that is not ours or inline")
		}
	case "link":
		if !strings.HasPrefix(e.attr["href"], "/") {
			wrong = append(wrong, "a sheet from elsewhere")
		}
	case "img":
		if !strings.HasPrefix(e.attr["src"], "/assets/realm/") || !has(e, "alt") || e.attr["alt"] != "" {
			wrong = append(wrong, "a picture that is not the logo, or one that is read out beside its name")
		}
	case "iframe", "object", "embed", "video", "audio":
		wrong = append(wrong, "unexpected "+e.Data)
	case "form":
		if !strings.Contains(markup(e), `name="nonce"`) {
			wrong = append(wrong, "a form without its nonce: pressed twice, it acts twice")
		}
		if e.attr["method"] != "post" || !strings.HasPrefix(e.attr["action"], "/tong/") && !strings.HasPrefix(e.attr["action"], "/bare/") {
			wrong = append(wrong, "a form that does not post to its realm")
		}
	case "button":
		if words(e.Node) == "" || e.attr["type"] == "" {
			wrong = append(wrong, "a button without words or type")
		}
	case "svg":
		if e.attr["aria-hidden"] != "true" {
			wrong = append(wrong, "a drawing that is read out")
		}
	case "a":
		wrong = append(wrong, inspectLink(e, ids)...)
	}
	if (e.Data == "a" || e.Data == "button") && !large(e) {
		wrong = append(wrong, "a small target: "+words(e.Node))
	}
	return wrong
}

func markup(e element) string {
	var b strings.Builder
	if err := html.Render(&b, e.Node); err != nil {
		return err.Error()
	}
	return b.String()
}

func inspectLink(e element, ids map[string]int) []string {
	href := e.attr["href"]
	if id, ok := strings.CutPrefix(href, "#"); ok && ids[id] == 0 {
		return []string{"a link to " + href + ", which is not there"}
	}
	if words(e.Node) == "" {
		return []string{"a link without words: " + href}
	}
	for _, ok := range []string{"/", "#", "tel:", "https://sign-in.example/"} {
		if strings.HasPrefix(href, ok) && !strings.HasPrefix(href, "//") {
			return nil
		}
	}
	return []string{"a link to " + href}
}

// large reports whether a link or button is a full target, or stands in a
// sentence, where WCAG 2.2 (2.5.8) does not ask for one.
func large(e element) bool {
	for _, class := range strings.Fields(e.attr["class"]) {
		if slices.Contains(targets, class) {
			return true
		}
	}
	return e.Data == "a" && e.Parent.Data == "p" && (strings.Contains(parentClass(e), "aside-note") || inSummary(e))
}

func parentClass(e element) string {
	for _, a := range e.Parent.Attr {
		if a.Key == "class" {
			return a.Val
		}
	}
	return ""
}

func inSummary(e element) bool {
	for _, a := range e.Parent.Parent.Attr {
		if a.Key == "role" && a.Val == "alert" {
			return true
		}
	}
	return false
}

// The inspection itself must be able to fail.
func TestInspectionFindsFaults(t *testing.T) {
	good := string(render(t, fixture{"", "tong", func(v *visit) error {
		return v.find(422, "reset-password", "", &problem{text: "x", field: "identifier"})
	}}, i18n.Chinese))
	for name, swap := range map[string][2]string{
		"two headings":     {"</h1>", "</h1><h1>a</h1>"},
		"inline style":     {`<main`, `<main style="a:b"`},
		"inline handler":   {`<main`, `<main onclick="a"`},
		"inline script":    {`</main>`, `<script>1</script></main>`},
		"no label":         {`<label for="identifier">`, `<label>`},
		"dead link":        {`href="#identifier"`, `href="#nobody"`},
		"a key":            {`</h1>`, ` page.find.heading</h1>`},
		"a placeholder":    {`</h1>`, ` {realm}</h1>`},
		"no fraud line":    {"找回账号不收费", "找回账号收费"},
		"small target":     {`class="button"`, `class="tiny"`},
		"wrong language":   {`lang="zh-CN"`, `lang="en"`},
		"form elsewhere":   {`action="/tong/`, `action="https://evil.example/`},
		"sheet elsewhere":  {`rel="stylesheet" href="/`, `rel="stylesheet" href="https://cdn.example/`},
		"no help":          {`href="/tong/help">帮助`, `href="/tong/halp">帮助`},
		"error not linked": {`aria-describedby="identifier-hint identifier-error"`, `aria-describedby="identifier-hint"`},
	} {
		if !strings.Contains(good, swap[0]) {
			t.Errorf("%s: nothing to break", name)
			continue
		}
		doc, err := html.Parse(strings.NewReader(strings.Replace(good, swap[0], swap[1], 1)))
		if err != nil {
			t.Fatal(err)
		}
		if len(inspect(doc, i18n.Chinese, true)) == 0 {
			t.Errorf("%s is not noticed", name)
		}
	}
}

// T7: a page is a function of its view, so equal views give equal bytes.
func TestEqualViewsGiveEqualBytes(t *testing.T) {
	for _, f := range gallery() {
		nonce := regexp.MustCompile(`name="nonce" value="[A-Z2-7]{26}"`) // fresh each time, always as long
		a := nonce.ReplaceAll(render(t, f, i18n.Chinese), nil)
		b := nonce.ReplaceAll(render(t, f, i18n.Chinese), nil)
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs between two renderings", f.name)
		}
	}
}

func TestNoTextOfPagesIsUnused(t *testing.T) {
	var sources strings.Builder
	for _, pattern := range []string{"*.go", "*.templ"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, "_templ.go") {
				continue
			}
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			sources.Write(data)
		}
	}
	// Keys that are put together: page.<step>.heading and .lead, by kind, intent or channel.
	joined := regexp.MustCompile(`^page\.(ways|choose|wait|secret|account|unlock|person|applying|done|stopped|expired|denied)\.heading$` +
		`|^page\.(stopped|expired|denied)\.lead$|^page\.error\.[a-z-]+\.heading$|^page\.done\.(heading|lead)\.[a-z-]+$|^action\.send\.|^layout\.text\.`)
	seen := 0
	for _, key := range i18n.Keys() {
		if !regexp.MustCompile(`^(page|action|layout|way)\.`).MatchString(key) || joined.MatchString(key) {
			continue
		}
		seen++
		if !strings.Contains(sources.String(), `"`+key+`"`) {
			t.Errorf("%s is on no page", key)
		}
	}
	if seen < 100 {
		t.Errorf("only %d keys were looked for", seen)
	}
}
