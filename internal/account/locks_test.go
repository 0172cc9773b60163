package account_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/directory"
	"github.com/wanbi/wanbi/internal/jobs"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/testkit/fixture"
)

// told collects what the host and the owner are told.
type told struct {
	events  []account.Event
	notices []account.Notice
}

func (h host) collect() *told {
	out := &told{}
	h.Queue.Handle(account.EventJob, func(_ context.Context, job jobs.Job) error {
		e, err := account.ReadEvent(job)
		out.events = append(out.events, e)
		return err
	})
	h.Queue.Handle(account.NoticeJob, func(_ context.Context, job jobs.Job) error {
		var n account.Notice
		err := job.Read(&n)
		out.notices = append(out.notices, n)
		return err
	})
	return out
}

func (h host) drain() {
	h.t.Helper()
	if err := h.Queue.Drain(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
}

func TestAHostSetsSomeReasonsAndClearsAll(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		for reason, c := range map[recovery.LockReason]struct{ sets, clears bool }{
			recovery.LockDormant:         {true, true},
			recovery.LockRiskAlarm:       {true, true},
			recovery.LockViolation:       {true, true},
			recovery.LockDisavowed:       {false, true},
			recovery.LockTooManyFailures: {false, true},
			"":                           {false, false},
			"no-such-reason":             {false, false},
		} {
			h := withPassword(t, engine)
			out := h.collect()
			h.drain()
			out.events = nil
			err := h.Accounts.SetLock(t.Context(), h.Realm, "li", reason, true)
			if (err == nil) != c.sets || (err != nil && !recovery.IsKind(err, recovery.KindBadInput)) {
				t.Errorf("set %q: %v", reason, err)
			}
			if _, holds := h.locks("li")[reason]; holds != c.sets {
				t.Errorf("%q holds: %v", reason, holds)
			}
			err = h.Accounts.SetLock(t.Context(), h.Realm, "li", reason, false)
			if (err == nil) != c.clears {
				t.Errorf("clear %q: %v", reason, err)
			}
			if len(h.locks("li")) != 0 {
				t.Errorf("%q still holds", reason)
			}
			h.drain()
			var types []string
			for _, e := range out.events {
				types = append(types, e.Type+" "+e.Reason)
			}
			want := []string{account.EventAccountLocked + " " + string(reason), account.EventAccountUnlocked + " " + string(reason)}
			if c.sets && !slices.Equal(types, want) || !c.sets && len(types) != 0 {
				t.Errorf("%q: the host is told %v", reason, types)
			}
		}
		h := newHost(t, engine)
		if err := h.Accounts.SetLock(t.Context(), h.Realm, "nobody", recovery.LockViolation, true); !recovery.IsKind(err, recovery.KindNotFound) {
			t.Errorf("an account that is not there: %v", err)
		}
	})
}

// One reason does not clear another: a reset clears too many failures only (T10).
func TestUnlockingClearsWhatItNames(t *testing.T) {
	h := withPassword(t, store.SQLite)
	for _, reason := range []recovery.LockReason{recovery.LockDormant, recovery.LockRiskAlarm, recovery.LockViolation} {
		h.setLock("li", reason, true)
	}
	h.fail(5)
	h.setLock("li", recovery.LockRiskAlarm, false)
	locks := h.locks("li")
	if _, risk := locks[recovery.LockRiskAlarm]; len(locks) != 3 || risk {
		t.Errorf("%v", locks)
	}
	h.setLock("li", recovery.LockTooManyFailures, false)
	if locks := h.locks("li"); len(locks) != 2 {
		t.Errorf("%v", locks)
	}
	before := len(h.entries("li"))
	h.setLock("li", recovery.LockRiskAlarm, false) // not set any more
	if len(h.entries("li")) != before {
		t.Error("clearing what does not hold left an entry")
	}
}

