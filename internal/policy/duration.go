package policy

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// Duration is a span of time as policies write it: 60s, 30m, 24h, 7d, or a sum
// such as 1d12h, largest unit first. A day is 24 hours. Never negative.
type Duration time.Duration

const day = 24 * time.Hour

// durationForm bounds the digits, so that no number overflows an int.
var durationForm = regexp.MustCompile(`^(?:(\d{1,5})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?$`)

// ParseDuration reads the form above. More than 100 years is an error, well
// before a time.Duration overflows (292 years).
func ParseDuration(text string) (Duration, error) {
	parts := durationForm.FindStringSubmatch(text)
	if text == "" || parts == nil {
		return 0, fmt.Errorf("%q is no duration: write 60s, 30m, 24h or 7d", text)
	}
	const longest = 100 * 365 * day
	var total time.Duration
	for i, unit := range []time.Duration{day, time.Hour, time.Minute, time.Second} {
		if parts[i+1] == "" {
			continue
		}
		n, err := strconv.Atoi(parts[i+1])
		if err != nil {
			return 0, fmt.Errorf("%q is no duration: %w", text, err)
		}
		if time.Duration(n) > (longest-total)/unit {
			return 0, fmt.Errorf("%q is longer than 100 years", text)
		}
		total += time.Duration(n) * unit
	}
	return Duration(total), nil
}

// Std gives the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String writes the shortest form, days first; what is below a second is dropped.
func (d Duration) String() string {
	t := time.Duration(d)
	var out string
	for _, unit := range []struct {
		span time.Duration
		name string
	}{{day, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if n := t / unit.span; n > 0 {
			out, t = out+strconv.FormatInt(int64(n), 10)+unit.name, t%unit.span
		}
	}
	if out == "" {
		return "0s"
	}
	return out
}
