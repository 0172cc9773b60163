package claimant

import (
	"net/netip"
	"time"

	"github.com/wanbi/wanbi/internal/recovery"
)

// Caller is where a request comes from. Nothing in it is trusted further than
// counting: Network is the peer's address as the listener saw it.
type Caller struct {
	Network netip.Addr
	Device  string // the value of the device cookie, empty when there is none
	Locale  string // zh-CN or en
	// Key is the request's Idempotency-Key, empty for none. A repeat with the same
	// key is the same request; when a case is opened it should be hard to guess.
	Key string
}

// Credentials name one case and show the right to act in it.
type Credentials struct {
	Case  string // external case ID, sealed
	Token string // bearer token of this case
}

// OpenRequest starts a case. It sends nothing.
type OpenRequest struct {
	Realm      recovery.Realm
	Intent     recovery.Intent
	Identifier string // as typed
}

// Opened is a case that the caller may now act in.
type Opened struct {
	Credentials
	Ref recovery.CaseRef
}

// Step is the one thing the claimant does next. Pages and API clients follow it.
type Step string

// The steps.
const (
	StepWays     Step = "ways"     // choose how to prove, then start a challenge
	StepProve    Step = "prove"    // answer the live challenge
	StepChoose   Step = "choose"   // several accounts have this contact: choose one, final
	StepWait     Step = "wait"     // the hold runs
	StepSecret   Step = "secret"   // give a new password
	StepAccount  Step = "account"  // read which account it is
	StepUnlock   Step = "unlock"   // confirm the unlock
	StepPerson   Step = "person"   // a person has to look; until then the help line
	StepApplying Step = "applying" // the host is being told
	StepDone     Step = "done"     // completed: what is secured
	StepStopped  Step = "stopped"  // cancelled
	StepExpired  Step = "expired"
	StepDenied   Step = "denied"
	StepMoved    Step = "moved" // a takeover is over: go on with the case that it moved here
)

// CaseView is all a claimant may know of their case now. What it holds grows
// with what was proven (the specificity ladder): before the first proof it is
// the same, to the byte, for known and unknown identifiers.
type CaseView struct {
	Case   string
	Ref    recovery.CaseRef
	Realm  recovery.Realm
	Intent recovery.Intent
	State  recovery.State
	Turn   string
	Step   Step
	// Identifier is the mask of what was typed, never of what is on file.
	Identifier     string
	IdentifierKind recovery.IdentifierKind
	// Typed is the identifier itself, at StepSecret only: what a password manager
	// files the new password under.
	Typed     string
	OpenedAt  time.Time
	ExpiresAt time.Time

	Ways      []WayView      // at StepWays, StepProve and, with stronger ways only, at StepWait
	Challenge *ChallengeView // at StepProve, and at StepWait while one is live

	Accounts []AccountView // at StepChoose: the candidates; at StepDone of find-account: what was found

	HoldBegan time.Time
	HoldUntil time.Time
	Notified  []string // masks of the contacts that were told, once a contact is proven

	Locks []LockView // at StepUnlock and StepPerson: why the account is locked, once a contact is proven

	// Secret rules at StepSecret.
	Secret *SecretView

	// Moved is the case that a takeover moved here, at StepMoved.
	Moved *Opened

	// Done is the task list at StepDone.
	Done []TaskView
}

// WayView is one way to prove: all of its channels are needed.
type WayView struct {
	Name  string            // slug in the policy
	Label map[string]string // the policy's own label by locale, empty when it has none
	// Channels in the order they are asked, with what is still missing.
	Channels []ChannelView
	Hold     time.Duration // how long one waits after this way
	Person   bool          // the last way is always a person (the help line)
}

// ChannelView is one channel of a way.
type ChannelView struct {
	Name   string // sms-code, email-code, email-link, backup-code, real-name
	Proven bool
	// Open is false while it cannot be started yet: account-bound channels wait
	// for a proven contact.
	Open bool
}

// ChallengeView is a started challenge.
type ChallengeView struct {
	ID        string
	Way       string
	Channel   string
	Digits    int // length of the code, 0 when the answer is no code
	SentAt    time.Time
	ExpiresAt time.Time
	ResendAt  time.Time // from when the same challenge may be sent again
	Expired   bool
}

// AccountView is one account, masked.
type AccountView struct {
	Choice      string             // opaque; hand it back to Choose
	Identifiers []MaskedIdentifier // masked unless the result page of a completed find-account
	Locks       []recovery.LockReason
}

// MaskedIdentifier is e.g. {phone, 138****1234}.
type MaskedIdentifier struct {
	Kind  recovery.IdentifierKind
	Value string
}

// LockView says why an account is locked and what clears it.
type LockView struct {
	Reason recovery.LockReason
	Until  time.Time // zero: until somebody clears it
	Clears bool      // completing this case clears it
}

// SecretView says what a new password must be.
type SecretView struct {
	Profile   string // nist or gbt22239
	MinLength int    // in characters
	MaxLength int
	Classes   int // how many of lower, upper, digit, symbol; 0 for none
}

// TaskView is one line of the list at the end.
type TaskView struct {
	Key  string // message key
	Done bool
	At   time.Time
}
