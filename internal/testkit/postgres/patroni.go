//go:build unix

package postgres

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Patroni is two servers of which Patroni makes one the primary and the other its
// synchronous standby, with an etcd that both ask. When the primary dies, Patroni
// promotes the other by itself.
//
// etcd is asked by its second API: with its third, Patroni 3.0.2 let a primary that
// was frozen acknowledge what its successor did not have.
type Patroni struct {
	*Cluster // of the folder and the account only: no server of its own runs
	etcd     *child
	nodes    []*patroniNode
}

type patroniNode struct {
	*child
	name string
	port int
}

// PatroniMissing says which Debian packages are not installed, empty when all are.
func PatroniMissing() string {
	var missing []string
	for program, packages := range map[string]string{"patroni": "patroni python3-etcd", "etcd": "etcd-server"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, packages)
		}
	}
	return strings.Join(missing, " ")
}

// failoverWithin is the most that Patroni takes: the lease of a dead primary (ttl)
// and a round of both nodes (loop_wait), with room for a slow machine.
const failoverWithin = 90 * time.Second

const patroniText = `scope: wanbi
name: %[1]s
restapi: {listen: "127.0.0.1:%[2]d", connect_address: "127.0.0.1:%[2]d"}
etcd: {host: "127.0.0.1:%[3]d"}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 2
    retry_timeout: 5
    synchronous_mode: true
    postgresql: {parameters: {max_connections: 300, shared_buffers: 64MB}}
  initdb: [{encoding: UTF8}, {locale: C}, no-sync]
  pg_hba: ["host all all 127.0.0.1/32 scram-sha-256", "host replication all 127.0.0.1/32 scram-sha-256"]
postgresql:
  listen: 127.0.0.1:%[4]d
  connect_address: 127.0.0.1:%[4]d
  data_dir: %[5]s/%[1]s
  bin_dir: %[6]s
  pgpass: %[5]s/%[1]s.pass
  authentication:
    superuser: {username: postgres, password: %[7]s}
    replication: {username: replicator, password: %[7]s}
  parameters: {unix_socket_directories: "", fsync: "off"}
`

// StartPatroni starts etcd and two nodes, and returns when every commit waits for
// the standby.
func StartPatroni() (p *Patroni, err error) {
	c, err := newCluster(nil)
	if err != nil {
		return nil, err
	}
	c.password = "jade" + strconv.Itoa(os.Getpid())
	p = &Patroni{Cluster: c}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Stop())
		}
	}()
	asked, err := p.startEtcd()
	if err != nil {
		return p, err
	}
	for n := range 2 {
		node := &patroniNode{name: fmt.Sprintf("node%d", n)}
		rest, err := freePort()
		if err != nil {
			return p, err
		}
		if node.port, err = freePort(); err != nil {
			return p, err
		}
		path := filepath.Join(c.folder, node.name+".yaml")
		text := fmt.Sprintf(patroniText, node.name, rest, asked, node.port, c.folder, c.bin, c.password)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return p, err
		}
		if node.child, err = c.launch("patroni", path); err != nil {
			return p, err
		}
		p.nodes = append(p.nodes, node)
		if err := p.within(failoverWithin, "SELECT true"); err != nil { // the first is the primary
			return p, err
		}
	}
	return p, p.within(failoverWithin, "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')")
}

func (p *Patroni) startEtcd() (port int, err error) {
	if port, err = freePort(); err != nil {
		return 0, err
	}
	peers, err := freePort()
	if err != nil {
		return 0, err
	}
	client, peer := fmt.Sprintf("http://127.0.0.1:%d", port), fmt.Sprintf("http://127.0.0.1:%d", peers)
	p.etcd, err = p.launch("etcd", "--enable-v2", "--data-dir", filepath.Join(p.folder, "etcd"), "--listen-client-urls", client,
		"--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
		"--initial-cluster", "default="+peer, "--log-level", "error")
	return port, err
}

// DSN names both nodes; whoever connects looks for the one that takes writes.
func (p *Patroni) DSN() string {
	var hosts []string
	for _, node := range p.nodes {
		hosts = append(hosts, net.JoinHostPort("127.0.0.1", strconv.Itoa(node.port)))
	}
	return (&url.URL{
		Scheme: "postgres", User: url.UserPassword("postgres", p.password), Host: strings.Join(hosts, ","), Path: "/postgres",
		RawQuery: "sslmode=disable&target_session_attrs=read-write&connect_timeout=2",
	}).String()
}

// KillPrimary ends the primary and its Patroni with SIGKILL.
func (p *Patroni) KillPrimary() error {
	var port int
	d, err := sql.Open("pgx", p.DSN())
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.QueryRow("SELECT current_setting('port')::int").Scan(&port); err != nil {
		return err
	}
	for _, node := range p.nodes {
		if node.port == port {
			return errors.Join(node.kill(), p.killServer(node))
		}
	}
	return fmt.Errorf("no node has port %d", port)
}

// killServer ends the PostgreSQL of a node whose Patroni is dead.
func (p *Patroni) killServer(node *patroniNode) error {
	text, err := os.ReadFile(filepath.Join(p.folder, node.name, "postmaster.pid"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	first, _, _ := bytes.Cut(text, []byte("\n"))
	pid, err := strconv.Atoi(string(first))
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// Stop ends everything, and removes the folder.
func (p *Patroni) Stop() error {
	var err error
	for _, node := range p.nodes {
		err = errors.Join(err, node.kill(), p.killServer(node))
	}
	if p.etcd != nil {
		err = errors.Join(err, p.etcd.kill())
	}
	return errors.Join(err, p.Cluster.Stop())
}

// within asks the primary until the answer is true.
func (p *Patroni) within(limit time.Duration, question string) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	d, err := sql.Open("pgx", p.DSN())
	if err != nil {
		return err
	}
	defer d.Close()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var yes bool
		if err := d.QueryRowContext(ctx, question).Scan(&yes); err == nil && yes {
			return nil
		}
		select {
		case <-ctx.Done():
			var said strings.Builder
			for _, node := range p.nodes {
				fmt.Fprintf(&said, "\n%s: %s", node.name, node.said())
			}
			return fmt.Errorf("%s: not within %s%s", question, limit, said.String())
		case <-tick.C:
		}
	}
}

// child is a program that runs as the cluster's account until it is killed.
type child struct {
	cmd   *exec.Cmd
	log   string // file of what it says
	ended chan struct{}
}

func (c *Cluster) launch(program string, args ...string) (*child, error) {
	out, err := os.CreateTemp(c.folder, program+"-*.log")
	if err != nil {
		return nil, err
	}
	defer out.Close()
	one := &child{cmd: exec.Command(program, args...), log: out.Name(), ended: make(chan struct{})}
	one.cmd.Dir, one.cmd.Stdout, one.cmd.Stderr = c.folder, out, out
	one.cmd.Env = append(environment(), "HOME="+c.folder)
	one.cmd.SysProcAttr = attributes(c.who, syscall.SIGTERM)
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the kernel ends a child with the thread that started it
		defer runtime.UnlockOSThread()
		err := one.cmd.Start()
		started <- err
		if err == nil {
			_ = one.cmd.Wait()
			close(one.ended)
		}
	}()
	return one, <-started
}

func (c *child) kill() error {
	if err := c.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-c.ended
	return nil
}

// said is the end of what it said.
func (c *child) said() string {
	text, _ := os.ReadFile(c.log)
	return string(text[max(0, len(text)-2000):])
}
