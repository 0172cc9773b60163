package store

import "context"

// Tallied is one entry of the audit log without anything of whose it is.
type Tallied struct {
	Realm  string // "" once the case or account is gone
	Intent string // "" on an account's chain
	Event  string
}

// LogSize gives the number of entries in the audit log.
func (d *DB) LogSize(ctx context.Context) (size int64, err error) {
	err = d.read.QueryRowContext(ctx, `SELECT size FROM log_head WHERE id = 1`).Scan(&size)
	return size, outage(err)
}

// Tally reads the entries of the audit log from a leaf on, at most so many.
func (d *DB) Tally(ctx context.Context, leaf int64, most int) ([]Tallied, error) {
	rows, err := d.read.QueryContext(ctx, `SELECT e.event, COALESCE(c.realm, a.realm, ''), COALESCE(c.intent, '')
		FROM log_leaves l
		JOIN audit_entries e ON e.owner = l.owner AND e.chain = l.chain AND e.seq = l.seq
		LEFT JOIN cases c ON c.subject = l.owner AND c.id = l.chain
		LEFT JOIN accounts a ON a.account_id = l.owner
		WHERE l.leaf >= $1 ORDER BY l.leaf LIMIT $2`, leaf, most)
	if err != nil {
		return nil, outage(err)
	}
	defer rows.Close()
	var out []Tallied
	for rows.Next() {
		var t Tallied
		if err := rows.Scan(&t.Event, &t.Realm, &t.Intent); err != nil {
			return nil, outage(err)
		}
		out = append(out, t)
	}
	return out, outage(rows.Err())
}
