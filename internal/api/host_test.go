package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/audit"
	"github.com/wanbi/wanbi/internal/host"
	"github.com/wanbi/wanbi/internal/inbound"
)

func dlrURL(in *installation) string { return inbound.DLRURL("https://id.example.cn", in.keys) }

const accounts = "/v1/" + realm + "/accounts"

func TestImportTakesTheGoodAndNamesTheBad(t *testing.T) {
	in := install(t)
	got := in.call("POST", accounts, in.key, map[string]any{"accounts": []map[string]any{
		{"id": "u-1", "phone": "13800001234", "more_phones": []string{"13900001234"}},
		{"id": "u-2", "phone": "13800001235", "more_phones": []string{"13900001235", "12"}},
		{"id": "u-3"},
	}}).want(200)
	if at(got, "results.0.created") != true || at(got, "results.0.error") != nil {
		t.Errorf("u-1: %v", got)
	}
	if at(got, "results.1.error.code") != "error.identifier.phone" || at(got, "results.1.error.pointer") != "/more_phones/1" {
		t.Errorf("u-2: %v", got)
	}
	if at(got, "results.2.error.code") != "error.import.no-identifier" {
		t.Errorf("u-3: %v", got)
	}
	again := in.call("POST", accounts, in.key, map[string]any{"accounts": []map[string]any{{"id": "u-1", "phone": "13800001234"}}}).want(200)
	if at(again, "results.0.created") != nil {
		t.Errorf("again: %v", again)
	}
}

func TestBatchesAreBounded(t *testing.T) {
	in := install(t)
	batch := func(n int) map[string]any {
		var records []map[string]any
		for i := range n {
			records = append(records, map[string]any{"account": fmt.Sprintf("u-%d", i), "at": "2026-03-05T00:00:00Z"})
		}
		return map[string]any{"sign_ins": records}
	}
	in.call("POST", "/v1/"+realm+"/sign-ins", in.key, batch(500)).want(200)
	in.call("POST", "/v1/"+realm+"/sign-ins", in.key, batch(501)).problem(422, "error.request.fields")
	in.call("POST", "/v1/"+realm+"/sign-ins", in.key, map[string]any{"sign_ins": []any{}}).problem(422, "error.request.fields")
}

func TestAnAccountIsShownWithoutItsSecrets(t *testing.T) {
	in := install(t)
	in.li()
	in.accounts(map[string]any{"id": "店/2 号", "phone": "13900001234"})
	raw := in.call("GET", accounts+"/u-1001", in.key, nil)
	got := raw.want(200)
	for _, hidden := range []string{"13800001234", "li@example.cn", "李伟", "110101199003070054"} {
		if strings.Contains(raw.body, hidden) {
			t.Errorf("the answer shows %s: %s", hidden, raw.body)
		}
	}
	if got["id"] != "u-1001" || at(got, "contacts.0.value") != "138****1234" || got["backup_codes"] != 0.0 || len(got["locks"].([]any)) != 0 {
		t.Errorf("account: %v", got)
	}
	if got := in.call("GET", accounts+"/"+url.PathEscape("店/2 号"), in.key, nil).want(200); got["id"] != "店/2 号" {
		t.Errorf("account: %v", got)
	}
	in.call("GET", accounts+"/u-9999", in.key, nil).problem(404, "error.account.unknown")
}

func TestAnAccountNamesItsCases(t *testing.T) {
	in := install(t)
	in.li()
	c := in.open("find-account", "13800001234")
	challenge := c.start("phone", "sms-code")
	c.answer(challenge, map[string]any{"code": in.code(phone)}).want(200)
	c.post("/outcome", map[string]string{}).want(200)
	in.settle()
	got := in.call("GET", accounts+"/u-1001", in.key, nil).want(200)
	if at(got, "cases.0.ref") != c.ref || at(got, "cases.0.state") != "completed" {
		t.Errorf("cases: %v", got["cases"])
	}
}

