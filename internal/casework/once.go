package casework

import (
	"context"
	"time"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/replay"
	"github.com/wanbi/wanbi/internal/store"
)

// Once makes a step happen once however often it is asked for. The zero value
// asks for nothing.
type Once = replay.Once

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

// replies keeps how steps ended.
func (s *Service) replies() replay.Book { return replay.Book{Keys: s.Keys, Now: s.Now} }

// lookUp gives the stored reply of a request that was answered before. The same
// key with another request is an error.
func (s *Service) lookUp(ctx context.Context, tx *store.Tx, once Once) (*storedReply, error) {
	var stored storedReply
	found, err := s.replies().Find(ctx, tx, once, &stored)
	if err != nil || !found {
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
	if once.Key == "" || recovery.IsKind(reply, recovery.KindLimited) { // who was asked to wait may ask again
		return nil
	}
	stored := storedReply{}
	if e := recovery.AsError(reply); e != nil {
		stored = storedReply{Kind: e.Kind, Key: e.Key, Args: e.Args, Field: e.Field, RetryAfter: e.RetryAfter}
	}
	return s.replies().Keep(ctx, tx, once, stored)
}
