package identifier

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/wanbi/wanbi/internal/recovery"
)

func TestMask(t *testing.T) {
	for _, c := range []struct {
		kind        recovery.IdentifierKind
		value, want string
	}{
		{phone, "+8613800001234", "138****1234"},
		{phone, "+861085551234", "10****34"},
		{phone, "+442079460958", "+442****0958"},
		{phone, "+85251234567", "+852****4567"},
		{phone, "+4512345678", "+45****78"},
		{phone, "+2901234", "+****"},
		{phone, "", "****"},
		{email, "li@example.cn", "l***@example.cn"},
		{email, "l@example.cn", "***@example.cn"},
		{email, "li.wei+shop@example.cn", "l***@example.cn"},
		{email, "nonsense", "***"},
		{username, "liwei", "li***"},
		{username, "abcd", "ab***"},
		{username, "abc", "a***"},
		{username, "ab", "a***"},
		{username, "a", "***"},
		{username, "李小明", "李***"},
		{username, "欧阳小明", "欧阳***"},
		{resident, "110101199003070011", "110***********0011"},
		{resident, "11010119900307002X", "110***********002X"},
		{resident, "12345678", "***"},
		{imei, "490154203237518", "***********7518"},
		{"passport", "E12345678", "***"},
	} {
		if got := Mask(recovery.Identifier{Kind: c.kind, Value: c.value}); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.kind, c.value, got, c.want)
		}
	}
}

func TestMaskContact(t *testing.T) {
	for _, c := range []struct {
		contact recovery.Contact
		want    string
	}{
		{recovery.Contact{Kind: recovery.ContactPhone, Value: "+8613800001234"}, "138****1234"},
		{recovery.Contact{Kind: recovery.ContactEmail, Value: "li@example.cn"}, "l***@example.cn"},
		{recovery.Contact{Kind: "fax", Value: "+8613800001234"}, "***"},
	} {
		if got := MaskContact(c.contact); got != c.want {
			t.Errorf("%s: %q, want %q", c.contact.Kind, got, c.want)
		}
	}
}

// A mask of anything at all is no more than the value with something taken out.
func TestMaskShowsNothingThatWasNotTyped(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := recovery.Identifier{
			Kind:  rapid.SampledFrom(everyKind).Draw(t, "kind"),
			Value: rapid.StringOf(rapid.RuneFrom([]rune("+86139@.lí李明x"))).Draw(t, "value"),
		}
		if mask := Mask(id); !hides(mask, id.Value) || !utf8.ValidString(mask) {
			t.Fatalf("mask %q of %s %q", mask, id.Kind, id.Value)
		}
	})
}

// hides reports whether mask has stars, and otherwise only characters of value in
// their order.
func hides(mask, value string) bool {
	if !strings.Contains(mask, "***") {
		return false
	}
	rest := []rune(value)
	for _, r := range mask {
		if r == '*' {
			continue
		}
		at := -1
		for i, v := range rest {
			if v == r {
				at = i
				break
			}
		}
		if at < 0 {
			return false
		}
		rest = rest[at+1:]
	}
	return true
}
