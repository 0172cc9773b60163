package audit

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// Log is the Merkle log over all chains. One sequencer at a time wins the
// log_head row; any number of nodes may run one.
type Log struct {
	DB   *store.DB
	Keys *seal.Keyring
	Now  func() time.Time
	// File keeps the newest signed checkpoint outside the database; empty for none.
	File string
	// Stepped, where it is set, is told of each step of Run that took entries or failed.
	Stepped func(began time.Time, taken int, err error)

	mu   sync.Mutex
	last Checkpoint // the newest that this process signed or was started with
}

// Checkpoint is a signed head of the log.
type Checkpoint struct {
	Size int64
	Root tlog.Hash
	Note string // C2SP checkpoint, signed
}

// batch bounds the entries one step takes, so that a step is a short transaction.
const batch = 500

// Step takes entries that have no leaf yet into the log and signs a new
// checkpoint. It gives how many it took; zero means there was nothing to do.
func (l *Log) Step(ctx context.Context) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if waiting, err := l.waiting(ctx); err != nil || !waiting {
		return 0, err
	}
	taken := 0
	var signed Checkpoint
	err := l.DB.Write(ctx, func(tx *store.Tx) error {
		taken = 0
		head, err := tx.LockLogHead(ctx)
		if err != nil {
			return err
		}
		entries, err := tx.UnsequencedEntries(ctx, batch)
		if err != nil || len(entries) == 0 {
			return err
		}
		slices.SortFunc(entries, inOrder)
		tree := &hashes{ctx: ctx, q: tx.Queries, fresh: map[int64]tlog.Hash{}}
		if err := l.agrees(ctx, tx, head, tree); err != nil {
			return err
		}
		size, high := head.Size, head.HighWater
		var took taking
		for _, e := range entries {
			if err := took.add(tree, e, size); err != nil {
				return err
			}
			size, high = size+1, max(high, e.At)
		}
		if err := errors.Join(tx.InsertLogHashes(ctx, took.hashes), tx.PlaceLeaves(ctx, took.leaves)); err != nil {
			return err
		}
		if signed, err = l.sign(size, tree); err != nil {
			return err
		}
		taken = len(entries)
		return store.Moved(tx.UpdateLogHead(ctx, db.UpdateLogHeadParams{
			Size: size, Checkpoint: signed.Note, HighWater: high, Was: head.Size,
		}))
	})
	if err != nil || taken == 0 {
		return 0, err
	}
	l.last = signed
	if l.File != "" {
		err = writeFile(l.File, signed.Note)
	}
	return taken, err
}

// inOrder is by time, and of one time chain by chain.
func inOrder(a, b db.UnsequencedEntriesRow) int {
	return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Chain, b.Chain), cmp.Compare(a.Seq, b.Seq))
}

// waiting reports whether an entry has no leaf yet, without taking a lock.
func (l *Log) waiting(ctx context.Context) (found bool, err error) {
	err = l.DB.Read(ctx, func(q *db.Queries) error {
		entries, err := q.UnsequencedEntries(ctx, 1)
		found = len(entries) > 0
		return err
	})
	return found, err
}

// agrees refuses to go on from a tree that the last checkpoint does not
// describe: the one in the database, and the one that this process knows.
func (l *Log) agrees(ctx context.Context, tx *store.Tx, head db.LockLogHeadRow, tree *hashes) error {
	if head.Size == 0 {
		if l.last.Size > 0 {
			return fmt.Errorf("audit log is empty, but %d entries were signed: refusing to sign", l.last.Size)
		}
		if _, err := tx.GetLogHash(ctx, 0); !store.NotFound(err) {
			return errors.Join(errors.New("audit log has leaves and no checkpoint: refusing to sign"), err)
		}
		return nil
	}
	signed, err := l.open(head.Checkpoint)
	if err != nil {
		return fmt.Errorf("audit log: %w: refusing to sign", err)
	}
	root, err := tlog.TreeHash(head.Size, tree)
	if err != nil {
		return err
	}
	if signed.Size != head.Size || signed.Root != root {
		return fmt.Errorf("audit log of %d entries does not match its own checkpoint of %d: refusing to sign", head.Size, signed.Size)
	}
	if l.last.Size == 0 {
		return nil
	}
	if head.Size < l.last.Size {
		return fmt.Errorf("audit log has %d entries, but %d were signed: refusing to sign", head.Size, l.last.Size)
	}
	root, err = tlog.TreeHash(l.last.Size, tree)
	if err != nil {
		return err
	}
	if root != l.last.Root {
		return fmt.Errorf("audit log holds another history than the checkpoint of %d entries: refusing to sign", l.last.Size)
	}
	return nil
}

// taking is what one step writes beside the head.
type taking struct {
	hashes []store.LogHash
	leaves []store.Leaf
}

// add makes an entry the next leaf.
func (t *taking) add(tree *hashes, e db.UnsequencedEntriesRow, leaf int64) error {
	added, err := tlog.StoredHashesForRecordHash(leaf, tlog.RecordHash(e.Hash), tree)
	if err != nil {
		return err
	}
	first := tlog.StoredHashIndex(0, leaf)
	for i, h := range added {
		tree.fresh[first+int64(i)] = h
		t.hashes = append(t.hashes, store.LogHash{Index: first + int64(i), Hash: h[:]})
	}
	t.leaves = append(t.leaves, store.Leaf{Leaf: leaf, Owner: e.Owner, Chain: e.Chain, Seq: e.Seq})
	return nil
}

