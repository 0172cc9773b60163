package audit

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"

	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"

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

// verification is one run of Verify.
type verification struct {
	log      *Log
	page     int32 // rows that one statement reads
	progress func(done, of int64)
	key      sumKey

	mu sync.Mutex // of the report's problems, which several goroutines find
	Report

	head   db.GetLogHeadRow
	tree   frontier
	whole  bool // the log was walked to its end
	leaves sum  // of what the log says of its leaves

	entries int64 // of all chains
	strays  int64 // on no chain of a case or an account
	placed  sum   // of what the entries say that are in the log
	latest  int64 // time of the latest entry in the log, in milliseconds
}

func (v *verification) problem(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.Problems) < maxProblems {
		v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
	}
}

// verifyPage is how many rows one statement reads: enough that round trips do not
// count, and about a megabyte of entries.
const verifyPage = 2000

// Verify checks everything the record promises: each leaf's entry is there and
// hashes to its leaf, the tree is what the signed checkpoint says, each chain is
// unbroken and ends where its case or account says, in the state that it says,
// and no payload was exchanged. It sees one moment of the database, so it may run
// while the server does, and holds a few pages of it in memory. progress is told the
// number of entries done, from one goroutine; it may be nil.
func (l *Log) Verify(ctx context.Context, progress func(done, of int64)) (Report, error) {
	return l.verify(ctx, verifyPage, progress)
}

// verify reads the log in the order of its leaves and the entries in the order of
// their chains, at the same time and each once. That both hold the same is seen from
// sums over what they say; only when the sums differ is it looked up where.
func (l *Log) verify(ctx context.Context, page int32, progress func(done, of int64)) (Report, error) {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	v := &verification{log: l, page: page, progress: progress}
	if _, err := rand.Read(v.key[:]); err != nil {
		return Report{}, err
	}
	err := l.DB.Snapshots(ctx, 2, func(views []*db.Queries) (err error) {
		if v.head, err = views[0].GetLogHead(ctx); err != nil {
			return err
		}
		both, walking := errgroup.WithContext(ctx)
		both.Go(func() error { return v.walkLog(walking, views[0]) })
		both.Go(func() error { return v.walkChains(walking, views[1]) })
		if err := both.Wait(); err != nil {
			return err
		}
		return v.agree(ctx, views[0])
	})
	return v.Report, err
}

// agree checks what can be said only after both walks.
func (v *verification) agree(ctx context.Context, q *db.Queries) error {
	if v.strays > 0 {
		v.problem("%d entries are on no chain of a case or an account", v.strays)
	}
	if v.placed.count != v.Leaves {
		v.problem("%d entries on the chains say that they are in the log, which has %d", v.placed.count, v.Leaves)
	}
	if v.whole && v.placed == v.leaves {
		return v.signed()
	}
	found := len(v.Problems)
	if err := v.findLeaves(ctx, q); err != nil {
		return err
	}
	if len(v.Problems) == found && found < maxProblems {
		v.problem("the log and the entries on the chains are not the same")
	}
	if v.whole {
		return v.signed()
	}
	return nil
}

// signed compares the head and its signature with the tree.
func (v *verification) signed() error {
	if v.Leaves != v.head.Size {
		v.problem("the head says %d entries, %d are there", v.head.Size, v.Leaves)
		return nil
	}
	if v.latest != v.head.HighWater {
		v.problem("the latest entry is of %d, the head says %d", v.latest, v.head.HighWater)
	}
	if v.head.Size == 0 {
		if v.head.Checkpoint != "" {
			v.problem("there is a checkpoint and no entry")
		}
		return nil
	}
	signed, err := v.log.open(v.head.Checkpoint)
	if err != nil {
		v.problem("%v", err)
		return nil
	}
	root, err := tlog.TreeHash(v.Leaves, &v.tree)
	if err != nil {
		return err
	}
	if signed.Size != v.head.Size || signed.Root != root {
		v.problem("the tree of %d entries is not the one that was signed", v.head.Size)
	}
	return nil
}
