package account

import (
	"context"
	"strconv"

	"github.com/google/uuid"

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
	defer s.Queue.Wake()
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
	return id, !found, s.Edit(ctx, tx, id, func(e *Edit) error {
		data := map[string]string{"created": strconv.FormatBool(!found)}
		if err := e.setIdentifiers(ctx, c.identifiers, found); err != nil {
			return err
		}
		changed, err := e.setContacts(ctx, c.contacts, found)
		if err != nil {
			return err
		}
		if changed > 0 && found {
			data["contacts_changed"] = strconv.Itoa(changed)
		}
		for kind, value := range map[string]string{"real-name": c.RealName, "resident-id": c.ResidentID} {
			if err := e.putFact(ctx, kind, value); err != nil {
				return err
			}
		}
		if c.PasswordHash != "" {
			if err := tx.PutSecret(ctx, db.PutSecretParams{
				AccountID: string(id), Kind: SecretPassword, Hash: c.PasswordHash, SetAt: store.Millis(e.Now),
			}); err != nil {
				return err
			}
		}
		e.Locale = c.Locale
		if c.LastSignInAt != nil {
			e.LastSignInAt = max(e.LastSignInAt, store.Millis(*c.LastSignInAt))
		}
		if !found || changed > 0 || !c.fetched { // what a host is asked often and says again is no change
			e.Record(ctx, "account.imported", data)
		}
		if c.Locked != "" {
			e.Lock(ctx, recovery.LockReason(c.Locked), "", "import")
		}
		if c.fetched {
			return e.syncLocks(ctx, c.locks)
		}
		return nil
	})
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
	now := store.Millis(s.Now())
	start := audit.Start()
	if err := tx.InsertAccount(ctx, db.InsertAccountParams{
		AccountID: raw, Realm: string(realm), HostID: hostID, Version: 1, Locale: c.Locale, CreatedAt: now, LastSignInAt: now,
		ChainHead: start.Hash,
	}); err != nil {
		return "", err
	}
	return id, tx.InsertIdentifier(ctx, db.InsertIdentifierParams{Idx: s.Keys.Index(realm, hostIDKind, c.ID)[0], AccountID: raw})
}

// setIdentifiers makes the account answer to exactly these names.
func (e *Edit) setIdentifiers(ctx context.Context, ids []recovery.Identifier, existed bool) error {
	stale := map[string]db.AccountIdentifier{}
	if existed {
		rows, err := e.Tx.ListAccountIdentifiers(ctx, string(e.ID))
		if err != nil {
			return err
		}
		for _, row := range rows {
			stale[row.Idx] = row
		}
	}
	for _, id := range ids {
		idx := e.s.Keys.Index(e.Realm, string(id.Kind), id.Value)[0]
		if _, ok := stale[idx]; ok {
			delete(stale, idx)
			continue
		}
		sealed, err := e.s.Keys.Seal(place(e.Realm, e.ID, "account_identifiers.value"), []byte(id.Value))
		if err != nil {
			return err
		}
		if err := e.Tx.InsertIdentifier(ctx, db.InsertIdentifierParams{Idx: idx, AccountID: string(e.ID)}); err != nil {
			return err
		}
		if err := e.Tx.InsertAccountIdentifier(ctx, db.InsertAccountIdentifierParams{
			AccountID: string(e.ID), Kind: string(id.Kind), Idx: idx, Value: sealed,
		}); err != nil {
			return err
		}
	}
	for idx, row := range stale {
		if err := e.Tx.DeleteIdentifier(ctx, db.DeleteIdentifierParams{Idx: idx, AccountID: string(e.ID)}); err != nil {
			return err
		}
		if err := e.Tx.DeleteAccountIdentifier(ctx, db.DeleteAccountIdentifierParams{AccountID: string(e.ID), Kind: row.Kind, Idx: idx}); err != nil {
			return err
		}
	}
	return nil
}

// setContacts makes these the contacts on file and gives how many are new. A
// contact that is new to an account that existed has changed now, whatever the
// host says, so that a swap weakens what it proves (T23).
func (e *Edit) setContacts(ctx context.Context, contacts []recovery.Contact, existed bool) (int, error) {
	stale := map[string]db.AccountContact{}
	if existed {
		rows, err := e.Tx.ListContacts(ctx, string(e.ID))
		if err != nil {
			return 0, err
		}
		for _, row := range rows {
			stale[row.Kind+row.Idx+strconv.FormatInt(row.Position, 10)] = row
		}
	}
	added := 0
	positions := map[recovery.ContactKind]int{} // 0 is where codes of the kind go
	for _, contact := range contacts {
		position := positions[contact.Kind]
		positions[contact.Kind]++
		idx := e.s.Keys.Index(e.Realm, "contact-"+string(contact.Kind), contact.Value)[0]
		key := string(contact.Kind) + idx + strconv.Itoa(position)
		if _, ok := stale[key]; ok {
			delete(stale, key)
			continue
		}
		sealed, err := e.s.Keys.Seal(place(e.Realm, e.ID, "account_contacts.value"), []byte(contact.Value))
		if err != nil {
			return 0, err
		}
		changed := store.Millis(contact.ChangedAt)
		if existed {
			changed = store.Millis(e.Now)
		}
		id, err := uuid.NewV7()
		if err != nil {
			return 0, err
		}
		if err := e.Tx.InsertContact(ctx, db.InsertContactParams{
			AccountID: string(e.ID), ID: id.String(), Kind: string(contact.Kind), Position: int64(position), Idx: idx, Value: sealed,
			AddedAt: store.Millis(e.Now), ChangedAt: changed,
		}); err != nil {
			return 0, err
		}
		added++
	}
	for _, row := range stale {
		if err := e.Tx.DeleteContact(ctx, db.DeleteContactParams{AccountID: string(e.ID), ID: row.ID}); err != nil {
			return 0, err
		}
	}
	return added, nil
}

func (e *Edit) putFact(ctx context.Context, kind, value string) error {
	if value == "" {
		return nil
	}
	sealed, err := e.s.Keys.Seal(place(e.Realm, e.ID, "account_facts.value"), []byte(value))
	if err != nil {
		return err
	}
	return e.Tx.PutFact(ctx, db.PutFactParams{AccountID: string(e.ID), Kind: kind, Value: sealed})
}
