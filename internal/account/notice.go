package account

import (
	"context"
	"time"

	"github.com/wanbi/wanbi/internal/jobs"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// NoticeJob is the kind of job that tells every contact of an account something.
const NoticeJob = "notice"

// The notices. Each is a message key after sms. or mail.
const (
	NoticeStarted   = "notice.started"
	NoticeHeld      = "notice.held"
	NoticeChanged   = "notice.changed"
	NoticeCompleted = "notice.completed"
	NoticeCancelled = "notice.cancelled"
	NoticeDisavowed = "notice.disavowed"
	NoticeMoved     = "notice.moved"
	NoticeDormant   = "dormant.warning"
)

// Notice is what every contact on file is told. Case and its neighbours are
// empty for a notice that no case caused.
type Notice struct {
	Account recovery.AccountID `json:"account"`
	Kind    string             `json:"kind"`
	Intent  recovery.Intent    `json:"intent,omitempty"`
	Subject recovery.Subject   `json:"subject,omitempty"`
	Case    recovery.CaseID    `json:"case,omitempty"`
	Ref     recovery.CaseRef   `json:"ref,omitempty"`
	At      time.Time          `json:"at"`
	Until   time.Time          `json:"until,omitzero"`
}

// sweepBatch bounds the accounts one sweep looks at in a transaction.
const sweepBatch = 200

// SweepDormant warns the owners of accounts that nobody uses and locks those
// whose time is over (P2). It may run on any node at any time.
func (s *Service) SweepDormant(ctx context.Context, realm recovery.Realm) error {
	p, ok := s.Policy(realm)
	if !ok || p.Lock.Dormant.After == 0 {
		return nil
	}
	now := s.Now()
	lockBefore := now.Add(-p.Lock.Dormant.After.Std())
	warnBefore := lockBefore.Add(p.Lock.Dormant.Warn.Std())
	after := ""
	for {
		var ids []string
		err := s.DB.Write(ctx, func(tx *store.Tx) (err error) {
			ids, err = tx.DormantAccounts(ctx, db.DormantAccountsParams{
				Realm: string(realm), LastSignInAt: store.Millis(warnBefore), AccountID: after, Limit: sweepBatch,
			})
			if err != nil {
				return err
			}
			for _, id := range ids {
				if err := s.dormant(ctx, tx, recovery.AccountID(id), lockBefore, p.Lock.Dormant.After.Std()); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || len(ids) < sweepBatch {
			return err
		}
		after = ids[len(ids)-1]
	}
}

func (s *Service) dormant(ctx context.Context, tx *store.Tx, id recovery.AccountID, lockBefore time.Time, allowed time.Duration) error {
	locks, err := s.Locks(ctx, tx.Queries, id)
	if err != nil {
		return err
	}
	for _, lock := range locks {
		if lock.Reason == recovery.LockDormant {
			return nil
		}
	}
	return s.Edit(ctx, tx, id, func(e *Edit) error {
		last := store.Time(e.LastSignInAt)
		if !last.After(lockBefore) {
			e.Lock(ctx, recovery.LockDormant, "", "dormancy")
			return nil
		}
		if e.WarnedAt != 0 {
			return nil
		}
		e.WarnedAt = store.Millis(e.Now)
		e.Record(ctx, "dormancy.warned", nil)
		return s.Queue.Enqueue(ctx, tx, jobs.New{
			Key: string(id), Kind: NoticeJob, Realm: e.Realm, Due: e.Now,
			Payload: Notice{Account: id, Kind: NoticeDormant, At: e.Now, Until: last.Add(allowed)},
		})
	})
}
