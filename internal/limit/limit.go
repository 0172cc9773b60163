// Package limit answers yes, no or wait: from counts that storage kept and the
// time that it is.
//
// Counting and deciding are apart on purpose. Storage adds the try in one
// statement before anything is compared, so that parallel tries are each
// counted (T5); this package only reads the result and therefore needs no lock
// and no clock.
//
// Trust: an attacker who can make storage forget counts has no limits; nothing
// here would notice.
package limit

import (
	"hash/fnv"
	"net/netip"
	"time"
)

// Counts is one key's three fixed windows as they stand after the try that is
// being decided was added. A window begins at the first try after the last one
// ended and holds tries from Start up to and not including Start plus its length.
type Counts struct {
	MinuteStart, HourStart, DayStart time.Time
	Minute, Hour, Day                int64
}

// The lengths of the windows.
const (
	Minute = time.Minute
	Hour   = time.Hour
	Day    = 24 * time.Hour
)

// Rule says how many tries a window allows. Zero means no limit in that window.
type Rule struct {
	PerMinute, PerHour, PerDay int64
}

// Verdict is the answer. RetryAfter is positive exactly when Allowed is false.
type Verdict struct {
	Allowed    bool
	RetryAfter time.Duration
}

// Decide allows the try while no window counts more than its limit. Otherwise
// RetryAfter lasts until every violated window is over: the end of the longest,
// except where a shorter one began so late that it ends after it. A window that
// is over at now does not count, whatever it holds; one that begins after now
// does, so that a clock that steps back gives no tries away.
func (r Rule) Decide(c Counts, now time.Time) Verdict {
	verdict := Verdict{Allowed: true}
	for _, w := range []struct {
		start        time.Time
		length       time.Duration
		count, limit int64
	}{
		{c.DayStart, Day, c.Day, r.PerDay},
		{c.HourStart, Hour, c.Hour, r.PerHour},
		{c.MinuteStart, Minute, c.Minute, r.PerMinute},
	} {
		left := w.start.Add(w.length).Sub(now)
		if w.limit == 0 || w.count <= w.limit || left <= 0 {
			continue
		}
		verdict.Allowed = false
		verdict.RetryAfter = max(verdict.RetryAfter, left)
	}
	return verdict
}

// The prefix lengths that stand for one network: what one subscriber is
// commonly given.
const (
	bitsIPv4 = 24
	bitsIPv6 = 48
)

// Network names the network that an address is counted under: 203.0.113.0/24
// or 2001:db8:1::/48. An IPv4 address inside IPv6 counts as IPv4, zones are
// dropped, and all invalid addresses share the name "unknown", so that hiding
// an address wins nothing.
func Network(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	bits := bitsIPv6
	if addr.Is4() {
		bits = bitsIPv4
	}
	prefix, err := addr.Prefix(bits)
	if err != nil || !addr.IsValid() {
		return "unknown"
	}
	return prefix.String()
}

// Bucket gives the shard, 0 to n−1, that seed counts in. A global counter is
// split into n rows so that its tries do not queue for one. The same seed gives
// the same bucket for ever; n below 2 gives 0.
func Bucket(seed string, n int) int {
	if n < 2 {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(seed))
	sum := h.Sum64()
	// FNV's low bits follow the last bytes closely; fold the high ones in.
	sum ^= sum >> 32
	return int(sum % uint64(n))
}
