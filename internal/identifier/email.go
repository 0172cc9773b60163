package identifier

import (
	"strings"
	"unicode"

	"golang.org/x/net/idna"
)

// maxEmail is the longest address that can be delivered to, in bytes (RFC 5321
// §4.5.3.1.3, less the angle brackets); maxLocal is §4.5.3.1.1.
const (
	maxEmail  = 254
	maxLocal  = 64
	maxDomain = 253 // RFC 1035 §2.3.4 without the final dot
	maxLabel  = 63
)

// readEmail gives exactly one lower-case address with an ASCII domain (T2).
func readEmail(text string) (string, bool) {
	for _, r := range text {
		if unicode.IsControl(r) || unicode.IsSpace(r) || isInvisible(r) {
			return "", false
		}
	}
	local, domain, found := strings.Cut(text, "@")
	if !found || strings.Contains(domain, "@") {
		return "", false
	}
	local = strings.ToLower(local)
	if !plainLocal(local) {
		return "", false
	}
	domain, ok := plainDomain(domain)
	if !ok {
		return "", false
	}
	address := local + "@" + domain
	return address, len(address) <= maxEmail
}

// plainLocal accepts a dot-atom (RFC 5321 §4.1.2) less %, ! and `, which old
// relays and shells gave a meaning.
func plainLocal(local string) bool {
	if local == "" || len(local) > maxLocal {
		return false
	}
	for _, atom := range strings.Split(local, ".") {
		if atom == "" {
			return false
		}
		for i := 0; i < len(atom); i++ {
			c := atom[i]
			letter := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
			if !letter && !strings.ContainsRune("#$&'*+-/=?^_{|}~", rune(c)) {
				return false
			}
		}
	}
	return true
}

// plainDomain gives the ASCII form of a domain name with at least two labels.
// A label that mixes look-alike scripts is refused, also when it comes as
// punycode.
func plainDomain(domain string) (string, bool) {
	ascii, err := idna.Lookup.ToASCII(domain)
	if err != nil || len(ascii) > maxDomain || strings.ContainsAny(ascii, "[]:") {
		return "", false
	}
	shown, err := idna.Lookup.ToUnicode(ascii)
	if err != nil {
		return "", false
	}
	for _, label := range strings.Split(shown, ".") {
		if !oneScript(label) {
			return "", false
		}
	}
	labels := strings.Split(ascii, ".")
	for _, label := range labels {
		if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return "", false
		}
	}
	last := labels[len(labels)-1]
	return strings.ToLower(ascii), len(labels) > 1 && len(last) > 1 && !allDigits(last)
}

// Mailbox gives the mailbox behind a canonical address: without its plus tag.
// Messages are counted against it, so that tags do not multiply a limit (T2,
// T27); they still go to the address itself. Anything without a tag comes back
// unchanged.
func Mailbox(canonical string) string {
	local, domain, found := strings.Cut(canonical, "@")
	if !found {
		return canonical
	}
	if base, _, tagged := strings.Cut(local, "+"); tagged && base != "" {
		return base + "@" + domain
	}
	return canonical
}
