package store

import (
	"context"
	"database/sql"
	"strconv"
	"strings"

	"github.com/wanbi/wanbi/internal/store/db"
)

// One runs fn on the writer outside any transaction: fn makes one statement, which
// the engine commits by itself, so that no round trip is spent on its beginning and
// end. Lost races and outages are as for [DB.Write].
func (d *DB) One(ctx context.Context, fn func(q *db.Queries) error) error {
	return d.tried(ctx, func() error { return fn(d.writes) })
}

// Leaf is one audit entry's place in the log.
type Leaf struct {
	Leaf         int64
	Owner, Chain string
	Seq          int64
}

// LogHash is one stored hash of the log's tree.
type LogHash struct {
	Index int64
	Hash  []byte
}

// InsertLogHashes writes the hashes, many in one statement.
func (tx *Tx) InsertLogHashes(ctx context.Context, hashes []LogHash) error {
	_, err := inBulk(ctx, tx, "INSERT INTO log_hashes (idx, hash) VALUES ", "($,$)", "", hashes,
		func(h LogHash) []any { return []any{h.Index, h.Hash} })
	return err
}

// PlaceLeaves notes for each entry which leaf it is, both ways, many in one
// statement. An entry that is gone or has a leaf already gives [ErrStale].
func (tx *Tx) PlaceLeaves(ctx context.Context, leaves []Leaf) error {
	args := func(l Leaf) []any { return []any{l.Leaf, l.Owner, l.Chain, l.Seq} }
	if _, err := inBulk(ctx, tx, "INSERT INTO log_leaves (leaf, owner, chain, seq) VALUES ", "($,$,$,$)", "", leaves, args); err != nil {
		return err
	}
	rows, err := inBulk(ctx, tx, "UPDATE audit_entries SET leaf = v.column1 FROM (VALUES ",
		"(CAST($ AS BIGINT),CAST($ AS TEXT),CAST($ AS TEXT),CAST($ AS BIGINT))",
		") AS v WHERE audit_entries.owner = v.column2 AND audit_entries.chain = v.column3 AND audit_entries.seq = v.column4 AND audit_entries.leaf IS NULL",
		leaves, args)
	if err == nil && rows != int64(len(leaves)) {
		return ErrStale
	}
	return err
}

// How many arguments one statement takes. PostgreSQL pays for each round trip, so
// many; SQLite pays none and looks each argument up in a list of those before it, so
// few: with 13 arguments a row, a row took 29 µs ten to a statement, 39 µs one to a
// statement and 260 µs five hundred to a statement (November 2026, two busy cores).
const (
	postgresArguments = 2000
	sqliteArguments   = 130
)

// statementSizes gives how many rows statements take, from many to one. They are few
// sizes, because every number of rows is another statement to prepare.
func (tx *Tx) statementSizes(arguments int) []int {
	n := postgresArguments
	if tx.engine == SQLite {
		n = sqliteArguments
	}
	sizes := []int{}
	for n = max(1, n/arguments); n > 1; n /= 8 {
		sizes = append(sizes, n)
	}
	return append(sizes, 1)
}

// inBulk writes the rows, many in one statement; a $ of the row's text is the next
// argument. It gives how many rows were touched.
func inBulk[T any](ctx context.Context, tx *Tx, before, row, after string, all []T, args func(T) []any) (int64, error) {
	var touched int64
	arguments := strings.Count(row, "$")
	for _, n := range tx.statementSizes(arguments) {
		if len(all) < n {
			continue
		}
		rows, err := inStatements(ctx, tx, before+repeated(row, n)+after, n*arguments, all[:len(all)/n*n], args)
		if touched += rows; err != nil {
			return touched, err
		}
		all = all[len(all)/n*n:]
	}
	return touched, nil
}

// inStatements makes the one statement until all rows are written.
func inStatements[T any](ctx context.Context, tx *Tx, text string, arguments int, all []T, args func(T) []any) (touched int64, err error) {
	run := func(values []any) (sql.Result, error) { return tx.Raw().ExecContext(ctx, text, values...) }
	if tx.engine == SQLite { // pgx keeps what it prepared
		prepared, err := tx.Raw().PrepareContext(ctx, text)
		if err != nil {
			return 0, err
		}
		defer prepared.Close()
		run = func(values []any) (sql.Result, error) { return prepared.ExecContext(ctx, values...) }
	}
	values := make([]any, 0, arguments)
	for _, one := range all {
		if values = append(values, args(one)...); len(values) < arguments {
			continue
		}
		result, err := run(values)
		if err != nil {
			return touched, err
		}
		rows, err := result.RowsAffected()
		if err != nil {
			return touched, err
		}
		touched, values = touched+rows, values[:0]
	}
	return touched, nil
}

// repeated gives the row n times with its arguments numbered.
func repeated(row string, n int) string {
	var text strings.Builder
	parts, number := strings.Split(row, "$"), 0
	for i := range n {
		if i > 0 {
			text.WriteByte(',')
		}
		for j, part := range parts {
			if j > 0 {
				number++
				text.WriteString("$" + strconv.Itoa(number))
			}
			text.WriteString(part)
		}
	}
	return text.String()
}

// LogHashesAt reads stored hashes of the log's tree by their indexes, at most 100 of
// them, in one statement. What is not there is left out.
func LogHashesAt(ctx context.Context, q *db.Queries, indexes []int64) (map[int64][]byte, error) {
	text, args := among(indexes)
	rows, err := q.Raw().QueryContext(ctx, "SELECT idx, hash FROM log_hashes WHERE idx IN ("+text+")", args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := make(map[int64][]byte, len(indexes))
	for rows.Next() {
		var index int64
		var hash []byte
		if err := rows.Scan(&index, &hash); err != nil {
			return nil, err
		}
		found[index] = hash
	}
	return found, rows.Err()
}
