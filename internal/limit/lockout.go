package limit

import "time"

// levelMemory is how long after the last failure the next lockout is again the
// first. The policies' texts grade lockouts but do not say when the grades are
// forgotten; one day is as long as the longest counting window (Day), so an
// attacker who paces tries to stay under the grades is below the daily limit
// anyway, and an owner who mistyped on Monday starts afresh on Wednesday.
const levelMemory = 24 * time.Hour

// Lockout is a graded, temporary lock after wrong secrets. After wrong secrets
// within Within it locks for For[0], the next time for For[1], and so on; the
// last length repeats. 一窗通's text is 30 minutes, then 2 hours, and further
// tries extend. A zero After or an empty For never locks.
type Lockout struct {
	After  int
	Within time.Duration   // from the first of the failures; zero: without end
	For    []time.Duration // first lockout, second, and so on
	Extend bool            // a try while locked starts the running lockout anew
}

// LockoutState is what is stored of one account. The zero value is an account
// without failures.
type LockoutState struct {
	Failures     int       // in the running count
	FirstFailure time.Time // of the running count
	Level        int       // lockouts so far, at most len(For); the next is For[Level] or the last
	Until        time.Time // locked up to and not including; zero for never
}

// Locked reports whether secrets are refused unchecked at now.
func (s LockoutState) Locked(now time.Time) bool { return now.Before(s.Until) }

// Fail counts a wrong secret or, while locked, a further try, which is refused
// whatever it was. It gives the state to store.
func (l Lockout) Fail(s LockoutState, now time.Time) LockoutState {
	if l.After <= 0 || len(l.For) == 0 {
		return s
	}
	if s.Locked(now) {
		if l.Extend {
			s.Until = later(s.Until, now.Add(l.length(s.Level-1)))
		}
		return s
	}
	s = l.forget(s, now)
	if s.Failures == 0 || l.windowOver(s, now) {
		s.Failures, s.FirstFailure = 0, now
	}
	s.Failures++
	if s.Failures < l.After {
		return s
	}
	return LockoutState{
		Level: min(s.Level+1, len(l.For)),
		Until: now.Add(l.length(s.Level)),
	}
}

// Success is the right secret, or a recovery that clears this lock: failures
// and level are forgotten, since the owner is back (SP 800-63B-4 §3.2.2). Give
// it only what was checked while not locked, else a lock would not hold.
func (l Lockout) Success(LockoutState) LockoutState { return LockoutState{} }

// length is the lockout after level earlier ones.
func (l Lockout) length(level int) time.Duration {
	return l.For[min(max(level, 0), len(l.For)-1)]
}

func (l Lockout) windowOver(s LockoutState, now time.Time) bool {
	return l.Within > 0 && !now.Before(s.FirstFailure.Add(l.Within))
}

// forget lowers the level to zero once levelMemory passed without a failure.
// The state keeps the first failure of a count only, so the last one is taken
// to be as late as it can have been: at the end of its count's window, or of
// the lockout it caused or prolonged. The level is thus never forgotten early.
func (l Lockout) forget(s LockoutState, now time.Time) LockoutState {
	last := s.Until
	if s.Failures > 0 {
		if l.Within == 0 {
			return s // the count has no end, so its last failure may be now
		}
		last = later(last, s.FirstFailure.Add(l.Within))
	}
	if !now.Before(last.Add(levelMemory)) {
		s.Level = 0
	}
	return s
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
