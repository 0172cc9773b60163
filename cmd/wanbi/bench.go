package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/wanbi/wanbi/internal/bench"
	"github.com/wanbi/wanbi/internal/config"
)

type benchCommands struct {
	Run   benchCommand      `cmd:"" default:"withargs" help:"Measure, and print figures."`
	Size  benchSizeCommand  `cmd:"" help:"Measure what many accounts change: import, audit log, recoveries."`
	Serve benchServeCommand `cmd:"" hidden:"" help:"The server that is measured."`
}

type benchCommand struct {
	Postgres    string        `help:"Measure on this PostgreSQL too, in a database of its own; its user may create databases. WANBI_TEST_POSTGRES names it as well." env:"WANBI_TEST_POSTGRES" placeholder:"URL"`
	Engines     []string      `help:"sqlite, postgres; left out, both where a PostgreSQL is named." enum:"sqlite,postgres" placeholder:"ENGINE"`
	Hash        []string      `help:"cheap shows everything but the hash; default is what a server uses." enum:"cheap,default" default:"cheap,default" placeholder:"COST"`
	Clients     []int         `help:"Recoveries under way at once, one measurement each." default:"1,8,32" placeholder:"N"`
	Duration    time.Duration `help:"Of each measurement." default:"10s" placeholder:"TIME"`
	Accounts    int           `help:"Accounts to bring in first; each recovery uses up one." default:"40000" placeholder:"N"`
	Pairs       int           `help:"Requests about known, and as many about unknown identifiers; 0 for none." default:"2000" placeholder:"N"`
	SMTPLatency time.Duration `name:"smtp-latency" help:"How long the mail server takes for a message." default:"0s" placeholder:"TIME"`
	CPUProfile  string        `name:"cpu-profile" help:"Write CPU profiles of the servers to this folder." placeholder:"DIR" type:"path"`
	Out         string        `help:"Write all figures to this file, as JSON." placeholder:"FILE" type:"path"`
}

// Help is what --help says beside the flags.
func (benchCommand) Help() string {
	return `Starts a server of its own, sends it whole recoveries – open a case, get the code by SMTP, answer, set a new password – and prints how many it finishes and how long they take. Driver, mail server, database and server share the machine, so compare figures of one run only.

Nothing is kept: SQLite is a file in a temporary folder, PostgreSQL a database that is dropped at the end.

Example:

    wanbi bench --duration 5s --hash cheap
    wanbi bench --postgres postgres://postgres@127.0.0.1/postgres --out figures.json`
}

func (c benchCommand) Run(s std) error {
	o, err := benchOptions(s, c.Postgres, c.Engines)
	if err != nil {
		return err
	}
	o.Hashes, o.Clients, o.Duration, o.Accounts, o.Pairs = c.Hash, c.Clients, c.Duration, c.Accounts, c.Pairs
	o.SMTPLatency, o.Profiles = c.SMTPLatency, c.CPUProfile
	report, err := bench.Run(s.ctx, o)
	return printBench(s, report.Machine, report.BinaryMB, c.Out, report, err)
}

// benchOptions names the program and the databases.
func benchOptions(s std, postgres string, engines []string) (bench.Options, error) {
	program, err := os.Executable()
	if err != nil {
		return bench.Options{}, err
	}
	o := bench.Options{
		Program: program, Say: s.printf,
	}
	asked := func(engine string) bool { return len(engines) == 0 || slices.Contains(engines, engine) }
	if asked("postgres") && postgres != "" {
		o.Databases = append(o.Databases, postgres)
	}
	if asked("sqlite") {
		o.Databases = append(o.Databases, "sqlite")
	}
	if len(o.Databases) == 0 {
		return o, errors.New("bench: name a PostgreSQL with --postgres")
	}
	return o, nil
}

// printBench prints the machine and writes the figures to a file, if one is named.
func printBench(s std, m bench.Machine, binaryMB float64, out string, report any, err error) error {
	s.printf("%s, %d cores, %s, load %.1f before and %.1f after; the binary has %.1f MB\n",
		m.CPU, m.Cores, strings.TrimPrefix(m.Go, "go"), m.LoadBefore, m.LoadAfter, binaryMB)
	if err != nil || out == "" {
		return err
	}
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	return os.WriteFile(out, append(text, '\n'), 0o644)
}

type benchSizeCommand struct {
	Postgres string        `help:"Measure on this PostgreSQL too, in databases of its own; its user may create databases. WANBI_TEST_POSTGRES names it as well." env:"WANBI_TEST_POSTGRES" placeholder:"URL"`
	Engines  []string      `help:"sqlite, postgres; left out, both where a PostgreSQL is named." enum:"sqlite,postgres" placeholder:"ENGINE"`
	Accounts int           `help:"Accounts of the big installation; each brings an entry of the audit log." default:"1000000" placeholder:"N"`
	Beside   int           `help:"Accounts of the small one that it is compared with; each recovery uses up one." default:"1000" placeholder:"N"`
	Clients  int           `help:"Recoveries under way at once." default:"2" placeholder:"N"`
	Duration time.Duration `help:"Of the recoveries with each installation, by turns." default:"12s" placeholder:"TIME"`
	Out      string        `help:"Write all figures to this file, as JSON." placeholder:"FILE" type:"path"`
}

// Help is what --help says beside the flags.
func (benchSizeCommand) Help() string {
	return `Brings the accounts in, takes their entries into the audit log, verifies it, times receipts, and sends recoveries to this installation and to a small one by turns. The hash is cheap, so that the rest can be seen. CPU stands beside every rate: that of the process and that of the database.

Example:

    wanbi bench size --engines sqlite
    wanbi bench size --accounts 100000 --postgres postgres://postgres@127.0.0.1/postgres`
}

func (c benchSizeCommand) Run(s std) error {
	o, err := benchOptions(s, c.Postgres, c.Engines)
	if err != nil {
		return err
	}
	o.Hashes, o.Clients, o.Duration, o.Accounts = []string{"cheap"}, []int{c.Clients}, c.Duration, c.Accounts
	report, err := bench.Size(s.ctx, o, c.Beside)
	return printBench(s, report.Machine, report.BinaryMB, c.Out, report, err)
}

// benchServeCommand is serve with a hash that settings would refuse, and a profile.
type benchServeCommand struct {
	settings
	Hash    string `help:"What hashes cost: cheap is for measurements only." enum:"cheap,default" default:"default" placeholder:"COST"`
	Profile string `help:"Write a CPU profile to this file at the end." placeholder:"FILE" type:"path"`
}

// Help is what --help says beside the flags.
func (benchServeCommand) Help() string {
	return `Is serve, with a cost of hashes that settings would refuse. The measurement starts it; nobody else should.

Example:

    wanbi bench serve --config wanbi.yaml --hash cheap`
}

func (c benchServeCommand) Run(s std) (err error) {
	if c.Profile != "" {
		file, err := os.Create(c.Profile)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return fmt.Errorf("profile: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	cost := bench.Cost(c.Hash)
	return serveCommand{settings: c.settings}.run(s, config.Hash{
		Memory: int(cost.Memory), Time: int(cost.Time), Threads: int(cost.Threads),
	})
}
