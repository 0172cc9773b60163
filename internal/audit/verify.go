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

// Report is what Verify found.
type Report struct {
	Leaves   int64    // entries in the Merkle log
	Pending  int64    // entries recorded but not in the log yet
	Chains   int64    // chains walked
	Problems []string // empty when every check held
}

// maxProblems ends a verification that has nothing more to tell.
const maxProblems = 50

func (r *Report) problem(format string, args ...any) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
}

// Verify checks everything the record promises: each leaf's entry is there and
// hashes to its leaf, the tree is what the signed checkpoint says, each chain is
// unbroken and ends where its case or account says. progress is told the
// number of leaves and chains done; it may be nil.
func (l *Log) Verify(ctx context.Context, progress func(done, of int64)) (Report, error) {
	var report Report
	err := l.DB.Read(ctx, func(q *db.Queries) error {
		if err := l.verifyLeaves(ctx, q, &report, progress); err != nil {
			return err
		}
		return l.verifyChains(ctx, q, &report)
	})
	return report, err
}

func (l *Log) verifyLeaves(ctx context.Context, q *db.Queries, report *Report, progress func(done, of int64)) error {
	head, err := q.GetLogHead(ctx)
	if err != nil {
		return err
	}
	tree := &memory{}
	const page = 2000
	for from := int64(0); ; from += page {
		rows, err := q.LeafEntries(ctx, db.LeafEntriesParams{Leaf: from, Limit: page})
		if err != nil {
			return err
		}
		for _, row := range rows {
			if row.Leaf != report.Leaves {
				report.problem("leaf %d is missing", report.Leaves)
				return nil
			}
			checkLeaf(row, report)
			added, err := tlog.StoredHashesForRecordHash(row.Leaf, tlog.RecordHash(row.Hash), tree)
			if err != nil {
				return err
			}
			tree.all = append(tree.all, added...)
			report.Leaves++
		}
		if progress != nil {
			progress(report.Leaves, head.Size)
		}
		if len(rows) < page {
			break
		}
	}
	if report.Leaves < head.Size {
		report.problem("the checkpoint covers %d entries, %d are there", head.Size, report.Leaves)
		return nil
	}
	if head.Size == 0 {
		return nil
	}
	signed, err := l.open(head.Checkpoint)
	if err != nil {
		report.problem("%v", err)
		return nil
	}
	root, err := tlog.TreeHash(signed.Size, tree)
	if err != nil {
		return err
	}
	if root != signed.Root || signed.Size != head.Size {
		report.problem("the tree of %d entries is not the one that was signed", head.Size)
	}
	return nil
}

func checkLeaf(row db.LeafEntriesRow, report *Report) {
	if row.Hash == nil || !row.At.Valid {
		report.problem("leaf %d: its entry %s/%d is gone", row.Leaf, row.Chain, row.Seq)
		return
	}
	want := entryHash(row.Chain, row.Seq, row.At.Int64, row.Event.String, row.FromState.String, row.ToState.String, row.Commitment, row.Prev)
	if !bytes.Equal(want, row.Hash) {
		report.problem("leaf %d: entry %s/%d was edited", row.Leaf, row.Chain, row.Seq)
	}
	if !row.EntryLeaf.Valid || row.EntryLeaf.Int64 != row.Leaf {
		report.problem("leaf %d: entry %s/%d says it stands elsewhere", row.Leaf, row.Chain, row.Seq)
	}
}

func (l *Log) verifyChains(ctx context.Context, q *db.Queries, report *Report) error {
	const page = 500
	subject, id := "", ""
	for {
		rows, err := q.CaseHeads(ctx, db.CaseHeadsParams{Subject: subject, ID: id, Most: page})
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := checkChain(ctx, q, report, row.Subject, row.ID, row.ChainSeq, row.ChainHead); err != nil {
				return err
			}
			subject, id = row.Subject, row.ID
		}
		if len(rows) < page {
			break
		}
	}
	account := ""
	for {
		rows, err := q.AccountHeads(ctx, db.AccountHeadsParams{AccountID: account, Limit: page})
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := checkChain(ctx, q, report, row.AccountID, row.AccountID, row.ChainSeq, row.ChainHead); err != nil {
				return err
			}
			account = row.AccountID
		}
		if len(rows) < page {
			return nil
		}
	}
}

func checkChain(ctx context.Context, q *db.Queries, report *Report, owner, chain string, seq int64, head []byte) error {
	report.Chains++
	rows, err := q.AuditChain(ctx, db.AuditChainParams{Owner: owner, Chain: chain})
	if err != nil {
		return err
	}
	end := Start()
	for _, row := range rows {
		if row.Seq != end.Seq+1 {
			report.problem("chain %s: entry %d is missing", chain, end.Seq+1)
			return nil
		}
		want := entryHash(chain, row.Seq, row.At, row.Event, row.FromState, row.ToState, row.Commitment, row.Prev)
		if !bytes.Equal(row.Prev, end.Hash) || !bytes.Equal(want, row.Hash) {
			report.problem("chain %s: entry %d was edited", chain, row.Seq)
			return nil
		}
		if !row.Leaf.Valid {
			report.Pending++
		}
		end = Head{Seq: row.Seq, Hash: row.Hash}
	}
	if end.Seq != seq || !bytes.Equal(end.Hash, head) {
		report.problem("chain %s: %d entries are there, its row says %d", chain, end.Seq, seq)
	}
	return nil
}

// memory is a tree held while verifying: 32 bytes a hash, two hashes an entry.
type memory struct{ all []tlog.Hash }

// ReadHashes gives the hashes at the stored indexes.
func (m *memory) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if index >= int64(len(m.all)) {
			return nil, fmt.Errorf("hash %d is not there", index)
		}
		out[i] = m.all[index]
	}
	return out, nil
}

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

// VerifyReceipt checks a receipt with nothing but the log's public key.
func VerifyReceipt(r Receipt, verifierKey string) error {
	signed, err := OpenCheckpoint(r.Checkpoint, verifierKey)
	if err != nil {
		return err
	}
	if len(r.Entries) == 0 {
		return errors.New("receipt: no entry in it")
	}
	for _, e := range r.Entries {
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
	}
	return nil
}
