package identifier

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/wanbi/wanbi/internal/recovery"
)

const (
	phone    = recovery.IdentifierPhone
	email    = recovery.IdentifierEmail
	username = recovery.IdentifierUsername
	resident = recovery.IdentifierResidentID
	imei     = recovery.IdentifierIMEI
)

var everyKind = []recovery.IdentifierKind{phone, email, username, resident, imei}

// keyOf gives the message key of a form error and checks the rest of it.
func keyOf(t *testing.T, err error) string {
	t.Helper()
	var e *recovery.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no recovery.Error", err)
	}
	if e.Kind != recovery.KindBadInput || e.Field != "identifier" || e.Cause != nil || e.Args != nil {
		t.Errorf("error discloses or misplaces: %+v", e)
	}
	return e.Key
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		kind      recovery.IdentifierKind
		raw, want string // want empty: error.identifier.{kind}
	}{
		{phone, "13800001234", "+8613800001234"},
		{phone, " 138 0000-1234 ", "+8613800001234"},
		{phone, "+86 (138) 0000 1234", "+8613800001234"},
		{phone, "（+86）138－0000－1234", "+8613800001234"},
		{phone, "008613800001234", "+8613800001234"},
		{phone, "１３８００００１２３４", "+8613800001234"},
		{phone, "\u202d13800001234\u202c", "+8613800001234"},
		{phone, "19200001234", "+8619200001234"},
		{phone, "010-85551234", "+861085551234"},
		{phone, "+44 20 7946 0958", "+442079460958"},
		{phone, "+852 5123 4567", "+85251234567"},
		{phone, "1380000123", ""},
		{phone, "138000012345", ""},
		{phone, "12800001234", ""},
		{phone, "13800001234x5", ""},
		{phone, "1-800-FLOWERS", ""},
		{phone, "13800001234,13900001234", ""},
		{phone, "13800001234\n", ""},
		{phone, "138+00001234", ""},
		{phone, "١٣٨٠٠٠٠١٢٣٤", ""},
		{phone, strings.Repeat("1", 600), ""},

		{email, "li@example.cn", "li@example.cn"},
		{email, "  Li.Wei@Example.CN ", "li.wei@example.cn"},
		{email, "li+shop@example.cn", "li+shop@example.cn"},
		{email, "li@例子.中国", "li@xn--fsqu00a.xn--fiqs8s"},
		{email, "li@ｅｘａｍｐｌｅ。cn", "li@example.cn"},
		{email, "li@example.cn,thief@example.org", ""},
		{email, "li@example.cn;thief@example.org", ""},
		{email, "li@example.cn thief@example.org", ""},
		{email, "[\"li@example.cn\",\"thief@example.org\"]", ""},
		{email, "li@example.cn@example.org", ""},
		{email, "Li <li@example.cn>", ""},
		{email, "\"li\"@example.cn", ""},
		{email, "li@example.cn\r\nBcc: thief@example.org", ""},
		{email, "li@example.cn\n", ""},
		{email, "li@example.cn\x00", ""},
		{email, "l\u0456@example.cn", ""},        // Cyrillic і
		{email, "ｌｉ@example.cn", ""},             // full-width local part
		{email, "li@ex\u0430mple.cn", ""},        // Cyrillic а
		{email, "li@xn--exmple-4nf.cn", ""},      // the same as punycode
		{email, "li\u200b@example.cn", ""},       // zero width
		{email, "li@\u202eexample.cn", ""},       // direction override
		{email, "mıke@example.org", ""},          // dotless i folds to i in some stores
		{email, "li@localhost", ""},              // one label
		{email, "li@[192.0.2.1]", ""},            // address literal
		{email, "li@192.0.2.1", ""},              // no domain name
		{email, "li%example.org@example.cn", ""}, // source route
		{email, ".li@example.cn", ""},            //
		{email, "l..i@example.cn", ""},           //
		{email, "@example.cn", ""},               //
		{email, "li@", ""},                       //
		{email, "li@example.cn.", ""},            //
		{email, "li@-example.cn", ""},            //
		{email, "li@" + longLabel(63) + ".cn", "li@" + longLabel(63) + ".cn"},
		{email, "li@" + longLabel(64) + ".cn", ""},
		{email, longLabel(64) + "@example.cn", longLabel(64) + "@example.cn"},
		{email, longLabel(65) + "@example.cn", ""},
		{email, addressOf(254), addressOf(254)},
		{email, addressOf(255), ""},

		{username, "LiWei", "liwei"},
		{username, "ＬiＷei_1", "liwei_1"},
		{username, "李小明", "李小明"},
		{username, "李wei-01", "李wei-01"},
		{username, "иванов", "иванов"},
		{username, "STRASSE", "strasse"},
		{username, "straße", "strasse"},
		{username, "abc", "abc"},
		{username, "ab", ""},
		{username, longLabel(32), longLabel(32)},
		{username, longLabel(33), ""},
		{username, "123456", ""},
		{username, "138-0000-1234", ""},
		{username, "p\u0430ypal", ""}, // Cyrillic а among Latin
		{username, "pαypal", ""},      // Greek α among Latin
		{username, "ивαнов", ""},      // Greek α among Cyrillic
		{username, "li wei", ""},
		{username, "li@wei", ""},
		{username, "li\u200bwei", ""},
		{username, "li\nwei", ""},
		{username, "li٣wei", ""},

		{resident, "110101199003070011", "110101199003070011"},
		{resident, "110101 19900307 0011", "110101199003070011"},
		{resident, "11010119900307002x", "11010119900307002X"},
		{resident, "１１０１０１１９９００３０７００１１", "110101199003070011"},
		{resident, "110101200002290018", "110101200002290018"}, // a leap year
		{resident, "110101190002290011", ""},                   // 1900 was none
		{resident, "110101199002300014", ""},                   // 30 February
		{resident, "440306180001010014", ""},                   // born in 1800
		{resident, "990101199003070015", ""},                   // no such region
		{resident, "830000199003070019", ""},                   // one past the last region
		{resident, "82010119891231002X", "82010119891231002X"}, // the last region
		{resident, "110101199003070012", ""},                   // check digit
		{resident, "11010119900307001", ""},                    //
		{resident, "1101011990030700111", ""},                  //

		{imei, "490154203237518", "490154203237518"},
		{imei, "49-015420-323751-8", "490154203237518"},
		{imei, "490154203237519", ""},
		{imei, "49015420323751", ""},
		{imei, "4901542032375180", ""},
	} {
		got, err := Parse(c.kind, c.raw)
		switch {
		case c.want == "" && err == nil:
			t.Errorf("%s %q: took it as %q", c.kind, c.raw, got.Value)
		case c.want == "":
			if key := keyOf(t, err); key != "error.identifier."+string(c.kind) {
				t.Errorf("%s %q: %s", c.kind, c.raw, key)
			}
		case err != nil || got.Value != c.want || got.Kind != c.kind:
			t.Errorf("%s %q: %q %v, want %q", c.kind, c.raw, got.Value, err, c.want)
		}
	}
}

