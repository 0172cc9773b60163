// Package wire carries TCP connections to a server and can be slow, frozen or cut,
// as networks are.
//
// Trust: none is asked for; only tests import it. It listens on loopback.
package wire

import (
	"io"
	"net"
	"sync"
	"time"
)

// Wire is one way to a server. While it is frozen nothing comes through and nothing
// is closed; while it is cut nobody can connect.
type Wire struct {
	to string

	mu      sync.Mutex
	at      string
	listen  net.Listener
	open    []net.Conn
	latency time.Duration
	thawed  chan struct{} // closed while it is not frozen
}

// New listens on loopback and carries to the server at host:port.
func New(to string) (*Wire, error) {
	w := &Wire{to: to, at: "127.0.0.1:0", thawed: make(chan struct{})}
	close(w.thawed)
	return w, w.Mend()
}

// Addr is where to connect instead.
func (w *Wire) Addr() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

// Cut closes every connection, and refuses new ones until Mend.
func (w *Wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.listen.Close()
	for _, c := range w.open {
		_ = c.Close()
	}
	w.open = nil
}

// Mend listens again where it did.
func (w *Wire) Mend() error {
	listener, err := net.Listen("tcp", w.Addr())
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.listen, w.at = listener, listener.Addr().String()
	w.mu.Unlock()
	go w.accept(listener)
	return nil
}

// Slow makes everything take so much longer, each way.
func (w *Wire) Slow(latency time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.latency = latency
}

// Freeze lets nothing through until Thaw.
func (w *Wire) Freeze() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.thawed = make(chan struct{})
}

// Thaw ends a Freeze; what was sent meanwhile arrives.
func (w *Wire) Thaw() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.thawed)
}

func (w *Wire) accept(listener net.Listener) {
	for {
		here, err := listener.Accept()
		if err != nil {
			return
		}
		there, err := net.Dial("tcp", w.to)
		if err != nil {
			_ = here.Close()
			continue
		}
		w.mu.Lock()
		w.open = append(w.open, here, there)
		w.mu.Unlock()
		go w.carry(there, here)
		go w.carry(here, there)
	}
}

// carry copies until one side ends, and then ends the other.
func (w *Wire) carry(to, from net.Conn) {
	defer to.Close()
	_, _ = io.Copy(to, io.TeeReader(from, delay{w})) // an end is an end
}

// delay holds up whoever writes to it.
type delay struct{ *Wire }

// Write waits as the wire says.
func (d delay) Write(p []byte) (int, error) {
	d.mu.Lock()
	latency, thawed := d.latency, d.thawed
	d.mu.Unlock()
	time.Sleep(latency)
	<-thawed
	return len(p), nil
}
