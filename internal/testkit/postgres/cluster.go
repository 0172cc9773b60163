//go:build unix

package postgres

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// folderPrefix begins the name of every cluster's folder.
const folderPrefix = "wanbi-postgres-"

// Cluster is one running server with its folder.
type Cluster struct {
	bin      string              // folder of PostgreSQL's programs
	who      *syscall.Credential // whom they run as, nil for ourselves
	port     int
	password string
	settings []string // of postgresql.conf, as name=value

	dsn    string
	folder string
	lock   *os.File // held for as long as the folder is in use
	server *exec.Cmd
	ended  chan struct{} // closed when the server has ended
	log    *tail
	stop   sync.Once
	err    error // of the stop
}

// DSN is a postgres:// URL of the cluster's superuser, on database postgres.
func (c *Cluster) DSN() string { return c.dsn }

// Start initialises a cluster in a temporary folder and waits until it answers.
// Root cannot run PostgreSQL, so for root it runs as the account postgres. A
// missing server is an error that names the Debian package.
func Start() (*Cluster, error) {
	return start("fsync=off", "synchronous_commit=off", "full_page_writes=off")
}

// start makes a cluster with settings beside those that all have.
func start(settings ...string) (*Cluster, error) {
	c, err := newCluster(settings)
	if err != nil {
		return nil, err
	}
	c.password = rand.Text()
	if err := c.initialise(); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	if err := c.begin(); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// newCluster is a folder without data.
func newCluster(settings []string) (c *Cluster, err error) {
	c = &Cluster{settings: settings}
	if c.bin, err = binaries(); err != nil {
		return nil, err
	}
	if c.who, err = account(); err != nil {
		return nil, err
	}
	sweep(os.TempDir())
	if c.folder, err = os.MkdirTemp("", folderPrefix); err != nil {
		return nil, err
	}
	if c.lock, err = hold(c.folder); err != nil {
		return nil, err
	}
	if c.who == nil {
		return c, nil
	}
	return c, os.Chown(c.folder, int(c.who.Uid), int(c.who.Gid))
}

// begin starts the server on a free port; another program may take the port in
// between, so it tries a few.
func (c *Cluster) begin() error {
	for try := 1; ; try++ {
		port, err := freePort()
		if err != nil {
			return err
		}
		c.port = port
		c.dsn = (&url.URL{
			Scheme: "postgres", User: url.UserPassword("postgres", c.password),
			Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Path: "/postgres", RawQuery: "sslmode=disable",
		}).String()
		err = c.serve()
		if err == nil {
			return nil
		}
		if try == 5 || !strings.Contains(c.log.String(), "could not bind") {
			return err
		}
	}
}

func (c *Cluster) initialise() error {
	secret := filepath.Join(c.folder, "password")
	if err := os.WriteFile(secret, []byte(c.password+"\n"), 0o600); err != nil {
		return err
	}
	if c.who != nil {
		if err := os.Chown(secret, int(c.who.Uid), int(c.who.Gid)); err != nil {
			return err
		}
	}
	if err := c.run("initdb", "--pgdata", c.data(), "--username=postgres",
		"--auth=scram-sha-256", "--pwfile="+secret, "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"); err != nil {
		return err
	}
	return os.Remove(secret)
}

// run runs one of PostgreSQL's programs to its end.
func (c *Cluster) run(program string, args ...string) error {
	cmd := exec.Command(filepath.Join(c.bin, program), args...)
	cmd.Dir = c.folder
	cmd.SysProcAttr = attributes(c.who, syscall.SIGKILL)
	cmd.Env = environment()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", program, err, out)
	}
	return nil
}

func (c *Cluster) data() string { return filepath.Join(c.folder, "data") }

