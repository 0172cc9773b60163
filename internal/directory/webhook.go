package directory

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/webhook"
)

// retryDelay is what a host that talks nonsense is given to recover.
const retryDelay = 30 * time.Second

// Webhook is a host's directory behind signed calls. Safe for concurrent use.
//
// Its errors are those of [webhook.Client.Post]: KindUnavailable is worth a
// repeat, "error.webhook.refused" carries a [webhook.Refusal], anything else is
// final.
type Webhook struct {
	Client *webhook.Client
	URL    string // the base; find, set-secret, … are appended to its path
}

// The bodies on the wire. Every request names its realm.
type (
	findRequest struct {
		Realm      recovery.Realm `json:"realm"`
		Identifier Identifier     `json:"identifier"`
	}
	findAnswer struct {
		Accounts []Account `json:"accounts" maxItems:"20" doc:"empty when nobody has the identifier; that is no error"`
	}
	endSessions struct {
		Realm  recovery.Realm  `json:"realm"`
		Case   recovery.CaseID `json:"case"`
		HostID string          `json:"account" pattern:"^[!-~]{1,128}$"`
	}
	unlock struct {
		Realm   recovery.Realm        `json:"realm"`
		Case    recovery.CaseID       `json:"case"`
		HostID  string                `json:"account" pattern:"^[!-~]{1,128}$"`
		Reasons []recovery.LockReason `json:"reasons" minItems:"1" enum:"too-many-failures,dormant,risk-alarm,violation,disavowed" doc:"the reasons to clear; others stay"`
	}
	lock struct {
		Realm  recovery.Realm      `json:"realm"`
		Case   recovery.CaseID     `json:"case"`
		HostID string              `json:"account" pattern:"^[!-~]{1,128}$"`
		Reason recovery.LockReason `json:"reason" enum:"disavowed"`
	}
	problem struct {
		Code string `json:"code" pattern:"^[a-z0-9._-]{1,64}$" doc:"why the host refuses, for the claimant's next step"`
	}
)

// Find gives the accounts that answer to the identifier, none when nobody does.
// An answer that breaks the contract is KindUnavailable, as if there were none.
func (w *Webhook) Find(ctx context.Context, realm recovery.Realm, identifier recovery.Identifier) ([]Account, error) {
	var answer findAnswer
	request := findRequest{realm, Identifier{identifier.Kind, identifier.Value}}
	if err := w.post(ctx, "find", "", request, &answer); err != nil {
		return nil, err
	}
	if err := answer.check(); err != nil {
		return nil, recovery.Unavailable("error.webhook.unavailable", retryDelay).
			Because(fmt.Errorf("directory: find: %w", err))
	}
	return answer.Accounts, nil
}

// SetSecret gives the account its new secret. The host does it at most once for
// a case, so a repeat after a lost answer is safe. A [webhook.Refusal] means
// that the host does not take this secret: the claimant may give another.
func (w *Webhook) SetSecret(ctx context.Context, s SetSecret) error {
	if s.Kind != KindPassword || s.Case == "" || s.HostID == "" || s.Secret == "" {
		return recovery.Internal(errors.New("directory: set-secret needs a password, a case and an account"))
	}
	return w.post(ctx, "set-secret", string(s.Case), s, nil)
}

// EndSessions signs the account out everywhere.
func (w *Webhook) EndSessions(ctx context.Context, realm recovery.Realm, hostID string, c recovery.CaseID) error {
	return w.post(ctx, "end-sessions", keyOf(c, "end-sessions"), endSessions{realm, c, hostID}, nil)
}

// Unlock clears the named reasons and no others.
func (w *Webhook) Unlock(ctx context.Context, realm recovery.Realm, hostID string, c recovery.CaseID, reasons []recovery.LockReason) error {
	if len(reasons) == 0 {
		return recovery.Internal(errors.New("directory: unlock without a reason"))
	}
	return w.post(ctx, "unlock", keyOf(c, "unlock"), unlock{realm, c, hostID, reasons}, nil)
}

// Lock freezes an account whose owner said "not me" after a recovery: the lock
// reason is disavowed, until somebody clears it.
func (w *Webhook) Lock(ctx context.Context, realm recovery.Realm, hostID string, c recovery.CaseID) error {
	return w.post(ctx, "lock", keyOf(c, "lock"), lock{realm, c, hostID, recovery.LockDisavowed}, nil)
}

// keyOf keeps the calls of one case apart for hosts that remember keys alone.
func keyOf(c recovery.CaseID, call string) string { return string(c) + "." + call }

func (w *Webhook) post(ctx context.Context, call, key string, body, out any) error {
	base, query, has := strings.Cut(w.URL, "?")
	target := strings.TrimRight(base, "/") + "/" + call
	if has {
		target += "?" + query
	}
	return w.Client.Post(ctx, target, key, body, out)
}

var (
	hostIDForm      = regexp.MustCompile(`^[!-~]{1,128}$`)
	identifierKinds = []recovery.IdentifierKind{
		recovery.IdentifierPhone, recovery.IdentifierEmail, recovery.IdentifierUsername,
		recovery.IdentifierResidentID, recovery.IdentifierIMEI,
	}
	contactKinds = []recovery.ContactKind{recovery.ContactPhone, recovery.ContactEmail}
)

// check holds the answer against the contract. Its errors name places, not values.
func (a findAnswer) check() error {
	if a.Accounts == nil {
		return errors.New("no list of accounts") // some other 200, not "nobody"
	}
	if len(a.Accounts) > maxAccounts {
		return fmt.Errorf("more than %d accounts", maxAccounts)
	}
	seen := map[string]bool{}
	for i, account := range a.Accounts {
		if seen[account.HostID] {
			return fmt.Errorf("accounts[%d]: the id of another", i)
		}
		seen[account.HostID] = true
		if err := account.check(); err != nil {
			return fmt.Errorf("accounts[%d]: %w", i, err)
		}
	}
	return nil
}

func (a Account) check() error {
	switch {
	case !hostIDForm.MatchString(a.HostID):
		return errors.New("id is not 1 to 128 printable ASCII characters")
	case len(a.Identifiers) == 0 || len(a.Identifiers) > maxIdentifiers:
		return fmt.Errorf("not 1 to %d identifiers", maxIdentifiers)
	case len(a.Contacts) > maxContacts:
		return fmt.Errorf("more than %d contacts", maxContacts)
	case len(a.Locks) > 20:
		return errors.New("more than 20 locks")
	case len(a.Locale) > 35 || utf8.RuneCountInString(a.RealName) > 100 || len(a.ResidentID) > 18:
		return errors.New("locale, real_name or resident_id is too long")
	}
	for i, identifier := range a.Identifiers {
		if !slices.Contains(identifierKinds, identifier.Kind) || !value(identifier.Value) {
			return fmt.Errorf("identifiers[%d]: unknown kind, or no value of at most 320 characters", i)
		}
	}
	for i, contact := range a.Contacts {
		if !slices.Contains(contactKinds, contact.Kind) || !value(contact.Value) {
			return fmt.Errorf("contacts[%d]: unknown kind, or no value of at most 320 characters", i)
		}
	}
	for i, lock := range a.Locks {
		if !slices.Contains(recovery.LockReasons, lock.Reason) || lock.At.IsZero() {
			return fmt.Errorf("locks[%d]: unknown reason, or no time", i)
		}
	}
	return nil
}

func value(s string) bool { return s != "" && utf8.RuneCountInString(s) <= 320 }
