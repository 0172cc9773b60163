// Package directory reaches the system that owns the accounts when that is not
// Wanbi itself: it finds accounts, sets a new secret, ends sessions, locks and
// unlocks, over the signed webhook that docs/directory.md describes.
//
// What it finds are facts as the host tells them now; whether they prove
// anything is decided elsewhere. What it sets was decided already.
//
// Trust: the host is believed about its own accounts. Whoever can answer in its
// place can name any contact for any account, and receives new secrets: that is
// why calls are signed, go to one configured address, and need https.
package directory

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/wanbi/wanbi/internal/recovery"
)

// Limits of what a host may answer; the schema in docs says the same.
const (
	maxAccounts    = 20 // for one identifier
	maxIdentifiers = 50 // of one account
	maxContacts    = 50 // of one account
)

// Account is one account as the host has it. Its values are sensitive: they
// are never logged, and String gives the host's ID only.
type Account struct {
	HostID       string       `json:"id" pattern:"^[!-~]{1,128}$" doc:"the host's own id of the account; printable ASCII, never changes"`
	Locale       string       `json:"locale,omitempty" maxLength:"35" doc:"BCP 47 tag of the language to write in, e.g. zh-CN"`
	Identifiers  []Identifier `json:"identifiers" minItems:"1" maxItems:"50" doc:"every name that the account answers to"`
	Contacts     []Contact    `json:"contacts,omitempty" maxItems:"50" doc:"every address that reaches the owner; all of them are told of a recovery"`
	RealName     string       `json:"real_name,omitempty" maxLength:"100" doc:"as registered; compared, never shown"`
	ResidentID   string       `json:"resident_id,omitempty" maxLength:"18" doc:"18 characters; compared, never shown"`
	Locks        []Lock       `json:"locks,omitempty" maxItems:"20" doc:"why the account cannot sign in now; absent when it can"`
	LastSignInAt time.Time    `json:"last_sign_in_at,omitzero" doc:"absent when it never did"`
}

// Identifier is a name that an account answers to. Value is canonical, as in
// [recovery.Identifier].
type Identifier struct {
	Kind  recovery.IdentifierKind `json:"kind" enum:"phone,email,username,resident-id,imei"`
	Value string                  `json:"value" minLength:"1" maxLength:"320" doc:"canonical: +8613800001234, li@example.cn, liwei"`
}

// Contact is an address that reaches the owner. Value is canonical.
type Contact struct {
	Kind      recovery.ContactKind `json:"kind" enum:"phone,email"`
	Value     string               `json:"value" minLength:"1" maxLength:"320" doc:"canonical: +8613800001234, li@example.cn"`
	ChangedAt time.Time            `json:"changed_at,omitzero" doc:"when it was last changed; a recent change weakens what it proves. Absent: long ago"`
}

// Lock is a reason why the account cannot sign in.
type Lock struct {
	Reason recovery.LockReason `json:"reason" enum:"too-many-failures,dormant,risk-alarm,violation,disavowed"`
	At     time.Time           `json:"at" doc:"since when"`
	Until  time.Time           `json:"until,omitzero" doc:"until when, not included; absent: until somebody clears it"`
}

// SetSecret is a new secret for an account. Secret is what its owner typed: it
// goes to the host and nowhere else.
type SetSecret struct {
	Realm  recovery.Realm  `json:"realm"`
	Case   recovery.CaseID `json:"case" doc:"the recovery that leads to this; a case sets a secret once, however often it is repeated"`
	HostID string          `json:"account" pattern:"^[!-~]{1,128}$"`
	Kind   string          `json:"kind" enum:"password"`
	Secret string          `json:"secret" minLength:"1" maxLength:"1024" doc:"in clear: the host checks its own rules and hashes"`
}

// KindPassword is the one kind of secret that hosts are sent.
const KindPassword = "password"

// String gives the host's ID only, so that a stray %v discloses nothing.
func (a Account) String() string { return "account " + a.HostID }

// GoString is String, for %#v.
func (a Account) GoString() string { return a.String() }

// LogValue is String, for slog.
func (a Account) LogValue() slog.Value { return slog.StringValue(a.String()) }

// String gives the kind only, so that a stray %v discloses nothing.
func (i Identifier) String() string { return string(i.Kind) + ":…" }

// GoString is String, for %#v.
func (i Identifier) GoString() string { return i.String() }

// LogValue is String, for slog.
func (i Identifier) LogValue() slog.Value { return slog.StringValue(i.String()) }

// String gives the kind only, so that a stray %v discloses nothing.
func (c Contact) String() string { return string(c.Kind) + ":…" }

// GoString is String, for %#v.
func (c Contact) GoString() string { return c.String() }

// LogValue is String, for slog.
func (c Contact) LogValue() slog.Value { return slog.StringValue(c.String()) }

// String names the account and the case, never the secret.
func (s SetSecret) String() string {
	return fmt.Sprintf("a new %s for account %s by case %s", s.Kind, s.HostID, s.Case)
}

// GoString is String, for %#v.
func (s SetSecret) GoString() string { return s.String() }

// LogValue is String, for slog.
func (s SetSecret) LogValue() slog.Value { return slog.StringValue(s.String()) }
