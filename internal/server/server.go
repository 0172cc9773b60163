// Package server assembles the rooms into one process: storage, keys, policies,
// the doors, the pages, the API, and the work that goes on beside requests.
//
// Trust: whatever is handed to New was read from the operator's configuration.
// Nothing of a request decides how the rooms are wired.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/api"
	"github.com/wanbi/wanbi/internal/audit"
	"github.com/wanbi/wanbi/internal/casework"
	"github.com/wanbi/wanbi/internal/claimant"
	"github.com/wanbi/wanbi/internal/directory"
	"github.com/wanbi/wanbi/internal/guest"
	"github.com/wanbi/wanbi/internal/host"
	"github.com/wanbi/wanbi/internal/inbound"
	"github.com/wanbi/wanbi/internal/jobs"
	"github.com/wanbi/wanbi/internal/notify"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/secret"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/web"
	"github.com/wanbi/wanbi/internal/webhook"
)

// Realm is one tenant of the installation.
type Realm struct {
	Policy *policy.Policy
	// Events is where the host is told what happened; empty for nowhere.
	Events string
	// Directory is the base of the host's own directory; empty for the built-in one.
	Directory string
}

// Options say what to assemble.
type Options struct {
	Database string // DSN, see store.Open
	Migrate  bool   // bring the schema up to date first
	Keys     *seal.Keyring
	Realms   []Realm
	Origin   string // scheme and host of links in messages
	Sender   notify.Sender
	// Checkpoint is the file outside the database that the newest signed
	// checkpoint is kept in; empty for none.
	Checkpoint string
	// AllowPrivate lists networks that hooks may reach although they are not public.
	AllowPrivate []netip.Prefix
	// TrustedProxies may name the caller's address in X-Forwarded-For.
	TrustedProxies []netip.Prefix
	Hash           secret.Params
	Now            func() time.Time
	Log            *slog.Logger
}

// Server is one assembled process.
type Server struct {
	DB       *store.DB
	Queue    *jobs.Queue
	Log      *audit.Log
	Cases    *casework.Service
	Accounts *account.Service
	Realms   *casework.Realms
	Claimant *claimant.Door
	Guest    *guest.Door
	Host     *host.Door
	handler  http.Handler
	log      *slog.Logger
	now      func() time.Time
}

// New opens the database, checks that it is not older than its signed
// checkpoint, and wires the rooms. Close it when done.
func New(ctx context.Context, o Options) (*Server, error) {
	if o.Keys == nil {
		return nil, errors.New("no key file is configured: make one with `wanbi keys init`")
	}
	d, err := store.Open(o.Database)
	if err != nil {
		return nil, err
	}
	s, err := assemble(ctx, o, d)
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return s, nil
}

func assemble(ctx context.Context, o Options, d *store.DB) (*Server, error) {
	if o.Migrate {
		if _, err := d.Migrate(ctx); err != nil {
			return nil, err
		}
	}
	if err := d.Ready(ctx); err != nil {
		return nil, err
	}
	s := &Server{DB: d, log: o.Log}
	s.Log = &audit.Log{DB: d, Keys: o.Keys, File: o.Checkpoint}
	if err := s.Log.CheckEpoch(ctx); err != nil {
		return nil, err
	}
	_, high, err := s.Log.Head(ctx)
	if err != nil {
		return nil, err
	}
	s.now = monotonic(o.Now, high)
	s.Log.Now = s.now
	hooks := &webhook.Client{Key: o.Keys.HookKey(), KeyID: o.Keys.HookKeyID(), Now: s.now, AllowPrivate: o.AllowPrivate}
	if s.Realms, err = realms(ctx, d, s.now(), hooks, o.Realms); err != nil {
		return nil, err
	}
	hasher := secret.NewHasher(o.Keys, o.Hash)
	s.Queue = &jobs.Queue{DB: d, Keys: o.Keys, Now: s.now, Log: o.Log}
	s.Accounts = &account.Service{
		DB: d, Keys: o.Keys, Queue: s.Queue, Hasher: hasher, Policy: s.Realms.Policy, Now: s.now, Log: o.Log,
		Listens: func(realm recovery.Realm) bool {
			r, _ := s.Realms.Get(realm)
			return r.Events != ""
		},
	}
	s.Cases = &casework.Service{
		DB: d, Keys: o.Keys, Queue: s.Queue, Accounts: s.Accounts, Realms: s.Realms, Hasher: hasher, Sender: o.Sender,
		Hooks: hooks, Now: s.now, Log: o.Log, Origin: o.Origin,
	}
	s.Cases.Register()
	s.Claimant = &claimant.Door{Cases: s.Cases, Keys: o.Keys}
	s.Guest = &guest.Door{Cases: s.Cases}
	s.Host = &host.Door{DB: d, Keys: o.Keys, Accounts: s.Accounts, Realms: s.Realms, Log: s.Log, Now: s.now}
	s.handler = s.routes(o)
	return s, nil
}

