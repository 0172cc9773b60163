package storybook

import (
	"bytes"
	"embed"
	"html/template"

	"github.com/wanbi/wanbi/internal/i18n"
)

//go:embed index.html index.css
var indexFiles embed.FS

var indexTemplate = template.Must(template.ParseFS(indexFiles, "index.html"))

// index writes the page that lists all others.
func (b *book) index() error {
	sheet, err := indexFiles.ReadFile("index.css")
	if err != nil {
		return err
	}
	if err := b.put("index.css", sheet); err != nil {
		return err
	}
	type chapter struct {
		Title string
		Pages []Page
	}
	var chapters []chapter
	for _, p := range b.pages {
		if n := len(chapters); n == 0 || chapters[n-1].Title != p.Chapter {
			chapters = append(chapters, chapter{Title: p.Chapter})
		}
		last := &chapters[len(chapters)-1]
		last.Pages = append(last.Pages, p)
	}
	var text bytes.Buffer
	if err := indexTemplate.Execute(&text, map[string]any{
		"Chapters": chapters, "Modes": Modes, "Locales": i18n.Locales, "Pages": len(b.pages),
		"Files": len(b.pages) * len(Modes) * len(i18n.Locales),
	}); err != nil {
		return err
	}
	return b.put("index.html", text.Bytes())
}
