// Package channeltest proves that a channel keeps the contract that every
// channel keeps: the same for known and unknown, bound to its challenge,
// forgiving about how an answer was typed, and silent about what it saw.
//
// A new channel adds itself to answers below, which says how it is answered,
// and calls [Contract] in its test.
//
// Trust: none is asked for; only tests import it.
package channeltest

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/wanbi/wanbi/internal/channel"
	"github.com/wanbi/wanbi/internal/i18n"
	"github.com/wanbi/wanbi/internal/recovery"
)

// answered says how a channel is answered.
type answered struct {
	// right gives the answer that passes.
	right func(who *somebody, deliveries []channel.Delivery) channel.Answer
	// pasted gives other ways to type a right answer, by field.
	pasted map[string][]func(string) string
	// ofAccount: the answer belongs to the account and passes in any challenge
	// about it until it is used up, which casework sees to.
	ofAccount bool
}

func delivered(field string) func(*somebody, []channel.Delivery) channel.Answer {
	return func(_ *somebody, deliveries []channel.Delivery) channel.Answer {
		return channel.Answer{field: deliveries[0].Args[field]}
	}
}

var code = answered{
	right:  delivered("code"),
	pasted: map[string][]func(string) string{"code": {spaced, wide, hyphened, invisible, broken}},
}

var answers = map[string]answered{
	"sms-code":   code,
	"email-code": code,
	"email-link": {right: delivered("secret")}, // the page behind the link gives it; nobody types it
	"backup-code": {
		right:     func(who *somebody, _ []channel.Delivery) channel.Answer { return channel.Answer{"code": who.codes[1]} },
		pasted:    map[string][]func(string) string{"code": {spaced, wide, hyphened, invisible, broken, strings.ToLower, plain, misread}},
		ofAccount: true,
	},
	"real-name": {
		right: func(*somebody, []channel.Delivery) channel.Answer {
			return channel.Answer{"name": realName, "resident-id": residentID}
		},
		pasted: map[string][]func(string) string{
			"name":        {spaced, wide, strings.ToUpper, otherDot},
			"resident-id": {wide, strings.ToLower, padded},
		},
	},
}

func answering(t testing.TB, name string) answered {
	t.Helper()
	how, ok := answers[name]
	if !ok {
		t.Fatalf("channeltest does not know how %s is answered: add it to answers", name)
	}
	return how
}

// Ways to type the same.

func spaced(s string) string    { return " " + strings.Join(strings.Split(s, ""), " ") + "　" }
func padded(s string) string    { return "  " + s + "　" }
func hyphened(s string) string  { return s[:3] + "-" + s[3:5] + "–" + s[5:] }
func invisible(s string) string { return "\u200b" + s[:2] + "\ufeff" + s[2:] }
func broken(s string) string    { return s[:3] + "\r\n" + s[3:] }
func plain(s string) string     { return strings.ReplaceAll(s, "-", "") }
func misread(s string) string   { return strings.NewReplacer("0", "O", "1", "l").Replace(s) }
func otherDot(s string) string  { return strings.ReplaceAll(s, "·", "•") }

// wide gives the full-width forms of ASCII.
func wide(s string) string {
	return strings.Map(func(r rune) rune {
		if r > ' ' && r <= '~' {
			return r - '!' + '！'
		}
		return r
	}, s)
}

// Contract runs the channel of that name through everything that channels promise.
func Contract(t *testing.T, name string) {
	t.Run("it says what it is", func(t *testing.T) { info(t, name) })
	t.Run("known and unknown look alike", func(t *testing.T) { alike(t, name) })
	t.Run("the right answer passes, however it is typed", func(t *testing.T) { right(t, name) })
	t.Run("wrong answers cost an attempt and say one thing", func(t *testing.T) { wrong(t, name) })
	t.Run("an answer counts for one challenge", func(t *testing.T) { bound(t, name) })
	t.Run("broken data is our error", func(t *testing.T) { damaged(t, name) })
	t.Run("nothing secret is printed", func(t *testing.T) { silent(t, name) })
}

func info(t *testing.T, name string) {
	about := get(t, name).Info()
	if about.Name != name {
		t.Errorf("it calls itself %q", about.Name)
	}
	if !slices.Contains([]recovery.Factor{recovery.FactorPossession, recovery.FactorKnowledge, recovery.FactorInherence, recovery.FactorHelper}, about.Factor) {
		t.Errorf("its factor is %q", about.Factor)
	}
	if about.Strength <= 0 || about.Strength > 100 || (about.Strength < 30) != about.Helper || (about.Factor == recovery.FactorHelper) != about.Helper {
		t.Errorf("strength %d, factor %s, helper %v: helpers, and only they, are below 30", about.Strength, about.Factor, about.Helper)
	}
	if !slices.Contains([]recovery.ContactKind{"", recovery.ContactPhone, recovery.ContactEmail}, about.Contact) {
		t.Errorf("it reaches %q", about.Contact)
	}
	if len(about.Failures) == 0 {
		t.Error("it never fails?")
	}
	words := append([]string{"channel." + name + ".name", "channel." + name + ".need", "channel." + name + ".time"}, about.Failures...)
	for _, key := range words {
		if !i18n.Has(key) {
			t.Errorf("there are no words for %s", key)
			continue
		}
		for _, locale := range i18n.Locales {
			if strings.TrimSpace(i18n.T(locale, key, anything(key))) == "" {
				t.Errorf("%s says nothing in %s", key, locale)
			}
		}
	}
}

