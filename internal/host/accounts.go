package host

import (
	"context"
	"iter"
	"time"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/audit"
	"github.com/wanbi/wanbi/internal/channel"
	"github.com/wanbi/wanbi/internal/identifier"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/secret"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// MostRecords is how many records one batch may have.
const MostRecords = 500

// Result says how one record of a batch went. Err is nil when it is in.
type Result struct {
	ID      string          `json:"id"` // the host's own
	Created bool            `json:"created,omitempty"`
	Err     *recovery.Error `json:"err,omitempty"`
}

// Import brings a batch of accounts in; one that exists is brought up to date.
// Each record is whole or not at all, and a bad one keeps no other out.
func (d *Door) Import(ctx context.Context, from Caller, batch []account.Record) ([]Result, error) {
	if err := d.allow(ctx, from, ScopeAccountsWrite); err != nil {
		return nil, err
	}
	if err := size(len(batch), "accounts"); err != nil {
		return nil, err
	}
	return once(ctx, d, from, func() ([]Result, error) {
		imported, err := d.Accounts.Import(ctx, from.Realm, batch)
		if err != nil {
			return nil, err
		}
		out := make([]Result, len(imported))
		for i, one := range imported {
			out[i] = Result{ID: batch[i].ID, Created: one.Created, Err: public(one.Err)}
		}
		return out, nil
	}, "import", batch)
}

func size(n int, field string) error {
	if n > MostRecords {
		return recovery.BadInput("error.import.too-many").At(field).With("most", MostRecords)
	}
	return nil
}

// public drops the cause, which is for the log: a result is kept and handed out.
func public(err *recovery.Error) *recovery.Error {
	if err == nil {
		return nil
	}
	out := *err
	out.Cause = nil
	return &out
}

// Account is what a host may read of an account: masks, dates and counts, no
// secret and no address in full.
type Account struct {
	ID           string // the host's own
	Locale       string
	Identifiers  []Masked
	Contacts     []Contact
	Locks        []recovery.Lock // that hold now, too many failures among them
	BackupCodes  int             // not used yet
	Cases        []Case
	CreatedAt    time.Time
	LastSignInAt time.Time
}

// Masked is an identifier whose value is hidden but for its shape.
type Masked struct {
	Kind  recovery.IdentifierKind
	Value string
}

// Contact is a masked address and since when it is there.
type Contact struct {
	Kind      recovery.ContactKind
	Value     string
	AddedAt   time.Time
	ChangedAt time.Time // zero: not changed since the account came here
}

// Case is one recovery of the account.
type Case struct {
	Ref      recovery.CaseRef
	Intent   recovery.Intent
	State    recovery.State // as it reads now
	OpenedAt time.Time
	ClosedAt time.Time // zero while it runs
}

// Account reads one account by the host's own ID.
func (d *Door) Account(ctx context.Context, from Caller, hostID string) (Account, error) {
	if err := d.allow(ctx, from, ScopeAccountsRead); err != nil {
		return Account{}, err
	}
	var out Account
	err := d.DB.Read(ctx, func(q *db.Queries) error {
		id, err := d.find(ctx, q, from.Realm, hostID)
		if err != nil {
			return err
		}
		out, err = d.read(ctx, q, from.Realm, id)
		return err
	})
	return out, err
}

// exportPage is how many accounts are looked up at a time.
const exportPage = 200

// Export reads every account of the realm, each as [Door.Account] gives it. The
// key is checked at once; what goes wrong later ends the sequence with an error.
func (d *Door) Export(ctx context.Context, from Caller) (iter.Seq2[Account, error], error) {
	if err := d.allow(ctx, from, ScopeAccountsRead); err != nil {
		return nil, err
	}
	return func(yield func(Account, error) bool) {
		after := ""
		for {
			var ids []string
			err := d.DB.Read(ctx, func(q *db.Queries) (err error) {
				ids, err = q.AccountsAfter(ctx, db.AccountsAfterParams{Realm: string(from.Realm), AccountID: after, Limit: exportPage})
				return err
			})
			for _, id := range ids {
				var one Account
				if err == nil {
					err = d.DB.Read(ctx, func(q *db.Queries) (err error) {
						one, err = d.read(ctx, q, from.Realm, recovery.AccountID(id))
						return err
					})
				}
				if err != nil || !yield(one, nil) {
					break
				}
				after = id
			}
			if err != nil {
				yield(Account{}, err)
				return
			}
			if len(ids) < exportPage || after != ids[len(ids)-1] {
				return
			}
		}
	}, nil
}

func (d *Door) find(ctx context.Context, q *db.Queries, realm recovery.Realm, hostID string) (recovery.AccountID, error) {
	id, ok, err := d.Accounts.FindHostID(ctx, q, realm, hostID)
	if err == nil && !ok {
		err = recovery.NotFound("error.account.unknown")
	}
	return id, err
}

func (d *Door) read(ctx context.Context, q *db.Queries, realm recovery.Realm, id recovery.AccountID) (Account, error) {
	row, err := q.GetAccount(ctx, string(id))
	if err != nil {
		return Account{}, err
	}
	out := Account{Locale: row.Locale, CreatedAt: store.Time(row.CreatedAt), LastSignInAt: store.Time(row.LastSignInAt)}
	if out.ID, err = d.Accounts.HostID(row); err != nil {
		return out, err
	}
	identifiers, err := d.Accounts.Identifiers(ctx, q, realm, id)
	if err != nil {
		return out, err
	}
	for _, one := range identifiers {
		out.Identifiers = append(out.Identifiers, Masked{one.Kind, identifier.Mask(one)})
	}
	contacts, err := d.Accounts.Contacts(ctx, q, realm, id)
	if err != nil {
		return out, err
	}
	for _, one := range contacts {
		out.Contacts = append(out.Contacts, Contact{one.Kind, identifier.MaskContact(one), one.AddedAt, one.ChangedAt})
	}
	if out.Locks, err = d.Accounts.Locks(ctx, q, id); err != nil {
		return out, err
	}
	codes, err := q.ListBackupCodes(ctx, string(id))
	if err != nil {
		return out, err
	}
	out.BackupCodes = len(codes)
	out.Cases, err = d.cases(ctx, q, id)
	return out, err
}

// cases lists the recoveries that came to know the account, oldest first.
func (d *Door) cases(ctx context.Context, q *db.Queries, id recovery.AccountID) ([]Case, error) {
	bound, err := q.ListAccountCases(ctx, string(id))
	if err != nil {
		return nil, err
	}
	var out []Case
	for _, b := range bound {
		row, err := q.GetCase(ctx, db.GetCaseParams{Subject: b.Subject, ID: b.CaseID})
		if store.NotFound(err) {
			continue // its retention is over
		}
		if err != nil {
			return nil, err
		}
		state := recovery.Case{State: recovery.State(row.State), ExpiresAt: store.Time(row.ExpiresAt)}.StateAt(d.Now())
		out = append(out, Case{
			Ref: recovery.CaseRef(row.Ref), Intent: recovery.Intent(row.Intent), State: state,
			OpenedAt: store.Time(row.OpenedAt), ClosedAt: store.Time(row.ClosedAt),
		})
	}
	return out, nil
}

// Lock sets a typed lock: dormant, risk-alarm or violation. One that is set
// already stays set.
func (d *Door) Lock(ctx context.Context, from Caller, hostID string, reason recovery.LockReason) error {
	return d.setLock(ctx, from, hostID, reason, true)
}

// Unlock clears a lock of any reason. One that is not set changes nothing.
func (d *Door) Unlock(ctx context.Context, from Caller, hostID string, reason recovery.LockReason) error {
	return d.setLock(ctx, from, hostID, reason, false)
}

func (d *Door) setLock(ctx context.Context, from Caller, hostID string, reason recovery.LockReason, on bool) error {
	if err := d.allow(ctx, from, ScopeLocks); err != nil {
		return err
	}
	_, err := once(ctx, d, from, func() (struct{}, error) {
		return struct{}{}, d.Accounts.SetLock(ctx, from.Realm, hostID, reason, on)
	}, "lock", hostID, reason, on)
	return err
}

// MintBackupCodes makes an account's backup codes anew and gives them this once.
// The old ones are void from here on.
func (d *Door) MintBackupCodes(ctx context.Context, from Caller, hostID string) ([]string, error) {
	if err := d.allow(ctx, from, ScopeBackupCodes); err != nil {
		return nil, err
	}
	return once(ctx, d, from, func() ([]string, error) {
		var codes []string
		err := d.DB.Write(ctx, func(tx *store.Tx) error {
			codes = nil
			id, err := d.find(ctx, tx.Queries, from.Realm, hostID)
			if err != nil {
				return err
			}
			return d.Accounts.Edit(ctx, tx, id, func(e *account.Edit) error {
				if err := tx.DeleteBackupCodes(ctx, string(id)); err != nil {
					return err
				}
				for range channel.BackupCodes {
					code := secret.NewBackupCode()
					canonical, _ := secret.CanonicalBackupCode(code)
					if err := tx.InsertBackupCode(ctx, db.InsertBackupCodeParams{
						AccountID: string(id), Hash: channel.HashBackupCode(d.Keys, id, canonical), CreatedAt: store.Millis(e.Now),
					}); err != nil {
						return err
					}
					codes = append(codes, code)
				}
				e.Record(ctx, "backup-codes.made", map[string]string{"by": "host"})
				return nil
			})
		})
		return codes, err
	}, "backup-codes", hostID)
}

// Receipt proves what happened to an account, to be verified offline.
func (d *Door) Receipt(ctx context.Context, from Caller, hostID string) (audit.Receipt, error) {
	if err := d.allow(ctx, from, ScopeAccountsRead); err != nil {
		return audit.Receipt{}, err
	}
	var id recovery.AccountID
	err := d.DB.Read(ctx, func(q *db.Queries) (err error) {
		id, err = d.find(ctx, q, from.Realm, hostID)
		return err
	})
	if err != nil {
		return audit.Receipt{}, err
	}
	return d.Log.Receipt(ctx, account.Chain(from.Realm, id))
}
