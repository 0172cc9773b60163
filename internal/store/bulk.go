package store

import (
	"context"
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

// bulk is how many rows one statement takes. Every number of rows is another
// statement to prepare, so what is left over goes row by row.
const bulk = 50

// InsertLogHashes writes the hashes, many in one statement.
func (tx *Tx) InsertLogHashes(ctx context.Context, hashes []LogHash) error {
	_, err := inBulk(ctx, tx.Raw(), "INSERT INTO log_hashes (idx, hash) VALUES ", "($,$)", "", hashes,
		func(h LogHash) []any { return []any{h.Index, h.Hash} })
	return err
}

// PlaceLeaves notes for each entry which leaf it is, both ways, many in one
// statement. An entry that is gone or has a leaf already gives [ErrStale].
func (tx *Tx) PlaceLeaves(ctx context.Context, leaves []Leaf) error {
	args := func(l Leaf) []any { return []any{l.Leaf, l.Owner, l.Chain, l.Seq} }
	if _, err := inBulk(ctx, tx.Raw(), "INSERT INTO log_leaves (leaf, owner, chain, seq) VALUES ", "($,$,$,$)", "", leaves, args); err != nil {
		return err
	}
	rows, err := inBulk(ctx, tx.Raw(), "UPDATE audit_entries SET leaf = v.column1 FROM (VALUES ",
		"(CAST($ AS BIGINT),CAST($ AS TEXT),CAST($ AS TEXT),CAST($ AS BIGINT))",
		") AS v WHERE audit_entries.owner = v.column2 AND audit_entries.chain = v.column3 AND audit_entries.seq = v.column4 AND audit_entries.leaf IS NULL",
		leaves, args)
	if err == nil && rows != int64(len(leaves)) {
		return ErrStale
	}
	return err
}

// inBulk makes statements of up to bulk rows each; a $ of the row's text is the
// next argument. It gives how many rows were touched.
func inBulk[T any](ctx context.Context, to db.DBTX, before, row, after string, all []T, args func(T) []any) (int64, error) {
	var touched int64
	for len(all) > 0 {
		n := 1
		if len(all) >= bulk {
			n = bulk
		}
		var text strings.Builder
		text.WriteString(before)
		values := make([]any, 0, n*strings.Count(row, "$"))
		for i, one := range all[:n] {
			if i > 0 {
				text.WriteByte(',')
			}
			from := len(values)
			values = append(values, args(one)...)
			for j, part := range strings.Split(row, "$") {
				if j > 0 {
					text.WriteString("$" + strconv.Itoa(from+j))
				}
				text.WriteString(part)
			}
		}
		text.WriteString(after)
		result, err := to.ExecContext(ctx, text.String(), values...)
		if err != nil {
			return touched, err
		}
		rows, err := result.RowsAffected()
		if err != nil {
			return touched, err
		}
		touched, all = touched+rows, all[n:]
	}
	return touched, nil
}

// LogHashesAt reads stored hashes of the log's tree by their indexes, at most 100 of
// them, in one statement. What is not there is left out.
func LogHashesAt(ctx context.Context, q *db.Queries, indexes []int64) (map[int64][]byte, error) {
	marks, args := make([]string, len(indexes)), make([]any, len(indexes))
	for i, index := range indexes {
		marks[i], args[i] = "$"+strconv.Itoa(i+1), index
	}
	rows, err := q.Raw().QueryContext(ctx, "SELECT idx, hash FROM log_hashes WHERE idx IN ("+strings.Join(marks, ",")+")", args...)
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
