package casework

import (
	"context"
	"errors"
	"time"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/replay"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// Snapshot is a case as it stands, for a door to shape. It holds more than any
// one caller may learn.
type Snapshot struct {
	Row      db.Case
	Case     recovery.Case
	State    recovery.State // as it reads now
	Now      time.Time
	Typed    recovery.Identifier
	Policy   *policy.Policy
	Decision policy.Decision
	Proven   []recovery.Evidence
	// Candidates are the accounts that the evidence may be about, while none is chosen.
	Candidates []recovery.AccountID
	Live       *db.Challenge
	Locks      []recovery.Lock
	Contacts   []recovery.Contact    // of the chosen account, on file
	Blocked    []recovery.LockReason // locks that this case cannot get past
	Clears     []recovery.LockReason // locks that completing it clears
	// Moved is where a completed takeover leads, nil for other cases.
	Moved *Moved
	// HostTold is when nothing waits to be told to the host any more.
	HostTold bool
}

// Ready reports whether the outcome may be taken.
func (s Snapshot) Ready() bool { return s.State == recovery.StateHeld && s.Case.Ready(s.Now) }

// Snapshot reads a case without changing it.
func (s *Service) Snapshot(ctx context.Context, a Acting) (Snapshot, error) {
	var out Snapshot
	err := s.DB.Read(ctx, func(q *db.Queries) error {
		st, err := s.load(ctx, &store.Tx{Queries: q}, a.key())
		if err != nil {
			return err
		}
		if err := a.May(st.Case); err != nil {
			return err
		}
		out, err = st.snapshot()
		return err
	})
	return out, err
}

func (st *step) snapshot() (Snapshot, error) {
	out := Snapshot{Row: st.Case, Case: model(st.Case), Now: st.now, Policy: st.policy}
	out.State = out.Case.StateAt(st.now)
	err := st.checkEpoch()
	if errors.Is(err, errVoid) {
		out.State, err = recovery.StateCancelled, nil
	}
	if err != nil {
		return out, err
	}
	if out.Typed, err = st.identifier(); err != nil {
		return out, err
	}
	facts, err := st.facts()
	if err != nil {
		return out, err
	}
	out.Proven = facts.Proven
	if out.Decision, err = st.decide(facts); err != nil {
		return out, err
	}
	if out.Moved, err = st.movedTo(); err != nil {
		return out, err
	}
	switch {
	case st.takesOver(): // what it proved says nothing of accounts
	case st.AccountID == "":
		_, common, err := st.proven()
		if err != nil {
			return out, err
		}
		for _, c := range common {
			out.Candidates = append(out.Candidates, c.Account)
		}
	default:
		if err := st.snapshotAccount(&out, facts); err != nil {
			return out, err
		}
	}
	out.Live, err = st.liveChallenge()
	return out, err
}

func (st *step) snapshotAccount(out *Snapshot, facts policy.Facts) (err error) {
	if out.Locks, err = st.locks(); err != nil {
		return err
	}
	out.Blocked, out.Clears = st.blocked(facts), st.clears(facts)
	contacts, err := st.contacts(recovery.AccountID(st.AccountID))
	if err != nil {
		return err
	}
	if out.Contacts, err = contacts.OnFile(); err != nil {
		return err
	}
	realm, _ := st.s.Realms.Get(recovery.Realm(st.Realm))
	if realm.Events == "" {
		out.HostTold = true
		return nil
	}
	waiting, err := st.tx.EarlierJobs(st.ctx, db.EarlierJobsParams{Key: st.AccountID, Kind: account.EventJob, ID: "~"})
	out.HostTold = waiting == 0
	return err
}

// Card is what can be shown of an account.
type Card struct {
	Identifiers []recovery.Identifier
	Contacts    []recovery.Contact
	Locks       []recovery.Lock
}

// Card reads an account for showing; the door masks it.
func (s *Service) Card(ctx context.Context, realm recovery.Realm, id recovery.AccountID) (Card, error) {
	var card Card
	err := s.DB.Read(ctx, func(q *db.Queries) (err error) {
		if card.Identifiers, err = s.Accounts.Identifiers(ctx, q, realm, id); err != nil {
			return err
		}
		if card.Contacts, err = s.Accounts.Contacts(ctx, q, realm, id); err != nil {
			return err
		}
		card.Locks, err = s.Accounts.Locks(ctx, q, id)
		return err
	})
	return card, err
}

// keepFormerContacts is how long a contact that went is remembered: longer than
// any policy may let a notice's link work (policy.validate: keep.cases).
const keepFormerContacts = 180 * 24 * time.Hour

// Sweep records the expiry of cases that nobody touched, and forgets counters
// and replies that are too old to matter. It may run on any node at any time.
func (s *Service) Sweep(ctx context.Context) error {
	const most = 200
	now := s.Now()
	var due []db.CasesDueRow
	err := s.DB.Read(ctx, func(q *db.Queries) (err error) {
		due, err = q.CasesDue(ctx, db.CasesDueParams{ExpiresAt: store.Millis(now), Limit: most})
		return err
	})
	for _, row := range due {
		e := s.edit(ctx, key{recovery.Subject(row.Subject), recovery.CaseID(row.ID)}, Once{}, anybody, func(*step) error { return nil })
		if e != nil && !recovery.IsKind(e, recovery.KindGone) {
			err = errors.Join(err, e)
		}
	}
	return errors.Join(err, s.DB.Write(ctx, func(tx *store.Tx) error {
		if _, err := tx.SweepCounters(ctx, store.Millis(now.Add(-48*time.Hour))); err != nil {
			return err
		}
		if _, err := tx.PurgeContacts(ctx, store.Millis(now.Add(-keepFormerContacts))); err != nil {
			return err
		}
		_, err := tx.SweepReplies(ctx, store.Millis(now.Add(-2*replay.Life)))
		return err
	}))
}
