package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/wanbi/wanbi/internal/recovery"
)

// Facts is what a decision is made from. CEL conditions see the fields under
// the names in the cel tags.
type Facts struct {
	Intent         recovery.Intent         `cel:"intent"`
	IdentifierKind recovery.IdentifierKind `cel:"identifier"`
	Proven         []recovery.Evidence     `cel:"proven"`       // CEL sees the channel names, each once
	KnownDevice    bool                    `cel:"known_device"` // the browser is known to the chosen account
	// ContactChangedAt is when a contact of the account last changed; zero for
	// never or not known yet. CEL sees contact_changed, the duration since then,
	// 100 years for never.
	ContactChangedAt time.Time `cel:"contact_changed"`
	// Locks are the active lock reasons; nil while the account is not known,
	// which is not the same as an empty list: no lock.
	Locks       []recovery.LockReason `cel:"locks"`
	UnderAttack bool                  `cel:"under_attack"` // a realm-wide limit is tripped
	Now         time.Time             `cel:"-"`
}

// WayState is one way as it stands for the facts.
type WayState struct {
	Way     Way
	Missing []string // channels not proven yet, in the order of Prove
	Met     bool
	Hold    time.Duration // how long one waits after this way, by the facts
	Why     []string      // the rules that made the hold, in the order they applied, for explain
}

// Decision is what the policy says of the facts.
type Decision struct {
	Ways        []WayState    // offered ways only, in file order
	Met         bool          // some way is met
	Hold        time.Duration // the shortest hold of a met way
	NeedsPerson bool          // the met way with the shortest hold wants a review
	Way         string        // the met way that gives Hold; among equals one without review, then the first
	// Blocked are the lock reasons that keep a password from being reset by the
	// claimant alone, whatever is proven (T10): a person only. Empty for other intents.
	Blocked []recovery.LockReason
}

// Decide says what the facts are worth. It is a pure function of policy and facts.
func (p *Policy) Decide(f Facts) Decision {
	var d Decision
	if f.Intent == recovery.IntentResetPassword {
		for _, reason := range f.Locks {
			if p.ResetBlockedBy(reason) {
				d.Blocked = append(d.Blocked, reason)
			}
		}
	}
	section := p.Intents[f.Intent]
	if section == nil {
		return d
	}
	proven := provenChannels(f.Proven)
	for _, way := range section.Ways {
		if refusal := p.refusal(way, f); refusal != "" {
			continue
		}
		state := WayState{Way: way}
		for _, channel := range way.Prove {
			if !slices.Contains(proven, channel) {
				state.Missing = append(state.Missing, channel)
			}
		}
		state.Met = len(way.Prove) > 0 && len(state.Missing) == 0
		state.Hold, state.Why = p.holdAfter(way, f)
		d.Ways = append(d.Ways, state)
		better := !d.Met || state.Hold < d.Hold || state.Hold == d.Hold && d.NeedsPerson && !way.Review
		if state.Met && better {
			d.Met, d.Hold, d.NeedsPerson, d.Way = true, state.Hold, way.Review, way.Name
		}
	}
	return d
}

// refusal says why a way is not offered, or nothing when it is. What cannot be
// said counts as no.
func (p *Policy) refusal(way Way, f Facts) string {
	if way.When != "" {
		if way.when == nil {
			return "its condition was never compiled"
		}
		switch holds, err := way.when.holds(f); {
		case err != nil:
			return fmt.Sprintf("its condition fails: %v", err)
		case !holds:
			return fmt.Sprintf("its condition is false: %s", way.When)
		}
	}
	if f.Intent == recovery.IntentUnlock && len(f.Locks) > 0 {
		return p.unlockRefusal(way, f.Locks)
	}
	return ""
}

// unlockRefusal says why a way does not unlock an account with these locks: it
// must clear every lock that any way can clear, and there must be one.
func (p *Policy) unlockRefusal(way Way, locks []recovery.LockReason) string {
	clears := false
	for _, reason := range locks {
		if p.Clears(way.Name, reason) {
			clears = true
		} else if len(p.unlockWays(reason)) > 0 {
			return fmt.Sprintf("it does not clear lock %s", reason)
		}
	}
	if !clears {
		return "only a person clears these locks"
	}
	return ""
}

// unlockWays lists the ways of intent unlock that clear a reason; none: a person only.
func (p *Policy) unlockWays(reason recovery.LockReason) []string {
	switch reason {
	case recovery.LockTooManyFailures:
		return p.Lock.TooManyFailures.Unlock
	case recovery.LockDormant:
		return p.Lock.Dormant.Unlock
	case recovery.LockRiskAlarm:
		return p.Lock.RiskAlarm.Unlock
	case recovery.LockViolation:
		return p.Lock.Violation.Unlock
	}
	return nil // disavowed: the owner said "not me", so a person decides
}

// Clears reports whether completing a case of intent unlock by this way clears
// the lock reason.
func (p *Policy) Clears(way string, reason recovery.LockReason) bool {
	return slices.Contains(p.unlockWays(reason), way)
}

// ResetClears reports whether a completed reset-password clears the lock reason:
// too-many-failures only (T10). The others stay.
func (p *Policy) ResetClears(reason recovery.LockReason) bool {
	return reason == recovery.LockTooManyFailures
}

// ResetBlockedBy reports whether the lock reason keeps a password from being
// reset without a person: the host disabled the account, or its owner disavowed
// a recovery.
func (p *Policy) ResetBlockedBy(reason recovery.LockReason) bool {
	return reason == recovery.LockViolation || reason == recovery.LockDisavowed
}

// holdAfter says how long one waits after a way, and which rules made it so.
// The order is the comment of HoldSection: a changed contact wins over a known
// device, because who took the contact may have taken the device too.
func (p *Policy) holdAfter(way Way, f Facts) (time.Duration, []string) {
	hold := p.Hold.Default
	why := []string{fmt.Sprintf("hold.default gives %s", hold)}
	if way.Hold != nil {
		hold = *way.Hold
		why[0] = fmt.Sprintf("the way's own hold gives %s", hold)
	}
	if known := p.Hold.KnownDevice; f.KnownDevice && known != nil && *known < hold {
		hold = *known
		why = append(why, fmt.Sprintf("hold.known-device shortens it to %s", hold))
	}
	if p.contactChangedLately(f) && p.provesContact(way) && p.Hold.ContactChanged.Hold > hold {
		hold = p.Hold.ContactChanged.Hold
		why = append(why, fmt.Sprintf("hold.contact-changed lengthens it to %s", hold))
	}
	if f.UnderAttack && p.Hold.UnderAttack > hold {
		hold = p.Hold.UnderAttack
		why = append(why, fmt.Sprintf("hold.under-attack lengthens it to %s", hold))
	}
	return hold.Std(), why
}

// contactChangedLately counts a change up to and not including `within` ago.
func (p *Policy) contactChangedLately(f Facts) bool {
	return !f.ContactChangedAt.IsZero() && sinceContactChanged(f) < p.Hold.ContactChanged.Within.Std()
}

// provesContact reports whether a way relies on a contact.
func (p *Policy) provesContact(way Way) bool {
	return slices.ContainsFunc(way.Prove, func(channel string) bool {
		return p.catalogue[channel].Contact != ""
	})
}
