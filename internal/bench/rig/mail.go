package rig

import (
	"bytes"
	"encoding/base64"
	"io"
	"log"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"regexp"
	"strings"
	"sync"

	"github.com/emersion/go-smtp"
)

// Letter is one message as it came.
type Letter struct {
	To      string // of the envelope
	ID      string // Message-ID
	Subject string
	Text    string // decoded
}

// codeForm is a code where the English message has it.
var codeForm = regexp.MustCompile(`\b\d{6}\b`)

// Code gives the first six digits of the text, empty when there are none.
func (l Letter) Code() string { return codeForm.FindString(l.Text) }

// Mail is a mail server on loopback. It can be shut and opened again at the same
// address.
type Mail struct {
	Addr string
	take func(Letter) error

	mu     sync.Mutex
	server *smtp.Server
}

// StartMail listens on loopback and hands each letter to take, at once from many
// connections. An error of take's is one for the sender, who tries again later.
func StartMail(take func(Letter) error) (*Mail, error) {
	listener, err := listen()
	if err != nil {
		return nil, err
	}
	m := &Mail{Addr: listener.Addr().String(), take: take}
	m.serve(listener)
	return m, nil
}

// Open listens again after [Mail.Close].
func (m *Mail) Open() error {
	listener, err := net.Listen("tcp", m.Addr)
	if err == nil {
		m.serve(listener)
	}
	return err
}

func (m *Mail) serve(listener net.Listener) {
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{take: m.take}, nil }))
	server.Domain, server.AllowInsecureAuth = "bench.example.cn", true
	server.ErrorLog = log.New(io.Discard, "", 0) // of senders that were killed
	m.mu.Lock()
	m.server = server
	m.mu.Unlock()
	go func() { _ = server.Serve(listener) }() // ends with Close
}

// Close refuses connections and cuts those that are open.
func (m *Mail) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	_ = m.server.Close()
}

// session is one SMTP session.
type session struct {
	take func(Letter) error
	to   string
}

// Mail takes any sender.
func (s *session) Mail(string, *smtp.MailOptions) error { return nil }

// Rcpt takes any recipient.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	return nil
}

// Reset forgets the recipient.
func (s *session) Reset() { s.to = "" }

// Logout has nothing to end.
func (s *session) Logout() error { return nil }

// Data reads the message and hands it on.
func (s *session) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	letter, err := readLetter(text)
	if err != nil {
		return err
	}
	letter.To = s.to
	return s.take(letter)
}

func readLetter(message []byte) (Letter, error) {
	parsed, err := mail.ReadMessage(bytes.NewReader(message))
	if err != nil {
		return Letter{}, err
	}
	text := parsed.Body
	switch strings.ToLower(parsed.Header.Get("Content-Transfer-Encoding")) {
	case "base64":
		text = base64.NewDecoder(base64.StdEncoding, text) // which passes over line ends
	case "quoted-printable":
		text = quotedprintable.NewReader(text)
	}
	plain, err := io.ReadAll(text)
	if err != nil {
		return Letter{}, err
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(parsed.Header.Get("Subject"))
	return Letter{ID: parsed.Header.Get("Message-Id"), Subject: subject, Text: string(plain)}, err
}
