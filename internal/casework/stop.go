package casework

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/audit"
	"github.com/wanbi/wanbi/internal/identifier"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// Cancel stops a case for its claimant.
func (s *Service) Cancel(ctx context.Context, a Acting) (Snapshot, error) {
	return s.act(ctx, a, func(st *step) error { return st.cancel("claimant") })
}

func (st *step) cancel(by string) error {
	if recovery.State(st.State).Closed() || recovery.State(st.State) == recovery.StateApplying {
		return recovery.Conflict("error.case.moved")
	}
	if err := st.move(recovery.EventStopped, map[string]string{"by": by}); err != nil {
		return err
	}
	if st.AccountID == "" {
		return nil // nobody was told of it, so nobody needs to hear that it stopped
	}
	return st.tell(account.NoticeCancelled)
}

// StopLink is an opened cancel or disavow link.
type StopLink struct {
	Subject recovery.Subject
	ID      recovery.CaseID
	Account recovery.AccountID
	Sent    time.Time
}

// OpenStopLink reads a link's token. A link that is too old, or is not ours, is refused.
func (s *Service) OpenStopLink(ctx context.Context, token string) (StopLink, recovery.Case, error) {
	var found recovery.Case
	opened, ok := s.Keys.OpenID(stopPurpose, token)
	if !ok || len(opened.Extra) < 17 {
		return StopLink{}, found, recovery.NotFound("error.link.unknown")
	}
	ms, err := strconv.ParseInt(string(opened.Extra[16:]), 36, 64)
	if err != nil {
		return StopLink{}, found, recovery.NotFound("error.link.unknown")
	}
	link := StopLink{
		Subject: opened.Subject(), ID: recovery.CaseID(opened.ID),
		Account: recovery.AccountID(uuid.UUID(opened.Extra[:16]).String()), Sent: time.UnixMilli(ms).UTC(),
	}
	row, err := s.peek(ctx, Acting{Subject: link.Subject, ID: link.ID, May: anybody})
	if recovery.IsKind(err, recovery.KindUnknown) {
		return link, found, recovery.NotFound("error.link.unknown")
	}
	if err != nil {
		return link, found, err
	}
	found = model(row)
	p, ok := s.Realms.Policy(found.Realm)
	if !ok || !s.Now().Before(link.Sent.Add(p.Notify.Links.Std())) {
		return link, found, recovery.Gone("error.link.expired")
	}
	return link, found, nil
}

// Disavowed reports whether the account behind the link is frozen already.
func (s *Service) Disavowed(ctx context.Context, link StopLink) (frozen bool, err error) {
	err = s.DB.Read(ctx, func(q *db.Queries) error {
		frozen, err = s.frozen(ctx, q, link.Account)
		return err
	})
	return frozen, err
}

// Disown acts on a link for whoever reads the owner's messages: it cancels a
// case that runs, and disavows one that was applied (T13). A second press
// changes nothing.
func (s *Service) Disown(ctx context.Context, link StopLink) error {
	return s.edit(ctx, key{link.Subject, link.ID}, Once{}, anybody, func(st *step) error {
		switch state := recovery.State(st.State); state {
		case recovery.StateOpen, recovery.StateInReview, recovery.StateHeld:
			if err := st.cancel("owner"); err != nil {
				return err
			}
			return st.secondCancel(link.Account)
		case recovery.StateApplying, recovery.StateCompleted:
			return st.disavow(link.Account)
		}
		return nil // cancelled, denied or expired: nothing is left to stop
	})
}

// secondCancel opens a linked review when the account's owner stopped a case
// before: the thief of an old phone must not be able to block for ever.
func (st *step) secondCancel(id recovery.AccountID) error {
	before, err := st.tx.ListAccountCases(st.ctx, string(id))
	if err != nil {
		return err
	}
	for _, c := range before {
		if c.EndState == string(recovery.StateCancelled) && c.CaseID != st.ID {
			return st.link(id, "second cancel")
		}
	}
	return nil
}

