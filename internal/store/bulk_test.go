package store_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
	"github.com/wanbi/wanbi/internal/testkit/fixture"
)

// Numbers of rows on both sides of what one statement takes.
func TestHashesAreWrittenInBulkAndReadBack(t *testing.T) {
	for _, engine := range fixture.Engines {
		for _, n := range []int{0, 1, 64, 65, 66, 125, 999, 1000, 1001} {
			t.Run(string(engine), func(t *testing.T) {
				d := open(t, engine)
				var hashes []store.LogHash
				var indexes []int64
				for i := range n {
					hashes = append(hashes, store.LogHash{Index: int64(i), Hash: []byte{byte(i)}})
					indexes = append(indexes, int64(i))
				}
				if err := d.Write(context.Background(), func(tx *store.Tx) error { return tx.InsertLogHashes(context.Background(), hashes) }); err != nil {
					t.Fatal(err)
				}
				err := d.Read(context.Background(), func(q *db.Queries) error {
					found := map[int64][]byte{}
					for some := range slices.Chunk(append(indexes, 2000), 100) {
						page, err := store.LogHashesAt(context.Background(), q, some)
						if err != nil {
							return err
						}
						maps.Copy(found, page)
					}
					if len(found) != n || n > 0 && found[int64(n-1)][0] != byte(n-1) {
						t.Errorf("wrote %d, read %d", n, len(found))
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			})
		}
		t.Run(string(engine)+", an entry that is not there", func(t *testing.T) {
			d := open(t, engine)
			err := d.Write(context.Background(), func(tx *store.Tx) error {
				err := tx.PlaceLeaves(context.Background(), []store.Leaf{{Leaf: 0, Owner: "o", Chain: "c", Seq: 1}})
				if !errors.Is(err, store.ErrStale) {
					t.Errorf("got %v, want ErrStale", err)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}
