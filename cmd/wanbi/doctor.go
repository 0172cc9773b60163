package main

import (
	"fmt"
	"strings"
	"time"
)

type doctorCommand struct {
	settings
	Offline bool `help:"Ask no mail server, gateway, host or collector."`
}

// Help is what --help says beside the flags.
func (doctorCommand) Help() string {
	return `Looks at everything that a server needs and says a line for each: ok, warn (it runs, but look at it) or fail (it will not run, or not rightly), and what to do. It sends no message and changes nothing; it may run while the server does, and when nothing else does.

Mail is tried up to the sign-in, the gateway, the hosts and the collector of traces up to any answer.

Exit code 1: something failed.

Example:

    wanbi doctor --config /etc/wanbi/wanbi.yaml`
}

// level is how a check went.
type level string

const (
	levelOK   level = "ok"
	levelWarn level = "warn"
	levelFail level = "fail"
)

// patience bounds one check that asks another system.
const patience = 10 * time.Second

// examination collects the lines of one run.
type examination struct {
	s      std
	failed int
	warned int
}

func (e *examination) say(l level, what, format string, args ...any) {
	switch l {
	case levelFail:
		e.failed++
	case levelWarn:
		e.warned++
	}
	e.s.printf("%-4s  %-10s  %s\n", l, what, fmt.Sprintf(format, args...))
}

func (e *examination) ok(what, format string, args ...any)   { e.say(levelOK, what, format, args...) }
func (e *examination) warn(what, format string, args ...any) { e.say(levelWarn, what, format, args...) }
func (e *examination) fail(what, format string, args ...any) { e.say(levelFail, what, format, args...) }

func (c doctorCommand) Run(s std) error {
	e := &examination{s: s}
	read, err := c.load(s)
	if err != nil {
		for line := range strings.SplitSeq(explain(err), "\n") {
			e.fail("settings", "%s", line)
		}
		return e.sum()
	}
	e.ok("settings", "%s loads", c.Config)
	keys := e.keys(read)
	if d := e.database(read); d != nil {
		defer d.Close()
		e.clock(d)
		e.record(read, d, keys)
		e.rotation(d, keys)
		e.work(d)
	}
	e.policies(read)
	e.disk(read)
	if c.Offline {
		return e.sum()
	}
	e.mail(read)
	e.texts(read)
	e.hosts(read, keys)
	e.traces(read)
	return e.sum()
}

// sum ends the run.
func (e *examination) sum() error {
	if e.failed > 0 {
		return found{fmt.Errorf("%d checks failed, %d warn", e.failed, e.warned)}
	}
	e.s.printf("nothing failed, %d warn\n", e.warned)
	return nil
}
