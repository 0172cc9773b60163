package audit

import (
	"bytes"
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store/db"
)

// Report is what Verify found.
type Report struct {
	Leaves   int64    // entries in the Merkle log
	Pending  int64    // entries recorded but not in the log yet
	Chains   int64    // chains walked
	Erased   int64    // entries whose payload is gone; their hashes were checked
	Problems []string // empty when every check held
}

// maxProblems ends a verification that has nothing more to tell.
const maxProblems = 50

func (r *Report) problem(format string, args ...any) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
}

// verification is one run of Verify over a snapshot.
type verification struct {
	Report
	ctx      context.Context
	log      *Log
	q        *db.Queries
	progress func(done, of int64)
	tree     memory
	latest   int64 // time of the latest entry in the log, in milliseconds
	entries  int64 // on the chains that were walked
	placed   int64 // of these, say that they are in the log
}

// Verify checks everything the record promises: each leaf's entry is there and
// hashes to its leaf, the tree is what the signed checkpoint says, each chain is
// unbroken and ends where its case or account says, in the state that it says,
// and no payload was exchanged. It reads one snapshot, so it may run while the
// server does. progress is told the number of leaves done; it may be nil.
func (l *Log) Verify(ctx context.Context, progress func(done, of int64)) (Report, error) {
	v := &verification{ctx: ctx, log: l, progress: progress}
	err := l.DB.Snapshot(ctx, func(q *db.Queries) error {
		v.q = q
		for _, check := range []func() error{v.leaves, v.hashes, v.cases, v.accounts, v.installation, v.strays} {
			if err := check(); err != nil {
				return err
			}
		}
		return nil
	})
	return v.Report, err
}

// leaves walks the Merkle log and compares its head.
func (v *verification) leaves() error {
	head, err := v.q.GetLogHead(v.ctx)
	if err != nil {
		return err
	}
	const page = 2000
	for from := int64(0); ; from += page {
		rows, err := v.q.LeafEntries(v.ctx, db.LeafEntriesParams{Leaf: from, Limit: page})
		if err != nil {
			return err
		}
		for _, row := range rows {
			if row.Leaf != v.Leaves {
				v.problem("leaf %d is missing", v.Leaves)
				return nil
			}
			if err := v.leaf(row); err != nil {
				return err
			}
		}
		if v.progress != nil {
			v.progress(v.Leaves, head.Size)
		}
		if len(rows) < page {
			break
		}
	}
	return v.head(head)
}

func (v *verification) leaf(row db.LeafEntriesRow) error {
	v.Leaves++
	if row.Hash == nil || !row.At.Valid {
		v.problem("leaf %d: its entry %s/%d is gone", row.Leaf, row.Chain, row.Seq)
	} else {
		want := entryHash(row.Chain, row.Seq, row.At.Int64, row.Event.String, row.FromState.String, row.ToState.String, row.Commitment, row.Prev)
		if !bytes.Equal(want, row.Hash) {
			v.problem("leaf %d: entry %s/%d was edited", row.Leaf, row.Chain, row.Seq)
		}
		if !row.EntryLeaf.Valid || row.EntryLeaf.Int64 != row.Leaf {
			v.problem("leaf %d: entry %s/%d says it stands elsewhere", row.Leaf, row.Chain, row.Seq)
		}
	}
	v.latest = max(v.latest, row.At.Int64)
	added, err := tlog.StoredHashesForRecordHash(row.Leaf, tlog.RecordHash(row.Hash), &v.tree)
	v.tree.all = append(v.tree.all, added...)
	return err
}

func (v *verification) head(head db.GetLogHeadRow) error {
	if v.Leaves != head.Size {
		v.problem("the head says %d entries, %d are there", head.Size, v.Leaves)
		return nil
	}
	if v.latest != head.HighWater {
		v.problem("the latest entry is of %d, the head says %d", v.latest, head.HighWater)
	}
	if head.Size == 0 {
		if head.Checkpoint != "" {
			v.problem("there is a checkpoint and no entry")
		}
		return nil
	}
	signed, err := v.log.open(head.Checkpoint)
	if err != nil {
		v.problem("%v", err)
		return nil
	}
	root, err := tlog.TreeHash(v.Leaves, &v.tree)
	if err != nil {
		return err
	}
	if signed.Size != head.Size || signed.Root != root {
		v.problem("the tree of %d entries is not the one that was signed", head.Size)
	}
	return nil
}

