package host

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/replay"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/testkit/clock"
)

// desk is a door with storage and nothing else.
func desk(t *testing.T) (*Door, *clock.Clock) {
	t.Helper()
	text, err := seal.Generate("id.example.cn/wanbi")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	d, err := store.Open("sqlite:" + filepath.Join(t.TempDir(), "wanbi.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := clock.New(time.Date(2026, 3, 5, 1, 0, 0, 0, time.UTC))
	return &Door{DB: d, Keys: keys, Now: now.Now}, now
}

var from = Caller{Realm: "yichuangtong", Bearer: "wk_1_x", Key: "k"}

func TestParallelRepeatsHappenOnce(t *testing.T) {
	d, _ := desk(t)
	var mu sync.Mutex
	done, answered := 0, 0
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			got, err := once(t.Context(), d, from, func() (int, error) {
				mu.Lock()
				defer mu.Unlock()
				done++
				return done, nil
			}, "request")
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && got == 1:
				answered++
			case !recovery.IsKind(err, recovery.KindConflict):
				t.Errorf("got %d, %v", got, err)
			}
		})
	}
	all.Wait()
	if done != 1 || answered == 0 {
		t.Errorf("done %d times, answered %d times", done, answered)
	}
}

func TestWhatFailedCanBeTriedAgain(t *testing.T) {
	d, _ := desk(t)
	away := errors.New("away")
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := once(ctx, d, from, func() (int, error) { cancel(); return 0, away }, "request"); !errors.Is(err, away) {
		t.Fatal(err)
	}
	if got, err := once(t.Context(), d, from, func() (int, error) { return 7, nil }, "request"); got != 7 || err != nil {
		t.Fatalf("got %d, %v", got, err)
	}
}

func TestARequestThatACrashCutShortIsBusyForAWhile(t *testing.T) {
	d, now := desk(t)
	name, err := d.once(from, []any{"request"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.begin(t.Context(), replay.Book{Keys: d.Keys, Now: d.Now}, name); err != nil {
		t.Fatal(err)
	}
	again := func() (int, error) {
		return once(t.Context(), d, from, func() (int, error) { return 7, nil }, "request")
	}
	now.Advance(patience - time.Millisecond)
	if _, err := again(); recovery.AsError(err) == nil || recovery.AsError(err).Key != "error.idempotency.busy" {
		t.Fatalf("a millisecond before: %v", err)
	}
	now.Advance(time.Millisecond)
	if got, err := again(); got != 7 || err != nil {
		t.Fatalf("at the instant: %d, %v", got, err)
	}
}

func TestKeysAreReadAsTheyAreMade(t *testing.T) {
	for bearer, want := range map[string]bool{
		"wk_id_secret": true, "wk_id_se_cr-et": true, "wk_id_": false, "wk__secret": false, "wk_id": false, "id_secret": false, "": false,
	} {
		if _, _, ok := splitKey(bearer); ok != want {
			t.Errorf("%q: %v", bearer, ok)
		}
	}
}
