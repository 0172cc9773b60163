// Package reseal makes what stands under older keys anew with the current ones,
// beside live traffic, after a rotation: sealed values and blind indexes. What it
// walks is the table in package store ([store.Sealed], [store.Indexed]).
//
// There is no state but the rows: each says under which version it stands. So a
// walk can be stopped anywhere and begun again anywhere, on several nodes at once.
// A value is put in the place of exactly the one that was read, so a row that
// changed meanwhile is left alone and found by the next walk.
//
// Trust: it holds the keys and reads everything, as the server does; it says and
// logs names of tables and numbers only.
package reseal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// The pace. Ours: a transaction holds a few rows for some milliseconds, and the
// walk rests as long as it worked, so that it takes half of one connection at most.
const (
	window = 500 // rows read at once
	batch  = 20  // rows changed in one transaction
	// again is when a walk is repeated that left something or found nothing:
	// another node may write under an older version until it has taken up the file.
	again = 10 * time.Minute
	// tell is how often the log says how far a walk is.
	tell = 30 * time.Second
)

// Walker seals anew. Run it once a process.
type Walker struct {
	DB       *store.DB
	Keys     *seal.Keyring
	Accounts *account.Service
	Log      *slog.Logger
	// Rest waits between transactions; nil waits as long as the last one took.
	Rest func(ctx context.Context, worked time.Duration)

	kick      chan struct{}
	remaining atomic.Int64 // -1 until counted
}

// New gives a walker that has counted nothing yet.
func New(d *store.DB, keys *seal.Keyring, accounts *account.Service, log *slog.Logger) *Walker {
	w := &Walker{DB: d, Keys: keys, Accounts: accounts, Log: log, Rest: rest, kick: make(chan struct{}, 1)}
	w.remaining.Store(-1)
	return w
}

