package policy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/recovery"
)

var noon = time.Date(2026, time.March, 5, 4, 0, 0, 0, time.UTC)

func proved(channels ...string) []recovery.Evidence {
	var out []recovery.Evidence
	for _, channel := range channels {
		out = append(out, recovery.Evidence{Channel: channel})
	}
	return out
}

const hour = time.Hour

func TestHolds(t *testing.T) {
	hardened := loadShipped(t, "hardened/yichuangtong")
	for _, c := range []struct {
		name    string
		proven  []string
		known   bool
		changed time.Duration // ago; below zero: in the future
		attack  bool
		way     string
		hold    time.Duration
	}{
		{name: "one proof waits the default", proven: []string{"sms-code"}, way: "phone", hold: 24 * hour},
		{name: "a known device does not wait", proven: []string{"sms-code"}, known: true, way: "phone", hold: 0},
		{name: "a second contact shortens", proven: []string{"sms-code", "email-code"}, way: "phone-and-email", hold: hour},
		{name: "order of proofs does not matter", proven: []string{"email-code", "sms-code"}, way: "phone-and-email", hold: hour},
		{name: "a code and a link of one mailbox do not shorten", proven: []string{"email-code", "email-link"}, way: "email", hold: 24 * hour},
		{name: "the same channel twice counts once", proven: []string{"sms-code", "sms-code"}, way: "phone", hold: 24 * hour},
		{name: "a backup code and a contact do not wait", proven: []string{"backup-code", "email-code"}, way: "backup-and-email", hold: 0},
		{name: "contact changed just inside the week", proven: []string{"sms-code"}, changed: 7*24*hour - time.Millisecond, way: "phone", hold: 72 * hour},
		{name: "contact changed a week ago", proven: []string{"sms-code"}, changed: 7 * 24 * hour, way: "phone", hold: 24 * hour},
		{name: "contact changed this millisecond", proven: []string{"sms-code"}, changed: time.Millisecond, way: "phone", hold: 72 * hour},
		{name: "contact changed by a clock ahead of ours", proven: []string{"sms-code"}, changed: -hour, way: "phone", hold: 72 * hour},
		{name: "a changed contact wins over a known device", proven: []string{"sms-code"}, known: true, changed: hour, way: "phone", hold: 72 * hour},
		{name: "a changed contact lengthens two proofs too", proven: []string{"sms-code", "email-code"}, changed: hour, way: "phone", hold: 72 * hour},
		{name: "a changed contact does not touch a way without one", proven: []string{"backup-code"}, changed: hour, way: "backup-code", hold: 24 * hour},
		{name: "the shortest met way counts", proven: []string{"sms-code", "backup-code"}, changed: hour, way: "backup-code", hold: 24 * hour},
		{name: "an attack lengthens", proven: []string{"sms-code"}, attack: true, way: "phone", hold: 48 * hour},
		{name: "an attack lengthens on a known device", proven: []string{"sms-code"}, known: true, attack: true, way: "phone", hold: 48 * hour},
		{name: "an attack does not shorten", proven: []string{"sms-code"}, changed: hour, attack: true, way: "phone", hold: 72 * hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := Facts{Intent: recovery.IntentResetPassword, Proven: proved(c.proven...), KnownDevice: c.known, UnderAttack: c.attack, Now: noon}
			if c.changed != 0 {
				f.ContactChangedAt = noon.Add(-c.changed)
			}
			d := hardened.Decide(f)
			if !d.Met || d.Way != c.way || d.Hold != c.hold || d.NeedsPerson {
				t.Errorf("met %v by %q, hold %s, person %v; want %q, %s", d.Met, d.Way, d.Hold, d.NeedsPerson, c.way, c.hold)
			}
		})
	}
}

// A known device caps the hold; it never lengthens one.
func TestAKnownDeviceNeverLengthens(t *testing.T) {
	p, err := edited(t, "default: 0s", "default: 24h\n  known-device: 2h",
		"prove: [sms-code, email-code]", "prove: [sms-code, email-code]\n        hold: 1h")
	if err != nil {
		t.Fatal(err)
	}
	f := Facts{Intent: recovery.IntentResetPassword, KnownDevice: true, Now: noon}
	for _, state := range p.Decide(f).Ways {
		want := 2 * hour
		if state.Way.Name == "both" {
			want = hour
		}
		if state.Hold != want {
			t.Errorf("%s: %s, want %s", state.Way.Name, state.Hold, want)
		}
	}
}

