package store

import (
	"context"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// beyondStatement is how much longer than its longest statement a PostgreSQL may
// be silent. Then it is away: a host that lost its power closes no connection, and
// the system's own timeouts take a quarter of an hour.
const beyondStatement = 2 * time.Second

// boundSilence gives up connections on which an answer does not come.
func boundSilence(config *pgx.ConnConfig) {
	ms, err := strconv.Atoi(config.RuntimeParams["statement_timeout"])
	if err != nil || ms <= 0 { // 0: the operator wants no end
		return
	}
	limit := time.Duration(ms)*time.Millisecond + beyondStatement
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &bounded{Conn: c, limit: limit}, nil
	}
}

// wakeWithin is how long a connection that was idle may take to show that it lives.
// The pool tries three before it makes a new one.
const wakeWithin = 2 * time.Second

// asleep tries a connection that was idle for more than a second. True has the pool
// try once more, find it closed, and take another.
func asleep(ctx context.Context, p stdlib.ShouldPingParams) bool {
	if p.IdleDuration <= time.Second {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, wakeWithin)
	defer cancel()
	return p.Conn.PgConn().Ping(ctx) != nil
}

// bounded is a connection whose reads and writes end after the limit. A deadline
// that its user sets, such as a caller's who went away, goes first.
type bounded struct {
	net.Conn
	limit time.Duration

	mu  sync.Mutex
	set bool // a deadline of the user's is in force
}

// SetDeadline takes the user's; the zero time takes it away.
func (b *bounded) SetDeadline(t time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set = !t.IsZero()
	return b.Conn.SetDeadline(t)
}

// Read waits for the limit at most.
func (b *bounded) Read(p []byte) (int, error) {
	if err := b.bound(b.Conn.SetReadDeadline); err != nil {
		return 0, err
	}
	return b.Conn.Read(p)
}

// Write waits for the limit at most.
func (b *bounded) Write(p []byte) (int, error) {
	if err := b.bound(b.Conn.SetWriteDeadline); err != nil {
		return 0, err
	}
	return b.Conn.Write(p)
}

func (b *bounded) bound(until func(time.Time) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.set {
		return nil
	}
	return until(time.Now().Add(b.limit))
}
