package api

import (
	"time"

	"github.com/wanbi/wanbi/internal/claimant"
)

// Case is what its claimant may know of it now.
type Case struct {
	ID         string     `json:"id" doc:"The case in paths"`
	Ref        string     `json:"ref" doc:"The short number that people read out (受理编号); it grants nothing"`
	Realm      string     `json:"realm"`
	Intent     string     `json:"intent" enum:"reset-password,find-account,unlock,takeover"`
	State      string     `json:"state" enum:"open,in_review,held,applying,completed,denied,cancelled,expired"`
	Turn       string     `json:"turn" enum:"claimant,staff,nobody,server,closed" doc:"Whose turn it is"`
	Step       string     `json:"step" enum:"ways,prove,choose,wait,secret,account,unlock,person,applying,done,stopped,expired,denied,moved" doc:"The one thing to do next"`
	Identifier Identifier `json:"identifier" doc:"The mask of what was typed, never of what is on file"`
	OpenedAt   time.Time  `json:"opened_at"`
	ExpiresAt  *time.Time `json:"expires_at,omitempty" doc:"When it ends by itself; staff never lose a case so"`
	Ways       []Way      `json:"ways,omitempty" doc:"What is offered; during a wait, only what would shorten it"`
	Challenge  *Challenge `json:"challenge,omitempty" doc:"The one that can be answered"`
	Accounts   []Found    `json:"accounts,omitempty" doc:"At choose: the candidates; at done of find-account: what was found"`
	Hold       *Hold      `json:"hold,omitempty"`
	Notified   []string   `json:"notified,omitempty" doc:"Masks of the contacts that were told, once a contact is proven"`
	Locks      []CaseLock `json:"locks,omitempty" doc:"Why the account is locked, once a contact is proven"`
	Secret     *Rules     `json:"secret,omitempty" doc:"At secret: what a new password must be"`
	Done       []Task     `json:"done,omitempty" doc:"At done: what was done and what is left to do"`
	Moved      *Moved     `json:"moved,omitempty" doc:"At moved: the case that the takeover brought here; go on with it"`
}

// Moved is a case and its new token.
type Moved struct {
	Case  string `json:"case" doc:"The case's id, for paths"`
	Token string `json:"token" doc:"Its token; the one from before works no more"`
}

// Identifier is a kind and a value with most of it hidden.
type Identifier struct {
	Kind  string `json:"kind" enum:"phone,email,username,resident-id,imei,case-ref"`
	Value string `json:"value" example:"138****1234"`
}

// Way is one way to prove: all of its channels are needed.
type Way struct {
	Name        string            `json:"name"`
	Label       map[string]string `json:"label,omitempty" doc:"By language, where the policy names the way"`
	Channels    []Channel         `json:"channels,omitempty"`
	HoldSeconds int64             `json:"hold_seconds" doc:"How long one waits after this way"`
	Person      bool              `json:"person,omitempty" doc:"The last way is always a person: the help line"`
}

// Channel is one channel of a way.
type Channel struct {
	Name   string `json:"name" example:"sms-code"`
	Proven bool   `json:"proven"`
	Open   bool   `json:"open" doc:"False while a contact has to be proven first"`
}

// Challenge is a started one. That it exists says nothing about an account.
type Challenge struct {
	ID        string    `json:"id"`
	Way       string    `json:"way"`
	Channel   string    `json:"channel"`
	Digits    int       `json:"digits,omitempty" doc:"Length of the code"`
	SentAt    time.Time `json:"sent_at"`
	ExpiresAt time.Time `json:"expires_at"`
	ResendAt  time.Time `json:"resend_at" doc:"From when it may be sent again"`
	Expired   bool      `json:"expired"`
}

// Found is one account, masked.
type Found struct {
	Choice      string       `json:"choice,omitempty" doc:"Hand it back to choose"`
	Identifiers []Identifier `json:"identifiers"`
	Locks       []string     `json:"locks,omitempty"`
}

// Hold is the wait in which the owner can stop the case.
type Hold struct {
	BeganAt time.Time `json:"began_at"`
	Until   time.Time `json:"until"`
}

// CaseLock is why an account is locked and whether this case clears it.
type CaseLock struct {
	Reason string     `json:"reason" enum:"too-many-failures,dormant,risk-alarm,violation,disavowed"`
	Until  *time.Time `json:"until,omitempty" doc:"Absent: until somebody clears it"`
	Clears bool       `json:"clears"`
}

// Rules are what a new password must be.
type Rules struct {
	Profile   string `json:"profile" enum:"nist,gbt22239"`
	MinLength int    `json:"min_length" doc:"In characters"`
	MaxLength int    `json:"max_length"`
	Classes   int    `json:"classes,omitempty" doc:"How many of capital letters, small letters, digits and symbols"`
}

// Task is one line of the list at the end.
type Task struct {
	Code string     `json:"code" example:"task.sessions-ended"`
	Done bool       `json:"done"`
	At   *time.Time `json:"at,omitempty"`
}

// moment is nil for the zero time.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// showCase shapes a case for its claimant.
func showCase(v claimant.CaseView) Case {
	c := Case{
		ID: v.Case, Ref: string(v.Ref), Realm: string(v.Realm), Intent: string(v.Intent), State: string(v.State), Turn: v.Turn,
		Step: string(v.Step), Identifier: Identifier{string(v.IdentifierKind), v.Identifier},
		OpenedAt: v.OpenedAt.UTC(), Notified: v.Notified,
	}
	if !v.State.Closed() {
		c.ExpiresAt = moment(v.ExpiresAt)
	}
	if v.Moved != nil {
		c.Moved = &Moved{Case: v.Moved.Case, Token: v.Moved.Token}
	}
	for _, w := range v.Ways {
		c.Ways = append(c.Ways, showWay(w))
	}
	if ch := v.Challenge; ch != nil {
		c.Challenge = &Challenge{
			ID: ch.ID, Way: ch.Way, Channel: ch.Channel, Digits: ch.Digits,
			SentAt: ch.SentAt.UTC(), ExpiresAt: ch.ExpiresAt.UTC(), ResendAt: ch.ResendAt.UTC(), Expired: ch.Expired,
		}
	}
	for _, a := range v.Accounts {
		found := Found{Choice: a.Choice, Identifiers: []Identifier{}}
		for _, id := range a.Identifiers {
			found.Identifiers = append(found.Identifiers, Identifier{string(id.Kind), id.Value})
		}
		for _, reason := range a.Locks {
			found.Locks = append(found.Locks, string(reason))
		}
		c.Accounts = append(c.Accounts, found)
	}
	if !v.HoldBegan.IsZero() {
		c.Hold = &Hold{BeganAt: v.HoldBegan.UTC(), Until: v.HoldUntil.UTC()}
	}
	for _, l := range v.Locks {
		c.Locks = append(c.Locks, CaseLock{Reason: string(l.Reason), Until: moment(l.Until), Clears: l.Clears})
	}
	if r := v.Secret; r != nil {
		c.Secret = &Rules{Profile: r.Profile, MinLength: r.MinLength, MaxLength: r.MaxLength, Classes: r.Classes}
	}
	for _, t := range v.Done {
		c.Done = append(c.Done, Task{Code: t.Key, Done: t.Done, At: moment(t.At)})
	}
	return c
}

func showWay(w claimant.WayView) Way {
	way := Way{Name: w.Name, Label: w.Label, HoldSeconds: seconds(w.Hold), Person: w.Person}
	for _, ch := range w.Channels {
		way.Channels = append(way.Channels, Channel{Name: ch.Name, Proven: ch.Proven, Open: ch.Open})
	}
	return way
}
