package jobs_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wanbi/wanbi/internal/jobs"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
	"github.com/wanbi/wanbi/internal/testkit/fixture"
)

// While one node works, its lease ends and another does the job. The first then
// finds that it was taken: nothing of it happens, and the job is neither a dead
// letter nor tried again.
func TestALostLeaseChangesNothing(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		dsn := fixture.Database(t, engine)
		slow, quick := newNode(t, dsn), newNode(t, dsn)
		buried := 0
		consequence := func(context.Context, jobs.Job) error { buried++; return nil }
		slow.Buried("x", consequence)
		quick.Buried("x", consequence)
		quick.Handle("x", finishing(quick))
		var outcome error
		slow.Handle("x", func(ctx context.Context, job jobs.Job) error {
			quick.clock.Set(slow.clock.Now().Add(lease))
			quick.drain(t)
			outcome = finishing(slow)(ctx, job)
			return outcome
		})
		slow.enqueue(t, jobs.New{Kind: "x", ID: "one"})
		slow.drain(t)
		if !recovery.IsKind(outcome, recovery.KindConflict) {
			t.Errorf("who lost the lease finished: %v", outcome)
		}
		if n := counted(t, slow, "one"); n != 1 {
			t.Errorf("the effect happened %d times", n)
		}
		if buried != 0 {
			t.Error("the loser ran the consequence of a dead letter")
		}
		want(t, slow, 0, 0)
	})
}

// The same when the other node has not finished: the job stays with it.
func TestALostLeaseLeavesTheJobToItsHolder(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		for name, loser := range map[string]func(slow node) jobs.Handler{
			"finishes":        finishing,
			"gives up":        func(node) jobs.Handler { return failing(recovery.BadInput("error.delivery.refused")) },
			"asks for more":   func(node) jobs.Handler { return failing(recovery.Unavailable("error.unavailable", 0)) },
			"is simply done":  func(node) jobs.Handler { return failing(nil) },
			"runs into walls": func(node) jobs.Handler { return func(context.Context, jobs.Job) error { panic("ours") } },
		} {
			dsn := fixture.Database(t, engine)
			slow, quick := newNode(t, dsn), newNode(t, dsn)
			buried := 0
			slow.Buried("x", func(context.Context, jobs.Job) error { buried++; return nil })
			begun, release, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
			quick.Handle("x", func(ctx context.Context, job jobs.Job) error {
				close(begun)
				<-release
				return finishing(quick)(ctx, job)
			})
			slow.Handle("x", func(ctx context.Context, job jobs.Job) error {
				quick.clock.Set(slow.clock.Now().Add(lease))
				go func() {
					defer close(ended)
					if err := quick.Drain(t.Context()); err != nil {
						t.Error(err)
					}
				}()
				<-begun
				return loser(slow)(ctx, job)
			})
			slow.enqueue(t, jobs.New{Kind: "x", ID: "one"})
			slow.drain(t)
			want(t, slow, 1, 0)
			if n := counted(t, slow, "one"); n != 0 || buried != 0 {
				t.Errorf("%s: after losing the lease the effect happened %d times, the consequence %d", name, n, buried)
			}
			close(release)
			<-ended
			want(t, slow, 0, 0)
			if n := counted(t, slow, "one"); n != 1 {
				t.Errorf("%s: in all the effect happened %d times", name, n)
			}
		}
	})
}

func failing(err error) jobs.Handler { return func(context.Context, jobs.Job) error { return err } }

// A node that dies with a job leaves it to the next: at least once.
func TestAJobOfANodeThatDiedIsDoneByAnother(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		dsn := fixture.Database(t, engine)
		died, next := newNode(t, dsn), newNode(t, dsn)
		died.enqueue(t, jobs.New{Kind: "x", ID: "one"})
		if err := died.DB.Write(t.Context(), func(tx *store.Tx) error { // claims and is heard of no more
			_, err := tx.ClaimJobs(t.Context(), db.ClaimJobsParams{
				Lease: store.Millis(died.clock.Now().Add(lease)), Now: store.Millis(died.clock.Now()), Most: 1,
			})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		next.Handle("x", finishing(next))
		next.clock.Advance(lease - time.Millisecond)
		next.drain(t)
		if n := counted(t, next, "one"); n != 0 {
			t.Error("it was done within the lease of the other")
		}
		next.clock.Advance(time.Millisecond)
		next.drain(t)
		if n := counted(t, next, "one"); n != 1 {
			t.Errorf("it was done %d times", n)
		}
	})
}

// A thousand jobs over two nodes: each is done, and each effect happens once.
func TestAThousandJobsOverTwoNodes(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		const many = 1000
		dsn := fixture.Database(t, engine)
		nodes := []node{newNode(t, dsn), newNode(t, dsn)}
		some := make([]jobs.New, many)
		for i := range some {
			some[i] = jobs.New{Kind: "x", Key: fmt.Sprint("key", i%13), ID: fmt.Sprintf("%04d", i), Due: fixture.Began.Add(-time.Duration(i%7) * time.Second)}
		}
		nodes[0].enqueue(t, some...)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var mu sync.Mutex
		seen := map[string]int{}
		all := make(chan struct{})
		var running sync.WaitGroup
		for _, n := range nodes {
			effect := finishing(n)
			n.Handle("x", func(ctx context.Context, job jobs.Job) error {
				err := effect(ctx, job)
				mu.Lock()
				defer mu.Unlock()
				if seen[job.ID]++; len(seen) == many && seen[job.ID] == 1 {
					close(all)
				}
				return err
			})
			running.Go(func() { n.Run(ctx) })
		}
		select {
		case <-all:
		case <-time.After(2 * time.Minute):
			mu.Lock()
			defer mu.Unlock()
			t.Fatalf("%d of %d jobs are done", len(seen), many)
		}
		stop()
		running.Wait()
		for i := range many {
			id := fmt.Sprintf("%04d", i)
			if n := counted(t, nodes[0], id); n != 1 {
				t.Errorf("the effect of job %s happened %d times", id, n)
			}
		}
	})
}

// In a bubble of still time the next poll never comes by itself while anything
// else can run: a job that is done without time passing was handed to the runner.
func TestAJobThatIsDueDoesNotWaitForThePoll(t *testing.T) {
	dsn := fixture.Database(t, store.SQLite)
	keys := fixture.Keys(t)
	synctest.Test(t, func(t *testing.T) {
		d, err := store.Open(dsn)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan time.Time, 1)
		q := &jobs.Queue{DB: d, Keys: keys, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
		q.Handle("x", func(context.Context, jobs.Job) error { done <- time.Now(); return nil })
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); q.Run(ctx) }()
		synctest.Wait() // Run has polled and waits for its next poll
		enqueued := time.Now()
		if err := d.Write(ctx, func(tx *store.Tx) error {
			return q.Enqueue(ctx, tx, jobs.New{Key: "key", Kind: "x", Due: enqueued})
		}); err != nil {
			t.Fatal(err)
		}
		if at := <-done; !at.Equal(enqueued) {
			t.Errorf("it was done %s later, by a poll", at.Sub(enqueued))
		}
		stop()
		<-ended
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
}
