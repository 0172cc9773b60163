package replay_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/replay"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/testkit/clock"
)

func TestAnAnswerIsKeptForItsOwnRequestAndADay(t *testing.T) {
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
	defer func() { _ = d.Close() }()
	if _, err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := clock.New(time.Date(2026, 3, 5, 1, 0, 0, 0, time.UTC))
	book := replay.Book{Keys: keys, Now: now.Now}
	keep := func(once replay.Once, answer string) error {
		return d.Write(t.Context(), func(tx *store.Tx) error { return book.Keep(t.Context(), tx, once, answer) })
	}
	find := func(once replay.Once) (answer string, found bool, err error) {
		err = d.Write(t.Context(), func(tx *store.Tx) (err error) {
			found, err = book.Find(t.Context(), tx, once, &answer)
			return err
		})
		return answer, found, err
	}
	mine := replay.Once{Scope: "me", Key: "k", Fingerprint: "f"}
	if _, found, err := find(mine); found || err != nil {
		t.Fatalf("before anything was kept: %v, %v", found, err)
	}
	if err := keep(mine, "yes"); err != nil {
		t.Fatal(err)
	}
	if err := keep(mine, "no"); err == nil {
		t.Error("kept twice")
	}
	if _, _, err := find(replay.Once{Scope: "me", Key: "k", Fingerprint: "g"}); recovery.AsError(err).Key != "error.idempotency.mismatch" {
		t.Errorf("another request: %v", err)
	}
	for name, other := range map[string]replay.Once{
		"another caller": {Scope: "you", Key: "k", Fingerprint: "f"}, "another key": {Scope: "me", Key: "l", Fingerprint: "f"}, "no key": {},
	} {
		if _, found, err := find(other); found || err != nil {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
	now.Advance(replay.Life - time.Millisecond)
	if answer, found, err := find(mine); answer != "yes" || !found || err != nil {
		t.Errorf("a millisecond before the end: %q, %v, %v", answer, found, err)
	}
	now.Advance(time.Millisecond)
	if _, found, err := find(mine); found || err != nil {
		t.Errorf("at the end: %v, %v", found, err)
	}
	if err := keep(mine, "anew"); err != nil {
		t.Errorf("after the end: %v", err)
	}
}
