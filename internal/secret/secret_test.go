package secret

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func keysOf(reasons []Reason) []string {
	var keys []string
	for _, r := range reasons {
		keys = append(keys, strings.TrimPrefix(r.Key, "secret."))
	}
	return keys
}

func TestCheck(t *testing.T) {
	nist := Rules{Profile: ProfileNIST, MinScore: 2}
	nist8 := Rules{Profile: ProfileNIST, MinLength: 8, MinScore: 2}
	gbt := Rules{Profile: ProfileGBT22239, MinScore: 2}
	li := []string{"Li Wei", "李小明", "+8613800001234", "1990-03-07", "weiweili@example.cn", "yichuangtong"}
	for _, c := range []struct {
		name, password string
		rules          Rules
		want           []string
	}{
		// Length, in pairs.
		{"nist 15", "kumquat-9-tapir", nist, nil},
		{"nist 14", "kumquat-9-tapi", nist, []string{"too-short"}},
		{"nist with a second factor 8", "vq7#mzpw", nist8, nil},
		{"nist with a second factor 7", "vq7#mzp", nist8, []string{"too-short"}},
		{"gbt 8", "vQ7#mzpw", gbt, nil},
		{"gbt 7", "vQ7#mzp", gbt, []string{"too-short"}},
		{"64 characters", strings.Repeat("vq7mzpwk", 8), Rules{}, nil},
		{"65 characters", strings.Repeat("vq7mzpwk", 8) + "x", Rules{}, []string{"too-long"}},
		{"64 Chinese characters", strings.Repeat("锦瑟无端五十弦", 9) + "锦", Rules{}, nil},
		{"longer by configuration", strings.Repeat("vq7mzpwk", 16), Rules{MaxLength: 128}, nil},
		{"a megabyte", strings.Repeat("a", 1<<20), Rules{}, []string{"too-long"}},
		{"a length below 8 counts as 8", "vq7#mzp", Rules{MinLength: 4}, []string{"too-short"}},
		{"empty", "", gbt, []string{"too-short"}},
		// Characters after NFC: 14 letters of which one is typed as two code points.
		{"NFC counts one", "kumquat-9-tape\u0301", nist, []string{"too-short"}},
		// Classes: gbt22239 only.
		{"gbt two classes", "vqmzpwkd8", gbt, []string{"classes"}},
		{"gbt three classes", "vqmzpwkd8!", gbt, nil},
		{"gbt four classes asked", "vqmzpwkd8!", Rules{Profile: ProfileGBT22239, Classes: 4}, []string{"classes"}},
		{"gbt Chinese is a class", "锦瑟无端五十弦vq7", gbt, nil},
		{"nist ignores classes", "kumquat tapir lute", Rules{Profile: ProfileNIST, Classes: 4}, nil},
		{"no profile is nist", "kumquat tapir lute", Rules{Classes: 4}, nil},
		// The block list.
		{"common", "password", nist8, []string{"common"}},
		{"common, Chinese", "woaini1314", nist8, []string{"common"}},
		{"common, other case", "WoAiNi1314", nist8, []string{"common"}},
		{"common, full-width", "ｗｏａｉｎｉ１３１４", nist8, []string{"common"}},
		{"common, substitutions", "P@$$w0rd", nist8, []string{"common"}},
		{"common, five signs behind", "sunshine2024!", nist8, []string{"common"}},
		{"common, six signs behind", "sunshine20724!", Rules{MinLength: 8}, nil},
		{"common, substitutions and tail", "Sunsh1ne!", gbt, []string{"common"}},
		{"common, 1 for l", "we1come123", nist8, []string{"common"}},
		{"common, Chinese characters", "我爱你一万年", Rules{}, []string{"too-short", "common"}},
		{"a common word inside a longer one", "sunshine kumquat tapir", nist, nil},
		// What is known of the owner.
		{"phone's tail", "vqmz-1234-pwkd-h", nist, []string{"personal"}},
		{"part of the tail", "vqmz-123-9-pwkd-h", nist, nil},
		{"name", "vqmz-LiWei-pwkd-h7", nist, []string{"personal"}},
		{"name, family name last", "vqmz-weili-pwkd-h7", nist, []string{"personal"}},
		{"Chinese name", "锦瑟李小明无端五十弦一弦一柱思", nist, []string{"personal"}},
		{"birthday", "vqmz19900307pwkd", nist, []string{"personal"}},
		{"birthday, short", "vqmzh900307pwkd", nist, []string{"personal"}},
		{"mail", "vqmzhWEIWEILIpwkd", nist, []string{"personal"}},
		{"mail, substituted", "vqmzhw31w31l1pwkd", nist, []string{"personal"}},
		{"realm", "vqm-yichuangtong-7", nist, []string{"personal"}},
		{"a short part of a name", "vqmz-lilac-pwkd-h7", nist, nil},
		// Sequences.
		{"alphabet", "abcdefghijklmnop", nist, []string{"sequence"}},
		{"backwards", "zyxwvutsrqponmlk", nist, []string{"sequence"}},
		{"keyboard rows", "qwertyuiopasdfghjkl", nist, []string{"sequence"}},
		{"keyboard columns", "1qaz2wsx3edc4rfv", nist, []string{"common", "sequence"}},
		{"columns, shifted", "!QAZ@WSX#EDC$RFV", nist, []string{"sequence"}},
		{"interleaved", "1q2w3e4r5t6y7u8i9o", nist, []string{"sequence"}},
		{"one character", strings.Repeat("x", 20), nist, []string{"sequence"}},
		{"one piece", strings.Repeat("vq7#", 5), nist, []string{"sequence"}},
		{"half is a sequence", "abcdefgh" + "vqmzhpwk", Rules{}, nil},
		{"more than half", "abcdefghi" + "vqmzhpw", Rules{}, []string{"sequence"}},
		// Strength.
		{"pinyin", "zhanghuaming888", Rules{MinScore: 3}, []string{"weak"}},
		{"pinyin and year", "wangfang1988aini", Rules{MinScore: 3}, []string{"weak"}},
		{"no minimum", "zhanghuaming888", Rules{}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := keysOf(c.rules.Check(c.password, li)); !slices.Equal(got, c.want) {
				t.Errorf("%q: %v, want %v (score %+v)", c.password, got, c.want, Strength(c.password, li))
			}
		})
	}
}

