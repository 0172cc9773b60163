package claimant

import (
	"context"
	"slices"
	"time"

	"github.com/wanbi/wanbi/internal/casework"
	"github.com/wanbi/wanbi/internal/channel"
	"github.com/wanbi/wanbi/internal/identifier"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/secret"
)

// shown shapes what a step gave, for the case that the caller knows by this ID.
func (d *Door) shown(ctx context.Context, external string) func(casework.Snapshot, error) (CaseView, error) {
	return func(s casework.Snapshot, err error) (CaseView, error) {
		if err != nil {
			return CaseView{}, err
		}
		return d.view(ctx, s, external)
	}
}

// view shapes a case to what its claimant may learn.
func (d *Door) view(ctx context.Context, s casework.Snapshot, external string) (CaseView, error) {
	var err error
	v := CaseView{
		Case: external, Ref: s.Case.Ref, Realm: s.Case.Realm, Intent: s.Case.Intent, State: s.State, Turn: s.State.Turn(),
		Identifier: identifier.Mask(s.Typed), IdentifierKind: s.Typed.Kind,
		OpenedAt: s.Case.OpenedAt, ExpiresAt: s.Case.ExpiresAt, HoldBegan: s.Case.HoldBegan, HoldUntil: s.Case.HoldUntil,
	}
	if s.Case.Intent == recovery.IntentTakeover {
		return d.takeover(s, v)
	}
	v.Step = nextStep(s)
	if v.Step == StepWays || v.Step == StepProve || v.Step == StepWait {
		v.Ways = ways(s)
		if v.Challenge, err = d.challenge(s); err != nil {
			return v, err
		}
	}
	switch v.Step {
	case StepChoose:
		err = d.showCandidates(ctx, s, &v)
	case StepDone:
		err = d.showDone(ctx, s, &v)
	case StepSecret:
		v.Secret, v.Typed = secretRules(s.Policy), s.Typed.Value
	case StepUnlock, StepPerson:
		v.Locks = lockViews(s)
	}
	showNotified(s, &v)
	return v, err
}

// takeover shapes a takeover. It shows the number as it was typed, and nothing of
// the case that has it.
func (d *Door) takeover(s casework.Snapshot, v CaseView) (CaseView, error) {
	v.Identifier = s.Typed.Value
	switch {
	case s.Moved != nil:
		moved, err := d.opened(s.Case.Subject, s.Moved.Case, s.Case.Ref, s.Moved.Serial)
		v.Step, v.Moved = StepMoved, &moved
		return v, err
	case s.State == recovery.StateCompleted:
		return v, recovery.Unknown("error.case.elsewhere")
	case s.State.Closed():
		v.Step = nextStep(s)
		return v, nil
	}
	v.Step, v.Ways = StepWays, ways(s)
	if s.Live != nil {
		v.Step = StepProve
	}
	var err error
	v.Challenge, err = d.challenge(s)
	return v, err
}

// nextStep is the one thing the claimant does next.
func nextStep(s casework.Snapshot) Step {
	switch s.State {
	case recovery.StateInReview:
		return StepPerson
	case recovery.StateApplying:
		return StepApplying
	case recovery.StateCompleted:
		return StepDone
	case recovery.StateDenied:
		return StepDenied
	case recovery.StateCancelled:
		return StepStopped
	case recovery.StateExpired:
		return StepExpired
	case recovery.StateHeld:
		return heldStep(s)
	}
	finds := s.Case.Intent == recovery.IntentFindAccount && s.Decision.Met
	if len(s.Candidates) > 1 && !finds {
		return StepChoose
	}
	if s.Live != nil {
		return StepProve
	}
	return StepWays
}

func heldStep(s casework.Snapshot) Step {
	switch {
	case !s.Ready():
		return StepWait
	case len(s.Blocked) > 0:
		return StepPerson
	case s.Case.Intent == recovery.IntentFindAccount:
		return StepAccount
	case s.Case.Intent == recovery.IntentUnlock:
		return StepUnlock
	}
	return StepSecret
}

// ways lists what is offered. During a hold only ways that would shorten it are.
func ways(s casework.Snapshot) []WayView {
	var out []WayView
	for _, w := range s.Decision.Ways {
		if s.State == recovery.StateHeld && !s.Case.HoldBegan.Add(w.Hold).Before(s.Case.HoldUntil) {
			continue
		}
		view := WayView{Name: w.Way.Name, Label: w.Way.Label, Hold: w.Hold}
		for _, name := range w.Way.Prove {
			ch, ok := channel.Get(name)
			view.Channels = append(view.Channels, ChannelView{
				Name: name, Proven: !slices.Contains(w.Missing, name), Open: ok && (!ch.Info().AccountBound || s.Case.Account != "" || s.Case.Intent == recovery.IntentTakeover),
			})
		}
		out = append(out, view)
	}
	return append(out, WayView{Name: "person", Person: true})
}

