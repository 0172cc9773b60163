package bench

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// policyText is a realm with one way and no wait, as the systems that one compares
// with have. Its limit of a network is the widest that loads.
const policyText = `realm:
  id: bench
  name: {zh-CN: 测速, en: Bench}
  locale: en
  sign-in: https://bench.example.cn/sign-in
identifiers: [email]
channels:
  email-code: {valid: 10m, resend: 60s, digits: 6}
intents:
  reset-password:
    ways:
      - name: email
        prove: [email-code]
        accept-risk: "a realm for measurements: one code and no wait"
limits: {network-per-hour: 100000}
help:
  phone: "400-000-0000"
  prepare: {zh-CN: 无, en: Nothing}
`

const settingsText = `listen: %s
origin: http://%[1]s
database: "%s"
keys: keys.json
checkpoint: checkpoint
policies: [{file: policy.yaml}]
smtp: {addr: "%s", tls: none, from: no-reply@bench.example.cn, connections: %d}
trusted-proxies: [127.0.0.1/32]
log: {level: error}
`

// mailConnections is how many messages are on their way at once.
const mailConnections = 64

// installation is what is being measured.
type installation struct {
	Options
	folder, dsn, hash, listen string
	sink                      *sink
	database                  processes
	driver                    *driver
	run                       *RunFigures
}

func (b *installation) file(name string) string { return filepath.Join(b.folder, name) }

// lay writes settings, policy and keys.
func (b *installation) lay() error {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	b.listen = free.Addr().String()
	if err := free.Close(); err != nil {
		return err
	}
	settings := fmt.Sprintf(settingsText, b.listen, b.dsn, b.sink.addr, mailConnections)
	return errors.Join(
		os.WriteFile(b.file("wanbi.yaml"), []byte(settings), 0o600),
		os.WriteFile(b.file("policy.yaml"), []byte(policyText), 0o600),
		b.NewKeys(b.file("keys.json")),
	)
}

// address is the e-mail of the numbered account.
func address(n int) string { return fmt.Sprintf("owner%d@mail.example.cn", n) }

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

func writeAccounts(path string, count int) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(file, 1<<20)
	for n := range count {
		fmt.Fprintf(out, "{\"id\":\"h-%d\",\"locale\":\"en\",\"email\":%q,\"username\":\"owner%d\"}\n", n, address(n), n)
	}
	return errors.Join(out.Flush(), file.Close())
}

// command is the program with a command of its own and the settings.
func (b *installation) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, b.Program, append(args, "--config", b.file("wanbi.yaml"))...)
	cmd.Dir = b.folder
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

// process is the server that is being measured.
type process struct {
	cmd         *exec.Cmd
	origin      string
	firstAnswer time.Duration
}

// startServer starts the server and waits for its first answer.
func (b *installation) startServer(ctx context.Context) (*process, error) {
	args := []string{"bench", "serve", "--hash", b.hash}
	if b.Profiles != "" {
		name := fmt.Sprintf("server-%s-%s.pprof", b.run.Engine, b.hash)
		args = append(args, "--profile", filepath.Join(b.Profiles, name))
	}
	s := &process{cmd: b.command(ctx, args...), origin: "http://" + b.listen}
	s.cmd.Stderr, s.cmd.Stdout = os.Stderr, os.Stderr
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	client := &http.Client{Timeout: time.Second}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for time.Since(began) < 20*time.Second {
		response, err := client.Get(s.origin + "/readyz")
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				s.firstAnswer = time.Since(began)
				client.CloseIdleConnections()
				return s, nil
			}
		}
		<-tick.C
	}
	return nil, errors.Join(errors.New("the server did not answer within 20 s"), s.stop())
}

// stop ends the server as an operator would.
func (s *process) stop() error {
	return errors.Join(s.cmd.Process.Signal(syscall.SIGTERM), s.cmd.Wait())
}

func (s *process) memory() float64 { return resident(s.cmd.Process.Pid) }

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
