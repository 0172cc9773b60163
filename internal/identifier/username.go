package identifier

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// The length of a name in characters.
const (
	minName = 3
	maxName = 32
)

// readUsername gives the compatibility-folded, lower-case name: letters, digits
// and . _ - with at least one letter, so that digits stay free for phones.
func readUsername(text string) (string, bool) {
	name := norm.NFKC.String(cases.Fold().String(norm.NFKC.String(text)))
	if n := utf8.RuneCountInString(name); n < minName || n > maxName {
		return "", false
	}
	lettered := false
	for _, r := range name {
		switch {
		case unicode.IsLetter(r):
			lettered = true
		case r >= '0' && r <= '9', r == '.', r == '_', r == '-':
		default:
			return "", false
		}
	}
	if !lettered || !oneScript(name) {
		return "", false
	}
	// Folding a few rare letters is not final; a name that folds on is refused.
	again := norm.NFKC.String(cases.Fold().String(name))
	return name, again == name
}

// eastAsian are the scripts that are written together, and with Latin, in one
// word; they have no letters that pass for Latin ones (UTS 39 §5.2, highly
// restrictive).
var eastAsian = map[string]bool{
	"Latin": true, "Han": true, "Hiragana": true, "Katakana": true, "Hangul": true, "Bopomofo": true,
}

// oneScript reports whether the letters of text are of one script, or of
// scripts that are written together. Latin with Cyrillic or Greek is how
// look-alikes are made. Letters that belong to no script are refused.
func oneScript(text string) bool {
	seen := ""
	for _, r := range text {
		if !unicode.IsLetter(r) {
			continue
		}
		script := scriptOf(r)
		switch {
		case script == "":
			return false
		case seen == "" || seen == script:
			seen = script
		case eastAsian[seen] && eastAsian[script]:
		default:
			return false
		}
	}
	return true
}

func scriptOf(r rune) string {
	switch {
	case r < 0x250 && unicode.Is(unicode.Latin, r):
		return "Latin"
	case unicode.Is(unicode.Han, r):
		return "Han"
	}
	for name, table := range unicode.Scripts {
		if unicode.Is(table, r) {
			if name == "Common" || name == "Inherited" {
				return ""
			}
			return name
		}
	}
	return ""
}
