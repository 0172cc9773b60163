package account

import (
	"context"
	"iter"
	"strconv"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// setContacts makes these the contacts on file and gives how many are new and
// how many went. A contact that is new to an account that is here has changed
// now, whatever the host says, so that a swap weakens what it proves (T23). One
// that went is kept as a former contact, which is still told of recoveries (T12).
func (e *Edit) setContacts(ctx context.Context, contacts []recovery.Contact) (added, removed int, err error) {
	rows, err := e.Tx.ListContacts(ctx, string(e.ID))
	if err != nil {
		return 0, 0, err
	}
	stale := map[string]db.AccountContact{}
	for _, row := range rows {
		if row.RemovedAt != 0 {
			continue
		}
		stale[contactKey(row.Kind, row.Idx, row.Position)] = row
	}
	for contact, position := range placed(contacts) {
		known, err := e.keepContact(ctx, stale, contact, position)
		if err != nil {
			return 0, 0, err
		}
		if known {
			continue
		}
		contact.AddedAt, contact.ChangedAt = e.Now, e.Now
		if contact.ID, err = newID(); err != nil {
			return 0, 0, err
		}
		if err := e.insertContact(ctx, contact, position); err != nil {
			return 0, 0, err
		}
		added++
	}
	for _, row := range stale {
		if err := e.Tx.RetireContact(ctx, db.RetireContactParams{
			AccountID: string(e.ID), ID: row.ID, RemovedAt: store.Millis(e.Now),
		}); err != nil {
			return 0, 0, err
		}
	}
	return added, len(stale), nil
}

// placed gives each contact's position within its kind; 0 is where codes go, and
// a further contact never stands there.
func placed(contacts []recovery.Contact) iter.Seq2[recovery.Contact, int64] {
	return func(yield func(recovery.Contact, int64) bool) {
		next := map[recovery.ContactKind]int64{}
		for _, contact := range contacts {
			position := next[contact.Kind]
			if contact.Further {
				position = max(position, 1)
			}
			next[contact.Kind] = position + 1
			if !yield(contact, position) {
				return
			}
		}
	}
}

func contactKey(kind, idx string, position int64) string {
	return kind + " " + idx + " " + strconv.FormatInt(position, 10)
}

// keepContact takes the contact out of stale if it stands at its place, and
// brings its index to the current key.
func (e *Edit) keepContact(ctx context.Context, stale map[string]db.AccountContact, contact recovery.Contact, position int64) (bool, error) {
	for i, idx := range e.s.Keys.Index(e.Realm, "contact-"+string(contact.Kind), contact.Value) {
		key := contactKey(string(contact.Kind), idx, position)
		row, ok := stale[key]
		if !ok {
			continue
		}
		delete(stale, key)
		if i == 0 {
			return true, nil
		}
		if err := e.Tx.DeleteContact(ctx, db.DeleteContactParams{AccountID: string(e.ID), ID: row.ID}); err != nil {
			return false, err
		}
		contact.ID, contact.AddedAt, contact.ChangedAt = row.ID, store.Time(row.AddedAt), store.Time(row.ChangedAt)
		return true, e.insertContact(ctx, contact, position)
	}
	return false, nil
}

func (e *Edit) insertContact(ctx context.Context, contact recovery.Contact, position int64) error {
	row, err := e.s.contactRow(e.Realm, e.ID, contact, position)
	if err != nil {
		return err
	}
	return e.Tx.InsertContact(ctx, row)
}

func (s *Service) contactRow(realm recovery.Realm, to recovery.AccountID, contact recovery.Contact, position int64) (db.InsertContactParams, error) {
	sealed, err := s.Keys.Seal(place(realm, to, "account_contacts.value"), []byte(contact.Value))
	return db.InsertContactParams{
		AccountID: string(to), ID: contact.ID, Kind: string(contact.Kind), Position: position,
		Idx: s.Keys.Index(realm, "contact-"+string(contact.Kind), contact.Value)[0], Value: sealed,
		AddedAt: store.Millis(contact.AddedAt), ChangedAt: store.Millis(contact.ChangedAt),
	}, err
}

// setFacts puts the facts that have a value and gives how many are other than
// they were. One without a value stays as it is.
func (e *Edit) setFacts(ctx context.Context, facts map[string]string) (int, error) {
	known, err := e.s.Facts(ctx, e.Tx.Queries, e.Realm, e.ID)
	if err != nil {
		return 0, err
	}
	changes := 0
	for kind, value := range facts {
		if value == "" || value == known[kind] {
			continue
		}
		row, err := e.s.factRow(e.Realm, e.ID, kind, value)
		if err != nil {
			return 0, err
		}
		if err := e.Tx.PutFact(ctx, row); err != nil {
			return 0, err
		}
		changes++
	}
	return changes, nil
}

func (s *Service) factRow(realm recovery.Realm, to recovery.AccountID, kind, value string) (db.PutFactParams, error) {
	sealed, err := s.Keys.Seal(place(realm, to, "account_facts.value"), []byte(value))
	return db.PutFactParams{AccountID: string(to), Kind: kind, Value: sealed}, err
}
