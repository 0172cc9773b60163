package store

import (
	"context"
	"database/sql"
)

// Down takes every step of the schema back.
func (d *DB) Down(ctx context.Context) error {
	provider, err := d.migrations()
	if err != nil {
		return err
	}
	_, err = provider.DownTo(ctx, 0)
	return err
}

// Writer is the pool that transactions come from.
func (d *DB) Writer() *sql.DB { return d.write }

// WriteTries is how often a transaction that loses its races is tried.
const WriteTries = writeTries

// Redact is what an error shows of a DSN.
var Redact = redact

// Duplicate reports whether the error is that of a key that exists already.
var Duplicate = duplicate
