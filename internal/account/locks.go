package account

import (
	"context"
	"slices"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

func (s *Service) lockoutKey(id recovery.AccountID) string {
	return s.Keys.CountKey("lockout", string(id))
}

// Lock sets a typed lock and tells the host. Too-many-failures is not set from
// outside: sign-in tries set it. by names who did it, for the record. A lock that
// is set already stays as it is, and nobody is told again.
func (e *Edit) Lock(ctx context.Context, reason recovery.LockReason, ref recovery.CaseRef, by string) {
	if e.err != nil {
		return
	}
	set, err := e.s.Locks(ctx, e.Tx.Queries, e.ID)
	if e.err = err; err != nil || slices.ContainsFunc(set, func(l recovery.Lock) bool { return l.Reason == reason }) {
		return
	}
	e.err = e.Tx.PutLock(ctx, db.PutLockParams{AccountID: string(e.ID), Reason: string(reason), At: store.Millis(e.Now)})
	e.Record(ctx, "account.locked", map[string]string{"reason": string(reason), "by": by})
	e.Tell(ctx, EventAccountLocked, ref, string(reason))
}

// Unlock clears the reasons that are set among those named and tells the host
// of each. It gives how many it cleared.
func (e *Edit) Unlock(ctx context.Context, reasons []recovery.LockReason, ref recovery.CaseRef, by string) int {
	cleared := 0
	for _, reason := range reasons {
		if e.err != nil {
			return cleared
		}
		var rows int64
		if reason == recovery.LockTooManyFailures {
			rows, e.err = e.Tx.ClearLockouts(ctx, string(e.ID)) // those of its known devices too
		} else {
			rows, e.err = e.Tx.DeleteLock(ctx, db.DeleteLockParams{AccountID: string(e.ID), Reason: string(reason)})
		}
		if rows == 0 {
			continue
		}
		cleared++
		if reason == recovery.LockDormant {
			e.LastSignInAt, e.WarnedAt = store.Millis(e.Now), 0 // else the next sweep locks it again
		}
		e.Record(ctx, "account.unlocked", map[string]string{"reason": string(reason), "by": by})
		e.Tell(ctx, EventAccountUnlocked, ref, string(reason))
	}
	return cleared
}

// SetLock locks or unlocks an account for its host. An unknown host ID is an
// error of kind not-found.
func (s *Service) SetLock(ctx context.Context, realm recovery.Realm, hostID string, reason recovery.LockReason, on bool) error {
	settable := reason == recovery.LockDormant || reason == recovery.LockRiskAlarm || reason == recovery.LockViolation
	clearable := settable || reason == recovery.LockDisavowed || reason == recovery.LockTooManyFailures
	if (on && !settable) || (!on && !clearable) {
		return recovery.BadInput("error.lock.reason").At("reason")
	}
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		id, ok, err := s.FindHostID(ctx, tx.Queries, realm, hostID)
		if err != nil {
			return err
		}
		if !ok {
			return recovery.NotFound("error.account.unknown")
		}
		return s.Edit(ctx, tx, id, func(e *Edit) error {
			if on {
				e.Lock(ctx, reason, "", "host")
			} else {
				e.Unlock(ctx, []recovery.LockReason{reason}, "", "host")
			}
			return nil
		})
	})
	return err
}

// SetSecret replaces the sign-in secret. An empty hash means that the host keeps
// the secret and has it already. The host is told that sessions ended.
func (e *Edit) SetSecret(ctx context.Context, hash string, ref recovery.CaseRef, by string) error {
	if hash != "" {
		if err := e.Tx.PutSecret(ctx, db.PutSecretParams{
			AccountID: string(e.ID), Kind: SecretPassword, Hash: hash, SetAt: store.Millis(e.Now),
		}); err != nil {
			return err
		}
	}
	e.Record(ctx, "secret.changed", map[string]string{"kind": SecretPassword, "by": by})
	e.Tell(ctx, EventSecretChanged, ref, "")
	e.EndSessions(ctx, ref, by)
	return nil
}

// EndSessions records that every session has to end and tells the host so.
func (e *Edit) EndSessions(ctx context.Context, ref recovery.CaseRef, by string) {
	e.Record(ctx, "sessions.ended", map[string]string{"by": by})
	e.Tell(ctx, EventSessionsEnded, ref, "")
}
