package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"

	"github.com/wanbi/wanbi/internal/demo"
	"github.com/wanbi/wanbi/internal/demo/storybook"
	"github.com/wanbi/wanbi/internal/i18n"
)

type demoCommand struct {
	Listen string `help:"Where to listen; other than loopback, everybody there reads every message." default:"127.0.0.1:8080" placeholder:"HOST:PORT"`
	Data   string `help:"Keep database and keys in this folder; left out, they are gone at the end." placeholder:"DIR" type:"path"`
	Origin string `help:"Scheme and host of links in messages; left out, where it listens." placeholder:"URL"`
	Pages  string `help:"Write every page into this folder as static files, with an index, and end." placeholder:"DIR" type:"path"`
}

// Help is what --help says beside the flags.
func (demoCommand) Help() string {
	return `Starts a whole server with nothing but this binary: four systems as their public descriptions say they work, and one as it should; eight made-up people in each; an inbox in place of the telephone network and the mail; and a clock that can be moved, so that a day of waiting takes a second.

Example:

    wanbi demo
    wanbi demo --listen 127.0.0.1:9000 --data ./demo-data

With --pages nothing listens: every page is played on a server in this process and written as a static file, in both languages, light, dark, with larger text, on paper and without JavaScript. Open index.html in the folder.

    wanbi demo --pages ./pages`
}

func (c demoCommand) Run(s std) error {
	if c.Pages != "" {
		return c.writePages(s)
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w; name another address with --listen", c.Listen, err)
	}
	origin := c.Origin
	if origin == "" {
		origin = "http://" + reachable(listener.Addr())
	}
	log := slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	d, err := demo.New(s.ctx, demo.Options{Origin: origin, Folder: c.Data, Log: log})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	c.greet(s, d, origin)
	err = serve(s.ctx, listener, d.Handler(), func(ctx context.Context) { d.Run(ctx) }, func() {}, log)
	return errors.Join(err, d.Close())
}

// writePages writes the storybook.
func (c demoCommand) writePages(s std) error {
	pages, err := storybook.Write(s.ctx, c.Pages, func(format string, args ...any) { s.printf(format+"\n", args...) })
	if err != nil {
		return err
	}
	s.printf("%d pages, %d files: open %s\n", len(pages), len(pages)*len(storybook.Modes)*len(i18n.Locales), filepath.Join(c.Pages, "index.html"))
	return nil
}

// reachable gives the address that a browser on this machine finds a listener at.
func reachable(at net.Addr) string {
	host, port, err := net.SplitHostPort(at.String())
	if err != nil {
		return at.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// greet prints where everything is.
func (c demoCommand) greet(s std, d *demo.Demo, origin string) {
	first := d.Samples[0]
	s.printf("Wanbi demo at %s/demo\n\n", origin)
	s.printf("  DEMO ONLY: messages are not sent. They are simulated, and whoever opens\n  %s/demo/inbox reads all of them.\n\n", origin)
	if host, _, err := net.SplitHostPort(c.Listen); err == nil && host != "localhost" && !net.ParseIP(host).IsLoopback() {
		s.printf("  IT LISTENS ON %s, which is not this machine alone.\n\n", c.Listen)
	}
	s.printf("Systems\n")
	for _, p := range d.Realms {
		s.printf("  %-24s %s/%s/recover\n", p.Realm.ID, origin, p.Realm.ID)
	}
	s.printf("\nAccounts, the same in each system, password %s\n", demo.Password)
	for _, sample := range d.Samples {
		s.printf("  %-12s %-28s %-15s %s\n", sample.Phone, sample.Email, sample.Username, sample.What["en"])
	}
	s.printf("\nBackup codes of %s, each works once in each system\n", first.Username)
	for codes := d.BackupCodes; len(codes) > 0; codes = codes[min(2, len(codes)):] {
		s.printf("  %s\n", strings.Join(codes[:min(2, len(codes))], "   "))
	}
	s.printf("\nThree things to try\n")
	s.printf("  1. Forget the password of %s at %s/yichuangtong/recover; the code is in %s/demo/inbox\n", first.Phone, origin, origin)
	s.printf("  2. The same at %s/hardened-yichuangtong/recover: stop it from a notice, or move the clock at %s/demo\n", origin, origin)
	s.printf("  3. Five wrong passwords at %s/demo/sign-in, then lift the lock\n", origin)
	if d.Kept {
		s.printf("\nThe accounts are those of an earlier demo in %s; passwords may have changed.\n", c.Data)
	}
	s.printf("\nStop it with Ctrl-C.\n")
}
