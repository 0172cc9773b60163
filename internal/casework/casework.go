// Package casework moves a case from the first question to the end, and decides
// by the realm's policy whether it may.
//
// Every step is one transaction: the guarded row, one audit entry or more, and
// the jobs that the step wants. What is slow or outside (hashing, the directory
// of a host, gateways) never runs inside it. Doors call in; channels check;
// package policy says what is enough.
//
// Trust: callers have said who acts (a bearer token, a link, a host's key) and
// nothing else. Whether a proof is enough is decided here and nowhere else.
package casework

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/audit"
	"github.com/wanbi/wanbi/internal/jobs"
	"github.com/wanbi/wanbi/internal/notify"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/secret"
	"github.com/wanbi/wanbi/internal/span"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
	"github.com/wanbi/wanbi/internal/webhook"
)

// Service moves cases. Safe for concurrent use after Register.
type Service struct {
	DB       *store.DB
	Keys     *seal.Keyring
	Queue    *jobs.Queue
	Accounts *account.Service
	Realms   *Realms
	Hasher   *secret.Hasher
	Sender   notify.Sender
	Hooks    *webhook.Client
	Now      func() time.Time
	Log      *slog.Logger
	// Origin is where links in messages lead: scheme and host, from the
	// configuration and never from a request (T3).
	Origin string

	attacks attacks
}

// Register names the handlers of this package's jobs.
func (s *Service) Register() {
	s.Queue.Handle(startJob, s.startChallenge)
	s.Queue.Handle(noticeJob, s.sendNotices)
	s.Queue.Handle(deliverJob, s.deliver)
	s.Queue.Handle(applyJob, s.applyAtHost)
	s.Queue.Buried(applyJob, s.hostNeverAnswered)
	s.Queue.Handle(account.EventJob, s.tellHost)
	s.Queue.Handle(freezeJob, s.freeze)
}

// step is a case being moved in a transaction.
type step struct {
	db.Case
	s      *Service
	ctx    context.Context
	tx     *store.Tx
	now    time.Time
	policy *policy.Policy

	head    audit.Head
	touched bool
	noted   bool // the account's chain has the end of the case already
	seen    seen
}

// key names one case.
type key struct {
	subject recovery.Subject
	id      recovery.CaseID
}

// kept is an error that the caller gets after the step was committed: what it
// counted and recorded stays.
type kept struct{ err *recovery.Error }

func (k kept) Error() string { return k.err.Error() }

// errVoid ends a step on a case that another recovery of the account overtook.
var errVoid = errors.New("void")

// edit loads the case, lets fn move it, and writes it back guarded by its version.
// may says whether the caller may act in this case. An expired case is recorded
// as such, and fn is not called.
func (s *Service) edit(ctx context.Context, k key, once Once, may func(db.Case) error, fn func(st *step) error) error {
	return s.editAndShow(ctx, k, once, may, fn, nil)
}

// act is edit for a caller who is shown the case as the step, or the one that it
// repeats, left it.
func (s *Service) act(ctx context.Context, a Acting, fn func(st *step) error) (out Snapshot, err error) {
	err = s.editAndShow(ctx, a.key(), a.Once, a.May, fn, &out)
	return out, err
}

func (s *Service) editAndShow(ctx context.Context, k key, once Once, may func(db.Case) error, fn func(st *step) error, show *Snapshot) error {
	ctx, mark := span.Begin(ctx, "step")
	var reply error
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		reply = nil
		st, err := s.load(ctx, tx, k)
		if err != nil {
			return err
		}
		if err := may(st.Case); err != nil {
			return err
		}
		done, err := s.replay(ctx, tx, once, &reply)
		if err != nil {
			return err
		}
		if done {
			return st.show(show, reply)
		}
		err = st.overtaken()
		if err == nil {
			err = fn(st)
		}
		var keep kept
		switch {
		case errors.As(err, &keep):
			reply = keep.err
		case err != nil:
			return err
		}
		if err := s.remember(ctx, tx, once, reply); err != nil {
			return err
		}
		if err := st.save(); err != nil {
			return err
		}
		return st.show(show, reply)
	})
	if err == nil {
		err = reply
	}
	mark.End(err)
	return err
}

// load reads the case for a step. Its clock is never before the last touch, so
// that a clock which steps back revives nothing.
func (s *Service) load(ctx context.Context, tx *store.Tx, k key) (*step, error) {
	row, err := tx.GetCase(ctx, db.GetCaseParams{Subject: string(k.subject), ID: string(k.id)})
	if store.NotFound(err) {
		return nil, recovery.Unknown("error.case.unknown")
	}
	if err != nil {
		return nil, err
	}
	p, err := s.Realms.ByDigest(ctx, tx.Queries, row.PolicyDigest)
	if err != nil {
		return nil, err
	}
	now := s.Now()
	if touched := store.Time(row.TouchedAt); now.Before(touched) {
		now = touched
	}
	return &step{
		Case: row, s: s, ctx: ctx, tx: tx, now: now, policy: p,
		head: audit.Head{Seq: row.ChainSeq, Hash: row.ChainHead},
	}, nil
}

