package i18n

import (
	"strings"
	"testing"
	"time"
)

func TestTFillsPlaceholders(t *testing.T) {
	for _, c := range []struct {
		locale, key string
		args        map[string]any
		want        string
	}{
		{Chinese, "secret.too-short", map[string]any{"min": 8}, "密码太短，至少要 8 个字符"},
		{English, "secret.too-short", map[string]any{"min": 8, "ignored": 1}, "This password is too short. Use at least 8 characters"},
		{"de", "language.name", nil, "中文"},
		{
			English, "page.unlock.until",
			map[string]any{"until": time.Date(2026, 3, 5, 1, 0, 0, 0, time.UTC)},
			"Ends by itself on 5 March 2026, 09:00 (Beijing time)",
		},
		{Chinese, "page.ways.hold.some", map[string]any{"hold": 24 * time.Hour}, "等待 24 小时"},
	} {
		if got := T(c.locale, c.key, c.args); got != c.want {
			t.Errorf("T(%s, %s) = %q, want %q", c.locale, c.key, got, c.want)
		}
	}
}

func TestValuesAreNotReadAsPlaceholders(t *testing.T) {
	got := T(English, "page.prove.to-typed", map[string]any{"identifier": "{identifier}{retry}"})
	if got != "It goes to {identifier}{retry}." {
		t.Errorf("a value was expanded: %q", got)
	}
}

func TestMistakesOfOursPanicInTests(t *testing.T) {
	for name, call := range map[string]func(){
		"key":         func() { T(Chinese, "page.nowhere", nil) },
		"placeholder": func() { T(Chinese, "secret.too-short", nil) },
		"problem":     func() { Problem(Chinese, "error.nowhere", nil, 0) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a missing %s does not panic", name)
				}
			}()
			call()
		}()
	}
}

func TestProblemSaysWhenToRetry(t *testing.T) {
	got := Problem(Chinese, "error.limited", nil, 90*time.Second)
	if want := "试得太频繁，2 分钟后再试；在这之前，正确的也不会通过"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := Problem(English, "error.code.form", map[string]any{"digits": 6}, 0); !strings.Contains(got, "6 digits") {
		t.Errorf("got %q", got)
	}
}

func TestMessageKeepsTheBoundLineLast(t *testing.T) {
	args := map[string]any{
		"realm": Both{Chinese: "一窗通", English: "One Window"}, "code": "123456", "minutes": 5, "purpose": "重设密码", "host": "wanbi.example",
	}
	lines := strings.Split(Message(Chinese, "sms.code", args), "\n")
	if len(lines) != 3 || lines[2] != "@wanbi.example #123456" {
		t.Fatalf("lines = %q", lines)
	}
	if !strings.HasPrefix(lines[0], "【一窗通】") || !strings.HasPrefix(lines[1], "One Window code 123456") {
		t.Errorf("a line is not in its language: %q", lines)
	}
	for _, want := range []string{"123456", "重设密码", "5 分钟", "不要告诉任何人"} {
		if !strings.Contains(lines[0], want) {
			t.Errorf("first line lacks %q: %q", want, lines[0])
		}
	}
}

func TestMailsCarryTheFraudLineAndOneOtherLine(t *testing.T) {
	args := map[string]any{"realm": "R", "ref": "K7", "at": "T", "until": "U", "link": "L", "what": "W"}
	for _, kind := range []string{"started", "held", "changed", "completed", "cancelled", "disavowed"} {
		text := Message(English, "mail.notice."+kind+".text", args)
		if !strings.Contains(text, T(English, "fraud.line", nil)) {
			t.Errorf("%s has no fraud line", kind)
		}
		if !strings.HasSuffix(text, T(Chinese, "mail.notice.other-language", args)) {
			t.Errorf("%s does not end in one Chinese line", kind)
		}
		if subject := Message(English, "mail.notice."+kind+".subject", args); strings.Contains(subject, "\n") {
			t.Errorf("%s has a subject of two lines", kind)
		}
	}
}

