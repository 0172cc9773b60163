package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/wanbi/wanbi/internal/audit"
	"github.com/wanbi/wanbi/internal/host"
	"github.com/wanbi/wanbi/internal/recovery"
)

const tagHost = "Host"

// InRealm names a realm and shows a key for it.
type InRealm struct {
	Bearer
	Realm string `path:"realm" maxLength:"40"`
}

func (in InRealm) from(key string) host.Caller {
	return host.Caller{Realm: recovery.Realm(in.Realm), Bearer: in.token(), Key: key}
}

// OfAccount names one account of a realm.
type OfAccount struct {
	InRealm
	Account string `path:"account" maxLength:"200" doc:"The host's own ID of the account, URL-escaped"`
}

// DoWithAccount is a POST about one account that says no more.
type DoWithAccount struct {
	OfAccount
	Repeatable
}

// SetLock locks or unlocks.
type SetLock struct {
	OfAccount
	Repeatable
	Body struct {
		Reason string `json:"reason" enum:"too-many-failures,dormant,risk-alarm,violation,disavowed" doc:"dormant, risk-alarm and violation can be set; all can be cleared"`
	}
}

// Account is what a host may read of an account: masks, dates and counts.
type Account struct {
	ID           string          `json:"id" doc:"The host's own ID"`
	Locale       string          `json:"locale"`
	Identifiers  []Identifier    `json:"identifiers"`
	Contacts     []Contact       `json:"contacts"`
	Locks        []Lock          `json:"locks" doc:"That hold now"`
	BackupCodes  int             `json:"backup_codes" doc:"How many are not used yet"`
	Cases        []CaseOfAccount `json:"cases" doc:"The recoveries that came to know the account, oldest first"`
	CreatedAt    time.Time       `json:"created_at"`
	LastSignInAt time.Time       `json:"last_sign_in_at"`
}

// Contact is a masked address.
type Contact struct {
	Kind      string     `json:"kind" enum:"phone,email"`
	Value     string     `json:"value" example:"138****1234"`
	AddedAt   time.Time  `json:"added_at"`
	ChangedAt *time.Time `json:"changed_at,omitempty" doc:"A contact changed lately proves less"`
}

// Lock is one reason why an account cannot sign in.
type Lock struct {
	Reason string     `json:"reason" enum:"too-many-failures,dormant,risk-alarm,violation,disavowed"`
	At     *time.Time `json:"at,omitempty"`
	Until  *time.Time `json:"until,omitempty" doc:"Absent: until somebody clears it"`
}

// CaseOfAccount is one recovery as its account's host sees it.
type CaseOfAccount struct {
	Ref      string     `json:"ref"`
	Intent   string     `json:"intent" enum:"reset-password,find-account,unlock"`
	State    string     `json:"state" enum:"open,in_review,held,applying,completed,denied,cancelled,expired"`
	OpenedAt time.Time  `json:"opened_at"`
	ClosedAt *time.Time `json:"closed_at,omitempty"`
}

func showAccount(a host.Account) Account {
	out := Account{
		ID: a.ID, Locale: a.Locale, BackupCodes: a.BackupCodes, CreatedAt: a.CreatedAt.UTC(), LastSignInAt: a.LastSignInAt.UTC(),
		Identifiers: []Identifier{}, Contacts: []Contact{}, Locks: []Lock{}, Cases: []CaseOfAccount{},
	}
	for _, id := range a.Identifiers {
		out.Identifiers = append(out.Identifiers, Identifier{string(id.Kind), id.Value})
	}
	for _, c := range a.Contacts {
		out.Contacts = append(out.Contacts, Contact{string(c.Kind), c.Value, c.AddedAt.UTC(), moment(c.ChangedAt)})
	}
	for _, l := range a.Locks {
		out.Locks = append(out.Locks, Lock{string(l.Reason), moment(l.At), moment(l.Until)})
	}
	for _, c := range a.Cases {
		out.Cases = append(out.Cases, CaseOfAccount{
			string(c.Ref), string(c.Intent), string(c.State), c.OpenedAt.UTC(), moment(c.ClosedAt),
		})
	}
	return out
}

// BackupCodes are shown this once.
type BackupCodes struct {
	Codes []string `json:"codes" doc:"Show them to the owner once and keep none"`
}

// Receipt proves what happened to an account, to be verified offline.
type Receipt struct {
	Log        string         `json:"log" doc:"The log's public key (C2SP signed note), as /audit/key has it"`
	Checkpoint string         `json:"checkpoint" doc:"The signed checkpoint that the proofs lead to"`
	Chain      string         `json:"chain"`
	Entries    []ReceiptEntry `json:"entries"`
}

