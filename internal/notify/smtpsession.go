package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"regexp"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// stage is how far an SMTP exchange came.
type stage string

const (
	stageConnect  stage = "connect"
	stageStartTLS stage = "starttls"
	stageAuth     stage = "auth"
	stageMail     stage = "mail"
	stageRcpt     stage = "rcpt"
	stageData     stage = "data"
	stageBody     stage = "body" // from the first byte of the letter to the server's word on it
)

// failure is an SMTP exchange that did not end well. It keeps the server's
// numbers and drops its words: they often quote the address.
type failure struct {
	at       stage
	code     int    // 0: no answer
	enhanced string // RFC 3463, empty where the server gives none
	err      error  // where there was no answer: why
}

var enhancedForm = regexp.MustCompile(`^[245]\.\d{1,3}\.\d{1,3}\b`)

func failedAt(at stage, err error) *failure {
	f := &failure{at: at, err: err}
	var answer *textproto.Error
	var garbled textproto.ProtocolError
	switch {
	case errors.As(err, &answer):
		f.code, f.enhanced, f.err = answer.Code, enhancedForm.FindString(answer.Msg), nil
	case errors.As(err, &garbled):
		f.err = errors.New("the answer is no SMTP")
	}
	return f
}

// Error gives the stage and the numbers.
func (f *failure) Error() string {
	if f.code == 0 {
		return fmt.Sprintf("smtp %s: %v", f.at, f.err)
	}
	return strings.TrimSpace(fmt.Sprintf("smtp %s: %d %s", f.at, f.code, f.enhanced))
}

// Unwrap gives the network's error.
func (f *failure) Unwrap() error { return f.err }

// answered: the server spoke and stays, so that the connection can go on.
func (f *failure) answered() bool { return f.code >= 400 && f.code != 421 }

// stale: the server hung up (421 or no answer) before it could have taken anything.
func (f *failure) stale() bool {
	return (f.code == 0 || f.code == 421) && (f.at == stageMail || f.at == stageRcpt || f.at == stageData)
}

// permanent: the server refused this destination or this letter. What it
// refuses earlier is about us, not about them.
func (f *failure) permanent() bool {
	return f.code >= 500 && (f.at == stageRcpt || f.at == stageData || f.at == stageBody)
}

// ours: no message will pass before somebody repairs a setting or a certificate.
func (f *failure) ours() bool {
	var cert *tls.CertificateVerificationError
	return (f.code >= 500 && !f.permanent()) || errors.As(f.err, &cert) || errors.Is(f.err, errMisfit)
}

var errMisfit = errors.New("the server does not offer what is configured")

// session is one connection to the server, greeted and signed in.
type session struct {
	conn  net.Conn
	smtp  *smtp.Client
	since time.Time // idle since
}

func (c *session) close() { _ = c.conn.Close() }

// within hangs up when ctx ends or the time is over, so that no read outlives
// its caller. The returned func ends the watch and gives why it hung up, or nil.
func within(ctx context.Context, limit time.Duration, conn net.Conn) func() error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	return func() error {
		defer cancel()
		if stop() {
			return nil
		}
		return ctx.Err()
	}
}

// connect dials, greets, protects and signs in.
func (s *SMTP) connect(ctx context.Context) (*session, *failure) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.cfg.Addr)
	if err != nil {
		return nil, failedAt(stageConnect, err)
	}
	if s.cfg.TLS == TLSImplicit {
		conn = tls.Client(conn, s.tlsConfig())
	}
	unwatch := within(ctx, s.cfg.Timeout, conn)
	client, failed := s.greet(conn)
	if cut := unwatch(); cut != nil {
		failed = failedAt(stageConnect, cut)
	}
	if failed != nil {
		_ = conn.Close()
		return nil, failed
	}
	return &session{conn: conn, smtp: client}, nil
}

func (s *SMTP) greet(conn net.Conn) (*smtp.Client, *failure) {
	if peer, ok := conn.RemoteAddr().(*net.TCPAddr); s.cfg.TLS == TLSNone && (!ok || !peer.IP.IsLoopback()) {
		return nil, failedAt(stageConnect, fmt.Errorf("%w: no TLS, and the peer is not on loopback", errMisfit))
	}
	client, err := smtp.NewClient(conn, s.host)
	if err != nil {
		return nil, failedAt(stageConnect, err)
	}
	if err := client.Hello(s.cfg.HELO); err != nil {
		return nil, failedAt(stageConnect, err)
	}
	if s.cfg.TLS == TLSStart {
		if offered, _ := client.Extension("STARTTLS"); !offered {
			return nil, failedAt(stageStartTLS, fmt.Errorf("%w: STARTTLS", errMisfit))
		}
		if err := client.StartTLS(s.tlsConfig()); err != nil {
			return nil, failedAt(stageStartTLS, err)
		}
	}
	if s.cfg.Username == "" {
		return client, nil
	}
	how, err := s.authBy(client)
	if err != nil {
		return nil, failedAt(stageAuth, err)
	}
	if err := client.Auth(how); err != nil {
		return nil, failedAt(stageAuth, err)
	}
	return client, nil
}

// authBy picks the mechanism. By now the connection is under TLS or on
// loopback: that is what bare allows.
func (s *SMTP) authBy(client *smtp.Client) (smtp.Auth, error) {
	_, offered := client.Extension("AUTH")
	offers := func(mechanism string) bool {
		for name := range strings.FieldsSeq(offered) {
			if strings.EqualFold(name, mechanism) {
				return true
			}
		}
		return false
	}
	bare := s.cfg.TLS == TLSNone
	switch {
	case s.cfg.Auth != AuthLogin && offers("PLAIN"):
		return smtp.PlainAuth("", s.cfg.Username, s.cfg.Password, s.host, bare), nil
	case s.cfg.Auth != AuthPlain && offers("LOGIN"):
		return smtp.LoginAuth(s.cfg.Username, s.cfg.Password, s.host, bare), nil
	}
	return nil, fmt.Errorf("%w: AUTH %s", errMisfit, s.cfg.Auth)
}

// deliver runs one transaction.
func (s *SMTP) deliver(ctx context.Context, c *session, to string, letter *mail.Msg) *failure {
	unwatch := within(ctx, s.cfg.Timeout, c.conn)
	failed := c.transact(s.cfg.From, to, letter)
	if cut := unwatch(); cut != nil && failed != nil && failed.code == 0 {
		failed.err = cut
	}
	return failed
}

func (c *session) transact(from, to string, letter *mail.Msg) *failure {
	// Asking for SMTPUTF8 where no address needs it makes a relay refuse next
	// hops that lack it (RFC 6531 §3.6).
	c.smtp.SkipSMTPUTF8(isASCII(to))
	if err := c.smtp.Mail("<" + from + ">"); err != nil {
		return failedAt(stageMail, err)
	}
	if err := c.smtp.Rcpt("<" + to + ">"); err != nil {
		return failedAt(stageRcpt, err)
	}
	body, err := c.smtp.Data()
	if err != nil {
		return failedAt(stageData, err)
	}
	if _, err := letter.WriteTo(body); err != nil {
		return failedAt(stageBody, err)
	}
	if err := body.Close(); err != nil {
		return failedAt(stageBody, err)
	}
	return nil
}

// reset ends a refused transaction, so that the connection can take another.
func (s *SMTP) reset(ctx context.Context, c *session) error {
	unwatch := within(ctx, s.cfg.Timeout, c.conn)
	err := c.smtp.Reset()
	if cut := unwatch(); cut != nil {
		return cut
	}
	return err
}