// anything fills every placeholder of a key.
func anything(key string) map[string]any {
	args := map[string]any{}
	for _, name := range i18n.Placeholders(key) {
		args[name] = "‹" + name + "›"
	}
	return args
}

// shape is data with every text replaced by its length.
func shape(t *testing.T, data []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		return fmt.Sprintf("%d bytes", len(data))
	}
	var walk func(v any) any
	walk = func(v any) any {
		switch v := v.(type) {
		case string:
			return len(v)
		case []any:
			for i := range v {
				v[i] = walk(v[i])
			}
		case map[string]any:
			for k := range v {
				v[k] = walk(v[k])
			}
		}
		return v
	}
	out, err := json.Marshal(walk(v))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func alike(t *testing.T, name string) {
	c, keys, none := get(t, name), newKeys(t), newKeys(t)
	who := newSomebody(keys, somebodyID)
	keys.macs = 0
	known, unknown := begin(t, c, who, keys), begin(t, c, channel.Nobody{ID: standIn}, none)
	if a, b := shape(t, known.Data), shape(t, unknown.Data); a != b {
		t.Errorf("data for known %s and unknown %s differ in shape", a, b)
	}
	if keys.macs != none.macs {
		t.Errorf("starting takes %d keyed hashes for known and %d for unknown", keys.macs, none.macs)
	}
	if len(unknown.deliveries) != 0 {
		t.Error("something is sent to nobody")
	}
	deliveries(t, c.Info(), known.deliveries)
	answer := answering(t, name).right(who, known.deliveries)
	for given, answer := range map[string]channel.Answer{"a right-looking answer": answer, "nothing": {}} {
		keys.comparisons, none.comparisons = 0, 0
		_, _ = c.Check(context.Background(), known.Challenge, answer)
		_, err := c.Check(context.Background(), unknown.Challenge, answer)
		if !recovery.IsKind(err, recovery.KindNotProven) {
			t.Errorf("%s about nobody: %v", given, err)
		}
		if keys.comparisons != none.comparisons {
			t.Errorf("%s takes %d comparisons for known and %d for unknown", given, keys.comparisons, none.comparisons)
		}
	}
}

func deliveries(t *testing.T, about recovery.ChannelInfo, sent []channel.Delivery) {
	t.Helper()
	if about.Contact == "" {
		if len(sent) != 0 {
			t.Errorf("it reaches no contact and sends %d messages", len(sent))
		}
		return
	}
	if len(sent) != 1 || sent[0].To.Kind != about.Contact {
		t.Fatalf("it sends %v, want one message to the %s (T2)", sent, about.Contact)
	}
	keys := []string{sent[0].Message}
	if about.Contact == recovery.ContactEmail {
		keys = []string{sent[0].Message + ".subject", sent[0].Message + ".text"}
	}
	for _, key := range keys {
		if !i18n.Has(key) {
			t.Errorf("there are no words for the message %s", key)
		}
	}
}

