package faults

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wanbi/wanbi/internal/bench/rig"
)

// codeSubject begins the subject of messages that hold a code.
const codeSubject = "Your code"

func isCode(l rig.Letter) bool { return strings.HasPrefix(l.Subject, codeSubject) }

// Mailbox keeps every message that was sent, repeats too.
type Mailbox struct {
	mu      sync.Mutex
	letters map[string][]rig.Letter
	arrived map[string]chan struct{} // closed when something comes, by recipient
}

func newMailbox() *Mailbox {
	return &Mailbox{letters: map[string][]rig.Letter{}, arrived: map[string]chan struct{}{}}
}

// sayAfter is how long the mail server takes to say that it has a message, so that
// servers are killed in between and send it again.
const sayAfter = 40 * time.Millisecond

func (m *Mailbox) take(l rig.Letter) error {
	m.put(l)
	time.Sleep(sayAfter)
	return nil
}

func (m *Mailbox) put(l rig.Letter) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.letters[l.To] = append(m.letters[l.To], l)
	if waiting := m.arrived[l.To]; waiting != nil {
		close(waiting)
		delete(m.arrived, l.To)
	}
}

// codes waits until so many different messages with a code came, and gives them.
func (m *Mailbox) codes(ctx context.Context, to string, count int) ([]rig.Letter, error) {
	for {
		m.mu.Lock()
		found := distinct(m.letters[to], isCode)
		waiting := m.arrived[to]
		if waiting == nil {
			waiting = make(chan struct{})
			m.arrived[to] = waiting
		}
		m.mu.Unlock()
		if len(found) >= count {
			return found, nil
		}
		select {
		case <-waiting:
		case <-ctx.Done():
			return found, ctx.Err()
		}
	}
}

// all gives every letter by recipient.
func (m *Mailbox) all() map[string][]rig.Letter {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string][]rig.Letter{}
	for to, letters := range m.letters {
		out[to] = slices.Clone(letters)
	}
	return out
}

// distinct gives the letters that pass, without repeats.
func distinct(letters []rig.Letter, pass func(rig.Letter) bool) []rig.Letter {
	var out []rig.Letter
	for _, l := range letters {
		if pass(l) && !slices.ContainsFunc(out, func(o rig.Letter) bool { return o.ID == l.ID }) {
			out = append(out, l)
		}
	}
	return out
}

// Event is what the host was told (docs/events.md).
type Event struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Account  string `json:"account"`
	Sequence int64  `json:"sequence"`
}

// Host is the system that is told of events. It keeps every one, repeats too.
type Host struct {
	server *http.Server
	url    string

	mu     sync.Mutex
	events map[string][]Event // by its own ID of the account
}

func startHost() (*Host, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h := &Host{url: "http://" + listener.Addr().String() + "/events", events: map[string][]Event{}}
	h.server = &http.Server{Handler: http.HandlerFunc(h.hear)}
	go func() { _ = h.server.Serve(listener) }() // ends with close
	return h, nil
}

func (h *Host) close() { _ = h.server.Close() }

func (h *Host) hear(w http.ResponseWriter, r *http.Request) {
	var e Event
	if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
		http.Error(w, "no event", http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events[e.Account] = append(h.events[e.Account], e)
	w.WriteHeader(http.StatusNoContent)
}

func (h *Host) all() map[string][]Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := map[string][]Event{}
	for account, events := range h.events {
		out[account] = slices.Clone(events)
	}
	return out
}
