package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// SealedColumn is one whose values were made with a key that can be replaced.
// Sealed names all of them; a test finds one that is missing.
type SealedColumn struct {
	Table, Column string
	// Key is the table's primary key. The column may be part of it.
	Key []string
	// Realm is SQL that gives the realm of row t, '' for none.
	Realm string
	// Owner are the columns that, joined by "/", say whose the value is, and Place
	// names the column in what the value is bound to (seal.Place); "" for table.column.
	Owner []string
	Place string
	// Framed: the realm and a line feed stand before the sealed value.
	Framed bool
}

// Name is table.column.
func (c SealedColumn) Name() string { return c.Table + "." + c.Column }

const (
	caseRealm      = "COALESCE((SELECT c.realm FROM cases c WHERE c.subject = t.subject AND c.id = t.case_id), '')"
	accountRealm   = "COALESCE((SELECT a.realm FROM accounts a WHERE a.account_id = t.account_id), '')"
	chainRealm     = "COALESCE((SELECT c.realm FROM cases c WHERE c.subject = t.owner AND c.id = t.chain), (SELECT a.realm FROM accounts a WHERE a.account_id = t.owner), '')"
	candidatePlace = "candidates"
)

// Sealed are the columns of sealed values.
var Sealed = []SealedColumn{
	{Table: "cases", Column: "identifier", Key: []string{"subject", "id"}, Realm: "t.realm", Owner: []string{"subject", "id"}},
	{Table: "cases", Column: "outcome", Key: []string{"subject", "id"}, Realm: "t.realm", Owner: []string{"subject", "id"}},
	{Table: "challenges", Column: "data", Key: []string{"subject", "case_id", "id"}, Realm: caseRealm, Owner: []string{"subject", "case_id", "id"}},
	{Table: "challenges", Column: "candidates", Key: []string{"subject", "case_id", "id"}, Realm: caseRealm, Owner: []string{"subject", "case_id", "id"}, Place: candidatePlace},
	{Table: "evidence", Column: "candidates", Key: []string{"subject", "case_id", "id"}, Realm: caseRealm, Owner: []string{"subject", "case_id", "id"}, Place: candidatePlace},
	{Table: "accounts", Column: "host_id", Key: []string{"account_id"}, Realm: "t.realm", Owner: []string{"account_id"}},
	{Table: "account_identifiers", Column: "value", Key: []string{"account_id", "kind", "idx"}, Realm: accountRealm, Owner: []string{"account_id"}},
	{Table: "account_contacts", Column: "value", Key: []string{"account_id", "id"}, Realm: accountRealm, Owner: []string{"account_id"}},
	{Table: "account_facts", Column: "value", Key: []string{"account_id", "kind"}, Realm: accountRealm, Owner: []string{"account_id"}},
	{Table: "sign_ins", Column: "data", Key: []string{"account_id", "id"}, Realm: accountRealm, Owner: []string{"account_id", "id"}},
	{Table: "jobs", Column: "payload", Key: []string{"key", "id"}, Owner: []string{"key", "id"}, Framed: true},
	// The hash of an entry covers a commitment to its payload, not the sealed form.
	{Table: "audit_entries", Column: "payload", Key: []string{"owner", "chain", "seq"}, Realm: chainRealm, Owner: []string{"chain", "seq"}},
	{Table: "idempotency", Column: "reply", Key: []string{"scope", "key"}, Realm: "''", Owner: []string{"scope", "key"}},
}

// Indexed are the columns of blind indexes. Each table has an account_id, whose
// row is guarded while they change.
var Indexed = []SealedColumn{
	{Table: "host_ids", Column: "idx", Key: []string{"idx"}},
	{Table: "identifiers", Column: "idx", Key: []string{"idx", "account_id"}},
	{Table: "account_identifiers", Column: "idx", Key: []string{"account_id", "kind", "idx"}},
	{Table: "account_contacts", Column: "idx", Key: []string{"account_id", "id"}},
}