func (l *Log) sign(size int64, tree tlog.HashReader) (Checkpoint, error) {
	root, err := tlog.TreeHash(size, tree)
	if err != nil {
		return Checkpoint{}, err
	}
	text := fmt.Sprintf("%s\n%d\n%s\n", l.Keys.Signer().Name(), size, base64.StdEncoding.EncodeToString(root[:]))
	signed, err := note.Sign(&note.Note{Text: text}, l.Keys.Signer())
	if err != nil {
		return Checkpoint{}, err
	}
	return Checkpoint{Size: size, Root: root, Note: string(signed)}, nil
}

func (l *Log) open(text string) (Checkpoint, error) {
	return OpenCheckpoint(text, l.Keys.LogVerifier())
}

// OpenCheckpoint verifies a signed checkpoint with the log's public key.
func OpenCheckpoint(text, verifierKey string) (Checkpoint, error) {
	verifier, err := note.NewVerifier(verifierKey)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("log key: %w", err)
	}
	opened, err := note.Open([]byte(text), note.VerifierList(verifier))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 3 || lines[0] != verifier.Name() {
		return Checkpoint{}, errors.New("checkpoint: not of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 {
		return Checkpoint{}, errors.New("checkpoint: no tree size")
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return Checkpoint{}, errors.New("checkpoint: no root hash")
	}
	return Checkpoint{Size: size, Root: tlog.Hash(root), Note: text}, nil
}

// CheckEpoch compares the database with the checkpoint file: a database that is
// older than the file was put back in time, and would give used attempts and
// codes back, so it is refused (T14).
func (l *Log) CheckEpoch(ctx context.Context) error {
	if l.File == "" {
		return nil
	}
	text, err := os.ReadFile(l.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	outside, err := l.open(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", l.File, err)
	}
	err = l.DB.Read(ctx, func(q *db.Queries) error {
		head, err := q.GetLogHead(ctx)
		if err != nil {
			return err
		}
		if head.Size < outside.Size {
			return fmt.Errorf("the database is older than the checkpoint file %s (%d entries, the file says %d): "+
				"a database that was put back gives used codes and attempts back, so it is not served", l.File, head.Size, outside.Size)
		}
		root, err := tlog.TreeHash(outside.Size, &hashes{ctx: ctx, q: q})
		if err != nil {
			return err
		}
		if root != outside.Root {
			return fmt.Errorf("the database holds another history than the checkpoint file %s", l.File)
		}
		return nil
	})
	if err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.last = outside
	}
	return err
}

// Head gives the newest checkpoint and the highest time recorded.
func (l *Log) Head(ctx context.Context) (Checkpoint, time.Time, error) {
	var out Checkpoint
	var high time.Time
	err := l.DB.Read(ctx, func(q *db.Queries) error {
		head, err := q.GetLogHead(ctx)
		if err != nil {
			return err
		}
		high = store.Time(head.HighWater)
		if head.Size == 0 {
			return nil
		}
		out, err = l.open(head.Checkpoint)
		return err
	})
	return out, high, err
}

// Run takes steps until ctx ends: a few times a second, so that an entry is in the
// log within a second, and while more wait, such as after an import, half of the
// time, so that whoever else writes has the other half.
func (l *Log) Run(ctx context.Context, report func(error)) {
	const pause = 200 * time.Millisecond
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		began := time.Now()
		taken, err := l.Step(ctx)
		if l.Stepped != nil && (taken > 0 || err != nil) {
			l.Stepped(began, taken, err)
		}
		if err != nil && ctx.Err() == nil && !recovery.IsKind(err, recovery.KindUnavailable) {
			report(err)
		}
		wait := pause
		if err == nil && taken == batch {
			wait = min(time.Since(began), pause)
		}
		timer.Reset(wait)
	}
}

// hashes reads the tree's stored hashes from the database, those that it knows
// already first: entries of one chain share most of their proofs. Stored hashes
// never change, so what was read once stays true.
type hashes struct {
	ctx   context.Context
	q     *db.Queries
	fresh map[int64]tlog.Hash
}

// hashPage is how many hashes one statement reads.
const hashPage = 64

// ReadHashes gives the hashes at the stored indexes.
func (h *hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	if h.fresh == nil {
		h.fresh = map[int64]tlog.Hash{}
	}
	var missing []int64
	for _, index := range indexes {
		if _, ok := h.fresh[index]; !ok {
			missing = append(missing, index)
		}
	}
	for page := range slices.Chunk(missing, hashPage) {
		found, err := store.LogHashesAt(h.ctx, h.q, page)
		if err != nil {
			return nil, fmt.Errorf("audit log hashes: %w", err)
		}
		for _, index := range page {
			raw, ok := found[index]
			if !ok {
				return nil, fmt.Errorf("audit log hash %d: %w", index, sql.ErrNoRows)
			}
			if len(raw) != tlog.HashSize {
				return nil, fmt.Errorf("audit log hash %d has %d bytes", index, len(raw))
			}
			h.fresh[index] = tlog.Hash(raw)
		}
	}
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		out[i] = h.fresh[index]
	}
	return out, nil
}

// writeFile replaces a file in one step, synced.
func writeFile(path, text string) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".checkpoint-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	if _, err := temp.WriteString(text); err != nil {
		return errors.Join(err, temp.Close())
	}
	if err := errors.Join(temp.Sync(), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}
