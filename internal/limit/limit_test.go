package limit

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 3, 7, 12, 0, 0, 0, time.UTC)

func TestDecideCountsIncludeTheTry(t *testing.T) {
	rule := Rule{PerMinute: 1, PerHour: 5, PerDay: 10} // messages for each destination, T27
	at := func(minute, hour, day int64) Counts {
		return Counts{noon, noon.Add(-20 * time.Minute), noon.Add(-20 * time.Hour), minute, hour, day}
	}
	for _, c := range []struct {
		name   string
		counts Counts
		retry  time.Duration // zero: allowed
	}{
		{"last of every window", at(1, 5, 10), 0},
		{"one too many in the minute", at(2, 5, 10), 50 * time.Second},
		{"one too many in the hour", at(1, 6, 10), 40*time.Minute - 10*time.Second},
		{"one too many in the day", at(1, 5, 11), 4*time.Hour - 10*time.Second},
		{"the longest window decides", at(2, 6, 11), 4*time.Hour - 10*time.Second},
		{"minute and hour", at(2, 6, 10), 40*time.Minute - 10*time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := rule.Decide(c.counts, noon.Add(10*time.Second))
			if want := (Verdict{c.retry == 0, c.retry}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestDecideWaitsForTheWindowThatEndsLast(t *testing.T) {
	counts := Counts{
		HourStart: noon, Hour: 2, // ends 13:00
		DayStart: noon.Add(-23*time.Hour - 30*time.Minute), Day: 2, // ends 12:30
	}
	got := Rule{PerHour: 1, PerDay: 1}.Decide(counts, noon)
	if got.RetryAfter != time.Hour {
		t.Errorf("RetryAfter %v, want the hour's end", got.RetryAfter)
	}
}

func TestDecideWindowBoundaries(t *testing.T) {
	counts := Counts{MinuteStart: noon, HourStart: noon, DayStart: noon, Minute: 9, Hour: 9, Day: 9}
	for _, c := range []struct {
		rule   Rule
		length time.Duration
	}{{Rule{PerMinute: 1}, time.Minute}, {Rule{PerHour: 1}, time.Hour}, {Rule{PerDay: 1}, 24 * time.Hour}} {
		last := noon.Add(c.length - time.Millisecond)
		if v := c.rule.Decide(counts, last); v.Allowed || v.RetryAfter != time.Millisecond {
			t.Errorf("%v, 1 ms before the end: %+v", c.length, v)
		}
		if v := c.rule.Decide(counts, noon.Add(c.length)); !v.Allowed || v.RetryAfter != 0 {
			t.Errorf("%v, at the end: %+v", c.length, v)
		}
		if v := c.rule.Decide(counts, noon.Add(-time.Second)); v.Allowed {
			t.Errorf("%v: a clock that steps back gave a try away", c.length)
		}
	}
	if v := (Rule{}).Decide(counts, noon); !v.Allowed {
		t.Error("no limit refused")
	}
}

// Waiting as told is always enough, and a millisecond less never is.
func TestDecideRetryAfterIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := func(name string, length time.Duration) time.Time {
			return noon.Add(-time.Duration(rapid.Int64Range(0, int64(length)-1).Draw(t, name)))
		}
		count := rapid.Int64Range(0, 12)
		counts := Counts{
			start("minute", Minute), start("hour", Hour), start("day", Day),
			count.Draw(t, "m"), count.Draw(t, "h"), count.Draw(t, "d"),
		}
		limit := rapid.Int64Range(0, 10)
		rule := Rule{limit.Draw(t, "pm"), limit.Draw(t, "ph"), limit.Draw(t, "pd")}
		v := rule.Decide(counts, noon)
		if v.Allowed {
			if v.RetryAfter != 0 {
				t.Fatalf("allowed, yet wait %v", v.RetryAfter)
			}
			return
		}
		if v.RetryAfter <= 0 || v.RetryAfter > Day {
			t.Fatalf("RetryAfter %v", v.RetryAfter)
		}
		if !rule.Decide(counts, noon.Add(v.RetryAfter)).Allowed {
			t.Fatal("refused after waiting as told")
		}
		if rule.Decide(counts, noon.Add(v.RetryAfter-1)).Allowed {
			t.Fatal("waiting was longer than needed")
		}
	})
}

func TestNetwork(t *testing.T) {
	for in, want := range map[string]string{
		"203.0.113.7":          "203.0.113.0/24",
		"203.0.113.255":        "203.0.113.0/24",
		"203.0.114.0":          "203.0.114.0/24",
		"::ffff:203.0.113.7":   "203.0.113.0/24",
		"2001:db8:1:ffff::5":   "2001:db8:1::/48",
		"2001:db8:2::5":        "2001:db8:2::/48",
		"fe80::1%eth0":         "fe80::/48",
		"::1":                  "::/48",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1::/48",
	} {
		if got := Network(netip.MustParseAddr(in)); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	if got := Network(netip.Addr{}); got != "unknown" {
		t.Errorf("no address: %q", got)
	}
}

func TestBucketSpreadsAndStays(t *testing.T) {
	const n, seeds = 64, 6400
	var hits [n]int
	for i := range seeds {
		b := Bucket(fmt.Sprintf("203.0.%d.0/24", i), n)
		if b != Bucket(fmt.Sprintf("203.0.%d.0/24", i), n) {
			t.Fatal("the same seed in two buckets")
		}
		hits[b]++
	}
	for b, h := range hits {
		if h < 50 || h > 200 {
			t.Errorf("bucket %d holds %d of %d seeds", b, h, seeds)
		}
	}
	// Rows on disk are named by bucket: the mapping may not change.
	if got := Bucket("yichuangtong", 64); got != 24 {
		t.Errorf("bucket of a known seed is now %d", got)
	}
	if Bucket("a", 1) != 0 || Bucket("a", 0) != 0 || Bucket("a", -3) != 0 {
		t.Error("fewer than two buckets must be bucket 0")
	}
}
