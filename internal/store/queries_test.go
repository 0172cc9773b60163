package store_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
	"github.com/wanbi/wanbi/internal/testkit/fixture"
)

// in runs f in a transaction and gives what it gave.
func in[T any](t testing.TB, d *store.DB, f func(tx *store.Tx) (T, error)) (out T) {
	t.Helper()
	if err := d.Write(t.Context(), func(tx *store.Tx) (err error) { out, err = f(tx); return err }); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestCountWindowsEndOnTheMillisecond(t *testing.T) {
	const start = int64(1_772_326_800_000)
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		d := open(t, engine)
		for name, c := range map[string]struct {
			after             time.Duration
			minute, hour, day int64 // of the second count
		}{
			"at once":                  {0, 2, 2, 2},
			"the last of the minute":   {time.Minute - time.Millisecond, 2, 2, 2},
			"the first of the next":    {time.Minute, 1, 2, 2},
			"the last of the hour":     {time.Hour - time.Millisecond, 1, 2, 2},
			"the first of the next hr": {time.Hour, 1, 1, 2},
			"the last of the day":      {24*time.Hour - time.Millisecond, 1, 1, 2},
			"the first of the next d":  {24 * time.Hour, 1, 1, 1},
			"the clock stepped back":   {-48 * time.Hour, 2, 2, 2},
		} {
			count := func(at int64) db.CountRow {
				return in(t, d, func(tx *store.Tx) (db.CountRow, error) {
					return tx.Count(t.Context(), db.CountParams{Key: name, MinuteStart: at})
				})
			}
			first := count(start)
			got := count(start + c.after.Milliseconds())
			if first.MinuteN != 1 || first.HourN != 1 || first.DayN != 1 {
				t.Errorf("%s: the first count is %+v", name, first)
			}
			if got.MinuteN != c.minute || got.HourN != c.hour || got.DayN != c.day {
				t.Errorf("%s: %d a minute, %d an hour, %d a day; want %d, %d, %d", name, got.MinuteN, got.HourN, got.DayN, c.minute, c.hour, c.day)
			}
		}
		// A clock that stepped back does not move the windows back either, which
		// would end them sooner.
		count := func(at int64) db.CountRow {
			return in(t, d, func(tx *store.Tx) (db.CountRow, error) {
				return tx.Count(t.Context(), db.CountParams{Key: "back", MinuteStart: at})
			})
		}
		count(start)
		count(start - 3_600_000)
		if got := count(start + 59_999); got.MinuteN != 3 {
			t.Errorf("after a step back and forth %d are counted in the minute, want 3", got.MinuteN)
		}
	})
}

func TestUncountNeverGoesBelowNothing(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		ctx, d := t.Context(), open(t, engine)
		uncount := func() {
			in(t, d, func(tx *store.Tx) (struct{}, error) { return struct{}{}, tx.Uncount(ctx, "k") })
		}
		count := func() int64 {
			return in(t, d, func(tx *store.Tx) (db.CountRow, error) {
				return tx.Count(ctx, db.CountParams{Key: "k", MinuteStart: 1})
			}).MinuteN
		}
		uncount() // what was never counted
		if n := count(); n != 1 {
			t.Errorf("the first is counted as %d", n)
		}
		uncount()
		uncount()
		if n := count(); n != 1 {
			t.Errorf("after one was given back, twice, the next is counted as %d", n)
		}
		if n := count(); n != 2 {
			t.Errorf("the second is counted as %d", n)
		}
	})
}

func TestTellUnknownOnceInThirtyDays(t *testing.T) {
	const month = 30 * 24 * time.Hour
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		ctx, d := t.Context(), open(t, engine)
		tell := func(subject string, at time.Time) bool {
			return in(t, d, func(tx *store.Tx) (int64, error) {
				return tx.TellUnknown(ctx, db.TellUnknownParams{Subject: subject, Now: store.Millis(at), Before: store.Millis(at.Add(-month))})
			}) == 1
		}
		for name, c := range map[string]struct {
			after time.Duration
			want  bool
		}{
			"at once":                  {0, false},
			"the last instant before":  {month - time.Millisecond, false},
			"thirty days after":        {month, true},
			"the clock stepped back":   {-time.Hour, false},
			"stepped back for a month": {-month, false},
		} {
			if !tell(name, fixture.Began) {
				t.Errorf("%s: was not told at all", name)
			}
			if got := tell(name, fixture.Began.Add(c.after)); got != c.want {
				t.Errorf("%s: told = %v", name, got)
			}
		}
	})
}

