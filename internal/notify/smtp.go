package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	netmail "net/mail"
	"strings"
	"sync"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/wanbi/wanbi/internal/recovery"
)

// How a connection to the mail server is protected.
const (
	TLSStart    = "starttls" // the default; a server that does not offer it is not used
	TLSImplicit = "implicit" // TLS from the first byte, usually port 465
	TLSNone     = "none"     // loopback only
)

// How to sign in to the mail server, when there is a user name.
const (
	AuthAuto  = "auto" // the default: PLAIN where offered, else LOGIN
	AuthPlain = "plain"
	AuthLogin = "login"
)

// Defaults of an SMTP sender. Four answers are awaited for each message, so a
// server that takes 200 ms for one passes 20 / 0.8 s = 25 messages a second.
const (
	defaultConnections = 20
	defaultTimeout     = 30 * time.Second
	defaultIdle        = time.Minute
)

// SMTPConfig says where mail goes and how. The zero value of every field but
// Addr and From is safe.
type SMTPConfig struct {
	Addr        string         // host:port of the next mail server
	TLS         string         // starttls, implicit or none (loopback only)
	Auth        string         // auto, plain or login; used when Username is set
	Username    string         // empty: do not sign in
	Password    string         // sent over TLS or to loopback only
	From        string         // the envelope's and header's bare address; its domain ends every Message-ID
	HELO        string         // the name we greet with; default: the domain of From
	Timeout     time.Duration  // for connecting, and again for each message; default 30 s
	Connections int            // at most so many at a time, reused; default 20
	Idle        time.Duration  // a connection unused for longer is not tried again; default 1 min
	RootCAs     *x509.CertPool // nil: the system's
	Log         *slog.Logger   // nil: slog.Default; hears of what an operator must repair
}

// String names the server only: the rest is secret or dull.
func (c SMTPConfig) String() string { return "smtp " + c.Addr }

// GoString is String, for %#v.
func (c SMTPConfig) GoString() string { return c.String() }

// LogValue is String, for slog.
func (c SMTPConfig) LogValue() slog.Value { return slog.StringValue(c.String()) }

// SMTP is a [Sender] of e-mail over a pool of reused connections.
type SMTP struct {
	cfg    SMTPConfig
	host   string
	domain string
	now    func() time.Time
	slots  chan struct{} // one token for each connection in use

	mu     sync.Mutex
	idle   []*session // the most recently used last
	closed bool
}

// NewSMTP checks the configuration; it does not connect yet. now is used for
// the Date header and for the age of idle connections.
func NewSMTP(cfg SMTPConfig, now func() time.Time) (*SMTP, error) {
	host, port, err := net.SplitHostPort(cfg.Addr)
	if err != nil || host == "" || port == "" {
		return nil, fmt.Errorf("smtp: addr %q is not host:port", cfg.Addr)
	}
	if cfg.TLS == "" {
		cfg.TLS = TLSStart
	}
	switch cfg.TLS {
	case TLSStart, TLSImplicit:
	case TLSNone:
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return nil, fmt.Errorf("smtp: tls none is for loopback only, and %q is not", host)
		}
	default:
		return nil, fmt.Errorf("smtp: tls %q is none of starttls, implicit, none", cfg.TLS)
	}
	if cfg.Auth == "" {
		cfg.Auth = AuthAuto
	}
	if cfg.Auth != AuthAuto && cfg.Auth != AuthPlain && cfg.Auth != AuthLogin {
		return nil, fmt.Errorf("smtp: auth %q is none of auto, plain, login", cfg.Auth)
	}
	if !bareEmail(cfg.From) || !isASCII(cfg.From) {
		return nil, errors.New("smtp: from is not a bare ASCII e-mail address")
	}
	domain := cfg.From[strings.LastIndexByte(cfg.From, '@')+1:]
	if cfg.HELO == "" {
		cfg.HELO = domain
	}
	if !oneLine(cfg.HELO) || strings.ContainsAny(cfg.HELO, " <>") {
		return nil, errors.New("smtp: helo is no host name")
	}
	if cfg.Timeout < 0 || cfg.Connections < 0 || cfg.Idle < 0 {
		return nil, errors.New("smtp: timeout, connections and idle cannot be negative")
	}
	cfg.Timeout = orElse(cfg.Timeout, defaultTimeout)
	cfg.Connections = orElse(cfg.Connections, defaultConnections)
	cfg.Idle = orElse(cfg.Idle, defaultIdle)
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return &SMTP{
		cfg: cfg, host: host, domain: domain, now: now,
		slots: make(chan struct{}, cfg.Connections),
	}, nil
}

