package notify

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/notify/smtptest"
	"github.com/wanbi/wanbi/internal/recovery"
)

var noon = time.Date(2026, 11, 20, 4, 0, 0, 0, time.UTC)

// clock is a settable time.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newSMTP(t *testing.T, server *smtptest.Server, change func(*SMTPConfig)) (*SMTP, *clock, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	cfg := SMTPConfig{
		Addr: server.Addr, TLS: TLSNone, From: "no-reply@wanbi.example", RootCAs: server.RootCAs,
		Log: slog.New(slog.NewTextHandler(&log, nil)),
	}
	if change != nil {
		change(&cfg)
	}
	at := &clock{now: noon}
	s, err := NewSMTP(cfg, at.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, at, &log
}

func TestSMTPLetterArrivesAsWritten(t *testing.T) {
	for name, c := range map[string]struct {
		server smtptest.Options
		client func(*SMTPConfig)
	}{
		"starttls, auth by default": {
			smtptest.Options{TLS: "starttls", Username: "wanbi", Password: "pässword"},
			func(c *SMTPConfig) { c.TLS, c.Username, c.Password = "", "wanbi", "pässword" },
		},
		"implicit, auth login": {
			smtptest.Options{TLS: "implicit", Username: "wanbi", Password: "p", Mechanisms: []string{"LOGIN", "PLAIN"}},
			func(c *SMTPConfig) { c.TLS, c.Auth, c.Username, c.Password = TLSImplicit, AuthLogin, "wanbi", "p" },
		},
		"loopback without TLS, auto takes login": {
			smtptest.Options{Username: "wanbi", Password: "p", Mechanisms: []string{"LOGIN"}},
			func(c *SMTPConfig) { c.Username, c.Password = "wanbi", "p" },
		},
		"loopback, nobody signed in": {smtptest.Options{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			server := smtptest.Start(t, c.server)
			s, _, _ := newSMTP(t, server, c.client)
			m := letter()
			m.Subject = strings.Repeat("有人正在申请找回你的账号，", 8)
			m.Text = "第一行\n.点在行首\n\nhttps://wanbi.example/x?a=b\n" + strings.Repeat("很长的一行", 300) + "\n"
			if err := s.Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			got := server.Wait(t, 1)[0]
			if got.Subject != m.Subject || got.Text != m.Text {
				t.Errorf("subject %q\ntext %q", got.Subject, got.Text)
			}
			if len(got.To) != 1 || got.To[0] != m.To || got.From != "no-reply@wanbi.example" {
				t.Errorf("envelope %v %q", got.To, got.From)
			}
			if got.TLS != (c.server.TLS != "") || got.User != c.server.Username {
				t.Errorf("tls %v, user %q", got.TLS, got.User)
			}
			for header, want := range map[string]string{
				"Message-Id": "<0198c0de-1@wanbi.example>", "Auto-Submitted": "auto-generated",
				"Content-Language": "zh-CN", "To": "<li@example.cn>", "User-Agent": "", "X-Mailer": "",
			} {
				if v := got.Header.Get(header); v != want {
					t.Errorf("%s: %q, want %q", header, v, want)
				}
			}
			if date, err := got.Header.Date(); err != nil || !date.Equal(noon) {
				t.Errorf("date %v, %v", date, err)
			}
			if from, err := got.Header.AddressList("From"); err != nil || len(from) != 1 || from[0].Name != m.From {
				t.Errorf("from %v, %v", from, err)
			}
		})
	}
}

func TestSMTPSenderNameCannotForgeAnAddress(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{})
	s, _, _ := newSMTP(t, server, nil)
	m := letter()
	m.From, m.Subject, m.Text = `Bank" <x@evil.example>, "`, "plain", "plain\n"
	if err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	from, err := server.Wait(t, 1)[0].Header.AddressList("From")
	if err != nil || len(from) != 1 || from[0].Address != "no-reply@wanbi.example" || from[0].Name != m.From {
		t.Errorf("from %v, %v", from, err)
	}
}

// RFC 6531: asked for where an address needs it, and nowhere else.
func TestSMTPAsksForUTF8OnlyWhereNeeded(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{})
	s, _, _ := newSMTP(t, server, nil)
	for i, to := range []string{"li@example.cn", "李@example.cn", "li@example.cn"} {
		m := letter()
		m.To = to
		if err := s.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if got := server.Wait(t, i+1)[i]; got.UTF8 != (to != "li@example.cn") || got.To[0] != to {
			t.Errorf("%s: SMTPUTF8 %v, to %v", to, got.UTF8, got.To)
		}
	}
}

