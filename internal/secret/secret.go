// Package secret holds everything about what people know or keep: rules for new
// passwords and their strength, generated passwords, backup codes and one-time
// codes, and the hashing of all of them.
//
// The rules come in two profiles that are never mixed, because they contradict
// each other: nist wants length and a block list and forbids composition rules;
// gbt22239 wants composition. A secret goes in as text and comes out as a
// reason, a score or a hash; no type here holds one.
//
// Trust: an attacker who can write a stored hash can sign in, since imported
// hashes carry no pepper; one who can only read them also needs the pepper.
package secret

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// The profiles.
const (
	ProfileNIST     = "nist"     // SP 800-63B-4 §3.1.1.2
	ProfileGBT22239 = "gbt22239" // GB/T 22239-2019 8.1.4.1: composition, periodic change
)

// Defaults of Rules, by profile.
const (
	defaultMinNIST   = 15 // §3.1.1.2: a password that is the only factor; 8 with a second one
	defaultMinGBT    = 8
	defaultClasses   = 3
	defaultMaxLength = 64 // §3.1.1.2: at least 64 are to be permitted
	leastMinLength   = 8  // of either profile, whatever was asked for
)

// Rules says what a new password must be. The zero value is profile nist with
// its defaults and no minimum score.
type Rules struct {
	Profile   string // ProfileNIST (also when empty) or ProfileGBT22239
	MinLength int    // characters after NFC; 0: 15 for nist, 8 for gbt22239; below 8 counts as 8
	MaxLength int    // characters after NFC; 0: 64
	Classes   int    // how many of lower, upper, digit, symbol; gbt22239 only, 0: 3
	MinScore  int    // least Score.Value, 0 to 4
}

// Reason is why a password was refused: a message key and its placeholders,
// none of which comes from the password.
type Reason struct {
	Key  string
	Args map[string]any
}

// WithDefaults gives the rules as they are applied.
func (r Rules) WithDefaults() Rules {
	least := defaultMinNIST
	if r.Profile == ProfileGBT22239 {
		least = defaultMinGBT
		if r.Classes == 0 {
			r.Classes = defaultClasses
		}
	} else {
		r.Profile, r.Classes = ProfileNIST, 0
	}
	if r.MinLength == 0 {
		r.MinLength = least
	}
	r.MinLength = max(r.MinLength, leastMinLength)
	if r.MaxLength == 0 {
		r.MaxLength = defaultMaxLength
	}
	return r
}

// Check gives every reason to refuse password as a new one, none when it is
// good. personal holds what a stranger may know of the owner, in any order:
// names, phones, e-mail addresses, dates of birth, identifiers, the realm's
// name. Lengths are counted in characters after NFC (§3.1.1.2 counts code
// points). Keys: secret.too-short {min}, secret.too-long {max}, secret.classes
// {classes}, secret.common, secret.personal, secret.sequence, secret.weak. A
// password that is too long is not looked at further.
func (r Rules) Check(password string, personal []string) []Reason {
	r = r.WithDefaults()
	tooLong := []Reason{{"secret.too-long", map[string]any{"max": r.MaxLength}}}
	// No character composes from more than 16 bytes, so what is far too long is
	// refused without being read.
	if len(password) > 16*r.MaxLength {
		return tooLong
	}
	normal := norm.NFC.String(password)
	length := utf8.RuneCountInString(normal)
	if length > r.MaxLength {
		return tooLong
	}
	var reasons []Reason
	if length < r.MinLength {
		reasons = append(reasons, Reason{"secret.too-short", map[string]any{"min": r.MinLength}})
	}
	if length == 0 {
		return reasons
	}
	if r.Profile == ProfileGBT22239 && classes(normal) < r.Classes {
		reasons = append(reasons, Reason{"secret.classes", map[string]any{"classes": r.Classes}})
	}
	guessable := false
	for _, test := range []struct {
		key string
		hit bool
	}{
		{"secret.common", isCommon(normal)},
		{"secret.personal", isPersonal(normal, personal)},
		{"secret.sequence", isSequence(normal)},
	} {
		if test.hit {
			guessable = true
			reasons = append(reasons, Reason{Key: test.key})
		}
	}
	// Weak says nothing new beside a reason that can be acted on.
	if !guessable && r.MinScore > 0 && Strength(normal, personal).Value < r.MinScore {
		reasons = append(reasons, Reason{Key: "secret.weak"})
	}
	return reasons
}

// classes counts which of lower, upper, digit and symbol occur. What is none of
// the first three, such as a Chinese character, counts as a symbol.
func classes(text string) int {
	var lower, upper, digit, symbol int
	for _, r := range text {
		switch {
		case unicode.IsLower(r):
			lower = 1
		case unicode.IsUpper(r):
			upper = 1
		case unicode.IsDigit(r):
			digit = 1
		default:
			symbol = 1
		}
	}
	return lower + upper + digit + symbol
}
