// Package audit keeps the record that anybody can check: every change leaves an
// entry in its transaction, entries form a chain a case and a chain an account,
// and a Merkle log over all of them is signed at short intervals.
//
// An entry discloses nothing by itself: its payload is sealed and enters the
// hash through a commitment with a random nonce. A receipt discloses the nonce
// to the owner, who can then verify offline. Erasing a person erases payloads
// and nonces and keeps the hashes.
//
// Trust: whoever can write the database can change rows, but not without
// [Verify] finding it, and cannot make the log sign a history that disagrees
// with the last checkpoint; the checkpoint file outside the database shows when
// a whole database was put back in time.
package audit

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// Chain names one chain. Owner is the shard key: a subject or an account.
type Chain struct {
	Owner string
	ID    string
	Realm recovery.Realm
}

// Head is the end of a chain, kept in the guarded row of its case or account.
type Head struct {
	Seq  int64
	Hash []byte
}

// Start is the head of a chain without entries.
func Start() Head { return Head{Hash: make([]byte, sha256.Size)} }

// Entry is one thing that happened. Data is what an owner may read in a receipt
// and an auditor in the console; it never holds an answer, a code or a secret.
type Entry struct {
	At    time.Time
	Event string
	From  recovery.State
	To    recovery.State
	Data  map[string]string
}

const (
	nonceSize     = 32
	payloadColumn = "audit_entries.payload"
)

// Append writes the entry at the end of the chain, in the caller's transaction,
// and gives the new head. When it cannot be written the transaction must fail.
func Append(ctx context.Context, tx *store.Tx, keys *seal.Keyring, chain Chain, head Head, e Entry) (Head, error) {
	row, next, err := Compose(keys, chain, head, e)
	if err != nil {
		return Head{}, err
	}
	tx.Record(row)
	return next, nil
}

// Compose gives the row that [Append] would write, and the head after it, for
// callers that write many at once.
func Compose(keys *seal.Keyring, chain Chain, head Head, e Entry) (db.AuditEntry, Head, error) {
	fail := func(err error) (db.AuditEntry, Head, error) {
		return db.AuditEntry{}, Head{}, fmt.Errorf("audit %s: %w", e.Event, err)
	}
	payload, err := json.Marshal(e.Data)
	if err != nil {
		return fail(err)
	}
	nonce := make([]byte, nonceSize)
	if _, err := rand.Read(nonce); err != nil {
		return fail(err)
	}
	next := head.Seq + 1
	sealed, err := keys.Seal(payloadPlace(chain, next), payload)
	if err != nil {
		return fail(err)
	}
	row := db.AuditEntry{
		Owner: chain.Owner, Chain: chain.ID, Seq: next, At: store.Millis(e.At), Event: e.Event,
		FromState: string(e.From), ToState: string(e.To), Payload: sealed, Nonce: nonce,
		Commitment: commit(nonce, payload), Prev: head.Hash,
	}
	row.Hash = entryHash(chain.ID, next, row.At, e.Event, string(e.From), string(e.To), row.Commitment, head.Hash)
	return row, Head{Seq: next, Hash: row.Hash}, nil
}

func payloadPlace(chain Chain, seq int64) seal.Place {
	return seal.Place{Realm: chain.Realm, Owner: chain.ID + "/" + strconv.FormatInt(seq, 10), Column: payloadColumn}
}

// commit binds a payload without disclosing it.
func commit(nonce, payload []byte) []byte {
	h := sha256.New()
	h.Write([]byte("wanbi commitment v1\n"))
	h.Write(nonce)
	h.Write(payload)
	return h.Sum(nil)
}

// entryHash is what the chain and the Merkle log are made of. Its text form is
// documented in docs/audit.md so that anybody can recompute it.
func entryHash(chain string, seq, at int64, event, from, to string, commitment, prev []byte) []byte {
	text := make([]byte, 0, 512)
	text = append(append(text, "wanbi entry v1\n"...), chain...)
	text = strconv.AppendInt(append(text, '\n'), seq, 10)
	text = strconv.AppendInt(append(text, '\n'), at, 10)
	for _, word := range []string{event, from, to} {
		text = append(append(text, '\n'), word...)
	}
	for _, hash := range [][]byte{commitment, prev} {
		text = hex.AppendEncode(append(text, '\n'), hash)
	}
	sum := sha256.Sum256(append(text, '\n'))
	return sum[:]
}

// Record is one entry as read back.
type Record struct {
	Entry
	Seq    int64
	Leaf   int64 // place in the Merkle log, -1 until sequenced
	Erased bool  // payload and nonce are gone; the hashes stand
}

// Read gives a chain's entries in order, opened.
func Read(ctx context.Context, q *db.Queries, keys *seal.Keyring, chain Chain) ([]Record, error) {
	rows, err := q.AuditChain(ctx, db.AuditChainParams{Owner: chain.Owner, Chain: chain.ID})
	if err != nil {
		return nil, err
	}
	records := make([]Record, 0, len(rows))
	for _, row := range rows {
		r := Record{Seq: row.Seq, Leaf: -1, Erased: row.Payload == nil}
		r.At, r.Event = store.Time(row.At), row.Event
		r.From, r.To = recovery.State(row.FromState), recovery.State(row.ToState)
		if row.Leaf.Valid {
			r.Leaf = row.Leaf.Int64
		}
		if !r.Erased {
			plain, err := keys.Open(payloadPlace(chain, row.Seq), row.Payload)
			if err != nil {
				return nil, err
			}
			if err := json.Unmarshal(plain, &r.Data); err != nil {
				return nil, fmt.Errorf("audit entry %d: %w", row.Seq, err)
			}
		}
		records = append(records, r)
	}
	return records, nil
}
