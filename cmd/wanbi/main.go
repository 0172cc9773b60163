// The command wanbi: one binary that serves, and the tools around it. Settings
// and wiring only; what it does is in internal/.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/wanbi/wanbi/internal/i18n"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
)

// commands is everything that wanbi can be asked.
type commands struct {
	Demo    demoCommand    `cmd:"" help:"Try it out: a server with made-up people, an inbox and a movable clock."`
	Serve   serveCommand   `cmd:"" help:"Run the server."`
	Migrate migrateCommand `cmd:"" help:"Bring the database schema up to date."`
	Import  importCommand  `cmd:"" help:"Bring accounts in from CSV or JSON Lines."`
	Export  exportCommand  `cmd:"" help:"Write a realm's accounts as JSON Lines."`
	Doctor  doctorCommand  `cmd:"" help:"Look at everything that a server needs, and say what to do."`
	Backup  backupCommand  `cmd:"" help:"Copy the database while the server serves."`
	Restore restoreCommand `cmd:"" help:"Put a backup back, and accept what that loses."`
	Policy  policyCommands `cmd:"" help:"Check and explain policy files."`
	Keys    keysCommands   `cmd:"" help:"Make the installation's keys and show their public parts."`
	APIKey  apiKeyCommands `cmd:"" name:"api-key" help:"Keys that host systems call the API with."`
	Audit   auditCommands  `cmd:"" help:"Verify the audit log; make and verify receipts."`
	Jobs    jobsCommand    `cmd:"" help:"List messages and calls that were given up (dead letters)."`
	Bench   benchCommands  `cmd:"" help:"Measure this machine: whole recoveries, from the first request to the new password."`
	Version versionFlag    `help:"Print the version and stop." short:"v"`
}

// The exit codes.
const (
	exitOK      = 0
	exitFound   = 1 // it ran, and found what it looks for: rejects, a refused policy, a broken record
	exitFailure = 2 // it could not run
)

// found ends a command that ran and found something wrong; what it found has
// been printed, and err is the one line that sums it up.
type found struct{ err error }

func (f found) Error() string { return f.err.Error() }

// std is where a command reads and writes.
type std struct {
	ctx      context.Context
	in       io.Reader
	out, err io.Writer
	env      func(string) (string, bool)
}

func (s std) printf(format string, args ...any) { fmt.Fprintf(s.out, format, args...) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() { // a second signal ends the process at once
		<-ctx.Done()
		stop()
	}()
	os.Exit(run(os.Args[1:], std{ctx: ctx, in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.LookupEnv}))
}

// exited ends the parsing after --help or --version.
type exited struct{}

// run does one command and gives the exit code.
func run(args []string, s std) (code int) {
	parser, err := newParser(s)
	if err != nil {
		panic(err) // the commands above are wrong
	}
	defer func() {
		if thrown := recover(); thrown == (exited{}) {
			code = exitOK
		} else if thrown != nil {
			panic(thrown)
		}
	}()
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(s.err, "wanbi: %v; see %s --help\n", err, command(err))
		return exitFailure
	}
	switch err := parsed.Run(); {
	case err == nil:
		return exitOK
	case errors.As(err, &found{}):
		fmt.Fprintf(s.err, "wanbi: %s\n", explain(err))
		return exitFound
	default:
		fmt.Fprintf(s.err, "wanbi: %s\n", explain(err))
		return exitFailure
	}
}

// command names the command that the parser had come to when it failed.
func command(err error) string {
	var failed *kong.ParseError
	if errors.As(err, &failed) && failed.Context != nil {
		if node := failed.Context.Selected(); node != nil {
			return node.FullPath()
		}
		for _, step := range failed.Context.Path {
			if step.Command != nil {
				return step.Command.FullPath()
			}
		}
	}
	return "wanbi"
}

func newParser(s std) (*kong.Kong, error) {
	return kong.New(&commands{},
		kong.Name("wanbi"),
		kong.Description("Wanbi (完璧) gets the rightful owner back into an account and keeps everybody else out."),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100}),
		kong.Writers(s.out, s.err),
		kong.Exit(func(int) { panic(exited{}) }),
		kong.Bind(s),
	)
}

// explain gives one line for an error: what happened, and what to do where that
// is known. The problems of a settings or policy file keep a line each.
func explain(err error) string {
	var problems policy.Errors
	if errors.As(err, &problems) {
		return err.Error()
	}
	var e *recovery.Error
	if errors.As(err, &e) && (i18n.Has(e.Key) || i18n.Has("error."+e.Key)) {
		text := i18n.Problem(i18n.English, e.Key, e.Args, e.RetryAfter)
		if e.Cause != nil {
			text += " (" + e.Cause.Error() + ")"
		}
		return oneLine(text)
	}
	return oneLine(err.Error())
}

func oneLine(text string) string { return strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ") }

// versionFlag prints the version.
type versionFlag bool

// BeforeReset implements the flag as kong's own --help does.
func (versionFlag) BeforeReset(s std) error {
	s.printf("%s\n", version())
	panic(exited{})
}

// IgnoreDefault says that it acts only when it is given.
func (versionFlag) IgnoreDefault() {}

// version reads what the Go command wrote into the binary.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "wanbi (unknown version)"
	}
	text := "wanbi " + info.Main.Version
	if info.Main.Version == "" {
		text = "wanbi (devel)"
	}
	revision, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(len(s.Value), 12)]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = ", changed"
		}
	}
	if revision != "" && !strings.Contains(text, revision) {
		text += " (" + revision + dirty + ")"
	}
	return text + ", " + info.GoVersion
}