// ReceiptEntry is one disclosed entry with its place in the log.
type ReceiptEntry struct {
	Seq     int64     `json:"seq"`
	At      time.Time `json:"at"`
	Event   string    `json:"event"`
	From    string    `json:"from,omitempty"`
	To      string    `json:"to,omitempty"`
	Payload payload   `json:"payload" doc:"What the entry says; to be hashed byte by byte as it stands"`
	Nonce   []byte    `json:"nonce"`
	Prev    []byte    `json:"prev"`
	Leaf    int64     `json:"leaf"`
	Proof   [][]byte  `json:"proof"`
}

// payload is JSON whose bytes must not change on the way.
type payload []byte

// MarshalJSON gives it as it is.
func (p payload) MarshalJSON() ([]byte, error) { return p, nil }

// Schema describes it: texts by name.
func (payload) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: &huma.Schema{Type: huma.TypeString}}
}

func showReceipt(r audit.Receipt) Receipt {
	out := Receipt{Log: r.Log, Checkpoint: r.Checkpoint, Chain: r.Chain, Entries: []ReceiptEntry{}}
	for _, e := range r.Entries {
		if e.Proof == nil {
			e.Proof = [][]byte{} // the only entry of a log needs none
		}
		out.Entries = append(out.Entries, ReceiptEntry{
			e.Seq, e.At.UTC(), e.Event, e.From, e.To, payload(e.Payload), e.Nonce, e.Prev, e.Leaf, e.Proof,
		})
	}
	return out
}

// hosting is an operation of a host.
func hosting(id, method, path, summary, description string, scope host.Scope, errors ...int) huma.Operation {
	errors = append(errors, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusServiceUnavailable)
	if method == http.MethodPost {
		errors = append(errors, http.StatusConflict)
	}
	op := operation(id, method, path, tagHost, summary, description+" Scope: `"+string(scope)+"`.", errors...)
	op.Security = []map[string][]string{{apiKey: {}}}
	op.MaxBodyBytes = maxBody + 1 // huma refuses the bound itself
	return op
}

func (s *site) hostOperations() {
	const one = "/v1/{realm}/accounts/{account}"
	huma.Register(s.api, hosting("get-account", http.MethodGet, one, "Read an account",
		"Locks, masked contacts, dates, recoveries and how many backup codes are left; never a secret.",
		host.ScopeAccountsRead), func(ctx context.Context, in *OfAccount) (*Answered[Account], error) {
		a, err := s.Host.Account(ctx, in.from(""), in.Account)
		return answer(showAccount(a), err)
	})
	huma.Register(s.api, hosting("lock-account", http.MethodPost, one+"/lock", "Lock an account",
		"Sets a typed lock. One that is set already stays set.",
		host.ScopeLocks), func(ctx context.Context, in *SetLock) (*struct{}, error) {
		return nil, s.Host.Lock(ctx, in.from(in.Key), in.Account, recovery.LockReason(in.Body.Reason))
	})
	huma.Register(s.api, hosting("unlock-account", http.MethodPost, one+"/unlock", "Unlock an account",
		"Clears one reason and no other. One that is not set changes nothing.",
		host.ScopeLocks), func(ctx context.Context, in *SetLock) (*struct{}, error) {
		return nil, s.Host.Unlock(ctx, in.from(in.Key), in.Account, recovery.LockReason(in.Body.Reason))
	})
	huma.Register(s.api, hosting("make-backup-codes", http.MethodPost, one+"/backup-codes", "Make backup codes",
		"Makes ten backup codes and voids the old ones, for an owner who is signed in at the host. They are shown this once.",
		host.ScopeBackupCodes), func(ctx context.Context, in *DoWithAccount) (*Answered[BackupCodes], error) {
		codes, err := s.Host.MintBackupCodes(ctx, in.from(in.Key), in.Account)
		return answer(BackupCodes{codes}, err)
	})
	huma.Register(s.api, hosting("get-receipt", http.MethodGet, one+"/receipt", "Read an account's receipt",
		"What happened to the account, with proofs that it is in the signed log; anybody can verify it offline. "+
			"Entries younger than a second may not be in it yet.",
		host.ScopeAccountsRead), func(ctx context.Context, in *OfAccount) (*Answered[Receipt], error) {
		r, err := s.Host.Receipt(ctx, in.from(""), in.Account)
		return answer(showReceipt(r), err)
	})
}