func TestMissingKeepsTheOrderOfTheWay(t *testing.T) {
	p := loadShipped(t, "hardened/yichuangtong")
	state := func(d Decision, way string) WayState {
		for _, s := range d.Ways {
			if s.Way.Name == way {
				return s
			}
		}
		t.Fatalf("no way %s", way)
		return WayState{}
	}
	f := Facts{Intent: recovery.IntentResetPassword, Now: noon}
	if d := p.Decide(f); d.Met || d.Hold != 0 || d.Way != "" || !slices.Equal(state(d, "backup-and-email").Missing, []string{"backup-code", "email-code"}) {
		t.Errorf("nothing proven: %+v", d)
	}
	f.Proven = proved("email-code")
	if s := state(p.Decide(f), "backup-and-email"); s.Met || !slices.Equal(s.Missing, []string{"backup-code"}) {
		t.Errorf("half proven: %+v", s)
	}
	f.Proven = proved("real-name")
	if d := p.Decide(f); d.Met {
		t.Errorf("a helper alone meets %s", d.Way)
	}
}

func TestReviewOfTheWayWithTheShortestHold(t *testing.T) {
	const from = "prove: [sms-code, email-code]"
	for _, c := range []struct {
		name, with string
		person     bool
		way        string
	}{
		{"the shortest has review", from + "\n        hold: 1h\n        review: true", true, "both"},
		{"the shortest has none", from + "\n        hold: 1h", false, "both"},
		{"a longer one has review", from + "\n        hold: 25h\n        review: true", false, "phone"},
		{"among equals the one without", from + "\n        hold: 24h\n        review: true", false, "phone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			// "both" first, so that order alone would choose it.
			p, err := edited(t, "      - name: phone\n        prove: [sms-code]\n        hold: 24h\n      - name: both\n        "+from,
				"      - name: both\n        "+c.with+"\n      - name: phone\n        prove: [sms-code]\n        hold: 24h")
			if err != nil {
				t.Fatal(err)
			}
			d := p.Decide(Facts{Intent: recovery.IntentResetPassword, Proven: proved("sms-code", "email-code"), Now: noon})
			if d.NeedsPerson != c.person || d.Way != c.way {
				t.Errorf("person %v by %s, want %v by %s", d.NeedsPerson, d.Way, c.person, c.way)
			}
		})
	}
}

func offered(d Decision) string {
	var names []string
	for _, s := range d.Ways {
		names = append(names, s.Way.Name)
	}
	return strings.Join(names, " ")
}

func TestWaysOfFindAccountFollowTheIdentifier(t *testing.T) {
	p := loadShipped(t, "yichuangtong")
	for kind, want := range map[recovery.IdentifierKind]string{
		recovery.IdentifierPhone:      "phone email",
		recovery.IdentifierEmail:      "phone email",
		recovery.IdentifierUsername:   "phone email",
		recovery.IdentifierResidentID: "resident-id-and-phone resident-id-and-email",
	} {
		d := p.Decide(Facts{Intent: recovery.IntentFindAccount, IdentifierKind: kind, Now: noon, Proven: proved("sms-code")})
		if got := offered(d); got != want {
			t.Errorf("%s: %s, want %s", kind, got, want)
		}
		if wantMet := kind != recovery.IdentifierResidentID; d.Met != wantMet {
			t.Errorf("%s: met %v", kind, d.Met)
		}
	}
}

