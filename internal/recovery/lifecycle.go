package recovery

import (
	"fmt"
	"time"
)

// State says whose turn it is.
type State string

// The states of a case. The last four are closed: a closed case never moves.
const (
	StateOpen      State = "open"      // the claimant's turn
	StateInReview  State = "in_review" // a person's turn
	StateHeld      State = "held"      // nobody's turn: waiting, still open to stronger proof
	StateApplying  State = "applying"  // the server's turn: the host is being told
	StateCompleted State = "completed"
	StateDenied    State = "denied"
	StateCancelled State = "cancelled"
	StateExpired   State = "expired"
)

// States lists every state in the order of a drawing.
var States = []State{
	StateOpen, StateInReview, StateHeld, StateApplying,
	StateCompleted, StateDenied, StateCancelled, StateExpired,
}

// Closed reports whether the case can never move again.
func (s State) Closed() bool {
	switch s {
	case StateCompleted, StateDenied, StateCancelled, StateExpired:
		return true
	}
	return false
}

// Turn names whose turn it is, as docs/lifecycle.md and the API say it.
func (s State) Turn() string {
	switch s {
	case StateOpen:
		return "claimant"
	case StateInReview:
		return "staff"
	case StateHeld:
		return "nobody"
	case StateApplying:
		return "server"
	}
	return "closed"
}

// Event is what moves a case from one state to another.
type Event string

// The events that move a case.
const (
	EventEnoughEvidence Event = "evidence.enough"
	EventNeedsPerson    Event = "person.needed"
	EventAskedForMore   Event = "review.more"
	EventApproved       Event = "review.approved"
	EventRejected       Event = "review.rejected"
	EventStrongerProof  Event = "evidence.stronger"
	EventRiskRaised     Event = "risk.raised"
	EventRiskReview     Event = "risk.review"
	EventOutcomeTaken   Event = "outcome.taken"
	EventHostConfirmed  Event = "host.confirmed"
	EventHostRefused    Event = "host.refused"
	EventHostSilent     Event = "host.silent"
	EventStopped        Event = "case.cancelled"
	EventExpired        Event = "case.expired"
)

// Move is one row of the lifecycle table.
type Move struct {
	From  State
	Event Event
	To    State
	Note  string // what the row means, for docs/lifecycle.md
}

// Lifecycle is the whole of it: a move that is not here cannot happen. The
// CHECK on audit rows and docs/lifecycle.md are generated from it.
var Lifecycle = []Move{
	{StateOpen, EventEnoughEvidence, StateHeld, "enough evidence; the hold may be zero"},
	{StateOpen, EventNeedsPerson, StateInReview, "the policy wants a person"},
	{StateInReview, EventAskedForMore, StateOpen, "a reviewer asked for more"},
	{StateInReview, EventApproved, StateHeld, "approved by somebody other than the proposer"},
	{StateInReview, EventRejected, StateDenied, "rejected, with a reason the claimant can read"},
	{StateHeld, EventStrongerProof, StateHeld, "hold_until = when the hold began + the shortest hold of a met way"},
	{StateHeld, EventRiskRaised, StateHeld, "the hold grows"},
	{StateHeld, EventRiskReview, StateInReview, "the policy wants a person after all"},
	{StateHeld, EventOutcomeTaken, StateApplying, "at or after hold_until: secret given, account shown, unlock confirmed"},
	{StateApplying, EventHostConfirmed, StateCompleted, "the built-in directory confirms in the same transaction"},
	{StateApplying, EventHostRefused, StateHeld, "the host refused what was given; the claimant may give another"},
	{StateApplying, EventHostSilent, StateInReview, "dead letter, or the account was frozen meanwhile"},
	{StateOpen, EventStopped, StateCancelled, "the owner or the claimant stopped it"},
	{StateInReview, EventStopped, StateCancelled, "the owner or the claimant stopped it"},
	{StateHeld, EventStopped, StateCancelled, "the owner or the claimant stopped it; wins until applying"},
	{StateOpen, EventExpired, StateExpired, "past expires_at"},
	{StateHeld, EventExpired, StateExpired, "past expires_at: nobody took the outcome"},
}

// Next gives the state that the event leads to. A move that the table does not
// have is a conflict: somebody else moved the case first.
func Next(from State, event Event) (State, error) {
	for _, m := range Lifecycle {
		if m.From == from && m.Event == event {
			return m.To, nil
		}
	}
	return "", Conflict("case.moved").Because(fmt.Errorf("no move %q from %q", event, from))
}

// Case is one recovery, as stored. Times are UTC with millisecond precision.
type Case struct {
	ID           CaseID
	Subject      Subject
	Ref          CaseRef
	Realm        Realm
	Intent       Intent
	State        State
	Version      int64
	Kind         IdentifierKind // of what was typed
	Locale       string
	PolicyDigest string // the policy it began under, kept to the end
	Account      AccountID
	OpenedAt     time.Time
	TouchedAt    time.Time
	ExpiresAt    time.Time
	HoldBegan    time.Time
	HoldUntil    time.Time
	ClosedAt     time.Time
}

// StateAt gives the state as it reads at now: a case past its expiry is expired
// at once, whether or not that was recorded yet. Staff never lose a case to
// expiry, so only open and held ones run out.
func (c Case) StateAt(now time.Time) State {
	if (c.State == StateOpen || c.State == StateHeld) && !now.Before(c.ExpiresAt) {
		return StateExpired
	}
	return c.State
}

// Ready reports whether the hold is over and the outcome may be taken: from
// hold_until on, not a millisecond before.
func (c Case) Ready(now time.Time) bool {
	return c.StateAt(now) == StateHeld && !now.Before(c.HoldUntil)
}
