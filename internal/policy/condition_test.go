package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/recovery"
)

func TestConditionsSeeTheFacts(t *testing.T) {
	facts := Facts{
		Intent: recovery.IntentUnlock, IdentifierKind: recovery.IdentifierIMEI,
		Proven: proved("sms-code", "sms-code", "real-name"), KnownDevice: true,
		ContactChangedAt: noon.Add(-72 * time.Hour), Locks: []recovery.LockReason{recovery.LockDormant}, Now: noon,
	}
	for text, want := range map[string]bool{
		`intent == "unlock"`:                              true,
		`identifier == "imei"`:                            true,
		`identifier in ["phone", "email"]`:                false,
		`proven == ["sms-code", "real-name"]`:             true, // each once
		`"email-code" in proven`:                          false,
		`known_device && !under_attack`:                   true,
		`contact_changed == duration("72h")`:              true,
		`contact_changed < duration("72h")`:               false,
		`contact_changed < duration("72h0m0.001s")`:       true,
		`"dormant" in locks`:                              true,
		`locks.exists(l, l == "violation")`:               false,
		`proven.all(p, p.endsWith("code") || p != "sms")`: true,
	} {
		c, messages := compile(text)
		if len(messages) > 0 {
			t.Errorf("%s: %v", text, messages)
			continue
		}
		if got, err := c.holds(facts); err != nil || got != want {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
}

func TestAContactThatNeverChangedIsOld(t *testing.T) {
	c, messages := compile(`contact_changed > duration("87600h") && size(locks) == 0 && size(proven) == 0`)
	if len(messages) > 0 {
		t.Fatal(messages)
	}
	if got, err := c.holds(Facts{Now: noon}); !got || err != nil {
		t.Errorf("%v %v", got, err)
	}
	if got, _ := c.holds(Facts{Now: noon, ContactChangedAt: noon.Add(time.Hour)}); got {
		t.Error("a change in the future counts as old")
	}
}

// What cannot be evaluated is not offered, and check says so.
func TestAConditionThatFailsIsNotOfferedAndNamed(t *testing.T) {
	p, err := edited(t, "prove: [sms-code, email-code]", "prove: [sms-code, email-code]\n        when: proven[1] == \"email-code\"")
	if err != nil {
		t.Fatal(err)
	}
	f := Facts{Intent: recovery.IntentResetPassword, IdentifierKind: recovery.IdentifierPhone, Now: noon, Proven: proved("sms-code")}
	if got := offered(p.Decide(f)); got != "phone email" {
		t.Errorf("offered with a failing condition: %s", got)
	}
	f.Proven = proved("sms-code", "email-code")
	if d := p.Decide(f); d.Way != "both" {
		t.Errorf("met by %q when the condition holds", d.Way)
	}
	assertNote(t, p, "intents.reset-password.ways.both.when", "the condition fails for some facts")
}

func TestAConditionThatNeverHoldsIsNamed(t *testing.T) {
	p, err := edited(t, "prove: [sms-code, email-code]", "prove: [sms-code, email-code]\n        when: identifier == \"e-mail\"")
	if err != nil {
		t.Fatal(err)
	}
	assertNote(t, p, "intents.reset-password.ways.both.when", "holds for none of the facts tried")
}

// The estimate bounds a condition before it is used; the run is bounded besides.
func TestACostlyConditionIsRefusedAtLoad(t *testing.T) {
	once := `proven.exists(a, a == "x")`
	if _, messages := compile(once); len(messages) > 0 {
		t.Errorf("%s: %v", once, messages)
	}
	twice := `proven.exists(a, proven.exists(b, a + b == "xx"))`
	if _, messages := compile(twice); len(messages) != 1 || !strings.Contains(messages[0], "may cost") {
		t.Errorf("%s: %v", twice, messages)
	}
	c, _ := compile(once)
	many := make([]string, 2000)
	for i := range many {
		many[i] = strings.Repeat("y", i+1)
	}
	if got, err := c.holds(Facts{Proven: proved(many...), Now: noon}); got || err == nil || !strings.Contains(err.Error(), "cost") {
		t.Errorf("2000 proofs: %v %v", got, err)
	}
}
