// Package recovery holds the nouns of Wanbi: what a case is, which states it
// passes through, what counts as evidence, and which kinds of error there are.
//
// It knows no clock, no network and no storage: everything here is a value or a
// pure function of values, so that every other package can agree on the words.
// One word per thing; the list with its Chinese terms is docs/words.md.
//
// Trust: nothing in this package checks anything. Whoever builds an [Evidence]
// vouches for it, and only package channel builds one.
package recovery

import "time"

// Realm is the slug of a tenant: one policy in force, its own keys and limits.
// Lower-case letters, digits and hyphens, at most 40 characters.
type Realm string

// Subject names what a case is about without saying whose it is: a keyed hash
// of realm, kind and canonical identifier. It exists for known and unknown
// identifiers alike and is the shard key of every claimant-side row.
type Subject string

// CaseID, ChallengeID, EvidenceID and AccountID are UUIDv7 in text form.
// They never leave the server bare: outside they are sealed with their shard key.
type (
	CaseID      string
	ChallengeID string
	EvidenceID  string
	AccountID   string
)

// CaseRef is the short number a person reads out (受理编号). It has a check
// character and is not a secret: knowing it grants nothing.
type CaseRef string

// Intent is what the claimant wants back.
type Intent string

// The intents that exist.
const (
	IntentResetPassword Intent = "reset-password"
	IntentFindAccount   Intent = "find-account"
	IntentUnlock        Intent = "unlock"
	// IntentTakeover asks for no account but for a case that was begun in another
	// browser. No policy has it.
	IntentTakeover Intent = "takeover"
)

// Intents lists what a policy can offer, in the order of the start page.
var Intents = []Intent{IntentResetPassword, IntentFindAccount, IntentUnlock}

// Factor is the class of a proof. Two proofs of one class do not make two factors.
type Factor string

// The factors of NIST SP 800-63B-4 §2; helper is Wanbi's word for a fact that
// raises the bar for a stranger but proves nothing alone.
const (
	FactorPossession Factor = "possession"
	FactorKnowledge  Factor = "knowledge"
	FactorInherence  Factor = "inherence"
	FactorHelper     Factor = "helper"
)

// ContactKind is a kind of address that messages reach.
type ContactKind string

// The contact kinds.
const (
	ContactPhone ContactKind = "phone"
	ContactEmail ContactKind = "email"
)

// IdentifierKind is a kind of name that an account answers to.
type IdentifierKind string

// The identifier kinds. A phone and an e-mail are also contacts.
const (
	IdentifierPhone      IdentifierKind = "phone"
	IdentifierEmail      IdentifierKind = "email"
	IdentifierUsername   IdentifierKind = "username"
	IdentifierResidentID IdentifierKind = "resident-id"
	IdentifierIMEI       IdentifierKind = "imei"
	// IdentifierCaseRef is what a takeover is opened with; no account answers to it.
	IdentifierCaseRef IdentifierKind = "case-ref"
)

// Identifier is one canonical identifier. Value is sensitive: it is never
// logged and is stored sealed.
type Identifier struct {
	Kind  IdentifierKind
	Value string // canonical: +8613800001234, li@example.cn, liwei, 110101199003070011
}

// String gives the kind only, so that a stray %v discloses nothing.
func (i Identifier) String() string { return string(i.Kind) + ":…" }

// GoString is String, for %#v.
func (i Identifier) GoString() string { return i.String() }

// Contact is one address on file. Value is canonical and sensitive.
type Contact struct {
	ID        string
	Kind      ContactKind
	Value     string
	AddedAt   time.Time // when it was put on file here
	ChangedAt time.Time // when the host last changed it; a recent change weakens what it proves (T23)
	Further   bool      // told of everything, but sent no codes
}

// String gives the kind only, so that a stray %v discloses nothing.
func (c Contact) String() string { return string(c.Kind) + ":…" }

// GoString is String, for %#v.
func (c Contact) GoString() string { return c.String() }

// LockReason says why an account cannot sign in. Reasons are typed: each has its
// own way out, and a reset clears only too-many-failures (T10).
type LockReason string

// The lock reasons.
const (
	LockTooManyFailures LockReason = "too-many-failures" // wrong secrets at sign-in; graded, temporary
	LockDormant         LockReason = "dormant"           // unused for longer than the policy allows
	LockRiskAlarm       LockReason = "risk-alarm"        // the host or the risk engine saw something
	LockViolation       LockReason = "violation"         // disabled by the host; appeal only
	LockDisavowed       LockReason = "disavowed"         // the owner said "not me" after completion
)

// LockReasons lists every reason, gravest last.
var LockReasons = []LockReason{LockTooManyFailures, LockDormant, LockRiskAlarm, LockViolation, LockDisavowed}

// Lock is one active reason. A zero Until means: until somebody clears it.
type Lock struct {
	Reason LockReason
	At     time.Time
	Until  time.Time
}

// Active reports whether the lock still holds at now: valid up to and not
// including Until.
func (l Lock) Active(now time.Time) bool { return l.Until.IsZero() || now.Before(l.Until) }

// ChannelInfo is what a channel says of itself; policy reads it as its catalogue.
type ChannelInfo struct {
	Name     string
	Factor   Factor
	Strength int         // 0–100: how much it takes to fake; helpers are below 30, see docs/channels.md
	Contact  ContactKind // the contact it reaches, empty when it reaches none
	// AccountBound channels compare with facts of one account and so work only
	// after the account was chosen.
	AccountBound bool
	// Unguessable answers have 64 bit or more, so that wrong ones need no limit and
	// strangers cannot use the owner's tries up (NIST SP 800-63B-4 §3.2.2).
	Unguessable bool
	// Helper channels never satisfy a way alone.
	Helper bool
	// Sensitive marks answers that are personal data under PIPL 28.
	Sensitive bool
	// Failures are the message keys a check can end in, each with a next step.
	Failures []string
}

// Evidence is one accepted proof, bound to what it proves (T1).
type Evidence struct {
	ID        EvidenceID
	Channel   string
	Factor    Factor
	Challenge ChallengeID
	Account   AccountID   // set by account-bound channels, else empty
	Contact   ContactKind // the kind of contact proven, empty when none
	At        time.Time
}
