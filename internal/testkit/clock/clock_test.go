package clock_test

import (
	"sync"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/testkit/clock"
)

var nineInBeijing = time.Date(2026, 3, 5, 9, 0, 0, 1_999_999, time.FixedZone("CST", 8*3600))

func TestClockStandsStillUntilMoved(t *testing.T) {
	c := clock.New(nineInBeijing)
	want := time.Date(2026, 3, 5, 1, 0, 0, 1_000_000, time.UTC)
	if got := c.Now(); got != want {
		t.Fatalf("Now() = %v, want %v: UTC, whole milliseconds", got, want)
	}
	if again := c.Now(); again != want {
		t.Fatalf("a second look gives %v", again)
	}
	if got := c.Advance(90 * time.Second); got != want.Add(90*time.Second) || c.Now() != got {
		t.Fatalf("Advance gave %v, Now() is %v", got, c.Now())
	}
	c.Set(nineInBeijing)
	if c.Now() != want {
		t.Fatalf("after Set, Now() = %v, want %v", c.Now(), want)
	}
}

func TestClockRefusesToAdvanceBackwards(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Fatal("Advance(-1ns) did not panic")
		}
	}()
	clock.New(nineInBeijing).Advance(-1)
}

func TestClockCountsEveryConcurrentAdvance(t *testing.T) {
	c := clock.New(nineInBeijing)
	before := c.Now()
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { c.Advance(time.Second); c.Now() })
	}
	all.Wait()
	if got := c.Now().Sub(before); got != 50*time.Second {
		t.Fatalf("50 advances of a second moved the clock by %s", got)
	}
}
