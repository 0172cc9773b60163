// Command runfaults breaks real servers while clients recover accounts, and says
// whether anything was lost:
//
//	runfaults -faults 20
//	runfaults -scenario kill -engine sqlite -seed 7
//
// The exit status is 1 when something was lost, with the evidence.
//
// Trust: none is asked for; it makes everything that it uses, and removes it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/wanbi/wanbi/internal/testkit/faults"
	"github.com/wanbi/wanbi/internal/testkit/postgres"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "runfaults:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	o := faults.Options{Say: func(format string, args ...any) { fmt.Printf(format, args...) }}
	flag.IntVar(&o.Faults, "faults", 20, "how often each scenario breaks what it breaks")
	flag.IntVar(&o.Clients, "clients", 8, "clients at once")
	flag.IntVar(&o.Accounts, "accounts", 5000, "to bring in; each recovery uses up one")
	flag.Uint64Var(&o.Seed, "seed", rand.Uint64N(1e6), "draws what clients do and when things break")
	only := flag.String("scenario", "", "one of them; left out, all: "+names())
	engine := flag.String("engine", "", "sqlite or postgres; left out, both")
	flag.Parse()
	folder, err := os.MkdirTemp("", "wanbi-faults-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if o.Programs, err = faults.Build(ctx, folder); err != nil {
		return err
	}
	cluster, err := postgres.Start()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	o.Postgres = cluster.DSN()
	fmt.Printf("seed %d, %d clients, %d faults each\n", o.Seed, o.Clients, o.Faults)
	var results []faults.Result
	var failed []error
	for _, s := range faults.Scenarios {
		for _, e := range s.Engines {
			if *only != "" && *only != s.Name || *engine != "" && *engine != string(e) {
				continue
			}
			fmt.Printf("== %s, %s: %s\n", s.Name, e, s.Says)
			if s.CannotRun != nil && s.CannotRun() != "" {
				fmt.Printf("left out: %s\n", s.CannotRun())
				continue
			}
			r, err := one(ctx, o, s, e)
			if failed = append(failed, err); err != nil {
				fmt.Printf("FAILED, %v\n", err)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			results = append(results, r)
		}
	}
	return errors.Join(append(failed, report(results))...)
}

// one runs a scenario in a folder that is gone afterwards.
func one(ctx context.Context, o faults.Options, s faults.Scenario, e faults.Engine) (r faults.Result, err error) {
	if o.Folder, err = os.MkdirTemp("", "wanbi-faults-"); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(o.Folder)) }()
	return s.Run(ctx, o, e)
}

// report prints a table, and everything that was lost.
func report(results []faults.Result) error {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "scenario\tfaults\trecoveries\tcompleted\tacknowledged\tno reply\t503\tmessages\trepeats\tlosses\ttook\t")
	lost := 0
	for _, r := range results {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t\n", r.Scenario, r.Faults, r.Recoveries, r.Completed,
			r.Acknowledged, r.Unknown, r.Refused, r.Letters, r.Repeats, len(r.Lines), r.Took.Round(time.Second))
		lost += len(r.Lines)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, r := range results {
		for _, line := range r.Lines {
			fmt.Printf("LOST, %s: %s\n", r.Scenario, line)
		}
	}
	if lost > 0 {
		return fmt.Errorf("%d losses", lost)
	}
	return nil
}

func names() string {
	var out []string
	for _, s := range faults.Scenarios {
		out = append(out, s.Name)
	}
	return strings.Join(out, ", ")
}
