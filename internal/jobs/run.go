package jobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// Run does jobs until ctx ends, then waits for those under way. What this process
// writes it is handed at once; other nodes' jobs are found by polling.
func (q *Queue) Run(ctx context.Context) {
	q.init()
	after := context.WithoutCancel(ctx)
	done := make(chan Job, q.Workers)
	finished := make(chan struct{})
	go func() { defer close(finished); q.finish(after, done) }()
	slots := make(chan struct{}, q.Workers)
	var running sync.WaitGroup
	q.handed.run(true)
	defer func() {
		q.release(after)
		running.Wait()
		close(done)
		<-finished
		q.release(after) // what those under way have brought
	}()
	start := func(some []Job) {
		for _, job := range some {
			slots <- struct{}{}
			running.Go(func() {
				defer func() { <-slots; q.look() }()
				if q.do(after, job) {
					done <- job
				}
			})
		}
	}
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	q.look()
	look := true // for jobs of others, and for those that there was no room for
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.wake:
		case <-ticker.C:
			look = true
		}
		start(q.handed.take(q.Workers - len(slots)))
		for look && ctx.Err() == nil {
			free := min(q.Workers-len(slots), 32)
			if free == 0 {
				break // looks again when one is done
			}
			claimed, err := q.claim(ctx, free)
			if err != nil && ctx.Err() == nil && !recovery.IsKind(err, recovery.KindUnavailable) {
				q.Log.Error("claim jobs", "err", err)
			}
			look = err == nil && len(claimed) == free
			start(claimed)
		}
	}
}

