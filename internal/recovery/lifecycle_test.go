package recovery

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// events are all events of the table, each once.
func events() []Event {
	var out []Event
	for _, m := range Lifecycle {
		if !slices.Contains(out, m.Event) {
			out = append(out, m.Event)
		}
	}
	return out
}

func TestMovesGoBetweenKnownStatesAndNoneTwice(t *testing.T) {
	type cause struct {
		from  State
		event Event
	}
	seen := map[cause]bool{}
	for _, m := range Lifecycle {
		if !slices.Contains(States, m.From) || !slices.Contains(States, m.To) {
			t.Errorf("%v goes between states that are not listed", m)
		}
		if m.From.Closed() {
			t.Errorf("%v moves a closed case", m)
		}
		if m.Note == "" {
			t.Errorf("%v has no note for docs/lifecycle.md", m)
		}
		if seen[cause{m.From, m.Event}] {
			t.Errorf("%s from %s is there twice: which one counts?", m.Event, m.From)
		}
		seen[cause{m.From, m.Event}] = true
	}
}

// Every state can be reached from the first, and from every state that is not
// closed some closed one can: no case hangs for ever.
func TestEveryStateIsReachedAndCanEnd(t *testing.T) {
	reach := func(from State) map[State]bool {
		found, todo := map[State]bool{}, []State{from}
		for len(todo) > 0 {
			s := todo[0]
			todo = todo[1:]
			for _, m := range Lifecycle {
				if m.From == s && !found[m.To] {
					found[m.To] = true
					todo = append(todo, m.To)
				}
			}
		}
		return found
	}
	fromOpen := reach(StateOpen)
	for _, s := range States {
		if s != StateOpen && !fromOpen[s] {
			t.Errorf("%s is never reached", s)
		}
		if s.Closed() {
			continue
		}
		if !slices.ContainsFunc(States, func(end State) bool { return end.Closed() && reach(s)[end] }) {
			t.Errorf("%s never ends", s)
		}
	}
}

func TestRandomEventsNeverMoveAClosedCase(t *testing.T) {
	all := events()
	rapid.Check(t, func(t *rapid.T) {
		state := rapid.SampledFrom(States).Draw(t, "begin")
		for _, event := range rapid.SliceOfN(rapid.SampledFrom(all), 1, 40).Draw(t, "events") {
			next, err := Next(state, event)
			inTable := slices.ContainsFunc(Lifecycle, func(m Move) bool { return m.From == state && m.Event == event && m.To == next })
			switch {
			case err == nil && state.Closed():
				t.Fatalf("%s moved the closed case from %s to %s", event, state, next)
			case err == nil && !inTable:
				t.Fatalf("%s from %s led to %s, which the table does not have", event, state, next)
			case err != nil && (!IsKind(err, KindConflict) || next != ""):
				t.Fatalf("%s from %s: state %q and error %v, want no state and a conflict", event, state, next, err)
			}
			if err == nil {
				state = next
			}
		}
	})
}

func TestAnEventThatDoesNotExistIsAConflict(t *testing.T) {
	for _, s := range States {
		if next, err := Next(s, "no.such.event"); next != "" || !IsKind(err, KindConflict) {
			t.Errorf("from %s: %q, %v", s, next, err)
		}
	}
	if _, err := Next("no-such-state", EventStopped); !IsKind(err, KindConflict) {
		t.Errorf("from a state that does not exist: %v", err)
	}
}

// Cancel wins until the host is being told (T13).
func TestStopWorksUntilApplying(t *testing.T) {
	for state, can := range map[State]bool{
		StateOpen: true, StateInReview: true, StateHeld: true,
		StateApplying: false, StateCompleted: false, StateDenied: false, StateCancelled: false, StateExpired: false,
	} {
		if next, err := Next(state, EventStopped); (err == nil) != can || (can && next != StateCancelled) {
			t.Errorf("stop from %s: %q, %v", state, next, err)
		}
	}
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestStateAtExpiresOnTheMillisecond(t *testing.T) {
	for _, s := range States {
		c := Case{State: s, ExpiresAt: noon}
		before, at := c.StateAt(noon.Add(-time.Millisecond)), c.StateAt(noon)
		runsOut := s == StateOpen || s == StateHeld
		if before != s {
			t.Errorf("%s reads as %s a millisecond before it expires", s, before)
		}
		if want := map[bool]State{true: StateExpired, false: s}[runsOut]; at != want {
			t.Errorf("%s reads as %s when it expires, want %s", s, at, want)
		}
	}
}

func TestReadyOnTheMillisecond(t *testing.T) {
	held := Case{State: StateHeld, HoldUntil: noon, ExpiresAt: noon.Add(time.Hour)}
	for name, c := range map[string]struct {
		c    Case
		at   time.Time
		want bool
	}{
		"the last instant of the hold": {held, noon.Add(-time.Millisecond), false},
		"the first after it":           {held, noon, true},
		"the last before it expires":   {held, noon.Add(time.Hour - time.Millisecond), true},
		"the first expired":            {held, noon.Add(time.Hour), false},
		"open":                         {Case{State: StateOpen, HoldUntil: noon, ExpiresAt: noon.Add(time.Hour)}, noon, false},
		"applying":                     {Case{State: StateApplying, HoldUntil: noon, ExpiresAt: noon.Add(time.Hour)}, noon, false},
		"a hold of nothing":            {Case{State: StateHeld, HoldUntil: noon, ExpiresAt: noon.Add(1)}, noon, true},
	} {
		if got := c.c.Ready(c.at); got != c.want {
			t.Errorf("%s: ready = %v", name, got)
		}
	}
}

func TestLockActiveToTheMillisecond(t *testing.T) {
	for name, c := range map[string]struct {
		lock Lock
		want bool
	}{
		"without an end":     {Lock{}, true},
		"the last instant":   {Lock{Until: noon.Add(time.Millisecond)}, true},
		"the first that not": {Lock{Until: noon}, false},
	} {
		if got := c.lock.Active(noon); got != c.want {
			t.Errorf("%s: active = %v", name, got)
		}
	}
}

// FuzzLifecycle lets random events happen to a case: it is in one state that is
// listed, moves as the table says, and never again once it is closed.
func FuzzLifecycle(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x03"), int64(0), int64(1))
	all := append(events(), "", "case.opened.twice")
	f.Fuzz(func(t *testing.T, happening []byte, holdUntil, expiresAt int64) {
		c := Case{State: StateOpen, HoldUntil: time.UnixMilli(holdUntil), ExpiresAt: time.UnixMilli(expiresAt)}
		for _, b := range happening {
			event := all[int(b)%len(all)]
			to, err := Next(c.State, event)
			listed := slices.ContainsFunc(Lifecycle, func(m Move) bool { return m.From == c.State && m.Event == event && m.To == to })
			if (err == nil) != listed {
				t.Fatalf("%q from %s gives %s, %v; in the table: %v", event, c.State, to, err, listed)
			}
			if err != nil {
				continue
			}
			if c.State.Closed() {
				t.Fatalf("%q moved a case that was %s", event, c.State)
			}
			c.State = to
			for _, at := range []int64{holdUntil - 1, holdUntil, expiresAt - 1, expiresAt} {
				now := time.UnixMilli(at)
				if state := c.StateAt(now); state != c.State && (state != StateExpired || now.Before(c.ExpiresAt)) {
					t.Fatalf("%s reads as %s at %d, with %d and %d", c.State, state, at, holdUntil, expiresAt)
				}
			}
		}
	})
}
