// Package smtptest runs a mail server on loopback that keeps what it is sent,
// for tests. It can demand TLS and a password, answer slowly, refuse, and hang up.
//
// Trust: for tests only. Its certificate is made at each start and its store is memory.
package smtptest

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Options of a server. The zero value is an open server without TLS.
type Options struct {
	TLS        string   // "" or "none", "starttls", "implicit"
	Username   string   // set: mail is taken only after AUTH
	Password   string   //
	Mechanisms []string // PLAIN, LOGIN; default: PLAIN
	// Latency is waited before every answer, the greeting included.
	Latency time.Duration
	// Fail is asked at each step, "mail", "rcpt" and "data", with the address
	// (empty at data); what it returns is the answer, nil lets the step pass.
	// See Refusal.
	Fail func(step, address string) error
}

// Refusal is an answer for Options.Fail, such as 550 "5.1.1" "no such mailbox".
func Refusal(code int, enhanced, text string) error {
	var e smtp.EnhancedCode
	if _, err := fmt.Sscanf(enhanced, "%d.%d.%d", &e[0], &e[1], &e[2]); err != nil {
		e = smtp.NoEnhancedCode
	}
	return &smtp.SMTPError{Code: code, EnhancedCode: e, Message: text}
}

// Message is one that the server took.
type Message struct {
	From    string      // envelope
	To      []string    // envelope
	Header  mail.Header // as on the wire, undecoded
	Subject string      // decoded
	Text    string      // decoded, with \n line ends
	TLS     bool        // whether it came under TLS
	User    string      // who had signed in, empty for nobody
	UTF8    bool        // whether the sender asked for SMTPUTF8
}

// Server is a running server. Safe for concurrent use.
type Server struct {
	Addr    string         // 127.0.0.1:port
	RootCAs *x509.CertPool // what to trust, nil without TLS

	opts   Options
	server *smtp.Server
	done   chan struct{}

	mu       sync.Mutex
	came     chan struct{} // closed and replaced whenever a message came
	messages []Message
	conns    map[net.Conn]struct{}
	accepted int
	busy     int
	mostBusy int
}

// Start runs a server until the test ends.
func Start(t testing.TB, opts Options) *Server {
	t.Helper()
	if len(opts.Mechanisms) == 0 {
		opts.Mechanisms = []string{sasl.Plain}
	}
	s := &Server{opts: opts, done: make(chan struct{}), came: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	s.server = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &session{server: s, conn: c}, nil
	}))
	s.server.Domain = "localhost"
	s.server.AllowInsecureAuth = true
	s.server.EnableSMTPUTF8 = true
	s.server.ErrorLog = log.New(io.Discard, "", 0)

	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Addr = plain.Addr().String()
	var listener net.Listener = &watched{Listener: plain, server: s}
	if err := s.protect(&listener); err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.server.Serve(listener)
	}()
	t.Cleanup(func() {
		close(s.done)
		_ = s.server.Close()
		<-served
	})
	return s
}

// Messages gives what was taken so far, in order.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// Wait gives the messages as soon as there are n; after ten seconds it fails the test.
func (s *Server) Wait(t testing.TB, n int) []Message {
	t.Helper()
	limit := time.NewTimer(10 * time.Second)
	defer limit.Stop()
	for {
		s.mu.Lock()
		messages, came := slices.Clone(s.messages), s.came
		s.mu.Unlock()
		if len(messages) >= n {
			return messages
		}
		select {
		case <-came:
		case <-limit.C:
			t.Fatalf("the mail server has %d messages, want %d", len(messages), n)
		}
	}
}

// MaxConcurrent is the largest number of transactions that were ever under way
// at once, from MAIL to the answer to the final dot.
func (s *Server) MaxConcurrent() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mostBusy
}

// Connections counts the connections accepted so far.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted
}

// HangUp closes every connection from the server's side, without a word.
func (s *Server) HangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close()
	}
}

