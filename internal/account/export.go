package account

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// Export gives every account of a realm in a form that Import takes back, in a
// fixed order, one in memory at a time. A password hash is given as long as it is
// the one that the host brought: ours are bound to this installation's keys. Left
// out are locks that the realm's host did not set, and all but one of those that
// it did. The error ends it.
func (s *Service) Export(ctx context.Context, realm recovery.Realm) iter.Seq2[Record, error] {
	return s.ExportAfter(ctx, realm, "")
}

// ExportAfter is Export without the accounts up to one.
func (s *Service) ExportAfter(ctx context.Context, realm recovery.Realm, last recovery.AccountID) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		const page = 200
		for after := string(last); ; {
			var ids []string
			err := s.DB.Read(ctx, func(q *db.Queries) (err error) {
				ids, err = q.AccountsAfter(ctx, db.AccountsAfterParams{Realm: string(realm), AccountID: after, Limit: page})
				return err
			})
			if err != nil {
				yield(Record{}, err)
				return
			}
			for _, id := range ids {
				record, err := s.export(ctx, realm, recovery.AccountID(id))
				if !yield(record, err) || err != nil {
					return
				}
				after = id
			}
			if len(ids) < page {
				return
			}
		}
	}
}

// export reads one account as a record.
func (s *Service) export(ctx context.Context, realm recovery.Realm, id recovery.AccountID) (r Record, err error) {
	err = s.DB.Read(ctx, func(q *db.Queries) error {
		row, err := q.GetAccount(ctx, string(id))
		if err != nil {
			return err
		}
		if r.ID, err = s.HostID(row); err != nil {
			return err
		}
		r.Locale = row.Locale
		if at := store.Time(row.LastSignInAt); !at.IsZero() {
			r.LastSignInAt = &at
		}
		if err := s.exportNames(ctx, q, realm, id, &r); err != nil {
			return err
		}
		facts, err := s.Facts(ctx, q, realm, id)
		if err != nil {
			return err
		}
		r.RealName = facts["real-name"]
		if r.ResidentID == "" {
			r.ResidentID = facts["resident-id"]
		}
		kept, err := q.GetSecret(ctx, db.GetSecretParams{AccountID: string(id), Kind: SecretPassword})
		if err == nil && !strings.Contains(kept.Hash, ",k=") {
			r.PasswordHash = kept.Hash
		} else if err != nil && !store.NotFound(err) {
			return err
		}
		locks, err := s.Locks(ctx, q, id)
		for _, reason := range []recovery.LockReason{recovery.LockViolation, recovery.LockRiskAlarm, recovery.LockDormant} {
			if r.Locked == "" && slices.ContainsFunc(locks, func(l recovery.Lock) bool { return l.Reason == reason }) {
				r.Locked = string(reason)
			}
		}
		return err
	})
	return r, err
}

// exportNames tells contacts that are also identifiers from further ones.
func (s *Service) exportNames(ctx context.Context, q *db.Queries, realm recovery.Realm, id recovery.AccountID, r *Record) error {
	ids, err := s.Identifiers(ctx, q, realm, id)
	if err != nil {
		return err
	}
	for _, one := range ids {
		switch one.Kind {
		case recovery.IdentifierPhone:
			r.Phone = one.Value
		case recovery.IdentifierEmail:
			r.Email = one.Value
		case recovery.IdentifierUsername:
			r.Username = one.Value
		case recovery.IdentifierResidentID:
			r.ResidentID = one.Value
		}
	}
	read, err := s.ReadContacts(ctx, q, realm, id)
	if err != nil {
		return err
	}
	contacts, err := read.OnFile()
	for _, c := range contacts {
		switch {
		case c.Value == r.Phone || c.Value == r.Email:
		case c.Kind == recovery.ContactPhone:
			r.MorePhones = append(r.MorePhones, c.Value)
		default:
			r.MoreEmails = append(r.MoreEmails, c.Value)
		}
	}
	if last := read.LastChange(s.Now()); !last.IsZero() {
		r.ContactChangedAt = &last
	}
	return err
}
