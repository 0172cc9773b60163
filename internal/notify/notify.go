// Package notify delivers messages: e-mail over SMTP, texts over a Kannel
// gateway. It is handed finished words and one address, and either the next
// system has taken the message or an error says whether to try again.
//
// It neither chooses nor counts nor remembers: what is sent, to whom and how
// often was decided before, and the outbox repeats what failed. A repeat is the
// same message under the same ID.
//
// Trust: whoever reads what passes through here can prove contacts that are not
// theirs, so texts, codes and addresses never enter an error or a log.
package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/mail"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/wanbi/wanbi/internal/recovery"
)

// retryDelay is what a temporary failure asks for before the next try; the
// outbox's own backoff may be longer.
const retryDelay = 30 * time.Second

// Message is one message to one address, in plain text only. Text and To are
// sensitive: String, %#v and slog show neither.
type Message struct {
	// ID is the same for every repeat of this message. It becomes the Message-ID
	// of an e-mail and the id of a text's delivery report: letters, digits, dot,
	// hyphen and underscore, at most 128 of them.
	ID   string
	Kind recovery.ContactKind
	// To is exactly one canonical address: li@example.cn or +8613800001234.
	To string
	// From is the name shown beside the sender's address (the realm's), may be empty.
	From string
	// Subject is one line; texts to a phone have none.
	Subject string
	// Text is UTF-8 with \n line ends.
	Text string
	// Locale is a BCP 47 tag such as zh-CN, may be empty.
	Locale string
}

// Sender hands one message to the next system. Safe for concurrent use.
//
// A temporary failure is KindUnavailable "error.delivery.unavailable": send the
// same message again later. A permanent one is KindBadInput
// "error.delivery.refused": this address or message will never do. Neither
// carries the text or the address in its cause.
type Sender interface {
	Send(ctx context.Context, m Message) error
}

// Router sends each message through the sender of its kind. A kind without a
// sender is refused.
type Router map[recovery.ContactKind]Sender

// Send implements [Sender].
func (r Router) Send(ctx context.Context, m Message) error {
	sender, ok := r[m.Kind]
	if !ok {
		return refused(fmt.Errorf("no sender for kind %q", m.Kind))
	}
	return sender.Send(ctx, m)
}

// String names the kind and the ID only, so that a stray %v discloses nothing.
func (m Message) String() string { return string(m.Kind) + " message " + m.ID }

// GoString is String, for %#v.
func (m Message) GoString() string { return m.String() }

// LogValue is String, for slog.
func (m Message) LogValue() slog.Value { return slog.StringValue(m.String()) }

var (
	idForm     = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)
	phoneForm  = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`) // E.164 §6: at most 15 digits
	localeForm = regexp.MustCompile(`^([A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*)?$`)
)

// check refuses what must never reach a wire: more than one destination (T2),
// line breaks in a header, text that is no text.
func (m Message) check(kind recovery.ContactKind) error {
	switch {
	case m.Kind != kind:
		return fmt.Errorf("this sender delivers kind %q, not %q", kind, m.Kind)
	case !idForm.MatchString(m.ID):
		return errors.New("message ID has characters other than letters, digits, '.', '-', '_', or a wrong length")
	case !localeForm.MatchString(m.Locale):
		return errors.New("locale is no language tag")
	case !oneLine(m.Subject) || !oneLine(m.From):
		return errors.New("subject or sender name has control characters")
	case m.Text == "" || !utf8.ValidString(m.Text) || strings.ContainsRune(m.Text, 0):
		return errors.New("text is empty or no UTF-8 text")
	case kind == recovery.ContactEmail && !bareEmail(m.To):
		return errors.New("destination is not exactly one bare e-mail address")
	case kind == recovery.ContactPhone && !phoneForm.MatchString(m.To):
		return errors.New("destination is not exactly one number in E.164 form")
	}
	return nil
}

func oneLine(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || r == '\u2028' || r == '\u2029'
	})
}

// bareEmail reports whether s is one address and nothing besides: no display
// name, comment, list, quoted local part or address literal. The limit of 254
// octets is RFC 5321 §4.5.3.1.3.
func bareEmail(s string) bool {
	parsed, err := mail.ParseAddress(s)
	return err == nil && parsed.Address == s && parsed.Name == "" && len(s) <= 254 &&
		oneLine(s) && !strings.ContainsAny(s, "[]<>\"(), ")
}

func unavailable(cause error) error {
	return recovery.Unavailable("error.delivery.unavailable", retryDelay).Because(cause)
}

func refused(cause error) error {
	return recovery.BadInput("error.delivery.refused").Because(cause)
}
