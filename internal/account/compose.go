package account

import (
	"github.com/wanbi/wanbi/internal/audit"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// compose gives the rows of an account that is not here yet, sealed, with the entry
// that it came. Locks are set afterwards.
func (s *Service) compose(realm recovery.Realm, c clean) (*store.NewAccount, error) {
	raw, err := newID()
	if err != nil {
		return nil, err
	}
	id, now := recovery.AccountID(raw), s.Now()
	hostID, err := s.Keys.Seal(place(realm, id, "accounts.host_id"), []byte(c.ID))
	if err != nil {
		return nil, err
	}
	entry, head, err := audit.Compose(s.Keys, Chain(realm, id), audit.Start(), audit.Entry{
		At: now, Event: importedEvent, Data: map[string]string{"created": "true"},
	})
	if err != nil {
		return nil, err
	}
	a := &store.NewAccount{
		Account: db.InsertAccountParams{
			AccountID: raw, Realm: string(realm), HostID: hostID, Version: 1, Locale: c.Locale, CreatedAt: store.Millis(now),
			LastSignInAt: c.lastSignIn(now, now), ChainSeq: head.Seq, ChainHead: head.Hash,
		},
		HostID: db.InsertHostIDParams{Idx: s.Keys.Index(realm, hostIDKind, c.ID)[0], AccountID: raw},
		Entry:  entry,
	}
	if c.PasswordHash != "" {
		a.Secrets = []db.ImportSecretParams{s.secretRow(id, c.PasswordHash, now)}
	}
	return a, s.composeWhatIsOnFile(a, realm, c)
}

// composeWhatIsOnFile adds names, contacts and facts.
func (s *Service) composeWhatIsOnFile(a *store.NewAccount, realm recovery.Realm, c clean) error {
	id, now := recovery.AccountID(a.Account.AccountID), store.Time(a.Account.CreatedAt)
	for _, name := range c.identifiers {
		row, err := s.identifierRow(realm, id, name, s.Keys.Index(realm, string(name.Kind), name.Value)[0])
		if err != nil {
			return err
		}
		a.Identifiers = append(a.Identifiers, row)
	}
	for contact, position := range placed(c.contacts) {
		var err error
		contact.AddedAt = now
		if contact.ID, err = newID(); err != nil {
			return err
		}
		row, err := s.contactRow(realm, id, contact, position)
		if err != nil {
			return err
		}
		a.Contacts = append(a.Contacts, row)
	}
	for kind, value := range c.facts() {
		if value == "" {
			continue
		}
		row, err := s.factRow(realm, id, kind, value)
		if err != nil {
			return err
		}
		a.Facts = append(a.Facts, row)
	}
	return nil
}
