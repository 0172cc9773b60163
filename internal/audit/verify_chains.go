package audit

import (
	"bytes"
	"context"
	"math"
	"runtime"

	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// owned is a page of entries, and of each the end of its chain; nil for a stray.
type owned struct {
	rows []db.EntriesAfterRow
	ends []*chainEnd
}

// walkChains reads the entries chain by chain beside the cases and accounts that own
// the chains, all in the order of their keys. How entries follow each other is seen
// while they are read; their hashes and payloads are checked on all cores.
func (v *verification) walkChains(ctx context.Context, q *db.Queries) error {
	group, ctx := errgroup.WithContext(ctx)
	workers := runtime.GOMAXPROCS(0)
	pages := make(chan owned, workers)
	for range workers {
		group.Go(func() error { return v.checkEntries(pages) })
	}
	group.Go(func() error {
		defer close(pages)
		return v.readEntries(ctx, q, pages)
	})
	return group.Wait()
}

// readEntries follows the chains and hands the entries on.
func (v *verification) readEntries(ctx context.Context, q *db.Queries, pages chan<- owned) error {
	w := &walk{verification: v, ctx: ctx, q: q}
	w.accounts.read, w.cases.read = w.accountEnds, w.caseEnds
	for after := (db.EntriesAfterParams{Seq: math.MinInt64, Most: v.page}); ; {
		rows, err := q.EntriesAfter(ctx, after)
		if err != nil {
			return err
		}
		page := owned{rows: rows, ends: make([]*chainEnd, len(rows))}
		for i, row := range rows {
			if page.ends[i], err = w.follow(row); err != nil {
				return err
			}
		}
		select {
		case pages <- page:
		case <-ctx.Done():
			return ctx.Err()
		}
		v.progress(v.entries, max(v.head.Size, v.entries))
		if len(rows) < int(v.page) {
			break
		}
		last := rows[len(rows)-1]
		if w.misplaced {
			return nil
		}
		after.Owner, after.Chain, after.Seq = last.Owner, last.Chain, last.Seq
	}
	return w.end()
}

// chainEnd is what a case or an account says of its chain.
type chainEnd struct {
	Chain
	head  *Head  // nil for the installation's, which no row has
	state string // of a case; an account has none
	moves bool   // of a case: the last entry ends in its state
}

// walk is where readEntries stands.
type walk struct {
	*verification
	ctx             context.Context
	q               *db.Queries
	accounts, cases ends

	owner, chain string // that is being followed
	any          bool   // one is
	of           *chainEnd
	at           Head
	state        string
	broken       bool
	misplaced    bool // a key of another type was met: what follows it cannot be read in order
}

// follow takes the next entry and gives the end of its chain.
func (w *walk) follow(row db.EntriesAfterRow) (*chainEnd, error) {
	if !w.any || row.Owner != w.owner || row.Chain != w.chain {
		w.finish()
		of, err := w.find(row.Owner, row.Chain)
		if err != nil {
			return nil, err
		}
		w.owner, w.chain, w.any, w.of, w.at, w.state, w.broken = row.Owner, row.Chain, true, of, Start(), "", false
	}
	if w.entries++; row.Typed == 0 {
		w.misplaced = true
		w.problem("chain %s: the keys of entry %d have another type", row.Chain, row.Seq)
	}
	if w.of == nil {
		w.strays++
	}
	if row.Leaf.Valid {
		w.latest = max(w.latest, row.At)
	} else {
		w.Pending++
	}
	if row.Payload == nil && row.Nonce == nil {
		w.Erased++
	}
	switch {
	case w.broken:
	case row.Seq != w.at.Seq+1:
		w.problem("chain %s: entry %d is missing", w.chain, w.at.Seq+1)
		w.broken = true
	case !bytes.Equal(row.Prev, w.at.Hash):
		w.problem("chain %s: entry %d does not follow entry %d", w.chain, row.Seq, w.at.Seq)
		w.broken = true
	}
	w.at, w.state = Head{Seq: row.Seq, Hash: row.Hash}, row.ToState
	return w.of, nil
}

// finish compares the end of the chain that was followed with what its row says.
func (w *walk) finish() {
	if !w.any || w.of == nil {
		return
	}
	w.Chains++
	if !w.broken && w.of.head != nil && (w.at.Seq != w.of.head.Seq || !bytes.Equal(w.at.Hash, w.of.head.Hash)) {
		w.problem("chain %s: %d entries are there, its row says %d", w.of.ID, w.at.Seq, w.of.head.Seq)
	}
	if w.of.moves && w.state != w.of.state {
		w.problem("chain %s: it ends in state %q, its case says %q", w.of.ID, w.state, w.of.state)
	}
}

// end finishes the last chain; whoever still waits for one has no entries.
func (w *walk) end() error {
	w.finish()
	for _, waiting := range []*ends{&w.accounts, &w.cases} {
		for {
			of, err := waiting.take()
			if err != nil {
				return err
			}
			if of == nil {
				break
			}
			w.without(of)
		}
	}
	return nil
}

// without is the end of a chain that has no entries.
func (w *walk) without(of *chainEnd) {
	w.any, w.of, w.at, w.state, w.broken = true, of, Start(), "", false
	w.finish()
}

// find gives what the chain's case or account says of it; nil when it has none. It is
// the next one, unless somebody took entries or rows out.
func (w *walk) find(owner, chain string) (*chainEnd, error) {
	if owner == Installation.Owner && chain == Installation.ID {
		return &chainEnd{Chain: Installation}, nil
	}
	for _, waiting := range []*ends{&w.accounts, &w.cases} {
		next, err := waiting.first()
		if err != nil {
			return nil, err
		}
		if next != nil && next.Owner == owner && next.ID == chain {
			return waiting.take()
		}
	}
	waiting := &w.cases
	_, err := w.q.GetCase(w.ctx, db.GetCaseParams{Subject: owner, ID: chain})
	if store.NotFound(err) && owner == chain {
		waiting = &w.accounts
		_, err = w.q.GetAccount(w.ctx, owner)
	}
	if store.NotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for { // those before it have no entries
		next, err := waiting.take()
		if err != nil || next == nil || next.Owner == owner && next.ID == chain {
			return next, err
		}
		w.without(next)
	}
}

// ends reads what cases or accounts say of their chains, in the order of their keys,
// up to a key of another type than its column, which SQLite would let somebody write:
// what follows it cannot be read in order.
type ends struct {
	read func(after Chain) ([]*chainEnd, error)
	rows []*chainEnd
	last Chain
	done bool
}

// first gives the next without taking it; nil at the end.
func (e *ends) first() (*chainEnd, error) {
	if len(e.rows) == 0 && !e.done {
		rows, err := e.read(e.last)
		if err != nil {
			return nil, err
		}
		e.rows, e.done = rows, len(rows) == 0
	}
	if len(e.rows) == 0 {
		return nil, nil
	}
	return e.rows[0], nil
}

func (e *ends) take() (*chainEnd, error) {
	first, err := e.first()
	if err == nil && first != nil {
		e.rows, e.last = e.rows[1:], first.Chain
	}
	return first, err
}

func (w *walk) accountEnds(after Chain) ([]*chainEnd, error) {
	rows, err := w.q.AccountHeads(w.ctx, db.AccountHeadsParams{AccountID: after.ID, Limit: w.page})
	out := make([]*chainEnd, 0, len(rows))
	for _, row := range rows {
		if row.Typed == 0 {
			w.problem("account %s: its key has another type", row.AccountID)
			return nil, err
		}
		out = append(out, &chainEnd{
			Chain: Chain{Owner: row.AccountID, ID: row.AccountID, Realm: recovery.Realm(row.Realm)},
			head:  &Head{Seq: row.ChainSeq, Hash: row.ChainHead},
		})
	}
	return out, err
}

func (w *walk) caseEnds(after Chain) ([]*chainEnd, error) {
	rows, err := w.q.CaseHeads(w.ctx, db.CaseHeadsParams{Subject: after.Owner, ID: after.ID, Most: w.page})
	out := make([]*chainEnd, 0, len(rows))
	for _, row := range rows {
		if row.Typed == 0 {
			w.problem("case %s: its key has another type", row.ID)
			return nil, err
		}
		out = append(out, &chainEnd{
			Chain: Chain{Owner: row.Subject, ID: row.ID, Realm: recovery.Realm(row.Realm)},
			head:  &Head{Seq: row.ChainSeq, Hash: row.ChainHead}, state: row.State, moves: true,
		})
	}
	return out, err
}

// checkEntries checks each entry by itself: its hash, its payload, and what it says
// of its leaf.
func (v *verification) checkEntries(pages <-chan owned) error {
	var placed sum
	for page := range pages {
		for i, row := range page.rows {
			if !bytes.Equal(entryHash(row.Chain, row.Seq, row.At, row.Event, row.FromState, row.ToState, row.Commitment, row.Prev), row.Hash) {
				v.problem("chain %s: entry %d was edited", row.Chain, row.Seq)
			}
			if of := page.ends[i]; of != nil && (row.Payload != nil || row.Nonce != nil) {
				v.payload(of.Chain, row)
			}
			if row.Leaf.Valid {
				placed.add(&v.key, row.Leaf.Int64, row.Owner, row.Chain, row.Seq, tlog.RecordHash(row.Hash))
			}
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.placed.join(placed)
	return nil
}

// payload checks that a payload is the one that was committed to. Erasing takes
// payload and nonce together.
func (v *verification) payload(chain Chain, row db.EntriesAfterRow) {
	plain, err := v.log.Keys.Open(payloadPlace(chain, row.Seq), row.Payload)
	if err != nil || !bytes.Equal(commit(row.Nonce, plain), row.Commitment) {
		v.problem("chain %s: the payload of entry %d was exchanged", chain.ID, row.Seq)
	}
}
