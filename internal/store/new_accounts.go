package store

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/wanbi/wanbi/internal/store/db"
)

// NewAccount is the rows of one account that is not there yet, sealed. Each of its
// identifiers is a row of the look-up too.
type NewAccount struct {
	Account     db.InsertAccountParams
	HostID      db.InsertHostIDParams
	Identifiers []db.InsertAccountIdentifierParams
	Contacts    []db.InsertContactParams
	Facts       []db.PutFactParams
	Secrets     []db.ImportSecretParams
	Entry       db.InsertAuditEntryParams
}

// table is how the rows of one table are written.
type table[T any] struct {
	before, row, after string
	args               func(T) []any
}

func (t table[T]) insert(ctx context.Context, tx *Tx, rows []T) error {
	_, err := inBulk(ctx, tx, t.before, t.row, t.after, rows, t.args)
	return err
}

// The statements are those of internal/store/queries, with many rows.
var (
	hostIDs = table[db.InsertHostIDParams]{
		"INSERT INTO host_ids (idx, account_id) VALUES ", "($,$)", "",
		func(r db.InsertHostIDParams) []any { return []any{r.Idx, r.AccountID} },
	}
	accounts = table[db.InsertAccountParams]{
		"INSERT INTO accounts (account_id, realm, host_id, version, locale, created_at, last_sign_in_at, warned_at, epoch, event_seq, chain_seq, chain_head) VALUES ",
		"($,$,$,$,$,$,$,$,$,$,$,$)", "",
		func(r db.InsertAccountParams) []any {
			return []any{
				r.AccountID, r.Realm, r.HostID, r.Version, r.Locale, r.CreatedAt, r.LastSignInAt, r.WarnedAt, r.Epoch, r.EventSeq, r.ChainSeq, r.ChainHead,
			}
		},
	}
	identifiers = table[db.InsertIdentifierParams]{
		"INSERT INTO identifiers (idx, account_id) VALUES ", "($,$)", " ON CONFLICT (idx, account_id) DO NOTHING",
		func(r db.InsertIdentifierParams) []any { return []any{r.Idx, r.AccountID} },
	}
	accountIdentifiers = table[db.InsertAccountIdentifierParams]{
		"INSERT INTO account_identifiers (account_id, kind, idx, value) VALUES ", "($,$,$,$)", " ON CONFLICT (account_id, kind, idx) DO NOTHING",
		func(r db.InsertAccountIdentifierParams) []any { return []any{r.AccountID, r.Kind, r.Idx, r.Value} },
	}
	accountContacts = table[db.InsertContactParams]{
		"INSERT INTO account_contacts (account_id, id, kind, position, idx, value, added_at, changed_at, removed_at) VALUES ", "($,$,$,$,$,$,$,$,0)", "",
		func(r db.InsertContactParams) []any {
			return []any{r.AccountID, r.ID, r.Kind, r.Position, r.Idx, r.Value, r.AddedAt, r.ChangedAt}
		},
	}
	accountFacts = table[db.PutFactParams]{
		"INSERT INTO account_facts (account_id, kind, value) VALUES ", "($,$,$)", "",
		func(r db.PutFactParams) []any { return []any{r.AccountID, r.Kind, r.Value} },
	}
	accountSecrets = table[db.ImportSecretParams]{
		"INSERT INTO account_secrets (account_id, kind, hash, set_at, must_change, imported) VALUES ", "($,$,$,$,0,$)", "",
		func(r db.ImportSecretParams) []any { return []any{r.AccountID, r.Kind, r.Hash, r.SetAt, r.Imported} },
	}
	auditEntries = table[db.InsertAuditEntryParams]{
		"INSERT INTO audit_entries (owner, chain, seq, at, event, from_state, to_state, payload, nonce, commitment, prev, hash, leaf) VALUES ",
		"($,$,$,$,$,$,$,$,$,$,$,$,NULL)", "",
		func(r db.InsertAuditEntryParams) []any {
			return []any{r.Owner, r.Chain, r.Seq, r.At, r.Event, r.FromState, r.ToState, r.Payload, r.Nonce, r.Commitment, r.Prev, r.Hash}
		},
	}
)

