package main

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/wanbi/wanbi/internal/audit"
	"github.com/wanbi/wanbi/internal/config"
	"github.com/wanbi/wanbi/internal/notify"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/server"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/tracing"
)

// settings names the file that commands beside a server read.
type settings struct {
	Config string `help:"The settings of the server; left out, wanbi.yaml." default:"wanbi.yaml" placeholder:"FILE" short:"c"`
}

func (c settings) load(s std) (*config.Config, error) { return config.Load(c.Config, s.env) }

// inRealm is a command about one realm.
type inRealm struct {
	settings
	Realm string `help:"The realm, as its policy calls it." required:"" placeholder:"REALM" short:"r"`
}

// logger logs to stderr as the settings say.
func logger(c *config.Config, s std) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel()}
	if c.Log.Format == "text" {
		return slog.New(slog.NewTextHandler(s.err, options))
	}
	return slog.New(slog.NewJSONHandler(s.err, options))
}

// now is the clock of a server. A test's program has another (internal/testkit/faults).
var now = time.Now

// assemble opens everything that the settings name, without serving.
func assemble(s std, c *config.Config, log *slog.Logger, sender notify.Sender, traces *tracing.Tracer, migrate bool) (*server.Server, error) {
	keys, err := seal.Load(c.Keys)
	if err != nil {
		return nil, err
	}
	realms, err := c.Realms()
	if err != nil {
		return nil, err
	}
	options := server.Options{
		Database: c.Database, Migrate: migrate, Keys: keys, Origin: c.Origin, Sender: sender, Checkpoint: c.Checkpoint,
		AllowPrivate: c.Private(), TrustedProxies: c.Proxies(), Hash: c.HashCost(), Now: now, Log: log, Tracing: traces,
	}
	for _, r := range realms {
		options.Realms = append(options.Realms, server.Realm{Policy: r.Policy, Events: r.Events, Directory: r.Directory})
	}
	return server.New(s.ctx, options)
}

// open is assemble for a command about one realm. It sends nothing: what the
// command queues, a running server does.
func (r inRealm) open(s std) (*server.Server, error) {
	c, err := r.load(s)
	if err != nil {
		return nil, err
	}
	opened, err := assemble(s, c, slog.New(slog.DiscardHandler), nil, nil, false)
	if err != nil {
		return nil, err
	}
	ids := opened.Realms.IDs()
	if !slices.Contains(ids, recovery.Realm(r.Realm)) {
		words := make([]string, len(ids))
		for i, id := range ids {
			words[i] = string(id)
		}
		err := fmt.Errorf("no realm %q in %s; there are %s", r.Realm, r.Config, strings.Join(words, ", "))
		return nil, errors.Join(err, opened.Close())
	}
	return opened, nil
}

// openLog opens the database and its audit log only, so that what is wrong with
// the rest does not hide what happened.
func (c settings) openLog(s std) (*store.DB, *audit.Log, error) {
	read, err := c.load(s)
	if err != nil {
		return nil, nil, err
	}
	keys, err := seal.Load(read.Keys)
	if err != nil {
		return nil, nil, err
	}
	d, err := store.Open(read.Database)
	if err != nil {
		return nil, nil, err
	}
	if err := d.Ready(s.ctx); err != nil {
		return nil, nil, errors.Join(err, d.Close())
	}
	return d, &audit.Log{DB: d, Keys: keys, Now: time.Now, File: read.Checkpoint}, nil
}

// loadPolicy reads a policy and tells one that is refused from one that cannot be read.
func loadPolicy(file string) (*policy.Policy, error) {
	p, err := config.LoadPolicy(file)
	var problems policy.Errors
	if errors.As(err, &problems) {
		return nil, found{err}
	}
	return p, err
}

// sqlitePath gives the file of a SQLite database.
func sqlitePath(dsn string) (string, bool) { return strings.CutPrefix(dsn, "sqlite:") }
