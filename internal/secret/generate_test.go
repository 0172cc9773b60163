package secret

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Whatever the rules, a generated password meets them.
func TestGenerateMeetsItsRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Rules{
			Profile:   rapid.SampledFrom([]string{"", ProfileNIST, ProfileGBT22239}).Draw(t, "profile"),
			MinLength: rapid.SampledFrom([]int{0, 1, 8, 15, 16, 19, 20, 21, 63, 64}).Draw(t, "min"),
			Classes:   rapid.IntRange(0, 4).Draw(t, "classes"),
			MinScore:  rapid.IntRange(0, 4).Draw(t, "score"),
		}
		applied := r.WithDefaults()
		r.MaxLength = rapid.SampledFrom([]int{0, 64, 128, max(applied.MinLength, 16)}).Draw(t, "max")
		password := Generate(r)
		if reasons := r.Check(password, nil); len(reasons) > 0 {
			t.Fatalf("%q: %v", password, reasons)
		}
		if strings.ContainsAny(password, "iIlLoO01 ") {
			t.Fatalf("%q is not easy to read", password)
		}
		if password == Generate(r) {
			t.Fatalf("%q twice", password)
		}
	})
}

func TestGenerateForm(t *testing.T) {
	if p := Generate(Rules{}); !regexp.MustCompile(`^([a-z2-9]{4}-){3}[a-z2-9]{4}$`).MatchString(p) {
		t.Errorf("%q", p)
	}
	defer func() {
		if recover() == nil {
			t.Error("impossible rules made a password")
		}
	}()
	Generate(Rules{MinLength: 65})
}

// Every digit is as likely: a code taken modulo would favour 0 to 5.
func TestNewCodeIsUniform(t *testing.T) {
	const draws = 20000
	var count [10]int
	for range draws / 8 {
		code := NewCode(8)
		if len(code) != 8 {
			t.Fatalf("%q", code)
		}
		for _, c := range code {
			count[c-'0']++
		}
	}
	chi := 0.0
	for _, n := range count {
		d := float64(n) - draws/10
		chi += d * d / (draws / 10)
	}
	if chi > 50 { // nine degrees of freedom: one run in ten million
		t.Errorf("digits occur %v times", count)
	}
}

func TestCanonicalCode(t *testing.T) {
	for raw, want := range map[string]string{
		"123456": "123456", " 123 456 ": "123456", "123-456": "123456", "１２３４５６": "123456",
		"123–456": "123456", "\u202a123456\u202c": "123456", "123456\n": "123456", "000000": "000000",
		"12345": "", "1234567": "", "12345a": "", "": "", "١٢٣٤٥٦": "", "12345６７": "", "+12345": "",
		"\xff123456": "", strings.Repeat(" ", 250) + "123456": "123456", strings.Repeat(" ", 251) + "123456": "",
	} {
		if got, ok := CanonicalCode(raw, 6); got != want || ok != (want != "") {
			t.Errorf("%q: %q %v", raw, got, ok)
		}
	}
	if _, ok := CanonicalCode("", 0); ok {
		t.Error("a code of no digits")
	}
}

func TestBackupCode(t *testing.T) {
	form := regexp.MustCompile(`^([0-9A-HJKMNP-TV-Z]{4}-){6}[0-9A-HJKMNP-TV-Z]{2}$`)
	seen := map[string]bool{}
	for range 1000 {
		shown := NewBackupCode()
		canonical, ok := CanonicalBackupCode(shown)
		if !form.MatchString(shown) || !ok || canonical != strings.ReplaceAll(shown, "-", "") || len(canonical) != 26 {
			t.Fatalf("%q reads as %q %v", shown, canonical, ok)
		}
		if again, ok := CanonicalBackupCode(canonical); !ok || again != canonical {
			t.Fatalf("%q is not its own canonical form", canonical)
		}
		seen[canonical] = true
	}
	if len(seen) != 1000 {
		t.Errorf("%d of 1000 codes differ", len(seen))
	}
}

func TestCanonicalBackupCodeIsTolerant(t *testing.T) {
	const want = "01010101HJKMNPQRSTVWXYZ234"
	for _, raw := range []string{
		want, strings.ToLower(want), "0101-0101-HJKM-NPQR-STVW-XYZ2-34", " 0101 0101 hjkm npqr stvw xyz2 34 ",
		"OIOLoiolHJKMNPQRSTVWXYZ234", "０101–0101 HJKMNPQRSTVWXYZ234",
	} {
		if got, ok := CanonicalBackupCode(raw); !ok || got != want {
			t.Errorf("%q: %q %v", raw, got, ok)
		}
	}
	for _, raw := range []string{
		"", want[:25], want + "0", want[:25] + "5", // 5 has bits beyond the 128th
		want[:25] + "U", want[:25] + "é", strings.Repeat(want, 10), "\xff" + want,
	} {
		if got, ok := CanonicalBackupCode(raw); ok {
			t.Errorf("%q: taken as %q", raw, got)
		}
	}
}
