package api_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestForgottenPasswordIsSetAnew(t *testing.T) {
	in := install(t)
	in.li()
	c := in.open("reset-password", "138 0000 1234")
	view := c.get()
	if view["step"] != "ways" || view["turn"] != "claimant" || at(view, "identifier.value") != "138****1234" || view["ref"] != c.ref {
		t.Fatalf("case: %v", view)
	}
	if len(in.inbox.sent) != 0 {
		t.Fatal("opening a case sent something")
	}
	challenge := c.start("phone", "sms-code")
	if got := c.get(); got["step"] != "prove" || at(got, "challenge.digits") != 6.0 {
		t.Fatalf("case: %v", got)
	}
	wrong := "000000"
	if in.code(phone) == wrong {
		wrong = "000001"
	}
	problem := c.answer(challenge, map[string]any{"code": wrong}).problem(422, "error.code.wrong")
	if at(problem, "errors.0.pointer") != "/answer/code" {
		t.Errorf("problem: %v", problem)
	}
	got := c.answer(challenge, map[string]any{"code": in.code(phone)}).want(200)
	if got["state"] != "held" || got["step"] != "secret" || at(got, "secret.min_length") != 8.0 {
		t.Fatalf("case: %v", got)
	}
	weak := c.post("/outcome", map[string]string{"secret": "short"}).problem(422, "secret.too-short")
	if at(weak, "errors.0.pointer") != "/secret" {
		t.Errorf("problem: %v", weak)
	}
	done := c.post("/outcome", map[string]string{"secret": password}).want(200)
	if done["state"] != "completed" || done["step"] != "done" || done["device"] == "" || done["id"] != c.id {
		t.Fatalf("case: %v", done)
	}
	in.settle()
	checked := in.verify("13800001234", password)
	if checked["result"] != "ok" || checked["account"] != "u-1001" {
		t.Errorf("the new password: %v", checked)
	}
	// Everybody on file was told.
	in.inbox.last(t, "li@example.cn")
	c.post("/outcome", map[string]string{"secret": password + "x"}).problem(409, "error.case.moved")
}

func (in *installation) verify(identifier, secret string, headers ...string) map[string]any {
	in.Helper()
	return in.call("POST", "/v1/"+realm+"/secrets/verify", in.key, map[string]string{"identifier": identifier, "secret": secret}, headers...).want(200)
}

func TestFindAccountShowsItToAProvenContact(t *testing.T) {
	in := install(t)
	in.li()
	c := in.open("find-account", "13800001234")
	challenge := c.start("phone", "sms-code")
	if got := c.answer(challenge, map[string]any{"code": in.code(phone)}).want(200); got["step"] != "account" {
		t.Fatalf("case: %v", got)
	}
	done := c.post("/outcome", map[string]string{}).want(200)
	found := map[string]string{}
	for _, id := range at(done, "accounts.0.identifiers").([]any) {
		found[at(id, "kind").(string)] = at(id, "value").(string)
	}
	if found["username"] != "liwei" || found["email"] == "li@example.cn" {
		t.Errorf("found: %v", found)
	}
}

func TestAContactOfTwoAccountsHasToChoose(t *testing.T) {
	in := install(t)
	in.accounts(
		map[string]any{"id": "u-1", "phone": "13800001234", "username": "liwei"},
		map[string]any{"id": "u-2", "phone": "13800001234", "username": "zhangmin"},
	)
	c := in.open("reset-password", "13800001234")
	challenge := c.start("phone", "sms-code")
	got := c.answer(challenge, map[string]any{"code": in.code(phone)}).want(200)
	if got["step"] != "choose" || len(got["accounts"].([]any)) != 2 {
		t.Fatalf("case: %v", got)
	}
	c.post("/choose", map[string]string{"choice": "made-up"}).problem(409, "error.choice.unknown")
	choice := at(got, "accounts.1.choice").(string)
	if got := c.post("/choose", map[string]string{"choice": choice}).want(200); got["step"] != "secret" {
		t.Errorf("case: %v", got)
	}
}

func TestACancelledCaseNeverMoves(t *testing.T) {
	in := install(t)
	c := in.open("reset-password", "13800001234")
	if got := c.post("/cancel", nil).want(200); got["state"] != "cancelled" || got["turn"] != "closed" {
		t.Fatalf("case: %v", got)
	}
	c.post("/cancel", nil).problem(409, "error.case.moved")
	c.post("/challenges", map[string]string{"way": "phone", "channel": "sms-code"}).problem(409, "error.case.closed")
}

