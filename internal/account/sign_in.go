package account

import (
	"context"
	"errors"
	"time"

	"github.com/wanbi/wanbi/internal/identifier"
	"github.com/wanbi/wanbi/internal/limit"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// Result is how a check of a sign-in secret ended.
type Result string

// The results. Unknown identifiers give wrong and locked exactly as known ones do.
const (
	ResultOK         Result = "ok"
	ResultWrong      Result = "wrong"
	ResultLocked     Result = "locked"      // too many failures; wait
	ResultDisabled   Result = "disabled"    // the secret was right, another lock holds
	ResultMustChange Result = "must-change" // right, but it has to be changed now
)

// SignIn is a host's question: is this the secret of that account?
type SignIn struct {
	Realm      recovery.Realm
	Identifier string // as typed
	Secret     string
	// Device is the host's own name for a device. One that signed in before has
	// lockouts of its own, so that strangers cannot lock its owner out.
	Device string
}

// String discloses nothing.
func (SignIn) String() string { return "sign-in" }

// GoString discloses nothing.
func (SignIn) GoString() string { return "sign-in" }

// Checked is the answer.
type Checked struct {
	Result     Result
	HostID     string                // at ok, must-change and disabled
	Reasons    []recovery.LockReason // at disabled
	RetryAfter time.Duration         // at locked
}

func lockout(p *policy.Policy) limit.Lockout {
	out := limit.Lockout{
		After: p.Lock.TooManyFailures.After, Within: p.Lock.TooManyFailures.Within.Std(),
		Extend: p.Lock.TooManyFailures.FurtherTriesExtend,
	}
	for _, d := range p.Lock.TooManyFailures.For {
		out.For = append(out.For, d.Std())
	}
	return out
}

// target is whom a sign-in is about; without an account every step is the same
// with stand-ins.
type target struct {
	account recovery.AccountID
	known   bool
	key     string // of its lockout
	hash    string
	must    bool
	setAt   time.Time
}

// Verify checks a sign-in secret. The attempt is reserved before the hash is
// computed, so that parallel tries cannot outrun the lockout; a crash between
// leaves it spent.
func (s *Service) Verify(ctx context.Context, in SignIn) (Checked, error) {
	p, ok := s.Policy(in.Realm)
	if !ok {
		return Checked{}, recovery.NotFound("error.realm.unknown")
	}
	t, err := s.target(ctx, p, in)
	if err != nil {
		return Checked{}, err
	}
	rule := lockout(p)
	state, locked, err := s.reserve(ctx, rule, t)
	if err != nil {
		return Checked{}, err
	}
	if locked {
		return Checked{Result: ResultLocked, RetryAfter: state.Until.Sub(s.Now())}, nil
	}
	right, upgrade, err := s.compare(ctx, t, in.Secret)
	if err != nil {
		return Checked{}, err
	}
	if !right {
		return s.wrong(ctx, t, state)
	}
	out, err := s.signedIn(ctx, p, t, in, upgrade)
	if errors.Is(err, errReplaced) {
		return s.wrong(ctx, t, state)
	}
	return out, err
}

// errReplaced says that the secret was right when it was read and is not any more.
var errReplaced = errors.New("the secret was replaced meanwhile")

func (s *Service) target(ctx context.Context, p *policy.Policy, in SignIn) (target, error) {
	id, err := identifier.Detect(in.Identifier, p.Identifiers)
	if err != nil {
		id = recovery.Identifier{Kind: recovery.IdentifierUsername, Value: in.Identifier}
	}
	t := target{key: s.Keys.CountKey("lockout", string(s.Keys.Subject(in.Realm, id)))}
	err = s.DB.Read(ctx, func(q *db.Queries) error {
		found, err := s.Find(ctx, q, in.Realm, id)
		if err != nil || len(found) != 1 {
			return err // a name of several accounts signs nobody in
		}
		t.account, t.known, t.key = found[0], true, s.lockoutKey(found[0])
		if in.Device != "" {
			key := s.deviceKey(found[0], in.Device)
			if _, err := q.GetLockout(ctx, key); err == nil {
				t.key = key
			} else if !store.NotFound(err) {
				return err
			}
		}
		row, err := q.GetSecret(ctx, db.GetSecretParams{AccountID: string(t.account), Kind: SecretPassword})
		if store.NotFound(err) {
			return nil
		}
		t.hash, t.must, t.setAt = row.Hash, row.MustChange != 0, store.Time(row.SetAt)
		return err
	})
	return t, err
}

func (s *Service) deviceKey(id recovery.AccountID, device string) string {
	return s.Keys.CountKey("lockout", string(id), "device", device)
}

// reserve counts the attempt as a failure before anything is compared. locked
// says that it was refused unchecked.
func (s *Service) reserve(ctx context.Context, rule limit.Lockout, t target) (state limit.LockoutState, locked bool, err error) {
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		row, err := tx.TakeLockout(ctx, db.TakeLockoutParams{Key: t.key, AccountID: string(t.account)})
		if err != nil {
			return err
		}
		now := s.Now()
		before := limit.LockoutState{
			Failures: int(row.Failures), FirstFailure: store.Time(row.FirstFailure),
			Level: int(row.Level), Until: store.Time(row.Until),
		}
		locked = before.Locked(now)
		state = rule.Fail(before, now)
		return s.putLockout(ctx, tx, t.key, state)
	})
	return state, locked, err
}

