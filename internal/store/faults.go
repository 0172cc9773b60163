package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	sqlitedriver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// lostRace reports whether the transaction may succeed when tried again: another
// one was first, and this one has to see what it left.
func lostRace(err error) bool {
	if errors.Is(err, ErrStale) || errors.Is(err, errUnsent) || errors.Is(err, errTogether) {
		return true
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		// serialization_failure, deadlock_detected (PostgreSQL manual, appendix A).
		return pg.Code == "40001" || pg.Code == "40P01" || guarded(err)
	}
	var lite *sqlitedriver.Error
	if errors.As(err, &lite) {
		primary := lite.Code() & 0xff
		return primary == sqlite3.SQLITE_BUSY || primary == sqlite3.SQLITE_LOCKED || guarded(err)
	}
	return false
}

// guarded reports whether a guard refused: a row's version is not the one that was
// read (see the queries UpdateCase and UpdateAccount).
func guarded(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "23502" && pg.ColumnName == "version"
	}
	var lite *sqlitedriver.Error
	return errors.As(err, &lite) && lite.Code() == sqlite3.SQLITE_CONSTRAINT_NOTNULL && strings.Contains(lite.Error(), ".version")
}

// duplicate reports whether the error is that of a key that exists already. In a
// transaction it mostly says that another one was first.
func duplicate(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "23505"
	}
	var lite *sqlitedriver.Error
	if errors.As(err, &lite) {
		return lite.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || lite.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
	}
	return false
}

// databaseAway reports whether the database, not the request, is the trouble:
// no connection, shutting down, out of connections, disk full or unreadable, or
// too slow for the caller's deadline.
func databaseAway(err error) bool {
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) || lostRace(err) { // a race lost at every try
		return true
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		class := pg.Code[:min(2, len(pg.Code))]
		// 08 connection, 53 resources, 57 operator intervention, 58 system error, 25006 read-only (a demoted primary).
		return class == "08" || class == "53" || class == "57" || class == "58" || pg.Code == "25006"
	}
	var lite *sqlitedriver.Error
	if errors.As(err, &lite) {
		switch lite.Code() & 0xff {
		case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY:
			return true
		}
		return false
	}
	var dial *net.OpError
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &dial) || strings.Contains(err.Error(), "unexpected EOF") ||
		strings.Contains(err.Error(), "conn closed")
}
