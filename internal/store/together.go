package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
)

// SQLite has one writer, and a commit waits for the disk. So those who wait for
// the writer share the next transaction: each runs in a savepoint of its own, one
// commit makes all of them durable, and nobody is answered before it.
// docs/decisions/011-writers-share-a-commit.md says what this gives up.
type together struct {
	mu      sync.Mutex
	waiting []*member
	leading bool
}

// member is one who waits.
type member struct {
	ctx  context.Context
	fn   func(tx *Tx) error
	tx   *Tx
	err  error
	died any // what fn panicked with
	done chan struct{}
}

// mostTogether bounds how many share a transaction, so that it stays short.
const mostTogether = 64

// errTogether says that the transaction ended under somebody else's statement; it
// may succeed when tried again.
var errTogether = errors.New("the shared transaction ended")

// writeTogether runs fn in the next shared transaction and waits for its commit.
func (d *DB) writeTogether(ctx context.Context, fn func(tx *Tx) error) error {
	m := &member{ctx: ctx, fn: fn, done: make(chan struct{})}
	d.together.mu.Lock()
	d.together.waiting = append(d.together.waiting, m)
	lead := !d.together.leading
	d.together.leading = true
	d.together.mu.Unlock()
	if lead {
		go d.lead()
	}
	<-m.done
	if m.died != nil {
		panic(m.died)
	}
	if m.err == nil {
		m.tx.callCommitted()
	}
	return m.err
}

// lead makes transactions until nobody waits.
func (d *DB) lead() {
	for {
		d.together.mu.Lock()
		some := d.together.waiting[:min(len(d.together.waiting), mostTogether)]
		d.together.waiting = d.together.waiting[len(some):]
		if len(some) == 0 {
			d.together.leading = false
			d.together.mu.Unlock()
			return
		}
		d.together.mu.Unlock()
		d.share(some)
		for _, m := range some {
			close(m.done)
		}
	}
}

// share is one transaction.
func (d *DB) share(some []*member) {
	ctx := context.Background()
	fail := func(err error) {
		for _, m := range some {
			if m.err == nil && m.died == nil {
				m.err = err
			}
		}
	}
	begun, err := d.write.BeginTx(ctx, nil)
	if err != nil {
		fail(err)
		return
	}
	defer func() { _ = begun.Rollback() }()
	wrote := false
	for _, m := range some {
		if m.err = m.ctx.Err(); m.err != nil {
			continue
		}
		if err := d.take(ctx, begun, m, len(some) == 1); err != nil {
			fail(fmt.Errorf("%w: %w", errTogether, err))
			return
		}
		wrote = wrote || m.err == nil && m.died == nil
	}
	if !wrote {
		return
	}
	if err := begun.Commit(); err != nil {
		fail(err)
	}
}

// take runs one member. Its failure undoes what it did and nothing else; the error
// is that of the shared transaction.
func (d *DB) take(ctx context.Context, begun *sql.Tx, m *member, alone bool) error {
	if !alone {
		if _, err := begun.ExecContext(ctx, "SAVEPOINT member"); err != nil {
			return err
		}
	}
	m.tx = d.tx(begun)
	func() {
		defer func() { m.died = recover() }()
		if m.err = m.fn(m.tx); m.err == nil {
			m.err = m.tx.writeEntries(m.ctx)
		}
	}()
	if alone {
		return nil
	}
	if m.err != nil || m.died != nil {
		// Where the engine has ended the transaction by itself (disk full), there is no savepoint left.
		if _, err := begun.ExecContext(ctx, "ROLLBACK TO member"); err != nil {
			return err
		}
	}
	_, err := begun.ExecContext(ctx, "RELEASE member")
	return err
}

// steadfast makes SQLite connections whose statements end by themselves and not when
// the caller goes away: an interrupted statement would end the transaction of
// everybody who shares it.
type steadfast struct{ driver.Connector }

// liteConn is what a connection of the driver can do.
type liteConn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

type liteStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// Connect opens one.
func (s steadfast) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := s.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	lite, ok := conn.(liteConn)
	if !ok {
		return nil, fmt.Errorf("database: a connection of type %T", conn)
	}
	return steadfastConn{lite}, nil
}

type steadfastConn struct{ liteConn }

// ExecContext does not end with the caller.
func (c steadfastConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	return c.liteConn.ExecContext(context.WithoutCancel(ctx), text, args)
}

// QueryContext does not end with the caller.
func (c steadfastConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	return c.liteConn.QueryContext(context.WithoutCancel(ctx), text, args)
}

// PrepareContext gives a statement that does not end with the caller.
func (c steadfastConn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	stmt, err := c.liteConn.PrepareContext(context.WithoutCancel(ctx), text)
	if err != nil {
		return nil, err
	}
	lite, ok := stmt.(liteStmt)
	if !ok {
		return nil, fmt.Errorf("database: a statement of type %T", stmt)
	}
	return steadfastStmt{lite}, nil
}

type steadfastStmt struct{ liteStmt }

// ExecContext does not end with the caller.
func (s steadfastStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.liteStmt.ExecContext(context.WithoutCancel(ctx), args)
}

// QueryContext does not end with the caller.
func (s steadfastStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.liteStmt.QueryContext(context.WithoutCancel(ctx), args)
}