// session takes one connection's mail.
type session struct {
	server *Server
	conn   *smtp.Conn
	user   string
	open   bool
	from   string
	utf8   bool
	to     []string
}

func (c *session) AuthMechanisms() []string {
	if c.server.opts.Username == "" {
		return nil
	}
	return c.server.opts.Mechanisms
}

func (c *session) Auth(mechanism string) (sasl.Server, error) {
	check := func(user, password string) error {
		if user != c.server.opts.Username || password != c.server.opts.Password {
			return smtp.ErrAuthFailed
		}
		c.user = user
		return nil
	}
	switch mechanism {
	case sasl.Plain:
		return sasl.NewPlainServer(func(_, user, password string) error { return check(user, password) }), nil
	case sasl.Login:
		return &loginServer{check: check}, nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

func (c *session) Mail(from string, opts *smtp.MailOptions) error {
	if c.server.opts.Username != "" && c.user == "" {
		return smtp.ErrAuthRequired
	}
	if err := c.server.fail("mail", from); err != nil {
		return err
	}
	c.from, c.utf8 = from, opts.UTF8
	c.begin()
	return nil
}

func (c *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if err := c.server.fail("rcpt", to); err != nil {
		return err
	}
	c.to = append(c.to, to)
	return nil
}

func (c *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := c.server.fail("data", ""); err != nil {
		return err
	}
	m, err := decode(raw)
	if err != nil {
		return Refusal(554, "5.6.0", err.Error())
	}
	_, m.TLS = c.conn.TLSConnectionState()
	m.From, m.To, m.User, m.UTF8 = c.from, slices.Clone(c.to), c.user, c.utf8
	c.server.keep(m)
	return nil
}

// Reset ends a transaction; the library also calls it after the final dot was answered.
func (c *session) Reset() {
	c.from, c.to = "", nil
	c.end()
}

func (c *session) Logout() error {
	c.end()
	return nil
}

func (c *session) begin() {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	if !c.open {
		c.open = true
		c.server.busy++
		c.server.mostBusy = max(c.server.mostBusy, c.server.busy)
	}
}

func (c *session) end() {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	if c.open {
		c.open = false
		c.server.busy--
	}
}

func (s *Server) fail(step, address string) error {
	if s.opts.Fail == nil {
		return nil
	}
	return s.opts.Fail(step, address)
}

func (s *Server) keep(m Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, m)
	close(s.came)
	s.came = make(chan struct{})
}

// loginServer is the server's side of AUTH LOGIN
// (draft-murchison-sasl-login-00): user name, then password.
type loginServer struct {
	check func(user, password string) error
	asked int
	user  string
}

func (l *loginServer) Next(response []byte) ([]byte, bool, error) {
	l.asked++
	switch {
	case l.asked == 1 && response == nil:
		return []byte("Username:"), false, nil
	case l.asked == 2:
		l.user = string(response)
		return []byte("Password:"), false, nil
	case l.asked == 3:
		return nil, true, l.check(l.user, string(response))
	}
	return nil, true, errors.New("out of turn")
}

// decode reads a letter with one text part, which is all that is ever sent.
func decode(raw []byte) (Message, error) {
	parsed, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return Message{}, err
	}
	m := Message{Header: parsed.Header}
	if m.Subject, err = new(mime.WordDecoder).DecodeHeader(parsed.Header.Get("Subject")); err != nil {
		return Message{}, err
	}
	kind, params, err := mime.ParseMediaType(parsed.Header.Get("Content-Type"))
	if err != nil || kind != "text/plain" || !strings.EqualFold(params["charset"], "utf-8") {
		return Message{}, errors.New("not text/plain in UTF-8")
	}
	body := parsed.Body
	switch encoding := strings.ToLower(parsed.Header.Get("Content-Transfer-Encoding")); encoding {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "", "7bit", "8bit":
	default:
		return Message{}, fmt.Errorf("unknown encoding %q", encoding)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return Message{}, err
	}
	m.Text = strings.ReplaceAll(string(text), "\r\n", "\n")
	return m, nil
}
