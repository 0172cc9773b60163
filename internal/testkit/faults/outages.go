package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"time"

	"github.com/wanbi/wanbi/internal/testkit/postgres"
	"github.com/wanbi/wanbi/internal/testkit/wire"
)

// mailAway shuts the mail server while claimants wait for their codes. What could
// not be sent is tried again, after 2, 4, 8 … seconds.
func mailAway(ctx context.Context, o Options, engine Engine) (Result, error) {
	return o.on(ctx, engine, 1, func(ctx context.Context, w *World) error {
		away := time.Duration(min(w.Faults, 20)) * time.Second
		w.broke++
		w.mail.Close()
		if err := pause(ctx, away); err != nil {
			return err
		}
		w.Say("the mail server is back after %s\n", away)
		return errors.Join(w.mail.Open(), w.progress(ctx, 20))
	})
}

// databaseAway crashes the PostgreSQL, and has it back at once or after seconds.
func databaseAway(ctx context.Context, o Options, _ Engine) (r Result, err error) {
	cluster, err := postgres.StartDurable()
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	return o.world(ctx, cluster.DSN(), 1, func(ctx context.Context, w *World) error {
		draw := rand.New(rand.NewPCG(w.Seed, 2<<32))
		return w.again(ctx, draw, func() error {
			if err := cluster.Crash(); err != nil {
				return err
			}
			away := time.Duration(w.broke%2) * time.Duration(1+draw.IntN(3)) * time.Second
			if err := pause(ctx, away); err != nil {
				return err
			}
			w.Say("crash %d of %d, away for %s\n", w.broke, w.Faults, away)
			return cluster.Resume()
		})
	})
}

// frozenFor is longer than any request may wait.
const frozenFor = replyWithin + 5*time.Second

// databaseSlow slows the way to the database down, and then freezes it: requests
// must be refused and not hang, and all is well when it thaws.
func databaseSlow(ctx context.Context, o Options, _ Engine) (r Result, err error) {
	dsn, drop, err := o.database(ctx)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, drop()) }()
	u, err := url.Parse(dsn)
	if err != nil {
		return r, err
	}
	way, err := wire.New(u.Host)
	if err != nil {
		return r, err
	}
	defer way.Cut()
	u.Host = way.Addr()
	return o.world(ctx, u.String(), 1, func(ctx context.Context, w *World) error {
		w.broke = 2
		way.Slow(10 * time.Millisecond)
		if err := w.progress(ctx, 20); err != nil {
			return err
		}
		w.Say("slow: 10 ms each way\n")
		way.Slow(0)
		way.Freeze()
		before := w.driver.replies()
		if err := pause(ctx, frozenFor); err != nil {
			return err
		}
		way.Thaw()
		after := w.driver.replies()
		w.Say("frozen for %s: %d requests were refused, %d got no reply\n", frozenFor, after.Refused-before.Refused, after.Unknown-before.Unknown)
		if hung := after.Unknown - before.Unknown; hung > 0 || after.Refused == before.Refused {
			return fmt.Errorf("while nothing came through for %s, %d requests hung and %d were refused", frozenFor, hung, after.Refused-before.Refused)
		}
		return w.progress(ctx, 20)
	})
}

// promoted kills the primary and promotes the standby that it waits for at every
// commit. Servers know both hosts and look for the one that takes writes.
func promoted(ctx context.Context, o Options, _ Engine) (r Result, err error) {
	primary, err := postgres.StartDurable()
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, primary.Stop()) }()
	standby, err := primary.Standby()
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, standby.Stop()) }()
	u, err := url.Parse(primary.DSN())
	if err != nil {
		return r, err
	}
	u.Host += "," + standby.Host()
	q := u.Query()
	q.Set("target_session_attrs", "read-write")
	u.RawQuery = q.Encode()
	return o.world(ctx, u.String(), 2, func(ctx context.Context, w *World) error {
		if err := w.progress(ctx, 30); err != nil {
			return err
		}
		w.broke++
		before := w.driver.acknowledged()
		if err := primary.Kill(); err != nil {
			return err
		}
		began := time.Now()
		if err := standby.Promote(); err != nil {
			return err
		}
		if err := w.progress(ctx, 1); err != nil {
			return err
		}
		w.Say("the primary is dead after %d acknowledged steps; the next one %s later\n", before, time.Since(began).Round(time.Millisecond))
		return w.progress(ctx, 50)
	})
}

// needsPatroni says what is missing for a pair of servers under Patroni.
func needsPatroni() string {
	if missing := postgres.PatroniMissing(); missing != "" {
		return "missing, as Debian packages: " + missing
	}
	return ""
}

// failedOver kills the primary of a pair that Patroni keeps. Nobody promotes the
// standby: Patroni does, once the dead primary's lease has run out.
func failedOver(ctx context.Context, o Options, _ Engine) (r Result, err error) {
	pair, err := postgres.StartPatroni()
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, pair.Stop()) }()
	return o.world(ctx, pair.DSN(), 2, func(ctx context.Context, w *World) error {
		if err := w.progress(ctx, 30); err != nil {
			return err
		}
		w.broke++
		before := w.driver.acknowledged()
		began := time.Now()
		if err := pair.KillPrimary(); err != nil {
			return err
		}
		if err := w.progress(ctx, 1); err != nil {
			return err
		}
		w.Say("the primary is dead after %d acknowledged steps; the next one %s later\n", before, time.Since(began).Round(time.Second))
		return w.progress(ctx, 50)
	})
}
