package account

import (
	"context"
	"time"

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

// Locks gives the reasons that hold now, the lockout of sign-in among them.
func (s *Service) Locks(ctx context.Context, q *db.Queries, id recovery.AccountID) ([]recovery.Lock, error) {
	now := s.Now()
	var out []recovery.Lock
	lockout, err := q.GetLockout(ctx, s.lockoutKey(id))
	if err != nil && !store.NotFound(err) {
		return nil, err
	}
	if err == nil && lockout.Until > store.Millis(now) {
		out = append(out, recovery.Lock{
			Reason: recovery.LockTooManyFailures, Until: store.Time(lockout.Until),
		})
	}
	rows, err := q.ListLocks(ctx, string(id))
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		lock := recovery.Lock{Reason: recovery.LockReason(row.Reason), At: store.Time(row.At), Until: store.Time(row.Until)}
		if lock.Active(now) {
			out = append(out, lock)
		}
	}
	return out, nil
}

// LastContactChange is when a contact of the account last changed; zero for never.
func LastContactChange(contacts []recovery.Contact) (last time.Time) {
	for _, c := range contacts {
		if c.ChangedAt.After(last) {
			last = c.ChangedAt
		}
	}
	return last
}
