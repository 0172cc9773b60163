package account

import (
	"context"
	"slices"
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
	due := dormancy{lockBefore: lockBefore, warnBefore: lockBefore.Add(p.Lock.Dormant.Warn.Std()), allowed: p.Lock.Dormant.After.Std()}
	var before []string
	for {
		var ids []string // found outside the transaction: among many accounts it takes a while
		err := s.DB.Read(ctx, func(q *db.Queries) (err error) {
			ids, err = q.DormantAccounts(ctx, db.DormantAccountsParams{
				Realm: string(realm), WarnBefore: store.Millis(due.warnBefore), LockBefore: store.Millis(due.lockBefore), Now: store.Millis(now), Most: sweepBatch,
			})
			return err
		})
		if err != nil || len(ids) == 0 || slices.Equal(ids, before) {
			return err
		}
		if err := s.DB.Write(ctx, func(tx *store.Tx) error {
			for _, id := range ids {
				if err := s.dormant(ctx, tx, recovery.AccountID(id), due); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
		before = ids
	}
}

// dormancy is what a sweep goes by.
type dormancy struct {
	lockBefore, warnBefore time.Time // of the last sign-in
	allowed                time.Duration
}

// dormant does what is due of an account, which may have changed since it was found.
func (s *Service) dormant(ctx context.Context, tx *store.Tx, id recovery.AccountID, due dormancy) error {
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
		if !last.After(due.lockBefore) {
			e.Lock(ctx, recovery.LockDormant, "", "dormancy")
			return nil
		}
		if e.WarnedAt != 0 || last.After(due.warnBefore) {
			return nil
		}
		e.WarnedAt = store.Millis(e.Now)
		e.Record(ctx, "dormancy.warned", nil)
		return s.Queue.Enqueue(ctx, tx, jobs.New{
			Key: string(id), Kind: NoticeJob, Realm: e.Realm, Due: e.Now,
			Payload: Notice{Account: id, Kind: NoticeDormant, At: e.Now, Until: last.Add(due.allowed)},
		})
	})
}
