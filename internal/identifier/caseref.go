package identifier

import (
	"crypto/rand"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/wanbi/wanbi/internal/recovery"
)

// crockford is Crockford's base 32: digits and letters less I, L, O and U. The
// position of a character is its value.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// refLength is the number of characters of a case reference without its
// hyphen: nine random ones (45 bit) and the check character.
const refLength = 10

// NewCaseRef mints a random case reference, for example 7K3MQ-X2V9D. It is
// short enough to read out and not a secret; whoever stores it makes it unique.
func NewCaseRef() recovery.CaseRef {
	var symbols [refLength]byte
	rand.Read(symbols[:refLength-1]) // never fails
	for i := range symbols {
		symbols[i] &= 31
	}
	// The last symbol makes the checksum zero.
	symbols[refLength-1] = 0
	symbols[refLength-1] = refSum(symbols[:])
	text := make([]byte, refLength)
	for i, s := range symbols {
		text[i] = crockford[s]
	}
	return group(string(text))
}

// ParseCaseRef reads a reference as people type or dictate it: any case, with or
// without hyphens and spaces, full-width, O for 0, I and L for 1. It gives the
// form that [NewCaseRef] minted and reports false when a character is missing,
// wrong or out of place.
func ParseCaseRef(raw string) (recovery.CaseRef, bool) {
	if len(raw) > maxRaw {
		return "", false
	}
	text := strings.NewReplacer("O", "0", "I", "1", "L", "1").
		Replace(strings.ToUpper(squeeze(norm.NFKC.String(trim(raw)))))
	if len(text) != refLength {
		return "", false
	}
	var symbols [refLength]byte
	for i := range text {
		at := strings.IndexByte(crockford, text[i])
		if at < 0 {
			return "", false
		}
		symbols[i] = byte(at)
	}
	if refSum(symbols[:]) != 0 {
		return "", false
	}
	return group(text), true
}

func group(text string) recovery.CaseRef {
	return recovery.CaseRef(text[:5] + "-" + text[5:])
}

// refSum is the polynomial sum of the symbols over GF(32) at a primitive
// element: each place has its own weight up to 31 places, so any one wrong
// character and any two exchanged ones are found. The sum of a whole reference
// is zero.
func refSum(symbols []byte) byte {
	var sum byte
	for _, s := range symbols {
		sum <<= 1 // times x, modulo x⁵+x²+1
		if sum&32 != 0 {
			sum ^= 0b100101
		}
		sum ^= s
	}
	return sum
}