// Each account's events are numbered from 1 without gaps, whoever races.
func TestEventsAreNumberedWithoutGaps(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		h := newHost(t, engine)
		out := h.collect()
		h.bring(li(), account.Record{ID: "wang", Username: "wang"})
		var all sync.WaitGroup
		for _, who := range []string{"li", "wang"} {
			for _, reason := range []recovery.LockReason{recovery.LockDormant, recovery.LockRiskAlarm, recovery.LockViolation} {
				all.Go(func() {
					for _, on := range []bool{true, false} {
						if err := h.Accounts.SetLock(t.Context(), h.Realm, who, reason, on); err != nil {
							t.Error(err)
						}
					}
				})
			}
		}
		all.Wait()
		h.drain()
		numbers := map[string][]int64{}
		seen := map[string]bool{}
		for _, e := range out.events {
			numbers[e.Account] = append(numbers[e.Account], e.Sequence)
			if seen[e.ID] || e.Realm != string(h.Realm) {
				t.Errorf("event %+v", e)
			}
			seen[e.ID] = true
		}
		for _, who := range []string{"li", "wang"} {
			slices.Sort(numbers[who])
			if !slices.Equal(numbers[who], []int64{1, 2, 3, 4, 5, 6}) {
				t.Errorf("%s: events %v", who, numbers[who])
			}
		}
	})
}

const day = 24 * time.Hour

// dormant gives the realm a policy that locks after a year and warns 30 days before.
func dormant(t testing.TB, engine store.Engine) (host, *told) {
	h := newHost(t, engine)
	out := h.collect()
	h.Policy.Lock.Dormant.After, h.Policy.Lock.Dormant.Warn = policy.Duration(365*day), policy.Duration(30*day)
	h.bring(li(), account.Record{ID: "busy", Username: "busy"})
	return h, out
}

func (h host) sweep() {
	h.t.Helper()
	if err := h.Accounts.SweepDormant(h.t.Context(), h.Realm); err != nil {
		h.t.Fatal(err)
	}
	h.drain()
}

func TestDormancyWarnsOnceAndThenLocks(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		h, out := dormant(t, engine)
		h.setPassword("busy", right)
		out.events = nil
		h.Clock.Advance(335*day - time.Millisecond)
		h.signIn(account.SignIn{Identifier: "busy", Secret: right})
		h.sweep()
		out.events = nil
		if len(out.notices) != 0 {
			t.Fatalf("warned a millisecond early: %+v", out.notices)
		}
		h.Clock.Advance(time.Millisecond)
		h.sweep()
		h.sweep()
		h.Clock.Advance(10 * day)
		h.sweep()
		if len(out.notices) != 1 || out.notices[0].Account != h.id("li") || out.notices[0].Kind != account.NoticeDormant ||
			!out.notices[0].Until.Equal(fixture.Began.Add(365*day)) {
			t.Fatalf("notices: %+v", out.notices)
		}
		h.Clock.Advance(20*day - time.Millisecond)
		h.sweep()
		if len(h.locks("li")) != 0 {
			t.Fatal("locked a millisecond early")
		}
		h.Clock.Advance(time.Millisecond)
		h.sweep()
		h.sweep()
		if _, ok := h.locks("li")[recovery.LockDormant]; !ok || len(out.events) != 1 || out.events[0].Reason != string(recovery.LockDormant) {
			t.Fatalf("locks %v, events %+v", h.locks("li"), out.events)
		}
		if len(h.locks("busy")) != 0 || len(out.notices) != 1 {
			t.Error("who signs in was warned or locked")
		}
		if got := h.entries("li"); !slices.Equal(got, []string{"account.imported", "dormancy.warned", "account.locked"}) {
			t.Errorf("entries %v", got)
		}
		h.setLock("li", recovery.LockDormant, false) // the owner is back
		h.sweep()
		if len(h.locks("li")) != 0 {
			t.Error("the next sweep locked it again")
		}
		h.Clock.Advance(335 * day)
		h.sweep()
		if got := out.notices[len(out.notices)-1]; len(out.notices) < 2 || got.Account != h.id("li") && got.Account != h.id("busy") {
			t.Errorf("after another year nobody is warned: %+v", out.notices)
		}
	})
}