func realms(ctx context.Context, d *store.DB, now time.Time, hooks *webhook.Client, in []Realm) (*casework.Realms, error) {
	out := make([]casework.Realm, 0, len(in))
	for _, r := range in {
		realm := casework.Realm{Policy: r.Policy, Events: r.Events}
		switch r.Policy.Realm.Directory {
		case "webhook":
			if r.Directory == "" {
				return nil, fmt.Errorf("realm %s: its policy keeps accounts at the host, but no directory address is configured", r.Policy.Realm.ID)
			}
			realm.Directory = &directory.Webhook{Client: hooks, URL: r.Directory}
		default:
			if r.Directory != "" {
				return nil, fmt.Errorf("realm %s: a directory address is configured, but its policy keeps accounts here", r.Policy.Realm.ID)
			}
		}
		out = append(out, realm)
	}
	return casework.NewRealms(ctx, d, now, out)
}

// monotonic gives a clock that is never before the highest time recorded, so
// that a clock which steps back revives nothing (T14).
func monotonic(now func() time.Time, high time.Time) func() time.Time {
	var mu sync.Mutex
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		if t := now().UTC().Truncate(time.Millisecond); t.After(high) {
			high = t
		}
		return high
	}
}

func (s *Server) routes(o Options) http.Handler {
	network := callerNetwork(o.TrustedProxies)
	mux := http.NewServeMux()
	api.Register(mux, api.Config{
		Claimant: s.Claimant, Host: s.Host, Inbound: &inbound.Door{Keys: o.Keys, Log: o.Log}, Audit: s.Log,
		Policy: s.Realms.Policy, Network: network, Log: o.Log, Ready: s.DB.Ping,
	})
	mux.Handle("/", web.New(web.Config{
		Claimant: s.Claimant, Guest: s.Guest, Realm: s.Realms.Policy, Realms: s.Realms.IDs, Now: s.now, Log: o.Log, Network: network,
	}))
	return mux
}

// Handler answers requests: the pages, the API, health.
func (s *Server) Handler() http.Handler { return s.handler }

// Now is the server's clock.
func (s *Server) Now() time.Time { return s.now() }

// sweepEvery is how often expiries are recorded and dormancy is looked at.
const sweepEvery = time.Minute

// Run does the work beside requests until ctx ends: jobs, the audit log's
// sequencer, sweeps.
func (s *Server) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { s.Queue.Run(ctx) })
	running.Go(func() { s.Log.Run(ctx, func(err error) { s.log.Error("audit log", "err", err) }) })
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("sweep", "err", err)
			}
		}
	}
}

// Sweep records expiries and looks for dormant accounts once.
func (s *Server) Sweep(ctx context.Context) error {
	err := s.Cases.Sweep(ctx)
	for _, id := range s.Realms.IDs() {
		err = errors.Join(err, s.Accounts.SweepDormant(ctx, id))
	}
	return err
}

// Settle does everything that is due now and takes all entries into the audit
// log: for tests and for the demo's clock.
func (s *Server) Settle(ctx context.Context) error {
	if err := errors.Join(s.Sweep(ctx), s.Queue.Drain(ctx)); err != nil {
		return err
	}
	for {
		taken, err := s.Log.Step(ctx)
		if err != nil || taken == 0 {
			return err
		}
	}
}

// Close closes the database. Run must have ended.
func (s *Server) Close() error { return s.DB.Close() }

// callerNetwork gives the peer's address, or the one that a trusted proxy names.
func callerNetwork(trusted []netip.Prefix) func(*http.Request) netip.Addr {
	isTrusted := func(a netip.Addr) bool {
		for _, p := range trusted {
			if p.Contains(a) {
				return true
			}
		}
		return false
	}
	return func(r *http.Request) netip.Addr {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			return netip.Addr{}
		}
		addr := peer.Addr().Unmap()
		forwarded := r.Header.Values("X-Forwarded-For")
		for i := len(forwarded) - 1; i >= 0 && isTrusted(addr); i-- {
			hops := splitHops(forwarded[i])
			for j := len(hops) - 1; j >= 0 && isTrusted(addr); j-- {
				next, err := netip.ParseAddr(hops[j])
				if err != nil {
					return addr
				}
				addr = next.Unmap()
			}
		}
		return addr
	}
}

// splitHops reads one X-Forwarded-For header, nearest hop last.
func splitHops(header string) []string {
	parts := strings.Split(header, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}
