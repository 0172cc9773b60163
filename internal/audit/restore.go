package audit

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// Installation is the chain of what happened to the installation itself. Its
// end stands in no row: the log alone tells when an entry was taken from it.
var Installation = Chain{Owner: "installation", ID: "installation"}

// Outside reads the checkpoint file; false when there is none.
func (l *Log) Outside() (Checkpoint, bool, error) {
	if l.File == "" {
		return Checkpoint{}, false, nil
	}
	text, err := os.ReadFile(l.File)
	if errors.Is(err, fs.ErrNotExist) {
		return Checkpoint{}, false, nil
	}
	if err != nil {
		return Checkpoint{}, false, err
	}
	c, err := l.open(string(text))
	return c, err == nil, err
}

// Tell writes an entry on the chain of the installation.
func (l *Log) Tell(ctx context.Context, tx *store.Tx, at time.Time, event string, data map[string]string) error {
	rows, err := tx.AuditChain(ctx, db.AuditChainParams{Owner: Installation.Owner, Chain: Installation.ID})
	if err != nil {
		return err
	}
	_, err = Append(ctx, tx, l.Keys, Installation, endOf(rows), Entry{At: at, Event: event, Data: data})
	return err
}

func endOf(rows []db.AuditEntry) Head {
	if len(rows) == 0 {
		return Start()
	}
	last := rows[len(rows)-1]
	return Head{Seq: last.Seq, Hash: last.Hash}
}

// Renew signs what the log has and replaces the checkpoint file by it, however
// much more the file has signed. The file as it was stays at aside, unless it is
// there already.
func (l *Log) Renew(ctx context.Context, aside string) (Checkpoint, error) {
	fresh := &Log{DB: l.DB, Keys: l.Keys, Now: l.Now}
	for {
		taken, err := fresh.Step(ctx)
		if err != nil {
			return Checkpoint{}, err
		}
		if taken == 0 {
			break
		}
	}
	head, _, err := fresh.Head(ctx)
	if err != nil || l.File == "" {
		return head, err
	}
	if err := os.Link(l.File, aside); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
		return Checkpoint{}, err
	}
	return head, writeFile(l.File, head.Note)
}
