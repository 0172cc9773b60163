package account

import (
	"context"
	"strconv"
	"time"

	"github.com/wanbi/wanbi/internal/audit"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// Imported says how one record went.
type Imported struct {
	Account recovery.AccountID
	Created bool
	Err     *recovery.Error // nil when it is in
}

// Import brings a batch of accounts in. Each account is whole or not at all: the
// batch is one transaction, and when a record spoils it the records are taken
// one by one, so that only the bad ones stay out. The error is the database's.
func (s *Service) Import(ctx context.Context, realm recovery.Realm, batch []Record) ([]Imported, error) {
	p, ok := s.Policy(realm)
	if !ok {
		return nil, recovery.NotFound("error.realm.unknown")
	}
	out := make([]Imported, len(batch))
	cleaned := make([]clean, len(batch))
	for i, record := range batch {
		var err error
		if record.Locale == "" {
			record.Locale = p.Realm.Locale
		}
		if cleaned[i], err = check(record); err != nil {
			out[i].Err = recovery.AsError(err)
		}
	}
	return out, s.putAll(ctx, realm, cleaned, out)
}

// putAll writes the records that have no error yet.
func (s *Service) putAll(ctx context.Context, realm recovery.Realm, cleaned []clean, out []Imported) error {
	some := func(from, to int) error {
		return s.DB.Write(ctx, func(tx *store.Tx) error {
			for i := from; i < to; i++ {
				if out[i].Err != nil {
					continue
				}
				id, created, err := s.put(ctx, tx, realm, cleaned[i])
				if err != nil {
					return err
				}
				out[i].Account, out[i].Created = id, created
			}
			return nil
		})
	}
	err := some(0, len(cleaned))
	if err == nil || recovery.IsKind(err, recovery.KindUnavailable) || ctx.Err() != nil {
		return err
	}
	for i := range cleaned {
		if err := some(i, i+1); err != nil {
			if recovery.IsKind(err, recovery.KindUnavailable) || ctx.Err() != nil {
				return err
			}
			out[i] = Imported{Err: recovery.AsError(err)}
		}
	}
	return nil
}

// put creates or updates one account.
func (s *Service) put(ctx context.Context, tx *store.Tx, realm recovery.Realm, c clean) (recovery.AccountID, bool, error) {
	id, found, err := s.FindHostID(ctx, tx.Queries, realm, c.ID)
	if err != nil {
		return "", false, err
	}
	if !found {
		if id, err = s.create(ctx, tx, realm, c); err != nil {
			return "", false, err
		}
	}
	if err := s.indexHostID(ctx, tx, realm, id, c.ID); err != nil {
		return "", false, err
	}
	return id, !found, s.Edit(ctx, tx, id, func(e *Edit) error { return e.bring(ctx, c, found) })
}

func (s *Service) create(ctx context.Context, tx *store.Tx, realm recovery.Realm, c clean) (recovery.AccountID, error) {
	raw, err := newID()
	if err != nil {
		return "", err
	}
	id := recovery.AccountID(raw)
	hostID, err := s.Keys.Seal(place(realm, id, "accounts.host_id"), []byte(c.ID))
	if err != nil {
		return "", err
	}
	now := s.Now()
	start := audit.Start()
	return id, tx.InsertAccount(ctx, db.InsertAccountParams{
		AccountID: raw, Realm: string(realm), HostID: hostID, Version: 1, Locale: c.Locale, CreatedAt: store.Millis(now),
		LastSignInAt: c.lastSignIn(now, now), ChainHead: start.Hash,
	})
}

// lastSignIn is what the record says, in milliseconds: not later than now, and
// otherwise if it says nothing.
func (c clean) lastSignIn(now, otherwise time.Time) int64 {
	if c.LastSignInAt == nil {
		return store.Millis(otherwise)
	}
	return min(store.Millis(*c.LastSignInAt), store.Millis(now))
}

// bring makes the account what the record says. What a host's directory is asked
// often and says again is no change and leaves no entry.
func (e *Edit) bring(ctx context.Context, c clean, existed bool) error {
	names, err := e.setIdentifiers(ctx, c.identifiers, existed)
	if err != nil {
		return err
	}
	added, removed, err := e.setContacts(ctx, c.contacts, existed)
	if err != nil {
		return err
	}
	facts, err := e.setFacts(ctx, map[string]string{"real-name": c.RealName, "resident-id": c.ResidentID})
	if err != nil {
		return err
	}
	secret, err := e.importSecret(ctx, c.PasswordHash)
	if err != nil {
		return err
	}
	e.Locale = c.Locale
	if last := c.lastSignIn(e.Now, time.Time{}); last > e.LastSignInAt {
		e.LastSignInAt, e.WarnedAt = last, 0
	}
	data := map[string]string{"created": strconv.FormatBool(!existed)}
	changes := 0
	for name, n := range map[string]int{
		"identifiers_changed": names, "contacts_changed": added, "contacts_removed": removed, "facts_changed": facts, "secret_changed": secret,
	} {
		changes += n
		if n > 0 && existed {
			data[name] = strconv.Itoa(n)
		}
	}
	if !existed || changes > 0 || !c.fetched {
		e.Record(ctx, "account.imported", data)
	}
	if c.fetched {
		return e.syncLocks(ctx, c.locks)
	}
	if c.Locked != "" {
		e.Lock(ctx, recovery.LockReason(c.Locked), "", "import")
	}
	return nil
}

// importSecret takes the hash that the host gives, unless it is the one that it
// gave last: a record that comes again must not bring back the password that a
// recovery replaced (T9).
func (e *Edit) importSecret(ctx context.Context, hash string) (int, error) {
	if hash == "" {
		return 0, nil
	}
	rows, err := e.Tx.ImportSecret(ctx, db.ImportSecretParams{
		AccountID: string(e.ID), Kind: SecretPassword, Hash: hash, SetAt: store.Millis(e.Now),
		Imported: e.s.Keys.CountKey("imported", string(e.ID), hash),
	})
	return int(rows), err
}

// setIdentifiers makes the account answer to exactly these names and gives how
// many came or went.
func (e *Edit) setIdentifiers(ctx context.Context, ids []recovery.Identifier, existed bool) (int, error) {
	stale := map[string]db.AccountIdentifier{}
	if existed {
		rows, err := e.Tx.ListAccountIdentifiers(ctx, string(e.ID))
		if err != nil {
			return 0, err
		}
		for _, row := range rows {
			stale[row.Idx] = row
		}
	}
	changes := 0
	for _, id := range ids {
		all := e.s.Keys.Index(e.Realm, string(id.Kind), id.Value)
		if _, ok := stale[all[0]]; ok {
			delete(stale, all[0])
			continue
		}
		if err := e.insertIdentifier(ctx, id, all[0]); err != nil {
			return 0, err
		}
		changes++
		for _, old := range all[1:] { // the same name under an older key
			if row, ok := stale[old]; ok {
				delete(stale, old)
				changes--
				if err := e.deleteIdentifier(ctx, row); err != nil {
					return 0, err
				}
			}
		}
	}
	for _, row := range stale {
		changes++
		if err := e.deleteIdentifier(ctx, row); err != nil {
			return 0, err
		}
	}
	return changes, nil
}

func (e *Edit) insertIdentifier(ctx context.Context, id recovery.Identifier, idx string) error {
	sealed, err := e.s.Keys.Seal(place(e.Realm, e.ID, "account_identifiers.value"), []byte(id.Value))
	if err != nil {
		return err
	}
	if err := e.Tx.InsertIdentifier(ctx, db.InsertIdentifierParams{Idx: idx, AccountID: string(e.ID)}); err != nil {
		return err
	}
	return e.Tx.InsertAccountIdentifier(ctx, db.InsertAccountIdentifierParams{
		AccountID: string(e.ID), Kind: string(id.Kind), Idx: idx, Value: sealed,
	})
}

func (e *Edit) deleteIdentifier(ctx context.Context, row db.AccountIdentifier) error {
	if err := e.Tx.DeleteIdentifier(ctx, db.DeleteIdentifierParams{Idx: row.Idx, AccountID: string(e.ID)}); err != nil {
		return err
	}
	return e.Tx.DeleteAccountIdentifier(ctx, db.DeleteAccountIdentifierParams{AccountID: string(e.ID), Kind: row.Kind, Idx: row.Idx})
}
