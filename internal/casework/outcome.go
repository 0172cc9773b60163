package casework

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/directory"
	"github.com/wanbi/wanbi/internal/jobs"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/secret"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// Taking asks for what the case is for.
type Taking struct {
	Acting
	Secret string // the new password for reset-password, else empty
	Device string // ID for the browser that completes; known after an undisputed probation
}

// String discloses nothing.
func (Taking) String() string { return "taking" }

// GoString discloses nothing.
func (Taking) GoString() string { return "taking" }

// TakeOutcome gives what the case is for: it sets the new secret, shows the
// account, or unlocks. Hashing runs before the transaction.
func (s *Service) TakeOutcome(ctx context.Context, in Taking) error {
	row, err := s.peek(ctx, in.Acting)
	if err != nil {
		return err
	}
	hash, err := s.prepare(ctx, row, in.Secret)
	if err != nil {
		return err
	}
	return s.edit(ctx, in.key(), in.Once, in.May, func(st *step) error {
		if err := st.takeable(); err != nil {
			return err
		}
		if err := st.move(recovery.EventOutcomeTaken, nil); err != nil {
			return err
		}
		realm, _ := s.Realms.Get(recovery.Realm(st.Realm))
		if realm.Directory != nil && recovery.Intent(st.Intent) != recovery.IntentFindAccount {
			return st.askHost(in)
		}
		if err := st.apply(hash, in.Device); err != nil {
			return err
		}
		return st.complete()
	})
}

// peek reads the case before a step that has slow work to do first.
func (s *Service) peek(ctx context.Context, a Acting) (db.Case, error) {
	var row db.Case
	err := s.DB.Read(ctx, func(q *db.Queries) (err error) {
		row, err = q.GetCase(ctx, db.GetCaseParams{Subject: string(a.Subject), ID: string(a.ID)})
		return err
	})
	if store.NotFound(err) {
		return row, recovery.Unknown("error.case.unknown")
	}
	if err != nil {
		return row, err
	}
	return row, a.May(row)
}

// prepare checks a new secret against the rules and hashes it.
func (s *Service) prepare(ctx context.Context, row db.Case, given string) (string, error) {
	if recovery.Intent(row.Intent) != recovery.IntentResetPassword || !model(row).Ready(s.Now()) || row.AccountID == "" {
		return "", nil // the step says why it is not to be had
	}
	var p *policy.Policy
	var personal []string
	err := s.DB.Read(ctx, func(q *db.Queries) (err error) {
		if p, err = s.Realms.ByDigest(ctx, q, row.PolicyDigest); err != nil {
			return err
		}
		personal, err = s.personal(ctx, q, p, recovery.AccountID(row.AccountID))
		return err
	})
	if err != nil {
		return "", err
	}
	if reasons := PasswordRules(p).Check(given, personal); len(reasons) > 0 {
		e := recovery.BadInput(reasons[0].Key).At("password")
		e.Args = reasons[0].Args
		return "", e
	}
	return s.Hasher.Hash(ctx, given, account.PasswordBinding(recovery.AccountID(row.AccountID)))
}

// PasswordRules gives a policy's rules in the form that package secret checks.
func PasswordRules(p *policy.Policy) secret.Rules {
	r := p.Secrets.Password
	return secret.Rules{Profile: r.Profile, MinLength: r.MinLength, MaxLength: r.MaxLength, Classes: r.Classes, MinScore: r.MinScore}
}

// personal is what a new password must not be made of.
func (s *Service) personal(ctx context.Context, q *db.Queries, p *policy.Policy, id recovery.AccountID) ([]string, error) {
	realm := p.Realm.ID
	words := []string{string(realm)}
	for _, name := range p.Realm.Name {
		words = append(words, name)
	}
	ids, err := s.Accounts.Identifiers(ctx, q, realm, id)
	if err != nil {
		return nil, err
	}
	for _, one := range ids {
		words = append(words, one.Value)
		if local, _, ok := strings.Cut(one.Value, "@"); ok {
			words = append(words, local)
		}
	}
	facts, err := s.Accounts.Facts(ctx, q, realm, id)
	for _, value := range facts {
		words = append(words, value)
	}
	return words, err
}

