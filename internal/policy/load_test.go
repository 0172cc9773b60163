package policy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Each fixture is named for what is wrong with it and opens with the lines that
// Load must answer, all of them and no others.
func TestBustedPoliciesAreRefusedWithEveryLineAtFault(t *testing.T) {
	files, err := filepath.Glob("testdata/busted_*.yaml")
	if err != nil || len(files) < 100 {
		t.Fatalf("%d fixtures: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			text := readFile(t, file)
			var want []string
			for line := range strings.Lines(string(text)) {
				message, ok := strings.CutPrefix(strings.TrimSpace(line), "# want: ")
				if !ok {
					break
				}
				want = append(want, "p.yaml:"+message)
			}
			p, err := Load("p.yaml", text, catalogue)
			if err == nil {
				t.Fatalf("loads as %s", p.Realm.ID)
			}
			if err.Error() != strings.Join(want, "\n") {
				t.Errorf("answers\n%v\nwant\n%s", err, strings.Join(want, "\n"))
			}
			var problems Errors
			if !errors.As(err, &problems) || len(problems.Unwrap()) != len(want) {
				t.Errorf("%d problems of type Errors, want %d", len(problems), len(want))
			}
			var first Problem
			if !errors.As(err, &first) || first.Error() != want[0] {
				t.Errorf("the first problem is %v", first)
			}
		})
	}
}

// The fixtures differ from this file by what they are named for, so it must load.
func TestTheSoundPolicyLoads(t *testing.T) {
	text := readFile(t, "testdata/sound.yaml")
	p, err := Load("sound.yaml", text, catalogue)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range p.Check() {
		if f.Level == LevelWeak {
			t.Errorf("weak: %s: %s", f.Path, f.Message)
		}
	}
	text[0] = 'X'
	if p.Source()[0] != 'r' || p.Name() != "sound.yaml" {
		t.Error("the policy does not keep its own text and name")
	}
	if len(p.Digest()) != 64 {
		t.Errorf("digest %q", p.Digest())
	}
}

