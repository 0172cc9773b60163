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
	Entry       db.AuditEntry
}

// The statements are those of internal/store/queries, with many rows.
var (
	insertHostIDs  = manyRows("-- name: InsertHostIDs :exec\nINSERT INTO host_ids (idx, account_id) VALUES ", "($,$)", "")
	insertAccounts = manyRows("-- name: InsertAccounts :exec\nINSERT INTO accounts "+
		"(account_id, realm, host_id, version, locale, created_at, last_sign_in_at, warned_at, epoch, event_seq, chain_seq, chain_head) VALUES ",
		"($,$,$,$,$,$,$,$,$,$,$,$)", "")
	insertIdentifiers = manyRows("-- name: InsertIdentifiers :exec\nINSERT INTO identifiers (idx, account_id) VALUES ", "($,$)",
		" ON CONFLICT (idx, account_id) DO NOTHING")
	insertAccountIdentifiers = manyRows("-- name: InsertAccountIdentifiers :exec\nINSERT INTO account_identifiers (account_id, kind, idx, value) VALUES ",
		"($,$,$,$)", " ON CONFLICT (account_id, kind, idx) DO NOTHING")
	insertContacts = manyRows("-- name: InsertContacts :exec\nINSERT INTO account_contacts "+
		"(account_id, id, kind, position, idx, value, added_at, changed_at, removed_at) VALUES ", "($,$,$,$,$,$,$,$,0)", "")
	insertFacts   = manyRows("-- name: InsertFacts :exec\nINSERT INTO account_facts (account_id, kind, value) VALUES ", "($,$,$)", "")
	insertSecrets = manyRows("-- name: InsertSecrets :exec\nINSERT INTO account_secrets (account_id, kind, hash, set_at, must_change, imported) VALUES ",
		"($,$,$,$,0,$)", "")
)

// InsertAccounts writes new accounts, many rows in one statement. A host ID that
// another transaction gave an account first fails the transaction, which is then
// tried again.
func (tx *Tx) InsertAccounts(ctx context.Context, some []NewAccount) error {
	var (
		hostIDs  []db.InsertHostIDParams
		accounts []db.InsertAccountParams
		lookUp   []db.InsertIdentifierParams
		names    []db.InsertAccountIdentifierParams
		contacts []db.InsertContactParams
		facts    []db.PutFactParams
		secrets  []db.ImportSecretParams
	)
	for _, a := range some {
		hostIDs, accounts = append(hostIDs, a.HostID), append(accounts, a.Account)
		for _, id := range a.Identifiers {
			lookUp = append(lookUp, db.InsertIdentifierParams{Idx: id.Idx, AccountID: id.AccountID})
		}
		names, contacts = append(names, a.Identifiers...), append(contacts, a.Contacts...)
		facts, secrets = append(facts, a.Facts...), append(secrets, a.Secrets...)
		tx.Record(a.Entry)
	}
	// One order for all, so that two transactions with the same host IDs wait for
	// each other and do not lock each other out.
	slices.SortFunc(hostIDs, func(a, b db.InsertHostIDParams) int { return cmp.Compare(a.Idx, b.Idx) })
	slices.SortFunc(lookUp, func(a, b db.InsertIdentifierParams) int { return cmp.Compare(a.Idx, b.Idx) })
	for _, insert := range []func() error{
		func() error {
			return inNew(ctx, tx, insertHostIDs, hostIDs, func(r db.InsertHostIDParams) []any { return []any{r.Idx, r.AccountID} })
		},
		func() error {
			return inNew(ctx, tx, insertAccounts, accounts, func(r db.InsertAccountParams) []any {
				return []any{
					r.AccountID, r.Realm, r.HostID, r.Version, r.Locale, r.CreatedAt, r.LastSignInAt, r.WarnedAt, r.Epoch, r.EventSeq, r.ChainSeq, r.ChainHead,
				}
			})
		},
		func() error {
			return inNew(ctx, tx, insertIdentifiers, lookUp, func(r db.InsertIdentifierParams) []any { return []any{r.Idx, r.AccountID} })
		},
		func() error {
			return inNew(ctx, tx, insertAccountIdentifiers, names, func(r db.InsertAccountIdentifierParams) []any {
				return []any{r.AccountID, r.Kind, r.Idx, r.Value}
			})
		},
		func() error {
			return inNew(ctx, tx, insertContacts, contacts, func(r db.InsertContactParams) []any {
				return []any{r.AccountID, r.ID, r.Kind, r.Position, r.Idx, r.Value, r.AddedAt, r.ChangedAt}
			})
		},
		func() error {
			return inNew(ctx, tx, insertFacts, facts, func(r db.PutFactParams) []any { return []any{r.AccountID, r.Kind, r.Value} })
		},
		func() error {
			return inNew(ctx, tx, insertSecrets, secrets, func(r db.ImportSecretParams) []any {
				return []any{r.AccountID, r.Kind, r.Hash, r.SetAt, r.Imported}
			})
		},
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
