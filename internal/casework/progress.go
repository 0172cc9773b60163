package casework

import (
	"context"
	"slices"
	"time"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// facts gathers what the policy decides from.
func (st *step) facts() (policy.Facts, error) {
	proven, _, err := st.proven()
	if err != nil {
		return policy.Facts{}, err
	}
	f := policy.Facts{
		Intent: recovery.Intent(st.Intent), IdentifierKind: recovery.IdentifierKind(st.Kind), Proven: proven,
		KnownDevice: st.KnownDevice != 0, Now: st.now,
	}
	if f.UnderAttack, err = st.s.underAttack(st.ctx, st.tx, st.policy); err != nil {
		return f, err
	}
	if st.AccountID == "" {
		return f, nil
	}
	contacts, err := st.contacts(recovery.AccountID(st.AccountID))
	if err != nil {
		return f, err
	}
	f.ContactChangedAt = contacts.LastChange(st.now.Add(-st.policy.Hold.ContactChanged.Within.Std()))
	locks, err := st.locks()
	for _, lock := range locks {
		f.Locks = append(f.Locks, lock.Reason)
	}
	return f, err
}

// proven gives the evidence and the accounts that all of it may be about.
func (st *step) proven() ([]recovery.Evidence, []candidate, error) {
	proofs, err := st.seen.proofs.get(st.readProofs)
	if err != nil {
		return nil, nil, err
	}
	var out []recovery.Evidence
	var common []candidate
	for i, p := range proofs {
		if i == 0 {
			common = p.candidates
		}
		common = slices.DeleteFunc(slices.Clone(common), func(c candidate) bool { return !slices.Contains(p.candidates, c) })
		out = append(out, p.Evidence)
	}
	return out, common, nil
}

// proof is one piece of evidence and the accounts that it is about.
type proof struct {
	recovery.Evidence
	candidates []candidate
}

func (st *step) readProofs() ([]proof, error) {
	rows, err := st.tx.ListEvidence(st.ctx, db.ListEvidenceParams{Subject: st.Subject, CaseID: st.ID})
	if err != nil {
		return nil, err
	}
	var out []proof
	for _, row := range rows {
		candidates, err := st.openCandidates(row.ID, row.Candidates)
		if err != nil {
			return nil, err
		}
		out = append(out, proof{evidence(row), candidates})
	}
	return out, nil
}

func evidence(row db.Evidence) recovery.Evidence {
	return recovery.Evidence{
		ID: recovery.EvidenceID(row.ID), Channel: row.Channel, Factor: recovery.Factor(row.Factor),
		Challenge: recovery.ChallengeID(row.ChallengeID), Contact: recovery.ContactKind(row.Contact), At: store.Time(row.At),
	}
}

// progress takes the case as far as its evidence carries it: to its account, to
// the hold, or to a shorter hold.
func (st *step) progress() error {
	if st.takesOver() {
		return st.takeOver()
	}
	_, common, err := st.proven()
	if err != nil {
		return err
	}
	bound := st.AccountID == "" && len(common) == 1
	if bound {
		if err := st.bind(common[0]); err != nil {
			return err
		}
	}
	return st.advance(bound)
}

// advance asks the policy and moves. bound says that the account became known in
// this step, which is when its owner hears of the case first (T12).
func (st *step) advance(bound bool) error {
	facts, err := st.facts()
	if err != nil {
		return err
	}
	decision := st.policy.Decide(facts)
	if !decision.Met {
		return st.tellStarted(bound)
	}
	if st.AccountID == "" && recovery.Intent(st.Intent) != recovery.IntentFindAccount {
		return nil // several accounts: the claimant chooses first
	}
	if recovery.State(st.State) == recovery.StateHeld {
		return st.shorten(decision)
	}
	if decision.NeedsPerson {
		if err := st.move(recovery.EventNeedsPerson, map[string]string{"way": decision.Way}); err != nil {
			return err
		}
		return st.tellStarted(bound)
	}
	return st.hold(decision)
}

// bind ties the case to its account, for good.
func (st *step) bind(to candidate) error {
	if len(st.stillAs([]candidate{to})) == 0 {
		return recovery.Gone("error.case.closed")
	}
	st.AccountID, st.AccountEpoch = string(to.Account), to.Epoch
	known, err := st.trusts(to.Account)
	if err != nil {
		return err
	}
	if known {
		st.KnownDevice = 1
	}
	if err := st.record("account.chosen", nil); err != nil {
		return err
	}
	return st.note("bound")
}

// hold begins the wait, zero or longer. Whoever owns the account is told.
func (st *step) hold(d policy.Decision) error {
	st.HoldBegan, st.HoldUntil = store.Millis(st.now), store.Millis(st.now.Add(d.Hold))
	st.ExpiresAt = store.Millis(st.now.Add(d.Hold + st.policy.Hold.Expires.Std()))
	if err := st.move(recovery.EventEnoughEvidence, map[string]string{"way": d.Way, "hold": d.Hold.String()}); err != nil {
		return err
	}
	if d.Hold == 0 {
		return st.tell(account.NoticeStarted)
	}
	if err := st.record("hold.began", map[string]string{"until": store.Time(st.HoldUntil).Format(time.RFC3339)}); err != nil {
		return err
	}
	return st.tell(account.NoticeHeld)
}

// shorten moves the end of the hold forward when a way with a shorter hold is
// met; it never moves it back.
func (st *step) shorten(d policy.Decision) error {
	until := store.Millis(store.Time(st.HoldBegan).Add(d.Hold))
	if until >= st.HoldUntil {
		return nil
	}
	st.HoldUntil = until
	st.ExpiresAt = store.Millis(later(store.Time(until), st.now).Add(st.policy.Hold.Expires.Std()))
	return st.move(recovery.EventStrongerProof, map[string]string{"way": d.Way, "until": store.Time(until).Format(time.RFC3339)})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (st *step) tellStarted(bound bool) error {
	if !bound {
		return nil
	}
	return st.tell(account.NoticeStarted)
}

// Choose binds a case whose proven contact belongs to several accounts.
func (s *Service) Choose(ctx context.Context, a Acting, chosen recovery.AccountID) (Snapshot, error) {
	return s.act(ctx, a, func(st *step) error {
		if recovery.State(st.State) != recovery.StateOpen && recovery.State(st.State) != recovery.StateHeld {
			return recovery.Conflict("error.case.closed")
		}
		if st.takesOver() {
			return recovery.Conflict("error.choice.unknown")
		}
		_, common, err := st.proven()
		if err != nil {
			return err
		}
		i := slices.IndexFunc(common, func(c candidate) bool { return c.Account == chosen })
		if st.AccountID != "" || i < 0 {
			return recovery.Conflict("error.choice.unknown")
		}
		if err := st.bind(common[i]); err != nil {
			return err
		}
		return st.advance(true)
	})
}