func longLabel(n int) string { return strings.Repeat("a", n) }

// addressOf gives a well-formed address of n bytes in all.
func addressOf(n int) string {
	a := "li@" + longLabel(60) + "." + longLabel(60) + "." + longLabel(60) + "."
	rest := n - len(a)
	return a + longLabel(rest-len(".example")) + ".example"
}

func TestParseEmptyAndUnknownKind(t *testing.T) {
	for _, kind := range everyKind {
		for _, raw := range []string{"", "   ", "\u3000"} {
			if _, err := Parse(kind, raw); keyOf(t, err) != "error.identifier.empty" {
				t.Errorf("%s %q: %v", kind, raw, err)
			}
		}
	}
	if _, err := Parse("passport", "E12345678"); keyOf(t, err) != "error.identifier.unclear" {
		t.Errorf("a kind that does not exist: %v", err)
	}
}

func TestDetect(t *testing.T) {
	some := func(kinds ...recovery.IdentifierKind) []recovery.IdentifierKind { return kinds }
	for _, c := range []struct {
		raw     string
		allowed []recovery.IdentifierKind
		kind    recovery.IdentifierKind // empty: an error
		want    string                  // the value, or the end of the error's key
	}{
		{"13800001234", everyKind, phone, "+8613800001234"},
		{"138 0000 1234", everyKind, phone, "+8613800001234"},
		{"li@example.cn", everyKind, email, "li@example.cn"},
		{"liwei", everyKind, username, "liwei"},
		{"110101199003070011", everyKind, resident, "110101199003070011"},
		{"11010119900307002x", everyKind, resident, "11010119900307002X"},
		{"490154203237518", everyKind, imei, "490154203237518"},
		// 0086… dialled from abroad has a right Luhn digit by chance.
		{"008613800001234", everyKind, phone, "+8613800001234"},
		{"008613800001234", some(imei), imei, "008613800001234"},
		// What looks like one kind is never taken for another.
		{"11010119900307001x", everyKind, "", "resident-id"},
		{"li@example.cn,x@y.cn", everyKind, "", "email"},
		{"1380000123", everyKind, "", "phone"},
		{"138-0000-123", some(phone, username), "", "phone"},
		{"490154203237519", everyKind, "", "imei"},
		{"li wei", everyKind, "", "username"},
		{"", everyKind, "", "empty"},
		{"\u3000", nil, "", "empty"},
		// Kinds that are not allowed.
		{"li@example.cn", some(phone), "", "phone"},
		{"li@example.cn", some(phone, username), "", "unclear"},
		{"liwei", some(phone, email), "", "unclear"},
		{"13800001234", some(email), "", "email"},
		{"110101199003070011", some(phone, email), "", "unclear"},
		{"liwei", nil, "", "unclear"},
		{"liwei", some("passport"), "", "unclear"},
		{strings.Repeat("a", 513), some(username), "", "username"},
		{strings.Repeat("a", 513), everyKind, "", "unclear"},
		{"\xff\xfe", everyKind, "", "unclear"},
	} {
		id, err := Detect(c.raw, c.allowed)
		if c.kind == "" {
			if err == nil {
				t.Errorf("%q %v: took it as %s", c.raw, c.allowed, id.Kind)
			} else if key := keyOf(t, err); key != "error.identifier."+c.want {
				t.Errorf("%q %v: %s, want …%s", c.raw, c.allowed, key, c.want)
			}
			continue
		}
		if err != nil || id.Kind != c.kind || id.Value != c.want {
			t.Errorf("%q %v: %s %q %v", c.raw, c.allowed, id.Kind, id.Value, err)
		}
	}
}

func TestDetectDoesNotDependOnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.StringMatching(`[0-9a-zA-Z@ .+-]{0,20}|[0-9]{14,18}[0-9X]`).Draw(t, "raw")
		order := rapid.Permutation(everyKind).Draw(t, "order")
		a, errA := Detect(raw, everyKind)
		b, errB := Detect(raw, order)
		if a != b || (errA == nil) != (errB == nil) || errA != nil && errA.Error() != errB.Error() {
			t.Fatalf("%q: %v %v, in another order %v %v", raw, a, errA, b, errB)
		}
	})
}

// Every mainland mobile has one canonical form, however it is written.
func TestPhoneSpellings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.StringMatching(`1[3-9][0-9]{9}`).Draw(t, "number")
		prefix := rapid.SampledFrom([]string{"", "+86", "+86 ", "0086", "86 "}).Draw(t, "prefix")
		var b strings.Builder
		b.WriteString(prefix)
		for i, r := range number {
			if i > 0 {
				b.WriteString(rapid.SampledFrom([]string{"", "", "", " ", "-", "."}).Draw(t, "mark"))
			}
			if rapid.Bool().Draw(t, "wide") {
				r += '０' - '0'
			}
			b.WriteRune(r)
		}
		id, err := Parse(phone, b.String())
		if err != nil || id.Value != "+86"+number {
			t.Fatalf("%q: %q %v", b.String(), id.Value, err)
		}
	})
}

func TestMailbox(t *testing.T) {
	for in, want := range map[string]string{
		"li@example.cn":        "li@example.cn",
		"li+a@example.cn":      "li@example.cn",
		"li+a+b@example.cn":    "li@example.cn",
		"+a@example.cn":        "+a@example.cn",
		"li.wei+x@example.cn":  "li.wei@example.cn",
		"+8613800001234":       "+8613800001234",
		"li@xn--fsqu00a.cn":    "li@xn--fsqu00a.cn",
		"li+@example.cn":       "li@example.cn",
		"li-wei_1@example.com": "li-wei_1@example.com",
	} {
		if got := Mailbox(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// FuzzDetect: no panic; a canonical form is its own canonical form.
func FuzzDetect(f *testing.F) {
	for _, seed := range []string{
		"", "13800001234", "+86 (138) 0000-1234", "li@example.cn", "Li+tag@例子.中国", "李小明", "straße",
		"11010119900307002x", "490154203237518", "１３８００００１２３４", "p\u0430ypal", "\u202d1\u202c", "İabc", "ǰabc", "+39 06 698", "ﬃabc", "ᾳᾳᾳ",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		ids := map[recovery.IdentifierKind]recovery.Identifier{}
		if id, err := Detect(raw, everyKind); err == nil {
			ids[id.Kind] = id
		}
		for _, kind := range everyKind {
			if id, err := Parse(kind, raw); err == nil {
				ids[kind] = id
			}
		}
		for kind, id := range ids {
			again, err := Parse(kind, id.Value)
			if err != nil || again != id {
				t.Errorf("%s %q → %q → %q %v", kind, raw, id.Value, again.Value, err)
			}
			if strings.ContainsAny(id.Value, " ,;<>\"\r\n\x00") {
				t.Errorf("%s %q → %q", kind, raw, id.Value)
			}
			if mask := Mask(id); mask == id.Value || !hides(mask, id.Value) {
				t.Errorf("mask %q of %q", mask, id.Value)
			}
		}
	})
}

func BenchmarkDetect(b *testing.B) {
	for _, raw := range []string{"13800001234", "li@example.cn", "李小明", "110101199003070011"} {
		b.Run(raw, func(b *testing.B) {
			for b.Loop() {
				if _, err := Detect(raw, everyKind); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
