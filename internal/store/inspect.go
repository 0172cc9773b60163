package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Condition is what a database says of itself.
type Condition struct {
	Engine  Engine
	Version string    // as the engine writes it, such as 3.51.3 or 17.2
	Clock   time.Time // what time it is there, to the millisecond
	Pending bool      // the schema is older than this program
	TooOld  bool      // this program is older than what the schema needs
	File    string    // SQLite's file, "" on PostgreSQL
}

// Least are the oldest versions that this program runs on: SQLite 3.51.3
// repairs a corruption of WAL files, PostgreSQL 14 is the oldest that its
// makers still repaired when this was written.
var least = map[Engine]string{SQLite: "3.51.3", PostgreSQL: "14"}

// Least gives the oldest version of the engine that this program runs on.
func (e Engine) Least() string { return least[e] }

// OldVersion reports whether the engine is older than what this program runs on.
func (c Condition) OldVersion() bool { return versionBefore(c.Version, c.Engine.Least()) }

// versionBefore compares dotted numbers; what follows a space is not looked at.
func versionBefore(a, b string) bool {
	a, _, _ = strings.Cut(a, " ")
	left, right := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(left), len(right)) {
		if l, r := part(left, i), part(right, i); l != r {
			return l < r
		}
	}
	return false
}

func part(parts []string, i int) int {
	if i >= len(parts) {
		return 0
	}
	n, _ := strconv.Atoi(parts[i]) // a beta counts as 0
	return n
}

// Inspect asks the database about itself and changes nothing.
func (d *DB) Inspect(ctx context.Context) (Condition, error) {
	c := Condition{Engine: d.engine}
	question := `SELECT sqlite_version(), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)`
	if d.engine == PostgreSQL {
		question = `SELECT current_setting('server_version'), CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)`
	}
	var ms int64
	if err := d.read.QueryRowContext(ctx, question).Scan(&c.Version, &ms); err != nil {
		return c, outage(err)
	}
	c.Clock = Time(ms)
	if d.engine == SQLite {
		if err := d.read.QueryRowContext(ctx, `SELECT file FROM pragma_database_list WHERE name = 'main'`).Scan(&c.File); err != nil {
			return c, outage(err)
		}
	}
	provider, err := d.migrations()
	if err != nil {
		return c, err
	}
	if c.Pending, err = provider.HasPending(ctx); err != nil {
		return c, outage(fmt.Errorf("schema: %w", err))
	}
	if c.Pending {
		return c, nil
	}
	err = d.newEnough(ctx, provider)
	if c.TooOld = errors.Is(err, errTooOld); c.TooOld {
		return c, nil
	}
	return c, err
}

// Pools gives the state of the connection pools by name: one writer and many
// readers on SQLite, one pool for both on PostgreSQL.
func (d *DB) Pools() map[string]sql.DBStats {
	if d.read == d.write {
		return map[string]sql.DBStats{"all": d.write.Stats()}
	}
	return map[string]sql.DBStats{"write": d.write.Stats(), "read": d.read.Stats()}
}

// Backlog is the work that waits.
type Backlog struct {
	Waiting, Dead, Unsequenced   int64
	OldestDue, OldestUnsequenced time.Time // zero for none
}

// Backlog counts jobs that are due or will be, dead letters, and entries that
// the audit log has not taken.
func (d *DB) Backlog(ctx context.Context) (Backlog, error) {
	var b Backlog
	var due, entry int64
	for _, ask := range []struct {
		sql  string
		into []any
	}{
		{`SELECT COUNT(*), COALESCE(MIN(due_at), 0) FROM jobs WHERE dead_at = 0`, []any{&b.Waiting, &due}},
		{`SELECT COUNT(*) FROM jobs WHERE dead_at > 0`, []any{&b.Dead}},
		{`SELECT COUNT(*), COALESCE(MIN(at), 0) FROM audit_entries WHERE leaf IS NULL`, []any{&b.Unsequenced, &entry}},
	} {
		if err := d.read.QueryRowContext(ctx, ask.sql).Scan(ask.into...); err != nil {
			return b, outage(err)
		}
	}
	b.OldestDue, b.OldestUnsequenced = Time(due), Time(entry)
	return b, nil
}
