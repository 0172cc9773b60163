package directory_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/directory"
	"github.com/wanbi/wanbi/internal/directory/directorytest"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/webhook"
)

const (
	realm  = recovery.Realm("yichuangtong")
	caseID = recovery.CaseID("0198c0de-7a10-7000-8000-000000000001")
)

var (
	noon  = time.Date(2026, 11, 20, 4, 0, 0, 0, time.UTC)
	key   = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, ed25519.SeedSize))
	phone = recovery.Identifier{Kind: recovery.IdentifierPhone, Value: "+8613800001234"}
)

func clock() time.Time { return noon }

func keys(keyID string) (ed25519.PublicKey, bool) {
	return key.Public().(ed25519.PublicKey), keyID == "wanbi-1"
}

func client() *webhook.Client {
	return &webhook.Client{
		Key: key, KeyID: "wanbi-1", Now: clock, AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	}
}

func start(t *testing.T) (*directorytest.Host, *directory.Webhook) {
	t.Helper()
	host := directorytest.Start(t, realm, keys, clock)
	return host, &directory.Webhook{Client: client(), URL: host.URL}
}

func li() directory.Account {
	return directory.Account{
		HostID: "u-1001", Locale: "zh-CN",
		Identifiers: []directory.Identifier{
			{Kind: recovery.IdentifierPhone, Value: "+8613800001234"},
			{Kind: recovery.IdentifierUsername, Value: "liwei"},
		},
		Contacts: []directory.Contact{
			{Kind: recovery.ContactPhone, Value: "+8613800001234", ChangedAt: noon.Add(-48 * time.Hour)},
			{Kind: recovery.ContactEmail, Value: "li@example.cn"},
		},
		RealName: "李伟", ResidentID: "110101199003070011",
		Locks:        []directory.Lock{{Reason: recovery.LockTooManyFailures, At: noon, Until: noon.Add(time.Hour)}, {Reason: recovery.LockViolation, At: noon}},
		LastSignInAt: noon.Add(-time.Hour),
	}
}

func TestFind(t *testing.T) {
	host, w := start(t)
	host.Add(li())
	other := li()
	other.HostID, other.Locks = "u-1002", nil
	host.Add(other)
	found, err := w.Find(t.Context(), realm, phone)
	if err != nil || len(found) != 2 {
		t.Fatalf("%v, %v", found, err)
	}
	if want := li(); !reflect.DeepEqual(found[0], want) {
		t.Error("the first account is not as the host has it")
	}
	found, err = w.Find(t.Context(), realm, recovery.Identifier{Kind: recovery.IdentifierPhone, Value: "+8613800009999"})
	if err != nil || len(found) != 0 {
		t.Errorf("nobody: %v, %v", found, err)
	}
	call := host.Calls()[0]
	if call.Name != "find" || call.Realm != realm || call.IdempotencyKey != "" {
		t.Errorf("%+v", call)
	}
}

