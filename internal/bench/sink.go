package bench

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// sink is a mail server that takes everything and hands codes to whoever waits.
type sink struct {
	addr    string
	latency time.Duration
	server  *smtp.Server

	mu      sync.Mutex
	waiting map[string]chan string // by recipient
}

// startSink listens on loopback. Each message takes as long as latency says.
func startSink(latency time.Duration) (*sink, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{addr: listener.Addr().String(), latency: latency, waiting: map[string]chan string{}}
	s.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &letter{sink: s}, nil }))
	s.server.Domain, s.server.AllowInsecureAuth = "bench.example.cn", true
	go func() { _ = s.server.Serve(listener) }() // ends with close
	return s, nil
}

func (s *sink) close() { _ = s.server.Close() }

// expect gives where the next code to the recipient appears.
func (s *sink) expect(to string) <-chan string {
	s.mu.Lock()
	defer s.mu.Unlock()
	codes := make(chan string, 1)
	s.waiting[to] = codes
	return codes
}

func (s *sink) forget(to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, to)
}

// hand gives the code to whoever waits for mail to the recipient; everything else
// that is sent, such as the notice at the end, is taken and dropped.
func (s *sink) hand(to, code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if codes := s.waiting[to]; codes != nil && code != "" {
		delete(s.waiting, to)
		codes <- code
	}
}

// letter is one SMTP session.
type letter struct {
	sink *sink
	to   string
}

// Mail takes any sender.
func (l *letter) Mail(string, *smtp.MailOptions) error { return nil }

// Rcpt takes any recipient.
func (l *letter) Rcpt(to string, _ *smtp.RcptOptions) error {
	l.to = to
	return nil
}

// Reset forgets the recipient.
func (l *letter) Reset() { l.to = "" }

// Logout has nothing to end.
func (l *letter) Logout() error { return nil }

// codeForm is a code where the English message has it.
var codeForm = regexp.MustCompile(`\b\d{6}\b`)

// Data reads the message and finds its code after the header.
func (l *letter) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if l.sink.latency > 0 {
		time.Sleep(l.sink.latency)
	}
	l.sink.hand(l.to, code(text))
	return nil
}

// code gives the first six digits of a message's text, empty when there are none.
func code(message []byte) string {
	letter, err := mail.ReadMessage(bytes.NewReader(message))
	if err != nil {
		return ""
	}
	text := letter.Body
	switch strings.ToLower(letter.Header.Get("Content-Transfer-Encoding")) {
	case "base64":
		text = base64.NewDecoder(base64.StdEncoding, text) // which passes over line ends
	case "quoted-printable":
		text = quotedprintable.NewReader(text)
	}
	plain, err := io.ReadAll(text)
	if err != nil {
		return ""
	}
	return string(codeForm.Find(plain))
}
