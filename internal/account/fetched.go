package account

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wanbi/wanbi/internal/directory"
	"github.com/wanbi/wanbi/internal/identifier"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// ImportDirectory brings accounts up to date with what the host's directory says
// of them. One that breaks the contract fails the whole, since the host is at fault.
func (s *Service) ImportDirectory(ctx context.Context, realm recovery.Realm, found []directory.Account) error {
	p, ok := s.Policy(realm)
	if !ok {
		return recovery.NotFound("error.realm.unknown")
	}
	records := make([]prepared, len(found))
	for i, a := range found {
		c, err := fromDirectory(a, p.Realm.Locale)
		if err != nil {
			return recovery.Unavailable("error.unavailable", 0).Because(fmt.Errorf("directory of realm %s, account %d: %w", realm, i, err))
		}
		records[i].clean = c
	}
	batch, err := s.prepare(ctx, realm, records)
	if err != nil {
		return err
	}
	results, err := s.Put(ctx, batch)
	for _, result := range results {
		if result.Err != nil {
			err = errors.Join(err, result.Err)
		}
	}
	return err
}

func fromDirectory(a directory.Account, locale string) (clean, error) {
	c := clean{fetched: true}
	c.ID, c.RealName, c.Locale = a.HostID, a.RealName, locale
	// One that is no resident ID can never be typed, so there is nothing to compare with.
	if id, err := identifier.Parse(recovery.IdentifierResidentID, a.ResidentID); err == nil {
		c.ResidentID = id.Value
	}
	if a.Locale == "zh-CN" || a.Locale == "en" {
		c.Locale = a.Locale
	}
	if !a.LastSignInAt.IsZero() {
		c.LastSignInAt = &a.LastSignInAt
	}
	for _, one := range a.Identifiers {
		id, err := identifier.Parse(one.Kind, one.Value)
		if err != nil {
			return c, err
		}
		c.identifiers = append(c.identifiers, id)
	}
	for _, one := range a.Contacts {
		id, err := identifier.Parse(recovery.IdentifierKind(one.Kind), one.Value)
		if err != nil {
			return c, err
		}
		c.contacts = append(c.contacts, recovery.Contact{Kind: one.Kind, Value: id.Value, ChangedAt: one.ChangedAt})
	}
	for _, lock := range a.Locks {
		c.locks = append(c.locks, recovery.Lock{Reason: lock.Reason, At: lock.At, Until: lock.Until})
	}
	return c, nil
}

// endless is when a lockout ends that the host gives no end: year 9999.
var endless = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// syncLocks makes the locks those that the host says, and keeps disavowed, which
// is ours. What changed is recorded; the host is not told what it said.
func (e *Edit) syncLocks(ctx context.Context, said []recovery.Lock) error {
	want := map[recovery.LockReason]recovery.Lock{}
	for _, lock := range said {
		lock.Until = store.Time(store.Millis(lock.Until))
		if lock.Reason == recovery.LockTooManyFailures && lock.Until.IsZero() {
			lock.Until = endless
		}
		if lock.Active(e.Now) {
			want[lock.Reason] = lock
		}
	}
	holds, err := e.s.Locks(ctx, e.Tx.Queries, e.ID)
	if err != nil {
		return err
	}
	have := map[recovery.LockReason]recovery.Lock{}
	for _, lock := range holds {
		have[lock.Reason] = lock
	}
	for _, reason := range recovery.LockReasons {
		lock, on := want[reason]
		was, before := have[reason]
		if on == before && lock.Until.Equal(was.Until) || !on && reason == recovery.LockDisavowed {
			continue
		}
		if err := e.syncLock(ctx, reason, lock, on); err != nil {
			return err
		}
		if on != before {
			event := map[bool]string{true: "account.locked", false: "account.unlocked"}[on]
			e.Record(ctx, event, map[string]string{"reason": string(reason), "by": "directory"})
		}
	}
	return nil
}

func (e *Edit) syncLock(ctx context.Context, reason recovery.LockReason, lock recovery.Lock, on bool) error {
	switch {
	case reason == recovery.LockTooManyFailures:
		key := e.s.lockoutKey(e.ID)
		if _, err := e.Tx.TakeLockout(ctx, db.TakeLockoutParams{Key: key, AccountID: string(e.ID)}); err != nil {
			return err
		}
		return e.Tx.PutLockout(ctx, db.PutLockoutParams{Key: key, Until: store.Millis(lock.Until)})
	case on:
		return e.Tx.PutLock(ctx, db.PutLockParams{
			AccountID: string(e.ID), Reason: string(reason), At: store.Millis(lock.At), Until: store.Millis(lock.Until),
		})
	}
	_, err := e.Tx.DeleteLock(ctx, db.DeleteLockParams{AccountID: string(e.ID), Reason: string(reason)})
	return err
}
