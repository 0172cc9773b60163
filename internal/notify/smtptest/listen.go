package smtptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"sync"
	"time"
)

// protect gives the server its certificate and wraps the listener as the options say.
func (s *Server) protect(listener *net.Listener) error {
	switch s.opts.TLS {
	case "", "none":
		return nil
	case "starttls", "implicit":
	default:
		return fmt.Errorf("smtptest: unknown TLS %q", s.opts.TLS)
	}
	cert, err := certificate()
	if err != nil {
		return err
	}
	s.RootCAs = x509.NewCertPool()
	s.RootCAs.AddCert(cert.Leaf)
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	if s.opts.TLS == "implicit" {
		*listener = tls.NewListener(*listener, config)
		return nil
	}
	s.server.TLSConfig = config
	return nil
}

// certificate makes one for 127.0.0.1 and localhost. Its dates hold for any
// clock between 2000 and 2100.
func certificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "smtptest"},
		NotBefore:    time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:         true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// watched counts connections, slows their answers and can hang up on them.
type watched struct {
	net.Listener
	server *Server
}

func (w *watched) Accept() (net.Conn, error) {
	raw, err := w.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &watchedConn{Conn: raw, server: w.server}
	w.server.mu.Lock()
	defer w.server.mu.Unlock()
	w.server.accepted++
	w.server.conns[c] = struct{}{}
	return c, nil
}

type watchedConn struct {
	net.Conn
	server *Server
	once   sync.Once
}

var errStopped = errors.New("smtptest: the server is stopping")

// Write waits as long as the options say: the server writes once for each answer.
func (c *watchedConn) Write(p []byte) (int, error) {
	if c.server.opts.Latency > 0 {
		wait := time.NewTimer(c.server.opts.Latency)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-c.server.done:
			return 0, errStopped
		}
	}
	return c.Conn.Write(p)
}

// Close may be called by the server and by HangUp, which holds the lock; the
// book is kept in another goroutine for that.
func (c *watchedConn) Close() error {
	c.once.Do(func() {
		go func() {
			c.server.mu.Lock()
			defer c.server.mu.Unlock()
			delete(c.server.conns, c)
		}()
	})
	return c.Conn.Close()
}
