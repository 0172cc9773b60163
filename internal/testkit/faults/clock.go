package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/google/uuid"
)

// ahead sets the clock of the program "moved".
func (w *World) ahead(d time.Duration) error {
	err := os.WriteFile(w.File("moving"), []byte(d.String()), 0o600)
	return errors.Join(err, os.Rename(w.File("moving"), w.File("moved"))) // never half written
}

// claimant is a client in a recovery of its own, beside those of the load.
func (w *World) claimant(n int) *client {
	c := &client{driver: w.driver, draw: rand.New(rand.NewPCG(w.Seed, uint64(n)))}
	c.r = &Recovery{Account: int(w.driver.next.Add(1)) - 1, Known: true, openKey: uuid.NewString()}
	w.driver.add(c.r)
	return c
}

// codeValid is how long codes of the rig's realm work.
const codeValid = 10 * time.Minute

// clockBack lets codes expire, and then sets the clock back: while serving, and
// across a kill. An expired code stays expired, and clients get on all the same.
func clockBack(ctx context.Context, o Options, engine Engine) (Result, error) {
	o.Now = o.Moved
	return o.still(ctx, engine, func(ctx context.Context, w *World) error {
		var late []*client
		for n := range w.Faults {
			c := w.claimant(n)
			if !c.open(ctx) || !c.start(ctx) || c.mailed(ctx) == nil {
				return fmt.Errorf("no code came: %v", c.r.Wrong)
			}
			late = append(late, c)
		}
		try := func(when string) error {
			for _, c := range late {
				mailed := c.mailed(ctx)
				if mailed == nil {
					return errors.New("a message is gone")
				}
				c.refused(ctx, "a code whose time was over, "+when+",", "challenges/"+c.r.Challenges[0]+"/answer", body{"answer": body{"code": mailed[0].Code()}})
			}
			w.broke++
			w.Say("%s: %d codes whose time was over were tried\n", when, len(late))
			return nil
		}
		if err := w.ahead(codeValid + time.Second); err != nil {
			return err
		}
		if !w.claimant(w.Faults).open(ctx) { // so that something of that time is recorded
			return errors.New("nobody can begin")
		}
		if _, err := w.settled(ctx); err != nil {
			return err
		}
		if err := try("ahead"); err != nil {
			return err
		}
		if err := w.ahead(0); err != nil {
			return err
		}
		if err := try("set back while serving"); err != nil {
			return err
		}
		if err := errors.Join(w.Nodes[0].Kill(), w.Nodes[0].Start(ctx, "serve")); err != nil {
			return err
		}
		if err := try("set back across a kill"); err != nil {
			return err
		}
		for _, c := range late {
			if !c.start(ctx) { // with the new code they come to their end
				return fmt.Errorf("no new code: %v", c.r.Wrong)
			}
		}
		w.driver.begin(ctx, w.Clients, w.Seed)
		if err := w.progress(ctx, 20); err != nil {
			return err
		}
		// Time stands still for the server until the clock has caught up, and so do
		// waits before another try.
		return w.ahead(codeValid + time.Minute)
	})
}

// mailAwayAnHour has the mail server away for an hour while claimants give up and
// begin again. Codes whose time was over are not sent any more; all else is, once.
func mailAwayAnHour(ctx context.Context, o Options, engine Engine) (Result, error) {
	o.Now = o.Moved
	return o.still(ctx, engine, func(ctx context.Context, w *World) error {
		var waiting []*client
		for n := range w.Faults {
			c := w.claimant(n)
			if !c.open(ctx) || !c.start(ctx) || c.mailed(ctx) == nil {
				return fmt.Errorf("no code came: %v", c.r.Wrong)
			}
			waiting = append(waiting, c)
		}
		w.broke++
		w.mail.Close()
		for _, c := range waiting {
			c.goOn(ctx) // the notices of these wait
			late := w.claimant(w.Faults + c.r.Account)
			if !late.open(ctx) || !late.start(ctx) {
				return fmt.Errorf("a claimant cannot begin without mail: %v", late.r.Wrong)
			}
			late.r.Overdue = true
		}
		for minutes := 10; minutes <= 60; minutes += 10 {
			if err := w.ahead(time.Duration(minutes) * time.Minute); err != nil {
				return err
			}
			if err := pause(ctx, 300*time.Millisecond); err != nil { // for the tries that are due
				return err
			}
		}
		w.Say("the mail server is back after an hour: %d recoveries have notices waiting\n", len(waiting))
		if err := w.mail.Open(); err != nil {
			return err
		}
		if err := w.ahead(3 * time.Hour); err != nil { // the wait between two tries is half an hour by now
			return err
		}
		w.driver.begin(ctx, w.Clients, w.Seed)
		return w.progress(ctx, 20)
	})
}

// still is [Options.on] without a load: the scenario begins it when it is ready.
func (o Options) still(ctx context.Context, engine Engine, f func(context.Context, *World) error) (Result, error) {
	if err := os.WriteFile(o.Folder+"/moved", []byte("0s"), 0o600); err != nil {
		return Result{}, err
	}
	clients := o.Clients
	o.Clients = 0
	return o.on(ctx, engine, 1, func(ctx context.Context, w *World) error {
		w.Clients = clients
		return f(ctx, w)
	})
}
