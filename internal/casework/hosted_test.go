package casework_test

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

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/claimant"
	"github.com/wanbi/wanbi/internal/directory"
	"github.com/wanbi/wanbi/internal/directory/directorytest"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/server"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/testkit"
	"github.com/wanbi/wanbi/internal/webhook"
)

// hosted is a desk whose accounts are the host's own, behind signed calls, and
// which tells the host its events.
type hosted struct {
	*desk
	host   *directorytest.Host
	events *eventSink
}

// eventSink takes events as a host does: signatures checked, in order of arrival.
type eventSink struct {
	mu     sync.Mutex
	status int // answered instead of 204 while not 0
	got    []account.Event
}

func newHosted(t *testing.T, engine store.Engine) *hosted {
	h := &hosted{events: &eventSink{}}
	var key ed25519.PublicKey
	keys := func(string) (ed25519.PublicKey, bool) { return key, true }
	var now func() time.Time
	clock := func() time.Time { return now() }
	h.host = directorytest.Start(t, "yichuangtong", keys, clock)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.events.take(w, r, webhook.Verifier{Keys: keys, Now: clock, MaxAge: time.Minute})
	}))
	t.Cleanup(receiver.Close)
	h.desk = newDesk(t, engine, nil, func(o *server.Options) {
		key, now = o.Keys.HookKey().Public().(ed25519.PublicKey), o.Now
		o.Realms = []server.Realm{{
			Policy: testkit.PolicyWith(t, faithful, "directory: built-in", "directory: webhook"),
			Events: receiver.URL, Directory: h.host.URL,
		}}
	})
	h.host.Add(directory.Account{
		HostID: "u-1", Locale: "zh-CN",
		Identifiers: []directory.Identifier{{Kind: recovery.IdentifierPhone, Value: liPhone}, {Kind: recovery.IdentifierUsername, Value: "liwei"}},
		Contacts: []directory.Contact{
			{Kind: recovery.ContactPhone, Value: liPhone}, {Kind: recovery.ContactEmail, Value: liEmail},
		},
	})
	return h
}

func (s *eventSink) take(w http.ResponseWriter, r *http.Request, v webhook.Verifier) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		_, err = v.Verify(r, body)
	}
	var e account.Event
	if err != nil || json.Unmarshal(body, &e) != nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status != 0 {
		w.WriteHeader(s.status)
		return
	}
	s.got = append(s.got, e)
	w.WriteHeader(http.StatusNoContent)
}

func (s *eventSink) types() (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, e := range s.got {
		if e.Sequence != int64(i+1) || e.Account != "u-1" {
			return []string{"out of order"}
		}
		out = append(out, e.Type)
	}
	return out
}

func eachEngine(t *testing.T, run func(t *testing.T, h *hosted)) {
	for _, engine := range testkit.Engines {
		t.Run(string(engine), func(t *testing.T) { run(t, newHosted(t, engine)) })
	}
}

// The host keeps the accounts: it is asked who has the phone, given the new
// secret once, told to end sessions, and told what happened, in order.
func TestAHostWithItsOwnAccountsIsGivenTheSecretAndTold(t *testing.T) {
	eachEngine(t, func(t *testing.T, h *hosted) {
		c := h.reset("liwei").start("phone", "sms-code")
		h.check(c.code(h.code(liPhone)))
		c.atStep(claimant.StepSecret)
		h.check(c.outcome(goodPassword))
		h.settle()
		c.atStep(claimant.StepDone)
		if got := h.host.Secret("u-1"); got != goodPassword {
			t.Errorf("the host has the secret %q", got)
		}
		if row := c.row(); row.Outcome != nil {
			t.Error("the pending secret was kept after the end")
		}
		want := []string{account.EventSecretChanged, account.EventSessionsEnded}
		if got := h.events.types(); !slices.Equal(got, want) {
			t.Errorf("the host was told %v, want %v", got, want)
		}
		var calls []string
		for _, call := range h.host.Calls() {
			calls = append(calls, call.Name)
		}
		if i := slices.Index(calls, "set-secret"); i < 0 || slices.Index(calls, "end-sessions") < i {
			t.Errorf("the host was called %v", calls)
		}
	})
}

// The host has rules of its own: a refused secret lets the claimant give another.
func TestAHostMayRefuseTheSecretAndTheClaimantGivesAnother(t *testing.T) {
	eachEngine(t, func(t *testing.T, h *hosted) {
		c := h.reset("13800001234").start("phone", "sms-code")
		h.check(c.code(h.code(liPhone)))
		h.host.RefuseNext("used-before")
		h.check(c.outcome(goodPassword))
		h.settle()
		c.atStep(claimant.StepSecret)
		h.check(c.outcome("other-" + goodPassword))
		h.settle()
		c.atStep(claimant.StepDone)
		if got := h.host.Secret("u-1"); got != "other-"+goodPassword {
			t.Errorf("the host has the secret %q", got)
		}
	})
}

// The host is away: the case waits in applying, nothing is lost, and in the end a
// person has to look.
func TestAHostThatIsAwayIsAskedAgainAndInTheEndAPersonLooks(t *testing.T) {
	eachEngine(t, func(t *testing.T, h *hosted) {
		c := h.reset("13800001234").start("phone", "sms-code")
		h.check(c.code(h.code(liPhone)))
		h.host.Fail(http.StatusServiceUnavailable)
		h.check(c.outcome(goodPassword))
		h.settle()
		c.atStep(claimant.StepApplying)
		h.check(h.Advance(time.Hour))
		c.atStep(claimant.StepApplying)
		h.host.Fail(0)
		h.check(h.Advance(2 * time.Hour))
		c.atStep(claimant.StepDone)

		h.check(h.Advance(time.Minute))
		again := h.reset("13800001234").start("phone", "sms-code")
		h.check(again.code(h.code(liPhone)))
		h.host.Fail(http.StatusServiceUnavailable)
		h.check(again.outcome(goodPassword))
		for range 20 { // more than the tries of a job
			h.check(h.Advance(6 * time.Hour))
		}
		again.atStep(claimant.StepPerson)
	})
}

// Events wait for a host that is away and then arrive in the account's order.
func TestEventsArriveInOrderAfterTheHostWasAway(t *testing.T) {
	eachEngine(t, func(t *testing.T, h *hosted) {
		h.events.mu.Lock()
		h.events.status = http.StatusBadGateway
		h.events.mu.Unlock()
		c := h.reset("13800001234").start("phone", "sms-code")
		h.check(c.code(h.code(liPhone)))
		h.check(c.outcome(goodPassword))
		h.settle()
		if got := h.events.types(); len(got) != 0 {
			t.Fatalf("events got through: %v", got)
		}
		h.events.mu.Lock()
		h.events.status = 0
		h.events.mu.Unlock()
		for range 6 {
			h.check(h.Advance(time.Minute))
		}
		want := []string{account.EventSecretChanged, account.EventSessionsEnded}
		if got := h.events.types(); !slices.Equal(got, want) {
			t.Errorf("the host was told %v, want %v", got, want)
		}
	})
}