func orElse[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

func (s *SMTP) tlsConfig() *tls.Config {
	return &tls.Config{ServerName: s.host, RootCAs: s.cfg.RootCAs, MinVersion: tls.VersionTLS12}
}

// Send implements [Sender]: it returns once the server has taken the message.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	if err := m.check(recovery.ContactEmail); err != nil {
		return refused(err)
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return unavailable(ctx.Err())
	}
	failed := s.exchange(ctx, m)
	switch {
	case failed == nil:
		return nil
	case failed.permanent():
		return refused(failed)
	case failed.ours():
		s.cfg.Log.ErrorContext(ctx, "mail server cannot be used as configured", "server", s.cfg.Addr, "cause", failed.Error())
	}
	return unavailable(failed)
}

// exchange sends over a pooled connection, and over a new one where there is no
// pooled one or where the server has left it in the meantime.
func (s *SMTP) exchange(ctx context.Context, m Message) *failure {
	letter := s.compose(m)
	for conn := s.takeIdle(); ; conn = nil {
		fresh := conn == nil
		if fresh {
			var failed *failure
			if conn, failed = s.connect(ctx); failed != nil {
				return failed
			}
		}
		failed := s.deliver(ctx, conn, m.To, letter)
		if failed == nil || (failed.answered() && s.reset(ctx, conn) == nil) {
			s.putIdle(conn)
			return failed
		}
		conn.close()
		// Nothing was taken before the final dot, so another try doubles nothing.
		if fresh || !failed.stale() || ctx.Err() != nil {
			return failed
		}
	}
}

// compose writes the letter. Everything in it was checked or is encoded by the
// library, so no field can end its header early.
func (s *SMTP) compose(m Message) *mail.Msg {
	encoding := mail.EncodingQP
	if !isASCII(m.Text) || !isASCII(m.Subject) {
		encoding = mail.EncodingB64 // a third of quoted-printable's size for Chinese
	}
	letter := mail.NewMsg(mail.WithEncoding(encoding), mail.WithNoDefaultUserAgent())
	letter.FromMailAddress(&netmail.Address{Name: m.From, Address: s.cfg.From})
	letter.ToMailAddress(&netmail.Address{Address: m.To})
	letter.Subject(m.Subject)
	letter.SetMessageIDWithValue(m.ID + "@" + s.domain)
	letter.SetDateWithValue(s.now())
	letter.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834 §5
	if m.Locale != "" {
		letter.SetGenHeader(mail.HeaderContentLang, m.Locale)
	}
	letter.SetBodyString(mail.TypeTextPlain, m.Text)
	return letter
}

// takeIdle gives the connection used last, or nil. Those that idled for too
// long are closed: the server is about to.
func (s *SMTP) takeIdle() *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	oldest := s.now().Add(-s.cfg.Idle)
	for len(s.idle) > 0 {
		conn := s.idle[len(s.idle)-1]
		s.idle = s.idle[:len(s.idle)-1]
		if !conn.since.Before(oldest) {
			return conn
		}
		conn.close()
	}
	return nil
}

func (s *SMTP) putIdle(conn *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		conn.close()
		return
	}
	conn.since = s.now()
	s.idle = append(s.idle, conn)
}

// Close hangs up on idle connections, and on those in use as they come back.
// A Send after Close still works, over a connection of its own.
func (s *SMTP) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, conn := range s.idle {
		conn.close()
	}
	s.idle = nil
	return nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