func (d *Door) challenge(s casework.Snapshot) (*ChallengeView, error) {
	if s.Live == nil {
		return nil, nil
	}
	external, err := d.Keys.SealID(purposeChallenge, string(s.Case.Subject), s.Live.ID, nil)
	if err != nil {
		return nil, recovery.Internal(err)
	}
	v := &ChallengeView{
		ID: external, Way: s.Live.Way, Channel: s.Live.Channel, SentAt: time.UnixMilli(s.Live.CreatedAt).UTC(),
		ExpiresAt: time.UnixMilli(s.Live.ExpiresAt).UTC(), ResendAt: time.UnixMilli(s.Live.ResendAt).UTC(),
	}
	v.Expired = !s.Now.Before(v.ExpiresAt)
	if v.Channel == "sms-code" || v.Channel == "email-code" {
		v.Digits = s.Policy.Channel(v.Channel).Digits
	}
	return v, nil
}

func secretRules(p *policy.Policy) *SecretView {
	r := casework.PasswordRules(p)
	v := &SecretView{Profile: r.Profile, MinLength: r.MinLength, MaxLength: r.MaxLength}
	if r.Profile == secret.ProfileGBT22239 {
		v.Classes = r.Classes
	}
	return v
}

func lockViews(s casework.Snapshot) []LockView {
	var out []LockView
	for _, lock := range s.Locks {
		out = append(out, LockView{Reason: lock.Reason, Until: lock.Until, Clears: slices.Contains(s.Clears, lock.Reason)})
	}
	return out
}

func (d *Door) showCandidates(ctx context.Context, s casework.Snapshot, v *CaseView) error {
	for _, id := range s.Candidates {
		card, err := d.Cases.Card(ctx, s.Case.Realm, id)
		if err != nil {
			return err
		}
		choice, err := d.Keys.SealID(purposeChoice, string(s.Case.Subject), string(id), nil)
		if err != nil {
			return recovery.Internal(err)
		}
		v.Accounts = append(v.Accounts, AccountView{Choice: choice, Identifiers: mask(card.Identifiers)})
	}
	return nil
}

// showDone lists what is secured, and for find-account what was found.
func (d *Door) showDone(ctx context.Context, s casework.Snapshot, v *CaseView) error {
	if s.Case.Intent == recovery.IntentFindAccount {
		found := s.Candidates
		if s.Case.Account != "" {
			found = []recovery.AccountID{s.Case.Account}
		}
		for _, id := range found {
			card, err := d.Cases.Card(ctx, s.Case.Realm, id)
			if err != nil {
				return err
			}
			account := AccountView{Identifiers: mask(card.Identifiers)}
			for _, lock := range card.Locks {
				account.Locks = append(account.Locks, lock.Reason)
			}
			v.Accounts = append(v.Accounts, account)
		}
		return nil
	}
	v.Locks = lockViews(s) // what still holds
	done := func(key string) { v.Done = append(v.Done, TaskView{Key: key, Done: true, At: s.Case.ClosedAt}) }
	if s.Case.Intent == recovery.IntentUnlock {
		done("task.unlocked")
	} else {
		done("task.secret-set")
		v.Done = append(v.Done, TaskView{Key: "task.sessions-ended", Done: s.HostTold, At: s.Case.ClosedAt})
	}
	done("task.codes-revoked")
	done("task.contacts-told")
	if s.Case.Intent == recovery.IntentResetPassword {
		v.Done = append(v.Done, TaskView{Key: "task.sign-in-again"})
	}
	for _, what := range s.Policy.Afterward.Review {
		v.Done = append(v.Done, TaskView{Key: "task.review-" + what})
	}
	v.Done = append(v.Done, TaskView{Key: "task.record"})
	return nil
}

// mask shows a username as it is, because it is what one signs in with;
// everything else keeps its shape.
func mask(ids []recovery.Identifier) []MaskedIdentifier {
	out := make([]MaskedIdentifier, 0, len(ids))
	for _, id := range ids {
		value := identifier.Mask(id)
		if id.Kind == recovery.IdentifierUsername {
			value = id.Value
		}
		out = append(out, MaskedIdentifier{Kind: id.Kind, Value: value})
	}
	return out
}

// showNotified says who was told, once a contact of the account is proven.
func showNotified(s casework.Snapshot, v *CaseView) {
	if !slices.ContainsFunc(s.Proven, func(e recovery.Evidence) bool { return e.Contact != "" }) {
		return
	}
	for _, contact := range s.Contacts {
		v.Notified = append(v.Notified, identifier.MaskContact(contact))
	}
}