func TestSetSecret(t *testing.T) {
	host, w := start(t)
	host.Add(li())
	s := directory.SetSecret{Realm: realm, Case: caseID, HostID: "u-1001", Kind: directory.KindPassword, Secret: "first 密码 1"}

	host.RefuseNext("secret.reused")
	err := w.SetSecret(t.Context(), s)
	var refusal *webhook.Refusal
	if !recovery.IsKind(err, recovery.KindBadInput) || !errors.As(err, &refusal) || refusal.Code != "secret.reused" {
		t.Fatalf("refused: %v", err)
	}
	if host.Secret("u-1001") != "" {
		t.Error("refused and set")
	}

	s.Secret = "second 密码 2"
	if err := w.SetSecret(t.Context(), s); err != nil || host.Secret("u-1001") != s.Secret {
		t.Fatalf("another secret after a refusal: %v", err)
	}
	late := s
	late.Secret = "third 密码 3"
	if err := w.SetSecret(t.Context(), late); err != nil || host.Secret("u-1001") != s.Secret {
		t.Errorf("a case sets a secret once: %v, %q", err, host.Secret("u-1001"))
	}
	for _, call := range host.Calls() {
		if call.Name != "set-secret" || call.IdempotencyKey != string(caseID) || call.Case != caseID || call.Realm != realm {
			t.Errorf("%+v", call)
		}
	}

	s.HostID, s.Case = "u-9999", "another"
	if err := w.SetSecret(t.Context(), s); !recovery.IsKind(err, recovery.KindConflict) {
		t.Errorf("an account that is gone: %v", err)
	}
	calls := len(host.Calls())
	for name, spoil := range map[string]func(*directory.SetSecret){
		"no case":      func(s *directory.SetSecret) { s.Case = "" },
		"no account":   func(s *directory.SetSecret) { s.HostID = "" },
		"no secret":    func(s *directory.SetSecret) { s.Secret = "" },
		"another kind": func(s *directory.SetSecret) { s.Kind = "pin" },
	} {
		broken := s
		spoil(&broken)
		if err := w.SetSecret(t.Context(), broken); !recovery.IsKind(err, recovery.KindInternal) || len(host.Calls()) != calls {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSessionsAndLocks(t *testing.T) {
	host, w := start(t)
	host.Add(li())
	for range 2 { // at least once: the second of each is the same call again
		if err := w.EndSessions(t.Context(), realm, "u-1001", caseID); err != nil {
			t.Fatal(err)
		}
		if err := w.Unlock(t.Context(), realm, "u-1001", caseID, []recovery.LockReason{recovery.LockTooManyFailures}); err != nil {
			t.Fatal(err)
		}
		if err := w.Lock(t.Context(), realm, "u-1001", caseID); err != nil {
			t.Fatal(err)
		}
	}
	// T10: a reset clears only "too many failures".
	locks := host.Account("u-1001").Locks
	if len(locks) != 2 || locks[0].Reason != recovery.LockViolation || locks[1].Reason != recovery.LockDisavowed {
		t.Errorf("%+v", locks)
	}
	for _, call := range host.Calls() {
		if call.IdempotencyKey != string(caseID)+"."+call.Name || call.Case != caseID || call.Realm != realm || call.Account != "u-1001" {
			t.Errorf("%+v", call)
		}
	}
	if err := w.Unlock(t.Context(), realm, "u-1001", caseID, nil); !recovery.IsKind(err, recovery.KindInternal) {
		t.Errorf("no reasons: %v", err)
	}
}

func TestHostInTrouble(t *testing.T) {
	host, w := start(t)
	host.Add(li())
	for _, status := range []int{500, 503, 401} {
		host.Fail(status)
		if _, err := w.Find(t.Context(), realm, phone); !recovery.IsKind(err, recovery.KindUnavailable) {
			t.Errorf("%d: %v", status, err)
		}
		if err := w.EndSessions(t.Context(), realm, "u-1001", caseID); !recovery.IsKind(err, recovery.KindUnavailable) {
			t.Errorf("%d: %v", status, err)
		}
	}
	host.Fail(0)
	if err := w.EndSessions(t.Context(), realm, "u-1001", caseID); err != nil {
		t.Errorf("a call that failed is not done: %v", err)
	}
	stranger := client()
	stranger.KeyID = "somebody"
	if _, err := (&directory.Webhook{Client: stranger, URL: host.URL}).Find(t.Context(), realm, phone); err == nil {
		t.Error("the host answers anybody")
	}
}

// What a host says against the contract is not half believed, and not repeated in the log.
func TestFindRefusesBrokenAnswers(t *testing.T) {
	account := func(change string) string {
		whole := `{"id":"u-1","identifiers":[{"kind":"phone","value":"+8613800001234"}]` + change + `}`
		return `{"accounts":[` + whole + `]}`
	}
	many := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`{"id":"u-%d","identifiers":[{"kind":"username","value":"x"}]}`, i))
		}
		return `{"accounts":[` + strings.Join(list, ",") + `]}`
	}
	for name, c := range map[string]struct {
		answer string
		ok     bool
	}{
		"the least there is":       {account(``), true},
		"a field we do not know":   {account(`,"colour":"red"`), true},
		"nobody":                   {`{"accounts":[]}`, true},
		"no list of accounts":      {`{"ok":true}`, false},
		"null for a list":          {`{"accounts":null}`, false},
		"20 accounts":              {many(20), true},
		"21 accounts":              {many(21), false},
		"one account twice":        {strings.Replace(many(2), "u-1", "u-0", 1), false},
		"no id":                    {strings.Replace(account(``), "u-1", "", 1), false},
		"an id of 128":             {strings.Replace(account(``), "u-1", strings.Repeat("i", 128), 1), true},
		"an id of 129":             {strings.Replace(account(``), "u-1", strings.Repeat("i", 129), 1), false},
		"an id with a line break":  {strings.Replace(account(``), "u-1", `u\n1`, 1), false},
		"no identifiers":           {`{"accounts":[{"id":"u-1","identifiers":[]}]}`, false},
		"an unknown kind":          {strings.Replace(account(``), `"phone"`, `"fax"`, 1), false},
		"no value":                 {strings.Replace(account(``), "+8613800001234", "", 1), false},
		"a value of 320":           {strings.Replace(account(``), "+8613800001234", strings.Repeat("值", 320), 1), true},
		"a value of 321":           {strings.Replace(account(``), "+8613800001234", strings.Repeat("值", 321), 1), false},
		"a contact of other kind":  {account(`,"contacts":[{"kind":"username","value":"liwei"}]`), false},
		"a contact without value":  {account(`,"contacts":[{"kind":"email","value":""}]`), false},
		"a lock of other reason":   {account(`,"locks":[{"reason":"because","at":"2026-11-20T04:00:00Z"}]`), false},
		"a lock without time":      {account(`,"locks":[{"reason":"dormant"}]`), false},
		"a resident ID of 18":      {account(`,"resident_id":"110101199003070011"`), true},
		"a resident ID of 19":      {account(`,"resident_id":"1101011990030700112"`), false},
		"a name of 101":            {account(`,"real_name":"` + strings.Repeat("李", 101) + `"`), false},
		"a time that is none":      {account(`,"last_sign_in_at":"+8613800001234"`), false},
		"51 contacts":              {account(`,"contacts":[` + strings.Repeat(`{"kind":"email","value":"a@b.cn"},`, 50) + `{"kind":"email","value":"a@b.cn"}]`), false},
		"accounts that are a text": {`{"accounts":"+8613800001234"}`, false},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(c.answer))
		}))
		w := &directory.Webhook{Client: client(), URL: server.URL + "/?tenant=1"}
		_, err := w.Find(t.Context(), realm, phone)
		server.Close()
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && (!recovery.IsKind(err, recovery.KindUnavailable) || strings.Contains(err.Error(), "138")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBaseURL(t *testing.T) {
	var path string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { path = r.URL.RequestURI() }))
	t.Cleanup(server.Close)
	for base, want := range map[string]string{
		"": "/lock", "/": "/lock", "/a/b": "/a/b/lock", "/a/b/": "/a/b/lock", "/a?tenant=1": "/a/lock?tenant=1",
	} {
		w := &directory.Webhook{Client: client(), URL: server.URL + base}
		if err := w.Lock(t.Context(), realm, "u-1001", caseID); err != nil || path != want {
			t.Errorf("%q: %q, want %q; %v", base, path, want, err)
		}
	}
}

// T15: nothing secret in what people print by accident.
func TestNothingIsPrinted(t *testing.T) {
	s := directory.SetSecret{Realm: realm, Case: caseID, HostID: "u-1001", Kind: directory.KindPassword, Secret: "s3cret"}
	var log bytes.Buffer
	a := li()
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "account", a, "secret", s, "contact", a.Contacts[0], "name", a.Identifiers[0])
	printed := log.String() + fmt.Sprintf("%v %+v %#v %s | %v %+v %#v | %v %#v %v %#v",
		a, a, a, &a, s, s, s, a.Contacts, a.Contacts, a.Identifiers, a.Identifiers)
	for _, secret := range []string{"s3cret", "138", "li@", "liwei", "李伟", "110101"} {
		if strings.Contains(printed, secret) {
			t.Errorf("%q is printed: %s", secret, printed)
		}
	}
	if wire, err := json.Marshal(s); err != nil || !strings.Contains(string(wire), "s3cret") {
		t.Errorf("the wire must have it: %s, %v", wire, err)
	}
}
