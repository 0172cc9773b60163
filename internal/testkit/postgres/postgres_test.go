package postgres_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/testkit/postgres"
)

// childEnvironment makes this test binary a process that starts a cluster, says
// where it is, and waits to be killed.
const childEnvironment = "WANBI_POSTGRES_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnvironment) != "" {
		cluster, err := postgres.Start()
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(cluster.DSN())
		select {}
	}
	os.Exit(postgres.Main(m))
}

func connect(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func run(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func count(t *testing.T, db *sql.DB, query string) (n int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

func TestEachDatabaseIsItsOwnAndIsDropped(t *testing.T) {
	var first string
	t.Run("inner", func(t *testing.T) {
		first = postgres.Database(t)
		a, b := connect(t, first), connect(t, postgres.Database(t))
		run(t, a, "CREATE TABLE cases (id BIGINT PRIMARY KEY)")
		run(t, a, "INSERT INTO cases VALUES (1)")
		if n := count(t, b, "SELECT count(*) FROM pg_tables WHERE tablename = 'cases'"); n != 0 {
			t.Errorf("the second database has %d tables of the first", n)
		}
		if n := count(t, a, "SELECT current_setting('server_version_num')::int"); n < 150000 {
			t.Errorf("server version %d, want 15 or newer", n)
		}
	})
	err := connect(t, first).PingContext(t.Context())
	if err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("the database outlives its test: %v", err)
	}
}

func TestTemplateIsPreparedOnceAndCopied(t *testing.T) {
	prepared := 0
	prepare := func(dsn string) error {
		prepared++
		db, err := sql.Open("pgx", dsn) // left open: a template must come loose even so
		if err != nil {
			return err
		}
		_, err = db.Exec("CREATE TABLE cases (id BIGINT PRIMARY KEY); INSERT INTO cases VALUES (1)")
		return err
	}
	a := connect(t, postgres.Template(t, "cases", prepare))
	b := connect(t, postgres.Template(t, "cases", prepare))
	run(t, a, "INSERT INTO cases VALUES (2)")
	if n, m := count(t, a, "SELECT count(*) FROM cases"), count(t, b, "SELECT count(*) FROM cases"); n != 2 || m != 1 {
		t.Errorf("the copies have %d and %d rows, want 2 and 1", n, m)
	}
	if prepared != 1 {
		t.Errorf("prepared %d times", prepared)
	}
}

// failing records what a test would have said instead of failing.
type failing struct {
	testing.TB
	said string
}

func (f *failing) Helper() {}
func (f *failing) Fatalf(format string, args ...any) {
	f.said = fmt.Sprintf(format, args...)
	panic(f)
}

func TestTemplateThatCannotBePreparedFailsTheTest(t *testing.T) {
	f := &failing{TB: t}
	defer func() {
		if recover() != f || !strings.Contains(f.said, `template "broken": no schema today`) {
			t.Errorf("said %q", f.said)
		}
	}()
	postgres.Template(f, "broken", func(string) error { return errors.New("no schema today") })
}

func TestAStoppedClusterLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", openFolder(t))
	cluster, err := postgres.Start()
	if err != nil {
		t.Fatal(err)
	}
	if err := connect(t, cluster.DSN()).PingContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(cluster.Stop(), cluster.Stop()); err != nil {
		t.Fatal(err)
	}
	if left := folders(t); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
	if !refused(t.Context(), cluster.DSN()) {
		t.Error("its server still answers")
	}
}

func TestAKilledProcessLeavesNoServer(t *testing.T) {
	t.Setenv("TMPDIR", openFolder(t))
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnvironment+"=1")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	dsn, _ := bufio.NewReader(out).ReadString('\n')
	dsn = strings.TrimSpace(dsn)
	if err := connect(t, dsn).PingContext(t.Context()); err != nil {
		t.Fatalf("%s: %v", dsn, err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // says that it was killed
	if !refused(t.Context(), dsn) {
		t.Error("the server outlives the process that started it")
	}
	if left := folders(t); len(left) != 1 {
		t.Fatalf("folders of the killed process: %q", left)
	}
	cluster, err := postgres.Start()
	if err != nil {
		t.Fatal(err)
	}
	if left := folders(t); len(left) != 1 {
		t.Errorf("the next start did not sweep: %q", left)
	}
	if err := cluster.Stop(); err != nil {
		t.Fatal(err)
	}
}

// openFolder is a folder that the account postgres may enter, too.
func openFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "wanbi-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func folders(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(os.TempDir(), "wanbi-postgres-*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// refused waits until nobody listens at the DSN's address, at most 30 seconds:
// the kernel's signal and the server's exit take their time. It hangs up at once,
// because a server waits for whoever has connected and not yet spoken.
func refused(ctx context.Context, dsn string) bool {
	at, err := url.Parse(dsn)
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", at.Host)
		if err != nil {
			return ctx.Err() == nil
		}
		conn.Close()
	}
	return false
}