// HashedColumn holds keyed hashes, which nothing can make anew: rows that still
// count go when their owners come, or are replaced by hand.
type HashedColumn struct {
	Table, Column string
	// Live is SQL for the rows that still count.
	Live string
	// Peppered: the version is the k= of a password hash; otherwise it stands in front.
	Peppered bool
	// Until says in a few words how a row goes.
	Until string
}

// Hashed are the columns of hashes under a key that can be replaced.
var Hashed = []HashedColumn{
	{"account_secrets", "hash", "1 = 1", true, "the next sign-in of each owner"},
	{"backup_codes", "hash", "consumed_at = 0", false, "new backup codes"},
	{"api_keys", "hash", "revoked_at = 0", false, "a new API key, and the old one revoked"},
}

// SealedRow is one value where it stands.
type SealedRow struct {
	Key    []any // in the order of the column's Key
	Realm  string
	Owner  string
	Value  []byte // without its frame
	stored []byte
}

// window reads up to most rows of a column that is not NULL in the order of the
// primary key, after a key (nil for the first), showing what expressions say.
func (c SealedColumn) window(show []string, after []any, most int) (text string, args []any) {
	keys := strings.Join(c.Key, ", ")
	text = "SELECT " + strings.Join(append(slices.Clone(c.Key), show...), ", ") + " FROM " + c.Table + " t WHERE t." + c.Column + " IS NOT NULL"
	if after != nil {
		text += " AND (" + keys + ") > (" + marks(1, len(after)) + ")"
	}
	args = append(slices.Clone(after), most)
	return text + " ORDER BY " + keys + " LIMIT $" + strconv.Itoa(len(args)), args
}

// marks are n arguments from the given number on.
func marks(from, n int) string {
	out := make([]string, n)
	for i := range out {
		out[i] = "$" + strconv.Itoa(from+i)
	}
	return strings.Join(out, ", ")
}

// scanKeyed reads rows whose first columns are the key.
func (d *DB) scanKeyed(ctx context.Context, c SealedColumn, text string, args []any, into func(key []any) []any, each func()) (last []any, n int, err error) {
	rows, err := d.read.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, 0, outage(err)
	}
	defer rows.Close()
	for rows.Next() {
		key := make([]any, len(c.Key))
		targets := make([]any, len(key))
		for i := range key {
			targets[i] = &key[i]
		}
		if err := rows.Scan(append(targets, into(key)...)...); err != nil {
			return nil, 0, err
		}
		each()
		last, n = key, n+1
	}
	return last, n, outage(rows.Err())
}

// SealedAfter reads up to most values of a column in the order of its key, after
// a key; nil for the first. Fewer than most are the last.
func (d *DB) SealedAfter(ctx context.Context, c SealedColumn, after []any, most int) ([]SealedRow, error) {
	owner := make([]string, len(c.Owner))
	for i, column := range c.Owner {
		owner[i] = "CAST(t." + column + " AS TEXT)"
	}
	realm := c.Realm
	if c.Framed {
		realm = "''"
	}
	text, args := c.window([]string{realm, strings.Join(owner, " || '/' || "), "t." + c.Column}, after, most)
	var out []SealedRow
	var row SealedRow
	_, _, err := d.scanKeyed(ctx, c, text, args, func(key []any) []any {
		row = SealedRow{Key: key}
		return []any{&row.Realm, &row.Owner, &row.stored}
	}, func() {
		row.Value = row.stored
		if c.Framed {
			frame, value, _ := bytes.Cut(row.stored, []byte("\n"))
			row.Realm, row.Value = string(frame), value
		}
		out = append(out, row)
	})
	return out, err
}

