package seal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/seal/sealtest"
)

// written saves a key file with a mode.
func written(t *testing.T, text []byte, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(path, text, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadReadsWhatGenerateWrote(t *testing.T) {
	text := generate(t)
	path := written(t, text, 0o600)
	one, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	two, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := one.Seal(here, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := two.Open(here, sealed); err != nil {
		t.Error(err)
	}
	if one.HookKeyID() != two.HookKeyID() || len(one.HookKeyID()) != 11 || !one.HookKey().Equal(two.HookKey()) {
		t.Error("the key for calls is another one")
	}
	if one.Signer().Name() != "id.example.cn/wanbi" {
		t.Errorf("the log is called %q", one.Signer().Name())
	}
	signed, err := note.Sign(&note.Note{Text: "x\n"}, one.Signer())
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(two.LogVerifier())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := note.Open(signed, note.VerifierList(verifier)); err != nil {
		t.Error(err)
	}
}

func TestLoadRefusesAFileThatOthersRead(t *testing.T) {
	text := generate(t)
	for mode, want := range map[os.FileMode]bool{
		0o600: true, 0o400: true, 0o644: false, 0o640: false, 0o604: false, 0o610: false, 0o601: false, 0o660: false,
	} {
		_, err := Load(written(t, text, mode))
		if (err == nil) != want {
			t.Errorf("mode %04o: %v", mode, err)
		}
		if err != nil && !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %04o: the error does not say what to do: %v", mode, err)
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "wanbi keys init") {
		t.Errorf("no file: %v", err)
	}
}

// secrets are the long texts of a key file that nothing may repeat.
func secrets(text []byte) []string {
	return slices.DeleteFunc(regexp.MustCompile(`[A-Za-z0-9+/=]{20,}`).FindAllString(string(text), -1), func(s string) bool {
		return strings.HasPrefix(s, "type") || strings.Contains(s, "google")
	})
}

// changed gives a key file's text after a change to its parts.
func changed(t testing.TB, text []byte, change func(parts map[string]json.RawMessage)) []byte {
	t.Helper()
	parts := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &parts); err != nil {
		t.Fatal(err)
	}
	change(parts)
	out, err := json.Marshal(parts)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestParseRefusesWhatIsNotAKeyFile(t *testing.T) {
	text, other := generate(t), generate(t)
	material := append(secrets(text), secrets(other)...)
	if len(material) < 10 {
		t.Fatalf("only %d secrets were found in the file: the test would hold of nothing", len(material))
	}
	set := func(name, value string) []byte {
		return changed(t, text, func(parts map[string]json.RawMessage) { parts[name] = json.RawMessage(value) })
	}
	otherPart := func(name string) string {
		parts := map[string]json.RawMessage{}
		_ = json.Unmarshal(other, &parts)
		return string(parts[name])
	}
	part := func(name string) string {
		parts := map[string]json.RawMessage{}
		_ = json.Unmarshal(text, &parts)
		return string(parts[name])
	}
	var mixed struct{ Signer, Verifier string }
	_ = json.Unmarshal([]byte(part("log")), &mixed)
	mixedSigner := mixed.Signer
	_ = json.Unmarshal([]byte(otherPart("log")), &mixed)
	cases := map[string][]byte{
		"nothing":                      nil,
		"not JSON":                     []byte("keys"),
		"a list":                       []byte("[]"),
		"an unknown part":              set("more", `"x"`),
		"an unknown part of the log":   set("log", `{"signer":"a","verifier":"b","more":"c"}`),
		"another version":              set("version", "2"),
		"no version":                   changed(t, text, func(p map[string]json.RawMessage) { delete(p, "version") }),
		"a short seed":                 set("hooks", `"c2hvcnQ="`),
		"signer and verifier of two":   set("log", fmt.Sprintf(`{"signer":%q,"verifier":%q}`, mixedSigner, mixed.Verifier)),
		"no verifier":                  set("log", fmt.Sprintf(`{"signer":%q,"verifier":""}`, mixedSigner)),
		"an index where IDs should be": set("ids", part("index")),
		"IDs where an index should be": set("index", part("ids")),
		"an index where seal is":       set("seal", part("index")),
		"text after it":                append(slices.Clone(text), text...),
		"a word after it":              append(slices.Clone(text), " x"...),
	}
	for _, name := range []string{"seal", "index", "subject", "hash", "ids", "log", "hooks"} {
		cases["no "+name] = changed(t, text, func(p map[string]json.RawMessage) { delete(p, name) })
		cases["null "+name] = set(name, "null")
		cases["empty "+name] = set(name, "{}")
	}
	for name, text := range cases {
		k, err := Parse(text)
		if err == nil {
			t.Errorf("%s: it was read as %v", name, k)
			continue
		}
		for _, secret := range material {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error holds key material", name)
			}
		}
	}
	for cut := 0; cut < len(text)-1; cut += 7 {
		if _, err := Parse(text[:cut]); err == nil {
			t.Fatalf("a file cut to %d of %d bytes was read", cut, len(text))
		} else if slices.ContainsFunc(material, func(s string) bool { return strings.Contains(err.Error(), s) }) {
			t.Fatalf("cut to %d bytes, the error holds key material", cut)
		}
	}
	if _, err := Parse(append(slices.Clone(text), "\n \n"...)); err != nil {
		t.Errorf("with an empty line at its end: %v", err)
	}
}

func TestAKeyringPrintsNothing(t *testing.T) {
	text := generate(t)
	k, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, v := range []any{k, struct{ Keys *Keyring }{k}} {
			got := fmt.Sprintf(verb, v)
			if len(got) > 60 || strings.Contains(got, "0x") && strings.Contains(got, ", 0x") {
				t.Errorf("%s prints %d bytes", verb, len(got))
			}
		}
	}
	if out, err := json.Marshal(any(struct{ Keys any }{k})); err != nil || string(out) != `{"Keys":{}}` {
		t.Errorf("as JSON it is %s, %v", out, err)
	}
}

func TestAReplacedKeyStillReadsWhatTheOldOneWrote(t *testing.T) {
	text := generate(t)
	before, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	all, err := sealtest.Rotate(text, sealtest.Parts...)
	if err != nil {
		t.Fatal(err)
	}
	after, err := Parse(all)
	if err != nil {
		t.Fatal(err)
	}

	sealed, err := before.Seal(here, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := after.Open(here, sealed); err != nil || string(got) != "x" {
		t.Errorf("seal: %q, %v", got, err)
	}
	newer, err := after.Seal(here, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := before.Open(here, newer); err == nil {
		t.Error("seal: the new key is not used")
	}

	mac := before.Mac("code", "a")
	if !after.MacEqual(mac, "code", "a") || after.MacEqual(mac, "code", "b") {
		t.Error("hash: a MAC of the old key is not checked as before")
	}
	if after.Mac("code", "a") == mac || before.MacEqual(after.Mac("code", "a"), "code", "a") {
		t.Error("hash: the new key is not used")
	}
	if before.CurrentPepper() == after.CurrentPepper() {
		t.Error("hash: the pepper is the old one")
	}
	one, _ := before.Pepper(before.CurrentPepper(), []byte("d"))
	two, err := after.Pepper(before.CurrentPepper(), []byte("d"))
	if err != nil || !bytes.Equal(one, two) {
		t.Errorf("hash: the old pepper changed: %v", err)
	}

	id, err := before.SealID("case", subjectText, idText, nil)
	if err != nil {
		t.Fatal(err)
	}
	if opened, ok := after.OpenID("case", id); !ok || opened.ID != idText {
		t.Error("ids: an old ID does not open")
	}

	old, now := before.Index("r", "phone", "v"), after.Index("r", "phone", "v")
	if len(old) != 1 || len(now) != 2 || now[1] != old[0] || now[0] == old[0] {
		t.Errorf("index: %v became %v; the current key's comes first, then the old one's", old, now)
	}

	phone := recovery.Identifier{Kind: recovery.IdentifierPhone, Value: "v"}
	if before.Subject("r", phone) != after.Subject("r", phone) || before.CountKey("x") != after.CountKey("x") {
		t.Error("subjects and counters changed: attempts were given back")
	}
}

func TestRealmsAreDerivedOnceWhoeverAsks(t *testing.T) {
	k := fresh(t)
	sealed := make([][]byte, 50)
	var all sync.WaitGroup
	for i := range sealed {
		all.Go(func() { sealed[i], _ = k.Seal(here, []byte("x")) })
	}
	all.Wait()
	for i, s := range sealed {
		if _, err := k.Open(here, s); err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
}
