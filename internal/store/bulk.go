package store

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"sync"

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

// Record adds an audit entry. Those of a transaction are written together at its
// end; nothing reads them before.
func (tx *Tx) Record(entry db.AuditEntry) { tx.entries = append(tx.entries, entry) }

// InsertLogHashes writes the hashes.
func (tx *Tx) InsertLogHashes(ctx context.Context, hashes []LogHash) error {
	_, err := inBulk(ctx, tx, insertHashes, hashes, func(h LogHash) []any { return []any{h.Index, h.Hash} })
	return err
}

// PlaceLeaves notes for each entry which leaf it is, both ways. An entry that is
// gone or has a leaf already gives [ErrStale].
func (tx *Tx) PlaceLeaves(ctx context.Context, leaves []Leaf) error {
	args := func(l Leaf) []any { return []any{l.Leaf, l.Owner, l.Chain, l.Seq} }
	if _, err := inBulk(ctx, tx, insertLeaves, leaves, args); err != nil {
		return err
	}
	rows, err := inBulk(ctx, tx, placeEntries, leaves, args)
	if err == nil && rows != int64(len(leaves)) {
		return ErrStale
	}
	return err
}

func (tx *Tx) writeEntries(ctx context.Context) error {
	args := func(e db.AuditEntry) []any {
		return []any{e.Owner, e.Chain, e.Seq, e.At, e.Event, e.FromState, e.ToState, e.Payload, e.Nonce, e.Commitment, e.Prev, e.Hash}
	}
	if len(tx.entries) > sizes[0] { // an import's
		return inNew(ctx, tx, insertEntries, tx.entries, args)
	}
	_, err := inBulk(ctx, tx, insertEntries, tx.entries, args)
	return err
}

// The statements that take many rows. As for sqlc, :exec says that nobody looks at
// their result.
var (
	insertEntries = manyRows("-- name: InsertAuditEntries :exec\nINSERT INTO audit_entries "+
		"(owner, chain, seq, at, event, from_state, to_state, payload, nonce, commitment, prev, hash, leaf) VALUES ",
		"($,$,$,$,$,$,$,$,$,$,$,$,NULL)", "")
	insertHashes = manyRows("-- name: InsertLogHashes :exec\nINSERT INTO log_hashes (idx, hash) VALUES ", "($,$)", "")
	insertLeaves = manyRows("-- name: InsertLeaves :exec\nINSERT INTO log_leaves (leaf, owner, chain, seq) VALUES ", "($,$,$,$)", "")
	placeEntries = manyRows("-- name: PlaceEntries :execrows\nUPDATE audit_entries SET leaf = v.column1 FROM (VALUES ",
		"(CAST($ AS BIGINT),CAST($ AS TEXT),CAST($ AS TEXT),CAST($ AS BIGINT))",
		") AS v WHERE audit_entries.owner = v.column2 AND audit_entries.chain = v.column3 AND audit_entries.seq = v.column4 AND audit_entries.leaf IS NULL")
)

// sizes are the numbers of rows that a statement is made for: every number is another
// statement to prepare.
var sizes = []int{64, 32, 16, 8, 4, 2, 1}

// bulkTexts is one statement by its number of rows.
type bulkTexts struct{ numbered, plain func() map[int]string }

// of gives the texts for an engine. SQLite gets arguments without a number: it finds
// those that have one by a walk through all of them, for each of them.
func (t bulkTexts) of(engine Engine) map[int]string {
	if engine == SQLite {
		return t.plain()
	}
	return t.numbered()
}

// manyRows makes a statement for each of the sizes; a $ of the row's text is the next
// argument.
func manyRows(before, row, after string) bulkTexts {
	texts := func(argument func(n int) string) func() map[int]string {
		return sync.OnceValue(func() map[int]string {
			texts := map[int]string{}
			parts := strings.Split(row, "$")
			for _, size := range sizes {
				var text strings.Builder
				text.WriteString(before)
				n := 0
				for i := range size {
					if i > 0 {
						text.WriteByte(',')
					}
					for j, part := range parts {
						if j > 0 {
							n++
							text.WriteString(argument(n))
						}
						text.WriteString(part)
					}
				}
				text.WriteString(after)
				texts[size] = text.String()
			}
			return texts
		})
	}
	return bulkTexts{
		numbered: texts(func(n int) string { return "$" + strconv.Itoa(n) }),
		plain:    texts(func(int) string { return "?" }),
	}
}

// prepareBulk makes SQLite's statements ready; they need the one writer, which a
// transaction holds later.
func (d *DB) prepareBulk(ctx context.Context) error {
	d.bulk = map[string]*sql.Stmt{}
	for _, texts := range []bulkTexts{insertEntries, insertHashes, insertLeaves, placeEntries} {
		for _, text := range texts.of(SQLite) {
			stmt, err := d.write.PrepareContext(ctx, text)
			if err != nil {
				return err
			}
			d.bulk[text] = stmt
		}
	}
	return nil
}

// inNew is inBulk for thousands of rows of tables that seldom get many: SQLite's
// statements are made for the transaction.
func inNew[T any](ctx context.Context, tx *Tx, texts bulkTexts, all []T, args func(T) []any) error {
	if tx.bulk == nil || len(all) == 0 {
		_, err := inBulk(ctx, tx, texts, all, args)
		return err
	}
	for _, size := range sizes {
		if len(all) < size {
			continue
		}
		stmt, err := tx.sql.PrepareContext(ctx, texts.of(SQLite)[size])
		if err != nil {
			return err
		}
		for ; len(all) >= size && err == nil; all = all[size:] {
			var values []any
			for _, one := range all[:size] {
				values = append(values, args(one)...)
			}
			_, err = stmt.ExecContext(ctx, values...)
		}
		if err = errors.Join(err, stmt.Close()); err != nil {
			return err
		}
	}
	return nil
}

// inBulk writes all rows, and gives how many were touched.
func inBulk[T any](ctx context.Context, tx *Tx, texts bulkTexts, all []T, args func(T) []any) (int64, error) {
	var touched int64
	for _, size := range sizes {
		for len(all) >= size {
			var values []any
			for _, one := range all[:size] {
				values = append(values, args(one)...)
			}
			text := texts.of(tx.engine)[size]
			result, err := tx.exec(ctx, text, values)
			if err != nil {
				return touched, err
			}
			if !resultless(text) {
				rows, err := result.RowsAffected()
				if err != nil {
					return touched, err
				}
				touched += rows
			}
			all = all[size:]
		}
	}
	return touched, nil
}

func (tx *Tx) exec(ctx context.Context, text string, args []any) (sql.Result, error) {
	if stmt, ok := tx.bulk[text]; ok {
		return tx.sql.StmtContext(ctx, stmt).ExecContext(ctx, args...)
	}
	return tx.sql.ExecContext(ctx, text, args...)
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