// A host that says the account was used resets the warning.
func TestUseElsewhereCountsForDormancy(t *testing.T) {
	h, out := dormant(t, store.SQLite)
	h.Clock.Advance(340 * day)
	h.sweep()
	record := li()
	used := h.Clock.Now().Add(-day)
	record.LastSignInAt = &used
	h.bring(record)
	h.Clock.Advance(335 * day)
	h.sweep()
	warned := 0
	for _, n := range out.notices {
		if n.Account == h.id("li") {
			warned++
		}
	}
	if warned != 2 || len(h.locks("li")) != 0 {
		t.Errorf("warned %d times, want one for each time of silence; locks %v", warned, h.locks("li"))
	}
}

func TestARealmWithoutDormancyLeavesEverybodyAlone(t *testing.T) {
	h, out := dormant(t, store.SQLite)
	h.Policy.Lock.Dormant.After = 0
	h.Clock.Advance(10_000 * day)
	h.sweep()
	if err := h.Accounts.SweepDormant(t.Context(), "no-such-realm"); err != nil {
		t.Error(err)
	}
	if len(out.notices)+len(out.events)+len(h.locks("li")) != 0 {
		t.Error("somebody was warned or locked")
	}
}

// fetched is the account as its host's own directory tells it.
func fetched(locks ...directory.Lock) directory.Account {
	return directory.Account{
		HostID: "li", Identifiers: []directory.Identifier{{Kind: recovery.IdentifierPhone, Value: liPhone}},
		Contacts: []directory.Contact{{Kind: recovery.ContactPhone, Value: liPhone}}, ResidentID: "11010519491231002x", Locks: locks,
	}
}

func (h host) fetch(accounts ...directory.Account) {
	h.t.Helper()
	if err := h.Accounts.ImportDirectory(h.t.Context(), h.Realm, accounts); err != nil {
		h.t.Fatal(err)
	}
}

func TestWhatTheDirectorySaysAgainIsNoChange(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		h := newHost(t, engine)
		out := h.collect()
		lock := directory.Lock{Reason: recovery.LockRiskAlarm, At: fixture.Began, Until: fixture.Began.Add(time.Hour).Add(123 * time.Nanosecond)}
		for range 3 {
			h.fetch(fetched(lock))
		}
		if got := h.entries("li"); !slices.Equal(got, []string{"account.imported", "account.locked"}) {
			t.Errorf("entries %v", got)
		}
		other := fetched(lock)
		other.Identifiers = append(other.Identifiers, directory.Identifier{Kind: recovery.IdentifierUsername, Value: "liwei"})
		h.fetch(other)
		other.RealName = "李伟"
		h.fetch(other)
		other.Contacts = nil
		h.fetch(other)
		records := h.records("li")
		for i, want := range []string{"identifiers_changed", "facts_changed", "contacts_removed"} {
			if len(records) != 5 || records[2+i].Data[want] != "1" {
				t.Fatalf("entry %d does not say %s: %+v", 2+i, want, records)
			}
		}
		h.drain()
		if len(out.events) != 0 {
			t.Errorf("the host is told what it said: %+v", out.events)
		}
	})
}

