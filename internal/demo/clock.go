package demo

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Clock is another clock plus an offset that only grows, so that days of waiting
// pass at a press. Safe for concurrent use.
type Clock struct {
	base   func() time.Time
	offset atomic.Int64
}

// NewClock gives a clock without an offset; base is usually time.Now.
func NewClock(base func() time.Time) *Clock { return &Clock{base: base} }

// Now gives the time in UTC.
func (c *Clock) Now() time.Time { return c.base().Add(c.Offset()).UTC() }

// Offset is how far the clock was moved in all.
func (c *Clock) Offset() time.Duration { return time.Duration(c.offset.Load()) }

// Advance moves the clock forward by d and gives the new time. It panics on a
// negative d: a clock that steps back would revive what has expired.
func (c *Clock) Advance(d time.Duration) time.Time {
	if d < 0 {
		panic(fmt.Sprintf("demo: Advance(%s)", d))
	}
	c.offset.Add(int64(d))
	return c.Now()
}

// NotBefore moves the clock forward to t, if it is not there yet.
func (c *Clock) NotBefore(t time.Time) {
	if missing := t.Sub(c.Now()); missing > 0 {
		c.Advance(missing)
	}
}
