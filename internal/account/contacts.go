package account

import (
	"context"
	"time"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// Contacts is what one read gives of an account's contacts: those on file and
// those that went. They are opened when they are asked for.
type Contacts struct {
	s     *Service
	realm recovery.Realm
	id    recovery.AccountID
	rows  []db.AccountContact
}

// ReadContacts reads them.
func (s *Service) ReadContacts(ctx context.Context, q *db.Queries, realm recovery.Realm, id recovery.AccountID) (Contacts, error) {
	rows, err := q.ListContacts(ctx, string(id))
	return Contacts{s, realm, id, rows}, err
}

// Contacts gives the contacts on file, where codes go first.
func (s *Service) Contacts(ctx context.Context, q *db.Queries, realm recovery.Realm, id recovery.AccountID) ([]recovery.Contact, error) {
	read, err := s.ReadContacts(ctx, q, realm, id)
	if err != nil {
		return nil, err
	}
	return read.OnFile()
}

// OnFile gives the contacts on file, where codes go first.
func (c Contacts) OnFile() ([]recovery.Contact, error) {
	return c.open(func(row db.AccountContact) bool { return row.RemovedAt == 0 })
}

// Former gives the contacts that went after since: a new contact never replaces
// the old ones for notices (T12). ChangedAt is when each went.
func (c Contacts) Former(since time.Time) ([]recovery.Contact, error) {
	return c.open(func(row db.AccountContact) bool { return row.RemovedAt > store.Millis(since) })
}

// LastChange is when a contact last changed, or went after since; zero for never.
func (c Contacts) LastChange(since time.Time) time.Time {
	last := int64(0)
	for _, row := range c.rows {
		switch {
		case row.RemovedAt == 0:
			last = max(last, row.ChangedAt)
		case row.RemovedAt > store.Millis(since):
			last = max(last, row.RemovedAt)
		}
	}
	return store.Time(last)
}

func (c Contacts) open(wanted func(db.AccountContact) bool) ([]recovery.Contact, error) {
	var out []recovery.Contact
	for _, row := range c.rows {
		if !wanted(row) {
			continue
		}
		plain, err := c.s.Keys.Open(place(c.realm, c.id, "account_contacts.value"), row.Value)
		if err != nil {
			return nil, err
		}
		out = append(out, recovery.Contact{
			ID: row.ID, Kind: recovery.ContactKind(row.Kind), Value: string(plain), AddedAt: store.Time(row.AddedAt),
			ChangedAt: store.Time(max(row.ChangedAt, row.RemovedAt)), Further: row.Position > 0,
		})
	}
	return out, nil
}
