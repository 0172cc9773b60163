package demo

import (
	"context"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wanbi/wanbi/internal/notify"
	"github.com/wanbi/wanbi/internal/recovery"
)

// mostMessages bounds what an inbox keeps; the oldest go first.
const mostMessages = 2000

// Inbox is a [notify.Sender] that keeps messages in place of sending them. Set
// Now before the first message; the rest is safe for concurrent use.
type Inbox struct {
	// Now dates what comes in; NewInbox sets time.Now.
	Now func() time.Time

	mu   sync.RWMutex
	kept []Message // oldest first
	seen map[string]bool
}

// Message is one message as its reader got it. Everything in it is in the clear.
type Message struct {
	ID      string               `json:"id"`
	At      time.Time            `json:"at"`
	Kind    recovery.ContactKind `json:"kind"`
	To      string               `json:"to"` // canonical: +8613800001234, li@example.cn
	From    string               `json:"from,omitempty"`
	Subject string               `json:"subject,omitempty"`
	Text    string               `json:"text"`
	Links   []string             `json:"links"`          // in the order of the text, each once
	Code    string               `json:"code,omitempty"` // the one-time code, where it carries one
}

// String names the kind and the ID only: tests and logs print it by accident.
func (m Message) String() string { return string(m.Kind) + " message " + m.ID }

// GoString is String, for %#v.
func (m Message) GoString() string { return m.String() }

// LogValue is String, for slog.
func (m Message) LogValue() slog.Value { return slog.StringValue(m.String()) }

// NewInbox gives an empty inbox.
func NewInbox() *Inbox { return &Inbox{Now: time.Now, seen: map[string]bool{}} }

// Send keeps the message. One that comes again under the same ID is the same
// message and is kept once, as a mailbox does with a Message-ID.
func (b *Inbox) Send(_ context.Context, m notify.Message) error {
	kept := Message{
		ID: m.ID, At: b.Now().UTC(), Kind: m.Kind, To: m.To, From: m.From, Subject: m.Subject, Text: m.Text,
		Links: linksIn(m.Text), Code: codeIn(m.Text),
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seen[m.ID] {
		return nil
	}
	b.seen[m.ID] = true
	b.kept = append(b.kept, kept)
	if len(b.kept) > mostMessages {
		delete(b.seen, b.kept[0].ID)
		b.kept = slices.Delete(b.kept, 0, 1)
	}
	return nil
}

// Messages gives what an address got, oldest first; empty for every address.
func (b *Inbox) Messages(to string) []Message {
	b.mu.RLock()
	defer b.mu.RUnlock()
	out := []Message{}
	for _, m := range b.kept {
		if to == "" || m.To == to {
			out = append(out, m)
		}
	}
	return out
}

// Last gives the newest message of a kind that an address got. An empty kind or
// address stands for every one.
func (b *Inbox) Last(kind recovery.ContactKind, to string) (Message, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, m := range slices.Backward(b.kept) {
		if (kind == "" || m.Kind == kind) && (to == "" || m.To == to) {
			return m, true
		}
	}
	return Message{}, false
}

// Clear forgets every message.
func (b *Inbox) Clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept, b.seen = nil, map[string]bool{}
}

// addresses are the web addresses in a text, in ASCII as they are sent.
var addresses = regexp.MustCompile(`https?://[-A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%]+`)

// linksIn finds each address in the text once.
func linksIn(text string) []string {
	out := []string{}
	for _, link := range addresses.FindAllString(text, -1) {
		if link = strings.TrimRight(link, ".,;:!?)'"); !slices.Contains(out, link) {
			out = append(out, link)
		}
	}
	return out
}

// codes finds the code of a message as telephones do: bound to our host on the
// last line of a text, else the number that a mail begins with.
var codes = regexp.MustCompile(`(?m)(?:^@\S+ #([0-9]{6,8})$)|(?:\A([0-9]{6,8})[^0-9])`)

func codeIn(text string) string {
	found := codes.FindStringSubmatch(text)
	if found == nil {
		return ""
	}
	return found[1] + found[2] // one of them is empty
}
