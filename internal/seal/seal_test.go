package seal

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/wanbi/wanbi/internal/recovery"
)

// fresh makes keys of their own.
func fresh(t testing.TB) *Keyring {
	t.Helper()
	k, err := Parse(generate(t))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func generate(t testing.TB) []byte {
	t.Helper()
	text, err := Generate("id.example.cn/wanbi")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

var here = Place{Realm: "r", Owner: "row-1", Column: "t.c"}

func TestSealedValuesComeBack(t *testing.T) {
	k := fresh(t)
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		at := Place{Realm: recovery.Realm(rapid.String().Draw(t, "realm")), Owner: rapid.String().Draw(t, "owner"), Column: rapid.String().Draw(t, "column")}
		sealed, err := k.Seal(at, plain)
		if err != nil {
			t.Fatal(err)
		}
		got, err := k.Open(at, sealed)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("%q came back as %q, %v", plain, got, err)
		}
		if len(plain) > 3 && bytes.Contains(sealed, plain) {
			t.Fatal("the plain text stands in what was sealed")
		}
	})
}

func TestAMovedValueDoesNotOpen(t *testing.T) {
	k := fresh(t)
	sealed, err := k.Seal(here, []byte("13800001234"))
	if err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]Place{
		"another realm":            {"r2", "row-1", "t.c"},
		"another row":              {"r", "row-2", "t.c"},
		"another column":           {"r", "row-1", "t.d"},
		"parts joined differently": {"r", "row-1t", ".c"},
		"a realm within the owner": {"", "rrow-1", "t.c"},
	} {
		plain, err := k.Open(at, sealed)
		if err == nil {
			t.Errorf("%s: it opens as %q", name, plain)
		} else if strings.Contains(err.Error(), "13800001234") || strings.Contains(err.Error(), "row-1") {
			t.Errorf("%s: the error tells %v", name, err)
		}
	}
	if _, err := fresh(t).Open(here, sealed); err == nil {
		t.Error("it opens with other keys")
	}
	for i := range sealed {
		broken := slices.Clone(sealed)
		broken[i] ^= 1
		if _, err := k.Open(here, broken); err == nil {
			t.Errorf("it opens with byte %d flipped", i)
		}
		if _, err := k.Open(here, sealed[:i]); err == nil {
			t.Errorf("it opens cut to %d bytes", i)
		}
	}
	again, err := k.Seal(here, []byte("13800001234"))
	if err != nil || bytes.Equal(again, sealed) {
		t.Errorf("the same value is sealed the same twice, %v", err)
	}
}

func TestSubjectsDependOnEveryPart(t *testing.T) {
	k := fresh(t)
	phone := recovery.Identifier{Kind: recovery.IdentifierPhone, Value: "+8613800001234"}
	one := k.Subject("r", phone)
	if len(one) != 32 || one != k.Subject("r", phone) {
		t.Errorf("subject %q is not 32 digits or not the same twice", one)
	}
	for name, other := range map[string]recovery.Subject{
		"realm":  k.Subject("r2", phone),
		"kind":   k.Subject("r", recovery.Identifier{Kind: recovery.IdentifierUsername, Value: phone.Value}),
		"value":  k.Subject("r", recovery.Identifier{Kind: recovery.IdentifierPhone, Value: "+8613800001235"}),
		"keys":   fresh(t).Subject("r", phone),
		"joined": k.Subject("rphone", recovery.Identifier{Value: phone.Value}),
	} {
		if other == one {
			t.Errorf("another %s gives the same subject", name)
		}
	}
	if k.CountKey("a", "bc") == k.CountKey("ab", "c") || k.CountKey("a", "") == k.CountKey("a") {
		t.Error("counters of other parts are the same counter")
	}
}

const (
	subjectText = "000102030405060708090a0b0c0d0e0f"
	idText      = "0190f3a4-0000-7000-8000-00000000abcd"
)

func TestSealIDIsDeterministicOpaqueAndBound(t *testing.T) {
	k := fresh(t)
	rapid.Check(t, func(t *rapid.T) {
		shard := uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "shard"))
		id := uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		extra := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "extra")
		one, err := k.SealID("case", shard.String(), id.String(), extra)
		if err != nil {
			t.Fatal(err)
		}
		again, _ := k.SealID("case", strings.ReplaceAll(shard.String(), "-", ""), id.String(), extra)
		if one != again {
			t.Fatal("the same ID has two forms")
		}
		opened, ok := k.OpenID("case", one)
		if !ok || opened.Shard != [16]byte(shard) || opened.ID != id.String() || !bytes.Equal(opened.Extra, extra) {
			t.Fatalf("opened as %+v, %v", opened, ok)
		}
		if opened.Account() != recovery.AccountID(shard.String()) || string(opened.Subject()) != strings.ReplaceAll(shard.String(), "-", "") {
			t.Fatalf("the shard reads as %s and %s", opened.Subject(), opened.Account())
		}
		if _, ok := k.OpenID("stop", one); ok {
			t.Fatal("it opens for another purpose")
		}
		raw, _ := base64.RawURLEncoding.DecodeString(one)
		if bytes.Contains(raw, shard[:]) || bytes.Contains(raw, id[:]) {
			t.Fatal("it shows what it carries")
		}
	})
	for _, wrong := range []string{"", "x", subjectText[:31], subjectText + "00", "zz" + subjectText[2:]} {
		if _, err := k.SealID("case", wrong, idText, nil); err == nil {
			t.Errorf("the shard %q was sealed", wrong)
		}
		if _, err := k.SealID("case", subjectText, wrong, nil); err == nil {
			t.Errorf("the ID %q was sealed", wrong)
		}
	}
}

