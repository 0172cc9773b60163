package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"

	"github.com/wanbi/wanbi/internal/store/db"
)

// Snapshots runs fn on several connections that all see one view of the database, in
// which nothing changes whatever others write meanwhile, so that they can be read at
// once. Writers wait while the views begin, which takes a few statements.
func (d *DB) Snapshots(ctx context.Context, views int, fn func(views []*db.Queries) error) error {
	begun := make([]*sql.Tx, 0, views)
	defer func() {
		for _, tx := range begun {
			_ = tx.Rollback()
		}
	}()
	begin := d.snapshotsOfPostgres
	if d.engine == SQLite {
		begin = d.snapshotsOfSQLite
	}
	if err := d.tried(ctx, func() error {
		for _, tx := range begun {
			_ = tx.Rollback()
		}
		var err error
		begun, err = begin(ctx, begun[:0], views)
		return err
	}); err != nil {
		return err
	}
	some := make([]*db.Queries, len(begun))
	for i, tx := range begun {
		some[i] = d.reads.WithTx(tx)
	}
	return outage(fn(some))
}

// snapshotsOfSQLite holds the one writer while the readers begin: a reader's view is
// that of its first statement.
func (d *DB) snapshotsOfSQLite(ctx context.Context, begun []*sql.Tx, views int) ([]*sql.Tx, error) {
	writer, err := d.write.BeginTx(ctx, nil)
	if err != nil {
		return begun, err
	}
	defer func() { _ = writer.Rollback() }()
	for range views {
		tx, err := d.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
		if err != nil {
			return begun, err
		}
		begun = append(begun, tx)
		if _, err := d.reads.WithTx(tx).Ping(ctx); err != nil {
			return begun, err
		}
	}
	return begun, nil
}

// snapshotID is what PostgreSQL calls an exported snapshot; it cannot be an argument.
var snapshotID = regexp.MustCompile(`^[0-9A-Fa-f-]+$`)

// snapshotsOfPostgres has the first transaction hand its view to the others
// (PostgreSQL manual, snapshot synchronization functions).
func (d *DB) snapshotsOfPostgres(ctx context.Context, begun []*sql.Tx, views int) ([]*sql.Tx, error) {
	var id string
	for i := range views {
		tx, err := d.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead})
		if err != nil {
			return begun, err
		}
		begun = append(begun, tx)
		switch {
		case i == 0:
			if err := tx.QueryRowContext(ctx, "SELECT pg_export_snapshot()").Scan(&id); err != nil {
				return begun, err
			}
			if !snapshotID.MatchString(id) {
				return begun, errors.New("snapshot: PostgreSQL gave a name that is none")
			}
		default:
			if _, err := tx.ExecContext(ctx, fmt.Sprintf("SET TRANSACTION SNAPSHOT '%s'", id)); err != nil {
				return begun, err
			}
		}
	}
	return begun, nil
}
