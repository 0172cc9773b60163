package main

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"
)

// shown is how far a long run came, for whoever watches: on a terminal one line that
// is written over, elsewhere, such as in a log, a line every half minute.
type shown struct {
	to       io.Writer
	terminal bool
	every    time.Duration
	last     time.Time
	open     bool // a line on the terminal is not ended yet
}

func newShown(to io.Writer) *shown {
	if terminal(to) {
		return &shown{to: to, terminal: true, every: 200 * time.Millisecond}
	}
	return &shown{to: to, every: 30 * time.Second, last: time.Now()}
}

// say shows the text, unless something was shown just before.
func (s *shown) say(text func() string) {
	now := time.Now()
	if now.Sub(s.last) < s.every {
		return
	}
	s.last = now
	if s.terminal {
		fmt.Fprintf(s.to, "\r\x1b[K%s", text()) // ECMA-48: erase to the end of the line
		s.open = true
		return
	}
	fmt.Fprintln(s.to, text())
}

// end leaves the line on the terminal.
func (s *shown) end() {
	if s.open {
		fmt.Fprintln(s.to)
		s.open = false
	}
}

// terminal reports whether somebody watches.
func terminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// counted counts the bytes that are read, of a file of a known size.
type counted struct {
	in   io.Reader
	size int64 // 0 where it is not known
	read atomic.Int64
}

// countedFile counts what is read of a file.
func countedFile(file *os.File) *counted {
	c := &counted{in: file}
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
		c.size = info.Size()
	}
	return c
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.read.Add(int64(n))
	return n, err
}

// left says what share was read in a time, and about how long the rest takes; ""
// where the size is not known.
func (c *counted) left(took time.Duration) string {
	read := c.read.Load()
	if c.size == 0 || read == 0 {
		return ""
	}
	share := min(float64(read)/float64(c.size), 1)
	rest := time.Duration(float64(took) * (1 - share) / share)
	return fmt.Sprintf(", %.0f %%, about %s left", 100*share, rest.Round(time.Second))
}
