package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"
)

func TestProgressIsNotShownOftenerThanItIsRead(t *testing.T) {
	var log bytes.Buffer
	s := newShown(&log)
	s.say(func() string { return "too early" })
	s.last = s.last.Add(-31 * time.Second)
	for range 3 {
		s.say(func() string { return "half a minute later" })
	}
	s.end()
	if got := log.String(); got != "half a minute later\n" {
		t.Errorf("a log has %q", got)
	}
	var screen bytes.Buffer
	s = &shown{to: &screen, terminal: true}
	s.say(func() string { return "1 of 2" })
	s.say(func() string { return "2 of 2" })
	s.end()
	s.end()
	if got := screen.String(); got != "\r\x1b[K1 of 2\r\x1b[K2 of 2\n" {
		t.Errorf("a terminal has %q", got)
	}
}

func TestTheTimeLeftFollowsFromTheShareThatWasRead(t *testing.T) {
	for name, c := range map[string]struct {
		size int64
		want string
	}{
		"a quarter":           {400, ", 25 %, about 30s left"},
		"all":                 {100, ", 100 %, about 0s left"},
		"grown while read":    {50, ", 100 %, about 0s left"},
		"of a size not known": {0, ""},
	} {
		in := &counted{in: strings.NewReader(strings.Repeat("x", 100)), size: c.size}
		if got := in.left(10 * time.Second); got != "" {
			t.Errorf("%s: before anything is read it says %q", name, got)
		}
		if _, err := io.Copy(io.Discard, in); err != nil {
			t.Fatal(err)
		}
		if got := in.left(10 * time.Second); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