// One ID has one form: nobody gets two tokens out of one.
func TestNoOtherTextOpensAsTheSameID(t *testing.T) {
	k := fresh(t)
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=\n\r +/"
	for _, extra := range [][]byte{nil, {1}, {1, 2}, {1, 2, 3}} { // every remainder of base64
		sealed, err := k.SealID("case", subjectText, idText, extra)
		if err != nil {
			t.Fatal(err)
		}
		try := func(text string) {
			if text == sealed {
				return
			}
			if _, ok := k.OpenID("case", text); ok {
				t.Errorf("%q opens like %q", text, sealed)
			}
		}
		for i := range len(sealed) {
			for _, c := range alphabet {
				try(sealed[:i] + string(c) + sealed[i+1:])
				try(sealed[:i] + string(c) + sealed[i:])
			}
			try(sealed[:i])
		}
		for _, end := range []string{"\n", "=", "==", " ", "A"} {
			try(sealed + end)
		}
		if _, ok := fresh(t).OpenID("case", sealed); ok {
			t.Error("it opens with other keys")
		}
	}
}

func FuzzOpenID(f *testing.F) {
	k := fresh(f)
	good, err := k.SealID("case", subjectText, idText, []byte("extra"))
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"", good, good[1:], good + "A", strings.Repeat("A", 513), "\x00", "编号"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, external string) {
		opened, ok := k.OpenID("case", external)
		if !ok {
			return
		}
		again, err := k.SealID("case", string(opened.Subject()), opened.ID, opened.Extra)
		if err != nil || again != external {
			t.Errorf("%q opens and seals as %q, %v", external, again, err)
		}
	})
}

func TestMacsAreBoundToPurposeAndParts(t *testing.T) {
	k := fresh(t)
	mac := k.Mac("code", "case-1", "123456")
	if mac != k.Mac("code", "case-1", "123456") || !k.MacEqual(mac, "code", "case-1", "123456") {
		t.Fatal("a MAC is not its own")
	}
	for name, equal := range map[string]bool{
		"another purpose":  k.MacEqual(mac, "link", "case-1", "123456"),
		"another part":     k.MacEqual(mac, "code", "case-2", "123456"),
		"parts joined":     k.MacEqual(mac, "code", "case-1123456"),
		"a part more":      k.MacEqual(mac, "code", "case-1", "123456", ""),
		"other keys":       fresh(t).MacEqual(mac, "code", "case-1", "123456"),
		"nothing":          k.MacEqual("", "code", "case-1", "123456"),
		"no key ID":        k.MacEqual(mac[strings.Index(mac, ".")+1:], "code", "case-1", "123456"),
		"the key ID alone": k.MacEqual(mac[:strings.Index(mac, ".")+1], "code", "case-1", "123456"),
		"upper case":       k.MacEqual(strings.ToUpper(mac), "code", "case-1", "123456"),
		"a zero in front":  k.MacEqual("0"+mac, "code", "case-1", "123456"),
		"a key not there":  k.MacEqual("2"+mac[strings.Index(mac, "."):], "code", "case-1", "123456"),
		"cut":              k.MacEqual(mac[:len(mac)-1], "code", "case-1", "123456"),
	} {
		if equal {
			t.Errorf("%s: equal", name)
		}
	}
}

func TestPepperHasAnIDThatIsNeeded(t *testing.T) {
	k := fresh(t)
	one, err := k.Pepper(k.CurrentPepper(), []byte("data"))
	if err != nil || len(one) != 32 {
		t.Fatalf("%d bytes, %v", len(one), err)
	}
	two, _ := k.Pepper(k.CurrentPepper(), []byte("other"))
	if bytes.Equal(one, two) {
		t.Error("other data gives the same")
	}
	for _, id := range []string{"", "-", "zzzzzzzzzz", "2"} {
		if _, err := k.Pepper(id, nil); err == nil {
			t.Errorf("pepper %q exists", id)
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	k, plain := fresh(b), bytes.Repeat([]byte("x"), 200)
	for b.Loop() {
		if _, err := k.Seal(here, plain); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	k := fresh(b)
	sealed, err := k.Seal(here, bytes.Repeat([]byte("x"), 200))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := k.Open(here, sealed); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMac(b *testing.B) {
	k := fresh(b)
	for b.Loop() {
		k.Mac("code", "realm", "case", "challenge", "destination", "123456")
	}
}
