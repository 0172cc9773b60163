package jobs_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/jobs"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
	"github.com/wanbi/wanbi/internal/testkit/clock"
	"github.com/wanbi/wanbi/internal/testkit/fixture"
	"github.com/wanbi/wanbi/internal/testkit/postgres"
)

func TestMain(m *testing.M) { os.Exit(postgres.Main(m)) }

// lease is how long a claimed job is somebody's.
const lease = 30 * time.Second

// node is one process with a queue on a database.
type node struct {
	*jobs.Queue
	clock *clock.Clock
	raw   *sql.DB
}

func newNode(t testing.TB, dsn string) node {
	t.Helper()
	n := node{clock: clock.New(fixture.Began), raw: fixture.Raw(t, dsn)}
	n.Queue = &jobs.Queue{DB: fixture.Open(t, dsn), Keys: fixture.Keys(t), Now: n.clock.Now, Log: slog.New(slog.DiscardHandler)}
	return n
}

func (n node) enqueue(t testing.TB, some ...jobs.New) {
	t.Helper()
	if err := n.DB.Write(t.Context(), func(tx *store.Tx) error {
		for _, one := range some {
			if one.Due.IsZero() {
				one.Due = n.clock.Now()
			}
			if one.Key == "" {
				one.Key = "key"
			}
			if err := n.Enqueue(t.Context(), tx, one); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func (n node) drain(t testing.TB) {
	t.Helper()
	if err := n.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// left gives the jobs that are not done, dead ones too.
func left(t testing.TB, n node) (alive, dead int) {
	t.Helper()
	if err := n.DB.Read(t.Context(), func(q *db.Queries) error {
		rows, err := q.DeadJobs(t.Context(), 100)
		if err != nil {
			return err
		}
		dead = len(rows)
		waiting, err := q.EarlierJobs(t.Context(), db.EarlierJobsParams{Key: "key", Kind: "x", ID: "~"})
		alive = int(waiting)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return alive, dead
}

func want(t testing.TB, n node, alive, dead int) {
	t.Helper()
	if a, d := left(t, n); a != alive || d != dead {
		t.Errorf("%d jobs wait and %d are dead, want %d and %d", a, d, alive, dead)
	}
}

type payload struct {
	To   string
	Code string
}

func TestAJobIsDoneWithWhatItWasGiven(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		n := newNode(t, fixture.Database(t, engine))
		var got []payload
		var about []jobs.Job
		n.Handle("x", func(_ context.Context, job jobs.Job) error {
			var p payload
			err := job.Read(&p)
			got, about = append(got, p), append(about, job)
			return err
		})
		n.enqueue(t, jobs.New{Kind: "x", Realm: "r", Payload: payload{"li", "123456"}})
		n.enqueue(t, jobs.New{Kind: "x", Realm: "r", Due: n.clock.Now().Add(time.Millisecond), Payload: payload{"later", ""}})
		n.drain(t)
		if len(got) != 1 || got[0] != (payload{"li", "123456"}) || about[0].Realm != "r" || about[0].Attempt != 1 || about[0].Key != "key" {
			t.Errorf("done: %v %v", got, about)
		}
		n.clock.Advance(time.Millisecond)
		n.drain(t)
		if len(got) != 2 || got[1].To != "later" {
			t.Errorf("done when due: %v", got)
		}
		want(t, n, 0, 0)
	})
}

// A payload is sealed where it lies, and one that was moved to another job is a
// dead letter and not sent.
func TestAPayloadIsSealedToItsJob(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		dsn := fixture.Database(t, engine)
		n := newNode(t, dsn)
		done := 0
		n.Handle("x", func(context.Context, jobs.Job) error { done++; return nil })
		n.enqueue(t, jobs.New{Kind: "x", ID: "one", Payload: payload{Code: "123456"}}, jobs.New{Kind: "x", ID: "two", Payload: payload{Code: "654321"}})
		raw := fixture.Raw(t, dsn)
		var stored []byte
		if err := raw.QueryRowContext(t.Context(), "SELECT payload FROM jobs WHERE id = 'one'").Scan(&stored); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(stored), "123456") {
			t.Error("the code can be read in the table (T15)")
		}
		if _, err := raw.ExecContext(t.Context(), "UPDATE jobs SET payload = $1 WHERE id = 'two'", stored); err != nil {
			t.Fatal(err)
		}
		n.drain(t)
		if done != 1 {
			t.Errorf("%d jobs were done, want the one that was not touched", done)
		}
		want(t, n, 0, 1)
	})
}

func TestAFixedIDHappensOnce(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		n := newNode(t, fixture.Database(t, engine))
		done := 0
		n.Handle("x", func(context.Context, jobs.Job) error { done++; return nil })
		for range 3 {
			n.enqueue(t, jobs.New{Kind: "x", ID: "fixed"})
		}
		n.drain(t)
		if done != 1 {
			t.Errorf("done %d times", done)
		}
	})
}

func TestWhatWasRolledBackIsNotDone(t *testing.T) { // T28: no message about a rolled-back code
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		n := newNode(t, fixture.Database(t, engine))
		n.Handle("x", func(context.Context, jobs.Job) error { t.Error("done"); return nil })
		back := errors.New("back")
		if err := n.DB.Write(t.Context(), func(tx *store.Tx) error {
			return errors.Join(n.Enqueue(t.Context(), tx, jobs.New{Key: "key", Kind: "x", Due: n.clock.Now()}), back)
		}); !errors.Is(err, back) {
			t.Fatal(err)
		}
		n.drain(t)
	})
}

