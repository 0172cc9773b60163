package identifier

import (
	"strings"

	"github.com/wanbi/wanbi/internal/recovery"
)

// stars stand for any number of hidden characters, so that a mask does not
// give a length away; numbers of a known length keep theirs.
const stars = "***"

// Mask hides enough of an identifier that a stranger cannot complete it and
// shows enough that its owner knows it: 138****1234, l***@example.cn, li***,
// 110***********0011, ***********1234. It shows nothing that is not in the
// canonical value. Short values are hidden entirely or to one character.
func Mask(id recovery.Identifier) string {
	switch id.Kind {
	case recovery.IdentifierPhone:
		return maskPhone(id.Value)
	case recovery.IdentifierEmail:
		return maskEmail(id.Value)
	case recovery.IdentifierUsername:
		return maskName(id.Value)
	case recovery.IdentifierResidentID:
		return maskNumber(id.Value, 3, 4)
	case recovery.IdentifierIMEI:
		return maskNumber(id.Value, 0, 4)
	}
	return stars
}

// MaskContact hides an address on file as [Mask] does.
func MaskContact(c recovery.Contact) string {
	switch c.Kind {
	case recovery.ContactPhone:
		return maskPhone(c.Value)
	case recovery.ContactEmail:
		return maskEmail(c.Value)
	}
	return stars
}

// maskPhone shows a mainland number as people write it, without +86, and any
// other with its plus.
func maskPhone(value string) string {
	sign := ""
	number, home := strings.CutPrefix(value, "+86")
	if !home {
		if number, home = strings.CutPrefix(value, "+"); home {
			sign = "+"
		}
	}
	digits := []rune(number)
	switch n := len(digits); {
	case n >= 11:
		return sign + string(digits[:3]) + "****" + string(digits[n-4:])
	case n >= 8:
		return sign + string(digits[:2]) + "****" + string(digits[n-2:])
	}
	return sign + "****"
}

// maskEmail shows the first character of the local part and the domain.
func maskEmail(value string) string {
	local, domain, found := strings.Cut(value, "@")
	if !found {
		return stars
	}
	runes := []rune(local)
	if len(runes) < 2 {
		return stars + "@" + domain
	}
	return string(runes[:1]) + stars + "@" + domain
}

// maskName shows two characters of a name of at least four, else one.
func maskName(value string) string {
	runes := []rune(value)
	switch {
	case len(runes) >= 4:
		return string(runes[:2]) + stars
	case len(runes) >= 2:
		return string(runes[:1]) + stars
	}
	return stars
}

// maskNumber keeps head and tail characters of a number of a known length, and
// its length; a shorter one is hidden entirely.
func maskNumber(value string, head, tail int) string {
	runes := []rune(value)
	hidden := len(runes) - head - tail
	if hidden < head+tail {
		return stars
	}
	return string(runes[:head]) + strings.Repeat("*", hidden) + string(runes[len(runes)-tail:])
}
