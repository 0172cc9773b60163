// Package account keeps accounts and what changes on them without a case:
// import, facts, secrets, locks, devices, contacts. It is also the built-in
// directory, for hosts that do not keep accounts themselves.
//
// Every change goes through [Service.Edit]: the guarded row, an audit entry on
// the account's own chain, and the events the host is told, in one transaction.
//
// Trust: callers here are hosts with a scoped key and package casework, which
// has checked what it asks for. Nothing here gives a secret back.
package account

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/wanbi/wanbi/internal/audit"
	"github.com/wanbi/wanbi/internal/jobs"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/secret"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// Service works on the accounts of every realm. Safe for concurrent use.
type Service struct {
	DB     *store.DB
	Keys   *seal.Keyring
	Queue  *jobs.Queue
	Hasher *secret.Hasher
	Policy func(recovery.Realm) (*policy.Policy, bool)
	Now    func() time.Time
	Log    *slog.Logger
	// Listens says whether the realm's host wants to be told events; nil for always.
	Listens func(recovery.Realm) bool
}

// SecretPassword is the kind of the sign-in secret.
const SecretPassword = "password"

// hostIDKind is the blind index of the host's own ID of an account.
const hostIDKind = "host-id"

func place(realm recovery.Realm, id recovery.AccountID, column string) seal.Place {
	return seal.Place{Realm: realm, Owner: string(id), Column: column}
}

// Chain is the account's audit chain.
func Chain(realm recovery.Realm, id recovery.AccountID) audit.Chain {
	return audit.Chain{Owner: string(id), ID: string(id), Realm: realm}
}

// maxFound is how many accounts one identifier finds at most.
const maxFound = 9

// Find gives the accounts that answer to an identifier, at most nine, in a fixed order.
func (s *Service) Find(ctx context.Context, q *db.Queries, realm recovery.Realm, id recovery.Identifier) ([]recovery.AccountID, error) {
	all := s.Keys.Index(realm, string(id.Kind), id.Value)
	var rows []string
	var err error
	if len(all) == 1 {
		rows, err = q.FindAccounts(ctx, all[0])
	} else { // during a rotation some rows stand under an older key
		p := fourOf(all)
		rows, err = q.FindAccountsByAny(ctx, db.FindAccountsByAnyParams{Idx: p[0], Idx_2: p[1], Idx_3: p[2], Idx_4: p[3]})
	}
	if err != nil {
		return nil, err
	}
	out := make([]recovery.AccountID, 0, len(rows))
	for _, row := range rows {
		out = append(out, recovery.AccountID(row))
	}
	return out[:min(len(out), maxFound)], nil
}

// fourOf gives the indexes of every version, repeated where there are fewer than
// four: one statement looks for all, so that a row which moves to the current
// version meanwhile is not missed.
func fourOf(all []string) (out [seal.MaxVersions]string) {
	for i := range out {
		out[i] = all[min(i, len(all)-1)]
	}
	return out
}

// FindHostID gives the account with the host's own ID; false when there is none.
func (s *Service) FindHostID(ctx context.Context, q *db.Queries, realm recovery.Realm, hostID string) (recovery.AccountID, bool, error) {
	all := s.Keys.Index(realm, hostIDKind, hostID)
	var found string
	var err error
	if len(all) == 1 {
		found, err = q.AccountByHostID(ctx, all[0])
	} else {
		p := fourOf(all)
		found, err = q.AccountByAnyHostID(ctx, db.AccountByAnyHostIDParams{Idx: p[0], Idx_2: p[1], Idx_3: p[2], Idx_4: p[3]})
	}
	if store.NotFound(err) {
		return "", false, nil
	}
	return recovery.AccountID(found), err == nil, err
}

// indexHostID makes the account findable by the host's own ID under the current
// key alone. Of two transactions that create the same account one is first, and
// the other is tried again and finds it; they meet in a row of every version, since
// during a rotation two nodes may use two.
func (s *Service) indexHostID(ctx context.Context, tx *store.Tx, realm recovery.Realm, id recovery.AccountID, hostID string) error {
	all := s.Keys.Index(realm, hostIDKind, hostID)
	indexed, err := tx.AccountByHostID(ctx, all[0])
	if err == nil && indexed != string(id) {
		return store.ErrStale // created elsewhere since it was looked for
	}
	if err == nil || !store.NotFound(err) {
		return err
	}
	var missing []string
	for _, other := range all[1:] {
		at, err := tx.AccountByHostID(ctx, other)
		switch {
		case store.NotFound(err):
			missing = append(missing, other)
		case err != nil:
			return err
		case at != string(id):
			return store.ErrStale
		default:
			if err := tx.DeleteHostID(ctx, other); err != nil {
				return err
			}
		}
	}
	if err := meet(ctx, tx, id, missing); err != nil {
		return err
	}
	return tx.InsertHostID(ctx, db.InsertHostIDParams{Idx: all[0], AccountID: string(id)})
}

// meet has two transactions that create the same account under two versions of the
// key wait for each other: the row is there for as long as the transaction lasts.
func meet(ctx context.Context, tx *store.Tx, id recovery.AccountID, others []string) error {
	for _, other := range others {
		if err := tx.InsertHostID(ctx, db.InsertHostIDParams{Idx: other, AccountID: string(id)}); err != nil {
			return err
		}
		if err := tx.DeleteHostID(ctx, other); err != nil {
			return err
		}
	}
	return nil
}

