package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"go.opentelemetry.io/otel"

	"github.com/wanbi/wanbi/internal/config"
	"github.com/wanbi/wanbi/internal/metrics"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/server"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/tracing"
)

// The limits of one HTTP connection. Requests are small and answers are made at
// once; only an upload of evidence takes long, on a slow telephone.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 60 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeader         = 64 << 10
	// finishWithin is how long requests under way may take after a signal to stop.
	finishWithin = 10 * time.Second
)

type serveCommand struct {
	settings
	Migrate bool `help:"Bring the database schema up to date first."`
}

// Help is what --help says beside the flags.
func (serveCommand) Help() string {
	return `Serves the pages, the API and health at the address of the settings, and does the work beside requests: messages, events to hosts, the audit log, expiries. It stops when it is told to (SIGINT, SIGTERM): /readyz says no, and for as long as the setting drain says it goes on answering, so that a load balancer can turn to other nodes; then it takes no more requests, finishes those under way within ten seconds, finishes the jobs under way, and signs a last checkpoint. A second signal stops it at once.

At a SIGHUP it takes up the key file anew, all of it or, when something is wrong with it, nothing; no request fails meanwhile.

It does not start without a key file, nor on a database that is older than its signed checkpoint or than this program.

Example:

    wanbi keys init /etc/wanbi/keys.json --origin id.example.cn/wanbi
    wanbi serve --config /etc/wanbi/wanbi.yaml --migrate`
}

func (c serveCommand) Run(s std) error { return c.run(s, config.Hash{}) }

// run serves as the settings say, but for the cost of hashes where one is given.
func (c serveCommand) run(s std, hash config.Hash) error {
	read, err := c.load(s)
	if err != nil {
		return err
	}
	if hash != (config.Hash{}) {
		read.Hash = hash
	}
	log := logger(read, s)
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	sender, closeSender, err := read.Sender(now, log)
	if err != nil {
		return err
	}
	defer closeSender()
	figures := metrics.New(now, log)
	traces, closeTraces, err := traced(s.ctx, read, log)
	if err != nil {
		return err
	}
	defer closeTraces()
	opened, err := assemble(s, read, log, figures.Sender(sender), traces, c.Migrate)
	if err != nil {
		return err
	}
	for kind, section := range read.Unreachable() {
		log.Warn("nothing is configured to reach contacts of this kind: their notices become dead letters", "kind", kind, "section", section)
	}
	listener, err := net.Listen("tcp", read.Listen)
	if err != nil {
		return errors.Join(fmt.Errorf("cannot listen on %s: %w", read.Listen, err), opened.Close())
	}
	log.Info("wanbi serves", "listen", listener.Addr().String(), "origin", read.Origin, "realms", opened.Realms.IDs(), "version", version())
	shown, err := showFigures(s.ctx, read.Metrics, figures, opened, log)
	if err != nil {
		return errors.Join(err, listener.Close(), opened.Close())
	}
	defer shown()
	go debug.FreeOSMemory() // reading dictionaries and policies leaves several megabytes that nothing needs again
	work := func(ctx context.Context) {
		var beside sync.WaitGroup
		defer beside.Wait()
		beside.Go(func() { takeUpKeys(ctx, hangups, read.Keys, opened, log) })
		opened.Run(ctx)
	}
	drain := func() {
		opened.Drain()
		if wait := read.DrainTime(); wait > 0 {
			log.Info("wanbi stops", "after", wait.String())
			time.Sleep(wait)
		}
	}
	err = serve(s.ctx, listener, figures.Handler(opened.Handler()), work, drain, log)
	log.Info("wanbi stopped")
	return errors.Join(err, opened.Close())
}

// traced opens the traces of the settings; the returned func sends what is left.
func traced(ctx context.Context, c *config.Config, log *slog.Logger) (*tracing.Tracer, func(), error) {
	if c.Tracing == nil {
		return nil, func() {}, nil
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces were lost", "err", err) }))
	provider, err := tracing.Open(ctx, c.Tracing.Endpoint, c.Tracing.Share(), version())
	if err != nil {
		return nil, nil, err
	}
	return tracing.New(provider), func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
		defer cancel()
		if err := provider.Shutdown(ending); err != nil {
			log.Warn("the last traces were lost", "err", err)
		}
	}, nil
}

// takeUpKeys has the server use the key file as it is at each hang-up, until ctx
// ends. A file that is refused changes nothing.
func takeUpKeys(ctx context.Context, hangups <-chan os.Signal, path string, opened *server.Server, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
		}
		next, err := seal.Load(path)
		if err == nil {
			err = opened.Rekey(ctx, next)
		}
		if err != nil {
			log.Error("the key file was NOT taken up: the keys from before stay in force", "file", path, "err", err)
			continue
		}
		log.Info("keys taken up", "file", path, "versions", versionWords(next))
	}
}

// showFigures serves the figures at an address of their own until the returned
// func is called; nothing where no address is configured.
func showFigures(ctx context.Context, address string, figures *metrics.Metrics, opened *server.Server, log *slog.Logger) (func(), error) {
	if address == "" {
		return func() {}, nil
	}
	if err := errors.Join(figures.Watch(ctx, opened.DB), figures.WatchKeys(opened.Keys, opened.Reseal.Remaining)); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen for metrics on %s: %w", address, err)
	}
	h := &http.Server{Handler: figures.Serve(), ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout}
	go func() { _ = h.Serve(listener) }() // it ends when it is closed
	log.Info("metrics are served", "listen", listener.Addr().String())
	return func() { _ = h.Close() }, nil
}

// serve answers on the listener and works beside it until ctx ends, goes on until
// drain returns, then finishes requests first and the work that they brought after.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, work func(context.Context), drain func(), log *slog.Logger) error {
	h := &http.Server{
		Handler: handler, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	working, endWork := context.WithCancel(context.WithoutCancel(ctx))
	var beside sync.WaitGroup
	beside.Go(func() { work(working) })
	defer beside.Wait()
	defer endWork()
	failed := make(chan error, 1)
	go func() { failed <- h.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	drain()
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
	defer cancel()
	if err := h.Shutdown(ending); err != nil {
		log.Warn("requests were cut off", "after", finishWithin)
		return h.Close()
	}
	return nil
}

type migrateCommand struct{ settings }

// Help is what --help says beside the flags.
func (migrateCommand) Help() string {
	return `Each step is one transaction, and running it again does nothing. Run it before the first start and after each new version; make a copy of the database first.

Example:

    wanbi migrate --config /etc/wanbi/wanbi.yaml`
}

func (c migrateCommand) Run(s std) error {
	read, err := c.load(s)
	if err != nil {
		return err
	}
	d, err := store.Open(read.Database)
	if err != nil {
		return err
	}
	steps, err := d.Migrate(s.ctx)
	for _, step := range steps {
		s.printf("done: %s\n", step)
	}
	if err == nil && len(steps) == 0 {
		s.printf("the schema is up to date\n")
	}
	return errors.Join(err, d.Close())
}
