package storybook

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/wanbi/wanbi/internal/i18n"
)

func TestTheBookHasEveryPageInEveryLanguageAndMode(t *testing.T) {
	dir := t.TempDir()
	var said []string
	pages, err := Write(t.Context(), dir, func(format string, _ ...any) { said = append(said, format) })
	if err != nil {
		t.Fatal(err)
	}
	if len(said) < 4 {
		t.Errorf("it said %q", said)
	}
	index := read(t, dir, "index.html")
	seen := map[string]bool{}
	for _, page := range pages {
		if seen[page.Name] {
			t.Errorf("%s is there twice", page.Name)
		}
		seen[page.Name] = true
		if want := statusOf(page.Name); page.Status != want {
			t.Errorf("%s answered %d, want %d", page.Name, page.Status, want)
		}
		for _, mode := range Modes {
			for _, locale := range i18n.Locales {
				checkFile(t, dir, page, mode, locale, index)
			}
		}
	}
}

// statusOf is what a page has to answer, by its name.
func statusOf(name string) int {
	switch name {
	case "error-not-found", "error-no-realm", "error-no-link":
		return http.StatusNotFound
	case "error-no-case":
		return http.StatusUnauthorized
	case "choose-wrong":
		return http.StatusConflict
	case "error-elsewhere":
		return http.StatusForbidden
	case "error-limited", "error-network":
		return http.StatusTooManyRequests
	case "error-away":
		return http.StatusServiceUnavailable
	case "link-dead":
		return http.StatusGone
	case "label-prove":
		return http.StatusUnprocessableEntity
	}
	if strings.HasSuffix(name, "-wrong") {
		return http.StatusUnprocessableEntity
	}
	return http.StatusOK
}

var reference = regexp.MustCompile(`(?:href|src|action)="([^"#]*)`)

// checkFile wants the page in its language, and everything it names to be there.
func checkFile(t *testing.T, dir string, page Page, mode Mode, locale, index string) {
	t.Helper()
	file := page.File(mode, locale)
	text := read(t, dir, file)
	if !strings.Contains(text, `<html lang="`+locale+`"`) || strings.Contains(text, `class="larger"`) != mode.Larger {
		t.Errorf("%s is in another language or size of text", file)
	}
	if strings.Contains(text, "<script") == (mode.Name == "no-js") {
		t.Errorf("%s: script or none, where it should be the other way", file)
	}
	if !strings.Contains(index, `href="`+filepath.ToSlash(file)+`"`) {
		t.Errorf("the index does not lead to %s", file)
	}
	for _, m := range reference.FindAllStringSubmatch(text, -1) {
		to := m[1]
		if to == "" || strings.HasPrefix(to, "https://") || strings.HasPrefix(to, "tel:") {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, filepath.Dir(file), to)); err != nil {
			t.Errorf("%s leads to %s, which is not there", file, to)
		}
	}
}

func TestSheetsAnswerTheirQueriesForGood(t *testing.T) {
	const sheet = "html{color-scheme: light dark}" + darkQuery + "{a}" + darkShort + "{b}@media print{c}"
	for name, want := range map[string]string{
		"light": "html{color-scheme: light}@media not all{a}@media not all{b}@media print{c}",
		"dark":  "html{color-scheme: dark}@media all{a}@media all{b}@media print{c}",
		"print": "html{color-scheme: light}@media not all{a}@media not all{b}@media all{c}",
	} {
		for _, mode := range Modes {
			if got := mode.sheets(sheet); mode.Name == name && got != want {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		}
	}
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
