// Package storybook writes every page of self-service as a static file, in both
// languages and in every mode, with an index to look through: for whoever changes
// words or looks, and for the checks that open each page in a real browser.
//
// It plays each page on a demo server in this process, by what a person would do
// to get there, and keeps what the server answered. There is no second set of
// templates.
//
// Trust: none. Its people, accounts and databases are made up and gone at the end;
// whoever can write here writes files into one folder.
package storybook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/wanbi/wanbi/internal/i18n"
)

// Mode is one way to see a page. The sheets of a mode answer its media queries
// for good, so that a light page stays light on a dark screen.
type Mode struct {
	Name   string // of its folder
	Title  string
	Larger bool
	sheets func(css string) string
	strip  *regexp.Regexp // what of the page is taken out, nil for nothing
}

const (
	darkQuery = "@media screen and (prefers-color-scheme: dark)"
	darkShort = "@media screen and (prefers-color-scheme:dark)"
)

// never and always answer a query for good.
func never(css, query string) string  { return strings.ReplaceAll(css, query, "@media not all") }
func always(css, query string) string { return strings.ReplaceAll(css, query, "@media all") }

func inLight(css string) string {
	css = strings.ReplaceAll(css, "color-scheme: light dark", "color-scheme: light")
	return never(never(css, darkQuery), darkShort)
}

func inDark(css string) string {
	css = strings.ReplaceAll(css, "color-scheme: light dark", "color-scheme: dark")
	return always(always(css, darkQuery), darkShort)
}

func onPaper(css string) string { return always(inLight(css), "@media print") }

var script = regexp.MustCompile(`<script [^>]*></script>`)

// Modes are all ways to see a page, the usual one first.
var Modes = []Mode{
	{Name: "light", Title: "Light", sheets: inLight},
	{Name: "dark", Title: "Dark", sheets: inDark},
	{Name: "larger", Title: "Larger text", Larger: true, sheets: inLight},
	{Name: "larger-dark", Title: "Larger text, dark", Larger: true, sheets: inDark},
	{Name: "print", Title: "On paper", sheets: onPaper},
	{Name: "no-js", Title: "Without JavaScript", sheets: inLight, strip: script},
}

// Page is one page of the book, in every language and mode.
type Page struct {
	Name    string // of its files
	Title   string
	Chapter string
	Status  int // of the answer
}

// File is where a page lies in the book's folder.
func (p Page) File(mode Mode, locale string) string {
	return filepath.Join(mode.Name, locale, p.Name+".html")
}

// Write plays every scene and writes the book into a folder, which is made where
// it is missing; files of an earlier book are replaced, and nothing is removed. say
// is told of each step. It gives the pages in the order of the index.
func Write(ctx context.Context, dir string, say func(format string, args ...any)) ([]Page, error) {
	b := &book{dir: dir, sheets: map[string]bool{}}
	for _, larger := range []bool{false, true} {
		for _, locale := range i18n.Locales {
			size := "usual text"
			if larger {
				size = "larger text"
			}
			say("%s, %s", locale, size)
			if err := b.play(ctx, locale, larger, say); err != nil {
				return nil, fmt.Errorf("%s, %s: %w", locale, size, err)
			}
		}
	}
	return b.pages, b.index()
}

var heading = regexp.MustCompile(`<h1>.*</h1>`)

// book is one folder on its way.
type book struct {
	dir    string
	pages  []Page
	sheets map[string]bool // written already
}

// play plays every scene in one language and one size of text.
func (b *book) play(ctx context.Context, locale string, larger bool, say func(string, ...any)) error {
	s, err := newStage(ctx, locale, larger)
	if err != nil {
		return err
	}
	var broken error
	first := len(b.pages) == 0
	for _, c := range chapters() {
		for _, scene := range c.scenes {
			v := scene.play(s)
			if v.err != nil {
				broken = errors.Join(broken, fmt.Errorf("%s: %w", scene.name, v.err))
				continue
			}
			if !v.headed(s.locale, scene.heading) {
				broken = errors.Join(broken, fmt.Errorf("%s: %s is another page: %s", scene.name, v.at, heading.Find(v.page)))
			}
			page := Page{Name: scene.name, Title: scene.title, Chapter: c.title, Status: v.status}
			if first {
				b.pages = append(b.pages, page)
			}
			if err := b.save(s, page, v); err != nil {
				broken = errors.Join(broken, fmt.Errorf("%s: %w", scene.name, err))
			}
		}
		say("  %s: %d pages", c.title, len(c.scenes))
	}
	return errors.Join(broken, s.Close())
}