func enqueue(ctx context.Context, tx *store.Tx, n int) error {
	for i := range n {
		if err := tx.InsertJob(ctx, db.InsertJobParams{Key: fmt.Sprint("k", i%7), ID: fmt.Sprintf("%04d", i), Kind: "x", DueAt: int64(1 + i%3), Payload: []byte("x")}); err != nil {
			return err
		}
	}
	return nil
}

func claim(t testing.TB, d *store.DB, now, lease int64, most int32) []db.ClaimJobsRow {
	t.Helper()
	var rows []db.ClaimJobsRow
	if err := d.Write(t.Context(), func(tx *store.Tx) (err error) {
		rows, err = tx.ClaimJobs(t.Context(), db.ClaimJobsParams{Lease: lease, Now: now, Most: most})
		return err
	}); err != nil {
		t.Error(err)
	}
	return rows
}

func TestEightNodesClaimEachJobOnce(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		const jobs, nodes = 300, 8
		dsn := dsnOf(t, engine)
		first := fixture.Open(t, dsn)
		if err := first.Write(t.Context(), func(tx *store.Tx) error { return enqueue(t.Context(), tx, jobs) }); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		seen := map[string]int{}
		taken := func(rows []db.ClaimJobsRow) bool {
			mu.Lock()
			defer mu.Unlock()
			for _, r := range rows {
				seen[r.Key+"/"+r.ID]++
			}
			return len(seen) == jobs
		}
		var all sync.WaitGroup
		for range nodes {
			d := fixture.Open(t, dsn)
			all.Go(func() {
				for range jobs { // a bound: a node that finds its rows taken asks again
					if t.Failed() || taken(claim(t, d, 10, 1000, 7)) {
						return
					}
				}
			})
		}
		all.Wait()
		for job, n := range seen {
			if n != 1 {
				t.Errorf("job %s was claimed %d times", job, n)
			}
		}
		if len(seen) != jobs {
			t.Errorf("%d of %d jobs were claimed", len(seen), jobs)
		}
	})
}

func TestALeaseEndsOnTheMillisecond(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		ctx, d := t.Context(), open(t, engine)
		if err := d.Write(ctx, func(tx *store.Tx) error { return enqueue(ctx, tx, 1) }); err != nil {
			t.Fatal(err)
		}
		if rows := claim(t, d, 0, 30_000, 5); len(rows) != 0 {
			t.Errorf("claimed a millisecond before it is due: %v", rows)
		}
		rows := claim(t, d, 1, 30_000, 5)
		if len(rows) != 1 || rows[0].Attempt != 1 {
			t.Fatalf("claimed %+v", rows)
		}
		if rows := claim(t, d, 29_999, 60_000, 5); len(rows) != 0 {
			t.Errorf("claimed within another's lease: %v", rows)
		}
		if rows := claim(t, d, 30_000, 60_000, 5); len(rows) != 1 || rows[0].Attempt != 2 {
			t.Errorf("when the lease ended: %+v", rows)
		}
		finish := func(attempt int64) int64 {
			return in(t, d, func(tx *store.Tx) (int64, error) {
				return tx.FinishJob(ctx, db.FinishJobParams{Key: rows[0].Key, ID: rows[0].ID, Attempt: attempt})
			})
		}
		if finish(1) != 0 || finish(2) != 1 {
			t.Error("who lost the lease can finish, or who has it cannot")
		}
	})
}

func TestTheSamePasswordFromTheHostIsTakenOnce(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		ctx, d := t.Context(), open(t, engine)
		give := func(hash string) int64 {
			return in(t, d, func(tx *store.Tx) (int64, error) {
				return tx.ImportSecret(ctx, db.ImportSecretParams{AccountID: "a", Kind: "password", Hash: hash, Imported: "of " + hash})
			})
		}
		if give("one") != 1 || give("one") != 0 || give("two") != 1 {
			t.Error("only another hash than the last is taken")
		}
	})
}
