// Package rig sets a whole installation up in a folder of its own: settings, keys,
// a realm, accounts, a mail server that keeps what it is sent, and servers as
// processes that can be stopped and killed. The load driver and the fault tests
// drive what it sets up.
//
// Trust: none is asked for. Servers listen on loopback, and whoever can read the
// folder can read everything in it.
package rig

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Realm is the realm of every rig.
const Realm = "bench"

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
limits: {network-per-hour: 100000, messages-per-minute: 5}
help:
  phone: "400-000-0000"
  prepare: {zh-CN: 无, en: Nothing}
`

const settingsText = `listen: %[1]s
origin: http://localhost:8080
database: "%[2]s"
keys: keys.json
checkpoint: %[3]s.checkpoint
policies: [{file: policy.yaml%[4]s}]
smtp: {addr: "%[5]s", tls: none, from: no-reply@bench.example.cn, connections: %[6]d}
trusted-proxies: [127.0.0.1/32]
allow-private: [127.0.0.1/32]
log: {level: error}
`

// mailConnections is how many messages a server has on their way at once.
const mailConnections = 64

// Installation is one database with its keys and its realm, served by any number
// of nodes.
type Installation struct {
	Program  string // the binary to run
	Folder   string // where everything is; it exists
	Database string // DSN, see store.Open
	Mail     string // host:port of the mail server
	Events   string // URL where events are told, empty for nowhere
}

// File is a path in the installation's folder.
func (i *Installation) File(name string) string { return filepath.Join(i.Folder, name) }

// Lay writes the realm and makes the keys.
func (i *Installation) Lay(ctx context.Context) error {
	if err := os.WriteFile(i.File("policy.yaml"), []byte(policyText), 0o600); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, i.Program, "keys", "init", i.File("keys.json"), "--origin", "bench.example.cn/wanbi").CombinedOutput()
	if err != nil {
		return fmt.Errorf("keys: %w: %s", err, out)
	}
	return nil
}

// Node is one server of the installation: its settings, and its process while it runs.
type Node struct {
	*Installation
	Name        string
	Listen      string // host:port, the same at every start
	FirstAnswer time.Duration
	process     *exec.Cmd
	ended       chan error // how the process ended
}

// Node writes the settings of a server with an address of its own.
func (i *Installation) Node(name string) (*Node, error) {
	listen, err := freeAddress()
	if err != nil {
		return nil, err
	}
	events := ""
	if i.Events != "" {
		events = ", events: " + i.Events
	}
	text := fmt.Sprintf(settingsText, listen, i.Database, name, events, i.Mail, mailConnections)
	n := &Node{Installation: i, Name: name, Listen: listen}
	return n, os.WriteFile(n.settings(), []byte(text), 0o600)
}

func (n *Node) settings() string { return n.File(n.Name + ".yaml") }

// Origin is where requests go.
func (n *Node) Origin() string { return "http://" + n.Listen }

// lowest and ports bound the addresses of a rig: below those that Linux hands out
// for outgoing connections, so that nobody has one while a server is down for a moment.
const (
	lowest = 10000
	ports  = 20000
)

// given are the ports that this process gave to somebody: whose they are may be down.
var given sync.Map

// listen takes a free loopback port that nobody was given.
func listen() (net.Listener, error) {
	var failed error
	for range 100 {
		port := lowest + rand.IntN(ports)
		if _, taken := given.LoadOrStore(port, true); taken {
			continue
		}
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return listener, nil
		}
		failed = err
	}
	return nil, failed
}

// freeAddress gives a port to somebody who listens later.
func freeAddress() (string, error) {
	listener, err := listen()
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// Command is the program with a command of its own and the node's settings.
func (n *Node) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, n.Program, append(args, "--config", n.settings())...)
	cmd.Dir = n.Folder
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	cmd.SysProcAttr = attributes()
	return cmd
}

// Do runs a command to its end; an error holds what it printed.
func (n *Node) Do(ctx context.Context, args ...string) (string, error) {
	out, err := n.Command(ctx, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// StartWithin is how long a server may take to its first answer.
const StartWithin = 20 * time.Second

// Start runs the command, which is "serve" in the end, and waits for its first answer.
func (n *Node) Start(ctx context.Context, args ...string) error {
	if err := n.Launch(ctx, args...); err != nil {
		return err
	}
	if err := n.Answers(ctx); err != nil {
		return errors.Join(err, n.Stop())
	}
	return nil
}

// Launch runs the command without waiting for an answer.
func (n *Node) Launch(ctx context.Context, args ...string) error {
	cmd := n.Command(ctx, args...)
	cmd.Stderr, cmd.Stdout = os.Stderr, os.Stderr
	started, ended := make(chan error), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the kernel ends a child with the thread that started it
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	n.process, n.ended = cmd, ended
	return nil
}

// Answers waits until the server says that it is ready.
func (n *Node) Answers(ctx context.Context) error {
	began := time.Now()
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for time.Since(began) < StartWithin {
		response, err := client.Get(n.Origin() + "/readyz")
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				n.FirstAnswer = time.Since(began)
				return nil
			}
		}
		select {
		case err := <-n.ended:
			n.ended <- err
			return fmt.Errorf("%s ended before it answered: %w", n.Name, errors.Join(err, ctx.Err()))
		case <-tick.C:
		}
	}
	return fmt.Errorf("%s did not answer within %s", n.Name, StartWithin)
}

// PID is the number of the process that runs.
func (n *Node) PID() int { return n.process.Process.Pid }

// Running reports whether a server was started and not ended by us.
func (n *Node) Running() bool { return n.process != nil }

// Stop ends the server as an operator would and waits for it.
func (n *Node) Stop() error {
	process := n.process
	n.process = nil
	return errors.Join(process.Process.Signal(syscall.SIGTERM), <-n.ended)
}

// Kill ends the server with SIGKILL and waits until it is gone.
func (n *Node) Kill() error {
	process := n.process
	n.process = nil
	if err := process.Process.Kill(); err != nil {
		return err
	}
	err := <-n.ended
	var how *exec.ExitError
	if errors.As(err, &how) && how.ExitCode() == -1 {
		return nil
	}
	return fmt.Errorf("%s ended by itself: %w", n.Name, err)
}

// Address is the e-mail of the numbered account.
func Address(n int) string { return fmt.Sprintf("owner%d@mail.example.cn", n) }

// HostID is what the host calls the numbered account.
func HostID(n int) string { return fmt.Sprintf("h-%d", n) }

// WriteAccounts writes a file for the importer. more is what each account has
// beside its address and its name, as further fields of its JSON object; nil for
// nothing.
func WriteAccounts(path string, count int, more func(n int) string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(file, 1<<20)
	for n := range count {
		rest := ""
		if more != nil {
			rest = "," + more(n)
		}
		fmt.Fprintf(out, "{\"id\":%q,\"locale\":\"en\",\"email\":%q,\"username\":\"owner%d\"%s}\n", HostID(n), Address(n), n, rest)
	}
	return errors.Join(out.Flush(), file.Close())
}

// Network gives each claimant an address in a network of its own, as claimants
// have; servers are told to believe the driver. There is room for about 14 million.
func Network(n int) string {
	return fmt.Sprintf("%d.%d.%d.7", 11+(n>>16), n>>8&255, n&255)
}
