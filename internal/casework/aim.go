package casework

import (
	"context"

	"github.com/wanbi/wanbi/internal/channel"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// aim finds out what a challenge reaches: which accounts, which contact, and
// under which key its guesses count.
func (st *step) aim(info recovery.ChannelInfo) (aim, error) {
	if st.takesOver() {
		return st.aimTarget(info)
	}
	nobody := aim{
		facts:       channel.Nobody{},
		destination: st.standIn(info.Name),
		err:         func() error { return nil },
	}
	candidates, err := st.candidates()
	if err != nil {
		return nobody, err
	}
	if info.Contact == "" {
		return st.aimAccount(nobody, info, candidates)
	}
	return st.aimContact(nobody, info, candidates)
}

// candidates gives the accounts that the case may be about: the chosen one, or
// those that answer to what was typed.
func (st *step) candidates() ([]recovery.AccountID, error) {
	if st.AccountID != "" {
		return []recovery.AccountID{recovery.AccountID(st.AccountID)}, nil
	}
	typed, err := st.identifier()
	if err != nil {
		return nil, err
	}
	return st.s.Accounts.Find(st.ctx, st.tx.Queries, recovery.Realm(st.Realm), typed)
}

// aimAccount is for channels that ask about one account and send nothing. Where
// the identifier is that of several accounts they wait for the choice.
func (st *step) aimAccount(to aim, info recovery.ChannelInfo, candidates []recovery.AccountID) (aim, error) {
	if len(candidates) != 1 {
		return to, nil
	}
	to.destination = st.s.Keys.CountKey("account", string(candidates[0]), info.Name)
	return st.found(to, candidates, nil)
}

// aimContact is for channels that reach a contact. What was typed is reached
// itself when it is on file; otherwise the account's own contact, if it is clear
// which account.
func (st *step) aimContact(to aim, info recovery.ChannelInfo, candidates []recovery.AccountID) (aim, error) {
	typed, err := st.identifier()
	if err != nil {
		return to, err
	}
	direct := string(typed.Kind) == string(info.Contact)
	if !direct && len(candidates) != 1 {
		return to, nil
	}
	var holders []recovery.AccountID
	var contact recovery.Contact
	for _, id := range candidates {
		read, err := st.contacts(id)
		if err != nil {
			return to, err
		}
		contacts, err := read.OnFile()
		if err != nil {
			return to, err
		}
		for _, c := range contacts {
			if c.Kind == info.Contact && !c.Further && (!direct || c.Value == typed.Value) {
				holders, contact = append(holders, id), c
				break
			}
		}
	}
	if len(holders) == 0 {
		if direct { // counted as if it were on file, so that plus tags do not multiply what strangers are sent (T27)
			to.destination = st.s.destinationKey(recovery.Contact{Kind: info.Contact, Value: typed.Value})
		}
		return to, nil
	}
	to.destination = st.s.destinationKey(contact)
	return st.found(to, holders, &contact)
}

// found fills in what is known of the accounts reached.
func (st *step) found(to aim, ids []recovery.AccountID, contact *recovery.Contact) (aim, error) {
	for i, id := range ids {
		row, err := st.account(id)
		if err != nil {
			return to, err
		}
		to.candidates = append(to.candidates, candidate{Account: id, Epoch: row.Epoch})
		if i == 0 {
			to.locale = row.Locale
		}
	}
	if len(ids) == 1 {
		known, err := st.trusts(ids[0])
		if err != nil {
			return to, err
		}
		to.known = known
	}
	if contact != nil {
		to.facts = reached{Nobody: channel.Nobody{ID: ids[0]}, contact: *contact}
		return to, nil
	}
	reader := st.s.Accounts.Reader(st.ctx, st.tx.Queries, recovery.Realm(st.Realm), ids[0])
	to.facts, to.err = reader, reader.Err
	return to, nil
}

// trusts reports whether the account knows the opener's device.
func (st *step) trusts(id recovery.AccountID) (bool, error) {
	if st.Device == "" {
		return false, nil
	}
	row, err := st.tx.GetDevice(st.ctx, db.GetDeviceParams{AccountID: string(id), Device: st.Device})
	if store.NotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return row.RevokedAt == 0 && row.TrustedFrom != 0 && !st.now.Before(store.Time(row.TrustedFrom)), nil
}

// reached is the facts of a channel that reaches one contact, whichever of
// several accounts it belongs to.
type reached struct {
	channel.Nobody
	contact recovery.Contact
}

// Contact is the one that was found.
func (r reached) Contact(kind recovery.ContactKind) (recovery.Contact, bool) {
	return r.contact, r.contact.Kind == kind
}

// fetchFromHost brings the accounts behind the typed identifier up to date when
// the realm's directory is the host's. It runs before the transaction.
func (s *Service) fetchFromHost(ctx context.Context, realm recovery.Realm, p startPayload) error {
	r, ok := s.Realms.Get(realm)
	if !ok || r.Directory == nil {
		return nil
	}
	var typed recovery.Identifier
	err := s.DB.Read(ctx, func(q *db.Queries) error {
		row, err := q.GetCase(ctx, db.GetCaseParams{Subject: string(p.Subject), ID: string(p.Case)})
		if err == nil && row.Intent == string(recovery.IntentTakeover) {
			row, err = q.GetCase(ctx, db.GetCaseParams{Subject: string(p.Subject), ID: row.Linked})
			if store.NotFound(err) {
				return nil // the number names nothing, so there is nobody to ask for
			}
		}
		if err != nil {
			return err
		}
		plain, err := s.Keys.Open(casePlace(row, "cases.identifier"), row.Identifier)
		typed = recovery.Identifier{Kind: recovery.IdentifierKind(row.Kind), Value: string(plain)}
		return err
	})
	if err != nil {
		return err
	}
	if typed.Value == "" {
		return nil
	}
	found, err := r.Directory.Find(ctx, realm, typed)
	if err != nil {
		return err
	}
	return s.Accounts.ImportDirectory(ctx, realm, found)
}
