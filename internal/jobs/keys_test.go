package jobs_test

import (
	"context"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/jobs"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/testkit/fixture"
)

// A node that was forgotten in a rotation leaves what it cannot read to the
// others: a message must not become a dead letter because of it.
func TestAJobUnderAnUnknownVersionIsLeftToOthers(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		k := fixture.New(t, engine)
		old, text := fixture.OwnKeys(t)
		text, _, err := seal.Add(text)
		if err == nil {
			text, _, err = seal.Promote(text, fixture.Began)
		}
		if err != nil {
			t.Fatal(err)
		}
		newer, err := seal.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		done := 0
		handle := func(context.Context, jobs.Job) error { done++; return nil }
		k.Rekey(newer)
		k.Queue.Handle("x", handle)
		knowing := k.Queue
		if err := k.DB.Write(t.Context(), func(tx *store.Tx) error {
			return knowing.Enqueue(t.Context(), tx, jobs.New{Key: "k", Kind: "x", Realm: k.Realm, Due: k.Clock.Now(), Payload: "p"})
		}); err != nil {
			t.Fatal(err)
		}
		k.Rekey(old)
		k.Queue.Handle("x", handle)
		for range 20 { // more often than a job that fails is tried
			if err := k.Queue.Drain(t.Context()); err != nil {
				t.Fatal(err)
			}
			k.Clock.Advance(time.Minute)
		}
		if backlog, err := k.DB.Backlog(t.Context()); err != nil || done != 0 || backlog.Dead != 0 || backlog.Waiting != 1 {
			t.Fatalf("done %d times; %+v, %v", done, backlog, err)
		}
		if err := knowing.Drain(t.Context()); err != nil || done != 1 {
			t.Errorf("done %d times, %v", done, err)
		}
	})
}
