package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/wanbi/wanbi/internal/recovery"
)

// Level says how much a finding matters.
type Level string

// The levels. What is weak needs an accept-risk where it stands, or the file
// does not load; a note only says what an operator may not expect.
const (
	LevelWeak Level = "weak"
	LevelNote Level = "note"
)

// Finding is one thing that `policy check` names.
type Finding struct {
	Line     int    // in the file, from 1
	Path     string // keys from the root, ways by name
	Level    Level
	Message  string
	Accepted string // the accept-risk that lets a weakness stay, word for word; empty when there is none
}

// noticeTime is the hold below which a stolen number is not noticed in time.
// Ours: one day, the default hold of the hardened policies.
const noticeTime = 24 * time.Hour

// Check names what is weak and what may surprise, in the order of the file.
func (p *Policy) Check() []Finding {
	c := &check{p: p}
	c.eachWay(c.oneProofNoWait, c.smsAlone, c.knowledgeDoesTheWork, c.helperShortensWait, c.oneProofClearsAlarm, c.conditionFails)
	c.eachIntent(c.everyWayNeedsPhone)
	c.shortPassword()
	c.noHelpLine()
	c.idleAcceptance()
	c.personOnlyLocks()
	c.locksWithoutCommonWay()
	c.noLockout()
	c.changedContactCounts()
	c.attackChangesNothing()
	c.idleChannel()
	slices.SortStableFunc(c.findings, func(a, b Finding) int { return cmp.Compare(a.Line, b.Line) })
	return c.findings
}

type check struct {
	p        *Policy
	findings []Finding
	needed   []string // paths of the accept-risk keys that a weakness uses
}

// weak records a weakness at a section whose accept-risk may accept it.
func (c *check) weak(path, accepted, format string, args ...any) {
	c.needed = append(c.needed, join(path, "accept-risk"))
	c.findings = append(c.findings, Finding{
		Line: c.p.line(path), Path: c.p.shown(path), Level: LevelWeak,
		Message: fmt.Sprintf(format, args...), Accepted: strings.TrimSpace(accepted),
	})
}

func (c *check) note(path, format string, args ...any) {
	c.findings = append(c.findings, Finding{
		Line: c.p.line(path), Path: c.p.shown(path), Level: LevelNote, Message: fmt.Sprintf(format, args...),
	})
}

func (c *check) eachIntent(rules ...func(recovery.Intent, string, *IntentSection)) {
	for _, intent := range recovery.Intents {
		if section := c.p.Intents[intent]; section != nil {
			for _, rule := range rules {
				rule(intent, "intents."+string(intent), section)
			}
		}
	}
}

func (c *check) eachWay(rules ...func(recovery.Intent, string, Way)) {
	c.eachIntent(func(intent recovery.Intent, at string, section *IntentSection) {
		for i, way := range section.Ways {
			for _, rule := range rules {
				rule(intent, fmt.Sprintf("%s.ways.%d", at, i), way)
			}
		}
	})
}

// proofs names what really proves something in a way: no helpers, no knowledge,
// and a contact once, however many channels reach it.
func (c *check) proofs(way Way) []string {
	var out []string
	for _, name := range way.Prove {
		info := c.p.catalogue[name]
		proof := cmp.Or(string(info.Contact), name)
		if !info.Helper && info.Factor != recovery.FactorHelper && info.Factor != recovery.FactorKnowledge && !slices.Contains(out, proof) {
			out = append(out, proof)
		}
	}
	return out
}

// strangerHold is how long an unknown device waits after a way on an ordinary day.
func (c *check) strangerHold(way Way) time.Duration {
	hold, _ := c.p.holdAfter(way, Facts{})
	return hold
}

// oneProofNoWait: one proof resets a password at once, from any device.
// NIST SP 800-63B-4 §4.2: one code never replaces two factors; ASVS 6.4.3.
func (c *check) oneProofNoWait(intent recovery.Intent, at string, way Way) {
	if intent == recovery.IntentResetPassword && len(c.proofs(way)) == 1 && c.strangerHold(way) == 0 && !way.Review {
		c.weak(at, way.AcceptRisk, "one proof (%s) resets the password at once on any device (NIST SP 800-63B-4 §4.2)", c.proofs(way)[0])
	}
}