// Drain does every job that is due now, and those that they bring, one after
// another, and returns when none is left. It is for tests, the demo's clock and
// for finishing work before a stop.
func (q *Queue) Drain(ctx context.Context) error {
	q.init()
	for ctx.Err() == nil {
		claimed, err := q.claim(ctx, 32)
		if err != nil {
			return err
		}
		if len(claimed) == 0 {
			return nil
		}
		for _, job := range claimed {
			if !q.do(ctx, job) {
				continue
			}
			if err := q.DB.Write(ctx, func(tx *store.Tx) error {
				return tx.DropJob(ctx, db.DropJobParams{Key: job.Key, ID: job.ID, Attempt: int64(job.Attempt)})
			}); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

func (q *Queue) claim(ctx context.Context, most int) ([]Job, error) {
	var claimed []Job
	now := q.Now()
	var waits []string
	err := q.DB.Read(ctx, func(one *db.Queries) (err error) { // most looks find nothing, and need no writer to
		waits, err = one.JobWaits(ctx, store.Millis(now))
		return err
	})
	if err != nil || len(waits) == 0 {
		return nil, err
	}
	var rows []db.ClaimJobsRow
	err = q.DB.One(ctx, func(one *db.Queries) (err error) {
		rows, err = one.ClaimJobs(ctx, db.ClaimJobsParams{
			Lease: store.Millis(now.Add(lease)), Now: store.Millis(now), Most: int32(most),
		})
		return err
	})
	if err != nil { // what a commit of unknown end has leased comes back when the lease runs out
		return nil, err
	}
	for _, row := range rows {
		job := Job{Key: row.Key, ID: row.ID, Kind: row.Kind, Attempt: int(row.Attempt), lease: now.Add(lease), finished: new(atomic.Bool)}
		realm, sealed, _ := bytes.Cut(row.Payload, []byte("\n"))
		job.Realm = recovery.Realm(realm)
		plain, openErr := q.Keys.Open(place(job.Realm, job.Key, job.ID), sealed)
		if openErr != nil && !q.Keys.Knows(sealed) { // another node has newer keys: the lease runs out, and who can read it does it
			q.Log.Error("a job is sealed with a version of the keys that this node does not have: give it the key file", "kind", job.Kind, "job", job.ID)
			continue
		}
		if openErr != nil {
			q.bury(ctx, job, openErr)
			continue
		}
		job.payload = plain
		claimed = append(claimed, job)
	}
	return claimed, nil
}

// do runs one job and records how it went. True says that it is done and has to be
// removed; a handler may have done that itself.
func (q *Queue) do(ctx context.Context, job Job) bool {
	if !q.Now().Before(job.lease) {
		return false // it waited for too long: whoever claims it next does it
	}
	err := q.call(ctx, job)
	if err == nil {
		return !job.finished.Load()
	}
	if errors.Is(err, errTaken) {
		q.Log.Info("job was taken by another node", "kind", job.Kind, "job", job.ID, "attempt", job.Attempt)
		return false
	}
	if final(err) || job.Attempt >= maxAttempts {
		q.bury(ctx, job, err)
		return false
	}
	due := q.Now().Add(backoff(job.Attempt))
	q.Log.Warn("job failed, will be tried again", "kind", job.Kind, "job", job.ID, "attempt", job.Attempt, "due", due, "err", err)
	_, _ = q.postpone(ctx, job, due, err) // when the database is away the lease runs out instead, with the same effect
	return false
}

// final reports whether trying again is of no use.
func final(err error) bool {
	return recovery.IsKind(err, recovery.KindBadInput) || recovery.IsKind(err, recovery.KindConflict)
}

// postpone makes the job due at another time. False says that it is not ours any more.
func (q *Queue) postpone(ctx context.Context, job Job, due time.Time, cause error) (ours bool, err error) {
	err = q.DB.Write(ctx, func(tx *store.Tx) error {
		rows, err := tx.RetryJob(ctx, db.RetryJobParams{
			Key: job.Key, ID: job.ID, Attempt: int64(job.Attempt), DueAt: store.Millis(due), LastError: recovery.AsError(cause).Key,
		})
		ours = rows > 0
		return err
	})
	return ours && err == nil, err
}

// backoff doubles from 2 seconds to 4 hours.
func backoff(attempt int) time.Duration {
	return min(time.Second<<min(attempt, 20), 4*time.Hour)
}

func (q *Queue) call(ctx context.Context, job Job) error {
	handler, ok := q.handlers[job.Kind]
	if !ok {
		return fmt.Errorf("no handler for jobs of kind %q", job.Kind) // a newer node may know it
	}
	return q.guard(job, func() error { return handler(ctx, job) })
}

// guard turns a panic into an error, so that one job does not end the process.
func (q *Queue) guard(job Job, f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("job %s panicked: %v\n%s", job.Kind, r, debug.Stack())
		}
	}()
	return f()
}

// bury makes a dead letter: visible in `wanbi jobs` and the log, never tried again.
// Its consequence runs first and only while the job is ours; when that fails the
// job stays and is tried again.
func (q *Queue) bury(ctx context.Context, job Job, cause error) {
	if consequence := q.buried[job.Kind]; consequence != nil && job.payload != nil {
		if ours, err := q.postpone(ctx, job, q.Now().Add(lease), cause); !ours {
			q.Log.Warn("dead letter not buried", "kind", job.Kind, "job", job.ID, "attempt", job.Attempt, "err", err)
			return
		}
		if err := q.guard(job, func() error { return consequence(ctx, job) }); err != nil && !final(err) {
			q.Log.Error("dead letter's consequence failed, will be tried again", "kind", job.Kind, "job", job.ID, "err", err)
			_, _ = q.postpone(ctx, job, q.Now().Add(backoff(job.Attempt)), cause)
			return
		}
	}
	q.Log.Error("job is a dead letter", "kind", job.Kind, "job", job.ID, "attempt", job.Attempt, "err", cause)
	_ = q.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.BuryJob(ctx, db.BuryJobParams{
			Key: job.Key, ID: job.ID, Attempt: int64(job.Attempt), DeadAt: store.Millis(q.Now()), LastError: recovery.AsError(cause).Key,
		})
		return err
	})
}
