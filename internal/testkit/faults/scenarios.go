package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"time"

	"github.com/google/uuid"
)

// Engine names what the servers keep their data in.
type Engine string

// The engines that scenarios run on.
const (
	SQLite     Engine = "sqlite"
	PostgreSQL Engine = "postgres"
)

// Scenario breaks one thing, again and again, while clients work.
type Scenario struct {
	Name    string
	Says    string // what breaks
	Engines []Engine
	// CannotRun says why it cannot be run here, empty when it can; nil when it always can.
	CannotRun func() string
	run       func(ctx context.Context, o Options, engine Engine) (Result, error)
}

// Scenarios are all there are.
var Scenarios = []Scenario{
	{"kill", "the server is killed (SIGKILL) at random moments and started again", []Engine{SQLite, PostgreSQL}, nil, killed},
	{"mail", "the mail server is away for a while", []Engine{SQLite, PostgreSQL}, nil, mailAway},
	{"mail-hour", "the mail server is away for an hour", []Engine{SQLite, PostgreSQL}, nil, mailAwayAnHour},
	{"clock", "the clock is set back, while serving and across a kill", []Engine{SQLite, PostgreSQL}, nil, clockBack},
	{"database", "the database crashes and is back at once, or after seconds", []Engine{PostgreSQL}, nil, databaseAway},
	{"slow", "the way to the database is slow, and then nothing comes through", []Engine{PostgreSQL}, nil, databaseSlow},
	{"standby", "the primary is killed (SIGKILL) and its synchronous standby promoted", []Engine{PostgreSQL}, nil, promoted},
	{"patroni", "the primary and its Patroni are killed (SIGKILL), and Patroni promotes the standby", []Engine{PostgreSQL}, needsPatroni, failedOver},
	{"disk", "the disk is full for a while", []Engine{SQLite}, needsRoot, diskFull},
	{"upgrade", "two servers are upgraded one by one over a migration", []Engine{PostgreSQL}, nil, upgraded},
	{"two-nodes", "two servers share a database, and one or the other is killed", []Engine{PostgreSQL}, nil, oneOfTwoKilled},
}

// Run runs the scenario in a folder of its own.
func (s Scenario) Run(ctx context.Context, o Options, engine Engine) (Result, error) {
	r, err := s.run(ctx, o, engine)
	r.Scenario = s.Name + " " + string(engine)
	if err != nil {
		err = fmt.Errorf("%s: %w", r.Scenario, err)
	}
	return r, err
}

// killed kills the only server.
func killed(ctx context.Context, o Options, engine Engine) (Result, error) {
	return o.on(ctx, engine, 1, func(ctx context.Context, w *World) error {
		return w.kill(ctx)
	})
}

// oneOfTwoKilled kills one of two servers while the other goes on.
func oneOfTwoKilled(ctx context.Context, o Options, engine Engine) (Result, error) {
	return o.on(ctx, engine, 2, func(ctx context.Context, w *World) error {
		return w.kill(ctx)
	})
}

// on makes a world on an engine, starts it, and runs f while clients work.
func (o Options) on(ctx context.Context, engine Engine, nodes int, f func(context.Context, *World) error) (r Result, err error) {
	dsn := "sqlite:" + filepath.Join(o.Folder, "wanbi.db")
	if engine == PostgreSQL {
		var drop func() error
		if dsn, drop, err = o.database(ctx); err != nil {
			return r, err
		}
		defer func() { err = errors.Join(err, drop()) }()
	}
	return o.world(ctx, dsn, nodes, f)
}

// world makes a world on a database, starts it, and runs f while clients work.
func (o Options) world(ctx context.Context, dsn string, nodes int, f func(context.Context, *World) error) (r Result, err error) {
	w, err := newWorld(ctx, o, dsn, nodes)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	if err := w.start(ctx); err != nil {
		return r, err
	}
	return w.under(ctx, func(ctx context.Context) error { return f(ctx, w) })
}

// database makes a database in the PostgreSQL that was given.
func (o Options) database(ctx context.Context) (dsn string, drop func() error, err error) {
	u, err := url.Parse(o.Postgres)
	if err != nil || u.Scheme == "" {
		return "", nil, errors.New("no PostgreSQL was named")
	}
	admin, err := open(o.Postgres)
	if err != nil {
		return "", nil, err
	}
	name := "wanbi_faults_" + fmt.Sprintf("%x", uuid.New())[:16]
	if _, err := admin.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return "", nil, errors.Join(err, admin.Close())
	}
	u.Path = "/" + name
	return u.String(), func() error {
		_, err := admin.Exec("DROP DATABASE " + name + " WITH (FORCE)")
		return errors.Join(err, admin.Close())
	}, nil
}

// kill kills one node after another at random moments. A killed one is started
// again at once; while it is the only one, clients find nobody there.
func (w *World) kill(ctx context.Context) error {
	draw := rand.New(rand.NewPCG(w.Seed, 1<<32))
	return w.again(ctx, draw, func() error {
		n := w.Nodes[draw.IntN(len(w.Nodes))]
		before := w.driver.acknowledged()
		if err := n.Kill(); err != nil {
			return err
		}
		if err := n.Start(ctx, "serve"); err != nil {
			return err
		}
		w.Say("kill %d of %d: %s, after %d acknowledged steps; answers again after %s\n",
			w.broke, w.Faults, n.Name, before, n.FirstAnswer.Round(time.Millisecond))
		return nil
	})
}

// again breaks something as often as asked, at random moments, and waits each time
// until clients get on.
func (w *World) again(ctx context.Context, draw *rand.Rand, breakIt func() error) error {
	for w.broke < w.Faults {
		if err := pause(ctx, time.Duration(100+draw.IntN(1400))*time.Millisecond); err != nil {
			return err
		}
		w.broke++
		if err := breakIt(); err != nil {
			return err
		}
		if err := w.progress(ctx, 10); err != nil {
			return err
		}
	}
	return nil
}
