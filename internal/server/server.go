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
	"sync/atomic"
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
	"github.com/wanbi/wanbi/internal/reseal"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/secret"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/tracing"
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
	// Tracing begins traces; nil for none.
	Tracing *tracing.Tracer
	Now     func() time.Time
	Log     *slog.Logger
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
	Reseal   *reseal.Walker
	Keys     *seal.Keyring
	draining atomic.Bool
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
	if err := reseal.Current(ctx, d, o.Keys); err != nil {
		return nil, err
	}
	s := &Server{DB: d, Keys: o.Keys, log: o.Log}
	s.Log = &audit.Log{DB: d, Keys: o.Keys, File: o.Checkpoint}
	if err := s.Log.CheckEpoch(ctx); err != nil {
		return nil, err
	}
	_, high, err := s.Log.Head(ctx)
	if err != nil {
		return nil, err
	}
	s.now = monotonic(o.Now, high)
	s.Log.Now, s.Log.Stepped = s.now, o.Tracing.Sequenced
	hooks := &webhook.Client{Key: o.Keys.HookKey(), KeyID: o.Keys.HookKeyID(), Now: s.now, AllowPrivate: o.AllowPrivate}
	if s.Realms, err = realms(ctx, d, s.now(), hooks, o.Realms); err != nil {
		return nil, err
	}
	hasher := secret.NewHasher(o.Keys, o.Hash)
	s.Queue = &jobs.Queue{DB: d, Keys: o.Keys, Now: s.now, Log: o.Log, Around: o.Tracing.Job}
	s.Accounts = &account.Service{
		DB: d, Keys: o.Keys, Queue: s.Queue, Hasher: hasher, Policy: s.Realms.Policy, Now: s.now, Log: o.Log,
		Listens: func(realm recovery.Realm) bool {
			r, _ := s.Realms.Get(realm)
			return r.Events != ""
		},
	}
	s.Cases = &casework.Service{
		DB: d, Keys: o.Keys, Queue: s.Queue, Accounts: s.Accounts, Realms: s.Realms, Hasher: hasher, Sender: o.Tracing.Sender(o.Sender),
		Hooks: hooks, Now: s.now, Log: o.Log, Origin: o.Origin,
	}
	s.Cases.Register()
	s.Claimant = &claimant.Door{Cases: s.Cases, Keys: o.Keys}
	s.Guest = &guest.Door{Cases: s.Cases}
	s.Host = &host.Door{DB: d, Keys: o.Keys, Accounts: s.Accounts, Realms: s.Realms, Log: s.Log, Now: s.now}
	s.Reseal = reseal.New(d, o.Keys, s.Accounts, o.Log)
	s.handler = o.Tracing.Handler(s.routes(o))
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
		Policy: s.Realms.Policy, Network: network, Log: o.Log, Ready: s.ready,
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

// Rekey has the server use the keys of next from now on, in one step and while
// it serves; what stands under older versions is then sealed anew. On an error the
// keys from before stay in force: next must hold every version that is needed.
func (s *Server) Rekey(ctx context.Context, next *seal.Keyring) error {
	gone := func(part string) (out []seal.Version) {
		for _, v := range s.Keys.Older(part) {
			if !next.Has(part, v) {
				out = append(out, v)
			}
		}
		return out
	}
	left, err := reseal.Count(ctx, s.DB, gone("seal"), gone("index"))
	if err != nil {
		return err
	}
	hashes, err := reseal.CountHashes(ctx, s.DB, gone("hash"))
	if err != nil {
		return err
	}
	if left = append(left, hashes...); len(left) > 0 {
		return fmt.Errorf("the file lacks version %s of %s, which %d values of %s need", left[0].Version, left[0].Part, left[0].Values, left[0].Column)
	}
	if err := s.Keys.Replace(next); err != nil {
		return err
	}
	s.Reseal.Wake()
	return nil
}

// sweepEvery is how often expiries are recorded and dormancy is looked at.
const sweepEvery = time.Minute

// Drain has /readyz say no from now on, so that a load balancer sends nobody any
// more, while everything is still answered.
func (s *Server) Drain() { s.draining.Store(true) }

// ready reports whether this node wants more requests and can answer them.
func (s *Server) ready(ctx context.Context) error {
	if s.draining.Load() {
		return recovery.Unavailable("error.unavailable", time.Second).Because(errors.New("the server is about to stop"))
	}
	return s.DB.Ping(ctx)
}

// Run does the work beside requests until ctx ends: jobs, the audit log's
// sequencer, sweeps, sealing anew after a rotation. Then it finishes the jobs
// under way and signs a last checkpoint over what they recorded.
func (s *Server) Run(ctx context.Context) {
	defer s.signLast(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { s.Queue.Run(ctx) })
	running.Go(func() { s.Log.Run(ctx, func(err error) { s.log.Error("audit log", "err", err) }) })
	running.Go(func() { s.Reseal.Run(ctx) })
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

// signWithin bounds the last checkpoint: a database that is away must not keep
// the process from stopping, and the next start signs what is left.
const signWithin = 10 * time.Second

func (s *Server) signLast(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, signWithin)
	defer cancel()
	for {
		taken, err := s.Log.Step(ctx)
		if err != nil {
			s.log.Warn("no last checkpoint: the next start signs it", "err", err)
		}
		if err != nil || taken == 0 {
			return
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
