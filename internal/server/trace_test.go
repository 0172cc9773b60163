package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/host"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/server"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/testkit"
	"github.com/wanbi/wanbi/internal/tracing"
)

// A whole recovery leaves traces of everything that happened and nothing that was
// said or sent, or of whom (T15).
func TestT15_TracesHoldNothingOfWhom(t *testing.T) {
	kept := tracetest.NewInMemoryExporter()
	hooks := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer hooks.Close()
	s := testkit.Start(t, store.SQLite, []string{"yichuangtong"}, func(o *server.Options) {
		o.Tracing = tracing.New(sdk.NewTracerProvider(sdk.WithSyncer(kept)))
		o.Realms[0].Events = hooks.URL + "/events-of-a-secret-path"
	})
	const (
		phone, mail, name, family = "13800001234", "owner@example.cn", "lilei-the-owner", "李雷雷"
		password, wrong           = "correct-Horse-7-battery", "000000"
	)
	results, err := s.Accounts.Import(t.Context(), realm, []account.Record{{ID: "host-id-1001", Phone: phone, Email: mail, Username: name, RealName: family}})
	if err != nil || results[0].Err != nil {
		t.Fatal(err, results)
	}
	key, err := s.Host.MintKey(t.Context(), realm, "x", []host.Scope{host.ScopeSecrets, host.ScopeAccountsRead})
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{phone, mail, name, family, password, wrong, "host-id-1001", string(results[0].Account), key, "secret-path", "query-secret", "header-secret"}
	asked := 0
	ask := func(method, path, bearer string, body any) map[string]any {
		t.Helper()
		asked++
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		request, err := http.NewRequestWithContext(t.Context(), method, s.HTTP.URL+path, bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+bearer)
		request.Header.Set("Idempotency-Key", fmt.Sprintf("header-secret-of-request-%d", asked))
		answer, err := s.Transport().RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		var out map[string]any
		_ = json.NewDecoder(answer.Body).Decode(&out)
		return out
	}
	opened := ask("POST", "/v1/yichuangtong/cases?x=query-secret", "", map[string]string{"intent": "reset-password", "identifier": phone})
	id, token := fmt.Sprint(opened["case"]), fmt.Sprint(opened["token"])
	secrets = append(secrets, id, token, fmt.Sprint(opened["ref"]))
	challenged := ask("POST", "/v1/cases/"+id+"/challenges", token, map[string]string{"channel": "sms-code", "way": "phone"})
	challenge := fmt.Sprint(challenged["challenge"].(map[string]any)["id"])
	code, ok := s.Inbox.Last(recovery.ContactPhone, "+86"+phone)
	if !ok {
		t.Fatal("no code")
	}
	secrets = append(secrets, challenge, code.Code)
	ask("POST", "/v1/cases/"+id+"/challenges/"+challenge+"/answer", token, map[string]any{"answer": map[string]string{"code": wrong}})
	ask("POST", "/v1/cases/"+id+"/challenges/"+challenge+"/answer", token, map[string]any{"answer": map[string]string{"code": code.Code}})
	done := ask("POST", "/v1/cases/"+id+"/outcome", token, map[string]string{"secret": password})
	if state := fmt.Sprint(done["state"]); state != "completed" {
		t.Fatalf("the recovery ended as %v", done)
	}
	if checked := ask("POST", "/v1/yichuangtong/secrets/verify", key, map[string]string{"identifier": phone, "secret": password}); checked["result"] != "ok" {
		t.Fatalf("the new password: %v", checked)
	}
	ask("GET", "/v1/yichuangtong/accounts/host-id-1001", key, nil)
	for _, m := range append(s.Inbox.Messages("+86"+phone), s.Inbox.Messages(mail)...) {
		secrets = append(secrets, m.Links...)
		for _, link := range m.Links {
			request := httptest.NewRequest(http.MethodGet, link, nil)
			s.Handler().ServeHTTP(httptest.NewRecorder(), request)
			secrets = append(secrets, link[strings.LastIndexAny(link, "/?#=")+1:])
		}
	}

	names := map[string]int{}
	for _, one := range kept.GetSpans() {
		names[one.Name]++
		said := fmt.Sprintf("%s %v %v %v %v %v", one.Name, one.Attributes, one.Events, one.Links, one.Status, one.Resource)
		for _, secret := range secrets {
			if len(secret) > 3 && strings.Contains(said, secret) {
				t.Errorf("%q is in the span %s", secret, said)
			}
		}
	}
	for _, want := range []string{
		"POST /v1/{realm}/cases", "POST /v1/cases/{case}/challenges/{challenge}/answer", "GET /v1/{realm}/accounts/{account}", "step", "transaction", "message", "hook call",
		"job challenge.start", "job message.deliver", "job host.event",
	} {
		if names[want] == 0 {
			t.Errorf("no span %q among %v", want, names)
		}
	}
	if len(secrets) < 15 {
		t.Errorf("only %d secrets: the test would hold of little", len(secrets))
	}
}