// HostID opens the host's own ID of an account.
func (s *Service) HostID(row db.Account) (string, error) {
	plain, err := s.Keys.Open(place(recovery.Realm(row.Realm), recovery.AccountID(row.AccountID), "accounts.host_id"), row.HostID)
	return string(plain), err
}

// Identifiers gives the names the account answers to.
func (s *Service) Identifiers(ctx context.Context, q *db.Queries, realm recovery.Realm, id recovery.AccountID) ([]recovery.Identifier, error) {
	rows, err := q.ListAccountIdentifiers(ctx, string(id))
	if err != nil {
		return nil, err
	}
	out := make([]recovery.Identifier, 0, len(rows))
	for _, row := range rows {
		plain, err := s.Keys.Open(place(realm, id, "account_identifiers.value"), row.Value)
		if err != nil {
			return nil, err
		}
		out = append(out, recovery.Identifier{Kind: recovery.IdentifierKind(row.Kind), Value: string(plain)})
	}
	return out, nil
}

// Edit is an account being changed in a transaction.
type Edit struct {
	db.Account
	Realm recovery.Realm
	ID    recovery.AccountID
	Tx    *store.Tx
	Now   time.Time

	s    *Service
	head audit.Head
	err  error
}

// Edit loads the account, lets fn change it, and writes it back guarded by its
// version. An fn that records and tells nothing leaves the row as it is.
func (s *Service) Edit(ctx context.Context, tx *store.Tx, id recovery.AccountID, fn func(e *Edit) error) error {
	row, err := tx.GetAccount(ctx, string(id))
	if err != nil {
		return err
	}
	_, err = s.EditRow(ctx, tx, row, fn)
	return err
}

// EditRow is Edit of an account that the transaction has read already. It gives the
// row as it is now.
func (s *Service) EditRow(ctx context.Context, tx *store.Tx, row db.Account, fn func(e *Edit) error) (db.Account, error) {
	e := &Edit{
		Account: row, Realm: recovery.Realm(row.Realm), ID: recovery.AccountID(row.AccountID), Tx: tx, Now: s.Now(), s: s,
		head: audit.Head{Seq: row.ChainSeq, Hash: row.ChainHead},
	}
	err := fn(e)
	if e.err != nil { // the first failure: what fn met after it may be no more than its echo
		return row, e.err
	}
	if err != nil || e.head.Seq == row.ChainSeq && e.EventSeq == row.EventSeq {
		return row, err
	}
	e.Version, e.ChainSeq, e.ChainHead = row.Version+1, e.head.Seq, e.head.Hash
	return e.Account, tx.UpdateAccount(ctx, db.UpdateAccountParams{
		AccountID: row.AccountID, Was: row.Version, Locale: e.Locale, LastSignInAt: e.LastSignInAt, WarnedAt: e.WarnedAt,
		Epoch: e.Epoch, EventSeq: e.EventSeq, ChainSeq: e.ChainSeq, ChainHead: e.ChainHead,
	})
}

// Record writes an entry on the account's chain.
func (e *Edit) Record(ctx context.Context, event string, data map[string]string) {
	if e.err != nil {
		return
	}
	e.head, e.err = audit.Append(ctx, e.Tx, e.s.Keys, Chain(e.Realm, e.ID), e.head, audit.Entry{At: e.Now, Event: event, Data: data})
}

// EventJob is the kind of job that tells the host an event.
const EventJob = "host.event"

// Event is what a host is told; docs/events.md is its contract.
type Event struct {
	ID       string    `json:"id"` // that of its job
	Type     string    `json:"type"`
	Realm    string    `json:"realm"`
	Account  string    `json:"account"` // the host's own ID
	Sequence int64     `json:"sequence"`
	At       time.Time `json:"at"`
	CaseRef  string    `json:"case_ref,omitempty"`
	Reason   string    `json:"reason,omitempty"`
}

// Tell queues an event for the host, numbered in the account's own order. It is
// numbered also where nobody listens.
func (e *Edit) Tell(ctx context.Context, kind string, ref recovery.CaseRef, reason string) {
	if e.err != nil {
		return
	}
	e.EventSeq++
	if e.s.Listens != nil && !e.s.Listens(e.Realm) {
		return
	}
	hostID, err := e.s.HostID(e.Account)
	if err != nil {
		e.err = err
		return
	}
	e.err = e.s.Queue.Enqueue(ctx, e.Tx, jobs.New{
		Key: string(e.ID), Kind: EventJob, Realm: e.Realm, Due: e.Now,
		Payload: Event{
			Type: kind, Realm: string(e.Realm), Account: hostID, Sequence: e.EventSeq, At: e.Now, CaseRef: string(ref), Reason: reason,
		},
	})
}

// ReadEvent reads the event that a job tells.
func ReadEvent(job jobs.Job) (Event, error) {
	var e Event
	err := job.Read(&e)
	e.ID = job.ID
	return e, err
}

// The event types that hosts are told.
const (
	EventSecretChanged   = "secret.changed"
	EventSessionsEnded   = "sessions.ended"
	EventAccountLocked   = "account.locked"
	EventAccountUnlocked = "account.unlocked"
)

func newID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("new ID: %w", err)
	}
	return id.String(), nil
}
