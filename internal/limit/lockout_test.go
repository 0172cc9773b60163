package limit

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// yichuangtong is the text's lockout: 30 minutes, then 2 hours, extended by further tries.
var yichuangtong = Lockout{
	After: 5, Within: time.Hour, For: []time.Duration{30 * time.Minute, 2 * time.Hour}, Extend: true,
}

func fail(l Lockout, s LockoutState, now time.Time, times int) LockoutState {
	for range times {
		s = l.Fail(s, now)
	}
	return s
}

func TestLockoutBeginsAtTheFifthFailure(t *testing.T) {
	s := fail(yichuangtong, LockoutState{}, noon, 4)
	if s.Locked(noon) || s.Failures != 4 {
		t.Fatalf("after four: %+v", s)
	}
	s = yichuangtong.Fail(s, noon)
	if !s.Locked(noon) || s.Level != 1 || s.Failures != 0 {
		t.Fatalf("after five: %+v", s)
	}
	end := noon.Add(30 * time.Minute)
	if !s.Locked(end.Add(-time.Millisecond)) {
		t.Error("open 1 ms early")
	}
	if s.Locked(end) {
		t.Error("still locked at the end")
	}
}

func TestLockoutWindowBoundary(t *testing.T) {
	four := fail(yichuangtong, LockoutState{}, noon, 4)
	if s := yichuangtong.Fail(four, noon.Add(time.Hour-time.Millisecond)); s.Level != 1 {
		t.Errorf("last instant of the window: %+v", s)
	}
	if s := yichuangtong.Fail(four, noon.Add(time.Hour)); s.Level != 0 || s.Failures != 1 {
		t.Errorf("first instant after it: %+v", s)
	}
	endless := Lockout{After: 5, For: yichuangtong.For}
	if s := endless.Fail(four, noon.AddDate(1, 0, 0)); s.Level != 1 {
		t.Errorf("no window, a year later: %+v", s)
	}
}

func TestLockoutGradesGrowAndStay(t *testing.T) {
	s, now := LockoutState{}, noon
	for i, want := range []time.Duration{30 * time.Minute, 2 * time.Hour, 2 * time.Hour} {
		s = fail(yichuangtong, s, now, 5)
		if got := s.Until.Sub(now); got != want {
			t.Errorf("lockout %d lasts %v, want %v", i+1, got, want)
		}
		now = s.Until
	}
}

func TestFurtherTriesExtend(t *testing.T) {
	locked := fail(yichuangtong, LockoutState{}, noon, 5)
	last := locked.Until.Add(-time.Millisecond)
	if s := yichuangtong.Fail(locked, last); s.Until != last.Add(30*time.Minute) || s.Level != 1 {
		t.Errorf("a try in the last millisecond: %+v", s)
	}
	if s := yichuangtong.Fail(locked, locked.Until); s.Locked(locked.Until) || s.Failures != 1 {
		t.Errorf("a try at the end is a new count: %+v", s)
	}
	if s := yichuangtong.Fail(locked, noon.Add(-time.Hour)); s.Until.Before(locked.Until) {
		t.Error("a clock that stepped back shortened the lockout")
	}
	still := yichuangtong
	still.Extend = false
	if s := still.Fail(locked, last); s != locked {
		t.Errorf("extended against the policy: %+v", s)
	}
}

func TestLevelIsForgottenAfterADay(t *testing.T) {
	s := fail(yichuangtong, LockoutState{}, noon, 5)
	day := s.Until.Add(24 * time.Hour)
	again := fail(yichuangtong, s, day.Add(-time.Millisecond), 5)
	if got := again.Level; got != 2 {
		t.Errorf("1 ms before a day has passed: level %d", got)
	}
	again = fail(yichuangtong, s, day, 5)
	if got := again.Level; got != 1 {
		t.Errorf("after a day: level %d", got)
	}
	// A single failure in between keeps the memory alive.
	s = yichuangtong.Fail(s, day.Add(-time.Hour))
	if again = fail(yichuangtong, s, day.Add(22*time.Hour), 5); again.Level != 2 {
		t.Errorf("23 h after another failure: level %d", again.Level)
	}
}

func TestSuccessForgets(t *testing.T) {
	s := fail(yichuangtong, LockoutState{}, noon, 4)
	if s = yichuangtong.Success(s); s != (LockoutState{}) {
		t.Errorf("%+v", s)
	}
}

func TestNoLockoutConfigured(t *testing.T) {
	for _, l := range []Lockout{{}, {After: 3}, {For: yichuangtong.For}} {
		if s := fail(l, LockoutState{}, noon, 50); s != (LockoutState{}) {
			t.Errorf("%+v locked: %+v", l, s)
		}
	}
}

// However tries are spread, at most After are checked between two lockouts
// within one window, and each lockout is at least as long as the first.
func TestLockoutNeverChecksMoreThanAllowed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, now := LockoutState{}, noon
		var checked []time.Time
		for range rapid.IntRange(1, 200).Draw(t, "tries") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(20*time.Minute)).Draw(t, "pause")))
			if !s.Locked(now) {
				checked = append(checked, now)
			}
			was := s
			s = yichuangtong.Fail(s, now)
			if s.Level > was.Level && s.Until.Sub(now) < yichuangtong.For[0] {
				t.Fatalf("lockout of %v", s.Until.Sub(now))
			}
			if s.Level > len(yichuangtong.For) || s.Failures >= yichuangtong.After {
				t.Fatalf("%+v", s)
			}
		}
		// The first lockout lasts 30 min, so within any 30 min at most two counts of five, less one.
		for i := range checked {
			n := 0
			for _, at := range checked[i:] {
				if at.Sub(checked[i]) < 30*time.Minute {
					n++
				}
			}
			if n > 2*yichuangtong.After-1 {
				t.Fatalf("%d secrets checked within 30 minutes", n)
			}
		}
	})
}