// disavow freezes the account: its owner says that the recovery was not theirs.
// Sessions end, trusted devices are forgotten, whatever was sent is void, and a
// linked case waits for a person.
func (st *step) disavow(id recovery.AccountID) error {
	frozen, err := st.s.frozen(st.ctx, st.tx.Queries, id)
	if err != nil || frozen {
		return err
	}
	if err := st.editAccount(id, func(e *account.Edit) error {
		by := "owner, after case " + st.Ref
		e.Lock(st.ctx, recovery.LockDisavowed, recovery.CaseRef(st.Ref), by)
		e.EndSessions(st.ctx, recovery.CaseRef(st.Ref), by)
		e.Epoch++
		if recovery.State(st.State) == recovery.StateApplying {
			st.AccountEpoch = e.Epoch // a person looks at it: it is not void
		}
		return st.tx.RevokeDevices(st.ctx, db.RevokeDevicesParams{AccountID: string(id), RevokedAt: store.Millis(st.now)})
	}); err != nil {
		return err
	}
	if recovery.State(st.State) == recovery.StateApplying {
		st.Outcome = nil
		if err := st.move(recovery.EventHostSilent, map[string]string{"why": "disavowed"}); err != nil {
			return err
		}
	}
	if err := st.record("case.disavowed", nil); err != nil {
		return err
	}
	if err := st.link(id, "disavowed"); err != nil {
		return err
	}
	if err := st.freezeAtHost(id); err != nil {
		return err
	}
	return st.tellAll(account.NoticeDisavowed, []recovery.AccountID{id})
}

func (s *Service) frozen(ctx context.Context, q *db.Queries, id recovery.AccountID) (bool, error) {
	locks, err := s.Accounts.Locks(ctx, q, id)
	return slices.ContainsFunc(locks, func(l recovery.Lock) bool { return l.Reason == recovery.LockDisavowed }), err
}

// link opens the case in which a person looks at what happened.
func (st *step) link(id recovery.AccountID, why string) error {
	raw, err := newID()
	if err != nil {
		return err
	}
	row := st.Case
	row.ID, row.Ref, row.Linked, row.Version, row.TokenSerial = raw, string(identifier.NewCaseRef()), st.ID, 1, 0
	row.State, row.AccountID, row.Outcome = string(recovery.StateInReview), string(id), nil
	row.OpenedAt, row.TouchedAt, row.ExpiresAt = store.Millis(st.now), store.Millis(st.now), 0
	row.HoldBegan, row.HoldUntil, row.ClosedAt, row.Device, row.KnownDevice = 0, 0, 0, "", 0
	owner, err := st.account(id)
	if err != nil {
		return err
	}
	row.AccountEpoch = owner.Epoch // as it is now: what is being looked into must not make the look void
	typed, err := st.identifier()
	if err != nil {
		return err
	}
	if row.Identifier, err = st.s.Keys.Seal(casePlace(row, "cases.identifier"), []byte(typed.Value)); err != nil {
		return err
	}
	chain := caseChain(row)
	head, err := audit.Append(st.ctx, st.tx, st.s.Keys, chain, audit.Start(), audit.Entry{
		At: st.now, Event: "case.opened", To: recovery.StateOpen, Data: map[string]string{"linked": st.Ref, "why": why},
	})
	if err != nil {
		return err
	}
	head, err = audit.Append(st.ctx, st.tx, st.s.Keys, chain, head, audit.Entry{
		At: st.now, Event: string(recovery.EventNeedsPerson), From: recovery.StateOpen, To: recovery.StateInReview,
	})
	if err != nil {
		return err
	}
	row.ChainSeq, row.ChainHead = head.Seq, head.Hash
	if err := insertCase(st.ctx, st.tx, row); err != nil {
		return err
	}
	return st.tx.InsertCaseRef(st.ctx, db.InsertCaseRefParams{Ref: row.Ref, Subject: row.Subject, CaseID: row.ID})
}
