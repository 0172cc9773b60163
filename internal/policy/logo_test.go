package policy

import (
	"strings"
	"testing"
)

const soundLogo = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><title>Yun</title><defs>` +
	`<linearGradient id="a"><stop offset="0" stop-color="#8a2a6b"/></linearGradient></defs><g transform="rotate(45 16 16)">` +
	`<path fill="url(#a)" d="M4 26L16 4l12 22z"/></g><circle cx="16" cy="20" r="3" fill="none" stroke="white"/></svg>`

func TestALogoIsADrawingAndNothingElse(t *testing.T) {
	if why := wrongLogo(soundLogo); why != "" {
		t.Fatalf("a sound logo is refused: %s", why)
	}
	in := func(inner string) string {
		return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">` + inner + `</svg>`
	}
	for name, text := range map[string]string{
		"nothing":            "",
		"words":              "logo.svg",
		"broken":             `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><g></svg>`,
		"not SVG":            `<svg viewBox="0 0 32 32"></svg>`,
		"two":                soundLogo + soundLogo,
		"a script":           in(`<script>alert(1)</script>`),
		"a style sheet":      in(`<style>*{background:url(https://evil.example)}</style>`),
		"a style":            in(`<path style="fill:url(https://evil.example)"/>`),
		"a handler":          in(`<path onclick="alert(1)"/>`),
		"a link":             in(`<a href="https://evil.example"><path/></a>`),
		"a picture":          in(`<image href="https://evil.example/x.png"/>`),
		"something borrowed": in(`<use href="#a"/>`),
		"HTML":               in(`<foreignObject><p xmlns="http://www.w3.org/1999/xhtml">x</p></foreignObject>`),
		"text":               in(`<text>Bank of evil</text>`),
		"animation":          in(`<animate attributeName="href"/>`),
		"a far gradient":     in(`<path fill="url(https://evil.example#a)"/>`),
		"a document type":    `<!DOCTYPE svg [<!ENTITY a "b">]>` + soundLogo,
		"an entity":          in(`<path d="&lol;"/>`),
		"a drawing inside":   in(`<svg viewBox="0 0 1 1"/>`),
		"no box":             `<svg xmlns="http://www.w3.org/2000/svg"><path/></svg>`,
		"an empty box":       `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 0 0"><path/></svg>`,
		"a banner":           `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 65 32"><path/></svg>`,
		"too large":          in(`<path d="` + strings.Repeat("M0 0", maxLogo/4) + `"/>`),
	} {
		if wrongLogo(text) == "" {
			t.Errorf("%s loads", name)
		}
	}
	if why := wrongLogo(strings.Replace(soundLogo, "0 0 32 32", "0 0 64 32", 1)); why != "" {
		t.Errorf("twice as wide as high is refused: %s", why)
	}
}
