package policy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/recovery"
)

func explained(t *testing.T, policy, facts string) []string {
	t.Helper()
	f, err := ParseFacts([]byte(facts))
	if err != nil {
		t.Fatal(err)
	}
	return Explain(loadShipped(t, policy), f)
}

func TestExplainSaysOneLineForEachRule(t *testing.T) {
	for _, c := range []struct {
		name, policy, facts string
		want                []string
	}{
		{
			"a lockout in the wallet", "postal-wallet",
			"intent: unlock\nidentifier: phone\nproven: [sms-code, email-code]\nlocks: [too-many-failures, risk-alarm, violation]\n",
			[]string{
				"lock too-many-failures: cleared by way phone or phone-and-name",
				"lock risk-alarm: cleared by way phone-and-name",
				"lock violation: only a person clears it",
				"way phone: not offered, it does not clear lock risk-alarm",
				"way phone-and-name: offered, missing real-name",
				"way phone-and-name: hold.default gives 0s",
				"proof email-code: no way of unlock asks for it",
				"result: not enough yet; the person to ask is at 400-000-0002",
			},
		},
		{
			"a violation alone", "postal-wallet", "intent: unlock\nlocks: [violation]\n",
			[]string{
				"lock violation: only a person clears it",
				"way phone: not offered, only a person clears these locks",
				"way phone-and-name: not offered, only a person clears these locks",
				"result: no way is offered; the person to ask is at 400-000-0002",
			},
		},
		{
			"finding by resident ID", "yichuangtong", "intent: find-account\nidentifier: resident-id\nproven: [sms-code, real-name]\n",
			[]string{
				`way phone: not offered, its condition is false: identifier != "resident-id"`,
				`way email: not offered, its condition is false: identifier != "resident-id"`,
				"way resident-id-and-phone: met by sms-code and real-name",
				"way resident-id-and-phone: hold.default gives 0s",
				"way resident-id-and-email: offered, missing email-code",
				"way resident-id-and-email: hold.default gives 0s",
				"result: way resident-id-and-phone is met, it waits 0s",
			},
		},
		{
			"a disavowed account", "wechat-pay", "intent: reset-password\nproven: [sms-code, email-code]\nlocks: [disavowed, too-many-failures, dormant]\n",
			[]string{
				"lock disavowed: no reset without a person",
				"lock too-many-failures: the reset clears it",
				"lock dormant: stays",
				"way phone-and-name: offered, missing real-name",
				"way phone-and-name: hold.default gives 0s",
				"way phone-and-email: met by sms-code and email-code",
				"way phone-and-email: hold.default gives 0s",
				"result: way phone-and-email is met, but a lock blocks the outcome; the person to ask is at 95017",
			},
		},
		{
			"an intent that is not there", "wechat-pay", "intent: unlock\n",
			[]string{"intent unlock: this realm does not have it; the person to ask is at 95017"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := explained(t, c.policy, c.facts); !slices.Equal(got, c.want) {
				t.Errorf("says\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

func TestExplainNamesEveryRuleThatMadeAHold(t *testing.T) {
	got := explained(t, "hardened/yichuangtong",
		"intent: reset-password\nproven: [sms-code]\nknown-device: true\ncontact-changed: 3d\nunder-attack: true\n")
	for _, want := range []string{
		"way phone: hold.default gives 1d",
		"way phone: hold.known-device shortens it to 0s",
		"way phone: hold.contact-changed lengthens it to 3d",
		"way phone-and-email: the way's own hold gives 1h",
		"way backup-code: hold.under-attack lengthens it to 2d",
		"result: way phone is met, it waits 3d",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("does not say %q:\n%s", want, strings.Join(got, "\n"))
		}
	}
}

func TestExplainNamesTheReview(t *testing.T) {
	p, err := edited(t, "prove: [sms-code, email-code]", "prove: [sms-code, email-code]\n        review: true")
	if err != nil {
		t.Fatal(err)
	}
	got := Explain(p, Facts{Intent: recovery.IntentResetPassword, Proven: proved("sms-code", "email-code"), Now: noon})
	for _, want := range []string{"way both: a person reviews it before the hold", "result: way both is met, a reviewer looks, then it waits 0s"} {
		if !slices.Contains(got, want) {
			t.Errorf("does not say %q:\n%s", want, strings.Join(got, "\n"))
		}
	}
}

func TestParseFacts(t *testing.T) {
	f, err := ParseFacts([]byte("intent: unlock\nidentifier: imei\nproven: [sms-code, real-name]\nknown-device: true\n" +
		"contact-changed: 3d\nlocks: [dormant]\nunder-attack: true\n"))
	if err != nil {
		t.Fatal(err)
	}
	if f.Intent != "unlock" || f.IdentifierKind != "imei" || !slices.Equal(provenChannels(f.Proven), []string{"sms-code", "real-name"}) ||
		!f.KnownDevice || f.Now.Sub(f.ContactChangedAt) != 72*time.Hour || !slices.Equal(f.Locks, []recovery.LockReason{"dormant"}) || !f.UnderAttack {
		t.Errorf("%+v", f)
	}
	f, err = ParseFacts([]byte("intent: unlock\n"))
	if err != nil || f.Locks != nil || !f.ContactChangedAt.IsZero() {
		t.Errorf("nothing said: %+v %v", f, err)
	}
	f, err = ParseFacts([]byte("intent: unlock\nlocks: []\n"))
	if err != nil || f.Locks == nil {
		t.Errorf("known to have no lock: %+v %v", f, err)
	}
}

func TestFactsAreReadStrictly(t *testing.T) {
	for text, want := range map[string]string{
		"intent: reset\n":                      `facts:1: intent: unknown word "reset": one of reset-password, find-account, unlock`,
		"identifier: phone\n":                  "facts:1: intent: missing",
		"intent: unlock\nknown_device: true\n": `facts:2: unknown key "known_device"; did you mean "known-device"?`,
		"intent: unlock\nlocks: [dormnat]\n":   `facts:2: locks.0: unknown word "dormnat": one of too-many-failures, dormant, risk-alarm, violation, disavowed; did you mean "dormant"?`,
		"intent: unlock\ncontact-changed: 3\n": `facts:2: contact-changed: "3" is no duration: write 60s, 30m, 24h or 7d`,
		"":                                     "facts:1: nothing in it",
	} {
		if _, err := ParseFacts([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: %v\nwant %s", text, err, want)
		}
	}
}
