package policy

import (
	"testing"
	"time"
)

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0s": 0, "60s": time.Minute, "30m": 30 * time.Minute, "24h": day, "7d": 7 * day,
		"1d12h": 36 * time.Hour, "1d2h3m4s": day + 2*time.Hour + 3*time.Minute + 4*time.Second,
		"90m": 90 * time.Minute, "36500d": 36500 * day,
	} {
		if got, err := ParseDuration(text); err != nil || got.Std() != want {
			t.Errorf("%s: %s %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "5", "-1h", "+1h", "1w", "1.5h", "1h1d", "1 h", "1H", "ms", "10ms", "d", "h", " 1h", "1h ", "1h\n",
		"36500d1s", "99999d999999h", "999999999999999999h", "100000d", "一天",
	} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q gives %s", text, got)
		}
	}
}

func TestDurationsReadBackAsWritten(t *testing.T) {
	for text, want := range map[string]string{
		"0s": "0s", "0d": "0s", "60s": "1m", "90m": "1h30m", "24h": "1d", "36h": "1d12h", "7d": "7d", "23h59m59s": "23h59m59s",
	} {
		d, err := ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		if d.String() != want {
			t.Errorf("%s: %s, want %s", text, d, want)
		}
		if again, err := ParseDuration(d.String()); err != nil || again != d {
			t.Errorf("%s does not read back: %s %v", text, again, err)
		}
	}
}