// The waits double from 2 seconds to 4 hours; after 16 attempts the job is dead.
func TestRetriesBackOffAndEnd(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		n := newNode(t, fixture.Database(t, engine))
		attempts := 0
		n.Handle("x", func(_ context.Context, job jobs.Job) error {
			if attempts++; job.Attempt != attempts {
				t.Errorf("attempt %d says that it is number %d", attempts, job.Attempt)
			}
			return recovery.Unavailable("error.delivery.unavailable", 0)
		})
		var buried []int
		n.Buried("x", func(_ context.Context, job jobs.Job) error { buried = append(buried, job.Attempt); return nil })
		n.enqueue(t, jobs.New{Kind: "x"})
		n.drain(t)
		for attempt := 1; attempt < 16; attempt++ {
			if attempts != attempt {
				t.Fatalf("%d attempts, want %d", attempts, attempt)
			}
			wait := min(time.Second<<attempt, 4*time.Hour)
			n.clock.Advance(wait - time.Millisecond)
			n.drain(t)
			if attempts != attempt {
				t.Fatalf("attempt %d came a millisecond before %s were over", attempts, wait)
			}
			want(t, n, 1, 0)
			n.clock.Advance(time.Millisecond)
			n.drain(t)
		}
		if attempts != 16 || len(buried) != 1 || buried[0] != 16 {
			t.Errorf("%d attempts, buried at %v", attempts, buried)
		}
		want(t, n, 0, 1)
		n.clock.Advance(1000 * time.Hour)
		n.drain(t)
		if attempts != 16 {
			t.Error("a dead letter was tried again")
		}
		_ = n.DB.Read(t.Context(), func(q *db.Queries) error {
			dead, err := q.DeadJobs(t.Context(), 1)
			if err != nil || dead[0].LastError != "error.delivery.unavailable" {
				t.Errorf("the dead letter says %+v, %v", dead, err)
			}
			return nil
		})
	})
}

func TestAnErrorThatIsFinalBuriesAtOnce(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		for _, c := range []struct {
			err   error
			alive int
		}{
			{recovery.BadInput("error.delivery.refused"), 0},
			{recovery.Conflict("case.moved"), 0},
			{recovery.Unavailable("error.unavailable", 0), 1},
			{errors.New("anything"), 1},
			{recovery.NotFound("error.not-found"), 1},
		} {
			n := newNode(t, fixture.Database(t, engine))
			buried := 0
			n.Handle("x", func(context.Context, jobs.Job) error { return fmt.Errorf("around: %w", c.err) })
			n.Buried("x", func(context.Context, jobs.Job) error { buried++; return nil })
			n.enqueue(t, jobs.New{Kind: "x"})
			n.drain(t)
			want(t, n, c.alive, 1-c.alive)
			if buried != 1-c.alive {
				t.Errorf("%v: the consequence ran %d times", c.err, buried)
			}
		}
	})
}

func TestAPanicIsAFailedAttempt(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		n := newNode(t, fixture.Database(t, engine))
		done := 0
		n.Handle("x", func(_ context.Context, job jobs.Job) error {
			if job.Attempt == 1 {
				panic("ours")
			}
			done++
			return nil
		})
		n.enqueue(t, jobs.New{Kind: "x"})
		n.drain(t)
		want(t, n, 1, 0)
		n.clock.Advance(2 * time.Second)
		n.drain(t)
		if done != 1 {
			t.Errorf("done %d times", done)
		}
		want(t, n, 0, 0)
	})
}

func TestAKindThatNobodyHandlesWaits(t *testing.T) {
	n := newNode(t, fixture.Database(t, store.SQLite))
	n.enqueue(t, jobs.New{Kind: "x"})
	n.drain(t)
	want(t, n, 1, 0) // a newer node may know it
	n.Handle("x", func(context.Context, jobs.Job) error { return nil })
	defer func() {
		if recover() == nil {
			t.Error("a second handler replaced the first")
		}
	}()
	n.Handle("x", func(context.Context, jobs.Job) error { return nil })
}

// A consequence that fails is tried again with its job: a case must not stay with
// the server because the database was away for a moment.
func TestAConsequenceIsNotLost(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		n := newNode(t, fixture.Database(t, engine))
		tries := 0
		n.Handle("x", func(context.Context, jobs.Job) error { return recovery.BadInput("error.delivery.refused") })
		n.Buried("x", func(context.Context, jobs.Job) error {
			switch tries++; tries {
			case 1:
				return recovery.Unavailable("error.unavailable", 0)
			case 2:
				panic("ours")
			}
			return nil
		})
		n.enqueue(t, jobs.New{Kind: "x"})
		n.drain(t)
		want(t, n, 1, 0)
		n.clock.Advance(2 * time.Second)
		n.drain(t)
		want(t, n, 1, 0)
		n.clock.Advance(4 * time.Second)
		n.drain(t)
		want(t, n, 0, 1)
		if tries != 3 {
			t.Errorf("%d tries", tries)
		}
	})
}

// count counts in the database, so that an effect can be undone with its transaction.
func count(ctx context.Context, tx *store.Tx, key string) error {
	_, err := tx.Count(ctx, db.CountParams{Key: key, MinuteStart: 1})
	return err
}

func counted(t testing.TB, n node, key string) (times int64) {
	t.Helper()
	err := n.raw.QueryRowContext(t.Context(), "SELECT day_n FROM counters WHERE key = $1", key).Scan(&times)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		t.Fatal(err)
	}
	return times
}

// finishing does an effect once, with Finish in its transaction.
func finishing(n node) jobs.Handler {
	return func(ctx context.Context, job jobs.Job) error {
		return n.DB.Write(ctx, func(tx *store.Tx) error {
			if err := count(ctx, tx, job.ID); err != nil {
				return err
			}
			return n.Finish(ctx, tx, job)
		})
	}
}
