package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	sqlitedriver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrNotSQLite is what a copy of another engine's database gives.
var ErrNotSQLite = errors.New("only a SQLite database is one file")

// Backup writes a consistent copy of a SQLite database to a file of mode 0600,
// whole or not at all. Others read and write on meanwhile. A file that is there
// is refused with [os.ErrExist].
func (d *DB) Backup(ctx context.Context, to string) error {
	if d.engine != SQLite {
		return ErrNotSQLite
	}
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("%s: %w", to, os.ErrExist)
	}
	part, err := emptyBeside(to)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(part) }()
	if _, err := d.write.ExecContext(ctx, `VACUUM INTO $1`, part); err != nil {
		return outage(fmt.Errorf("backup: %w", err))
	}
	if err := SoundCopy(ctx, part); err != nil {
		return err
	}
	if err := synced(part); err != nil {
		return err
	}
	if err := os.Link(part, to); err != nil { // unlike a rename, it replaces nothing
		return err
	}
	return synced(filepath.Dir(to))
}

// emptyBeside makes an empty file in the folder of another, readable by its
// owner only.
func emptyBeside(path string) (string, error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return "", err
	}
	return file.Name(), file.Close()
}

// synced waits until a file or folder is on the disk.
func synced(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// SoundCopy checks that a file is a whole SQLite database of this program.
func SoundCopy(ctx context.Context, path string) error {
	d, err := openSQLite(path)
	if err != nil {
		return err
	}
	defer d.Close()
	defer func() { // its own WAL mode leaves nothing behind but these
		_, _ = d.write.Exec(`PRAGMA journal_mode(DELETE)`)
	}()
	var says string
	if err := d.write.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&says); err != nil {
		return fmt.Errorf("%s is no SQLite database: %w", path, err)
	}
	if says != "ok" {
		return fmt.Errorf("%s is damaged: %s", path, says)
	}
	if _, err := d.LogSize(ctx); err != nil {
		return fmt.Errorf("%s is no database of this program: %w", path, err)
	}
	return nil
}

// ErrInUse says that another process has the database open.
var ErrInUse = errors.New("the database is in use: stop the server first")

// Replace puts a copy of the backup in the place of a SQLite database and moves
// what was there aside, with its journal. It gives [ErrInUse] while another
// process has the database open, and touches nothing unless the copy is sound.
func Replace(ctx context.Context, path, backup, aside string) error {
	part, err := emptyBeside(path)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(part) }()
	if err := copied(part, backup); err != nil {
		return err
	}
	if err := SoundCopy(ctx, part); err != nil {
		return err
	}
	if _, err := os.Stat(path); err == nil {
		if err := unused(ctx, path); err != nil {
			return err
		}
		for _, end := range []string{"", "-wal", "-shm"} {
			if err := os.Rename(path+end, aside+end); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	if err := errors.Join(synced(part), os.Rename(part, path)); err != nil {
		return err
	}
	return synced(filepath.Dir(path))
}

func copied(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

// unused folds the journal into the file, which SQLite does only while nobody
// else has it open. A damaged file counts as unused: it is why one restores.
func unused(ctx context.Context, path string) error {
	d, err := openSQLite(path)
	if err != nil {
		return err
	}
	defer d.Close()
	conn, err := d.write.Conn(ctx)
	if err == nil {
		defer conn.Close()
		if _, err = conn.ExecContext(ctx, `PRAGMA busy_timeout(200)`); err == nil {
			_, err = conn.ExecContext(ctx, `PRAGMA journal_mode(DELETE)`)
		}
	}
	var lite *sqlitedriver.Error
	if errors.As(err, &lite) && (lite.Code()&0xff == sqlite3.SQLITE_BUSY || lite.Code()&0xff == sqlite3.SQLITE_LOCKED) {
		return ErrInUse
	}
	return nil
}

// Voided counts what an accepted restore took back.
type Voided struct {
	Challenges, Tokens, BackupCodes, Devices, Accounts, Counters int64
}

// fullCount is what a filled counter holds: above every limit that a policy can set.
const fullCount = 1_000_000_000

// eventsLost is how far the number of an account's events is moved on, so that
// no number is told twice. Ours: far more than an account has in the time
// between two backups.
const eventsLost = 1000

// VoidRestored takes back what a database that was put back in time gives again
// (decision 007), and calls record in the same transaction.
func (d *DB) VoidRestored(ctx context.Context, now time.Time, record func(tx *Tx, v Voided) error) (Voided, error) {
	var v Voided
	tx, err := d.write.BeginTx(ctx, nil)
	if err != nil {
		return v, outage(err)
	}
	defer func() { _ = tx.Rollback() }()
	at := Millis(now)
	for _, step := range []struct {
		count *int64
		sql   string
		args  []any
	}{
		{&v.Challenges, `UPDATE challenges SET consumed_at = $1 WHERE consumed_at = 0`, []any{at}},
		{&v.Tokens, `UPDATE cases SET token_serial = token_serial + 1, version = version + 1 WHERE closed_at = 0 AND token_serial > 0`, nil},
		// What a person looks at stays: its epoch moves with the account's.
		{new(int64), `UPDATE cases SET account_epoch = account_epoch + 1 WHERE state IN ('in_review', 'applying') AND account_id <> ''`, nil},
		{&v.Accounts, `UPDATE accounts SET epoch = epoch + 1, event_seq = event_seq + $1, version = version + 1`, []any{int64(eventsLost)}},
		{&v.BackupCodes, `UPDATE backup_codes SET consumed_at = $1 WHERE consumed_at = 0`, []any{at}},
		{&v.Devices, `UPDATE account_devices SET revoked_at = $1 WHERE revoked_at = 0`, []any{at}},
		{&v.Counters, `UPDATE counters SET minute_start = $1, minute_n = $2, hour_start = $1, hour_n = $2, day_start = $1, day_n = $2`, []any{at, int64(fullCount)}},
	} {
		done, err := tx.ExecContext(ctx, step.sql, step.args...)
		if err != nil {
			return v, outage(err)
		}
		if *step.count, err = done.RowsAffected(); err != nil {
			return v, err
		}
	}
	out := d.tx(tx)
	if err := record(out, v); err != nil {
		return v, err
	}
	return v, outage(out.commit(ctx))
}
