package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// Receipt proves to an owner, offline, that a chain's entries are in the log.
type Receipt struct {
	Log        string         `json:"log"` // the log's public key
	Checkpoint string         `json:"checkpoint"`
	Chain      string         `json:"chain"`
	Entries    []ReceiptEntry `json:"entries"`
}

// ReceiptEntry is one disclosed entry with its place in the log.
type ReceiptEntry struct {
	Seq     int64           `json:"seq"`
	At      time.Time       `json:"at"`
	Event   string          `json:"event"`
	From    string          `json:"from,omitempty"`
	To      string          `json:"to,omitempty"`
	Payload json.RawMessage `json:"payload"`
	Nonce   []byte          `json:"nonce"`
	Prev    []byte          `json:"prev"`
	Leaf    int64           `json:"leaf"`
	Proof   [][]byte        `json:"proof"`
}

// Receipt discloses a chain to its owner. Entries that are not in the log yet
// or were erased are left out.
func (l *Log) Receipt(ctx context.Context, chain Chain) (Receipt, error) {
	out := Receipt{Log: l.Keys.LogVerifier(), Chain: chain.ID}
	err := l.DB.Read(ctx, func(q *db.Queries) error {
		head, err := q.GetLogHead(ctx)
		if err != nil {
			return err
		}
		out.Checkpoint = head.Checkpoint
		rows, err := q.AuditChain(ctx, db.AuditChainParams{Owner: chain.Owner, Chain: chain.ID})
		if err != nil {
			return err
		}
		tree := &hashes{ctx: ctx, q: q}
		for _, row := range rows {
			if !row.Leaf.Valid || row.Leaf.Int64 >= head.Size || row.Payload == nil {
				continue
			}
			entry, err := l.disclose(chain, row, head.Size, tree)
			if err != nil {
				return err
			}
			out.Entries = append(out.Entries, entry)
		}
		return nil
	})
	return out, err
}

func (l *Log) disclose(chain Chain, row db.AuditEntry, size int64, tree tlog.HashReader) (ReceiptEntry, error) {
	payload, err := l.Keys.Open(payloadPlace(chain, row.Seq), row.Payload)
	if err != nil {
		return ReceiptEntry{}, err
	}
	proof, err := tlog.ProveRecord(size, row.Leaf.Int64, tree)
	if err != nil {
		return ReceiptEntry{}, err
	}
	entry := ReceiptEntry{
		Seq: row.Seq, At: store.Time(row.At), Event: row.Event, From: row.FromState, To: row.ToState,
		Payload: payload, Nonce: row.Nonce, Prev: row.Prev, Leaf: row.Leaf.Int64,
	}
	for _, h := range proof {
		entry.Proof = append(entry.Proof, h[:])
	}
	return entry, nil
}

// VerifyReceipt checks a receipt with nothing but the log's public key. Entries
// that were erased or not in the log yet may be missing between two others.
func VerifyReceipt(r Receipt, verifierKey string) error {
	if r.Log != verifierKey {
		return errors.New("receipt: of another log")
	}
	signed, err := OpenCheckpoint(r.Checkpoint, verifierKey)
	if err != nil {
		return err
	}
	if len(r.Entries) == 0 {
		return errors.New("receipt: no entry in it")
	}
	last := Start()
	for _, e := range r.Entries {
		if e.Seq <= last.Seq || (e.Seq == last.Seq+1 && !bytes.Equal(e.Prev, last.Hash)) {
			return fmt.Errorf("receipt: entry %d does not follow entry %d", e.Seq, last.Seq)
		}
		if !e.At.Equal(e.At.Truncate(time.Millisecond)) {
			return fmt.Errorf("receipt: entry %d has a time finer than what was recorded", e.Seq)
		}
		payload := new(bytes.Buffer)
		if err := json.Compact(payload, e.Payload); err != nil {
			return fmt.Errorf("receipt: entry %d: %w", e.Seq, err)
		}
		hash := entryHash(r.Chain, e.Seq, e.At.UnixMilli(), e.Event, e.From, e.To, commit(e.Nonce, payload.Bytes()), e.Prev)
		proof := make(tlog.RecordProof, 0, len(e.Proof))
		for _, p := range e.Proof {
			if len(p) != tlog.HashSize {
				return fmt.Errorf("receipt: entry %d: a proof hash has %d bytes", e.Seq, len(p))
			}
			proof = append(proof, tlog.Hash(p))
		}
		if err := tlog.CheckRecord(proof, signed.Size, signed.Root, e.Leaf, tlog.RecordHash(hash)); err != nil {
			return fmt.Errorf("receipt: entry %d is not in the log that was signed", e.Seq)
		}
		last = Head{Seq: e.Seq, Hash: hash}
	}
	return nil
}
