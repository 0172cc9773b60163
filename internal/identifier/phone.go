package identifier

import (
	"regexp"
	"strings"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/unicode/norm"
)

// homeRegion is where a number without a country code is.
const homeRegion = "CN"

// mainlandMobile is an E.164 mobile number of the mainland: 11 digits from 1.
// It is accepted beside the library's ranges, which lag behind newly opened ones.
var mainlandMobile = regexp.MustCompile(`^\+861[3-9][0-9]{9}$`)

var e164 = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

// isPhoneMark reports the characters that group digits of a phone number.
func isPhoneMark(r rune) bool {
	return strings.ContainsRune(" -().[]【】", r) || strings.ContainsRune("‐‑‒–—―−", r) || isInvisible(r)
}

// readPhone gives E.164. Letters and extensions are refused, because the
// library would dial them: a vanity number or an extension is another spelling
// of a number that is already counted.
func readPhone(text string) (string, bool) {
	var b strings.Builder
	for _, r := range norm.NFKC.String(text) {
		switch {
		case r >= '0' && r <= '9':
			b.WriteRune(r)
		case r == '+' && b.Len() == 0:
			b.WriteRune(r)
		case isPhoneMark(r):
		default:
			return "", false
		}
	}
	number, ok := format(b.String())
	if !ok {
		return "", false
	}
	// The canonical form must stand for itself.
	again, ok := format(number)
	return number, ok && again == number
}

func format(digits string) (string, bool) {
	n, err := phonenumbers.Parse(digits, homeRegion)
	if err != nil || n.GetExtension() != "" {
		return "", false
	}
	number := phonenumbers.Format(n, phonenumbers.E164)
	if !e164.MatchString(number) {
		return "", false
	}
	return number, mainlandMobile.MatchString(number) || phonenumbers.IsValidNumber(n)
}
