// Package identifier turns what people type into canonical identifiers: phones,
// e-mail addresses, names, resident IDs and IMEIs. It also masks them, and mints
// and reads case references.
//
// One identifier has one canonical form, because the subject of a case is a
// keyed hash of it: two spellings of one phone must not become two sets of
// limits (T2, T27). Everything here is form only; whether an identifier is on
// file is never asked, so its errors may be shown to anybody.
//
// Trust: everything that comes in was typed by a stranger. What comes out is
// safe to hash, compare and send to, and still sensitive.
package identifier

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/wanbi/wanbi/internal/recovery"
)

// maxRaw is the longest input looked at, in bytes: an address of 254 bytes with
// room for spaces and multi-byte digits.
const maxRaw = 512

// field is the form field that every error of this package names.
const field = "identifier"

// bad is the form error of a kind, or of no kind in particular.
func bad(what string) *recovery.Error {
	return recovery.BadInput("error.identifier." + what).At(field)
}

// Parse reads raw as an identifier of the given kind and gives its canonical
// form. Parsing a canonical form gives the same form. Errors are
// recovery.KindBadInput with key error.identifier.empty,
// error.identifier.{kind} or, for a kind that does not exist,
// error.identifier.unclear.
func Parse(kind recovery.IdentifierKind, raw string) (recovery.Identifier, error) {
	read, known := readers[kind]
	if !known {
		return recovery.Identifier{}, bad("unclear")
	}
	text := trim(raw)
	if text == "" {
		return recovery.Identifier{}, bad("empty")
	}
	if len(raw) > maxRaw || !utf8.ValidString(raw) {
		return recovery.Identifier{}, bad(string(kind))
	}
	value, ok := read(text)
	if !ok {
		return recovery.Identifier{}, bad(string(kind))
	}
	return recovery.Identifier{Kind: kind, Value: value}, nil
}

// readers gives, for each kind, the function from trimmed input to canonical
// form.
var readers = map[recovery.IdentifierKind]func(string) (string, bool){
	recovery.IdentifierPhone:      readPhone,
	recovery.IdentifierEmail:      readEmail,
	recovery.IdentifierUsername:   readUsername,
	recovery.IdentifierResidentID: readResidentID,
	recovery.IdentifierIMEI:       readIMEI,
}

// Detect says which of the allowed kinds raw is and gives its canonical form.
// The look of the input alone decides, never the order of allowed: an address
// has an @, seventeen digits and one more character are a resident ID, fifteen
// digits an IMEI, other digits a phone, and the rest a name. What looks like
// one kind is never taken for another because it is misspelt. Errors as for
// [Parse], and error.identifier.unclear when no allowed kind looks like it.
func Detect(raw string, allowed []recovery.IdentifierKind) (recovery.Identifier, error) {
	text := trim(raw)
	if text == "" {
		return recovery.Identifier{}, bad("empty")
	}
	if len(raw) > maxRaw || !utf8.ValidString(raw) {
		return recovery.Identifier{}, refuse(allowed)
	}
	may := make(map[recovery.IdentifierKind]bool, len(allowed))
	for _, kind := range allowed {
		may[kind] = true
	}
	var first error
	for _, kind := range looksLike(text) {
		if !may[kind] {
			continue
		}
		id, err := Parse(kind, raw)
		if err == nil {
			return id, nil
		}
		if first == nil {
			first = err
		}
	}
	if first != nil {
		return recovery.Identifier{}, first
	}
	return recovery.Identifier{}, refuse(allowed)
}

// refuse names the only allowed kind, or none when there are several.
func refuse(allowed []recovery.IdentifierKind) error {
	if len(allowed) == 1 {
		if _, known := readers[allowed[0]]; known {
			return bad(string(allowed[0]))
		}
	}
	return bad("unclear")
}

// looksLike lists the kinds that text may be, likeliest first. There is more
// than one only for fifteen digits, where the check digit tells them apart.
func looksLike(text string) []recovery.IdentifierKind {
	folded := norm.NFKC.String(text)
	if strings.ContainsRune(folded, '@') {
		return []recovery.IdentifierKind{recovery.IdentifierEmail}
	}
	digits, dialled := 0, true
	for _, r := range folded {
		switch {
		case r >= '0' && r <= '9':
			digits++
		case r == '+' || isPhoneMark(r):
		default:
			dialled = false
		}
	}
	compact := squeeze(folded)
	switch {
	case residentShape(compact):
		return []recovery.IdentifierKind{recovery.IdentifierResidentID}
	case dialled && digits == 15 && strings.HasPrefix(compact, "00"):
		// 00 dials abroad; as an IMEI it would be a test device's.
		return []recovery.IdentifierKind{recovery.IdentifierPhone, recovery.IdentifierIMEI}
	case dialled && digits == 15 && !strings.ContainsRune(folded, '+'):
		return []recovery.IdentifierKind{recovery.IdentifierIMEI, recovery.IdentifierPhone}
	case dialled && digits > 0:
		return []recovery.IdentifierKind{recovery.IdentifierPhone}
	}
	return []recovery.IdentifierKind{recovery.IdentifierUsername}
}

// trim takes off the spaces that typing and pasting leave around a value.
// Other control characters stay, to be refused.
func trim(raw string) string {
	return strings.Trim(raw, " \u3000\u00a0")
}

// squeeze takes out spaces and hyphens, which people use to group digits, and
// the invisible marks that come along when a number is pasted.
func squeeze(folded string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || unicode.Is(unicode.Pd, r) || isInvisible(r) {
			return -1
		}
		return r
	}, folded)
}

// isInvisible reports the direction and width marks of address books
// (category Cf), which carry no meaning in a number.
func isInvisible(r rune) bool { return unicode.Is(unicode.Cf, r) }

func allDigits(text string) bool {
	for _, r := range text {
		if r < '0' || r > '9' {
			return false
		}
	}
	return text != ""
}
