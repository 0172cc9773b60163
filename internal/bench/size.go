package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/audit"
	"github.com/wanbi/wanbi/internal/bench/rig"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// SizeReport is what one run of [Size] measured.
type SizeReport struct {
	Machine  Machine       `json:"machine"`
	Began    time.Time     `json:"began"`
	BinaryMB float64       `json:"binary_mb"`
	Runs     []SizeFigures `json:"runs"`
}

// SizeFigures is one database with many accounts, and beside it one with few.
type SizeFigures struct {
	Engine    string            `json:"engine"`
	Settings  map[string]string `json:"settings,omitempty"`
	Accounts  int               `json:"accounts"`
	Beside    int               `json:"beside"` // accounts of the small one
	Import    Work              `json:"import"`
	Again     Work              `json:"import_again"` // of the first of them
	Sequence  Work              `json:"sequence"`
	Verify    Work              `json:"verify"`
	ReceiptMS Spread            `json:"receipt_ms"`
	Clients   int               `json:"clients"`
	Small     Load              `json:"small"`
	Big       Load              `json:"big"`
}

// Work is how fast a number of like things was done, and what one of them cost.
type Work struct {
	Count    int     `json:"count"`
	Rate     float64 `json:"per_second"`
	MemoryMB float64 `json:"memory_mb"`            // of the process, at its peak; 0 where it did other work too
	OwnUS    float64 `json:"cpu_us_each"`          // CPU of the process for each, in microseconds; SQLite's is in it
	DBUS     float64 `json:"database_cpu_us_each"` // and of the database's processes
}

// String is one line for whoever watches.
func (w Work) String() string {
	return fmt.Sprintf("%d, %.0f a second, CPU %.1f + %.1f µs each, %.0f MB", w.Count, w.Rate, w.OwnUS, w.DBUS, w.MemoryMB)
}

// Size measures what many accounts change: bringing them in, taking their entries
// into the log, verifying it, receipts, and recoveries, by turns with an
// installation that has few accounts.
func Size(ctx context.Context, o Options, beside int) (SizeReport, error) {
	report := SizeReport{Machine: machine(), Began: time.Now().UTC().Truncate(time.Second)}
	if info, err := os.Stat(o.Program); err == nil {
		report.BinaryMB = float64(info.Size()) / 1e6
	}
	for _, database := range o.Databases {
		figures, err := size(ctx, o, database, beside)
		if err != nil {
			return report, fmt.Errorf("%s: %w", figures.Engine, err)
		}
		report.Runs = append(report.Runs, figures)
	}
	report.Machine.LoadAfter = loadAverage()
	return report, nil
}

func size(ctx context.Context, o Options, database string, beside int) (f SizeFigures, err error) {
	f = SizeFigures{Accounts: o.Accounts, Beside: beside, Clients: o.Clients[0]}
	big, endBig, err := newInstallation(ctx, o, database)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, endBig()) }()
	f.Engine, f.Settings = big.run.Engine, big.run.Settings
	few := o
	few.Accounts = beside
	small, endSmall, err := newInstallation(ctx, few, database)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, endSmall()) }()
	for _, step := range []struct {
		name string
		do   func() error
		say  func() any
	}{
		{"bringing in the few", func() error { return small.bringIn(ctx, beside, new(Work)) }, nil},
		{"bringing in", func() error { return big.bringIn(ctx, o.Accounts, &f.Import) }, func() any { return f.Import }},
		{"some of them again", func() error { return big.bringIn(ctx, min(o.Accounts, again), &f.Again) }, func() any { return f.Again }},
		{"taking entries into the log", func() error { return big.sequence(ctx, &f.Sequence) }, func() any { return f.Sequence }},
		{"verifying", func() error { return big.verify(ctx, f.Sequence.Count, &f.Verify) }, func() any { return f.Verify }},
		{"a receipt, p95 in ms", func() (err error) { f.ReceiptMS, err = big.receipts(ctx); return err }, func() any { return f.ReceiptMS.P95 }},
		{"recoveries by turns", func() error { return byTurns(ctx, small, big, &f) }, nil},
	} {
		if err := step.do(); err != nil {
			return f, fmt.Errorf("%s: %w", step.name, err)
		}
		if step.say != nil {
			o.Say("%s, %s: %v\n", f.Engine, step.name, step.say())
		}
	}
	o.Say("%s, recoveries with %7d accounts: %s\n", f.Engine, beside, f.Small)
	o.Say("%s, recoveries with %7d accounts: %s\n", f.Engine, o.Accounts, f.Big)
	return f, nil
}

// measured notes what do cost: its own process when it gives one that ended, else
// this one.
func (b *installation) measured(count int, w *Work, do func() (*os.ProcessState, error)) error {
	own, database, began := ownCPU(), b.database.cpu(), time.Now()
	ended, err := do()
	if err != nil {
		return err
	}
	took, used := time.Since(began), ownCPU()-own
	if ended != nil {
		used, w.MemoryMB = ended.UserTime()+ended.SystemTime(), peak(ended)
	}
	n := float64(max(count, 1))
	w.Count, w.Rate = count, n/took.Seconds()
	w.OwnUS, w.DBUS = 1000*milliseconds(used)/n, 1000*milliseconds(b.database.cpu()-database)/n
	return nil
}