// A server's answers decide whether to repeat; its words stay out of the cause.
func TestSMTPAnswers(t *testing.T) {
	quote := " <li@example.cn>: 493021"
	for name, c := range map[string]struct {
		step string
		code int
		kind recovery.Kind
		loud bool
	}{
		"busy at mail":       {"mail", 451, recovery.KindUnavailable, false},
		"sender not allowed": {"mail", 550, recovery.KindUnavailable, true},
		"greylisted":         {"rcpt", 451, recovery.KindUnavailable, false},
		"no such mailbox":    {"rcpt", 550, recovery.KindBadInput, false},
		"full for now":       {"data", 452, recovery.KindUnavailable, false},
		"content refused":    {"data", 554, recovery.KindBadInput, false},
	} {
		t.Run(name, func(t *testing.T) {
			var refuse atomic.Bool
			refuse.Store(true)
			server := smtptest.Start(t, smtptest.Options{Fail: func(step, _ string) error {
				if refuse.Load() && step == c.step {
					return smtptest.Refusal(c.code, fmt.Sprintf("%d.1.1", c.code/100), "no"+quote)
				}
				return nil
			}})
			s, _, log := newSMTP(t, server, nil)
			err := s.Send(t.Context(), letter())
			e := recovery.AsError(err)
			if e == nil || e.Kind != c.kind {
				t.Fatalf("%v, want %v", err, c.kind)
			}
			if (c.kind == recovery.KindUnavailable) != (e.RetryAfter > 0) {
				t.Errorf("retry after %v", e.RetryAfter)
			}
			if want := fmt.Sprintf("smtp %s: %d %d.1.1", strings.Replace(c.step, "data", "body", 1), c.code, c.code/100); e.Cause.Error() != want {
				t.Errorf("cause %q, want %q", e.Cause, want)
			}
			if loud := strings.Contains(log.String(), "level=ERROR"); loud != c.loud {
				t.Errorf("log %q", log)
			}
			if all := err.Error() + log.String(); strings.Contains(all, "li@") || strings.Contains(all, "493021") {
				t.Errorf("disclosed: %s", all)
			}
			refuse.Store(false)
			if err := s.Send(t.Context(), letter()); err != nil {
				t.Fatal(err)
			}
			if n := server.Connections(); n != 1 {
				t.Errorf("%d connections; a refusal must not cost the connection", n)
			}
		})
	}
}

func TestSMTPWrongPasswordIsLoudAndTemporary(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{TLS: "starttls", Username: "wanbi", Password: "right"})
	s, _, log := newSMTP(t, server, func(c *SMTPConfig) {
		c.TLS, c.Username, c.Password = TLSStart, "wanbi", "wrong-493021"
	})
	err := s.Send(t.Context(), letter())
	if !recovery.IsKind(err, recovery.KindUnavailable) || !strings.Contains(err.Error(), "smtp auth: 535") {
		t.Errorf("%v", err)
	}
	if !strings.Contains(log.String(), "level=ERROR") || strings.Contains(log.String()+err.Error(), "wrong-") {
		t.Errorf("log %q", log)
	}
}

func TestSMTPNeverWithoutTheTLSAskedFor(t *testing.T) {
	t.Run("no STARTTLS offered", func(t *testing.T) {
		server := smtptest.Start(t, smtptest.Options{})
		s, _, log := newSMTP(t, server, func(c *SMTPConfig) { c.TLS = TLSStart })
		if err := s.Send(t.Context(), letter()); !recovery.IsKind(err, recovery.KindUnavailable) {
			t.Errorf("%v", err)
		}
		if len(server.Messages()) != 0 || !strings.Contains(log.String(), "level=ERROR") {
			t.Errorf("sent in the clear, or silent: %q", log)
		}
	})
	for _, mode := range []string{TLSStart, TLSImplicit} {
		t.Run("unknown certificate, "+mode, func(t *testing.T) {
			server := smtptest.Start(t, smtptest.Options{TLS: mode})
			s, _, log := newSMTP(t, server, func(c *SMTPConfig) { c.TLS, c.RootCAs = mode, x509.NewCertPool() })
			if err := s.Send(t.Context(), letter()); !recovery.IsKind(err, recovery.KindUnavailable) {
				t.Errorf("%v", err)
			}
			if len(server.Messages()) != 0 || !strings.Contains(log.String(), "level=ERROR") {
				t.Errorf("sent to a stranger, or silent: %q", log)
			}
		})
	}
}

