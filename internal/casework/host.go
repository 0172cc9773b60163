package casework

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/directory"
	"github.com/wanbi/wanbi/internal/jobs"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

const applyJob = "host.apply"

type applyPayload struct {
	Subject recovery.Subject `json:"subject"`
	Case    recovery.CaseID  `json:"case"`
	Device  string           `json:"device"`
}

// pending is what waits, sealed, until the host confirmed it.
type pending struct {
	Secret string `json:"secret"`
}

// askHost keeps the secret sealed and queues the call that gives it to the host.
// From here on every other case of the account is void, so that of two outcomes
// taken at once the host hears one.
func (st *step) askHost(in Taking) error {
	if err := st.s.Accounts.Edit(st.ctx, st.tx, recovery.AccountID(st.AccountID), func(e *account.Edit) error {
		if e.Epoch != st.AccountEpoch {
			return store.ErrStale
		}
		e.Epoch++
		st.AccountEpoch = e.Epoch
		e.Record(st.ctx, "host.asked", map[string]string{"case": st.Ref, "intent": st.Intent})
		return nil
	}); err != nil {
		return err
	}
	plain, err := json.Marshal(pending{Secret: in.Secret})
	if err != nil {
		return err
	}
	if st.Outcome, err = st.s.Keys.Seal(st.place("cases.outcome"), plain); err != nil {
		return err
	}
	return st.s.Queue.Enqueue(st.ctx, st.tx, jobs.New{
		Key: st.Subject, Kind: applyJob, Realm: recovery.Realm(st.Realm), Due: st.now,
		Payload: applyPayload{Subject: recovery.Subject(st.Subject), Case: recovery.CaseID(st.ID), Device: in.Device},
	})
}

// applyAtHost is the job that gives the outcome to the host. Setting a secret is
// idempotent by case, so a repeat after a crash does no harm.
func (s *Service) applyAtHost(ctx context.Context, job jobs.Job) error {
	var p applyPayload
	if err := job.Read(&p); err != nil {
		return err
	}
	row, err := s.peek(ctx, Acting{Subject: p.Subject, ID: p.Case, May: anybody})
	if err != nil || recovery.State(row.State) != recovery.StateApplying {
		return err
	}
	refusal := s.callHost(ctx, row)
	frozen := errors.Is(refusal, errVoid)
	if refusal != nil && !frozen && !recovery.IsKind(refusal, recovery.KindBadInput) {
		return refusal // not an answer: tried again, in the end a dead letter
	}
	return s.edit(ctx, key{p.Subject, p.Case}, Once{}, anybody, func(st *step) error {
		if err := s.Queue.Finish(ctx, st.tx, job); err != nil {
			return err
		}
		if recovery.State(st.State) != recovery.StateApplying {
			return nil
		}
		st.Outcome = nil
		if frozen {
			row, err := st.account(recovery.AccountID(st.AccountID))
			if err != nil {
				return err
			}
			st.AccountEpoch = row.Epoch // a person looks at it: it is not void
			return st.move(recovery.EventHostSilent, map[string]string{"why": "the account was frozen"})
		}
		if refusal != nil {
			return st.move(recovery.EventHostRefused, map[string]string{"reason": recovery.AsError(refusal).Key})
		}
		if err := st.apply("", p.Device); err != nil {
			return err
		}
		return st.complete()
	})
}

func (s *Service) callHost(ctx context.Context, row db.Case) error {
	realm, ok := s.Realms.Get(recovery.Realm(row.Realm))
	if !ok || realm.Directory == nil {
		return recovery.Unavailable("error.unavailable", 0)
	}
	var hostID string
	var cleared []recovery.LockReason
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		a, err := tx.GetAccount(ctx, row.AccountID)
		if err != nil {
			return err
		}
		if a.Epoch != row.AccountEpoch {
			return errVoid // the owner of an earlier recovery said "not me" meanwhile
		}
		if hostID, err = s.Accounts.HostID(a); err != nil {
			return err
		}
		st, err := s.load(ctx, tx, key{recovery.Subject(row.Subject), recovery.CaseID(row.ID)})
		if err != nil {
			return err
		}
		facts, err := st.facts()
		cleared = st.clears(facts)
		return err
	})
	if err != nil {
		return err
	}
	caseID := recovery.CaseID(row.ID)
	if recovery.Intent(row.Intent) == recovery.IntentUnlock {
		return realm.Directory.Unlock(ctx, recovery.Realm(row.Realm), hostID, caseID, cleared)
	}
	plain, err := s.Keys.Open(casePlace(row, "cases.outcome"), row.Outcome)
	if err != nil {
		return err
	}
	var p pending
	if err := json.Unmarshal(plain, &p); err != nil {
		return err
	}
	if err := realm.Directory.SetSecret(ctx, directory.SetSecret{
		Realm: recovery.Realm(row.Realm), Case: caseID, HostID: hostID, Kind: account.SecretPassword, Secret: p.Secret,
	}); err != nil {
		return err
	}
	return realm.Directory.EndSessions(ctx, recovery.Realm(row.Realm), hostID, caseID)
}

// hostNeverAnswered is the consequence of a dead letter: a person has to look.
func (s *Service) hostNeverAnswered(ctx context.Context, job jobs.Job) error {
	var p applyPayload
	if err := job.Read(&p); err != nil {
		return err
	}
	return s.edit(ctx, key{p.Subject, p.Case}, Once{}, anybody, func(st *step) error {
		if recovery.State(st.State) != recovery.StateApplying {
			return nil
		}
		st.Outcome = nil
		return st.move(recovery.EventHostSilent, nil)
	})
}

const freezeJob = "host.freeze"

type freezePayload struct {
	Case   recovery.CaseID `json:"case"`
	HostID string          `json:"host_id"`
}

// freezeAtHost queues the call that locks a disavowed account where the host
// keeps the accounts.
func (st *step) freezeAtHost(id recovery.AccountID) error {
	realm, _ := st.s.Realms.Get(recovery.Realm(st.Realm))
	if realm.Directory == nil {
		return nil
	}
	row, err := st.account(id)
	if err != nil {
		return err
	}
	hostID, err := st.s.Accounts.HostID(row)
	if err != nil {
		return err
	}
	return st.s.Queue.Enqueue(st.ctx, st.tx, jobs.New{
		Key: string(id), Kind: freezeJob, Realm: recovery.Realm(st.Realm), Due: st.now,
		Payload: freezePayload{Case: recovery.CaseID(st.ID), HostID: hostID},
	})
}

func (s *Service) freeze(ctx context.Context, job jobs.Job) error {
	var p freezePayload
	if err := job.Read(&p); err != nil {
		return err
	}
	realm, ok := s.Realms.Get(job.Realm)
	if !ok || realm.Directory == nil {
		return recovery.Unavailable("error.unavailable", time.Minute)
	}
	if err := realm.Directory.Lock(ctx, job.Realm, p.HostID, p.Case); err != nil {
		return err
	}
	return realm.Directory.EndSessions(ctx, job.Realm, p.HostID, p.Case)
}
