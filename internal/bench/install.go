package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/wanbi/wanbi/internal/bench/rig"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// installation is what is being measured.
type installation struct {
	Options
	*rig.Installation
	node     *rig.Node
	hash     string
	sink     *sink
	database processes
	driver   *driver
	run      *RunFigures
}

// lay writes settings, realm and keys.
func (b *installation) lay(ctx context.Context) (err error) {
	if err := b.Lay(ctx); err != nil {
		return err
	}
	b.node, err = b.Node("wanbi")
	return err
}

// importAccounts brings the accounts in.
func (b *installation) importAccounts(ctx context.Context) error {
	if b.Accounts == 0 {
		return nil
	}
	if err := b.bringIn(ctx, b.Accounts, &b.run.Import); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	b.Say("%s\n", b.run.Import)
	return nil
}

// startServer starts the server and waits for its first answer.
func (b *installation) startServer(ctx context.Context) error {
	args := []string{"bench", "serve", "--hash", b.hash}
	if b.Profiles != "" {
		name := fmt.Sprintf("server-%s-%s.pprof", b.run.Engine, b.hash)
		args = append(args, "--profile", filepath.Join(b.Profiles, name))
	}
	return b.node.Start(ctx, args...)
}

// memory is what the server has, in 10^6 bytes.
func (b *installation) memory() float64 { return resident(b.node.PID()) }

// throwaway is a database of its own in somebody's PostgreSQL.
type throwaway struct {
	admin      *sql.DB
	name, dsn  string
	postmaster int
	settings   map[string]string
}

// newDatabase makes it, and notes what bears on speed. The server process is found
// when it runs on this machine and its folder can be read; else its CPU is left out.
func newDatabase(ctx context.Context, dsn string) (*throwaway, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, errors.New("the PostgreSQL to use is named by no URL")
	}
	t := &throwaway{name: "wanbi_bench_" + strings.ReplaceAll(uuid.NewString(), "-", ""), settings: map[string]string{}}
	if t.admin, err = sql.Open("pgx", dsn); err != nil {
		return nil, err
	}
	if _, err := t.admin.ExecContext(ctx, "CREATE DATABASE "+t.name); err != nil {
		return nil, errors.Join(err, t.admin.Close())
	}
	u.Path = "/" + t.name
	t.dsn = u.String()
	for _, name := range []string{"server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "wal_sync_method"} {
		var value string
		if err := t.admin.QueryRowContext(ctx, "SHOW "+name).Scan(&value); err == nil {
			t.settings[name] = value
		}
	}
	var folder string
	if err := t.admin.QueryRowContext(ctx, "SHOW data_directory").Scan(&folder); err == nil {
		text, _ := os.ReadFile(filepath.Join(folder, "postmaster.pid"))
		first, _, _ := strings.Cut(string(text), "\n")
		t.postmaster, _ = strconv.Atoi(first)
	}
	return t, nil
}

func (t *throwaway) drop() error {
	_, err := t.admin.Exec("DROP DATABASE " + t.name + " WITH (FORCE)")
	return errors.Join(err, t.admin.Close())
}

// pending reports whether an audit entry is not in the log yet.
func pending(ctx context.Context, d *store.DB) (found bool, err error) {
	err = d.Read(ctx, func(q *db.Queries) error {
		rows, err := q.UnsequencedEntries(ctx, 1)
		found = len(rows) > 0
		return err
	})
	return found, err
}
