package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// walkLog reads the leaves and the stored tree, which proofs are read from, in their
// order, and computes the tree from its leaves anew.
func (v *verification) walkLog(ctx context.Context, q *db.Queries) error {
	stored := &storedTree{ctx: ctx, q: q, page: v.page, last: math.MinInt64}
	for last := int64(math.MinInt64); ; {
		rows, err := q.LogLeaves(ctx, db.LogLeavesParams{Leaf: last, Limit: v.page})
		if err != nil {
			return err
		}
		for _, row := range rows {
			if row.Leaf != v.Leaves {
				v.problem("leaf %d is missing", v.Leaves)
				return nil
			}
			if ok, err := v.leaf(row, stored); err != nil || !ok {
				return err
			}
			last = row.Leaf
		}
		if len(rows) < int(v.page) {
			break
		}
	}
	extra, more, err := stored.next()
	if err != nil {
		return err
	}
	if more {
		v.problem("hash %d of the tree is not that of its leaves", extra.Idx)
		return nil
	}
	v.whole = true
	return nil
}

// leaf takes the next leaf into the tree and compares the hashes that were stored
// with it; false when they are others.
func (v *verification) leaf(row db.LogLeavesRow, stored *storedTree) (bool, error) {
	index := tlog.StoredHashIndex(0, row.Leaf)
	hash, ok, err := v.storedHash(stored, index)
	if err != nil || !ok {
		return false, err
	}
	added, err := tlog.StoredHashesForRecordHash(row.Leaf, hash, &v.tree)
	if err != nil {
		return false, err
	}
	for i, want := range added {
		if i > 0 {
			if hash, ok, err = v.storedHash(stored, index+int64(i)); err != nil || !ok {
				return false, err
			}
		}
		if hash != want {
			v.problem("hash %d of the tree is not that of its leaves", index+int64(i))
			return false, nil
		}
		v.tree.put(index+int64(i), want)
	}
	if row.Typed == 0 {
		v.problem("leaf %d: its keys have another type", row.Leaf)
	}
	v.leaves.add(&v.key, row.Leaf, row.Owner, row.Chain, row.Seq, added[0])
	v.Leaves++
	return true, nil
}

// storedHash gives the next stored hash, which must be the one at the index.
func (v *verification) storedHash(stored *storedTree, index int64) (tlog.Hash, bool, error) {
	row, ok, err := stored.next()
	if err != nil {
		return tlog.Hash{}, false, err
	}
	if !ok || row.Idx != index || len(row.Hash) != tlog.HashSize {
		v.problem("hash %d of the tree is missing", index)
		return tlog.Hash{}, false, nil
	}
	return tlog.Hash(row.Hash), true, nil
}

// storedTree reads the stored hashes in their order.
type storedTree struct {
	ctx  context.Context
	q    *db.Queries
	page int32
	last int64
	rows []db.LogHash
	end  bool
}

func (s *storedTree) next() (db.LogHash, bool, error) {
	if len(s.rows) == 0 && !s.end {
		rows, err := s.q.LogHashes(s.ctx, db.LogHashesParams{Idx: s.last, Limit: s.page})
		if err != nil {
			return db.LogHash{}, false, err
		}
		s.rows, s.end = rows, len(rows) < int(s.page)
	}
	if len(s.rows) == 0 {
		return db.LogHash{}, false, nil
	}
	row := s.rows[0]
	s.rows, s.last = s.rows[1:], row.Idx
	return row, true, nil
}

// frontier is what a growing tree still needs: the newest hash of each level, which
// is the left half of the next one above it.
type frontier struct {
	index [64]int64
	hash  [64]tlog.Hash
}

func (f *frontier) put(index int64, hash tlog.Hash) {
	level, _ := tlog.SplitStoredHashIndex(index)
	f.index[level], f.hash[level] = index, hash
}

// ReadHashes gives the hashes at the stored indexes.
func (f *frontier) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		level, _ := tlog.SplitStoredHashIndex(index)
		if f.index[level] != index {
			return nil, fmt.Errorf("hash %d is not at hand", index)
		}
		out[i] = f.hash[level]
	}
	return out, nil
}

// sumKey is drawn for each verification, so that nobody can choose rows whose sums
// are equal.
type sumKey [32]byte

// sum is of what is said of leaves, whatever the order: two are equal when the same
// was said, since each saying adds a keyed hash of 128 bits (a multiset hash as in
// Clarke et al., ASIACRYPT 2003).
type sum struct {
	count int64
	parts [2]uint64
}

func (s *sum) add(key *sumKey, leaf int64, owner, chain string, seq int64, hash tlog.Hash) {
	text := make([]byte, 0, 256)
	text = append(text, key[:]...)
	for _, number := range []int64{leaf, seq, int64(len(owner)), int64(len(chain))} {
		text = binary.BigEndian.AppendUint64(text, uint64(number))
	}
	text = append(append(append(text, hash[:]...), owner...), chain...)
	h := sha256.Sum256(text)
	s.count++
	s.parts[0] += binary.BigEndian.Uint64(h[:8])
	s.parts[1] += binary.BigEndian.Uint64(h[8:16])
}

func (s *sum) join(o sum) {
	s.count += o.count
	s.parts[0] += o.parts[0]
	s.parts[1] += o.parts[1]
}

// findLeaves looks up which leaves are not those of their entries.
func (v *verification) findLeaves(ctx context.Context, q *db.Queries) error {
	for from, more := int64(0), true; more && len(v.Problems) < maxProblems; {
		rows, err := q.LeafEntries(ctx, db.LeafEntriesParams{Leaf: from, Limit: hashPage})
		if err != nil {
			return err
		}
		if more = len(rows) == hashPage; len(rows) == 0 {
			return nil
		}
		indexes := make([]int64, len(rows))
		for i, row := range rows {
			indexes[i] = tlog.StoredHashIndex(0, row.Leaf)
			from, more = row.Leaf+1, more && row.Leaf < math.MaxInt64
		}
		hashes, err := store.LogHashesAt(ctx, q, indexes)
		if err != nil {
			return err
		}
		for i, row := range rows {
			want := tlog.RecordHash(row.Hash)
			switch {
			case row.Hash == nil:
				v.problem("leaf %d: its entry %s/%d is gone", row.Leaf, row.Chain, row.Seq)
			case !row.EntryLeaf.Valid || row.EntryLeaf.Int64 != row.Leaf:
				v.problem("leaf %d: entry %s/%d says it stands elsewhere", row.Leaf, row.Chain, row.Seq)
			case !bytes.Equal(want[:], hashes[indexes[i]]):
				v.problem("leaf %d: it is not the hash of entry %s/%d", row.Leaf, row.Chain, row.Seq)
			}
		}
	}
	return nil
}
