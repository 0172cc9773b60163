package account

import (
	"context"
	"errors"
	"fmt"

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
	cleaned := make([]clean, len(found))
	for i, a := range found {
		c, err := fromDirectory(a, p.Realm.Locale)
		if err != nil {
			return recovery.Unavailable("error.unavailable", 0).Because(fmt.Errorf("directory of realm %s, account %d: %w", realm, i, err))
		}
		cleaned[i] = c
	}
	results := make([]Imported, len(cleaned))
	err := s.putAll(ctx, realm, cleaned, results)
	for _, result := range results {
		if result.Err != nil {
			err = errors.Join(err, result.Err)
		}
	}
	return err
}

func fromDirectory(a directory.Account, locale string) (clean, error) {
	c := clean{fetched: true}
	c.ID, c.RealName, c.ResidentID, c.Locale = a.HostID, a.RealName, a.ResidentID, locale
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

// syncLocks makes the locks those that the host says, and keeps disavowed, which
// is ours.
func (e *Edit) syncLocks(ctx context.Context, locks []recovery.Lock) error {
	want := map[recovery.LockReason]recovery.Lock{}
	for _, lock := range locks {
		want[lock.Reason] = lock
	}
	for _, reason := range recovery.LockReasons {
		lock, on := want[reason]
		switch {
		case reason == recovery.LockTooManyFailures:
			if _, err := e.Tx.TakeLockout(ctx, e.s.lockoutKey(e.ID)); err != nil {
				return err
			}
			if err := e.Tx.PutLockout(ctx, db.PutLockoutParams{Key: e.s.lockoutKey(e.ID), Until: store.Millis(lock.Until)}); err != nil {
				return err
			}
		case on:
			if err := e.Tx.PutLock(ctx, db.PutLockParams{
				AccountID: string(e.ID), Reason: string(reason), At: store.Millis(lock.At), Until: store.Millis(lock.Until),
			}); err != nil {
				return err
			}
		case reason != recovery.LockDisavowed:
			if _, err := e.Tx.DeleteLock(ctx, db.DeleteLockParams{AccountID: string(e.ID), Reason: string(reason)}); err != nil {
				return err
			}
		}
	}
	return nil
}