func TestACaseExpiresAtTheInstant(t *testing.T) {
	in := install(t)
	c := in.open("reset-password", "13800001234")
	in.clock.Advance(24*time.Hour - time.Millisecond)
	if got := c.get(); got["state"] != "open" {
		t.Fatalf("a millisecond before: %v", got["state"])
	}
	in.clock.Advance(time.Millisecond)
	if got := c.get(); got["state"] != "expired" || got["step"] != "expired" {
		t.Fatalf("at the instant: %v", got["state"])
	}
	c.post("/cancel", nil).problem(410, "error.case.expired")
}

func TestTheTokenOfOneCaseOpensNoOther(t *testing.T) {
	in := install(t)
	first, second := in.open("reset-password", "13800001234"), in.open("reset-password", "13800001234")
	for name, c := range map[string]struct{ id, token string }{
		"no token":            {first.id, ""},
		"another case's":      {first.id, second.token},
		"a made-up token":     {first.id, "AAAA"},
		"a made-up case":      {"AAAA", first.token},
		"another case's case": {second.id, first.token},
	} {
		t.Run(name, func(t *testing.T) {
			got := in.call("GET", "/v1/cases/"+c.id, c.token, nil)
			got.problem(401, "error.case.unknown")
			if got.header.Get("WWW-Authenticate") != "Bearer" {
				t.Error("no WWW-Authenticate")
			}
		})
	}
}

// The token moves with an e-mailed link to whoever confirms it.
func TestConfirmingALinkRevokesTheOpenersToken(t *testing.T) {
	in := install(t)
	in.li()
	c := in.open("reset-password", "li@example.cn")
	c.start("email-link", "email-link")
	token := regexp.MustCompile(`/link/([\w-]+)`).FindStringSubmatch(in.inbox.last(t, "li@example.cn").Text)[1]
	link := in.call("GET", "/v1/links", token, nil).want(200)
	if link["live"] != true || link["ref"] != c.ref || c.get()["step"] != "prove" {
		t.Fatalf("link: %v", link)
	}
	moved := in.call("POST", "/v1/links/confirm", "", map[string]string{"token": token}).want(200)
	in.call("GET", "/v1/cases/"+c.id, c.token, nil).problem(401, "error.case.elsewhere")
	now := opened{in, moved["case"].(string), moved["token"].(string), c.ref}
	if got := now.get(); got["step"] != "secret" {
		t.Errorf("case: %v", got)
	}
	in.call("POST", "/v1/links/confirm", "", map[string]string{"token": token}).want(410)
	in.call("GET", "/v1/links", "made-up", nil).problem(404, "error.link.unknown")
}

// T7: same bytes, status and headers for known and unknown identifiers.
// A case goes on with a new token after its reference and the same proof again.
func TestACaseIsTakenOverByItsReference(t *testing.T) {
	in := install(t)
	in.li()
	c := in.open("reset-password", "13800001234")
	c.answer(c.start("phone", "sms-code"), map[string]any{"code": in.code(phone)}).want(200)
	in.clock.Advance(time.Minute)
	takeover := func(ref string, headers ...string) reply {
		return in.call("POST", "/v1/"+realm+"/takeovers", "", map[string]string{"ref": ref}, headers...)
	}
	key := "Idempotency-Key: 3f1c9a6e7b0d4c52"
	got := takeover(strings.ToLower(strings.ReplaceAll(c.ref, "-", " ")), key).want(201)
	if again := takeover(strings.ToLower(strings.ReplaceAll(c.ref, "-", " ")), key).want(201); again["token"] != got["token"] || got["ref"] != c.ref {
		t.Fatalf("opened %v, again %v", got, again)
	}
	fresh := opened{in, got["case"].(string), got["token"].(string), c.ref}
	if view := fresh.get(); view["intent"] != "takeover" || view["step"] != "ways" || at(view, "identifier.value") != c.ref {
		t.Fatalf("takeover: %v", view)
	}
	challenge := fresh.start("sms-code", "sms-code")
	if c.get()["step"] != "secret" {
		t.Fatal("the holder lost the case before a proof")
	}
	moved := fresh.answer(challenge, map[string]any{"code": in.code(phone)}).want(200)
	if moved["step"] != "moved" || at(moved, "moved.case") != c.id {
		t.Fatalf("takeover: %v", moved)
	}
	c.call("GET", "/v1/cases/"+c.id, c.token, nil).problem(401, "error.case.elsewhere")
	now := opened{in, c.id, at(moved, "moved.token").(string), c.ref}
	now.post("/outcome", map[string]string{"secret": password}).want(200)
	wrong := takeover("7K3MQ-X2V9E").problem(422, "error.ref.malformed")
	if at(wrong, "errors.0.pointer") != "/ref" {
		t.Errorf("problem: %v", wrong)
	}
}

