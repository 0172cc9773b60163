// Package faults shows that nothing is lost when things break: it starts real
// servers as processes, lets clients recover accounts over HTTP, breaks something,
// and holds what is there afterwards to what the clients were told.
//
// The clients keep their own record of what was acknowledged (record.go); the
// checker (check.go) compares it with the server's answers, the database, the
// messages that were sent and the events that the host was told.
//
// Trust: none is asked for; only tests and `make faults` run it.
package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/wanbi/wanbi/internal/bench/rig"
)

// Options say how much is done.
type Options struct {
	Programs
	Folder   string // empty; everything is made in it
	Postgres string // URL of a superuser of a PostgreSQL, for the scenarios that do not break it
	Seed     uint64 // draws what clients do and when things break
	Clients  int    // at once
	Accounts int    // to bring in; each recovery uses up one
	Faults   int    // how often a scenario breaks what it breaks
	Say      func(format string, args ...any)
}

// World is one installation that something happens to.
type World struct {
	Options
	*rig.Installation
	Nodes   []*rig.Node
	mailbox *Mailbox
	mail    *rig.Mail
	host    *Host
	driver  *driver
	key     string // of the host, to ask about secrets
	broke   int    // how often, until now
	up      atomic.Pointer[[]string]
}

// newWorld lays an installation with so many nodes on the database, and starts them.
func newWorld(ctx context.Context, o Options, database string, nodes int) (w *World, err error) {
	w = &World{Options: o, mailbox: newMailbox()}
	if w.mail, err = rig.StartMail(w.mailbox.take); err != nil {
		return nil, err
	}
	if w.host, err = startHost(); err != nil {
		return nil, err
	}
	w.Installation = &rig.Installation{Program: o.Now, Folder: o.Folder, Database: database, Mail: w.mail.Addr, Events: w.host.url}
	if err := w.Lay(ctx); err != nil {
		return nil, err
	}
	for i := range nodes {
		node, err := w.Node(fmt.Sprintf("node%d", i+1))
		if err != nil {
			return nil, err
		}
		w.Nodes = append(w.Nodes, node)
	}
	if err := w.fill(ctx); err != nil {
		return nil, err
	}
	w.driver = newDriver(w.origins, w.mailbox, o.Accounts)
	return w, nil
}

// fill makes the schema, the accounts and the host's key.
func (w *World) fill(ctx context.Context) error {
	if _, err := w.Nodes[0].Do(ctx, "migrate"); err != nil {
		return err
	}
	old, err := bcrypt.GenerateFromPassword([]byte(oldSecret), bcrypt.MinCost)
	if err != nil {
		return err
	}
	path := w.File("accounts.jsonl")
	if err := rig.WriteAccounts(path, w.Accounts, func(n int) string {
		return fmt.Sprintf(`"more_emails":[%q],"password_hash":%q`, secondContact(n), old)
	}); err != nil {
		return err
	}
	if _, err := w.Nodes[0].Do(ctx, "import", path, "--realm", rig.Realm); err != nil {
		return err
	}
	mint := w.Nodes[0].Command(ctx, "api-key", "mint", "--realm", rig.Realm, "--name", "faults", "--scope", "secrets:verify")
	out, err := mint.Output()
	w.key = strings.TrimSpace(string(out))
	return err
}

// start starts every node.
func (w *World) start(ctx context.Context) error {
	for _, n := range w.Nodes {
		if err := n.Start(ctx, "serve"); err != nil {
			return err
		}
	}
	w.serving(w.Nodes...)
	return nil
}

// serving says which nodes clients go to from now on.
func (w *World) serving(nodes ...*rig.Node) {
	origins := make([]string, len(nodes))
	for i, n := range nodes {
		origins[i] = n.Origin()
	}
	w.up.Store(&origins)
}

func (w *World) origins() []string { return *w.up.Load() }

// close ends what still runs.
func (w *World) close() (err error) {
	for _, n := range w.Nodes {
		if n.Running() {
			err = errors.Join(err, n.Stop())
		}
	}
	if w.host != nil {
		w.host.close()
	}
	if w.mail != nil {
		w.mail.Close()
	}
	return err
}

// Result is how a scenario ended.
type Result struct {
	Scenario   string
	Faults     int // how often something was broken
	Recoveries int
	Completed  int
	Took       time.Duration
	Replies
	Losses
}

// under runs f while clients work, and checks what is left.
func (w *World) under(ctx context.Context, f func(context.Context) error) (Result, error) {
	began := time.Now()
	working, leave := context.WithCancel(ctx)
	defer leave()
	w.driver.begin(working, w.Clients, w.Seed)
	err := f(ctx)
	if err != nil {
		leave() // what is broken may stay so
	}
	w.driver.end(working)
	if err = errors.Join(err, ctx.Err()); err != nil {
		return Result{}, err
	}
	found, err := w.look(ctx)
	if err != nil {
		return Result{}, err
	}
	d := w.driver
	r := Result{
		Faults: w.broke, Recoveries: len(d.Recoveries), Replies: d.replies(), Losses: Check(d.Recoveries, found), Took: time.Since(began),
	}
	for _, one := range d.Recoveries {
		r.Completed += count(one.Completed)
	}
	return r, nil
}

// progress waits until so many more steps were acknowledged: a server that was
// broken works again.
func (w *World) progress(ctx context.Context, steps int) error {
	from := w.driver.acknowledged()
	return w.until(ctx, fmt.Sprintf("%d more steps are acknowledged", steps), func(r Replies) bool { return r.Acknowledged >= from+steps })
}

// until waits for what the replies to clients show.
func (w *World) until(ctx context.Context, what string, shows func(Replies) bool) error {
	deadline := time.Now().Add(patience)
	for !shows(w.driver.replies()) {
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: not within %s; there were %+v", what, patience, w.driver.replies())
		}
	}
	return nil
}

// pause waits while clients work.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
