package account

import (
	"context"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// Reindex brings the blind indexes of an account to the current key: what finds
// it, and what stands beside its names and contacts. The account's row is
// guarded, so that a change made from what was read before begins again.
// False: there is no such account.
func (s *Service) Reindex(ctx context.Context, tx *store.Tx, id recovery.AccountID) (bool, error) {
	row, err := tx.GetAccount(ctx, string(id))
	if store.NotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := tx.UpdateAccount(ctx, db.UpdateAccountParams{
		AccountID: row.AccountID, Was: row.Version, Locale: row.Locale, LastSignInAt: row.LastSignInAt, WarnedAt: row.WarnedAt,
		Epoch: row.Epoch, EventSeq: row.EventSeq, ChainSeq: row.ChainSeq, ChainHead: row.ChainHead,
	}); err != nil {
		return false, err
	}
	e := &Edit{Account: row, Realm: recovery.Realm(row.Realm), ID: id, Tx: tx, Now: s.Now(), s: s}
	hostID, err := s.HostID(row)
	if err != nil {
		return true, err
	}
	if err := s.indexHostID(ctx, tx, e.Realm, id, hostID); err != nil {
		return true, err
	}
	if err := e.reindexIdentifiers(ctx); err != nil {
		return true, err
	}
	return true, e.reindexContacts(ctx)
}

func (e *Edit) reindexIdentifiers(ctx context.Context) error {
	rows, err := e.Tx.ListAccountIdentifiers(ctx, string(e.ID))
	if err != nil {
		return err
	}
	for _, row := range rows {
		plain, err := e.s.Keys.Open(place(e.Realm, e.ID, "account_identifiers.value"), row.Value)
		if err != nil {
			return err
		}
		id := recovery.Identifier{Kind: recovery.IdentifierKind(row.Kind), Value: string(plain)}
		all := e.s.Keys.Index(e.Realm, row.Kind, id.Value)
		if row.Idx != all[0] {
			if err := e.deleteIdentifier(ctx, row); err != nil {
				return err
			}
			if err := e.insertIdentifier(ctx, id, all[0]); err != nil {
				return err
			}
			continue
		}
		if err := e.Tx.InsertIdentifier(ctx, db.InsertIdentifierParams{Idx: all[0], AccountID: string(e.ID)}); err != nil {
			return err
		}
		for _, old := range all[1:] {
			if err := e.Tx.DeleteIdentifier(ctx, db.DeleteIdentifierParams{Idx: old, AccountID: string(e.ID)}); err != nil {
				return err
			}
		}
	}
	return nil
}

// reindexContacts looks at former contacts, too.
func (e *Edit) reindexContacts(ctx context.Context) error {
	rows, err := e.Tx.ListContacts(ctx, string(e.ID))
	if err != nil {
		return err
	}
	for _, row := range rows {
		plain, err := e.s.Keys.Open(place(e.Realm, e.ID, "account_contacts.value"), row.Value)
		if err != nil {
			return err
		}
		idx := e.s.Keys.Index(e.Realm, "contact-"+row.Kind, string(plain))[0]
		if idx == row.Idx {
			continue
		}
		if err := e.Tx.ReindexContact(ctx, db.ReindexContactParams{AccountID: row.AccountID, ID: row.ID, Idx: idx}); err != nil {
			return err
		}
	}
	return nil
}