// bringIn imports the first accounts, which may be there already.
func (b *installation) bringIn(ctx context.Context, count int, w *Work) error {
	path := b.File("accounts.jsonl")
	if err := rig.WriteAccounts(path, count, nil); err != nil {
		return err
	}
	defer os.Remove(path)
	return b.measured(count, w, func() (*os.ProcessState, error) {
		cmd := b.node.Command(ctx, "import", path, "--realm", "bench")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%w: %s", err, out)
		}
		return cmd.ProcessState, nil
	})
}

// inside opens the database and its log in this process.
func (b *installation) inside(ctx context.Context, do func(d *store.DB, log *audit.Log) error) error {
	keys, err := seal.Load(b.File("keys.json"))
	if err != nil {
		return err
	}
	d, err := store.Open(b.Database)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Ready(ctx); err != nil {
		return err
	}
	return do(d, &audit.Log{DB: d, Keys: keys, Now: time.Now})
}

// sequence takes every entry into the log.
func (b *installation) sequence(ctx context.Context, w *Work) error {
	return b.inside(ctx, func(_ *store.DB, log *audit.Log) error {
		count := 0
		if err := b.measured(1, w, func() (*os.ProcessState, error) {
			for {
				taken, err := log.Step(ctx)
				if count += taken; err != nil || taken == 0 {
					return nil, err
				}
			}
		}); err != nil {
			return err
		}
		n := float64(max(count, 1))
		w.Count, w.Rate, w.OwnUS, w.DBUS = count, w.Rate*n, w.OwnUS/n, w.DBUS/n
		return nil
	})
}

// verify runs the command, as an operator would.
func (b *installation) verify(ctx context.Context, entries int, w *Work) error {
	return b.measured(entries, w, func() (*os.ProcessState, error) {
		cmd := b.node.Command(ctx, "audit", "verify")
		out, err := cmd.CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("%w: %s", err, out)
		}
		return cmd.ProcessState, nil
	})
}

// receipts times the receipts of accounts from all over the log.
func (b *installation) receipts(ctx context.Context) (out Spread, err error) {
	return out, b.inside(ctx, func(d *store.DB, log *audit.Log) error {
		var took []float64
		accounts := &account.Service{DB: d, Keys: log.Keys}
		for n := range receipts {
			var id recovery.AccountID
			if err := d.Read(ctx, func(q *db.Queries) (err error) {
				id, _, err = accounts.FindHostID(ctx, q, "bench", fmt.Sprint("h-", n*max(b.Accounts/receipts, 1)%b.Accounts))
				return err
			}); err != nil {
				return err
			}
			began := time.Now()
			receipt, err := log.Receipt(ctx, account.Chain("bench", id))
			if err == nil && len(receipt.Entries) == 0 {
				err = errors.New("a receipt without entries")
			}
			if err != nil {
				return err
			}
			took = append(took, milliseconds(time.Since(began)))
		}
		out = spread(took)
		return nil
	})
}

// again is how many accounts are brought in that are there already.
const again = 5000

// turns is how often small and big take turns, so that other work on the machine
// meets both.
const turns = 6

// byTurns sends recoveries to both installations, one after the other.
func byTurns(ctx context.Context, small, big *installation, f *SizeFigures) (err error) {
	both := []*installation{small, big}
	all := make([][]sample, len(both))
	for _, b := range both {
		if err := b.startServer(ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, b.node.Stop()) }()
		b.driver = newDriver(b.node.Origin(), b.sink, b.Accounts)
		if err := b.driver.warmUp(ctx); err != nil {
			return err
		}
	}
	for range turns {
		for i, b := range both {
			all[i] = append(all[i], b.driver.run(ctx, f.Clients, b.Duration/turns)...)
		}
	}
	for i, load := range []*Load{&f.Small, &f.Big} {
		load.Clients, load.Seconds, load.MemoryMB = f.Clients, both[i].Duration.Seconds(), both[i].memory()
		load.sum(all[i])
		load.Rate = float64(load.Recoveries) / load.Seconds
	}
	return ctx.Err()
}

// newInstallation lays settings, keys and an empty database; end takes them away.
func newInstallation(ctx context.Context, o Options, database string) (b *installation, end func() error, err error) {
	folder, err := os.MkdirTemp("", "wanbi-bench-")
	if err != nil {
		return nil, nil, err
	}
	ends := []func() error{func() error { return os.RemoveAll(folder) }}
	end = func() (err error) {
		for _, one := range ends {
			err = errors.Join(one(), err)
		}
		return err
	}
	run := &RunFigures{Engine: "sqlite", Hash: o.Hashes[0], Accounts: o.Accounts}
	laid := &rig.Installation{Program: o.Program, Folder: folder, Database: "sqlite:" + filepath.Join(folder, "wanbi.db")}
	b = &installation{Options: o, Installation: laid, hash: o.Hashes[0], run: run}
	if database != "sqlite" {
		run.Engine = "postgres"
		own, err := newDatabase(ctx, database)
		if err != nil {
			return b, end, errors.Join(err, end())
		}
		ends = append(ends, own.drop)
		laid.Database, b.database, run.Settings = own.dsn, processes{postmaster: own.postmaster}, own.settings
	}
	if b.sink, err = startSink(o.SMTPLatency); err != nil {
		return b, end, errors.Join(err, end())
	}
	ends = append(ends, func() error { b.sink.Close(); return nil })
	laid.Mail = b.sink.Addr
	if err := b.lay(ctx); err != nil {
		return b, end, errors.Join(err, end())
	}
	if _, err := b.node.Do(ctx, "migrate"); err != nil {
		return b, end, errors.Join(err, end())
	}
	return b, end, nil
}