func TestReasonArgs(t *testing.T) {
	got := Rules{Profile: ProfileGBT22239, MinLength: 10, Classes: 4, MaxLength: 70}.Check("vqmzpwkd8", nil)
	want := []Reason{
		{"secret.too-short", map[string]any{"min": 10}},
		{"secret.classes", map[string]any{"classes": 4}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
	got = Rules{MaxLength: 70}.Check(strings.Repeat("vq7mzpwk", 9), nil)
	if want := []Reason{{"secret.too-long", map[string]any{"max": 70}}}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
}

func TestPersonalFacts(t *testing.T) {
	for _, c := range []struct {
		fact, password string
		want           bool
	}{
		{"110101199003070011", "vqmz0011pwkd", true},
		{"11010119900307002X", "vqmz19900307pw", true},
		{"11010119900307002X", "vqmz199037pw", true},
		{"490154203237518", "vqmz7518pwkd", true},
		{"liu", "Liu2024!", true}, // a short name with nothing but decoration
		{"liu", "vqliumzpwkd", false},
		{"李", "李白李黑七八", false},
		{"1990-03-07", "vqmz0307pw", true},
		{"1990-03-07", "vqmz307pw", false},
		{"2199-02-30", "vqmz9902z30", false},
		{"", "vqmz", false},
		{"@", "vqmz@", false},
	} {
		if got := isPersonal(c.password, []string{c.fact}); got != c.want {
			t.Errorf("%q in %q: %v", c.fact, c.password, got)
		}
	}
}

func TestLists(t *testing.T) {
	l := loadLists()
	if len(l.common) < 10000 {
		t.Errorf("%d common passwords", len(l.common))
	}
	for _, word := range []string{"5201314", "woaini1314", "a123456", "qq123456", "woaini520", "1qaz2wsx", "123456789", "7758521", "iloveyou", "letmein"} {
		if l.common[word] == 0 {
			t.Errorf("%s is missing", word)
		}
	}
	for _, word := range []string{"wo", "ai", "ni", "520", "1314", "168", "888", "zhang", "wang", "beijing", "shenzhen", "zhuang"} {
		if l.pinyin[word] == 0 {
			t.Errorf("%s is missing", word)
		}
	}
	for _, text := range []string{commonText, pinyinText} {
		for _, word := range words(text) {
			if word != strings.ToLower(word) || strings.HasPrefix(word, "#") && len(word) == 1 {
				t.Errorf("%q is not a plain lower-case word", word)
			}
		}
	}
}

func TestStrength(t *testing.T) {
	for _, c := range []struct {
		password    string
		least, most int
	}{
		{"", 0, 0},
		{"123456", 0, 0},
		{"woaini1314", 0, 0},
		{"5201314aini", 0, 0},
		{"w0a1n1520", 0, 1},
		{"zhangwei888", 0, 1},
		{"beijing2008", 0, 1},
		{"我爱你我爱你", 0, 2},
		{"锦瑟无端五十弦一弦一柱", 3, 4},
		{"kumquat-9-tapir", 3, 4},
		{"correct horse battery staple", 4, 4},
		{"vq7mz-pwkdh-3xn8r", 4, 4},
	} {
		got := Strength(c.password, nil)
		if got.Value < c.least || got.Value > c.most || got.Guesses < 1 {
			t.Errorf("%q: %+v, want %d to %d", c.password, got, c.least, c.most)
		}
	}
	plain := Strength("xueqinhu42", nil)
	known := Strength("xueqinhu42", []string{"xueqinhu@example.cn"})
	if known.Guesses >= plain.Guesses/100 {
		t.Errorf("a known name costs %.0f guesses, an unknown one %.0f", known.Guesses, plain.Guesses)
	}
}

// Neither a score nor a check has anything to gain from characters past the cap.
func TestStrengthIsCapped(t *testing.T) {
	long := strings.Repeat("kumquat tapir 9 ", 7)
	if a, b := Strength(long[:maxScored], nil), Strength(long+strings.Repeat("\u0301", 1<<20), nil); a != b {
		t.Errorf("%+v, cut %+v", b, a)
	}
}

func FuzzCheck(f *testing.F) {
	for _, seed := range []string{"", "woaini1314", "P@ssw0rd!", "锦瑟无端", "1!|+$5@4(3", "\xff\xfe", "İ\u0301", "19900307", "1990/3/7", "\x7f\x80"} {
		f.Add(seed, "Li Wei")
		f.Add("vqmz-pwkd-9x", seed)
	}
	f.Fuzz(func(t *testing.T, password, fact string) {
		for _, r := range []Rules{{MinScore: 4}, {Profile: ProfileGBT22239, MinScore: 1}} {
			for _, reason := range r.Check(password, []string{fact}) {
				for _, arg := range reason.Args {
					if _, number := arg.(int); !number {
						t.Errorf("%s carries %v", reason.Key, arg)
					}
				}
			}
		}
		if s := Strength(password, []string{fact}); s.Value < 0 || s.Value > 4 || !(s.Guesses >= 1) {
			t.Errorf("%+v", s)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	personal := []string{"Li Wei", "李小明", "+8613800001234", "weiwei@example.cn"}
	for name, password := range map[string]string{
		"typical": "kumquat-9-tapir", "longest": strings.Repeat("vq7mzpwk", 8), "signs": strings.Repeat("1!|+$5@4(36<{[0%72", 3), "scored in full": strings.Repeat("vq7mzpwk2a", 10), "huge": strings.Repeat("a1!", 1<<20),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				Rules{MinScore: 3, MaxLength: 100}.Check(password, personal)
			}
		})
	}
}
