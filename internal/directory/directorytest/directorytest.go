// Package directorytest is a host system for tests: it keeps accounts in memory
// and answers the calls of docs/directory.md over real HTTP, signatures checked.
//
// Trust: for tests only. Secrets lie here in clear so that tests can look at them.
package directorytest

import (
	"crypto/ed25519"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/directory"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/webhook"
)

// Call is one call as the host took it.
type Call struct {
	Name           string // find, set-secret, end-sessions, unlock, lock
	IdempotencyKey string
	Realm          recovery.Realm
	Case           recovery.CaseID
	Account        string
	Reasons        []recovery.LockReason // of unlock and lock
}

// Host is a running host. Safe for concurrent use.
type Host struct {
	URL string // for directory.Webhook

	realm   recovery.Realm
	keys    func(string) (ed25519.PublicKey, bool)
	now     func() time.Time
	mu      sync.Mutex
	account map[string]*directory.Account
	secrets map[string]string
	done    map[string]bool // idempotency keys
	seen    map[string]bool // nonces
	calls   []Call
	refuse  string // the code of a refusal of the next secret
	fail    int    // the status of every answer, 0 for none
}

// Start runs a host of one realm until the test ends. keys gives Wanbi's public keys.
func Start(t testing.TB, realm recovery.Realm, keys func(keyID string) (ed25519.PublicKey, bool), now func() time.Time) *Host {
	h := &Host{
		realm: realm, keys: keys, now: now, account: map[string]*directory.Account{},
		secrets: map[string]string{}, done: map[string]bool{}, seen: map[string]bool{},
	}
	mux := http.NewServeMux()
	for name, answer := range map[string]func(body) (int, any){
		"find": h.find, "set-secret": h.setSecret, "end-sessions": h.endSessions, "unlock": h.unlock, "lock": h.lock,
	} {
		mux.HandleFunc("POST /wanbi/"+name, func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, name, answer) })
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	h.URL = server.URL + "/wanbi"
	return h
}

// Add puts an account into the directory, or replaces it.
func (h *Host) Add(a directory.Account) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.account[a.HostID] = &a
}

// Account gives the account as it is now.
func (h *Host) Account(hostID string) directory.Account {
	h.mu.Lock()
	defer h.mu.Unlock()
	if a := h.account[hostID]; a != nil {
		return *a
	}
	return directory.Account{}
}

// Secret gives the account's secret, empty before one was set.
func (h *Host) Secret(hostID string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.secrets[hostID]
}

// Calls gives the genuine calls so far, repeats included.
func (h *Host) Calls() []Call {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.calls)
}

// RefuseNext refuses the next secret with a code.
func (h *Host) RefuseNext(code string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refuse = code
}

// Fail answers every call with a status; 0 ends that.
func (h *Host) Fail(status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fail = status
}

// body has the fields of every request.
type body struct {
	Realm      recovery.Realm        `json:"realm"`
	Case       recovery.CaseID       `json:"case"`
	Account    string                `json:"account"`
	Identifier directory.Identifier  `json:"identifier"`
	Kind       string                `json:"kind"`
	Secret     string                `json:"secret"`
	Reason     recovery.LockReason   `json:"reason"`
	Reasons    []recovery.LockReason `json:"reasons"`
}

func (h *Host) serve(w http.ResponseWriter, r *http.Request, name string, answer func(body) (int, any)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		reply(w, http.StatusBadRequest, nil)
		return
	}
	verifier := webhook.Verifier{Keys: h.keys, Now: h.now, MaxAge: 5 * time.Minute, Seen: h.replayed}
	if _, err := verifier.Verify(r, raw); err != nil {
		reply(w, http.StatusUnauthorized, nil)
		return
	}
	var b body
	if json.Unmarshal(raw, &b) != nil || b.Realm != h.realm {
		reply(w, http.StatusBadRequest, nil)
		return
	}
	key := r.Header.Get("Idempotency-Key")
	reasons := b.Reasons
	if b.Reason != "" {
		reasons = []recovery.LockReason{b.Reason}
	}
	h.calls = append(h.calls, Call{name, key, b.Realm, b.Case, b.Account, reasons})
	switch {
	case h.fail != 0:
		reply(w, h.fail, nil)
	case key != "" && h.done[key]:
		reply(w, http.StatusOK, struct{}{})
	default:
		status, out := answer(b)
		if key != "" && status == http.StatusOK {
			h.done[key] = true
		}
		reply(w, status, out)
	}
}

func (h *Host) replayed(keyID, nonce string, _ time.Time) bool {
	again := h.seen[keyID+" "+nonce]
	h.seen[keyID+" "+nonce] = true
	return again
}

func reply(w http.ResponseWriter, status int, out any) {
	kind := "application/json"
	if status >= 400 {
		kind = "application/problem+json"
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	if out != nil {
		_ = json.NewEncoder(w).Encode(out)
	}
}

type coded struct {
	Code string `json:"code"`
}

func (h *Host) find(b body) (int, any) {
	found := []directory.Account{}
	for _, a := range h.account {
		if slices.Contains(a.Identifiers, b.Identifier) {
			found = append(found, *a)
		}
	}
	slices.SortFunc(found, func(a, b directory.Account) int {
		if a.HostID < b.HostID {
			return -1
		}
		return 1
	})
	return http.StatusOK, map[string]any{"accounts": found}
}

func (h *Host) setSecret(b body) (int, any) {
	if h.account[b.Account] == nil || b.Kind != directory.KindPassword {
		return http.StatusConflict, coded{"account.unknown"}
	}
	if code := h.refuse; code != "" {
		h.refuse = ""
		return http.StatusUnprocessableEntity, coded{code}
	}
	h.secrets[b.Account] = b.Secret
	return http.StatusOK, struct{}{}
}

func (h *Host) endSessions(b body) (int, any) {
	if h.account[b.Account] == nil {
		return http.StatusConflict, coded{"account.unknown"}
	}
	return http.StatusOK, struct{}{}
}

func (h *Host) unlock(b body) (int, any) {
	a := h.account[b.Account]
	if a == nil {
		return http.StatusConflict, coded{"account.unknown"}
	}
	a.Locks = slices.DeleteFunc(slices.Clone(a.Locks), func(l directory.Lock) bool { return slices.Contains(b.Reasons, l.Reason) })
	return http.StatusOK, struct{}{}
}

func (h *Host) lock(b body) (int, any) {
	a := h.account[b.Account]
	if a == nil {
		return http.StatusConflict, coded{"account.unknown"}
	}
	a.Locks = append(slices.Clone(a.Locks), directory.Lock{Reason: b.Reason, At: h.now().UTC()})
	return http.StatusOK, struct{}{}
}
