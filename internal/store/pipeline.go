package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// pipelining makes connections to PostgreSQL that save round trips. In a
// transaction, statements whose result nobody looks at (sqlc calls them :exec)
// wait, and go out together with the next one that has a result: "begin" with the
// first, "commit" with the last. A step then costs as many round trips as it asks
// questions.
//
// The order of statements never changes, so a transaction means what it would
// mean otherwise. Only an error may come later, at the latest from the commit;
// therefore a guard must fail in the statement itself and not by a count of rows.
// docs/decisions/009-pipelined-transactions.md says why and what it gives up.
type pipelining struct{ driver.Connector }

// Connect opens one.
func (p pipelining) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := p.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	plain, ok := conn.(*stdlib.Conn)
	if !ok {
		return nil, fmt.Errorf("database: a connection of type %T", conn)
	}
	return &pipelined{Conn: plain}, nil
}

// pipelined is one connection.
type pipelined struct {
	*stdlib.Conn
	open    bool // in a transaction
	begun   bool // and the server knows
	waiting []waiting
}

type waiting struct {
	text string
	args []any
}

// BeginTx begins when the first statement goes out.
func (c *pipelined) BeginTx(_ context.Context, o driver.TxOptions) (driver.Tx, error) {
	if c.Conn.Conn().IsClosed() {
		return nil, driver.ErrBadConn
	}
	text := "begin"
	switch sql.IsolationLevel(o.Isolation) {
	case sql.LevelDefault:
	case sql.LevelRepeatableRead:
		text += " isolation level repeatable read"
	default:
		return nil, fmt.Errorf("database: isolation level %s is not in use", sql.IsolationLevel(o.Isolation))
	}
	if o.ReadOnly {
		text += " read only"
	}
	c.open, c.begun, c.waiting = true, false, append(c.waiting[:0], waiting{text: text})
	return c, nil
}

// ExecContext lets the statement wait where it may.
func (c *pipelined) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	if c.open && resultless(text) {
		c.waiting = append(c.waiting, waiting{text, values(args)})
		return driver.ResultNoRows, nil
	}
	if len(c.waiting) == 0 {
		return c.Conn.ExecContext(ctx, text, args)
	}
	tag, err := c.send(ctx, text, values(args), nil)
	return driver.RowsAffected(tag.RowsAffected()), err
}

// QueryContext sends what waits with the query.
func (c *pipelined) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	if len(c.waiting) == 0 {
		return c.Conn.QueryContext(ctx, text, args)
	}
	read := &rows{}
	if _, err := c.send(ctx, text, values(args), read); err != nil {
		return nil, err
	}
	return read, nil
}

// resultless reports whether the statement is one that sqlc calls :exec.
func resultless(text string) bool {
	first, _, _ := strings.Cut(text, "\n")
	return strings.HasPrefix(first, "-- name: ") && strings.HasSuffix(first, " :exec")
}

func values(args []driver.NamedValue) []any {
	out := make([]any, len(args))
	for i, arg := range args {
		out[i] = arg.Value
	}
	return out
}

// send makes one round trip of what waits and the statement; read takes its rows.
func (c *pipelined) send(ctx context.Context, text string, args []any, read *rows) (tag pgconn.CommandTag, err error) {
	var batch pgx.Batch
	sent, first := c.waiting, !c.begun
	c.waiting, c.begun = nil, true
	for _, w := range sent {
		batch.Queue(w.text, w.args...)
	}
	batch.Queue(text, args...)
	results := c.Conn.Conn().SendBatch(ctx, &batch)
	defer func() {
		if closing := results.Close(); err == nil {
			err = closing
		}
	}()
	for range sent {
		if _, err := results.Exec(); err != nil {
			if first && pgconn.SafeToRetry(err) {
				err = errors.Join(errUnsent, err)
			}
			return tag, err
		}
	}
	if read != nil {
		return tag, read.take(results)
	}
	return results.Exec()
}

// errUnsent says that nothing of a transaction has reached the server.
var errUnsent = errors.New("the connection was gone")

// endWithin bounds how long the end of a transaction may take; the caller's own
// deadline does not count any more.
const endWithin = 10 * time.Second

// Commit sends what waits and commits.
func (c *pipelined) Commit() error {
	if !c.begun && len(c.waiting) == 1 { // nothing but "begin"
		c.open, c.waiting = false, nil
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), endWithin)
	defer cancel()
	tag, err := c.send(ctx, "commit", nil, nil)
	if err != nil {
		return errors.Join(err, c.Rollback())
	}
	c.open, c.begun = false, false
	if tag.String() == "ROLLBACK" {
		return pgx.ErrTxCommitRollback
	}
	return nil
}

// Rollback forgets what waits and takes the rest back.
func (c *pipelined) Rollback() error {
	begun := c.begun
	c.open, c.begun, c.waiting = false, false, nil
	conn := c.Conn.Conn()
	if !begun || conn.IsClosed() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), endWithin)
	defer cancel()
	if _, err := conn.Exec(ctx, "rollback"); err != nil {
		return errors.Join(err, conn.Close(ctx))
	}
	return nil
}

// rows is what a statement of a batch gave.
type rows struct {
	columns []string
	rows    [][]driver.Value
}

// take reads them all: the connection has to be free for what comes next.
func (r *rows) take(results pgx.BatchResults) error {
	read, err := results.Query()
	if err != nil {
		return err
	}
	defer read.Close()
	for read.Next() {
		values, err := read.Values()
		if err != nil {
			return err
		}
		row := make([]driver.Value, len(values))
		for i, value := range values {
			if row[i], err = driver.DefaultParameterConverter.ConvertValue(value); err != nil {
				return err
			}
		}
		r.rows = append(r.rows, row)
	}
	for _, field := range read.FieldDescriptions() {
		r.columns = append(r.columns, field.Name)
	}
	return read.Err()
}

// Columns gives their names.
func (r *rows) Columns() []string { return r.columns }

// Close has nothing to do: everything was read.
func (r *rows) Close() error { return nil }

// Next gives the next row.
func (r *rows) Next(to []driver.Value) error {
	if len(r.rows) == 0 {
		return io.EOF
	}
	copy(to, r.rows[0])
	r.rows = r.rows[1:]
	return nil
}
