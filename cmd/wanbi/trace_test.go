package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// What was traced is sent at the latest when the server stops.
func TestServeSendsItsTraces(t *testing.T) {
	var mu sync.Mutex
	var sent strings.Builder
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		sent.WriteString(r.URL.Path + "\n" + string(body))
	}))
	defer collector.Close()
	i := install(t)
	i.settings("log:\n  level: error", "tracing:\n  endpoint: "+collector.URL+"/v1/traces\nlog:\n  level: info")
	r := begin(t, regexp.MustCompile(`wanbi serves","listen":"([^"]+)"`), "serve", "--config", i.config)
	if got := status(t, "http://"+r.url+"/healthz?a-secret"); got != http.StatusOK {
		t.Errorf("health: %d", got)
	}
	r.end()
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{"/v1/traces\n", "GET /healthz", "service.name", "wanbi"} {
		if !strings.Contains(sent.String(), want) {
			t.Errorf("%q was not sent", want)
		}
	}
	if strings.Contains(sent.String(), "a-secret") {
		t.Error("a query was sent")
	}
}