// InsertAccounts writes new accounts, many rows in one statement. A host ID that
// another transaction gave an account first is [ErrStale].
func (tx *Tx) InsertAccounts(ctx context.Context, some []NewAccount) error {
	var one struct {
		hostIDs     []db.InsertHostIDParams
		accounts    []db.InsertAccountParams
		lookUp      []db.InsertIdentifierParams
		identifiers []db.InsertAccountIdentifierParams
		contacts    []db.InsertContactParams
		facts       []db.PutFactParams
		secrets     []db.ImportSecretParams
		entries     []db.InsertAuditEntryParams
	}
	for _, a := range some {
		one.hostIDs, one.accounts = append(one.hostIDs, a.HostID), append(one.accounts, a.Account)
		for _, id := range a.Identifiers {
			one.lookUp = append(one.lookUp, db.InsertIdentifierParams{Idx: id.Idx, AccountID: id.AccountID})
		}
		one.identifiers, one.contacts = append(one.identifiers, a.Identifiers...), append(one.contacts, a.Contacts...)
		one.facts, one.secrets, one.entries = append(one.facts, a.Facts...), append(one.secrets, a.Secrets...), append(one.entries, a.Entry)
	}
	// One order for all, so that two transactions with the same host IDs wait for
	// each other and do not lock each other out.
	slices.SortFunc(one.hostIDs, func(a, b db.InsertHostIDParams) int { return cmp.Compare(a.Idx, b.Idx) })
	slices.SortFunc(one.lookUp, func(a, b db.InsertIdentifierParams) int { return cmp.Compare(a.Idx, b.Idx) })
	if err := hostIDs.insert(ctx, tx, one.hostIDs); err != nil {
		if Duplicate(err) {
			return ErrStale
		}
		return err
	}
	for _, insert := range []func() error{
		func() error { return accounts.insert(ctx, tx, one.accounts) },
		func() error { return identifiers.insert(ctx, tx, one.lookUp) },
		func() error { return accountIdentifiers.insert(ctx, tx, one.identifiers) },
		func() error { return accountContacts.insert(ctx, tx, one.contacts) },
		func() error { return accountFacts.insert(ctx, tx, one.facts) },
		func() error { return accountSecrets.insert(ctx, tx, one.secrets) },
		func() error { return auditEntries.insert(ctx, tx, one.entries) },
	} {
		if err := insert(); err != nil {
			return err
		}
	}
	return nil
}

// AccountsByHostIDs reads which accounts have these host IDs, by blind index. What
// is not there is left out.
func AccountsByHostIDs(ctx context.Context, q *db.Queries, indexes []string) (map[string]string, error) {
	found := map[string]string{}
	for page := range slices.Chunk(indexes, readAtOnce) {
		if err := accountsByHostIDs(ctx, q, page, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func accountsByHostIDs(ctx context.Context, q *db.Queries, indexes []string, found map[string]string) error {
	text, args := among(indexes)
	rows, err := q.Raw().QueryContext(ctx, "SELECT idx, account_id FROM host_ids WHERE idx IN ("+text+")", args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var idx, id string
		if err := rows.Scan(&idx, &id); err != nil {
			return err
		}
		found[idx] = id
	}
	return rows.Err()
}

// readAtOnce is how many keys one statement reads.
const readAtOnce = 100

// among gives the list for IN (…) and its arguments.
func among[T any](keys []T) (string, []any) {
	marks, args := make([]string, len(keys)), make([]any, len(keys))
	for i, key := range keys {
		marks[i], args[i] = "$"+strconv.Itoa(i+1), key
	}
	return strings.Join(marks, ","), args
}