// overtaken closes a case whose time is over, or whose account was recovered by
// another case meanwhile (T9), and says so.
func (st *step) overtaken() error {
	if model(st.Case).StateAt(st.now) == recovery.StateExpired && !recovery.State(st.State).Closed() {
		if err := st.move(recovery.EventExpired, nil); err != nil {
			return err
		}
		return kept{recovery.Gone("error.case.expired")}
	}
	err := st.checkEpoch()
	if errors.Is(err, errVoid) {
		if err := st.move(recovery.EventStopped, map[string]string{"by": "another recovery of the account"}); err != nil {
			return err
		}
		return kept{recovery.Gone("error.case.closed")}
	}
	return err
}

func (st *step) checkEpoch() error {
	state := recovery.State(st.State)
	if st.AccountID == "" || state.Closed() || state == recovery.StateApplying {
		return nil
	}
	row, err := st.account(recovery.AccountID(st.AccountID))
	if err != nil {
		return err
	}
	if row.Epoch != st.AccountEpoch {
		return errVoid
	}
	return nil
}

// save writes the row back. A step that touched nothing leaves it as it is.
func (st *step) save() error {
	if !st.touched {
		return nil
	}
	was := st.Version
	st.Version, st.TouchedAt, st.ChainSeq, st.ChainHead = was+1, store.Millis(st.now), st.head.Seq, st.head.Hash
	return st.tx.UpdateCase(st.ctx, db.UpdateCaseParams{
		Subject: st.Subject, ID: st.ID, Was: was, State: st.State, TokenSerial: st.TokenSerial, Device: st.Device,
		AccountID: st.AccountID, AccountEpoch: st.AccountEpoch, KnownDevice: st.KnownDevice, TouchedAt: st.TouchedAt,
		ExpiresAt: st.ExpiresAt, HoldBegan: st.HoldBegan, HoldUntil: st.HoldUntil, ClosedAt: st.ClosedAt, Outcome: st.Outcome,
		ChainSeq: st.ChainSeq, ChainHead: st.ChainHead,
	})
}

// show gives the case as it stands for the caller, unless they get an error.
func (st *step) show(to *Snapshot, reply error) (err error) {
	if to != nil && reply == nil {
		*to, err = st.snapshot()
	}
	return err
}

// record writes an audit entry that moves nothing.
func (st *step) record(event string, data map[string]string) error {
	return st.append(audit.Entry{At: st.now, Event: event, From: recovery.State(st.State), To: recovery.State(st.State), Data: data})
}

// move takes the case along one row of the lifecycle table.
func (st *step) move(event recovery.Event, data map[string]string) error {
	from := recovery.State(st.State)
	to, err := recovery.Next(from, event)
	if err != nil {
		return err
	}
	st.State = string(to)
	if to.Closed() {
		st.ClosedAt, st.Outcome = store.Millis(st.now), nil
		if err := st.consumeChallenges(); err != nil {
			return err
		}
		if err := st.note("ended"); err != nil {
			return err
		}
	}
	return st.append(audit.Entry{At: st.now, Event: string(event), From: from, To: to, Data: data})
}

func (st *step) append(e audit.Entry) (err error) {
	st.touched = true
	st.head, err = audit.Append(st.ctx, st.tx, st.s.Keys, caseChain(st.Case), st.head, e)
	return err
}

// keepAlive lets an open case live on after a touch.
func (st *step) keepAlive() {
	if recovery.State(st.State) == recovery.StateOpen {
		st.ExpiresAt = store.Millis(st.now.Add(st.policy.Limits.OpenCase.Std()))
	}
	st.touched = true
}

func caseChain(row db.Case) audit.Chain {
	return audit.Chain{Owner: row.Subject, ID: row.ID, Realm: recovery.Realm(row.Realm)}
}

// model gives the row as the domain sees it.
func model(row db.Case) recovery.Case {
	return recovery.Case{
		ID: recovery.CaseID(row.ID), Subject: recovery.Subject(row.Subject), Ref: recovery.CaseRef(row.Ref), Realm: recovery.Realm(row.Realm),
		Intent: recovery.Intent(row.Intent), State: recovery.State(row.State), Version: row.Version, Kind: recovery.IdentifierKind(row.Kind),
		Locale: row.Locale, PolicyDigest: row.PolicyDigest, Account: recovery.AccountID(row.AccountID),
		OpenedAt: store.Time(row.OpenedAt), TouchedAt: store.Time(row.TouchedAt), ExpiresAt: store.Time(row.ExpiresAt),
		HoldBegan: store.Time(row.HoldBegan), HoldUntil: store.Time(row.HoldUntil), ClosedAt: store.Time(row.ClosedAt),
	}
}

func (st *step) place(column string) seal.Place { return casePlace(st.Case, column) }

func casePlace(row db.Case, column string) seal.Place {
	return seal.Place{Realm: recovery.Realm(row.Realm), Owner: row.Subject + "/" + row.ID, Column: column}
}

func challengePlace(row db.Case, challenge, column string) seal.Place {
	return seal.Place{Realm: recovery.Realm(row.Realm), Owner: row.Subject + "/" + row.ID + "/" + challenge, Column: column}
}

// newID makes a UUIDv7.
func newID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("new ID: %w", err)
	}
	return id.String(), nil
}

// anybody may act: links have been opened already and jobs are ours.
func anybody(db.Case) error { return nil }
