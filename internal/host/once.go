package host

import (
	"context"
	"encoding/json"
	"time"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/replay"
	"github.com/wanbi/wanbi/internal/store"
)

// patience is how long a request is taken to be still at work. One that a crash
// cut short can be made again after it; it is far above the time that the
// longest import takes.
const patience = 2 * time.Minute

// busyRetry is when to come back while the first request is still at work.
const busyRetry = time.Second

// record is what is kept of a request: that it began, then how it ended.
type record struct {
	Begun  time.Time       `json:"begun"`
	Answer json.RawMessage `json:"answer,omitempty"`
}

// once does a request once for each Idempotency-Key: it notes that the request
// began, does it, and keeps the answer. What failed is forgotten and can be
// tried again under the same key. request is all that makes up the request.
func once[T any](ctx context.Context, d *Door, from Caller, do func() (T, error), request ...any) (T, error) {
	var none T
	if from.Key == "" {
		return do()
	}
	name, err := d.once(from, request)
	if err != nil {
		return none, err
	}
	book := replay.Book{Keys: d.Keys, Now: d.Now}
	answer, err := d.begin(ctx, book, name)
	if err != nil {
		return none, err
	}
	if answer != nil {
		var out T
		return out, json.Unmarshal(answer, &out)
	}
	out, err := do()
	settle := context.WithoutCancel(ctx) // the caller may be gone; what was done was done
	if err != nil {
		if e := d.DB.Write(settle, func(tx *store.Tx) error { return book.Forget(settle, tx, name) }); e != nil {
			return none, e
		}
		return none, err
	}
	answer, err = json.Marshal(out)
	if err != nil {
		return none, err
	}
	return out, d.DB.Write(settle, func(tx *store.Tx) error {
		if err := book.Forget(settle, tx, name); err != nil {
			return err
		}
		return book.Keep(settle, tx, name, record{Begun: d.Now(), Answer: answer})
	})
}

// once names the request: by the API key, its Idempotency-Key and a keyed hash
// of what is asked for.
func (d *Door) once(from Caller, request []any) (replay.Once, error) {
	text, err := json.Marshal(request)
	if err != nil {
		return replay.Once{}, err
	}
	return replay.Once{
		Scope: d.Keys.CountKey("once", from.Bearer), Key: d.Keys.CountKey("once-key", from.Key),
		Fingerprint: d.Keys.CountKey("once-request", string(from.Realm), string(text)),
	}, nil
}

// begin gives the answer when there is one, and otherwise notes the beginning.
func (d *Door) begin(ctx context.Context, book replay.Book, name replay.Once) (answer json.RawMessage, err error) {
	err = d.DB.Write(ctx, func(tx *store.Tx) error {
		answer = nil
		var before record
		found, err := book.Find(ctx, tx, name, &before)
		if err != nil {
			return err
		}
		if found && before.Answer != nil {
			answer = before.Answer
			return nil
		}
		if found {
			if d.Now().Before(before.Begun.Add(patience)) {
				e := recovery.Conflict("error.idempotency.busy")
				return e.RetryIn(busyRetry)
			}
			if err := book.Forget(ctx, tx, name); err != nil {
				return err
			}
		}
		return book.Keep(ctx, tx, name, record{Begun: d.Now()})
	})
	return answer, err
}
