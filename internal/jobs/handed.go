package jobs

import (
	"context"
	"sync"

	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// handed is the jobs that this process wrote with a lease of its own and has not
// begun yet. Only a running runner takes any.
type handed struct {
	mu      sync.Mutex
	running bool
	waiting []Job
}

// mostHanded bounds them: what is more waits in the database for whoever has time.
const mostHanded = 1024

// room reports whether the runner would take one more.
func (h *handed) room() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.running && len(h.waiting) < mostHanded
}

// put hands a job over after its commit.
func (h *handed) put(job Job) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting = append(h.waiting, job)
}

// take gives up to so many, the oldest first.
func (h *handed) take(most int) []Job {
	h.mu.Lock()
	defer h.mu.Unlock()
	most = min(most, len(h.waiting))
	taken := h.waiting[:most:most]
	h.waiting = h.waiting[most:]
	return taken
}

// run says whether there is a runner.
func (h *handed) run(on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running = on
}

// release gives back what was handed over and not begun, so that another node need
// not wait for the lease to run out.
func (q *Queue) release(ctx context.Context) {
	q.handed.run(false)
	for {
		some := q.handed.take(mostHanded)
		if len(some) == 0 {
			return
		}
		err := q.DB.Write(ctx, func(tx *store.Tx) error {
			for _, job := range some {
				if _, err := tx.RetryJob(ctx, db.RetryJobParams{
					Key: job.Key, ID: job.ID, Attempt: int64(job.Attempt), DueAt: store.Millis(q.Now()),
				}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			q.Log.Warn("jobs not given back: they wait for their lease to run out", "jobs", len(some), "err", err)
		}
	}
}

// finish removes jobs that are done as they come in, many in one transaction while
// an earlier one is being written. What is lost in a crash is done again, which is
// the same message. It ends when done is closed.
func (q *Queue) finish(ctx context.Context, done <-chan Job) {
	for job := range done {
		some := []Job{job}
		for more := true; more && len(some) < mostHanded; {
			select {
			case job, ok := <-done:
				if more = ok; ok {
					some = append(some, job)
				}
			default:
				more = false
			}
		}
		err := q.DB.Write(ctx, func(tx *store.Tx) error {
			for _, job := range some {
				if err := tx.DropJob(ctx, db.DropJobParams{Key: job.Key, ID: job.ID, Attempt: int64(job.Attempt)}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			q.Log.Warn("finish jobs: they will be done again", "jobs", len(some), "err", err)
		}
	}
}
