package jobs_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/jobs"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/testkit/fixture"
)

// leaseOf reads until when a job is somebody's, and how often it was taken.
func (n node) leaseOf(t testing.TB, kind string) (until, attempt int64) {
	t.Helper()
	if err := n.raw.QueryRowContext(t.Context(), `SELECT lease_until, attempt FROM jobs WHERE kind = $1`, kind).Scan(&until, &attempt); err != nil {
		t.Fatal(err)
	}
	return until, attempt
}

// Where a runner runs, what is due is written with its lease and begun after the
// commit. Until it is done others leave it alone, and when the lease has run out
// they do it.
func TestAJobIsBornWithALease(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		dsn := fixture.Database(t, engine)
		n, other := newNode(t, dsn), newNode(t, dsn)
		begun, release := make(chan jobs.Job), make(chan struct{})
		n.Handle("x", func(_ context.Context, job jobs.Job) error {
			begun <- job
			<-release
			return nil
		})
		done := 0
		other.Handle("x", func(context.Context, jobs.Job) error { done++; return nil })
		stop, ended := n.running(t)
		back := errors.New("back")
		if err := n.DB.Write(t.Context(), func(tx *store.Tx) error {
			return errors.Join(n.Enqueue(t.Context(), tx, jobs.New{Key: "key", Kind: "x", Due: n.clock.Now()}), back)
		}); !errors.Is(err, back) {
			t.Fatal(err)
		}
		n.enqueue(t, jobs.New{Kind: "x", Payload: payload{To: "li"}})
		job := <-begun
		var p payload
		if err := job.Read(&p); err != nil || p.To != "li" { // the other was not committed
			t.Errorf("began %+v, %v", p, err)
		}
		until, attempt := n.leaseOf(t, "x")
		if until != store.Millis(n.clock.Now().Add(lease)) || attempt != 1 || job.Attempt != 1 {
			t.Errorf("until %d, attempt %d and %d", until, attempt, job.Attempt)
		}
		other.clock.Set(n.clock.Now().Add(lease - time.Millisecond))
		other.drain(t)
		if done != 0 {
			t.Error("another did it within the lease")
		}
		other.clock.Advance(time.Millisecond)
		other.drain(t)
		if done != 1 {
			t.Errorf("after the lease another did it %d times", done)
		}
		close(release)
		stop()
		<-ended
		want(t, n, 0, 0)
	})
}

// What a runner was handed and has not begun when it stops is anybody's at once.
func TestARunnerThatStopsGivesBackWhatItHasNotBegun(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		dsn := fixture.Database(t, engine)
		n, other := newNode(t, dsn), newNode(t, dsn)
		n.Workers = 1
		begun, release := make(chan jobs.Job), make(chan struct{})
		n.Handle("x", func(_ context.Context, job jobs.Job) error {
			begun <- job
			<-release
			return nil
		})
		var did []string
		other.Handle("x", func(_ context.Context, job jobs.Job) error { did = append(did, job.ID); return nil })
		stop, ended := n.running(t)
		n.enqueue(t, jobs.New{Kind: "x"})
		first := <-begun
		n.enqueue(t, jobs.New{Kind: "x"}, jobs.New{Kind: "x"}) // the only worker is busy
		stop()
		for free, deadline := 0, time.Now().Add(time.Minute); free < 2; {
			if time.Now().After(deadline) {
				t.Fatal("it keeps what it has not begun")
			}
			if err := n.raw.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM jobs WHERE lease_until = 0`).Scan(&free); err != nil {
				t.Fatal(err)
			}
		}
		close(release)
		<-ended
		other.drain(t) // no time has passed
		want(t, n, 0, 0)
		if len(did) != 2 || did[0] == first.ID || did[1] == first.ID {
			t.Errorf("the first was %s, another did %v", first.ID, did)
		}
	})
}

// running runs the node, and waits until it does: from then on it takes jobs.
func (n node) running(t testing.TB) (stop func(), ended <-chan struct{}) {
	t.Helper()
	started := make(chan struct{})
	n.Handle("start", func(context.Context, jobs.Job) error { close(started); return nil })
	n.enqueue(t, jobs.New{Kind: "start"})
	ctx, cancel := context.WithCancel(t.Context())
	end := make(chan struct{})
	go func() { defer close(end); n.Run(ctx) }()
	<-started
	return cancel, end
}
