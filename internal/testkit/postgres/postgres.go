// Package postgres gives tests a PostgreSQL of their own: a throwaway cluster for
// the test process, or the one that WANBI_TEST_POSTGRES names, and in it a fresh
// database for each test that asks.
//
// The cluster listens on loopback only, asks for a random password, and keeps
// nothing: fsync is off and its folder goes when it stops. It stops with the
// process that started it, however that process ends.
//
// Trust: none is asked for; only tests import it. Whoever holds the cluster's DSN
// can run programs as the operating system's account that the cluster runs under.
package postgres

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// Environment names the variable that holds the DSN of a superuser of a running
// cluster, as a postgres:// URL; when set, no cluster is started.
const Environment = "WANBI_TEST_POSTGRES"

// patience is how long one statement of ours, or a start or stop of the
// cluster, may take before a test gives up.
const patience = 60 * time.Second

// process is what this test process uses: one cluster, started at most once.
var process struct {
	start   sync.Once
	dsn     string
	err     error
	cluster *Cluster // nil when the environment names one

	mu        sync.Mutex
	templates map[string]*template
	closed    bool
}

// template is a prepared database that others are copies of.
type template struct {
	once sync.Once
	name string
	err  error
}

// Main runs a package's tests and then stops the cluster, if they started one:
//
//	func TestMain(m *testing.M) { os.Exit(postgres.Main(m)) }
//
// Without it the cluster still stops with the process; its folder then goes when
// the next cluster starts.
func Main(m *testing.M) int {
	code := m.Run()
	if err := closeProcess(); err != nil {
		fmt.Fprintln(os.Stderr, "postgres:", err)
		code = max(code, 1)
	}
	return code
}

// closeProcess drops the templates and stops our own cluster.
func closeProcess() error {
	process.mu.Lock()
	defer process.mu.Unlock()
	process.closed = true
	if process.cluster != nil {
		return process.cluster.Stop()
	}
	for _, made := range process.templates {
		if made.name == "" {
			continue
		}
		if err := execute(process.dsn, "DROP DATABASE IF EXISTS "+made.name+" WITH (FORCE)"); err != nil {
			return err
		}
	}
	return nil
}

// Database gives the DSN of a new empty database, a postgres:// URL for the
// driver "pgx"; the database is dropped when the test ends. A cluster that
// cannot be had fails the test.
func Database(t testing.TB) string {
	t.Helper()
	return database(t, "template0")
}

// Template gives the DSN of a new database that is a copy of what prepare made,
// such as a migrated schema. prepare runs once per name and test process, on an
// empty database, and closes its connections before it returns.
func Template(t testing.TB, name string, prepare func(dsn string) error) string {
	t.Helper()
	cluster := running(t)
	process.mu.Lock()
	if process.templates == nil {
		process.templates = map[string]*template{}
	}
	made := process.templates[name]
	if made == nil {
		made = &template{}
		process.templates[name] = made
	}
	process.mu.Unlock()
	made.once.Do(func() { made.err = made.make(cluster, prepare) })
	if made.err != nil {
		t.Fatalf("postgres: template %q: %v", name, made.err)
	}
	return database(t, made.name)
}

// make creates the template and closes it, because only a database that nobody
// is connected to can be copied.
func (m *template) make(cluster string, prepare func(dsn string) error) error {
	m.name = freshName("wanbi_template_")
	if err := execute(cluster, "CREATE DATABASE "+m.name+" TEMPLATE template0"); err != nil {
		return err
	}
	dsn, err := withDatabase(cluster, m.name)
	if err != nil {
		return err
	}
	if err := prepare(dsn); err != nil {
		return err
	}
	return execute(cluster,
		"ALTER DATABASE "+m.name+" WITH ALLOW_CONNECTIONS false",
		fmt.Sprintf("SELECT pg_terminate_backend(pid, %d) FROM pg_stat_activity WHERE datname = '%s'",
			patience.Milliseconds(), m.name))
}

// database copies a template and promises to drop the copy.
func database(t testing.TB, template string) string {
	t.Helper()
	cluster := running(t)
	name := freshName("wanbi_test_")
	if err := execute(cluster, "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		t.Fatalf("postgres: %v", err)
	}
	t.Cleanup(func() {
		if err := execute(cluster, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("postgres: %v", err)
		}
	})
	dsn, err := withDatabase(cluster, name)
	if err != nil {
		t.Fatalf("postgres: %v", err)
	}
	return dsn
}

// running gives the DSN of the cluster, starting one where none is named.
func running(t testing.TB) string {
	t.Helper()
	process.start.Do(func() {
		if process.dsn = os.Getenv(Environment); process.dsn != "" {
			return
		}
		process.cluster, process.err = Start()
		if process.err == nil {
			process.dsn = process.cluster.DSN()
		}
	})
	if process.err != nil {
		t.Fatalf("postgres: %v", process.err)
	}
	process.mu.Lock()
	defer process.mu.Unlock()
	if process.closed {
		t.Fatal("postgres: the cluster was already stopped")
	}
	return process.dsn
}

// execute runs statements one by one on a connection of their own.
func execute(dsn string, statements ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// withDatabase gives the DSN of another database of the same cluster.
func withDatabase(dsn, name string) (string, error) {
	at, err := url.Parse(dsn)
	if err != nil || (at.Scheme != "postgres" && at.Scheme != "postgresql") {
		return "", fmt.Errorf("%s holds no postgres:// URL", Environment)
	}
	at.Path = "/" + name
	return at.String(), nil
}

// freshName gives a name that no other test on the cluster has.
func freshName(prefix string) string { return prefix + strings.ToLower(rand.Text()) }