// Reseal puts sealed in the place of what was read in the row, unless it changed
// meanwhile; false then.
func (tx *Tx) Reseal(ctx context.Context, c SealedColumn, row SealedRow, sealed []byte) (bool, error) {
	if c.Framed {
		sealed = append([]byte(row.Realm+"\n"), sealed...)
	}
	where := make([]string, len(c.Key))
	for i, column := range c.Key {
		where[i] = column + " = $" + strconv.Itoa(i+3)
	}
	text := fmt.Sprintf("UPDATE %s SET %s = $1 WHERE %s = $2 AND %s", c.Table, c.Column, c.Column, strings.Join(where, " AND "))
	result, err := tx.Raw().ExecContext(ctx, text, append([]any{sealed, row.stored}, row.Key...)...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n == 1, err
}

// IndexedRow is one blind index where it stands.
type IndexedRow struct {
	Key     []any
	Account string
	Index   string
}

// IndexedAfter is SealedAfter for a column of blind indexes.
func (d *DB) IndexedAfter(ctx context.Context, c SealedColumn, after []any, most int) ([]IndexedRow, error) {
	text, args := c.window([]string{"t.account_id", "t." + c.Column}, after, most)
	var out []IndexedRow
	var row IndexedRow
	_, _, err := d.scanKeyed(ctx, c, text, args, func(key []any) []any {
		row = IndexedRow{Key: key}
		return []any{&row.Account, &row.Index}
	}, func() { out = append(out, row) })
	return out, err
}

// The lengths of what names a version: seal.Version.Prefixes.
const (
	sealedPrefix = 5
	indexPrefix  = 8
)

// counting is how many rows one statement of a count looks at.
const counting = 5000

// CountPrefixes counts a column's values by what they begin with: the part that
// names the version of the key. It looks at every row, a window at a time.
func (d *DB) CountPrefixes(ctx context.Context, c SealedColumn) (map[string]int64, error) {
	length := sealedPrefix
	if slices.ContainsFunc(Indexed, func(i SealedColumn) bool { return i.Name() == c.Name() }) {
		length = indexPrefix
	}
	show := fmt.Sprintf("substr(t.%s, 1, %d)", c.Column, length)
	if c.Framed {
		show = "t." + c.Column
	}
	out := map[string]int64{}
	for after := []any(nil); ; {
		text, args := c.window([]string{show}, after, counting)
		var prefix []byte
		last, n, err := d.scanKeyed(ctx, c, text, args, func([]any) []any { return []any{&prefix} }, func() {
			value := prefix
			if c.Framed {
				_, value, _ = bytes.Cut(value, []byte("\n"))
			}
			out[string(value[:min(len(value), length)])]++
		})
		if err != nil {
			return nil, err
		}
		if n < counting {
			return out, nil
		}
		after = last
	}
}

// NewestSealed gives the sealed host IDs of the accounts that came last, to see
// whether a key file is as new as the database.
func (d *DB) NewestSealed(ctx context.Context) (out [][]byte, err error) {
	rows, err := d.read.QueryContext(ctx, "SELECT host_id FROM accounts ORDER BY account_id DESC LIMIT 20")
	if err != nil {
		return nil, outage(err)
	}
	defer rows.Close()
	for rows.Next() {
		var sealed []byte
		if err := rows.Scan(&sealed); err != nil {
			return nil, err
		}
		out = append(out, sealed)
	}
	return out, outage(rows.Err())
}

// CountHashes counts the rows that still count and were made with a version of
// the key: mac is what its MACs begin with, pepper what its hashes name.
func (d *DB) CountHashes(ctx context.Context, c HashedColumn, mac, pepper string) (n int64, err error) {
	pattern := mac + "%"
	if c.Peppered {
		pattern = "%,k=" + pepper + "$%"
	}
	text := fmt.Sprintf("SELECT COUNT(*) FROM %s WHERE %s AND %s LIKE $1", c.Table, c.Live, c.Column)
	err = d.read.QueryRowContext(ctx, text, pattern).Scan(&n)
	return n, outage(err)
}