func TestMatch(t *testing.T) {
	for header, want := range map[string]string{
		"":                           "",
		";;;":                        "",
		"zh-CN,zh;q=0.9,en;q=0.8":    Chinese,
		"zh-TW":                      Chinese,
		"zh":                         Chinese,
		"en-GB,en;q=0.9":             English,
		"en;q=0.3, zh-Hans-CN;q=0.9": Chinese,
		"de, fr;q=0.5":               English,
	} {
		if got := Match(header); got != want {
			t.Errorf("Match(%q) = %q, want %q", header, got, want)
		}
	}
}

func TestFormatTime(t *testing.T) {
	whole := time.Date(2026, 3, 5, 1, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		at     time.Time
		zh, en string
	}{
		{whole, "2026年3月5日 09:00（北京时间）", "5 March 2026, 09:00 (Beijing time)"},
		{whole.Add(time.Millisecond), "2026年3月5日 09:01（北京时间）", "5 March 2026, 09:01 (Beijing time)"},
		{whole.Add(-time.Millisecond), "2026年3月5日 09:00（北京时间）", "5 March 2026, 09:00 (Beijing time)"},
		{time.Date(2026, 12, 31, 16, 0, 0, 0, time.UTC), "2027年1月1日 00:00（北京时间）", "1 January 2027, 00:00 (Beijing time)"},
	} {
		if got := FormatTime(Chinese, c.at); got != c.zh {
			t.Errorf("zh: %q, want %q", got, c.zh)
		}
		if got := FormatTime(English, c.at); got != c.en {
			t.Errorf("en: %q, want %q", got, c.en)
		}
	}
	if got := FormatClock(whole.Add(time.Second)); got != "09:01" {
		t.Errorf("clock %q, want 09:01", got)
	}
}

func TestFormatDuration(t *testing.T) {
	for _, c := range []struct {
		d      time.Duration
		zh, en string
	}{
		{-time.Second, "片刻", "a moment"},
		{0, "片刻", "a moment"},
		{time.Millisecond, "1 秒", "1 second"},
		{59 * time.Second, "59 秒", "59 seconds"},
		{59*time.Second + time.Millisecond, "1 分钟", "1 minute"},
		{time.Minute, "1 分钟", "1 minute"},
		{time.Minute + time.Millisecond, "2 分钟", "2 minutes"},
		{59 * time.Minute, "59 分钟", "59 minutes"},
		{59*time.Minute + time.Second, "1 小时", "1 hour"},
		{90 * time.Minute, "1 小时 30 分钟", "1 hour 30 minutes"},
		{24 * time.Hour, "24 小时", "24 hours"},
		{48*time.Hour - time.Minute, "47 小时 59 分钟", "47 hours 59 minutes"},
		{48*time.Hour - time.Second, "2 天", "2 days"},
		{48 * time.Hour, "2 天", "2 days"},
		{72*time.Hour + time.Minute, "3 天 1 小时", "3 days 1 hour"},
		{7 * 24 * time.Hour, "7 天", "7 days"},
	} {
		if got := FormatDuration(Chinese, c.d); got != c.zh {
			t.Errorf("zh %v: %q, want %q", c.d, got, c.zh)
		}
		if got := FormatDuration(English, c.d); got != c.en {
			t.Errorf("en %v: %q, want %q", c.d, got, c.en)
		}
	}
}

func TestList(t *testing.T) {
	for _, c := range []struct {
		items  []string
		zh, en string
	}{
		{nil, "", ""},
		{[]string{"a"}, "a", "a"},
		{[]string{"a", "b"}, "a或b", "a or b"},
		{[]string{"a", "b", "c"}, "a、b或c", "a, b or c"},
	} {
		if got := List(Chinese, c.items); got != c.zh {
			t.Errorf("zh %q", got)
		}
		if got := List(English, c.items); got != c.en {
			t.Errorf("en %q", got)
		}
	}
}
