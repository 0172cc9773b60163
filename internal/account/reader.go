package account

import (
	"cmp"
	"context"
	"slices"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// Reader reads one account's facts for a channel, each when it is asked for. The
// first failure is kept in Err and ends the reading.
type Reader struct {
	ctx   context.Context
	s     *Service
	q     *db.Queries
	realm recovery.Realm
	id    recovery.AccountID
	err   error
}

// Reader opens an account's facts.
func (s *Service) Reader(ctx context.Context, q *db.Queries, realm recovery.Realm, id recovery.AccountID) *Reader {
	return &Reader{ctx: ctx, s: s, q: q, realm: realm, id: id}
}

// Err is the first failure.
func (r *Reader) Err() error { return r.err }

// Account is the account's ID.
func (r *Reader) Account() recovery.AccountID { return r.id }

// Contact gives where messages of the kind go.
func (r *Reader) Contact(kind recovery.ContactKind) (recovery.Contact, bool) {
	if r.err != nil {
		return recovery.Contact{}, false
	}
	contacts, err := r.s.Contacts(r.ctx, r.q, r.realm, r.id)
	r.err = err
	for _, c := range contacts {
		if c.Kind == kind && !c.Further {
			return c, true
		}
	}
	return recovery.Contact{}, false
}

// Fact gives one verified fact.
func (r *Reader) Fact(kind string) (string, bool) {
	if r.err != nil {
		return "", false
	}
	facts, err := r.s.Facts(r.ctx, r.q, r.realm, r.id)
	r.err = err
	value, ok := facts[kind]
	return value, ok
}

// BackupCodes gives the hashes of the unused codes.
func (r *Reader) BackupCodes() []string {
	if r.err != nil {
		return nil
	}
	var hashes []string
	hashes, r.err = r.q.ListBackupCodes(r.ctx, string(r.id))
	return hashes
}

// Facts gives the verified facts on file, by kind.
func (s *Service) Facts(ctx context.Context, q *db.Queries, realm recovery.Realm, id recovery.AccountID) (map[string]string, error) {
	rows, err := q.ListFacts(ctx, string(id))
	if err != nil {
		return nil, err
	}
	facts := make(map[string]string, len(rows))
	for _, row := range rows {
		plain, err := s.Keys.Open(place(realm, id, "account_facts.value"), row.Value)
		if err != nil {
			return nil, err
		}
		facts[row.Kind] = string(plain)
	}
	return facts, nil
}

// Locks gives the reasons that hold now, the lockout of sign-in first.
func (s *Service) Locks(ctx context.Context, q *db.Queries, id recovery.AccountID) ([]recovery.Lock, error) {
	rows, err := q.ListLocks(ctx, db.ListLocksParams{AccountID: string(id), Lockout: s.lockoutKey(id)})
	if err != nil {
		return nil, err
	}
	var out []recovery.Lock
	for _, row := range rows {
		lock := recovery.Lock{Reason: recovery.LockReason(row.Reason), At: store.Time(row.At), Until: store.Time(row.Until)}
		if lock.Active(s.Now()) {
			out = append(out, lock)
		}
	}
	slices.SortFunc(out, func(a, b recovery.Lock) int {
		if a.Reason == recovery.LockTooManyFailures || b.Reason == recovery.LockTooManyFailures {
			return cmp.Compare(rank(a), rank(b))
		}
		return cmp.Compare(a.Reason, b.Reason)
	})
	return out, nil
}

// rank puts the lockout of sign-in first.
func rank(l recovery.Lock) int {
	if l.Reason == recovery.LockTooManyFailures {
		return 0
	}
	return 1
}
