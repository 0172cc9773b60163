package account

import (
	"context"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// Reindex brings the blind indexes of an account to the current key: what finds
// it, and what stands beside its names and contacts. The account's row is
// guarded, so that a change made from what was read before begins again. It gives
// how many indexes were not the current ones.
func (s *Service) Reindex(ctx context.Context, tx *store.Tx, id recovery.AccountID) (moved int, err error) {
	row, err := tx.GetAccount(ctx, string(id))
	if err != nil {
		return 0, err
	}
	if err := tx.UpdateAccount(ctx, db.UpdateAccountParams{
		AccountID: row.AccountID, Was: row.Version, Locale: row.Locale, LastSignInAt: row.LastSignInAt, WarnedAt: row.WarnedAt,
		Epoch: row.Epoch, EventSeq: row.EventSeq, ChainSeq: row.ChainSeq, ChainHead: row.ChainHead,
	}); err != nil {
		return 0, err
	}
	e := &Edit{Account: row, Realm: recovery.Realm(row.Realm), ID: id, Tx: tx, Now: s.Now(), s: s}
	hostID, err := s.HostID(row)
	if err != nil {
		return 0, err
	}
	if at, err := tx.AccountByHostID(ctx, s.Keys.Index(e.Realm, hostIDKind, hostID)[0]); err != nil || at != string(id) {
		moved++
	}
	if err := s.indexHostID(ctx, tx, e.Realm, id, hostID); err != nil {
		return 0, err
	}
	names, err := e.reindexIdentifiers(ctx)
	if err != nil {
		return 0, err
	}
	contacts, err := e.reindexContacts(ctx)
	return moved + names + contacts, err
}

func (e *Edit) reindexIdentifiers(ctx context.Context) (moved int, err error) {
	rows, err := e.Tx.ListAccountIdentifiers(ctx, string(e.ID))
	if err != nil {
		return 0, err
	}
	for _, row := range rows {
		plain, err := e.s.Keys.Open(place(e.Realm, e.ID, "account_identifiers.value"), row.Value)
		if err != nil {
			return 0, err
		}
		id := recovery.Identifier{Kind: recovery.IdentifierKind(row.Kind), Value: string(plain)}
		all := e.s.Keys.Index(e.Realm, row.Kind, id.Value)
		if row.Idx != all[0] {
			moved += 2 // here and where it is looked up
			if err := e.deleteIdentifier(ctx, row); err != nil {
				return 0, err
			}
			if err := e.insertIdentifier(ctx, id, all[0]); err != nil {
				return 0, err
			}
			continue
		}
		if err := e.Tx.InsertIdentifier(ctx, db.InsertIdentifierParams{Idx: all[0], AccountID: string(e.ID)}); err != nil {
			return 0, err
		}
		for _, old := range all[1:] {
			if err := e.Tx.DeleteIdentifier(ctx, db.DeleteIdentifierParams{Idx: old, AccountID: string(e.ID)}); err != nil {
				return 0, err
			}
		}
	}
	return moved, nil
}

// reindexContacts looks at former contacts, too.
func (e *Edit) reindexContacts(ctx context.Context) (moved int, err error) {
	rows, err := e.Tx.ListContacts(ctx, string(e.ID))
	if err != nil {
		return 0, err
	}
	for _, row := range rows {
		plain, err := e.s.Keys.Open(place(e.Realm, e.ID, "account_contacts.value"), row.Value)
		if err != nil {
			return 0, err
		}
		idx := e.s.Keys.Index(e.Realm, "contact-"+row.Kind, string(plain))[0]
		if idx == row.Idx {
			continue
		}
		moved++
		if err := e.Tx.ReindexContact(ctx, db.ReindexContactParams{AccountID: row.AccountID, ID: row.ID, Idx: idx}); err != nil {
			return 0, err
		}
	}
	return moved, nil
}
