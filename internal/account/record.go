package account

import (
	"fmt"
	"strings"
	"time"

	"github.com/wanbi/wanbi/internal/identifier"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/secret"
)

// Record is one account as a host gives it, in JSON Lines or over the API; the
// CSV columns are its simple fields. An account that exists already (same id)
// is brought up to date: contacts that are not in the record are removed.
type Record struct {
	// ID is the host's own, any text up to 200 bytes.
	ID string `json:"id" maxLength:"200" doc:"The host's own ID of the account"`
	// Locale is zh-CN or en; empty takes the realm's.
	Locale string `json:"locale,omitempty" enum:"zh-CN,en"`
	// Phone and Email are where messages go, and identifiers too.
	Phone string `json:"phone,omitempty" doc:"Where SMS go; also an identifier"`
	Email string `json:"email,omitempty" doc:"Where mail goes; also an identifier"`
	// MorePhones and MoreEmails are further contacts, told of everything but sent no codes.
	MorePhones []string `json:"more_phones,omitempty" doc:"Further phones: they are told of everything and sent no codes"`
	MoreEmails []string `json:"more_emails,omitempty" doc:"Further e-mails: they are told of everything and sent no codes"`
	Username   string   `json:"username,omitempty"`
	// ResidentID is an identifier and a fact, RealName a fact.
	ResidentID string `json:"resident_id,omitempty"`
	RealName   string `json:"real_name,omitempty"`
	// PasswordHash is argon2id in PHC form or bcrypt; it is upgraded at the next sign-in.
	PasswordHash string `json:"password_hash,omitempty" doc:"argon2id (PHC) or bcrypt; upgraded at the next sign-in"`
	// LastSignInAt counts for dormancy.
	LastSignInAt *time.Time `json:"last_sign_in_at,omitempty"`
	// ContactChangedAt says when phone or e-mail last changed at the host.
	ContactChangedAt *time.Time `json:"contact_changed_at,omitempty"`
	// Locked holds dormant, risk-alarm or violation.
	Locked string `json:"locked,omitempty" enum:"dormant,risk-alarm,violation"`
}

// String gives the ID only.
func (r Record) String() string { return "account " + r.ID }

// GoString is String, for %#v.
func (r Record) GoString() string { return r.String() }

// clean is a record checked and in canonical form.
type clean struct {
	Record
	identifiers []recovery.Identifier
	contacts    []recovery.Contact
	// fetched from the host's own directory: its locks are the truth.
	fetched bool
	locks   []recovery.Lock
}

// maxMore bounds the further contacts of one kind.
const maxMore = 8

// check canonicalises a record. The error names the field and never its value.
func check(r Record) (clean, error) {
	c := clean{Record: r}
	if r.ID == "" || len(r.ID) > 200 || strings.ContainsAny(r.ID, "\x00\n\r") {
		return c, recovery.BadInput("error.import.id").At("id")
	}
	if r.Locale != "" && r.Locale != "zh-CN" && r.Locale != "en" {
		return c, recovery.BadInput("error.import.locale").At("locale")
	}
	switch recovery.LockReason(r.Locked) {
	case "", recovery.LockDormant, recovery.LockRiskAlarm, recovery.LockViolation:
	default:
		return c, recovery.BadInput("error.lock.reason").At("locked")
	}
	for _, one := range []struct {
		field string
		kind  recovery.IdentifierKind
		value string
	}{
		{"phone", recovery.IdentifierPhone, r.Phone},
		{"email", recovery.IdentifierEmail, r.Email},
		{"username", recovery.IdentifierUsername, r.Username},
		{"resident_id", recovery.IdentifierResidentID, r.ResidentID},
	} {
		if one.value == "" {
			continue
		}
		id, err := identifier.Parse(one.kind, one.value)
		if err != nil {
			return c, recovery.AsError(err).At(one.field)
		}
		c.identifiers = append(c.identifiers, id)
		if one.kind == recovery.IdentifierPhone || one.kind == recovery.IdentifierEmail {
			c.contacts = append(c.contacts, recovery.Contact{Kind: recovery.ContactKind(one.kind), Value: id.Value})
		}
		if one.kind == recovery.IdentifierResidentID {
			c.ResidentID = id.Value
		}
	}
	if len(c.identifiers) == 0 {
		return c, recovery.BadInput("error.import.no-identifier").At("phone")
	}
	for field, more := range map[string][]string{"more_phones": r.MorePhones, "more_emails": r.MoreEmails} {
		if len(more) > maxMore {
			return c, recovery.BadInput("error.import.too-many").At(field).With("most", maxMore)
		}
		kind := recovery.IdentifierPhone
		if field == "more_emails" {
			kind = recovery.IdentifierEmail
		}
		for i, value := range more {
			id, err := identifier.Parse(kind, value)
			if err != nil {
				return c, recovery.AsError(err).At(fmt.Sprintf("%s[%d]", field, i))
			}
			c.contacts = append(c.contacts, recovery.Contact{Kind: recovery.ContactKind(kind), Value: id.Value, Further: true})
		}
	}
	if r.ContactChangedAt != nil {
		for i := range c.contacts {
			c.contacts[i].ChangedAt = *r.ContactChangedAt
		}
	}
	// A hash with a pepper (k=) is bound to the keys and the account of an installation.
	if r.PasswordHash != "" && (!secret.KnownHash(r.PasswordHash) || strings.Contains(r.PasswordHash, ",k=")) {
		return c, recovery.BadInput("error.import.password-hash").At("password_hash")
	}
	return c, nil
}