// hashes compares the stored tree, which proofs are read from, with the leaves.
func (v *verification) hashes() error {
	const page = 4000
	next := int64(0)
	for {
		rows, err := v.q.LogHashes(v.ctx, db.LogHashesParams{Idx: next, Limit: page})
		if err != nil {
			return err
		}
		for _, row := range rows {
			if row.Idx != next || next >= int64(len(v.tree.all)) || !bytes.Equal(row.Hash, v.tree.all[next][:]) {
				v.problem("hash %d of the tree is not that of its leaves", next)
				return nil
			}
			next++
		}
		if len(rows) < page {
			break
		}
	}
	if next != int64(len(v.tree.all)) {
		v.problem("hash %d of the tree is missing", next)
	}
	return nil
}

func (v *verification) cases() error {
	const page = 500
	after := db.CaseHeadsParams{Most: page}
	for {
		rows, err := v.q.CaseHeads(v.ctx, after)
		if err != nil {
			return err
		}
		for _, row := range rows {
			chain := Chain{Owner: row.Subject, ID: row.ID, Realm: recovery.Realm(row.Realm)}
			state, err := v.chain(chain, Head{Seq: row.ChainSeq, Hash: row.ChainHead})
			if err != nil {
				return err
			}
			if state != row.State {
				v.problem("chain %s: it ends in state %q, its case says %q", row.ID, state, row.State)
			}
			after.Subject, after.ID = row.Subject, row.ID
		}
		if len(rows) < page {
			return nil
		}
	}
}

func (v *verification) accounts() error {
	const page = 500
	after := db.AccountHeadsParams{Limit: page}
	for {
		rows, err := v.q.AccountHeads(v.ctx, after)
		if err != nil {
			return err
		}
		for _, row := range rows {
			chain := Chain{Owner: row.AccountID, ID: row.AccountID, Realm: recovery.Realm(row.Realm)}
			if _, err := v.chain(chain, Head{Seq: row.ChainSeq, Hash: row.ChainHead}); err != nil {
				return err
			}
			after.AccountID = row.AccountID
		}
		if len(rows) < page {
			return nil
		}
	}
}

// chain walks one chain and gives the state that it ends in.
func (v *verification) chain(chain Chain, head Head) (state string, err error) {
	v.Chains++
	rows, err := v.q.AuditChain(v.ctx, db.AuditChainParams{Owner: chain.Owner, Chain: chain.ID})
	if err != nil {
		return "", err
	}
	end, broken := Start(), false
	for _, row := range rows {
		v.entries++
		if row.Leaf.Valid {
			v.placed++
		} else {
			v.Pending++
		}
		state = row.ToState
		if broken {
			continue
		}
		want := entryHash(chain.ID, row.Seq, row.At, row.Event, row.FromState, row.ToState, row.Commitment, row.Prev)
		switch {
		case row.Seq != end.Seq+1:
			v.problem("chain %s: entry %d is missing", chain.ID, end.Seq+1)
			broken = true
		case !bytes.Equal(row.Prev, end.Hash) || !bytes.Equal(want, row.Hash):
			v.problem("chain %s: entry %d was edited", chain.ID, row.Seq)
			broken = true
		}
		v.payload(chain, row)
		end = Head{Seq: row.Seq, Hash: row.Hash}
	}
	if !broken && (end.Seq != head.Seq || !bytes.Equal(end.Hash, head.Hash)) {
		v.problem("chain %s: %d entries are there, its row says %d", chain.ID, end.Seq, head.Seq)
	}
	return state, nil
}

// payload checks that a payload is the one that was committed to. Erasing takes
// payload and nonce together.
func (v *verification) payload(chain Chain, row db.AuditEntry) {
	if row.Payload == nil && row.Nonce == nil {
		v.Erased++
		return
	}
	plain, err := v.log.Keys.Open(payloadPlace(chain, row.Seq), row.Payload)
	if err != nil || !bytes.Equal(commit(row.Nonce, plain), row.Commitment) {
		v.problem("chain %s: the payload of entry %d was exchanged", chain.ID, row.Seq)
	}
}

// strays compares the totals: an entry that no case and no account owns, or that
// claims a leaf it does not have, is on none of the walks.
func (v *verification) strays() error {
	total, err := v.q.CountEntries(v.ctx)
	if err != nil {
		return err
	}
	if total != v.entries {
		v.problem("%d entries are on no chain of a case or an account", total-v.entries)
	}
	if v.placed != v.Leaves {
		v.problem("%d entries on the chains say that they are in the log, which has %d", v.placed, v.Leaves)
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