func TestExportHasEveryAccountOnALineOfItsOwn(t *testing.T) {
	in := install(t)
	want := map[string]bool{}
	for batch := range 3 { // more than one page
		var records []map[string]any
		for i := range 100 {
			id := fmt.Sprintf("u-%d-%d", batch, i)
			want[id] = true
			records = append(records, map[string]any{"id": id, "username": fmt.Sprintf("name%d%03d", batch, i)})
		}
		in.call("POST", accounts, in.key, map[string]any{"accounts": records}).want(200)
	}
	in.accounts(map[string]any{"id": "=HYPERLINK(1)\t<b>", "username": "formula"})
	want["=HYPERLINK(1)\t<b>"] = true
	got := in.call("GET", accounts, in.key, nil)
	if got.status != 200 || got.header.Get("Content-Type") != "application/jsonl" {
		t.Fatalf("status %d, %s", got.status, got.header.Get("Content-Type"))
	}
	for _, one := range decode(t, got.body) {
		if !want[one["id"].(string)] {
			t.Errorf("%v is there twice or not ours", one["id"])
		}
		delete(want, one["id"].(string))
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", slices.Collect(maps.Keys(want)))
	}
	in.call("GET", accounts, in.mint(host.ScopeLocks), nil).problem(403, "error.key.scope")
}

func TestEachScopeOpensItsOwnDoor(t *testing.T) {
	in := install(t)
	in.li()
	one := accounts + "/u-1001"
	lock := map[string]string{"reason": "risk-alarm"}
	calls := []struct {
		scope        host.Scope
		method, path string
		body         any
	}{
		{host.ScopeAccountsRead, "GET", one, nil},
		{host.ScopeAccountsRead, "GET", accounts, nil},
		{host.ScopeAccountsRead, "GET", one + "/receipt", nil},
		{host.ScopeAccountsWrite, "POST", accounts, map[string]any{"accounts": []map[string]any{{"id": "u-2", "phone": "13900001234"}}}},
		{host.ScopeSecrets, "POST", "/v1/" + realm + "/secrets/verify", map[string]string{"identifier": "li", "secret": "x"}},
		{host.ScopeSignIns, "POST", "/v1/" + realm + "/sign-ins", map[string]any{"sign_ins": []map[string]any{{"account": "u-1001", "at": "2026-03-05T00:00:00Z"}}}},
		{host.ScopeLocks, "POST", one + "/lock", lock},
		{host.ScopeLocks, "POST", one + "/unlock", lock},
		{host.ScopeBackupCodes, "POST", one + "/backup-codes", nil},
	}
	for _, c := range calls {
		t.Run(string(c.scope)+" "+c.path, func(t *testing.T) {
			if got := in.call(c.method, c.path, in.mint(c.scope), c.body); got.status/100 != 2 {
				t.Errorf("with the scope: %d %s", got.status, got.body)
			}
			others := slices.DeleteFunc(slices.Clone(host.Scopes), func(s host.Scope) bool { return s == c.scope })
			in.call(c.method, c.path, in.mint(others...), c.body).problem(403, "error.key.scope")
			in.call(c.method, c.path, "", c.body).problem(401, "error.key.unknown")
		})
	}
}

func TestAKeyWorksInItsRealmUntilItIsRevoked(t *testing.T) {
	in := install(t)
	in.call("GET", "/v1/hardened-yichuangtong/accounts", in.key, nil).problem(401, "error.key.unknown")
	in.call("GET", accounts, in.key+"x", nil).problem(401, "error.key.unknown")
	if got := in.call("GET", accounts, in.key, nil); got.status != 200 {
		t.Fatalf("status %d", got.status)
	}
	listed, err := in.Host.ListKeys(t.Context(), realm)
	if err != nil || len(listed) != 1 || !slices.Equal(listed[0].Scopes, host.Scopes) || strings.Contains(fmt.Sprint(listed), in.key[36:]) {
		t.Fatalf("keys %v: %v", listed, err)
	}
	if err := in.Host.RevokeKey(t.Context(), listed[0].ID); err != nil {
		t.Fatal(err)
	}
	in.call("GET", accounts, in.key, nil).problem(401, "error.key.unknown")
	if err := in.Host.RevokeKey(t.Context(), listed[0].ID); err == nil {
		t.Error("revoked twice")
	}
	for name, mint := range map[string]func() error{
		"no scope":      func() error { _, err := in.Host.MintKey(t.Context(), realm, "x", nil); return err },
		"unknown scope": func() error { _, err := in.Host.MintKey(t.Context(), realm, "x", []host.Scope{"all"}); return err },
		"no name":       func() error { _, err := in.Host.MintKey(t.Context(), realm, "", host.Scopes); return err },
		"no realm":      func() error { _, err := in.Host.MintKey(t.Context(), "elsewhere", "x", host.Scopes); return err },
	} {
		if mint() == nil {
			t.Errorf("%s: a key was made", name)
		}
	}
}

