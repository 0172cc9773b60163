package webhook

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/recovery"
)

type question struct {
	Name string `json:"name"`
}

type reply struct {
	Greeting string `json:"greeting"`
}

func TestPostIsSignedAndAnswered(t *testing.T) {
	for _, useTLS := range []bool{false, true} {
		h := newHost(t, useTLS, answering(200, "application/json", `{"greeting":"你好","more":1}`))
		c := newClient()
		if useTLS {
			c.RootCAs = h.roots()
		}
		var out reply
		if err := c.Post(t.Context(), h.URL+"/a%2Fb/find?x=1&y=%E4%BD%A0#part", "case-1", question{"李"}, &out); err != nil {
			t.Fatal(err)
		}
		if out.Greeting != "你好" {
			t.Errorf("%+v", out)
		}
		got := h.all()[0]
		if string(got.body) != `{"name":"李"}` || got.request.Method != "POST" ||
			got.request.Header.Get("Idempotency-Key") != "case-1" || got.request.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %v", got.body, got.request.Header)
		}
		if err := Verify(got.request, got.body, testKeys, noon, time.Minute); err != nil {
			t.Errorf("tls %v: %v", useTLS, err)
		}
	}
}

func TestPostAnswers(t *testing.T) {
	large := `{"greeting":"` + strings.Repeat("x", maxAnswer-len(`{"greeting":""}`)) + `"}`
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		key    string // "" for success
		kind   recovery.Kind
		code   string
		retry  time.Duration
	}{
		"created":            {answer: answering(201, "application/json", `{}`)},
		"1 MiB":              {answer: answering(200, "application/json", large)},
		"1 MiB and a byte":   {answering(200, "application/json", large+" "), "unavailable", recovery.KindUnavailable, "", retryDelay},
		"not JSON":           {answering(200, "application/json", `secret-493021`), "unavailable", recovery.KindUnavailable, "", retryDelay},
		"another JSON":       {answering(200, "application/json", `{"greeting":493021}`), "unavailable", recovery.KindUnavailable, "", retryDelay},
		"refused":            {answering(422, "application/problem+json", `{"code":"secret.reused","detail":"493021"}`), "refused", recovery.KindBadInput, "secret.reused", 0},
		"conflict":           {answering(409, "application/json; charset=utf-8", `{"code":"moved"}`), "refused", recovery.KindConflict, "moved", 0},
		"refused, no code":   {answering(422, "application/json", `{}`), "refused", recovery.KindBadInput, "", 0},
		"refused, no JSON":   {answering(422, "text/html", `{"code":"x"}`), "refused", recovery.KindBadInput, "", 0},
		"refused, odd code":  {answering(422, "application/json", `{"code":"Your password 493021"}`), "refused", recovery.KindBadInput, "", 0},
		"code of 64":         {answering(422, "application/json", `{"code":"`+strings.Repeat("c", 64)+`"}`), "refused", recovery.KindBadInput, strings.Repeat("c", 64), 0},
		"code of 65":         {answering(422, "application/json", `{"code":"`+strings.Repeat("c", 65)+`"}`), "refused", recovery.KindBadInput, "", 0},
		"bad request":        {answering(400, "text/plain", "493021"), "rejected", recovery.KindInternal, "", 0},
		"gone":               {answering(410, "text/plain", ""), "rejected", recovery.KindInternal, "", 0},
		"key not installed":  {answering(401, "text/plain", ""), "unavailable", recovery.KindUnavailable, "", retryDelay},
		"not deployed":       {answering(404, "text/plain", ""), "unavailable", recovery.KindUnavailable, "", retryDelay},
		"broken":             {answering(500, "text/plain", ""), "unavailable", recovery.KindUnavailable, "", retryDelay},
		"asks for two min":   {waiting("120"), "unavailable", recovery.KindUnavailable, "", 2 * time.Minute},
		"asks for an hour":   {waiting("3600"), "unavailable", recovery.KindUnavailable, "", time.Hour},
		"asks for more":      {waiting("3601"), "unavailable", recovery.KindUnavailable, "", time.Hour},
		"asks for a century": {waiting("3155760000"), "unavailable", recovery.KindUnavailable, "", time.Hour},
		"asks in vain":       {waiting("-1"), "unavailable", recovery.KindUnavailable, "", retryDelay},
	} {
		h := newHost(t, false, c.answer)
		err := newClient().Post(t.Context(), h.URL, "", question{"493021"}, &reply{})
		if c.key == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		e := recovery.AsError(err)
		if e == nil || e.Kind != c.kind || e.Key != "error.webhook."+c.key || e.RetryAfter != c.retry {
			t.Errorf("%s: %+v", name, e)
			continue
		}
		var refusal *Refusal
		if errors.As(err, &refusal) != (c.key == "refused") || (refusal != nil && refusal.Code != c.code) {
			t.Errorf("%s: refusal %+v", name, refusal)
		}
		if strings.Contains(err.Error(), "493021") {
			t.Errorf("%s: echoed: %v", name, err)
		}
	}
}

func waiting(after string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", after)
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

func TestPostSilentHost(t *testing.T) {
	h := newHost(t, false, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	c := newClient()
	c.Timeout = 50 * time.Millisecond
	err := c.Post(t.Context(), h.URL+"/secret-path", "", question{}, nil)
	if !recovery.IsKind(err, recovery.KindUnavailable) || strings.Contains(err.Error(), "secret-path") {
		t.Errorf("%v", err)
	}
	h.Close()
	if err := c.Post(t.Context(), h.URL, "", question{}, nil); !recovery.IsKind(err, recovery.KindUnavailable) {
		t.Errorf("nobody there: %v", err)
	}
}

// T19: a redirect leads to an address that nobody configured.
func TestPostFollowsNoRedirect(t *testing.T) {
	inner := newHost(t, false, nil)
	for _, status := range []int{301, 302, 303, 307, 308} {
		outer := newHost(t, false, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, inner.URL, status)
		})
		if err := newClient().Post(t.Context(), outer.URL, "", question{}, nil); err == nil || recovery.IsKind(err, recovery.KindUnavailable) {
			t.Errorf("%d: %v", status, err)
		}
	}
	if n := len(inner.all()); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

func TestPostWithoutItsFields(t *testing.T) {
	for name, spoil := range map[string]func(*Client){
		"no key":            func(c *Client) { c.Key = nil },
		"no clock":          func(c *Client) { c.Now = nil },
		"no key ID":         func(c *Client) { c.KeyID = "" },
		"key ID with quote": func(c *Client) { c.KeyID = `a"b` },
	} {
		h := newHost(t, false, nil)
		c := newClient()
		spoil(c)
		if err := c.Post(t.Context(), h.URL, "", question{}, nil); !recovery.IsKind(err, recovery.KindInternal) || len(h.all()) != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := newClient().Post(t.Context(), "https://host.example", "", func() {}, nil); !recovery.IsKind(err, recovery.KindInternal) {
		t.Errorf("a body that is no JSON: %v", err)
	}
	if got := fmt.Sprint(&Refusal{Status: 422, Code: "secret.reused"}); !strings.Contains(got, "secret.reused") {
		t.Error(got)
	}
}
