package account

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

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
	prepared, err := s.Prepare(ctx, realm, batch)
	if err != nil {
		return nil, err
	}
	return s.Put(ctx, prepared)
}

// Prepared is a batch that was checked, its new accounts sealed.
type Prepared struct {
	realm   recovery.Realm
	records []prepared
}

// prepared is one record. What is new was not there when it was looked for, and is
// looked for again when it is written.
type prepared struct {
	clean
	indexes []string // of the host's ID, the current key's first
	new     *store.NewAccount
	err     *recovery.Error
}

// Prepare checks and seals a batch, so that this can be done while another is
// written. It changes nothing. The error is the database's.
func (s *Service) Prepare(ctx context.Context, realm recovery.Realm, batch []Record) (*Prepared, error) {
	p, ok := s.Policy(realm)
	if !ok {
		return nil, recovery.NotFound("error.realm.unknown")
	}
	records := make([]prepared, len(batch))
	for i, record := range batch {
		var err error
		if record.Locale == "" {
			record.Locale = p.Realm.Locale
		}
		if records[i].clean, err = check(record); err != nil {
			records[i].err = recovery.AsError(err)
		}
	}
	return s.prepare(ctx, realm, records)
}

// prepare seals what is new among the records that have no error.
func (s *Service) prepare(ctx context.Context, realm recovery.Realm, records []prepared) (*Prepared, error) {
	for i := range records {
		if records[i].err == nil {
			records[i].indexes = s.Keys.Index(realm, hostIDKind, records[i].ID)
		}
	}
	var known map[string]string
	err := s.DB.Read(ctx, func(q *db.Queries) (err error) {
		known, err = store.AccountsByHostIDs(ctx, q, indexesOf(records))
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range records {
		r := &records[i]
		if _, found := r.among(known); found || r.err != nil {
			continue
		}
		known[r.indexes[0]] = "" // a second record of the same account brings it up to date
		if r.new, err = s.compose(realm, r.clean); err != nil {
			r.err = recovery.AsError(err)
		}
	}
	return &Prepared{realm: realm, records: records}, nil
}

func indexesOf(records []prepared) (all []string) {
	for _, r := range records {
		all = append(all, r.indexes...)
	}
	return all
}

// among gives the account with the record's host ID.
func (r prepared) among(known map[string]string) (string, bool) {
	for _, idx := range r.indexes {
		if id, ok := known[idx]; ok {
			return id, true
		}
	}
	return "", false
}

// Put writes a batch that was prepared, as Import does.
func (s *Service) Put(ctx context.Context, p *Prepared) ([]Imported, error) {
	out := make([]Imported, len(p.records))
	for i, r := range p.records {
		out[i].Err = r.err
	}
	some := func(from, to int) error {
		return s.DB.Write(ctx, func(tx *store.Tx) error { return s.put(ctx, tx, p.realm, p.records[from:to], out[from:to]) })
	}
	err := some(0, len(p.records))
	if err == nil || recovery.IsKind(err, recovery.KindUnavailable) || ctx.Err() != nil {
		return out, err
	}
	for i := range p.records {
		if err := some(i, i+1); err != nil {
			if recovery.IsKind(err, recovery.KindUnavailable) || ctx.Err() != nil {
				return out, err
			}
			out[i] = Imported{Err: recovery.AsError(err)}
		}
	}
	return out, nil
}

// put writes the records that have no error: the new accounts first and together,
// then what the others change, account by account.
func (s *Service) put(ctx context.Context, tx *store.Tx, realm recovery.Realm, records []prepared, out []Imported) error {
	s.rekey(realm, records)
	known, err := store.AccountsByHostIDs(ctx, tx.Queries, indexesOf(records))
	if err != nil {
		return err
	}
	var created []store.NewAccount
	for i, r := range records {
		if r.err != nil {
			continue
		}
		id, found := r.among(known)
		out[i] = Imported{Account: recovery.AccountID(id), Created: !found}
		if found {
			continue
		}
		if r.new == nil { // what was there, or came before it, is not
			if r.new, err = s.compose(realm, r.clean); err != nil {
				return err
			}
		}
		out[i].Account = recovery.AccountID(r.new.Account.AccountID)
		known[r.indexes[0]] = r.new.Account.AccountID
		created = append(created, *r.new)
		if err := meet(ctx, tx, out[i].Account, r.indexes[1:]); err != nil {
			return err
		}
	}
	if err := tx.InsertAccounts(ctx, created); err != nil {
		return err
	}
	for _, i := range byAccount(out) {
		if records[i].err != nil {
			continue
		}
		if err := s.change(ctx, tx, realm, records[i].clean, out[i]); err != nil {
			return err
		}
	}
	return nil
}

// rekey looks records up, and composes them, under the keys of now: a rotation may
// have come after they were prepared, and what was there may have moved to its version.
func (s *Service) rekey(realm recovery.Realm, records []prepared) {
	for i := range records {
		r := &records[i]
		if r.err != nil {
			continue
		}
		if now := s.Keys.Index(realm, hostIDKind, r.ID); !slices.Equal(now, r.indexes) {
			r.indexes, r.new = now, nil
		}
	}
}

// byAccount gives the records in the order of their accounts, those of one account
// as they came: two transactions that change the same accounts then wait for each
// other and do not lock each other out.
func byAccount(out []Imported) []int {
	order := make([]int, len(out))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(out[a].Account, out[b].Account) })
	return order
}