// save writes a page in the modes of the stage's size of text.
func (b *book) save(s *stage, page Page, v *visitor) error {
	for _, mode := range Modes {
		if mode.Larger != s.larger {
			continue
		}
		text := string(v.page)
		if mode.strip != nil {
			text = mode.strip.ReplaceAllString(text, "")
		}
		text, err := b.localise(s, mode, text)
		if err != nil {
			return err
		}
		if err := b.put(page.File(mode, s.locale), []byte(b.relink(page, mode, s.locale, text))); err != nil {
			return err
		}
	}
	return nil
}

func (b *book) put(name string, data []byte) error {
	path := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

var asset = regexp.MustCompile(`(href|src)="(/(?:assets/[^"]+|favicon\.svg))"`)

// localise writes the files that a page names, in the mode, and points there.
func (b *book) localise(s *stage, mode Mode, text string) (string, error) {
	var broken error
	text = asset.ReplaceAllStringFunc(text, func(found string) string {
		parts := asset.FindStringSubmatch(found)
		path, _, _ := strings.Cut(parts[2], "?")
		name := "files/" + mode.Name + "/" + strings.ReplaceAll(strings.TrimPrefix(strings.TrimPrefix(path, "/"), "assets/"), "/", "-")
		if err := b.fetch(s, mode, parts[2], name); err != nil {
			broken = errors.Join(broken, err)
		}
		return parts[1] + `="../../` + name + `"`
	})
	return text, broken
}

// fetch keeps one file once.
func (b *book) fetch(s *stage, mode Mode, path, name string) error {
	if b.sheets[name] {
		return nil
	}
	v := newVisitor(s.Handler(), "192.0.2.1:1", nil)
	v.open(path)
	if v.err == nil && v.status != http.StatusOK {
		v.fail("no file %s", path)
	}
	if v.err != nil {
		return v.err
	}
	data := v.page
	if strings.HasSuffix(name, ".css") {
		data = []byte(mode.sheets(string(data)))
	}
	b.sheets[name] = true
	return b.put(name, data)
}

var (
	inward = regexp.MustCompile(`(href|action)="/([^"]*)"`)
	reload = regexp.MustCompile(` data-reload="[0-9]+"`)
)

// relink points the links of a page at pages of the book where it has them:
// languages, sizes of text, help and the start. Everything else, forms included,
// leads to the index.
func (b *book) relink(page Page, mode Mode, locale, text string) string {
	text = reload.ReplaceAllString(text, "")
	text = strings.ReplaceAll(text, `method="post"`, `method="get"`)
	return inward.ReplaceAllStringFunc(text, func(found string) string {
		parts := inward.FindStringSubmatch(found)
		path, query, _ := strings.Cut(parts[2], "?")
		_, rest, _ := strings.Cut(path, "/")
		rest, fragment, _ := strings.Cut(rest, "#")
		to := "../../index.html"
		switch {
		case strings.HasPrefix(query, "lang="):
			to = "../" + strings.TrimPrefix(query, "lang=") + "/" + page.Name + ".html"
		case query == "text=larger":
			to = "../../larger/" + locale + "/" + page.Name + ".html"
		case query == "text=usual":
			to = "../../light/" + locale + "/" + page.Name + ".html"
		case rest == "help", rest == "safety":
			to = rest + ".html"
		case rest == "recover":
			to = "start.html"
		case rest == "recover/reset-password" && parts[1] == "href":
			to = "find.html"
		case rest == "recover/find-account" && parts[1] == "href":
			to = "find-account.html"
		case rest == "case/cancel" && parts[1] == "href":
			to = "cancel.html"
		case rest == "case/ways":
			to = "ways-again.html"
		}
		if fragment != "" {
			to += "#" + fragment
		}
		return parts[1] + `="` + to + `"`
	})
}