func TestSizeIsBoundedToTheByte(t *testing.T) {
	sound := string(readFile(t, "testdata/sound.yaml"))
	fill := sound + "#" + strings.Repeat("x", maxBytes-len(sound)-1)
	if _, err := Load("p.yaml", []byte(fill), catalogue); err != nil {
		t.Errorf("%d bytes: %v", len(fill), err)
	}
	if _, err := Load("p.yaml", []byte(fill+"x"), catalogue); err == nil || err.Error() != "p.yaml:1: larger than 256 KiB" {
		t.Errorf("%d bytes: %v", len(fill)+1, err)
	}
	path := filepath.Join(t.TempDir(), "large.yaml")
	if err := os.WriteFile(path, []byte(fill+"xyz"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadFile(path, catalogue); err == nil || err.Error() != "large.yaml:1: larger than 256 KiB" {
		t.Errorf("file: %v", err)
	}
	if _, err := LoadFile(path+".gone", catalogue); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestDepthIsBoundedToTheLevel(t *testing.T) {
	deep := func(levels int) string {
		return "keep: " + strings.Repeat("[", levels-1) + strings.Repeat("]", levels-1)
	}
	if _, err := Load("p.yaml", []byte(deep(maxDepth)), catalogue); strings.Contains(err.Error(), "deep") {
		t.Error(err)
	}
	if _, err := Load("p.yaml", []byte(deep(maxDepth+1)), catalogue); !strings.Contains(err.Error(), "more than 16 levels deep") {
		t.Error(err)
	}
}

func TestOtherEncodingsAreRefused(t *testing.T) {
	for name, text := range map[string]string{"latin-1": "realm: \xe9", "UTF-16": "\xff\xfer\x00:\x00"} {
		if _, err := Load("p.yaml", []byte(text), catalogue); err == nil || err.Error() != "p.yaml:1: not UTF-8" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// edited is the sound policy with some of its text replaced.
func edited(t testing.TB, pairs ...string) (*Policy, error) {
	t.Helper()
	text := string(readFile(t, "testdata/sound.yaml"))
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("no %q in the sound policy", pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return Load("p.yaml", []byte(text), catalogue)
}

// Bounds come in pairs: the last that loads, the first that does not.
func TestNumbersLoadUpToTheirBounds(t *testing.T) {
	for _, c := range []struct{ from, good, bad string }{
		{"valid: 5m", "valid: 10m", "valid: 10m1s"},
		{"valid: 5m\n    resend: 60s", "valid: 5m\n    resend: 4m59s", "valid: 5m\n    resend: 5m"},
		{"resend: 60s", "digits: 6", "digits: 5"},
		{"resend: 60s", "digits: 8", "digits: 9"},
		{"resend: 60s", "wrong-per-hour: 4", "wrong-per-hour: 3"},
		{"resend: 60s", "wrong-per-hour: 10", "wrong-per-hour: 11"},
		{"profile: nist", "profile: nist\n    min-length: 15", "profile: nist\n    min-length: 14"},
		{"profile: nist", "profile: gbt22239\n    min-length: 8", "profile: gbt22239\n    min-length: 7"},
		{"profile: nist", "profile: nist\n    min-length: 8\n    accept-risk: every account has a passkey", "profile: nist\n    min-length: 7\n    accept-risk: every account has a passkey"},
		{"accent: \"#1f6f54\"", "accent: \"#767676\"", "accent: \"#777777\""},
		{"hold: 24h", "hold: 24h", "hold: 23h59m59s"},
		{"hold: 24h", "hold: 29d23h59m59s", "hold: 30d"},
		{"after: 5", "after: 3", "after: 2"},
		{"[30m, 2h]", "[30m, 30m, 1d]", "[30m, 30m, 1d1s]"},
		{"id: lantern", "id: " + strings.Repeat("a", 40), "id: " + strings.Repeat("a", 41)},
		{"default: 0s\n", "default: 0s\nkeep:\n  cases: 30d\n", "default: 0s\nkeep:\n  cases: 29d23h\n"},
		{"default: 0s\n", "default: 0s\nlimits:\n  messages-per-hour: 4\n", "default: 0s\nlimits:\n  messages-per-hour: 3\n"},
		{"resend: 60s", "resend: 60s", "resend: 59s"},
		{"https://lantern.example.cn", "http://127.0.0.1:8080", "http://128.0.0.1:8080"},
		{"https://lantern.example.cn", "http://[::1]", "http://[::2]"},
		{"https://lantern.example.cn", "http://localhost:8080", "http://localhost.example.cn"},
	} {
		t.Run(c.bad, func(t *testing.T) {
			if _, err := edited(t, c.from, c.good); err != nil {
				t.Errorf("%s: %v", c.good, err)
			}
			if _, err := edited(t, c.from, c.bad); err == nil {
				t.Errorf("%s loads", c.bad)
			}
		})
	}
}

// A policy that says little gets the documented defaults.
func TestDefaults(t *testing.T) {
	p, err := edited(t, "channels:\n  sms-code:\n    valid: 5m\n    resend: 60s\n", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ what, got, want string }{
		{"phone", fmt.Sprint(p.Channel("sms-code")), "{5m 1m 6 5 10}"},
		{"e-mail code", fmt.Sprint(p.Channel("email-code")), "{10m 1m 6 5 10}"},
		{"e-mail link", fmt.Sprint(p.Channel("email-link")), "{10m 1m 6 5 10}"},
		{"what is not sent", fmt.Sprint(p.Channel("backup-code")), "{10m 0s 0 5 10}"},
		{"no such channel", fmt.Sprint(p.Channel("telepathy")), "{0s 0s 0 0 0}"},
		{"password", fmt.Sprint(p.Secrets.Password), "{nist 15 64 0 2 0s }"},
		{"limits", fmt.Sprint(p.Limits), "{1 5 10 3 100 1000 1d}"},
		{"links", p.Notify.Links.String(), "30d"},
		{"ready", p.Hold.Expires.String(), "7d"},
		{"trust", p.Hold.TrustDeviceAfter.String(), "7d"},
		{"known device", fmt.Sprint(p.Hold.KnownDevice == nil), "true"},
		{"cases", p.Keep.Cases.String(), "180d"},
		{"review", fmt.Sprint(p.Afterward.Review), "[phone email backup-codes]"},
		{"realm", p.Realm.Locale + " " + p.Realm.Directory, "zh-CN built-in"},
		{"lockout counts over", p.Lock.TooManyFailures.Within.String(), "1h"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", c.what, c.got, c.want)
		}
	}
	g, err := edited(t, "profile: nist", "profile: gbt22239")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(g.Secrets.Password); got != "{gbt22239 8 64 3 2 0s }" {
		t.Errorf("gbt22239: %s", got)
	}
}

// What is written is taken as written, zero included.
func TestWrittenZeroIsNotTheDefault(t *testing.T) {
	p, err := edited(t, "profile: nist", "profile: nist\n    min-score: 0",
		"default: 0s", "default: 0s\n  trust-device-after: 0s\nlimits:\n  known-device-reserve: 0")
	if err != nil {
		t.Fatal(err)
	}
	if p.Secrets.Password.MinScore != 0 || *p.Hold.TrustDeviceAfter != 0 || p.Limits.KnownDeviceReserve != 0 {
		t.Errorf("%+v %v %+v", p.Secrets.Password, *p.Hold.TrustDeviceAfter, p.Limits)
	}
}

func TestWayByName(t *testing.T) {
	p, err := edited(t)
	if err != nil {
		t.Fatal(err)
	}
	if way, ok := p.Way("reset-password", "both"); !ok || len(way.Prove) != 2 {
		t.Errorf("%v %v", way, ok)
	}
	if _, ok := p.Way("unlock", "both"); ok {
		t.Error("a way of another intent is found")
	}
	if _, ok := p.Way("find-account", "phone"); ok {
		t.Error("an intent that the realm does not have has a way")
	}
}

func TestDidYouMean(t *testing.T) {
	known := []string{"valid", "resend", "digits", "wrong-per-hour"}
	for written, want := range map[string]string{
		"valdi": "valid", "resent": "resend", "Digits": "digits", "wrong_per_hour": "wrong-per-hour",
		"x": "", "hold": "", "": "", strings.Repeat("v", 61): "",
	} {
		got := didYouMean(written, known)
		if want == "" && got != "" || want != "" && got != fmt.Sprintf("; did you mean %q?", want) {
			t.Errorf("%q: %q, want %q", written, got, want)
		}
	}
}