func TestTheDirectorysLocksAreTheTruth(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		h := newHost(t, engine)
		at := fixture.Began
		said := func(reason recovery.LockReason, until time.Time) directory.Lock {
			return directory.Lock{Reason: reason, At: at, Until: until}
		}
		for _, c := range []struct {
			what string
			said []directory.Lock
			want []recovery.LockReason
		}{
			{"nothing", nil, nil},
			{"several", []directory.Lock{said(recovery.LockViolation, time.Time{}), said(recovery.LockDormant, at.Add(time.Hour))}, []recovery.LockReason{recovery.LockDormant, recovery.LockViolation}},
			{"one of them", []directory.Lock{said(recovery.LockViolation, time.Time{})}, []recovery.LockReason{recovery.LockViolation}},
			{"one that is over", []directory.Lock{said(recovery.LockViolation, at)}, nil},
			{"a lockout with an end", []directory.Lock{said(recovery.LockTooManyFailures, at.Add(time.Hour))}, []recovery.LockReason{recovery.LockTooManyFailures}},
			{"a lockout without an end", []directory.Lock{said(recovery.LockTooManyFailures, time.Time{})}, []recovery.LockReason{recovery.LockTooManyFailures}},
			{"a reason that we do not know", []directory.Lock{said("their-own", time.Time{})}, nil},
			{"disavowed", []directory.Lock{said(recovery.LockDisavowed, time.Time{})}, []recovery.LockReason{recovery.LockDisavowed}},
			{"nothing again, but disavowed is ours to keep", nil, []recovery.LockReason{recovery.LockDisavowed}},
		} {
			h.fetch(fetched(c.said...))
			var got []recovery.LockReason
			for reason := range h.locks("li") {
				got = append(got, reason)
			}
			slices.Sort(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("%s: %v hold, want %v", c.what, got, c.want)
			}
		}
		events, _ := json.Marshal(h.entries("li"))
		want := `["account.imported","account.locked","account.locked","account.unlocked","account.unlocked","account.locked","account.unlocked","account.locked"]`
		if string(events) != want {
			t.Errorf("entries %s\nwant    %s", events, want)
		}
	})
}

func TestADirectoryThatBreaksItsContractFailsTheWhole(t *testing.T) {
	h := newHost(t, store.SQLite)
	bad := fetched()
	bad.HostID, bad.Identifiers = "bad", []directory.Identifier{{Kind: recovery.IdentifierPhone, Value: "12"}}
	err := h.Accounts.ImportDirectory(t.Context(), h.Realm, []directory.Account{fetched(), bad})
	if !recovery.IsKind(err, recovery.KindUnavailable) {
		t.Errorf("%v", err)
	}
	if len(h.find(recovery.IdentifierPhone, liPhone)) != 0 {
		t.Error("a part of the answer was taken")
	}
	if err := h.Accounts.ImportDirectory(t.Context(), "no-such-realm", nil); !recovery.IsKind(err, recovery.KindNotFound) {
		t.Errorf("an unknown realm: %v", err)
	}
}

// The resident ID of a directory is compared like any other, however it is written.
func TestADirectorysFactsAreCanonical(t *testing.T) {
	h := newHost(t, store.SQLite)
	a := fetched()
	a.LastSignInAt = fixture.Began.Add(-day)
	h.fetch(a)
	ctx, id := t.Context(), h.id("li")
	if err := h.DB.Write(ctx, func(tx *store.Tx) error {
		value, ok := h.Accounts.Reader(ctx, tx.Queries, h.Realm, id).Fact("resident-id")
		if !ok || value != "11010519491231002X" {
			t.Errorf("it is kept as %q", value)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got := h.row("li").LastSignInAt; got != store.Millis(a.LastSignInAt) {
		t.Errorf("last signed in at %d", got)
	}
}

// More dormant accounts than one transaction takes, with those that were dealt with before.
func TestASweepReachesEveryDormantAccountOnce(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		h, out := dormant(t, engine)
		const n = 450
		records := make([]account.Record, n)
		for i := range records {
			records[i] = account.Record{ID: fmt.Sprint("quiet-", i), Username: fmt.Sprint("quiet", i), LastSignInAt: ago(time.Duration(i%2) * 340 * day)}
		}
		h.bring(records...)
		h.sweep()
		if len(out.notices) != n/2 {
			t.Fatalf("%d of %d were warned", len(out.notices), n/2)
		}
		h.Clock.Advance(25 * day)
		h.sweep()
		h.sweep()
		locked := 0
		for i := range records {
			if _, ok := h.locks(records[i].ID)[recovery.LockDormant]; ok {
				locked++
			}
		}
		if locked != n/2 || len(out.notices) != n/2 || len(out.events) != n/2 {
			t.Errorf("%d locked, %d warned, %d events; want %d of each", locked, len(out.notices), len(out.events), n/2)
		}
	})
}