// smsAlone: a phone number alone resets a password before a stolen number is noticed.
// NIST SP 800-63B-4 §3.1.3.3, ASVS 6.6.1; threat T23.
func (c *check) smsAlone(intent recovery.Intent, at string, way Way) {
	if intent == recovery.IntentResetPassword && slices.Equal(c.proofs(way), []string{string(recovery.ContactPhone)}) && c.strangerHold(way) < noticeTime {
		c.weak(at, way.AcceptRisk, "a phone number alone, with a hold of %s: a swapped SIM is noticed later than that (NIST SP 800-63B-4 §3.1.3.3)", Duration(c.strangerHold(way)))
	}
}

// knowledgeDoesTheWork: nothing in the way is more than a fact that others can know.
// NIST SP 800-63A-4 §2.5.1, ASVS 6.4.2; threat T22.
func (c *check) knowledgeDoesTheWork(_ recovery.Intent, at string, way Way) {
	if len(c.proofs(way)) == 0 {
		c.weak(at, way.AcceptRisk, "only knowledge (%s), which others can have (NIST SP 800-63A-4 §2.5.1)", strings.Join(way.Prove, " and "))
	}
}

// helperShortensWait: a fact that proves nothing alone makes the wait of a single
// proof shorter than the default. NIST SP 800-63A-4 §2.5.1; a helper only raises
// the bar. Finding an account is left out: it shows a contact what is its own.
func (c *check) helperShortensWait(intent recovery.Intent, at string, way Way) {
	if intent != recovery.IntentFindAccount && len(c.proofs(way)) == 1 && len(way.Prove) > 1 && way.Hold != nil && *way.Hold < c.p.Hold.Default {
		helped := slices.ContainsFunc(way.Prove, func(name string) bool { return c.p.catalogue[name].Helper })
		if helped {
			c.weak(at, way.AcceptRisk, "a helper shortens the hold to %s, and a helper proves nothing (NIST SP 800-63A-4 §2.5.1)", *way.Hold)
		}
	}
}

// oneProofClearsAlarm: one proof at once silences the alarm that something is wrong.
// Ours, after NIST SP 800-63B-4 §4.2 and threat T10: each reason has a way out of its own strength.
func (c *check) oneProofClearsAlarm(intent recovery.Intent, at string, way Way) {
	if intent == recovery.IntentUnlock && c.p.Clears(way.Name, recovery.LockRiskAlarm) &&
		len(c.proofs(way)) == 1 && c.strangerHold(way) == 0 && !way.Review {
		c.weak(at, way.AcceptRisk, "one proof (%s) clears a risk alarm at once on any device (ours, after NIST SP 800-63B-4 §4.2)", c.proofs(way)[0])
	}
}

// conditionFails: evaluated over supposed facts, a condition fails, or never
// holds. Such a way is not offered; nobody else would say so.
func (c *check) conditionFails(intent recovery.Intent, at string, way Way) {
	if way.when == nil {
		return
	}
	ever := false
	for _, f := range c.p.supposedFacts(intent) {
		holds, err := way.when.holds(f)
		if err != nil {
			c.note(join(at, "when"), "the condition fails for some facts and the way is not offered then: %v", err)
			return
		}
		ever = ever || holds
	}
	if !ever {
		c.note(join(at, "when"), "the condition holds for none of the facts tried, so the way may never be offered")
	}
}

// supposedFacts spans what conditions can see: every identifier that may be typed,
// nothing, one channel or all channels proven, and both sides of the rest.
func (p *Policy) supposedFacts(intent recovery.Intent) []Facts {
	all := []recovery.Evidence{}
	proven := [][]recovery.Evidence{nil}
	for _, name := range slices.Sorted(maps.Keys(p.catalogue)) {
		all = append(all, recovery.Evidence{Channel: name})
		proven = append(proven, all[len(all)-1:])
	}
	proven = append(proven, all)
	locks := [][]recovery.LockReason{nil, recovery.LockReasons}
	for i := range recovery.LockReasons {
		locks = append(locks, recovery.LockReasons[i:i+1])
	}
	var out []Facts
	for _, kind := range p.Identifiers {
		for _, evidence := range proven {
			for _, reasons := range locks {
				for i := range 8 {
					f := Facts{
						Intent: intent, IdentifierKind: kind, Proven: evidence, Locks: reasons, Now: supposedNow,
						KnownDevice: i&1 != 0, UnderAttack: i&2 != 0,
					}
					if i&4 != 0 {
						f.ContactChangedAt = supposedNow.Add(-time.Hour)
					}
					out = append(out, f)
				}
			}
		}
	}
	return out
}