func right(t *testing.T, name string) {
	c, challenge, answer := Started(t, name)
	check := func(what string, answer channel.Answer) {
		t.Helper()
		if _, err := c.Check(context.Background(), challenge, answer); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	check("the right answer", answer)
	check("the right answer again", answer) // using it up is casework's
	for field, ways := range answering(t, name).pasted {
		for i, way := range ways {
			typed := copied(answer)
			typed[field] = way(answer[field])
			check(fmt.Sprintf("%s typed in way %d", field, i), typed)
		}
	}
	more := copied(answer)
	more["unknown-field"] = "x"
	check("with a field that nobody asked for", more)
}

func copied(a channel.Answer) channel.Answer {
	out := channel.Answer{}
	for k, v := range a {
		out[k] = v
	}
	return out
}

func wrong(t *testing.T, name string) {
	c, challenge, answer := Started(t, name)
	failures := c.Info().Failures
	refuse := func(what string, answer channel.Answer) {
		t.Helper()
		proof, err := c.Check(context.Background(), challenge, answer)
		problem := recovery.AsError(err)
		switch {
		case err == nil:
			t.Errorf("%s passes", what)
		case !recovery.IsKind(err, recovery.KindNotProven):
			t.Errorf("%s: %v, want an attempt that counts", what, err)
		case !slices.Contains(failures, problem.Key):
			t.Errorf("%s ends in %s, which it does not list", what, problem.Key)
		case proof != (channel.Proof{}):
			t.Errorf("%s gives a proof", what)
		}
	}
	refuse("nothing", nil)
	refuse("no field", channel.Answer{})
	said := map[string]bool{}
	for field, value := range answer {
		for what, typed := range mistakes(value) {
			given := copied(answer)
			given[field] = typed
			refuse(field+" "+what, given)
			_, err := c.Check(context.Background(), challenge, given)
			said[fmt.Sprint(recovery.AsError(err).Key, recovery.AsError(err).Field)] = true
		}
		left := copied(answer)
		delete(left, field)
		refuse("without "+field, left)
	}
	if len(said) > 1 {
		t.Errorf("mistakes are told apart (T16): %v", said)
	}
}

// mistakes are texts that are not the right one.
func mistakes(right string) map[string]string {
	out := map[string]string{
		"empty": "", "of spaces": "   ", "zero": "0", "a list": right + "," + right, "very long": strings.Repeat("1", 1<<20),
		"with a zero byte": right + "\x00", "not UTF-8": "\xff\xfe" + right, "cut": right[:len(right)-1], "doubled": right + right,
		"a pattern": "%", "a quote": right + "' OR '1'='1",
	}
	runes := []rune(right)
	for i, r := range runes {
		if r == '-' || r == ' ' || r == '·' || r > utf8.RuneSelf {
			continue
		}
		changed := slices.Clone(runes)
		if changed[i]++; r == '9' || r == 'z' || r == 'Z' || r == 'f' {
			changed[i] = '2'
		}
		out[fmt.Sprintf("with character %d changed", i)] = string(changed)
	}
	return out
}

func bound(t *testing.T, name string) {
	c, challenge, answer := Started(t, name)
	how := answering(t, name)
	for part, change := range map[string]func(*channel.Claim){
		"realm":       func(c *channel.Claim) { c.Realm = "realm-2" },
		"case":        func(c *channel.Claim) { c.Case = "case-2" },
		"challenge":   func(c *channel.Claim) { c.Challenge = "challenge-2" },
		"destination": func(c *channel.Claim) { c.Destination = "destination-2" },
		"account":     func(c *channel.Claim) { c.Facts = newSomebody(newKeys(t), otherID) },
	} {
		moved := challenge
		change(&moved.Claim)
		_, err := c.Check(context.Background(), moved, answer)
		if (part == "account") != how.ofAccount {
			continue // bound to the challenge, or to the account
		}
		if !recovery.IsKind(err, recovery.KindNotProven) {
			t.Errorf("moved to another %s: %v", part, err)
		}
	}
	again, next, other := Started(t, name)
	if reflect.DeepEqual(challenge.Data, next.Data) && !slices.Equal(c.Info().Failures, []string{"error.answer.wrong"}) {
		t.Error("two challenges hold the same data")
	}
	if reflect.DeepEqual(answer, other) {
		return // facts of the person: the same answer is right wherever they are asked
	}
	if _, err := again.Check(context.Background(), next, answer); !recovery.IsKind(err, recovery.KindNotProven) {
		t.Errorf("the answer of one challenge in another (T1): %v", err)
	}
}

func damaged(t *testing.T, name string) {
	c, challenge, answer := Started(t, name)
	for _, data := range []string{"", "{", "{}", "[]", `{"h":[]}`, `{"h":null}`, `{"h":1}`, "null", "\x00"} {
		challenge.Data = []byte(data)
		_, err := c.Check(context.Background(), challenge, answer)
		if err == nil || recovery.IsKind(err, recovery.KindNotProven) {
			t.Errorf("data %q: %v, want an error that costs no attempt", data, err)
		}
	}
}

func silent(t *testing.T, name string) {
	c, keys := get(t, name), newKeys(t)
	who := newSomebody(keys, somebodyID)
	b := begin(t, c, who, keys)
	answer := answering(t, name).right(who, b.deliveries)
	secrets := []string{phone, email, realName, residentID}
	for _, value := range answer {
		secrets = append(secrets, value)
	}
	wrongAnswer := channel.Answer{}
	for field := range answer {
		wrongAnswer[field] = "geheim-" + field
		secrets = append(secrets, wrongAnswer[field])
	}
	_, refused := c.Check(context.Background(), b.Challenge, wrongAnswer)
	damaged := b.Challenge
	damaged.Data = []byte(`{"h":"` + secrets[len(secrets)-1] + `"}`)
	_, ours := c.Check(context.Background(), damaged, wrongAnswer)
	proof, _ := c.Check(context.Background(), b.Challenge, answer)
	told := map[string]any{
		"an answer": answer, "a claim": b.Claim, "a challenge": b.Challenge, "deliveries": b.deliveries, "a refusal": refused,
		"an error of ours": ours, "a proof": proof, "a channel": c,
	}
	for what, v := range told {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			mute(t, what+" as "+verb, fmt.Sprintf(verb, v), secrets)
		}
	}
	for what, err := range map[string]error{"a refusal": refused, "an error of ours": ours} {
		text, _ := json.Marshal(recovery.AsError(err))
		mute(t, what+" as JSON", string(text), secrets)
	}
}

func mute(t *testing.T, what, text string, secrets []string) {
	t.Helper()
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("%s holds %q", what, secret)
		}
	}
}
