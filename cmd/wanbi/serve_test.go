package main

import (
	"context"
	"database/sql"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/demo"
)

// edit changes the database behind the program's back.
func edit(t *testing.T, i installation, statement string) {
	t.Helper()
	d := sqliteOf(t, i)
	if _, err := d.Exec(statement); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// sqliteOf opens the database beside the program.
func sqliteOf(t *testing.T, i installation) *sql.DB {
	t.Helper()
	d, err := sql.Open("sqlite", filepath.Join(i.folder, "wanbi.db"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// running is a command that goes on until it is told to stop.
type running struct {
	t    *testing.T
	out  *safeBuffer
	url  string
	stop context.CancelFunc
	code chan int
}

// begin starts a command and waits until it says where it listens.
func begin(t *testing.T, where *regexp.Regexp, args ...string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &running{t: t, out: &safeBuffer{}, stop: stop, code: make(chan int, 1)}
	said := make(chan string, 1)
	watch := &watching{to: r.out, where: where, said: said}
	go func() {
		r.code <- run(args, std{ctx: ctx, in: strings.NewReader(""), out: watch, err: watch, env: noEnv})
	}()
	select {
	case r.url = <-said:
	case code := <-r.code:
		t.Fatalf("it ended with %d: %s", code, r.out)
	case <-time.After(time.Minute):
		t.Fatalf("it does not say where it listens: %s", r.out)
	}
	return r
}

// watching tells once what a pattern finds in what is written.
type watching struct {
	to    *safeBuffer
	where *regexp.Regexp
	said  chan string
	done  bool
}

func (w *watching) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	if found := w.where.FindStringSubmatch(w.to.String()); found != nil && !w.done {
		w.done = true
		w.said <- found[1]
	}
	return n, err
}

// end tells it to stop, as a signal would, and wants it to end well.
func (r *running) end() {
	r.t.Helper()
	r.stop()
	select {
	case code := <-r.code:
		if code != exitOK {
			r.t.Errorf("it ended with %d: %s", code, r.out)
		}
	case <-time.After(time.Minute):
		r.t.Fatal("it does not stop")
	}
}

func status(t *testing.T, url string) int {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

func TestServeAnswersUntilItIsToldToStop(t *testing.T) {
	i := install(t)
	settings := strings.Replace(configText, "level: error", "level: info", 1)
	r := begin(t, regexp.MustCompile(`"listen":"([^"]+)"`), "serve", "--config", i.file("wanbi.yaml", settings))
	for _, path := range []string{"/healthz", "/yichuangtong/recover", "/openapi.json"} {
		if got := status(t, "http://"+r.url+path); got != http.StatusOK {
			t.Errorf("%s: %d", path, got)
		}
	}
	r.end()
	if !strings.Contains(r.out.String(), "wanbi stopped") {
		t.Errorf("it says %s", r.out)
	}
	if _, err := http.Get("http://" + r.url + "/healthz"); err == nil {
		t.Error("it still answers")
	}
}

// A request that is under way when the signal comes gets its answer, and the work
// beside requests ends after it.
func TestARequestUnderWayIsFinished(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	arrived, release := make(chan struct{}), make(chan struct{})
	workEnded, served := make(chan struct{}), make(chan error, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		select {
		case <-workEnded:
			w.WriteHeader(http.StatusGone)
		default:
		}
	})
	work := func(ctx context.Context) { <-ctx.Done(); close(workEnded) }
	drained, drain := make(chan struct{}), make(chan struct{})
	go func() {
		served <- serve(ctx, listener, handler, work, func() { close(drained); <-drain }, slog.New(slog.DiscardHandler))
	}()
	answered := make(chan int, 1)
	go func() {
		response, err := http.Get("http://" + listener.Addr().String())
		if err != nil {
			answered <- 0
			return
		}
		response.Body.Close()
		answered <- response.StatusCode
	}()
	<-arrived
	stop()
	<-drained // while it drains, it goes on taking
	if connection, err := net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Errorf("it takes nobody while it drains: %v", err)
	} else {
		connection.Close()
	}
	close(drain)
	for { // until nobody new is taken
		connection, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			break
		}
		connection.Close()
	}
	close(release)
	if got := <-answered; got != http.StatusOK {
		t.Errorf("it got %d", got)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	<-workEnded
}

func TestServeRefusesToStartWithout(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(i installation)
		want  string
	}{
		"keys":               {func(i installation) { _ = os.Remove(i.keys) }, "make one with `wanbi keys init"},
		"keys for one":       {func(i installation) { _ = os.Chmod(i.keys, 0o644) }, "can be read by others"},
		"a migrated schema":  {func(i installation) { _ = os.Remove(filepath.Join(i.folder, "wanbi.db")) }, "run `wanbi migrate`"},
		"sound settings":     {func(i installation) { i.file("wanbi.yaml", configText+"colour: green\n") }, `unknown key "colour"`},
		"a gateway to reach": {func(i installation) { i.file("wanbi.yaml", strings.Split(configText, "sms:")[0]) }, "there is no section sms"},
		"a loadable policy": {func(i installation) {
			i.file("wanbi.yaml", strings.Replace(configText, "shipped:yichuangtong", "nowhere.yaml", 1))
		}, "nowhere.yaml"},
		"a free address": {func(i installation) {
			i.file("wanbi.yaml", strings.Replace(configText, "127.0.0.1:0", "203.0.113.1:80", 1))
		}, "cannot listen on 203.0.113.1:80"},
	} {
		t.Run(name, func(t *testing.T) {
			i := install(t)
			c.spoil(i)
			wanbi(t, "serve", "--config", i.config).want(t, exitFailure, c.want)
		})
	}
}

func TestServeMigratesOnlyWhenAsked(t *testing.T) {
	i := install(t)
	if err := os.Remove(filepath.Join(i.folder, "wanbi.db")); err != nil {
		t.Fatal(err)
	}
	settings := strings.Replace(configText, "level: error", "level: info", 1)
	r := begin(t, regexp.MustCompile(`"listen":"([^"]+)"`), "serve", "--migrate", "--config", i.file("wanbi.yaml", settings))
	if got := status(t, "http://"+r.url+"/healthz"); got != http.StatusOK {
		t.Errorf("healthz: %d", got)
	}
	r.end()
	wanbi(t, "migrate", "--config", i.config).want(t, exitOK, "the schema is up to date")
}

func TestTheDemoSaysWhereEverythingIsAndCleansUp(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	r := begin(t, regexp.MustCompile(`Wanbi demo at (http://\S+)/demo[\s\S]*Ctrl-C`), "demo", "--listen", "127.0.0.1:0")
	for _, path := range []string{"/demo", "/demo/inbox", "/demo/inbox.json", "/healthz", "/openapi.json", "/yichuangtong/recover"} {
		if got := status(t, r.url+path); got != http.StatusOK {
			t.Errorf("%s: %d", path, got)
		}
	}
	for _, said := range []string{"DEMO ONLY: messages are not sent", "Three things to try", demo.Password, "13800001001", "hardened-yichuangtong", "Backup codes of lilei"} {
		if !strings.Contains(r.out.String(), said) {
			t.Errorf("it does not say %q:\n%s", said, r.out)
		}
	}
	if strings.Contains(r.out.String(), "IT LISTENS ON") {
		t.Error("it warns of loopback")
	}
	r.end()
	if left, err := os.ReadDir(temp); err != nil || len(left) != 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
}

func TestTheDemoWarnsWhereOthersCanReachIt(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	where := regexp.MustCompile(`Wanbi demo at (http://localhost:\d+)/demo[\s\S]*Ctrl-C`)
	r := begin(t, where, "demo", "--listen", "0.0.0.0:0", "--data", folder)
	if !strings.Contains(r.out.String(), "IT LISTENS ON 0.0.0.0:0, which is not this machine alone") {
		t.Errorf("it does not warn:\n%s", r.out)
	}
	r.end()
	again := begin(t, where, "demo", "--listen", "0.0.0.0:0", "--data", folder)
	if !strings.Contains(again.out.String(), "of an earlier demo in "+folder) {
		t.Errorf("it does not say that the accounts are kept:\n%s", again.out)
	}
	again.end()
}