func TestT7KnownAndUnknownAnswerAlike(t *testing.T) {
	in := install(t)
	in.accounts(
		map[string]any{"id": "known", "phone": "13800001234"},
		map[string]any{"id": "locked", "phone": "13811111234", "locked": "violation"},
	)
	run := func(number string) []string {
		var seen []string
		note := func(r reply) {
			header := r.header.Clone()
			header.Del("Date")
			var lines []string
			for _, name := range slices.Sorted(maps.Keys(header)) {
				lines = append(lines, name+": "+strings.Join(header[name], ","))
			}
			body := regexp.MustCompile(`"(case|token|id|ref)":"[^"]*"`).ReplaceAllStringFunc(r.body, func(s string) string {
				name, value, _ := strings.Cut(s, ":")
				return name + ":" + strings.Repeat("x", len(value))
			})
			seen = append(seen, strings.Join(lines, "\n")+"\n"+body)
		}
		first := in.call("POST", "/v1/"+realm+"/cases", "", map[string]string{"intent": "reset-password", "identifier": number})
		got := first.want(201)
		note(first)
		c := opened{in, got["case"].(string), got["token"].(string), ""}
		note(c.call("GET", "/v1/cases/"+c.id, c.token, nil))
		started := c.post("/challenges", map[string]string{"way": "phone", "channel": "sms-code"})
		challenge := at(started.want(200), "challenge.id").(string)
		note(started)
		note(c.answer(challenge, map[string]any{"code": "000000"}))
		in.settle()
		for range 7 {
			note(c.answer(challenge, map[string]any{"code": "x"}))
		}
		note(c.call("GET", "/v1/cases/"+c.id, c.token, nil))
		return seen
	}
	known := run("13800001234")
	for _, number := range []string{"13811111234", "13822221234"} {
		for i, got := range run(number) {
			if got != known[i] {
				t.Errorf("answer %d differs for %s:\n%s\n--- known:\n%s", i, number, got, known[i])
			}
		}
	}
	if !strings.Contains(known[len(known)-2], "error.limited") {
		t.Errorf("the limit was not reached: %s", known[len(known)-2])
	}
}

func TestARepeatIsTheSameRequest(t *testing.T) {
	in := install(t)
	in.li()
	key := "Idempotency-Key: 3f1c9a6e7b0d4c52"
	first := in.open("reset-password", "13800001234", key)
	if again := in.open("reset-password", "13800001234", key); again.id != first.id || again.token != first.token {
		t.Fatal("a repeat opened another case")
	}
	in.call("POST", "/v1/"+realm+"/cases", "", map[string]string{"intent": "reset-password", "identifier": "13900001234"}, key).
		problem(422, "error.idempotency.mismatch")
	// One character less can be guessed too easily.
	short := in.call("POST", "/v1/"+realm+"/cases", "", map[string]string{"intent": "reset-password", "identifier": "13800001234"},
		"Idempotency-Key: 3f1c9a6e7b0d4c5").problem(422, "error.request.fields")
	if at(short, "errors.0.parameter") != "Idempotency-Key" {
		t.Errorf("problem: %v", short)
	}
	start := map[string]string{"way": "phone", "channel": "sms-code"}
	challenge := at(first.post("/challenges", start, "Idempotency-Key: s1").want(200), "challenge.id").(string)
	first.post("/challenges", start, "Idempotency-Key: s1").want(200)
	in.settle()
	if len(in.inbox.sent) != 1 {
		t.Fatalf("a repeat sent again: %d messages", len(in.inbox.sent))
	}
	for range 9 { // more than the limit allows: a repeat counts once
		first.answer(challenge, map[string]any{"code": "x"}, "Idempotency-Key: a1").problem(422, "error.code.wrong")
	}
	first.answer(challenge, map[string]any{"code": in.code(phone)}, "Idempotency-Key: a2").want(200)
	for range 2 {
		if got := first.post("/outcome", map[string]string{"secret": password}, "Idempotency-Key: o1").want(200); got["state"] != "completed" {
			t.Fatalf("case: %v", got)
		}
	}
	first.post("/outcome", map[string]string{"secret": password + "x"}, "Idempotency-Key: o1").problem(422, "error.idempotency.mismatch")
}

func TestARepeatLivesADay(t *testing.T) {
	in := install(t)
	key := "Idempotency-Key: 3f1c9a6e7b0d4c52"
	first := in.open("unlock", "13800001234", key)
	in.clock.Advance(24*time.Hour - time.Millisecond)
	if again := in.open("unlock", "13800001234", key); again.id != first.id {
		t.Fatal("a millisecond before: another case")
	}
	in.clock.Advance(time.Millisecond)
	if again := in.open("unlock", "13800001234", key); again.id == first.id {
		t.Fatal("at the instant: still the same case")
	}
}
