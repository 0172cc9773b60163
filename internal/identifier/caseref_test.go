package identifier

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var refForm = regexp.MustCompile(`^[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}$`)

func TestNewCaseRefReadsBack(t *testing.T) {
	seen := map[string]bool{}
	for range 2000 {
		ref := NewCaseRef()
		if !refForm.MatchString(string(ref)) {
			t.Fatalf("form of %q", ref)
		}
		if back, ok := ParseCaseRef(string(ref)); !ok || back != ref {
			t.Fatalf("%q reads as %q %v", ref, back, ok)
		}
		seen[string(ref)] = true
	}
	if len(seen) != 2000 {
		t.Errorf("%d of 2000 references differ", len(seen))
	}
}

func TestParseCaseRefIsTolerant(t *testing.T) {
	// 0 and 1 in every place where a letter may be heard for them.
	want := withCheck("0101MQX2V")
	for _, raw := range []string{
		want, strings.ToLower(want), strings.ReplaceAll(want, "-", ""), " " + strings.ReplaceAll(want, "-", " ") + " ",
		strings.NewReplacer("0", "O", "1", "I").Replace(want), strings.NewReplacer("0", "o", "1", "l").Replace(want),
		strings.ReplaceAll(want, "0", "０"), strings.ReplaceAll(want, "-", "–"),
	} {
		if got, ok := ParseCaseRef(raw); !ok || string(got) != want {
			t.Errorf("%q: %q %v", raw, got, ok)
		}
	}
	for _, raw := range []string{"", "0", want[:10], want + "0", "U" + want[1:], strings.Repeat("0", 600), "00000-0000é"} {
		if got, ok := ParseCaseRef(raw); ok {
			t.Errorf("%q: taken as %q", raw, got)
		}
	}
}

// withCheck completes nine characters by trying every check character; exactly
// one fits.
func withCheck(nine string) string {
	found := ""
	for _, c := range crockford {
		if ref, ok := ParseCaseRef(nine + string(c)); ok {
			found += string(ref)
		}
	}
	return found
}

// One wrong character and any two exchanged ones are found, always.
func TestCaseRefFindsMistakes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nine := rapid.StringOfN(rapid.RuneFrom([]rune(crockford)), 9, 9, 9).Draw(t, "ref")
		ref := []byte(strings.ReplaceAll(withCheck(nine), "-", ""))
		if len(ref) != 10 {
			t.Fatalf("%q has %d check characters", nine, len(ref)-9)
		}
		i := rapid.IntRange(0, 9).Draw(t, "i")
		j := rapid.IntRange(0, 9).Draw(t, "j")
		wrong := append([]byte(nil), ref...)
		wrong[i] = rapid.SampledFrom([]byte(crockford)).Draw(t, "c")
		if _, ok := ParseCaseRef(string(wrong)); ok != (wrong[i] == ref[i]) {
			t.Fatalf("%s for %s: %v", wrong, ref, ok)
		}
		swapped := append([]byte(nil), ref...)
		swapped[i], swapped[j] = swapped[j], swapped[i]
		if _, ok := ParseCaseRef(string(swapped)); ok != (swapped[i] == swapped[j]) {
			t.Fatalf("%s for %s: %v", swapped, ref, ok)
		}
	})
}

// What is read as a reference is one that reads as itself, and one character
// elsewhere makes it none.
func FuzzParseCaseRef(f *testing.F) {
	for _, seed := range []string{"", "7K3MQ-X2V9D", "7k3mqx2v9d", "O1L-IOOOO", "７Ｋ３ＭＱ－Ｘ２Ｖ９Ｄ", string(NewCaseRef())} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		ref, ok := ParseCaseRef(raw)
		if !ok {
			return
		}
		if again, ok := ParseCaseRef(string(ref)); !ok || again != ref {
			t.Errorf("%q → %q → %q %v", raw, ref, again, ok)
		}
		other := []byte(ref)
		if other[0]++; strings.IndexByte(crockford, other[0]) >= 0 {
			if _, ok := ParseCaseRef(string(other)); ok {
				t.Errorf("%s and %s are both references", ref, other)
			}
		}
	})
}
