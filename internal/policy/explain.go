package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wanbi/wanbi/internal/recovery"
)

// Explain says in one line per rule how the policy comes to its decision:
// the locks, each way with what it has and misses, what made each hold, and the
// result. It calls Decide, so it cannot disagree with it.
func Explain(p *Policy, f Facts) []string {
	section := p.Intents[f.Intent]
	if section == nil {
		return []string{fmt.Sprintf("intent %s: this realm does not have it; %s", f.Intent, p.person())}
	}
	decision := p.Decide(f)
	lines := p.explainLocks(f, decision)
	for _, way := range section.Ways {
		at := slices.IndexFunc(decision.Ways, func(s WayState) bool { return s.Way.Name == way.Name })
		if at < 0 {
			lines = append(lines, fmt.Sprintf("way %s: not offered, %s", way.Name, p.refusal(way, f)))
			continue
		}
		lines = append(lines, explainWay(decision.Ways[at])...)
	}
	lines = append(lines, p.explainUnasked(section, f)...)
	return append(lines, p.explainResult(decision))
}

func (p *Policy) explainLocks(f Facts, d Decision) []string {
	var lines []string
	for _, reason := range f.Locks {
		line := fmt.Sprintf("lock %s: stays", reason)
		switch {
		case slices.Contains(d.Blocked, reason):
			line = fmt.Sprintf("lock %s: no reset without a person", reason)
		case f.Intent == recovery.IntentResetPassword && p.ResetClears(reason):
			line = fmt.Sprintf("lock %s: the reset clears it", reason)
		case f.Intent == recovery.IntentUnlock && len(p.unlockWays(reason)) > 0:
			line = fmt.Sprintf("lock %s: cleared by way %s", reason, strings.Join(p.unlockWays(reason), " or "))
		case f.Intent == recovery.IntentUnlock:
			line = fmt.Sprintf("lock %s: only a person clears it", reason)
		}
		lines = append(lines, line)
	}
	return lines
}

func explainWay(state WayState) []string {
	line := fmt.Sprintf("way %s: offered, missing %s", state.Way.Name, strings.Join(state.Missing, " and "))
	if state.Met {
		line = fmt.Sprintf("way %s: met by %s", state.Way.Name, strings.Join(state.Way.Prove, " and "))
	}
	lines := []string{line}
	for _, rule := range state.Why {
		lines = append(lines, fmt.Sprintf("way %s: %s", state.Way.Name, rule))
	}
	if state.Way.Review {
		lines = append(lines, fmt.Sprintf("way %s: a person reviews it before the hold", state.Way.Name))
	}
	return lines
}

// explainUnasked names proofs that no way of the intent asks for.
func (p *Policy) explainUnasked(section *IntentSection, f Facts) []string {
	var lines []string
	for _, channel := range provenChannels(f.Proven) {
		if !slices.ContainsFunc(section.Ways, func(w Way) bool { return slices.Contains(w.Prove, channel) }) {
			lines = append(lines, fmt.Sprintf("proof %s: no way of %s asks for it", channel, f.Intent))
		}
	}
	return lines
}

func (p *Policy) explainResult(d Decision) string {
	switch {
	case len(d.Ways) == 0:
		return "result: no way is offered; " + p.person()
	case !d.Met:
		return "result: not enough yet; " + p.person()
	case len(d.Blocked) > 0:
		return fmt.Sprintf("result: way %s is met, but a lock blocks the outcome; %s", d.Way, p.person())
	case d.NeedsPerson:
		return fmt.Sprintf("result: way %s is met, a reviewer looks, then it waits %s", d.Way, Duration(d.Hold))
	}
	return fmt.Sprintf("result: way %s is met, it waits %s", d.Way, Duration(d.Hold))
}

func (p *Policy) person() string {
	if p.Help.Phone == "" {
		return "a person decides"
	}
	return "the person to ask is at " + p.Help.Phone
}

// factsFile is what ParseFacts reads.
type factsFile struct {
	Intent         recovery.Intent         `yaml:"intent" oneof:"reset-password,find-account,unlock"`
	Identifier     recovery.IdentifierKind `yaml:"identifier" oneof:"phone,email,username,resident-id,imei"`
	Proven         []string                `yaml:"proven"`
	KnownDevice    bool                    `yaml:"known-device"`
	ContactChanged *Duration               `yaml:"contact-changed"`
	Locks          []recovery.LockReason   `yaml:"locks" oneof:"too-many-failures,dormant,risk-alarm,violation,disavowed"`
	UnderAttack    bool                    `yaml:"under-attack"`
}

// supposedNow stands for now in supposed facts: only differences of time matter.
var supposedNow = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

// ParseFacts reads supposed facts for Explain, as strictly as a policy:
//
//	intent: reset-password
//	identifier: phone
//	proven: [sms-code]
//	known-device: false
//	contact-changed: 3d    # how long ago; left out: never
//	locks: []              # left out: the account is not known yet
//	under-attack: false
//
// The evidence names channels only, and so it proves nothing to anybody else.
func ParseFacts(text []byte) (Facts, error) {
	var file factsFile
	r := &reader{file: "facts"}
	r.read(text, &file)
	if len(r.problems) == 0 && file.Intent == "" {
		r.problem(1, "intent", "missing")
	}
	if err := r.problems.asError(); err != nil {
		return Facts{}, err
	}
	f := Facts{
		Intent: file.Intent, IdentifierKind: file.Identifier, KnownDevice: file.KnownDevice,
		Locks: file.Locks, UnderAttack: file.UnderAttack, Now: supposedNow,
	}
	for _, channel := range file.Proven {
		f.Proven = append(f.Proven, recovery.Evidence{Channel: channel, At: supposedNow})
	}
	if file.ContactChanged != nil {
		f.ContactChangedAt = supposedNow.Add(-file.ContactChanged.Std())
	}
	return f, nil
}