func TestWaysOfUnlockFollowTheLocks(t *testing.T) {
	const (
		failures, dormant, alarm = recovery.LockTooManyFailures, recovery.LockDormant, recovery.LockRiskAlarm
		violation, disavowed     = recovery.LockViolation, recovery.LockDisavowed
	)
	p := loadShipped(t, "postal-wallet")
	for _, c := range []struct {
		name  string
		locks []recovery.LockReason
		want  string
	}{
		{"account not known", nil, "phone phone-and-name"},
		{"known and not locked", []recovery.LockReason{}, "phone phone-and-name"},
		{"wrong input", []recovery.LockReason{failures}, "phone phone-and-name"},
		{"disuse", []recovery.LockReason{dormant}, "phone phone-and-name"},
		{"alarm", []recovery.LockReason{alarm}, "phone-and-name"},
		{"alarm and wrong input", []recovery.LockReason{failures, alarm}, "phone-and-name"},
		{"violation", []recovery.LockReason{violation}, ""},
		{"disavowed", []recovery.LockReason{disavowed}, ""},
		{"violation and wrong input: what can be cleared, is", []recovery.LockReason{violation, failures}, "phone phone-and-name"},
		{"violation and alarm", []recovery.LockReason{alarm, violation}, "phone-and-name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := p.Decide(Facts{Intent: recovery.IntentUnlock, IdentifierKind: recovery.IdentifierPhone, Locks: c.locks, Now: noon})
			if got := offered(d); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestClears(t *testing.T) {
	p := loadShipped(t, "postal-wallet")
	for _, c := range []struct {
		way    string
		reason recovery.LockReason
		want   bool
	}{
		{"phone", recovery.LockTooManyFailures, true},
		{"phone", recovery.LockDormant, true},
		{"phone", recovery.LockRiskAlarm, false},
		{"phone-and-name", recovery.LockRiskAlarm, true},
		{"phone-and-name", recovery.LockViolation, false},
		{"phone-and-name", recovery.LockDisavowed, false},
		{"", recovery.LockTooManyFailures, false},
		{"phone", "no-such-reason", false},
	} {
		if got := p.Clears(c.way, c.reason); got != c.want {
			t.Errorf("%s clears %s: %v", c.way, c.reason, got)
		}
	}
}

// T10: a reset clears only too many failures; a violation and a disavowal block it.
func TestT10WhatAResetDoesToLocks(t *testing.T) {
	p := loadShipped(t, "yichuangtong")
	for _, c := range []struct {
		reason          recovery.LockReason
		clears, blocked bool
	}{
		{recovery.LockTooManyFailures, true, false},
		{recovery.LockDormant, false, false},
		{recovery.LockRiskAlarm, false, false},
		{recovery.LockViolation, false, true},
		{recovery.LockDisavowed, false, true},
	} {
		if p.ResetClears(c.reason) != c.clears || p.ResetBlockedBy(c.reason) != c.blocked {
			t.Errorf("%s: clears %v, blocked %v", c.reason, p.ResetClears(c.reason), p.ResetBlockedBy(c.reason))
		}
		f := Facts{Intent: recovery.IntentResetPassword, Locks: []recovery.LockReason{c.reason}, Proven: proved("sms-code"), Now: noon}
		if d := p.Decide(f); (len(d.Blocked) > 0) != c.blocked || !d.Met {
			t.Errorf("%s: blocked by %v, met %v", c.reason, d.Blocked, d.Met)
		}
		f.Intent = recovery.IntentFindAccount
		if d := p.Decide(f); len(d.Blocked) > 0 {
			t.Errorf("%s: blocks finding the account", c.reason)
		}
	}
}

func TestAnIntentThatTheRealmDoesNotHave(t *testing.T) {
	d := loadShipped(t, "wechat-pay").Decide(Facts{Intent: recovery.IntentUnlock, Proven: proved("sms-code"), Now: noon})
	if d.Met || len(d.Ways) > 0 {
		t.Errorf("%+v", d)
	}
}

// A policy that was not loaded decides nothing in anybody's favour.
func TestAConditionThatWasNotCompiledIsNotOffered(t *testing.T) {
	p := &Policy{Intents: map[recovery.Intent]*IntentSection{
		recovery.IntentUnlock: {Ways: []Way{{Name: "a", Prove: []string{"sms-code"}, When: "true"}, {Name: "b"}}},
	}}
	d := p.Decide(Facts{Intent: recovery.IntentUnlock, Proven: proved("sms-code"), Now: noon})
	if offered(d) != "b" || d.Met {
		t.Errorf("offered %q, met %v by %q", offered(d), d.Met, d.Way)
	}
}

// A changed contact never shortens a hold either.
func TestAChangedContactNeverShortens(t *testing.T) {
	p, err := edited(t, "default: 0s", "default: 0s\n  contact-changed:\n    within: 7d\n    hold: 2h")
	if err != nil {
		t.Fatal(err)
	}
	f := Facts{Intent: recovery.IntentResetPassword, ContactChangedAt: noon.Add(-hour), Now: noon}
	for _, state := range p.Decide(f).Ways {
		want := 24 * hour
		if state.Way.Name == "both" {
			want = 2 * hour
		}
		if state.Hold != want {
			t.Errorf("%s: %s, want %s", state.Way.Name, state.Hold, want)
		}
	}
}
