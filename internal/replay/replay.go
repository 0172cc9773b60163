// Package replay makes a request happen once however often it is sent: the
// answer to an Idempotency-Key is kept, sealed, for a day, and a repeat gets it
// again.
//
// What an answer is belongs to the caller; here it is whatever JSON holds.
//
// Trust: callers name the scope by a keyed hash of the requester's own secret,
// so one requester never reads the answer to another. Whoever can write the
// table can lose answers, but neither read nor make them up.
package replay

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// Life is how long a repeated request gets the first one's answer.
const Life = 24 * time.Hour

// Once names a request that is to happen once: Key is the caller's
// Idempotency-Key, Scope a keyed hash of the caller's own secret and Fingerprint
// one of what is asked for. The zero value asks for nothing.
type Once struct {
	Scope       string
	Key         string
	Fingerprint string
}

// Book keeps the answers. Safe for concurrent use.
type Book struct {
	Keys *seal.Keyring
	Now  func() time.Time
}

func place(once Once) seal.Place {
	return seal.Place{Owner: once.Scope + "/" + once.Key, Column: "idempotency.reply"}
}

// Find reads what was kept for this request into answer and reports whether
// there was anything. The same key with another request is bad input; what is
// older than [Life] is forgotten.
func (b Book) Find(ctx context.Context, tx *store.Tx, once Once, answer any) (bool, error) {
	if once.Key == "" {
		return false, nil
	}
	row, err := tx.GetReply(ctx, db.GetReplyParams{Scope: once.Scope, Key: once.Key})
	if store.NotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !b.Now().Before(store.Time(row.CreatedAt).Add(Life)) {
		return false, b.Forget(ctx, tx, once)
	}
	if row.Fingerprint != once.Fingerprint {
		return false, recovery.BadInput("error.idempotency.mismatch")
	}
	// A commit whose answer was lost is unknown until something else was written after it.
	if err := tx.TouchReply(ctx, db.TouchReplyParams{Scope: once.Scope, Key: once.Key}); err != nil {
		return false, err
	}
	plain, err := b.Keys.Open(place(once), row.Reply)
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(plain, answer); err != nil {
		return false, fmt.Errorf("kept answer: %w", err)
	}
	return true, nil
}

// Keep stores the answer in the transaction of what it is about. When the same
// request was kept meanwhile the transaction begins again, and Find finds it.
func (b Book) Keep(ctx context.Context, tx *store.Tx, once Once, answer any) error {
	if once.Key == "" {
		return nil
	}
	plain, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("kept answer: %w", err)
	}
	sealed, err := b.Keys.Seal(place(once), plain)
	if err != nil {
		return err
	}
	return tx.InsertReply(ctx, db.InsertReplyParams{
		Scope: once.Scope, Key: once.Key, Fingerprint: once.Fingerprint, Reply: sealed, CreatedAt: store.Millis(b.Now()),
	})
}

// Forget drops what was kept, so that the request can be made anew.
func (b Book) Forget(ctx context.Context, tx *store.Tx, once Once) error {
	return tx.DeleteReply(ctx, db.DeleteReplyParams{Scope: once.Scope, Key: once.Key, CreatedAt: store.Millis(b.Now())})
}
