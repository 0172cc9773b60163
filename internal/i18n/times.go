package i18n

import (
	"fmt"
	"time"
)

// beijing is a fixed zone: China keeps one time all year (since 1991), so no
// zone database is needed.
var beijing = time.FixedZone("Asia/Shanghai", 8*60*60)

// FormatTime writes a moment for a person, to the minute and with its zone:
// 2026年3月5日 09:00（北京时间） or 5 March 2026, 09:00 (Beijing time). Seconds
// are rounded up, so that whoever comes at the time shown is never too early.
func FormatTime(locale string, t time.Time) string {
	t = ceilMinute(t)
	if locale == English {
		return t.Format("2 January 2006, 15:04 (Beijing time)")
	}
	return t.Format("2006年1月2日 15:04（北京时间）")
}

// FormatClock writes the time of day only, for moments within the hour: 09:00.
func FormatClock(t time.Time) string { return ceilMinute(t).Format("15:04") }

func ceilMinute(t time.Time) time.Time {
	t = t.In(beijing)
	if whole := t.Truncate(time.Minute); !whole.Equal(t) {
		t = whole.Add(time.Minute)
	}
	return t
}

// FormatDuration writes a span as one number where it can, rounded up: seconds
// below a minute, minutes below an hour, hours and minutes below two days, days
// and hours above. Nothing, or less, is a moment.
func FormatDuration(locale string, d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d <= 0:
		if locale == English {
			return "a moment"
		}
		return "片刻"
	case d <= 59*time.Second:
		return count(locale, ceil(d, time.Second), "秒", "second")
	case d <= 59*time.Minute:
		return count(locale, ceil(d, time.Minute), "分钟", "minute")
	case d <= 2*day-time.Minute:
		minutes := ceil(d, time.Minute)
		return both(locale, minutes/60, "小时", "hour", minutes%60, "分钟", "minute")
	default:
		hours := ceil(d, time.Hour)
		return both(locale, hours/24, "天", "day", hours%24, "小时", "hour")
	}
}

func ceil(d, unit time.Duration) int64 { return int64((d + unit - 1) / unit) }

func both(locale string, n int64, zh, en string, rest int64, zhRest, enRest string) string {
	out := count(locale, n, zh, en)
	if rest > 0 {
		out += " " + count(locale, rest, zhRest, enRest)
	}
	return out
}

func count(locale string, n int64, zh, en string) string {
	if locale != English {
		return fmt.Sprintf("%d %s", n, zh)
	}
	if n == 1 {
		return "1 " + en
	}
	return fmt.Sprintf("%d %ss", n, en)
}