func rest(ctx context.Context, worked time.Duration) {
	timer := time.NewTimer(worked)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// Remaining is how many values stood under older versions when they were last
// counted, less those that this node did since; -1 before the first count.
func (w *Walker) Remaining() int64 { return w.remaining.Load() }

// Wake has Run look now: the keys changed.
func (w *Walker) Wake() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// Run walks until ctx ends: at once, whenever it is woken, and from time to time
// while the key file has older versions.
func (w *Walker) Run(ctx context.Context) {
	for {
		if err := w.Once(ctx); err != nil && ctx.Err() == nil {
			w.Log.Warn("sealing anew stopped and is tried again", "err", err, "in", again)
		}
		timer := time.NewTimer(again)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-w.kick:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// Once counts, walks everything that stands under an older version, and counts
// again. It does nothing, and reads nothing, when the file has one version only.
func (w *Walker) Once(ctx context.Context) error {
	if len(w.Keys.Older("seal"))+len(w.Keys.Older("index")) == 0 {
		w.remaining.Store(0)
		return nil
	}
	total, err := w.count(ctx)
	if err != nil || total == 0 {
		return err
	}
	w.Log.Info("sealing anew begins", "values", total, "version", w.Keys.Current("seal").String())
	p := &progress{w: w, total: total, told: time.Now()}
	for _, c := range store.Sealed {
		if err := w.sealed(ctx, c, p); err != nil {
			return fmt.Errorf("%s: %w", c.Name(), err)
		}
	}
	for _, c := range store.Indexed {
		if err := w.indexed(ctx, c, p); err != nil {
			return fmt.Errorf("%s: %w", c.Name(), err)
		}
	}
	left, err := w.count(ctx)
	if err != nil {
		return err
	}
	switch {
	case left == 0:
		w.Log.Info("sealing anew is done: nothing stands under an older version", "values", p.done)
	case p.unread > 0:
		w.Log.Error("values under an older version cannot be read: run `wanbi audit verify`", "values", p.unread, "left", left)
	default:
		w.Log.Info("some values changed meanwhile and are looked at again", "left", left, "in", again)
	}
	return nil
}

// progress is how far one walk is.
type progress struct {
	w           *Walker
	total, done int64
	unread      int64
	told        time.Time
}

func (p *progress) add(n int64) {
	p.done += n
	p.w.remaining.Add(-n)
	if now := time.Now(); now.Sub(p.told) >= tell {
		p.told = now
		p.w.Log.Info("sealing anew", "percent", min(99, 100*p.done/p.total), "done", p.done, "of", p.total)
	}
}

// count counts what stands under older versions.
func (w *Walker) count(ctx context.Context) (int64, error) {
	left, err := Count(ctx, w.DB, w.Keys.Older("seal"), w.Keys.Older("index"))
	if err != nil {
		return 0, err
	}
	var total int64
	for _, l := range left {
		total += l.Values
	}
	w.remaining.Store(total)
	return total, nil
}

// sealed walks one column of sealed values.
func (w *Walker) sealed(ctx context.Context, c store.SealedColumn, p *progress) error {
	return walk(ctx, func(after []any) ([]store.SealedRow, error) { return w.DB.SealedAfter(ctx, c, after, window) },
		func(r store.SealedRow) []any { return r.Key },
		func(rows []store.SealedRow) error {
			rows = slices.DeleteFunc(rows, func(r store.SealedRow) bool { return !w.old("seal", r.Value) })
			for some := range slices.Chunk(rows, batch) {
				began := time.Now()
				if err := w.change(ctx, c, some, p); err != nil {
					return err
				}
				w.Rest(ctx, time.Since(began))
			}
			return nil
		})
}

// change seals a few rows anew in one transaction.
func (w *Walker) change(ctx context.Context, c store.SealedColumn, rows []store.SealedRow, p *progress) error {
	column := c.Place
	if column == "" {
		column = c.Name()
	}
	fresh := make([][]byte, len(rows))
	for i, row := range rows {
		at := seal.Place{Realm: recovery.Realm(row.Realm), Owner: row.Owner, Column: column}
		plain, err := w.Keys.Open(at, row.Value)
		if err != nil {
			p.unread++
			continue
		}
		if fresh[i], err = w.Keys.Seal(at, plain); err != nil {
			return err
		}
	}
	var done int64
	err := w.DB.Write(ctx, func(tx *store.Tx) error {
		done = 0
		for i, row := range rows {
			if fresh[i] == nil {
				continue
			}
			changed, err := tx.Reseal(ctx, c, row, fresh[i])
			if err != nil {
				return err
			}
			if changed {
				done++
			}
		}
		return nil
	})
	if err == nil {
		p.add(done)
	}
	return err
}

// indexed walks one column of blind indexes, a few accounts at a time.
func (w *Walker) indexed(ctx context.Context, c store.SealedColumn, p *progress) error {
	return walk(ctx, func(after []any) ([]store.IndexedRow, error) { return w.DB.IndexedAfter(ctx, c, after, window) },
		func(r store.IndexedRow) []any { return r.Key },
		func(rows []store.IndexedRow) error {
			rows = slices.DeleteFunc(rows, func(r store.IndexedRow) bool { return !w.old("index", []byte(r.Index)) })
			for some := range slices.Chunk(rows, batch) {
				began := time.Now()
				if err := w.reindex(ctx, c, some, p); err != nil {
					return err
				}
				w.Rest(ctx, time.Since(began))
			}
			return nil
		})
}

// reindex makes the indexes of the rows' accounts anew in one transaction, or,
// when one of them spoils it, each in its own.
func (w *Walker) reindex(ctx context.Context, c store.SealedColumn, rows []store.IndexedRow, p *progress) error {
	var done, unread int64
	err := w.DB.Write(ctx, func(tx *store.Tx) error {
		done, unread = 0, 0
		for _, row := range rows {
			moved, err := w.Accounts.Reindex(ctx, tx, recovery.AccountID(row.Account))
			if store.NotFound(err) {
				unread++
				continue
			}
			if err != nil {
				return err
			}
			done += int64(moved)
			if c.Table == "identifiers" { // a row that no name of the account gives would find it for ever
				if err := tx.DeleteIdentifier(ctx, db.DeleteIdentifierParams{Idx: row.Index, AccountID: row.Account}); err != nil {
					return err
				}
			}
		}
		return nil
	})
	switch {
	case err == nil:
		p.unread += unread
		p.add(done)
		return nil
	case ctx.Err() != nil || recovery.IsKind(err, recovery.KindUnavailable) && !errors.Is(err, store.ErrStale):
		return err
	case len(rows) > 1:
		for i := range rows {
			if err := w.reindex(ctx, c, rows[i:i+1], p); err != nil {
				return err
			}
		}
		return nil
	case errors.Is(err, store.ErrStale):
		return nil // an account that changes all the time: the next walk finds it
	}
	p.unread++
	return nil
}

// old reports whether a value begins as one of a part's older versions made it.
func (w *Walker) old(part string, value []byte) bool {
	return slices.ContainsFunc(w.Keys.Older(part), func(v seal.Version) bool {
		return len(value) >= len(prefix(part, v)) && string(value[:len(prefix(part, v))]) == prefix(part, v)
	})
}

func prefix(part string, v seal.Version) string {
	sealed, index, _, _ := v.Prefixes()
	if part == "index" {
		return index
	}
	return string(sealed)
}

// walk reads windows one after another and hands each on.
func walk[R any](ctx context.Context, read func(after []any) ([]R, error), key func(R) []any, each func([]R) error) error {
	for after := []any(nil); ; {
		rows, err := read(after)
		if err != nil {
			return err
		}
		last := len(rows) < window
		if len(rows) > 0 {
			after = key(rows[len(rows)-1])
		}
		if err := each(rows); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil || last {
			return err
		}
	}
}
