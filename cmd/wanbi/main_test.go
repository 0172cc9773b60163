package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/server"
)

var update = flag.Bool("update", false, "write docs/cli.md anew")

// told is what one command said.
type told struct {
	code     int
	out, err string
}

// wanbi runs a command as a shell would.
func wanbi(t *testing.T, args ...string) told { return wanbiWith(t, "", args...) }

func wanbiWith(t *testing.T, stdin string, args ...string) told {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(args, std{ctx: t.Context(), in: strings.NewReader(stdin), out: &out, err: &errs, env: noEnv})
	return told{code, out.String(), errs.String()}
}

func noEnv(string) (string, bool) { return "", false }

// want fails the test unless the command ended so and said so.
func (got told) want(t *testing.T, code int, said ...string) told {
	t.Helper()
	if got.code != code {
		t.Fatalf("exit code %d, want %d\n%s%s", got.code, code, got.out, got.err)
	}
	for _, text := range said {
		if !strings.Contains(got.out+got.err, text) {
			t.Fatalf("it does not say %q:\n%s%s", text, got.out, got.err)
		}
	}
	if code == exitFailure && (!strings.HasPrefix(got.err, "wanbi: ") || strings.Count(got.err, "\n") != 1) {
		t.Errorf("a failure is told in one line: %q", got.err)
	}
	return got
}

// installation is what an operator sets up: a folder with settings, keys and a
// database of two realms.
type installation struct {
	t      *testing.T
	folder string
	config string
	keys   string
}

const configText = `listen: 127.0.0.1:0
origin: http://127.0.0.1:8080
database: sqlite:wanbi.db
keys: keys.json
checkpoint: checkpoint
policies:
  - file: shipped:yichuangtong
  - file: shipped:hardened/yichuangtong
smtp:
  addr: 127.0.0.1:25
  tls: none
  from: no-reply@example.cn
sms:
  kannel:
    url: http://127.0.0.1:13013/cgi-bin/sendsms
    user: wanbi
    password: only-a-test
log:
  level: error
hash:
  memory: 7168
  time: 5
  threads: 1
`

// install sets one up with the commands that an operator would use.
func install(t *testing.T) installation {
	t.Helper()
	folder := t.TempDir()
	i := installation{t: t, folder: folder, config: filepath.Join(folder, "wanbi.yaml"), keys: filepath.Join(folder, "keys.json")}
	if err := os.WriteFile(i.config, []byte(configText), 0o600); err != nil {
		t.Fatal(err)
	}
	wanbi(t, "keys", "init", i.keys, "--origin", "id.example.cn/wanbi").want(t, exitOK)
	wanbi(t, "migrate", "--config", i.config).want(t, exitOK, "done: ")
	return i
}

// file puts a file into the installation's folder.
func (i installation) file(name, text string) string {
	i.t.Helper()
	path := filepath.Join(i.folder, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		i.t.Fatal(err)
	}
	return path
}

// open gives the server's rooms, to look at what a command did.
func (i installation) open() *server.Server {
	i.t.Helper()
	c := inRealm{settings: settings{Config: i.config}, Realm: "yichuangtong"}
	opened, err := c.open(std{ctx: context.Background(), env: noEnv})
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { _ = opened.Close() })
	return opened
}

const yichuangtong = recovery.Realm("yichuangtong")

func TestWanbiAlonePrintsHelp(t *testing.T) {
	got := wanbi(t).want(t, exitOK, "Usage: wanbi <command>", "demo", "serve", "api-key")
	if got.err != "" {
		t.Errorf("it complains: %s", got.err)
	}
}

func TestVersionIsThatOfTheBuild(t *testing.T) {
	wanbi(t, "--version").want(t, exitOK, "wanbi ", "go1.")
}

func TestMistakesAreToldInOneLine(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"unknown command":    {[]string{"frobnicate"}, "unexpected argument frobnicate; see wanbi --help"},
		"unknown subcommand": {[]string{"policy", "chek"}, `did you mean "check"?; see wanbi policy --help`},
		"half a command":     {[]string{"audit"}, "see wanbi audit --help"},
		"unknown flag":       {[]string{"serve", "--confg", "x"}, `did you mean "--config"?; see wanbi serve --help`},
		"a flag is missing":  {[]string{"import", "x.csv"}, "missing flags: --realm=REALM"},
		"no settings":        {[]string{"serve", "--config", "nowhere.yaml"}, "settings nowhere.yaml are not there"},
		"neither of two":     {[]string{"audit", "receipt", "--realm", "x"}, "--account=ID or --case=REF"},
		"not a number":       {[]string{"jobs", "--most", "many"}, "--most"},
	} {
		t.Run(name, func(t *testing.T) { wanbi(t, c.args...).want(t, exitFailure, c.want) })
	}
}

// helps gives the help of every command by its path.
func helps(t *testing.T) (paths []string, help map[string]string) {
	t.Helper()
	parser, err := newParser(std{ctx: t.Context(), out: io.Discard, err: io.Discard, env: noEnv})
	if err != nil {
		t.Fatal(err)
	}
	help = map[string]string{}
	var walk func(nodes []*kong.Node, above []string)
	walk = func(nodes []*kong.Node, above []string) {
		for _, node := range nodes {
			args := append(append([]string{}, above...), node.Name)
			path := strings.Join(args, " ")
			paths = append(paths, path)
			help[path] = wanbi(t, append(args, "--help")...).want(t, exitOK).out
			walk(node.Children, args)
		}
	}
	walk(parser.Model.Children, nil)
	if len(paths) < 20 {
		t.Fatalf("only %d commands: %v", len(paths), paths)
	}
	return paths, help
}

func TestEveryCommandHasAHelpWithAnExample(t *testing.T) {
	paths, help := helps(t)
	for _, path := range paths {
		if group := strings.Contains(help[path], "Commands:"); group {
			continue
		}
		if !strings.Contains(help[path], "Example:") || !strings.Contains(help[path], "wanbi "+path) {
			t.Errorf("wanbi %s --help has no example:\n%s", path, help[path])
		}
	}
}

// docs/cli.md is the help of every command, so that it can be read without one.
func TestTheManualOfTheCommandsIsUpToDate(t *testing.T) {
	t.Setenv("COLUMNS", "80") // kong asks the shell
	const file = "../../docs/cli.md"
	var manual strings.Builder
	manual.WriteString("# The command wanbi\n\nThis is what `--help` prints; a test keeps it so (`go test ./cmd/wanbi -update` writes it anew).\n\n")
	manual.WriteString("Exit codes: 0, it is done; 1, it ran and found what it looks for (rejected records, a refused policy, a record\nthat does not hold); 2, it could not run.\n\n```\n")
	manual.WriteString(wanbi(t).out + "```\n")
	paths, help := helps(t)
	for _, path := range paths {
		manual.WriteString("\n## wanbi " + path + "\n\n```\n" + help[path] + "```\n")
	}
	if *update {
		if err := os.WriteFile(file, []byte(manual.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(written) != manual.String() {
		t.Error("docs/cli.md is stale: go test ./cmd/wanbi -update")
	}
}

// safeBuffer is written by a command that is still running.
type safeBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