// wrong settles a failed attempt, which reserve counted already; the one that
// began a lockout is recorded.
func (s *Service) wrong(ctx context.Context, t target, state limit.LockoutState) (Checked, error) {
	if !state.Locked(s.Now()) {
		return Checked{Result: ResultWrong}, nil
	}
	out := Checked{Result: ResultLocked, RetryAfter: state.Until.Sub(s.Now())}
	if !t.known {
		return out, nil
	}
	return out, s.DB.Write(ctx, func(tx *store.Tx) error {
		return s.Edit(ctx, tx, t.account, func(e *Edit) error {
			e.Record(ctx, "account.locked", map[string]string{
				"reason": string(recovery.LockTooManyFailures), "by": "sign-in", "until": state.Until.UTC().Format(time.RFC3339),
			})
			return nil
		})
	})
}

func (s *Service) putLockout(ctx context.Context, tx *store.Tx, key string, state limit.LockoutState) error {
	return tx.PutLockout(ctx, db.PutLockoutParams{
		Key: key, Failures: int64(state.Failures), FirstFailure: store.Millis(state.FirstFailure),
		Level: int64(state.Level), Until: store.Millis(state.Until),
	})
}

func (s *Service) compare(ctx context.Context, t target, given string) (right, upgrade bool, err error) {
	if t.hash == "" {
		return false, false, s.Hasher.Dummy(ctx, given)
	}
	return s.Hasher.Verify(ctx, t.hash, given, PasswordBinding(t.account))
}

// PasswordBinding ties a password hash to its row, so that one copied to another is worthless.
func PasswordBinding(id recovery.AccountID) string { return string(id) + "/" + SecretPassword }

func (s *Service) signedIn(ctx context.Context, p *policy.Policy, t target, in SignIn, upgrade bool) (Checked, error) {
	var better string
	if upgrade {
		var err error
		if better, err = s.Hasher.Hash(ctx, in.Secret, PasswordBinding(t.account)); err != nil {
			return Checked{}, err
		}
	}
	out := Checked{Result: ResultOK}
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		out = Checked{Result: ResultOK}
		row, err := tx.GetAccount(ctx, string(t.account))
		if err != nil {
			return err
		}
		if out.HostID, err = s.HostID(row); err != nil {
			return err
		}
		if err := unreplaced(ctx, tx, t); err != nil {
			return err
		}
		if err := s.putLockout(ctx, tx, t.key, lockout(p).Success(limit.LockoutState{})); err != nil {
			return err
		}
		if better != "" {
			if _, err := tx.UpgradeSecret(ctx, db.UpgradeSecretParams{AccountID: string(t.account), Kind: SecretPassword, Better: better, Old: t.hash}); err != nil {
				return err
			}
		}
		locks, err := s.Locks(ctx, tx.Queries, t.account)
		if err != nil {
			return err
		}
		for _, lock := range locks {
			if lock.Reason != recovery.LockTooManyFailures {
				out.Result, out.Reasons = ResultDisabled, append(out.Reasons, lock.Reason)
			}
		}
		if out.Result == ResultDisabled {
			return nil
		}
		maxAge := p.Secrets.Password.MaxAge.Std()
		if t.must || (maxAge > 0 && !s.Now().Before(t.setAt.Add(maxAge))) {
			out.Result = ResultMustChange
		}
		if in.Device != "" {
			if _, err := tx.TakeLockout(ctx, db.TakeLockoutParams{Key: s.deviceKey(t.account, in.Device), AccountID: string(t.account)}); err != nil {
				return err
			}
		}
		return s.Edit(ctx, tx, t.account, func(e *Edit) error {
			e.LastSignInAt, e.WarnedAt = store.Millis(e.Now), 0
			e.Record(ctx, "signed-in", map[string]string{"by": "secret"})
			return nil
		})
	})
	return out, err
}

// unreplaced checks that a recovery did not set another secret while this one was
// compared (T9). A hash that was only upgraded keeps the time it was set.
func unreplaced(ctx context.Context, tx *store.Tx, t target) error {
	row, err := tx.GetSecret(ctx, db.GetSecretParams{AccountID: string(t.account), Kind: SecretPassword})
	if err == nil && row.Hash != t.hash && row.SetAt != store.Millis(t.setAt) {
		return errReplaced
	}
	return err
}
