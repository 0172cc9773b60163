package testkit_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/host"
	"github.com/wanbi/wanbi/internal/server"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/testkit"
)

const realm = "yichuangtong"

// fuzzed is a server with one account and one case of it.
func fuzzed(f *testing.F) *testkit.Server {
	s := testkit.Start(f, store.SQLite, []string{realm}, func(o *server.Options) { o.Log = slog.New(slog.DiscardHandler) })
	results, err := s.Accounts.Import(f.Context(), realm, []account.Record{{ID: "1001", Phone: "13800001234", Email: "li@example.cn", Username: "lilei"}})
	if err != nil || results[0].Err != nil {
		f.Fatal(err, results)
	}
	return s
}

// serve answers one request without a network.
func serve(h http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// request makes one as a peer on loopback would; nil when the address cannot stand
// in a request line.
func request(method, path, query string, body []byte) *http.Request {
	u, err := url.ParseRequestURI("https://localhost" + path)
	if err != nil {
		return nil
	}
	u.RawQuery = query
	r := httptest.NewRequest(method, "/", strings.NewReader(string(body)))
	r.URL, r.RemoteAddr = u, "127.0.0.1:1"
	return r
}

// Whatever comes at an operation of the API, with or without a right to it: it is
// answered, a refusal is a problem with a code, and nothing breaks.
func FuzzAPI(f *testing.F) {
	s := fuzzed(f)
	h := s.Handler()
	var document struct {
		Paths map[string]map[string]any
	}
	described := serve(h, request(http.MethodGet, "/openapi.json", "", nil))
	if err := json.NewDecoder(described.Body).Decode(&document); err != nil {
		f.Fatal(err)
	}
	var operations []string
	for path, methods := range document.Paths {
		for method := range methods {
			operations = append(operations, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(operations)
	key, err := s.Host.MintKey(f.Context(), realm, "fuzz", host.Scopes)
	if err != nil {
		f.Fatal(err)
	}
	var opened struct{ Case, Token string }
	open := request(http.MethodPost, "/v1/"+realm+"/cases", "", []byte(`{"intent":"reset-password","identifier":"lilei"}`))
	open.Header.Set("Content-Type", "application/json")
	open.Header.Set("Idempotency-Key", "0123456789abcdef")
	if err := json.NewDecoder(serve(h, open).Body).Decode(&opened); err != nil || opened.Token == "" {
		f.Fatal(err, opened)
	}
	for i, body := range []string{
		`{"intent":"unlock","identifier":"13800001234"}`, `{"way":"phone","channel":"sms-code"}`, `{"answer":{"code":"123456"}}`, `{"secret":"x"}`,
		`{"accounts":[{"id":"1","email":"a@example.cn"}]}`, `{"identifier":"lilei","secret":"x"}`, `{"sign_ins":[{"account":"1001","at":"2026-03-01T00:00:00Z"}]}`,
		`{"reason":"dormant"}`, `{"token":"x"}`, `{"a":1,"a":2}`, `[`, "\xff",
	} {
		f.Add(uint16(i), "1001", "token=x&status=1", "0123456789abcdef", []byte(body), uint8(i))
	}
	f.Fuzz(func(t *testing.T, which uint16, part, query, once string, body []byte, who uint8) {
		method, path, _ := strings.Cut(operations[int(which)%len(operations)], " ")
		fill := map[string]string{"{realm}": realm, "{case}": opened.Case}
		if who&4 != 0 {
			fill = nil
		}
		for strings.Contains(path, "{") {
			from, to := strings.IndexByte(path, '{'), strings.IndexByte(path, '}')
			value, ok := fill[path[from:to+1]]
			if !ok {
				value = url.PathEscape(part)
			}
			path = path[:from] + value + path[to+1:]
		}
		r := request(method, path, query, body)
		if r == nil {
			return
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", once)
		r.Header.Set("Authorization", "Bearer "+[]string{opened.Token, key, part, ""}[who&3])
		answer := serve(h, r)
		if answer.StatusCode == http.StatusInternalServerError {
			t.Fatalf("%s %s: 500", method, path)
		}
		if answer.StatusCode < 400 || !strings.HasPrefix(path, "/v1/") {
			return
		}
		var problem struct {
			Status int
			Code   string
		}
		if err := json.NewDecoder(answer.Body).Decode(&problem); err == nil && problem.Status == answer.StatusCode && problem.Code != "" {
			return
		}
		if answer.StatusCode != http.StatusNotFound && answer.StatusCode != http.StatusMethodNotAllowed { // of paths that the router has not
			t.Fatalf("%s %s: %d is no problem with a code", method, path, answer.StatusCode)
		}
	})
}

// forms are the pages that take something.
var forms = []string{
	"POST /" + realm + "/recover/reset-password", "POST /" + realm + "/recover/unlock", "POST /" + realm + "/case/challenge",
	"POST /" + realm + "/case/answer", "POST /" + realm + "/case/choose", "POST /" + realm + "/case/outcome", "POST /" + realm + "/case/cancel",
	"POST /" + realm + "/link", "POST /" + realm + "/cancel", "GET /" + realm + "/link/", "GET /" + realm + "/cancel/", "GET /" + realm + "/case", "GET /",
}

// Whatever is sent to a page: it is a page or leads to one here, and nothing breaks.
func FuzzPages(f *testing.F) {
	s := fuzzed(f)
	h := s.Handler()
	begin := request(http.MethodPost, "/"+realm+"/recover/reset-password", "", []byte("identifier=lilei"))
	begin.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	begin.Header.Set("Sec-Fetch-Site", "same-origin")
	began := serve(h, begin)
	if len(began.Cookies()) == 0 {
		f.Fatalf("no case: %d", began.StatusCode)
	}
	for i, form := range []string{
		"identifier=13800001234", "way=phone&channel=sms-code", "code=123456&challenge=x", "choice=x", "password=x&again=x", "lang=en",
		"lang=en&back=//example.com", "a=1&a=2", "%", "=\x00",
	} {
		f.Add(uint8(i), "x", form, []byte(form), i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, which uint8, part, query string, form []byte, mine bool) {
		method, path, _ := strings.Cut(forms[int(which)%len(forms)], " ")
		if strings.HasSuffix(path, "/") {
			path += url.PathEscape(part)
		}
		r := request(method, path, query, form)
		if r == nil {
			return
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		if mine {
			for _, c := range began.Cookies() {
				r.AddCookie(c)
			}
		}
		answer := serve(h, r)
		if answer.StatusCode == http.StatusInternalServerError {
			t.Fatalf("%s %s: 500", method, path)
		}
		if to := answer.Header.Get("Location"); to != "" {
			if u, err := url.Parse(to); err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.HasPrefix(to, `/\`) {
				t.Fatalf("%s %s?%s leads away, to %q", method, path, query, to)
			}
		}
	})
}
