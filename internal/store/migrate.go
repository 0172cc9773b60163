package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"github.com/wanbi/wanbi/internal/store/db"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

func (d *DB) migrations() (*goose.Provider, error) {
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return nil, err
	}
	dialect := goose.DialectSQLite3
	if d.engine == PostgreSQL {
		dialect = goose.DialectPostgres
	}
	return goose.NewProvider(dialect, d.write, files)
}

// Migrate brings the schema up to date and returns the names of the steps it
// took. Each step is one transaction; running it again does nothing.
func (d *DB) Migrate(ctx context.Context) ([]string, error) {
	provider, err := d.migrations()
	if err != nil {
		return nil, err
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	steps := make([]string, 0, len(results))
	for _, r := range results {
		steps = append(steps, r.Source.Path)
	}
	return steps, nil
}

// Ready checks that the schema is one that this program can use, and on SQLite
// prepares the statements. Call it once before serving. A schema may be newer than
// the program, as it is during a rolling upgrade, unless it needs a newer one.
func (d *DB) Ready(ctx context.Context) error {
	provider, err := d.migrations()
	if err != nil {
		return err
	}
	pending, err := provider.HasPending(ctx)
	if err != nil {
		return outage(err)
	}
	if pending {
		return fmt.Errorf("the database schema is older than this program: run `wanbi migrate`")
	}
	if err := d.newEnough(ctx, provider); err != nil || d.engine != SQLite {
		return err
	}
	if d.writes, err = db.Prepare(ctx, d.write); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	if d.reads, err = db.Prepare(ctx, d.read); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	if err := d.prepareBulk(ctx); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	return nil
}

// errTooOld says that the program cannot use the schema any more.
var errTooOld = errors.New("the database schema needs a newer program")

// newEnough refuses a schema that took away what this program uses.
func (d *DB) newEnough(ctx context.Context, provider *goose.Provider) error {
	_, own, err := provider.GetVersions(ctx)
	if err != nil {
		return outage(err)
	}
	var needs int64
	if err := d.read.QueryRowContext(ctx, "SELECT COALESCE(MAX(version), 0) FROM schema_needs").Scan(&needs); err != nil {
		return outage(err)
	}
	if needs > own {
		return fmt.Errorf("%w: one that knows migration %d, and this one knows %d at most", errTooOld, needs, own)
	}
	return nil
}