// A server that takes 200 ms for each answer is talked to N times at once.
func TestSMTPLatencyCostsNoThroughput(t *testing.T) {
	t.Parallel()
	const connections, messages = 10, 20
	server := smtptest.Start(t, smtptest.Options{Latency: 200 * time.Millisecond})
	s, _, _ := newSMTP(t, server, func(c *SMTPConfig) { c.Connections = connections })
	var all sync.WaitGroup
	for i := range messages {
		all.Go(func() {
			m := letter()
			m.ID = fmt.Sprintf("m-%d", i)
			if err := s.Send(t.Context(), m); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := server.MaxConcurrent(); n != connections {
		t.Errorf("%d transactions at once, want %d", n, connections)
	}
	if n := server.Connections(); n != connections {
		t.Errorf("%d connections for %d messages, want %d: reused", n, messages, connections)
	}
	ids := map[string]bool{}
	for _, m := range server.Messages() {
		ids[m.Header.Get("Message-Id")] = true
	}
	if len(ids) != messages {
		t.Errorf("%d different messages of %d", len(ids), messages)
	}
}

func TestSMTPStaleConnectionsAreReplaced(t *testing.T) {
	var goingAway atomic.Bool
	server := smtptest.Start(t, smtptest.Options{Fail: func(step, _ string) error {
		if step == "mail" && goingAway.CompareAndSwap(true, false) {
			return smtptest.Refusal(421, "4.4.2", "timeout")
		}
		return nil
	}})
	s, at, _ := newSMTP(t, server, func(c *SMTPConfig) { c.Idle = time.Minute })
	send := func(wantConnections int) {
		t.Helper()
		if err := s.Send(t.Context(), letter()); err != nil {
			t.Fatal(err)
		}
		if n := server.Connections(); n != wantConnections {
			t.Fatalf("%d connections, want %d", n, wantConnections)
		}
	}
	send(1)
	send(1)
	server.HangUp()
	send(2)
	goingAway.Store(true)
	send(3)
	at.advance(time.Minute)
	send(3)
	at.advance(time.Minute + time.Millisecond)
	send(4)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	send(5)
	if n := len(server.Messages()); n != 7 {
		t.Errorf("%d messages, want 7: each once", n)
	}
}

func TestSMTPNobodyListens(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	_ = listener.Close()
	s, err := NewSMTP(SMTPConfig{Addr: addr, TLS: TLSNone, From: "a@b.example"}, (&clock{now: noon}).Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), letter()); !recovery.IsKind(err, recovery.KindUnavailable) {
		t.Errorf("%v", err)
	}
}

// A server that never greets holds nobody longer than the limit, nor longer
// than the caller waits.
func TestSMTPSilentServer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	for name, limit := range map[string]time.Duration{"the limit": 50 * time.Millisecond, "the caller": time.Hour} {
		s, err := NewSMTP(SMTPConfig{
			Addr: listener.Addr().String(), TLS: TLSNone, From: "a@b.example", Timeout: limit, Connections: 1,
		}, (&clock{now: noon}).Now)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		err = s.Send(ctx, letter())
		cancel()
		if !recovery.IsKind(err, recovery.KindUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSMTPConfigRefusesToGuess(t *testing.T) {
	good := SMTPConfig{Addr: "mail.example.com:587", From: "a@b.example"}
	if _, err := NewSMTP(good, time.Now); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*SMTPConfig){
		"no port":              func(c *SMTPConfig) { c.Addr = "mail.example.com" },
		"no host":              func(c *SMTPConfig) { c.Addr = ":25" },
		"none beyond loopback": func(c *SMTPConfig) { c.TLS = TLSNone },
		"unknown tls":          func(c *SMTPConfig) { c.TLS = "opportunistic" },
		"unknown auth":         func(c *SMTPConfig) { c.Auth = "cram-md5" },
		"from with a name":     func(c *SMTPConfig) { c.From = "A <a@b.example>" },
		"helo of two lines":    func(c *SMTPConfig) { c.HELO = "a\r\nMAIL" },
		"negative connections": func(c *SMTPConfig) { c.Connections = -1 },
	} {
		cfg := good
		change(&cfg)
		if _, err := NewSMTP(cfg, time.Now); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	good.Password = "s3cret"
	if printed := fmt.Sprintf("%v %+v %#v", good, good, good); strings.Contains(printed, "s3cret") {
		t.Errorf("printed %s", printed)
	}
}