// serve starts the server and returns once it answers or has ended. The kernel
// ends a child when the thread that started it ends, so that thread is kept.
func (c *Cluster) serve() error {
	server := exec.Command(filepath.Join(c.bin, "postgres"), "-D", c.data(), "-p", strconv.Itoa(c.port))
	for _, setting := range append([]string{
		"listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300", "shared_buffers=64MB",
		"autovacuum=off", "timezone=UTC", "logging_collector=off", "log_min_messages=warning", "lc_messages=C",
	}, c.settings...) {
		server.Args = append(server.Args, "-c", setting)
	}
	server.Dir = c.folder
	server.Env = environment()
	server.SysProcAttr = attributes(c.who, syscall.SIGQUIT) // immediate shutdown
	output, err := server.StderrPipe()
	if err != nil {
		return err
	}
	c.log, c.ended = &tail{ready: make(chan struct{})}, make(chan struct{})
	started := make(chan error)
	go func(ended chan struct{}, log *tail) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := server.Start()
		started <- err
		if err != nil {
			return
		}
		log.read(bufio.NewReader(output))
		_ = server.Wait()
		close(ended)
	}(c.ended, c.log)
	if err := <-started; err != nil {
		return err
	}
	c.server = server
	select {
	case <-c.log.ready:
		return nil
	case <-c.ended:
		c.server = nil
		return fmt.Errorf("the server ended before it was ready:\n%s", c.log)
	case <-time.After(patience):
		return fmt.Errorf("the server is not ready after %s:\n%s", patience, c.log)
	}
}

// Stop ends the server by its own process number and removes the folder. A
// second call gives the same answer.
func (c *Cluster) Stop() error {
	c.stop.Do(func() {
		if c.server != nil {
			c.err = c.end()
		}
		c.err = errors.Join(c.err, os.RemoveAll(c.folder), c.lock.Close())
	})
	return c.err
}

func (c *Cluster) end() error {
	if err := c.server.Process.Signal(syscall.SIGQUIT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-c.ended:
		return nil
	case <-time.After(patience):
		return errors.Join(fmt.Errorf("the server did not end in %s:\n%s", patience, c.log), c.server.Process.Kill())
	}
}

// binaries finds the newest server of Debian's layout, else the one on the PATH.
// 15 is the oldest that Wanbi promises to run on.
func binaries() (string, error) {
	newest, best := "", 14
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	for _, server := range found {
		bin := filepath.Dir(server)
		if version, err := strconv.Atoi(filepath.Base(filepath.Dir(bin))); err == nil && version > best {
			newest, best = bin, version
		}
	}
	if newest != "" {
		return newest, nil
	}
	if server, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(server), nil
	}
	return "", fmt.Errorf("no PostgreSQL server 15 or newer in /usr/lib/postgresql nor on the PATH: "+
		"install the Debian package postgresql, or name a running cluster in %s", Environment)
}

// account gives whom the server runs as: nil for ourselves.
func account() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	who, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("root cannot run PostgreSQL, and there is no account postgres: install the Debian package postgresql")
	}
	uid, err := strconv.ParseUint(who.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(who.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// environment is ours without what would point PostgreSQL's programs elsewhere.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "PG") || strings.HasPrefix(v, "LC_") || strings.HasPrefix(v, "LANG")
	})
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// hold locks a file in the folder: the kernel lets go of it when we end.
func hold(folder string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, err
	}
	return lock, nil
}

// sweep removes the folders of clusters whose test process was killed. What
// cannot be removed, such as another account's, stays.
func sweep(temp string) {
	folders, _ := filepath.Glob(filepath.Join(temp, folderPrefix+"*"))
	for _, folder := range folders {
		if _, err := os.Stat(filepath.Join(folder, "lock")); err != nil {
			continue // just being made
		}
		if lock, err := hold(folder); err == nil {
			os.RemoveAll(folder)
			lock.Close()
		}
	}
}

// tail keeps the last lines of the server's log and notices when it is ready.
type tail struct {
	ready chan struct{}
	once  sync.Once
	mu    sync.Mutex
	lines []string
}

// read goes on to the end of the log, so that the server never waits for us.
func (l *tail) read(log *bufio.Reader) {
	for {
		line, err := log.ReadString('\n')
		l.mu.Lock()
		l.lines = append(l.lines, strings.TrimRight(line, "\n"))
		l.lines = l.lines[max(0, len(l.lines)-50):]
		l.mu.Unlock()
		if strings.Contains(line, "database system is ready to accept") {
			l.once.Do(func() { close(l.ready) })
		}
		if err != nil {
			return
		}
	}
}

// String gives the last lines.
func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}
