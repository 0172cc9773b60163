package casework

import (
	"context"
	"encoding/json"
	"time"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// replyLife is how long a repeated request gets the first one's answer.
const replyLife = 24 * time.Hour

// storedReply is how a step ended. What the claimant sees is drawn anew from
// the case, so that a repeat never shows an older state than the truth.
type storedReply struct {
	Kind       recovery.Kind  `json:"kind,omitempty"`
	Key        string         `json:"key,omitempty"`
	Args       map[string]any `json:"args,omitempty"`
	Field      string         `json:"field,omitempty"`
	RetryAfter time.Duration  `json:"retry_after,omitempty"`
	Opened     *openedCase    `json:"opened,omitempty"`
}

// openedCase is what Open gave.
type openedCase struct {
	Subject recovery.Subject `json:"subject"`
	ID      recovery.CaseID  `json:"id"`
	Ref     recovery.CaseRef `json:"ref"`
	Serial  int64            `json:"serial"`
}

func replyPlace(once Once) seal.Place {
	return seal.Place{Realm: "", Owner: once.Scope + "/" + once.Key, Column: "idempotency.reply"}
}

// lookUp gives the stored reply of a request that was answered before. The same
// key with another request is an error.
func (s *Service) lookUp(ctx context.Context, tx *store.Tx, once Once) (*storedReply, error) {
	if once.Key == "" {
		return nil, nil
	}
	row, err := tx.GetReply(ctx, db.GetReplyParams{Scope: once.Scope, Key: once.Key})
	if store.NotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !s.Now().Before(store.Time(row.CreatedAt).Add(replyLife)) {
		return nil, tx.DeleteReply(ctx, db.DeleteReplyParams{Scope: once.Scope, Key: once.Key, CreatedAt: row.CreatedAt})
	}
	if row.Fingerprint != once.Fingerprint {
		return nil, recovery.BadInput("error.idempotency.mismatch")
	}
	// A commit whose answer was lost is unknown until something else was written after it.
	if _, err := tx.TouchReply(ctx, db.TouchReplyParams{Scope: once.Scope, Key: once.Key}); err != nil {
		return nil, err
	}
	plain, err := s.Keys.Open(replyPlace(once), row.Reply)
	if err != nil {
		return nil, err
	}
	var stored storedReply
	if err := json.Unmarshal(plain, &stored); err != nil {
		return nil, err
	}
	return &stored, nil
}

// replay answers a repeated request; done says that there is nothing left to do.
func (s *Service) replay(ctx context.Context, tx *store.Tx, once Once, reply *error) (done bool, err error) {
	stored, err := s.lookUp(ctx, tx, once)
	if err != nil || stored == nil {
		return false, err
	}
	if stored.Key != "" {
		*reply = &recovery.Error{Kind: stored.Kind, Key: stored.Key, Args: stored.Args, Field: stored.Field, RetryAfter: stored.RetryAfter}
	}
	return true, nil
}

// remember stores how the step ended, in its transaction.
func (s *Service) remember(ctx context.Context, tx *store.Tx, once Once, reply error) error {
	if once.Key == "" {
		return nil
	}
	stored := storedReply{}
	if e := recovery.AsError(reply); e != nil {
		stored = storedReply{Kind: e.Kind, Key: e.Key, Args: e.Args, Field: e.Field, RetryAfter: e.RetryAfter}
	}
	return s.storeReply(ctx, tx, once, stored)
}

func (s *Service) storeReply(ctx context.Context, tx *store.Tx, once Once, stored storedReply) error {
	plain, err := json.Marshal(stored)
	if err != nil {
		return err
	}
	sealed, err := s.Keys.Seal(replyPlace(once), plain)
	if err != nil {
		return err
	}
	err = tx.InsertReply(ctx, db.InsertReplyParams{
		Scope: once.Scope, Key: once.Key, Fingerprint: once.Fingerprint, Reply: sealed, CreatedAt: store.Millis(s.Now()),
	})
	if store.Duplicate(err) {
		return store.ErrStale // the same request won elsewhere: look its answer up
	}
	return err
}