// everyWayNeedsPhone: whoever lost the phone has no way. NIST SP 800-63B-4
// §3.1.3.3: always offer another way than SMS.
func (c *check) everyWayNeedsPhone(_ recovery.Intent, at string, section *IntentSection) {
	for _, way := range section.Ways {
		if !slices.Contains(c.proofs(way), string(recovery.ContactPhone)) {
			return
		}
	}
	c.weak(at, section.AcceptRisk, "every way needs the phone: whoever lost it has only the help line (NIST SP 800-63B-4 §3.1.3.3)")
}

// shortPassword: shorter than the profile asks of a password on its own.
// NIST SP 800-63B-4 §3.1.1.2; for GB/T 22239 8.1.4.1, which names no number, ours.
func (c *check) shortPassword() {
	rules := c.p.Secrets.Password
	wanted := map[string]int{"nist": 15, "gbt22239": 8}[rules.Profile]
	if rules.MinLength < wanted {
		c.weak("secrets.password", rules.AcceptRisk, "min-length %d, and profile %s asks for %d where the password is the only factor", rules.MinLength, rules.Profile, wanted)
	}
}

// noHelpLine: nobody to call. Ours: every realm offers one way with a human.
func (c *check) noHelpLine() {
	if c.p.Help.Phone == "" {
		c.weak("help", c.p.Help.AcceptRisk, "no help line: whoever has none of the ways is lost")
	}
}

// idleAcceptance: an accept-risk that accepts nothing hides the next weakness. Ours.
func (c *check) idleAcceptance() {
	for _, path := range slices.Sorted(maps.Keys(c.p.lines)) {
		if strings.HasSuffix(path, ".accept-risk") && !slices.Contains(c.needed, path) {
			c.note(path, "nothing here is weak: take the accept-risk out, or it hides the next weakness")
		}
	}
}

// personOnlyLocks: no way of unlock clears this reason. For a violation that is
// as it must be: the host disabled the account on purpose.
func (c *check) personOnlyLocks() {
	for _, reason := range recovery.LockReasons {
		if len(c.p.unlockWays(reason)) > 0 || reason == recovery.LockDisavowed {
			continue
		}
		at := "lock." + string(reason)
		if reason == recovery.LockTooManyFailures && c.p.Intents[recovery.IntentResetPassword] != nil {
			c.note(at, "no way of unlock clears it: one waits, or resets the password")
		} else {
			c.note(at, "no way of unlock clears it: only a person does")
		}
	}
}

// locksWithoutCommonWay: an account locked for both reasons is offered no way,
// though each alone has one. Ours.
func (c *check) locksWithoutCommonWay() {
	for i, a := range recovery.LockReasons {
		for _, b := range recovery.LockReasons[i+1:] {
			first, second := c.p.unlockWays(a), c.p.unlockWays(b)
			common := slices.ContainsFunc(first, func(way string) bool { return slices.Contains(second, way) })
			if len(first) > 0 && len(second) > 0 && !common {
				c.note("lock."+string(b)+".unlock", "no way clears both %s and %s: whoever has both locks needs a person", a, b)
			}
		}
	}
}

// noLockout: sign-in by secret is never locked here. NIST SP 800-63B-4 §3.2.2; a host that
// counts for itself does not mind.
func (c *check) noLockout() {
	if c.p.Lock.TooManyFailures.After == 0 {
		c.note("lock.too-many-failures", "after is not set: wrong secrets never lock sign-in here, so the host has to count them")
	}
}

// changedContactCounts: a contact changed a minute ago proves as much as an old one. Threat T23.
func (c *check) changedContactCounts() {
	if c.p.Hold.ContactChanged.Within == 0 {
		c.note("hold.contact-changed", "not set: a contact that was changed a minute ago proves as much as an old one (T23)")
	}
}

// attackChangesNothing: a tripped realm-wide limit has no effect. Threat T6.
func (c *check) attackChangesNothing() {
	if c.p.Hold.UnderAttack == 0 {
		c.note("hold.under-attack", "not set: a tripped realm-wide limit changes no hold (T6)")
	}
}

// idleChannel: tunables of a channel that no way asks for. Ours.
func (c *check) idleChannel() {
	asked := map[string]bool{}
	c.eachWay(func(_ recovery.Intent, _ string, way Way) {
		for _, name := range way.Prove {
			asked[name] = true
		}
	})
	for _, name := range slices.Sorted(maps.Keys(c.p.Channels)) {
		if at := join("channels", name); !asked[name] && c.p.written(at) {
			c.note(at, "no way asks for %s", name)
		}
	}
}