// takeable checks that the hold is over and no lock stands in the way.
func (st *step) takeable() error {
	if !model(st.Case).Ready(st.now) {
		if recovery.State(st.State) == recovery.StateHeld {
			return recovery.Forbidden("error.case.held").RetryIn(store.Time(st.HoldUntil).Sub(st.now))
		}
		return recovery.Conflict("error.case.moved")
	}
	if recovery.Intent(st.Intent) == recovery.IntentFindAccount {
		return nil
	}
	facts, err := st.facts()
	if err != nil {
		return err
	}
	if len(st.blocked(facts)) > 0 {
		return recovery.Forbidden("error.locked.person")
	}
	return nil
}

// blocked lists the lock reasons that this case cannot get past.
func (st *step) blocked(facts policy.Facts) []recovery.LockReason {
	cleared := st.clears(facts)
	var blocked []recovery.LockReason
	for _, reason := range facts.Locks {
		if recovery.Intent(st.Intent) == recovery.IntentUnlock && !slices.Contains(cleared, reason) {
			blocked = append(blocked, reason)
		}
		if recovery.Intent(st.Intent) == recovery.IntentResetPassword && st.policy.ResetBlockedBy(reason) {
			blocked = append(blocked, reason)
		}
	}
	return blocked
}

// clears lists the lock reasons that completing this case clears.
func (st *step) clears(facts policy.Facts) []recovery.LockReason {
	var out []recovery.LockReason
	for _, reason := range recovery.LockReasons {
		if recovery.Intent(st.Intent) == recovery.IntentResetPassword && st.policy.ResetClears(reason) {
			out = append(out, reason)
		}
		if recovery.Intent(st.Intent) != recovery.IntentUnlock {
			continue
		}
		for _, way := range st.policy.Decide(facts).Ways {
			if way.Met && st.policy.Clears(way.Way.Name, reason) {
				out = append(out, reason)
				break
			}
		}
	}
	return out
}

// apply does it in the built-in directory, in the case's own transaction: the
// new secret replaces the old, sessions end, and every other code, link and case
// of the account is void from here on (T9).
func (st *step) apply(hash, device string) error {
	if recovery.Intent(st.Intent) == recovery.IntentFindAccount {
		return nil
	}
	facts, err := st.facts()
	if err != nil {
		return err
	}
	cleared := st.clears(facts)
	id := recovery.AccountID(st.AccountID)
	return st.s.Accounts.Edit(st.ctx, st.tx, id, func(e *account.Edit) error {
		by := "case " + st.Ref
		if recovery.Intent(st.Intent) == recovery.IntentResetPassword {
			if err := e.SetSecret(st.ctx, hash, recovery.CaseRef(st.Ref), by); err != nil {
				return err
			}
		}
		e.Unlock(st.ctx, cleared, recovery.CaseRef(st.Ref), by)
		e.Epoch++
		e.LastSignInAt, e.WarnedAt = store.Millis(st.now), 0 // the owner is back: dormancy counts from here
		st.AccountEpoch = e.Epoch
		e.Record(st.ctx, "recovered", map[string]string{"case": st.Ref, "intent": st.Intent})
		return st.earnDevice(e, device)
	})
}

// earnDevice notes the browser that completed; the account trusts it once the
// recovery stayed undisputed for as long as the policy says.
func (st *step) earnDevice(e *account.Edit, device string) error {
	after := st.policy.Hold.TrustDeviceAfter
	if device == "" || after == nil || *after == 0 {
		return nil
	}
	if trusted, err := st.trusts(e.ID); err != nil || (trusted && device == st.Device) {
		return err
	}
	return st.tx.PutDevice(st.ctx, db.PutDeviceParams{
		AccountID: string(e.ID), Device: device, CaseID: st.ID, TrustedFrom: store.Millis(st.now.Add(after.Std())),
	})
}

// complete closes the case and tells every contact.
func (st *step) complete() error {
	if err := st.move(recovery.EventHostConfirmed, nil); err != nil {
		return err
	}
	notice := account.NoticeCompleted
	if recovery.Intent(st.Intent) == recovery.IntentResetPassword {
		notice = account.NoticeChanged
	}
	return st.tell(notice)
}

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
func (st *step) askHost(in Taking) error {
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
	if refusal != nil && !recovery.IsKind(refusal, recovery.KindBadInput) {
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

// NewDevice makes the ID of a browser for its device cookie.
func NewDevice() string { return uuid.NewString() }

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
	row, err := st.tx.GetAccount(st.ctx, string(id))
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
