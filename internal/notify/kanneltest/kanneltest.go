// Package kanneltest runs a real Kannel gateway on loopback, for tests:
// bearerbox, smsbox, and fakesmsc in place of a telephone network, from the
// Debian packages kannel and kannel-extras.
//
// Trust: for tests only. The gateway listens on loopback and takes a fixed password.
package kanneltest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// What a started gateway accepts.
const (
	Username = "wanbi"
	Password = "kanneltest pass"
	Sender   = "10690000" // used where a request names none
)

// limit is how long anything here may take before the test fails.
const limit = 15 * time.Second

// SMS is one text as the telephone network got it, its parts joined.
type SMS struct {
	From, To string
	Text     string
	Parts    int
}

// Gateway is a running gateway. Safe for concurrent use.
type Gateway struct {
	SendURL string // of sendsms

	network *process

	mu       sync.Mutex
	came     chan struct{} // closed and replaced whenever a text came
	received []SMS
	partial  map[string][]string
	broken   error // a line of fakesmsc that could not be read
}

// Start runs a gateway until the test ends. Without the programs the test fails.
func Start(t testing.TB) *Gateway {
	t.Helper()
	bearerbox := find(t, "bearerbox", "kannel", "/usr/sbin/bearerbox")
	smsbox := find(t, "smsbox", "kannel", "/usr/sbin/smsbox")
	fakesmsc := find(t, "fakesmsc", "kannel-extras", "/usr/lib/kannel/test/fakesmsc")

	// A free port may be taken between finding and using it; then try others.
	for try := 1; ; try++ {
		g := &Gateway{came: make(chan struct{}), partial: map[string][]string{}}
		ports := freePorts(t, 4)
		file := filepath.Join(t.TempDir(), "kannel.conf")
		if err := os.WriteFile(file, []byte(configuration(ports)), 0o600); err != nil {
			t.Fatal(err)
		}
		g.SendURL = fmt.Sprintf("http://127.0.0.1:%d/cgi-bin/sendsms", ports[3])
		err := g.run(t, bearerbox, smsbox, fakesmsc, file, ports[2])
		if err == nil {
			return g
		}
		if try == 3 {
			t.Fatalf("kannel does not start: %v", err)
		}
	}
}

// run starts the three programs, each once the one before it is ready.
func (g *Gateway) run(t testing.TB, bearerbox, smsbox, fakesmsc, file string, networkPort int) error {
	core, err := start(t, nil, bearerbox, "-v", "0", file)
	if err != nil {
		return err
	}
	if err := core.await("Start-up done"); err != nil {
		return err
	}
	// -m 0: no texts from subscribers; the message is an example that is never sent.
	g.network, err = start(t, g.read, fakesmsc, "-H", "127.0.0.1", "-r", fmt.Sprint(networkPort), "-m", "0", "1 2 text x")
	if err != nil {
		return err
	}
	if err := core.await("Fakesmsc client connected"); err != nil {
		return err
	}
	if _, err := start(t, nil, smsbox, "-v", "0", file); err != nil {
		return err
	}
	return core.await("Client connected from") // smsbox opens its port before it connects
}

// Received gives the complete texts so far, in order.
func (g *Gateway) Received() []SMS {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.received)
}

// Wait gives the texts as soon as there are n; after a while it fails the test.
func (g *Gateway) Wait(t testing.TB, n int) []SMS {
	t.Helper()
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	for {
		g.mu.Lock()
		received, came, broken := slices.Clone(g.received), g.came, g.broken
		g.mu.Unlock()
		if broken != nil {
			t.Fatal(broken)
		}
		if len(received) >= n {
			return received
		}
		select {
		case <-came:
		case <-timeout.C:
			t.Fatalf("the telephone network has %d texts, want %d", len(received), n)
		}
	}
}

// StopNetwork takes the telephone network away: from now on the gateway queues.
func (g *Gateway) StopNetwork() { g.network.stop() }

// read takes one line of fakesmsc's log.
func (g *Gateway) read(line string) {
	part, ok, err := parse(line)
	if !ok && err == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		g.broken = err
	} else if text, parts, whole := g.join(part); whole {
		g.received = append(g.received, SMS{From: part.from, To: part.to, Text: text, Parts: parts})
	}
	close(g.came)
	g.came = make(chan struct{})
}

// configuration puts a blank line after every group: Kannel ends a group there.
// ports: admin, smsbox, telephone network, sendsms.
func configuration(ports []int) string {
	return fmt.Sprintf(`group = core
admin-port = %d
admin-interface = "127.0.0.1"
admin-password = %q
smsbox-port = %d
smsbox-interface = "127.0.0.1"
box-allow-ip = "127.0.0.1"
box-deny-ip = "*.*.*.*"
dlr-storage = internal

group = smsc
smsc = fake
smsc-id = fake
port = %d
our-host = 127.0.0.1
connect-allow-ip = 127.0.0.1

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = %d
sendsms-interface = "127.0.0.1"
global-sender = %s
sendsms-chars = "0123456789+"

group = sendsms-user
username = %s
password = %q
max-messages = 10
concatenation = true

`, ports[0], Password, ports[1], ports[2], ports[3], Sender, Username, Password)
}

func find(t testing.TB, name, debian, usual string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	if _, err := os.Stat(usual); err == nil {
		return usual
	}
	t.Fatalf("%s is not installed; it is in the Debian package %s (this test needs kannel and kannel-extras)", name, debian)
	return ""
}

func freePorts(t testing.TB, n int) []int {
	t.Helper()
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports
}

// process is one program whose log is read line by line.
type process struct {
	cmd   *exec.Cmd
	lines chan string // closed when the program ends
	last  []string
}

// start runs a program; each line of its log goes to each (may be nil) and can
// be awaited. It is killed, by its own process, when the test ends.
func start(t testing.TB, each func(string), path string, args ...string) (*process, error) {
	cmd := exec.Command(path, args...)
	cmd.Dir = t.TempDir()
	pipe, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, lines: make(chan string, 64)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.pump(pipe, each)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		p.stop()
		<-ended
	})
	return p, nil
}

func (p *process) pump(pipe io.Reader, each func(string)) {
	defer close(p.lines)
	scanner := bufio.NewScanner(pipe)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		if each != nil {
			each(scanner.Text())
		}
		select {
		case p.lines <- scanner.Text():
		default: // nobody waits for a line any more
		}
	}
}

func (p *process) stop() { _ = p.cmd.Process.Kill() }

// await returns once a line with the words was logged.
func (p *process) await(words string) error {
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				return fmt.Errorf("%s ended: %s", filepath.Base(p.cmd.Path), strings.Join(p.last, "\n"))
			}
			if p.last = append(p.last, line); len(p.last) > 20 {
				p.last = p.last[1:]
			}
			if strings.Contains(line, words) {
				return nil
			}
		case <-timeout.C:
			return fmt.Errorf("%s never logged %q: %s", filepath.Base(p.cmd.Path), words, strings.Join(p.last, "\n"))
		}
	}
}
