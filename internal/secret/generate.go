package secret

import (
	"crypto/rand"
	"encoding/base32"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// easy are the characters of generated passwords: lower case and digits without
// those that are mistaken for each other (i l 1, o 0).
const easy = "abcdefghjkmnpqrstuvwxyz23456789"

// The shape of a generated password: 16 of 31 characters are 79 bit.
const (
	generatedGroup  = 4
	generatedGroups = 4
)

// Generate makes a random password that is easy to type and that r.Check accepts
// with nothing personal: groups of four lower-case letters and digits joined by
// hyphens, with a capital letter at the front where all four classes are needed.
// It panics on rules that contradict themselves (MaxLength below MinLength, more
// than four classes), which the policy check refuses.
func Generate(r Rules) string {
	r = r.WithDefaults()
	if r.MaxLength < r.MinLength || r.Classes > 4 || r.MinScore > 4 {
		panic("secret: rules that nothing can meet")
	}
	for {
		if password := generateOnce(r); len(r.Check(password, nil)) == 0 {
			return password
		}
	}
}

func generateOnce(r Rules) string {
	var b strings.Builder
	for group := 0; group < generatedGroups || b.Len() < r.MinLength; group++ {
		if group > 0 {
			b.WriteByte('-')
		}
		for range generatedGroup {
			b.WriteByte(pick(easy))
		}
	}
	password := b.String()
	password = password[:min(len(password), r.MaxLength)]
	if r.Classes == 4 {
		password = string(pick("ABCDEFGHJKMNPQRSTUVWXYZ")) + password[1:]
	}
	return password
}

// pick gives a uniformly random character of an alphabet of at most 256.
func pick(alphabet string) byte {
	fair := 256 - 256%len(alphabet) // bytes from here on would favour the front
	var one [1]byte
	for {
		rand.Read(one[:]) // never fails
		if int(one[0]) < fair {
			return alphabet[int(one[0])%len(alphabet)]
		}
	}
}

// NewCode makes a one-time code of the given number of decimal digits, each
// uniformly random.
func NewCode(digits int) string {
	code := make([]byte, digits)
	for i := range code {
		code[i] = pick("0123456789")
	}
	return string(code)
}

// CanonicalCode reads a one-time code as people type and paste it: with spaces,
// hyphens or invisible marks, in full-width digits. False unless exactly digits
// digits remain.
func CanonicalCode(raw string, digits int) (string, bool) {
	code, ok := compact(raw)
	if !ok || len(code) != digits || digits == 0 || strings.Trim(code, "0123456789") != "" {
		return "", false
	}
	return code, true
}

// maxTyped is the longest code looked at, in bytes: every character full-width
// and followed by a space.
const maxTyped = 256

// compact folds typed text and takes out what groups characters.
func compact(raw string) (string, bool) {
	if len(raw) > maxTyped || !utf8.ValidString(raw) {
		return "", false
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.In(r, unicode.Pd, unicode.Cf) || r == '−' {
			return -1
		}
		return r
	}, norm.NFKC.String(raw)), true
}

// crockford is Crockford's base 32, without padding.
var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// The shape of a backup code: 128 bit are 26 characters.
const (
	backupBytes  = 16
	backupLength = 26
	backupGroup  = 4
)

// NewBackupCode makes a random backup code (备用码) of 128 bit as it is shown: 26
// characters of Crockford's base 32 in groups of four, the last of two.
func NewBackupCode() string {
	var raw [backupBytes]byte
	rand.Read(raw[:]) // never fails
	code := crockford.EncodeToString(raw[:])
	var groups []string
	for ; len(code) > backupGroup; code = code[backupGroup:] {
		groups = append(groups, code[:backupGroup])
	}
	return strings.Join(append(groups, code), "-")
}

// CanonicalBackupCode reads a backup code as people type it: any case, hyphens,
// spaces, full-width, O for 0, I and L for 1. It gives the 26 characters without
// hyphens, which is the form to hash; false when it cannot be a code.
func CanonicalBackupCode(raw string) (string, bool) {
	code, ok := compact(raw)
	if !ok {
		return "", false
	}
	code = strings.NewReplacer("O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(code))
	bits, err := crockford.DecodeString(code)
	if err != nil || len(code) != backupLength || len(bits) != backupBytes {
		return "", false
	}
	// The last character carries three bits; other spellings of it are no code.
	return code, crockford.EncodeToString(bits) == code
}
