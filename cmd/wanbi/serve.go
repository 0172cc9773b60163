package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/wanbi/wanbi/internal/config"
	"github.com/wanbi/wanbi/internal/metrics"
	"github.com/wanbi/wanbi/internal/store"
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
	return `Serves the pages, the API and health at the address of the settings, and does the work beside requests: messages, events to hosts, the audit log, expiries. It stops when it is told to (SIGINT, SIGTERM): it takes no more requests, finishes those under way within ten seconds, and ends the work beside them. A second signal stops it at once.

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
	sender, closeSender, err := read.Sender(now, log)
	if err != nil {
		return err
	}
	defer closeSender()
	figures := metrics.New(now, log)
	opened, err := assemble(s, read, log, figures.Sender(sender), c.Migrate)
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
	shown, err := showFigures(s.ctx, read.Metrics, figures, opened.DB, log)
	if err != nil {
		return errors.Join(err, listener.Close(), opened.Close())
	}
	defer shown()
	go debug.FreeOSMemory() // reading dictionaries and policies leaves several megabytes that nothing needs again
	err = serve(s.ctx, listener, figures.Handler(opened.Handler()), opened.Run, log)
	log.Info("wanbi stopped")
	return errors.Join(err, opened.Close())
}

// showFigures serves the figures at an address of their own until the returned
// func is called; nothing where no address is configured.
func showFigures(ctx context.Context, address string, figures *metrics.Metrics, d *store.DB, log *slog.Logger) (func(), error) {
	if address == "" {
		return func() {}, nil
	}
	if err := figures.Watch(ctx, d); err != nil {
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

// serve answers on the listener and works beside it until ctx ends, then finishes
// requests first and the work that they brought after.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, work func(context.Context), log *slog.Logger) error {
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
