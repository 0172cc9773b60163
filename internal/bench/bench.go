// Package bench measures a whole installation: it starts a server as a process of
// its own, sends it complete recoveries over HTTP, takes the codes from an SMTP
// sink, and reports rates, times, memory and CPU of each process apart.
//
// It judges nothing: figures mean something only beside the machine and the other
// figures of the same run, so both stand in the report.
//
// Trust: none is asked for. Everything it makes is in a folder of its own and gone
// at the end; the PostgreSQL it is given gets a database that is dropped again.
package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/wanbi/wanbi/internal/store"
)

// Options say what to measure.
type Options struct {
	Program     string        // the binary to run as server and importer
	Databases   []string      // "sqlite" for a file of its own, or a postgres:// URL of somebody who may create databases
	Hashes      []string      // "cheap" and "default"
	Clients     []int         // how many recoveries are under way at once, one measurement each
	Duration    time.Duration // of each measurement
	Accounts    int           // to bring in; each recovery uses one that none has used before
	Pairs       int           // requests about known and about unknown identifiers; 0 leaves this out
	SMTPLatency time.Duration // how long the mail server takes for one message
	Profiles    string        // folder for CPU profiles of the servers; empty for none
	Say         func(format string, args ...any)
}

// Run measures every combination of database and hash.
func Run(ctx context.Context, o Options) (Report, error) {
	report := Report{Machine: machine(), Began: time.Now().UTC().Truncate(time.Second), Options: o.shown()}
	if info, err := os.Stat(o.Program); err == nil {
		report.BinaryMB = float64(info.Size()) / 1e6
	}
	for _, hash := range o.Hashes {
		alone, err := hashAlone(ctx, hash)
		if err != nil {
			return report, err
		}
		for _, database := range o.Databases {
			one, err := measure(ctx, o, database, hash)
			one.HashAlone = alone
			if err != nil {
				return report, fmt.Errorf("%s, %s hash: %w", one.Engine, hash, err)
			}
			report.Runs = append(report.Runs, one)
		}
	}
	report.Machine.LoadAfter = loadAverage()
	return report, nil
}

// measure is one combination, in a folder and a database of its own.
func measure(ctx context.Context, o Options, database, hash string) (run RunFigures, err error) {
	o.Hashes = []string{hash}
	b, end, err := newInstallation(ctx, o, database)
	if err != nil {
		return run, err
	}
	defer func() { run, err = *b.run, errors.Join(err, end()) }()
	o.Say("%s, %s hash: bringing in %d accounts\n", b.run.Engine, hash, o.Accounts)
	if err := b.importAccounts(ctx); err != nil {
		return run, err
	}
	if err := b.serveAndDrive(ctx); err != nil {
		return run, err
	}
	return run, b.record(ctx)
}

// serveAndDrive starts the server and measures everything that needs it.
func (b *installation) serveAndDrive(ctx context.Context) (err error) {
	if err := b.startServer(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.node.Stop()) }()
	b.run.FirstAnswerMS = milliseconds(b.node.FirstAnswer)
	select { // idle is what it has when nobody asks, not what starting took
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
	b.run.IdleMB = b.memory()
	b.Say("first answer after %.0f ms, idle %.0f MB\n", b.run.FirstAnswerMS, b.run.IdleMB)
	b.driver = newDriver(b.node.Origin(), b.sink, b.Accounts)
	if err := b.driver.warmUp(ctx); err != nil {
		return err
	}
	for _, clients := range b.Clients {
		load := b.load(ctx, clients)
		b.run.Loads = append(b.run.Loads, load)
		b.Say("%s\n", load)
	}
	if b.run.SequencedAfterMS, err = b.untilSequenced(ctx); err != nil {
		return err
	}
	if b.Pairs > 0 {
		if b.run.Told, err = b.driver.tellApart(ctx, b.Pairs); err != nil {
			return err
		}
		b.Say("known and unknown told apart: AUC %.3f opening, %.3f starting, of %d each\n",
			b.run.Told.Open, b.run.Told.Start, b.Pairs)
	}
	return ctx.Err()
}

// load sends recoveries for the duration, from so many clients at once.
func (b *installation) load(ctx context.Context, clients int) Load {
	before := b.usage()
	began := time.Now()
	samples := b.driver.run(ctx, clients, b.Duration)
	took := time.Since(began)
	used := b.usage().minus(before)
	load := Load{Clients: clients, Seconds: took.Seconds(), MemoryMB: b.memory()}
	load.sum(samples)
	if load.Recoveries > 0 {
		n := float64(load.Recoveries)
		load.CPU = CPU{Server: milliseconds(used.server) / n, Database: milliseconds(used.database) / n, Driver: milliseconds(used.driver) / n}
		load.Rate = n / took.Seconds()
	}
	return load
}

// untilSequenced waits until the log has every entry that was written.
func (b *installation) untilSequenced(ctx context.Context) (float64, error) {
	d, err := store.Open(b.Database)
	if err != nil {
		return 0, err
	}
	defer d.Close()
	began := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		waiting, err := pending(ctx, d)
		if err != nil || !waiting {
			return milliseconds(time.Since(began)), err
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-tick.C:
		}
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
