package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wanbi/wanbi/internal/audit"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/secret"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

// receipts is how many receipts are timed.
const receipts = 200

// record measures the audit log that the recoveries left.
func (b *installation) record(ctx context.Context) error {
	return b.inside(ctx, func(d *store.DB, log *audit.Log) error {
		for taken := 1; taken > 0; { // what the server wrote last
			var err error
			if taken, err = log.Step(ctx); err != nil {
				return err
			}
		}
		began := time.Now()
		found, err := log.Verify(ctx, nil)
		if err != nil {
			return err
		}
		if len(found.Problems) > 0 {
			return fmt.Errorf("the audit log does not hold: %s", found.Problems[0])
		}
		b.run.Entries, b.run.VerifyRate = found.Leaves, float64(found.Leaves)/time.Since(began).Seconds()
		b.run.ReceiptMS, err = timeReceipts(ctx, d, log)
		b.Say("%d audit entries, %.0f verified a second, a receipt in %.1f ms (p95)\n", b.run.Entries, b.run.VerifyRate, b.run.ReceiptMS.P95)
		return err
	})
}

func timeReceipts(ctx context.Context, d *store.DB, log *audit.Log) (Spread, error) {
	var cases []db.CaseHeadsRow
	err := d.Read(ctx, func(q *db.Queries) (err error) {
		cases, err = q.CaseHeads(ctx, db.CaseHeadsParams{Most: receipts})
		return err
	})
	if err != nil {
		return Spread{}, err
	}
	var took []float64
	for _, c := range cases {
		began := time.Now()
		receipt, err := log.Receipt(ctx, audit.Chain{Owner: c.Subject, ID: c.ID, Realm: recovery.Realm(c.Realm)})
		if err != nil {
			return Spread{}, err
		}
		if len(receipt.Entries) == 0 {
			return Spread{}, errors.New("a receipt without entries")
		}
		took = append(took, milliseconds(time.Since(began)))
	}
	return spread(took), nil
}

// Cost is the Argon2id cost that a name stands for: "cheap" is the least that the
// algorithm takes, so that the rest can be seen; anything else is the default.
func Cost(name string) secret.Params {
	if name == "cheap" {
		return secret.Params{Memory: 64, Time: 1, Threads: 1}
	}
	return secret.DefaultParams
}

// plainPepper keys hashes whose only purpose is to be timed.
type plainPepper struct{}

func (plainPepper) Pepper(string, []byte) ([]byte, error) { return make([]byte, 32), nil }
func (plainPepper) CurrentPepper() string                 { return "bench" }

// hashAlone is how many hashes a second this machine makes with nothing else to do.
func hashAlone(ctx context.Context, name string) (float64, error) {
	hasher := secret.NewHasher(plainPepper{}, Cost(name))
	const during = 2 * time.Second
	began := time.Now()
	var count atomic.Int64
	var failed error
	var once sync.Once
	var running sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		running.Go(func() {
			for time.Since(began) < during {
				if _, err := hasher.Hash(ctx, "Harbour-lamp-and-river-7", "bench"); err != nil {
					once.Do(func() { failed = err })
					return
				}
				count.Add(1)
			}
		})
	}
	running.Wait()
	return float64(count.Load()) / time.Since(began).Seconds(), failed
}