func TestLocksAreTyped(t *testing.T) {
	in := install(t)
	in.li()
	one := accounts + "/u-1001"
	reasons := func() string {
		var out []string
		for _, lock := range in.call("GET", one, in.key, nil).want(200)["locks"].([]any) {
			out = append(out, at(lock, "reason").(string))
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	for _, reason := range []string{"risk-alarm", "violation", "risk-alarm"} {
		in.call("POST", one+"/lock", in.key, map[string]string{"reason": reason}).want(204)
	}
	if got := reasons(); got != "risk-alarm violation" {
		t.Errorf("locks: %s", got)
	}
	in.call("POST", one+"/unlock", in.key, map[string]string{"reason": "risk-alarm"}).want(204)
	in.call("POST", one+"/unlock", in.key, map[string]string{"reason": "dormant"}).want(204)
	if got := reasons(); got != "violation" {
		t.Errorf("locks: %s", got)
	}
	in.call("POST", one+"/lock", in.key, map[string]string{"reason": "too-many-failures"}).problem(422, "error.lock.reason")
	in.call("POST", one+"/lock", in.key, map[string]string{"reason": "because"}).problem(422, "error.request.fields")
	in.call("POST", accounts+"/u-9/lock", in.key, map[string]string{"reason": "violation"}).problem(404, "error.account.unknown")
}

func TestARepeatedCheckCountsOnce(t *testing.T) {
	in := install(t)
	in.li()
	for range 9 { // the policy locks after five
		if got := in.verify("13800001234", "wrong", "Idempotency-Key: v1"); got["result"] != "wrong" {
			t.Fatalf("a repeat: %v", got)
		}
	}
	in.call("POST", "/v1/"+realm+"/secrets/verify", in.key, map[string]string{"identifier": "13800001234", "secret": "other"}, "Idempotency-Key: v1").
		problem(422, "error.idempotency.mismatch")
	known, unknown := []string{}, []string{}
	for range 6 {
		known = append(known, in.verify("13800001234", "wrong")["result"].(string))
		unknown = append(unknown, in.verify("13911112222", "wrong")["result"].(string))
	}
	// One was counted before: the fourth of these is the fifth failure.
	if strings.Join(known, " ") != "wrong wrong wrong locked locked locked" {
		t.Errorf("known: %v", known)
	}
	if strings.Join(unknown, " ") != "wrong wrong wrong wrong locked locked" {
		t.Errorf("unknown: %v", unknown)
	}
	if got := in.verify("13800001234", "wrong"); got["retry_after"] == nil {
		t.Errorf("locked: %v", got)
	}
	// A key of another API key is another request.
	other := in.mint(host.ScopeSecrets)
	if got := in.call("POST", "/v1/"+realm+"/secrets/verify", other, map[string]string{"identifier": "13800001234", "secret": "wrong"}, "Idempotency-Key: v1").want(200); got["result"] != "locked" {
		t.Errorf("another key: %v", got)
	}
}

func TestBackupCodesAreShownOnceAndReplaceTheOld(t *testing.T) {
	in := install(t)
	in.li()
	path := accounts + "/u-1001/backup-codes"
	codes := func(headers ...string) []any {
		return in.call("POST", path, in.key, nil, headers...).want(200)["codes"].([]any)
	}
	old := codes("Idempotency-Key: b1")
	if again := codes("Idempotency-Key: b1"); len(old) != 10 || !slices.Equal(old, again) {
		t.Fatalf("codes %v, again %v", old, again)
	}
	fresh := codes()
	if slices.Contains(fresh, old[0]) {
		t.Error("an old code lives on")
	}
	if got := in.call("GET", accounts+"/u-1001", in.key, nil).want(200); got["backup_codes"] != 10.0 {
		t.Errorf("account: %v", got)
	}
	c := in.open("reset-password", "liwei")
	challenge := c.start("backup-code", "backup-code")
	c.answer(challenge, map[string]any{"code": old[0]}).want(422)
	if got := c.answer(challenge, map[string]any{"code": fresh[0]}).want(200); got["step"] != "secret" {
		t.Errorf("case: %v", got)
	}
	if got := in.call("GET", accounts+"/u-1001", in.key, nil).want(200); got["backup_codes"] != 9.0 {
		t.Errorf("account: %v", got)
	}
	in.call("POST", accounts+"/u-9/backup-codes", in.key, nil).problem(404, "error.account.unknown")
	in.settle()
	if receipt := in.call("GET", accounts+"/u-1001/receipt", in.key, nil).body; strings.Count(receipt, `"backup-codes.made"`) != 2 {
		t.Errorf("two entries are missing: %s", receipt)
	}
	if text := fmt.Sprint(in.inbox.sent, in.log); strings.Contains(text, fresh[0].(string)) {
		t.Error("a code was sent or logged")
	}
}

func TestSignInsCountForDormancy(t *testing.T) {
	in := install(t)
	in.li()
	report := func(at string) map[string]any {
		return in.call("POST", "/v1/"+realm+"/sign-ins", in.key, map[string]any{"sign_ins": []map[string]any{
			{"account": "u-1001", "at": at, "device": "phone", "network": "203.0.113.7", "place": "杭州"},
			{"account": "u-9", "at": at},
		}}).want(200)
	}
	last := func() any { return in.call("GET", accounts+"/u-1001", in.key, nil).want(200)["last_sign_in_at"] }
	in.clock.Advance(time.Hour)
	got := report("2026-03-05T01:30:00Z")
	if at(got, "results.0.error") != nil || at(got, "results.1.error.code") != "error.account.unknown" || last() != "2026-03-05T01:30:00Z" {
		t.Errorf("results %v, last %v", got, last())
	}
	report("2026-03-05T01:30:00Z")
	report("2026-03-05T01:10:00Z") // an older one changes nothing
	if last() != "2026-03-05T01:30:00Z" {
		t.Errorf("last %v", last())
	}
	// It is 02:00; a clock may run five minutes ahead.
	if got := report("2026-03-05T02:05:00Z"); at(got, "results.0.error") != nil {
		t.Errorf("the last that is taken: %v", got)
	}
	if got := report("2026-03-05T02:05:00.001Z"); at(got, "results.0.error.code") != "error.sign-in.at" {
		t.Errorf("the first that is not: %v", got)
	}
}

func TestAReceiptIsVerifiedOffline(t *testing.T) {
	in := install(t)
	in.li()
	in.call("POST", accounts+"/u-1001/lock", in.key, map[string]string{"reason": "risk-alarm"}).want(204)
	in.settle()
	raw := in.call("GET", accounts+"/u-1001/receipt", in.key, nil)
	raw.want(200)
	var receipt audit.Receipt
	if err := json.Unmarshal([]byte(raw.body), &receipt); err != nil {
		t.Fatal(err)
	}
	key := strings.TrimSpace(in.call("GET", "/audit/key", "", nil).body)
	if err := audit.VerifyReceipt(receipt, key); err != nil || len(receipt.Entries) != 2 {
		t.Fatalf("%d entries: %v", len(receipt.Entries), err)
	}
	receipt.Entries[1].Payload = json.RawMessage(`{"by":"host","reason":"violation"}`)
	if audit.VerifyReceipt(receipt, key) == nil {
		t.Error("a changed receipt passed")
	}
}
