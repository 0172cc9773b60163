// Package jobs is the outbox: a side effect or a timer is a row written in the
// transaction of the change that wants it, claimed with a lease, and done at
// least once.
//
// A job decides nothing by being late: it sends, reminds, sweeps and
// integrates. What it sends is fixed in its payload, so that a repeat is the
// same message. docs/decisions/002-outbox.md says why this is not a library.
//
// Trust: payloads are sealed; whoever can write the table can drop or delay a
// message, but not forge one.
package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// Job is one claimed row. Key is its shard key: a subject or an account.
type Job struct {
	Key     string
	ID      string
	Kind    string
	Realm   recovery.Realm
	Attempt int // from 1
	payload []byte
	lease   time.Time // until when the job is ours
	// finished says that Finish removed the row in a transaction of the handler's.
	finished *atomic.Bool
}

// Read decodes the payload into v.
func (j Job) Read(v any) error {
	if err := json.Unmarshal(j.payload, v); err != nil {
		return fmt.Errorf("job %s: %w", j.Kind, err)
	}
	return nil
}

// Handler does a job. It runs at least once; nil means done. An error of kind
// bad-input or conflict is final, every other is tried again; that of a lost
// lease ([Queue.Finish]) is neither.
type Handler func(ctx context.Context, job Job) error

// Queue writes jobs into transactions and runs them. Handlers are registered
// before Run; everything else is safe for concurrent use.
type Queue struct {
	DB   *store.DB
	Keys *seal.Keyring
	Now  func() time.Time
	Log  *slog.Logger
	// Workers is how many jobs run at once. Senders wait on the network, so it
	// is far more than there are cores.
	Workers int
	// Around, where it is set, is put around every handler when it is registered.
	Around func(kind string, h Handler) Handler

	handlers map[string]Handler
	buried   map[string]func(context.Context, Job) error
	wake     chan struct{}
	once     sync.Once
	handed   handed
}

const (
	lease       = 30 * time.Second
	poll        = 100 * time.Millisecond
	maxAttempts = 16 // with the backoff below: about 12 hours
	payloadCol  = "jobs.payload"
)

func (q *Queue) init() {
	q.once.Do(func() {
		q.handlers, q.buried = map[string]Handler{}, map[string]func(context.Context, Job) error{}
		q.wake = make(chan struct{}, 1)
		if q.Workers == 0 {
			q.Workers = 64
		}
	})
}

// Handle registers the handler of a kind; a second one for the same kind panics.
func (q *Queue) Handle(kind string, h Handler) {
	q.init()
	if _, ok := q.handlers[kind]; ok {
		panic("jobs: two handlers for " + kind)
	}
	if q.Around != nil {
		h = q.Around(kind, h)
	}
	q.handlers[kind] = h
}

// Buried registers what happens when a job of the kind becomes a dead letter. It
// runs at least once, before the burial; an error that is not final (see
// [Handler]) has the job tried again, so that the consequence is never lost.
func (q *Queue) Buried(kind string, f func(context.Context, Job) error) {
	q.init()
	q.buried[kind] = f
}

// New is a job to be written. ID may be empty; a fixed one makes the job
// happen once however often it is enqueued.
type New struct {
	Key     string
	ID      string
	Kind    string
	Realm   recovery.Realm
	Due     time.Time
	Payload any
}

// stored gives the stored form of a payload: the realm stands outside the seal,
// because it chooses the key.
func (q *Queue) stored(n New, plain []byte) ([]byte, error) {
	sealed, err := q.Keys.Seal(place(n.Realm, n.Key, n.ID), plain)
	if err != nil {
		return nil, fmt.Errorf("job %s: %w", n.Kind, err)
	}
	return append([]byte(string(n.Realm)+"\n"), sealed...), nil
}

func place(realm recovery.Realm, key, id string) seal.Place {
	return seal.Place{Realm: realm, Owner: key + "/" + id, Column: payloadCol}
}

// Enqueue writes the job in the caller's transaction. Where this process runs jobs
// and has room, one that is due is born with a lease and handed to the runner
// after the commit, so that nobody has to claim it; should the process die, others
// find it when the lease runs out.
func (q *Queue) Enqueue(ctx context.Context, tx *store.Tx, n New) error {
	plain, err := json.Marshal(n.Payload)
	if err != nil {
		return fmt.Errorf("job %s: %w", n.Kind, err)
	}
	now := q.Now()
	due := !n.Due.After(now)
	if due {
		tx.Committed(q.look)
	}
	if n.ID != "" {
		payload, err := q.stored(n, plain)
		if err != nil {
			return err
		}
		return tx.InsertJobOnce(ctx, db.InsertJobOnceParams{Key: n.Key, ID: n.ID, Kind: n.Kind, DueAt: store.Millis(n.Due), Payload: payload})
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	n.ID = id.String()
	payload, err := q.stored(n, plain)
	if err != nil {
		return err
	}
	row := db.InsertJobParams{Key: n.Key, ID: n.ID, Kind: n.Kind, DueAt: store.Millis(n.Due), Payload: payload}
	if due && q.handed.room() {
		job := Job{Key: n.Key, ID: n.ID, Kind: n.Kind, Realm: n.Realm, Attempt: 1, payload: plain, lease: now.Add(lease), finished: new(atomic.Bool)}
		row.Attempt, row.LeaseUntil = int64(job.Attempt), store.Millis(job.lease)
		tx.Committed(func() { q.handed.put(job) })
	}
	return tx.InsertJob(ctx, row)
}

// errTaken says that the lease ran out and another node has the job now.
var errTaken = errors.New("another node has the job")

// Finish removes the job in the caller's transaction, so that what it did
// happens exactly once. When the lease was lost to another node the transaction
// fails with an error of kind conflict and nothing is done: the handler hands it
// on, and the job is left to its new holder. A handler that gives nil afterwards
// says that the transaction was committed.
func (q *Queue) Finish(ctx context.Context, tx *store.Tx, job Job) error {
	rows, err := tx.FinishJob(ctx, db.FinishJobParams{Key: job.Key, ID: job.ID, Attempt: int64(job.Attempt)})
	if err != nil {
		return err
	}
	if rows == 0 {
		return recovery.Conflict("error.job.taken").Because(errTaken)
	}
	if job.finished != nil {
		job.finished.Store(true)
	}
	return nil
}

// look tells the runner that there may be work.
func (q *Queue) look() {
	q.init()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}