// change brings an account that was there up to date, and locks a new one.
func (s *Service) change(ctx context.Context, tx *store.Tx, realm recovery.Realm, c clean, in Imported) error {
	if in.Created {
		if c.Locked == "" && len(c.locks) == 0 {
			return nil
		}
		return s.Edit(ctx, tx, in.Account, func(e *Edit) error { return e.bringLocks(ctx, c) })
	}
	if err := s.indexHostID(ctx, tx, realm, in.Account, c.ID); err != nil {
		return err
	}
	return s.Edit(ctx, tx, in.Account, func(e *Edit) error { return e.bring(ctx, c) })
}

// lastSignIn is what the record says, in milliseconds: not later than now, and
// otherwise if it says nothing.
func (c clean) lastSignIn(now, otherwise time.Time) int64 {
	if c.LastSignInAt == nil {
		return store.Millis(otherwise)
	}
	return min(store.Millis(*c.LastSignInAt), store.Millis(now))
}

// bring makes an account that was there what the record says. What a host's
// directory is asked often and says again is no change and leaves no entry.
func (e *Edit) bring(ctx context.Context, c clean) error {
	names, err := e.setIdentifiers(ctx, c.identifiers)
	if err != nil {
		return err
	}
	added, removed, err := e.setContacts(ctx, c.contacts)
	if err != nil {
		return err
	}
	facts, err := e.setFacts(ctx, c.facts())
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
	data := map[string]string{"created": "false"}
	changes := 0
	for name, n := range map[string]int{
		"identifiers_changed": names, "contacts_changed": added, "contacts_removed": removed, "facts_changed": facts, "secret_changed": secret,
	} {
		changes += n
		if n > 0 {
			data[name] = strconv.Itoa(n)
		}
	}
	if changes > 0 || !c.fetched {
		e.Record(ctx, importedEvent, data)
	}
	return e.bringLocks(ctx, c)
}

// importedEvent is the entry that an account came or was brought up to date.
const importedEvent = "account.imported"

// facts are those of the record that are kept to be asked about, by kind.
func (c clean) facts() map[string]string {
	return map[string]string{"real-name": c.RealName, "resident-id": c.ResidentID}
}

func (e *Edit) bringLocks(ctx context.Context, c clean) error {
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
	rows, err := e.Tx.ImportSecret(ctx, e.s.secretRow(e.ID, hash, e.Now))
	return int(rows), err
}

func (s *Service) secretRow(id recovery.AccountID, hash string, now time.Time) db.ImportSecretParams {
	return db.ImportSecretParams{
		AccountID: string(id), Kind: SecretPassword, Hash: hash, SetAt: store.Millis(now),
		Imported: s.Keys.CountKey("imported", string(id), hash),
	}
}

// setIdentifiers makes the account answer to exactly these names and gives how
// many came or went.
func (e *Edit) setIdentifiers(ctx context.Context, ids []recovery.Identifier) (int, error) {
	rows, err := e.Tx.ListAccountIdentifiers(ctx, string(e.ID))
	if err != nil {
		return 0, err
	}
	stale := map[string]db.AccountIdentifier{}
	for _, row := range rows {
		stale[row.Idx] = row
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
	row, err := e.s.identifierRow(e.Realm, e.ID, id, idx)
	if err != nil {
		return err
	}
	if err := e.Tx.InsertIdentifier(ctx, db.InsertIdentifierParams{Idx: idx, AccountID: string(e.ID)}); err != nil {
		return err
	}
	return e.Tx.InsertAccountIdentifier(ctx, row)
}

func (s *Service) identifierRow(realm recovery.Realm, to recovery.AccountID, id recovery.Identifier, idx string) (db.InsertAccountIdentifierParams, error) {
	sealed, err := s.Keys.Seal(place(realm, to, "account_identifiers.value"), []byte(id.Value))
	return db.InsertAccountIdentifierParams{AccountID: string(to), Kind: string(id.Kind), Idx: idx, Value: sealed}, err
}

func (e *Edit) deleteIdentifier(ctx context.Context, row db.AccountIdentifier) error {
	if err := e.Tx.DeleteIdentifier(ctx, db.DeleteIdentifierParams{Idx: row.Idx, AccountID: string(e.ID)}); err != nil {
		return err
	}
	return e.Tx.DeleteAccountIdentifier(ctx, db.DeleteAccountIdentifierParams{AccountID: string(e.ID), Kind: row.Kind, Idx: row.Idx})
}
