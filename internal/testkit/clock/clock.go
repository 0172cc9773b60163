// Package clock is the time of tests: it stands still until a test moves it.
//
// A boundary is tested in a pair, the last instant that works and the first
// that does not, and only a clock that nobody else moves can stand on either.
//
// Trust: none is asked for; only tests import it.
package clock

import (
	"fmt"
	"sync"
	"time"
)

// Clock gives the same instant until Advance or Set moves it. Safe for
// concurrent use; hand its Now method to whatever asks for a func() time.Time.
type Clock struct {
	mu  sync.RWMutex
	now time.Time
}

// New gives a clock that stands at start, in UTC and to the millisecond, as the
// database keeps times.
func New(start time.Time) *Clock {
	return &Clock{now: start.UTC().Truncate(time.Millisecond)}
}

// Now gives the instant at which the clock stands, in UTC.
func (c *Clock) Now() time.Time {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.now
}

// Advance moves the clock forward by d and gives the new time. It panics on a
// negative d: a test that wants a clock running backwards says so with Set.
func (c *Clock) Advance(d time.Duration) time.Time {
	if d < 0 {
		panic(fmt.Sprintf("clock: Advance(%s): use Set to step back", d))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}

// Set puts the clock at t, later or earlier.
func (c *Clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t.UTC().Truncate(time.Millisecond)
}
