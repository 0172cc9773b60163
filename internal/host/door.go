// Package host is the door of the systems that own the accounts: they push
// facts, ask whether a sign-in secret is right, lock and unlock, and read what
// is on record here.
//
// Every function says first which scope it needs, and the caller's key either
// has it or nothing happens. No function gives a secret back, but for the backup
// codes that it has just made, once.
//
// Trust: whoever holds a key acts for the host within its scopes. accounts:write
// changes where codes are sent and backup-codes:write makes proofs, so either of
// them can take over accounts; the others cannot.
package host

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/audit"
	"github.com/wanbi/wanbi/internal/casework"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// Door lets a host act. Safe for concurrent use.
type Door struct {
	DB       *store.DB
	Keys     *seal.Keyring
	Accounts *account.Service
	Realms   *casework.Realms
	Log      *audit.Log
	Now      func() time.Time
}

// Scope is one thing that a key may do.
type Scope string

// The scopes.
const (
	ScopeAccountsRead  Scope = "accounts:read"      // read accounts, masked, their cases and receipts
	ScopeAccountsWrite Scope = "accounts:write"     // import accounts
	ScopeBackupCodes   Scope = "backup-codes:write" // make an account's backup codes anew
	ScopeLocks         Scope = "locks:write"        // lock and unlock
	ScopeSecrets       Scope = "secrets:verify"     // ask whether a sign-in secret is right
	ScopeSignIns       Scope = "sign-ins:write"     // report sign-ins
)

// Scopes lists every scope.
var Scopes = []Scope{ScopeAccountsRead, ScopeAccountsWrite, ScopeBackupCodes, ScopeLocks, ScopeSecrets, ScopeSignIns}

// Caller is a host system as it comes in, not yet believed.
type Caller struct {
	Realm  recovery.Realm
	Bearer string // the API key
	// Key is the request's Idempotency-Key, empty for none.
	Key string
}

// String discloses nothing.
func (Caller) String() string { return "caller" }

// GoString discloses nothing.
func (Caller) GoString() string { return "caller" }

// Principal is who a key speaks for.
type Principal struct {
	KeyID string
	Name  string // as the operator called the key
	Realm recovery.Realm
}

// Authenticate says whom an API key speaks for in a realm. A key that is none,
// is revoked or belongs to another realm is of kind unknown; one without the
// scope is forbidden.
func (d *Door) Authenticate(ctx context.Context, bearer string, scope Scope, realm recovery.Realm) (Principal, error) {
	id, part, ok := splitKey(bearer)
	if !ok {
		return Principal{}, recovery.Unknown("error.key.unknown")
	}
	var row db.ApiKey
	err := d.DB.Read(ctx, func(q *db.Queries) (err error) {
		row, err = q.GetAPIKey(ctx, id)
		return err
	})
	if store.NotFound(err) {
		return Principal{}, recovery.Unknown("error.key.unknown")
	}
	if err != nil {
		return Principal{}, err
	}
	right := d.Keys.MacEqual(row.Hash, purposeKey, row.ID, row.Realm, row.Scopes, part)
	if !right || row.RevokedAt != 0 || row.Realm != string(realm) {
		return Principal{}, recovery.Unknown("error.key.unknown")
	}
	if !slices.Contains(strings.Fields(row.Scopes), string(scope)) {
		return Principal{}, recovery.Forbidden("error.key.scope").With("scope", string(scope))
	}
	if _, ok := d.Realms.Policy(realm); !ok {
		return Principal{}, recovery.NotFound("error.realm.unknown")
	}
	return Principal{KeyID: row.ID, Name: row.Name, Realm: realm}, nil
}

// allow is Authenticate for a caller.
func (d *Door) allow(ctx context.Context, from Caller, scope Scope) error {
	_, err := d.Authenticate(ctx, from.Bearer, scope, from.Realm)
	return err
}
