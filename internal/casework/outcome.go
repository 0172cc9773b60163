package casework

import (
	"context"
	"slices"
	"strings"

	"github.com/wanbi/wanbi/internal/account"
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
func (s *Service) TakeOutcome(ctx context.Context, in Taking) (Snapshot, error) {
	row, err := s.peek(ctx, in.Acting)
	if err != nil {
		return Snapshot{}, err
	}
	hash, prepared, err := s.prepare(ctx, row, in.Secret)
	if err != nil {
		return Snapshot{}, err
	}
	return s.act(ctx, in.Acting, func(st *step) error {
		if err := st.takeable(); err != nil {
			return err
		}
		if !prepared && recovery.Intent(st.Intent) == recovery.IntentResetPassword {
			return recovery.Conflict("error.case.moved") // it became ready while the secret was not looked at
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

// prepare checks a new secret against the rules and hashes it. Where there is
// nothing to do yet it is not prepared, and the step says why.
func (s *Service) prepare(ctx context.Context, row db.Case, given string) (hash string, prepared bool, err error) {
	if recovery.Intent(row.Intent) != recovery.IntentResetPassword || !model(row).Ready(s.Now()) || row.AccountID == "" {
		return "", false, nil
	}
	var p *policy.Policy
	var personal []string
	err = s.DB.Read(ctx, func(q *db.Queries) (err error) {
		if p, err = s.Realms.ByDigest(ctx, q, row.PolicyDigest); err != nil {
			return err
		}
		personal, err = s.personal(ctx, q, p, recovery.AccountID(row.AccountID))
		return err
	})
	if err != nil {
		return "", false, err
	}
	if reasons := PasswordRules(p).Check(given, personal); len(reasons) > 0 {
		e := recovery.BadInput(reasons[0].Key).At("password")
		e.Args = reasons[0].Args
		return "", false, e
	}
	hash, err = s.Hasher.Hash(ctx, given, account.PasswordBinding(recovery.AccountID(row.AccountID)))
	return hash, err == nil, err
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
	cleared := slices.DeleteFunc(st.clears(facts), func(reason recovery.LockReason) bool {
		// Failures below the lockout do not show among the locks.
		return reason != recovery.LockTooManyFailures && !slices.Contains(facts.Locks, reason)
	})
	reset := recovery.Intent(st.Intent) == recovery.IntentResetPassword
	return st.editAccount(recovery.AccountID(st.AccountID), func(e *account.Edit) error {
		if e.Epoch != st.AccountEpoch {
			return store.ErrStale // another recovery of the account was first: begin again and find the case void
		}
		by := "case " + st.Ref
		if reset {
			if err := e.SetSecret(st.ctx, hash, recovery.CaseRef(st.Ref), by); err != nil {
				return err
			}
		}
		unlocked := e.Unlock(st.ctx, cleared, recovery.CaseRef(st.Ref), by)
		if unlocked > 0 {
			st.seen.locks.known = false
		}
		if reset || unlocked > 0 { // who unlocks what is not locked makes nobody's case void
			e.Epoch++
		}
		e.LastSignInAt, e.WarnedAt = store.Millis(st.now), 0 // the owner is back: dormancy counts from here
		st.AccountEpoch = e.Epoch
		e.Record(st.ctx, "recovered", map[string]string{"case": st.Ref, "intent": st.Intent})
		if err := st.noteOn(e, "ended"); err != nil {
			return err
		}
		if !reset { // an unlock may ask for less than a reset, so it earns less
			return nil
		}
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
