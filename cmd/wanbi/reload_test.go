package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// caller asks a running server as a host or a claimant would.
type caller struct {
	t    *testing.T
	base string
}

func (c caller) ask(method, path, bearer string, body any) (int, map[string]any) {
	text, err := json.Marshal(body)
	if err != nil {
		c.t.Error(err)
	}
	request, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, bytes.NewReader(text))
	if err != nil {
		c.t.Error(err)
		return 0, nil
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+bearer)
	if method == http.MethodPost {
		request.Header.Set("Idempotency-Key", fmt.Sprintf("%x", sha256.Sum256(text)))
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		c.t.Error(err)
		return 0, nil
	}
	defer func() { _ = answer.Body.Close() }()
	var out map[string]any
	_ = json.NewDecoder(answer.Body).Decode(&out)
	return answer.StatusCode, out
}

// says reports how often a running command has said it.
func (r *running) says(text string) int { return strings.Count(r.out.String(), text) }

// A whole rotation, and a file that is refused, while requests come in that read
// and write with the keys: none fails, and what was opened before goes on after.
func TestKeysAreTakenUpWhileRequestsComeIn(t *testing.T) {
	i := install(t)
	i.settings("log:\n  level: error", "log:\n  level: info")
	at := []string{"--config", i.config, "--realm", "yichuangtong"}
	key := strings.TrimSpace(wanbi(t, append([]string{
		"api-key", "mint", "--name", "x", "--scope", "accounts:write", "--scope", "accounts:read",
	}, at...)...).want(t, exitOK).out)
	r := begin(t, regexp.MustCompile(`wanbi serves","listen":"([^"]+)"`), "serve", "--config", i.config)
	c := caller{t, "http://" + r.url}
	status, opened := c.ask(http.MethodPost, "/v1/yichuangtong/cases", "", map[string]string{"intent": "reset-password", "identifier": "13800001001"})
	if status != http.StatusOK && status != http.StatusCreated {
		t.Fatalf("a case: %d, %v", status, opened)
	}
	token, id := fmt.Sprint(opened["token"]), fmt.Sprint(opened["case"])

	done := make(chan struct{})
	var all sync.WaitGroup
	load := func(one func(n int)) {
		all.Go(func() {
			for n := 0; ; n++ {
				one(n)
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for worker := range 2 {
		load(func(int) { // a claimant looks at the case
			if status, out := c.ask(http.MethodGet, "/v1/cases/"+id, token, nil); status != http.StatusOK {
				t.Errorf("the case: %d, %v", status, out)
			}
		})
		load(func(n int) { // a host brings an account and reads it
			account := fmt.Sprintf("a%d-%d", worker, n)
			phone := fmt.Sprintf("138%d%07d", worker, n)
			status, out := c.ask(http.MethodPost, "/v1/yichuangtong/accounts", key, map[string]any{
				"accounts": []map[string]string{{"id": account, "phone": phone}},
			})
			if status != http.StatusOK || !strings.Contains(fmt.Sprint(out), "created:true") {
				t.Errorf("bringing an account: %d, %v", status, out)
			}
			if status, out := c.ask(http.MethodGet, "/v1/yichuangtong/accounts/"+account, key, nil); status != http.StatusOK {
				t.Errorf("reading it: %d, %v", status, out)
			}
		})
	}
	hangUp := func(wanted string, times int) {
		t.Helper()
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		for r.says(wanted) < times {
			if status, _ := c.ask(http.MethodGet, "/healthz", "", nil); status != http.StatusOK {
				t.Fatalf("health: %d", status)
			}
		}
	}
	good, err := os.ReadFile(i.keys)
	if err != nil {
		t.Fatal(err)
	}
	wanbi(t, "keys", "rotate", i.keys).want(t, exitOK)
	hangUp("keys taken up", 1)
	wanbi(t, "keys", "promote", i.keys).want(t, exitOK)
	hangUp("keys taken up", 2)
	i.file("keys.json", string(good[:len(good)/2]))
	hangUp("NOT taken up", 1)
	i.file("keys.json", string(good)) // it lacks what is in use
	hangUp("NOT taken up", 2)
	close(done)
	all.Wait()
	r.end()
	if !strings.Contains(r.out.String(), "1 (old), 2 (used)") || !strings.Contains(r.out.String(), "the file lacks version 2") {
		t.Errorf("it says %s", r.out)
	}
}
