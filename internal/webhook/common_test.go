package webhook

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 20, 4, 0, 0, 0, time.UTC)

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

var testKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

func testKeys(keyID string) (ed25519.PublicKey, bool) {
	return testKey.Public().(ed25519.PublicKey), keyID == "wanbi-1"
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func newClient() *Client {
	return &Client{Key: testKey, KeyID: "wanbi-1", Now: at(noon), AllowPrivate: loopback}
}

// kept is a request as a host got it.
type kept struct {
	request *http.Request
	body    []byte
}

// host keeps requests and answers as it is told.
type host struct {
	*httptest.Server
	mu     sync.Mutex
	got    []kept
	answer http.HandlerFunc
}

func newHost(t *testing.T, useTLS bool, answer http.HandlerFunc) *host {
	t.Helper()
	h := &host{answer: answer}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		h.mu.Lock()
		h.got = append(h.got, kept{r.Clone(context.WithoutCancel(r.Context())), body})
		h.mu.Unlock()
		if h.answer != nil {
			h.answer(w, r)
		}
	})
	h.Server = httptest.NewUnstartedServer(handler)
	if useTLS {
		h.StartTLS()
	} else {
		h.Start()
	}
	t.Cleanup(h.Close)
	return h
}

func (h *host) all() []kept {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.got
}

func (h *host) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(h.Certificate())
	return pool
}

func answering(status int, kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}
