package policy

import (
	"slices"
	"strings"
	"testing"
)

func assertNote(t *testing.T, p *Policy, path, part string) {
	t.Helper()
	for _, f := range p.Check() {
		if f.Path == path && f.Level == LevelNote && strings.Contains(f.Message, part) {
			return
		}
	}
	t.Errorf("no note %q at %s among %+v", part, path, p.Check())
}

// The weak findings have their fixtures, busted_weak_*; these are the notes.
func TestNotes(t *testing.T) {
	for _, c := range []struct{ name, from, to, path, part string }{
		{"idle acceptance", "profile: nist", "profile: nist\n    accept-risk: because I said so", "secrets.password.accept-risk", "nothing here is weak"},
		{"idle acceptance of a way", "hold: 24h", "hold: 24h\n        accept-risk: because I said so", "intents.reset-password.ways.phone.accept-risk", "nothing here is weak"},
		{"idle channel", "  sms-code:\n", "  backup-code:\n    wrong-per-hour: 4\n  sms-code:\n", "channels.backup-code", "no way asks for"},
		{"no lockout", "    after: 5\n    for: [30m, 2h]\n", "", "lock.too-many-failures", "after is not set"},
		{"no attack hold", "default: 0s", "default: 0s", "hold.under-attack", "changes no hold"},
		{"changed contact", "default: 0s", "default: 0s", "hold.contact-changed", "as much as an old one"},
		{"violation", "default: 0s", "default: 0s", "lock.violation", "only a person"},
		{"no common way", "unlock: [phone, email]", "unlock: [phone]\n  dormant:\n    unlock: [email]", "lock.dormant.unlock", "no way clears both"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := edited(t, c.from, c.to)
			if err != nil {
				t.Fatal(err)
			}
			assertNote(t, p, c.path, c.part)
		})
	}
}

// A note goes away with its cause.
func TestNotesGoAway(t *testing.T) {
	p, err := edited(t, "default: 0s", "default: 0s\n  under-attack: 24h\n  contact-changed:\n    within: 7d\n    hold: 72h",
		"hold:\n  default", "  dormant:\n    unlock: [email]\n  risk-alarm:\n    unlock: [email]\nhold:\n  default",
		"      - name: email\n        prove: [email-code]\nlock", "      - name: email\n        prove: [email-code, backup-code]\nlock")
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, f := range p.Check() {
		paths = append(paths, f.Path)
	}
	if !slices.Equal(paths, []string{"lock.violation"}) {
		t.Errorf("findings at %v", paths)
	}
}

func TestAnAcceptedWeaknessLoadsAndIsQuoted(t *testing.T) {
	p, err := edited(t, "        hold: 24h\n      - name: both", "        hold: 1h\n        accept-risk: |\n          the clerk at the counter looks again\n      - name: both")
	if err != nil {
		t.Fatal(err)
	}
	weak := 0
	for _, f := range p.Check() {
		if f.Level != LevelWeak {
			continue
		}
		weak++
		if f.Accepted != "the clerk at the counter looks again" || f.Path != "intents.reset-password.ways.phone" {
			t.Errorf("%+v", f)
		}
	}
	if weak != 1 {
		t.Errorf("%d weak findings, want the SMS alone", weak)
	}
}

// The reason of one way does not cover another.
func TestAcceptRiskCoversItsOwnWayOnly(t *testing.T) {
	_, err := edited(t, "        hold: 24h\n      - name: both", "        hold: 0s\n        accept-risk: this one is accepted\n      - name: both",
		"prove: [email-code]\n        hold: 24h", "prove: [email-code]")
	if err == nil || strings.Contains(err.Error(), "ways.phone") || !strings.Contains(err.Error(), "ways.email") {
		t.Errorf("%v", err)
	}
}

// A review is a second look, so one proof may pass to it at once.
func TestAReviewIsNotWeak(t *testing.T) {
	if _, err := edited(t, "prove: [email-code]\n        hold: 24h", "prove: [email-code]\n        hold: 0s\n        review: true"); err != nil {
		t.Error(err)
	}
}
