package casework

import (
	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// seen is what a step has read beside its case. Each is read once; a step that
// changes one says so.
type seen struct {
	accounts map[recovery.AccountID]db.Account
	contacts map[recovery.AccountID]account.Contacts
	locks    once[[]recovery.Lock]
	proofs   once[[]proof]
	live     once[*db.Challenge]
}

// once is a value that is read when it is first asked for.
type once[T any] struct {
	known bool
	value T
}

func (o *once[T]) get(read func() (T, error)) (T, error) {
	if o.known {
		return o.value, nil
	}
	value, err := read()
	if err == nil {
		o.set(value)
	}
	return value, err
}

func (o *once[T]) set(value T) { o.known, o.value = true, value }

// account is the row of an account.
func (st *step) account(id recovery.AccountID) (db.Account, error) {
	if row, ok := st.seen.accounts[id]; ok {
		return row, nil
	}
	row, err := st.tx.GetAccount(st.ctx, string(id))
	if err != nil {
		return row, err
	}
	if st.seen.accounts == nil {
		st.seen.accounts = map[recovery.AccountID]db.Account{}
	}
	st.seen.accounts[id] = row
	return row, nil
}

// contacts is what is known of an account's contacts.
func (st *step) contacts(id recovery.AccountID) (account.Contacts, error) {
	if read, ok := st.seen.contacts[id]; ok {
		return read, nil
	}
	read, err := st.s.Accounts.ReadContacts(st.ctx, st.tx.Queries, recovery.Realm(st.Realm), id)
	if err != nil {
		return read, err
	}
	if st.seen.contacts == nil {
		st.seen.contacts = map[recovery.AccountID]account.Contacts{}
	}
	st.seen.contacts[id] = read
	return read, nil
}

// locks are those of the case's account.
func (st *step) locks() ([]recovery.Lock, error) {
	return st.seen.locks.get(func() ([]recovery.Lock, error) {
		return st.s.Accounts.Locks(st.ctx, st.tx.Queries, recovery.AccountID(st.AccountID))
	})
}

// editAccount changes an account in the case's transaction.
func (st *step) editAccount(id recovery.AccountID, fn func(e *account.Edit) error) error {
	row, err := st.account(id)
	if err != nil {
		return err
	}
	st.seen.accounts[id], err = st.s.Accounts.EditRow(st.ctx, st.tx, row, fn)
	return err
}

// liveChallenge is the one that can be answered; nil for none.
func (st *step) liveChallenge() (*db.Challenge, error) {
	return st.seen.live.get(func() (*db.Challenge, error) {
		rows, err := st.tx.LiveChallenges(st.ctx, db.LiveChallengesParams{Subject: st.Subject, CaseID: st.ID})
		if err != nil || len(rows) == 0 {
			return nil, err
		}
		return &rows[len(rows)-1], nil
	})
}

// consumeChallenges leaves none that can be answered.
func (st *step) consumeChallenges() error {
	st.seen.live.set(nil)
	return st.tx.ConsumeChallenges(st.ctx, db.ConsumeChallengesParams{
		Subject: st.Subject, CaseID: st.ID, ConsumedAt: store.Millis(st.now),
	})
}
