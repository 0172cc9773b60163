package reseal_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/claimant"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/server"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/testkit"
	"github.com/wanbi/wanbi/internal/testkit/fixture"
)

// Two nodes go through a rotation one after the other while both serve and both
// seal anew: nothing that either is asked fails, and an account that both bring
// at once, one under each version, is one account.
func TestTwoNodesRotateWhileBothServe(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		first, text := fixture.OwnKeys(t)
		second, err := seal.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		a := testkit.Start(t, engine, []string{"yichuangtong"}, func(o *server.Options) { o.Keys = first })
		b := testkit.Start(t, engine, []string{"yichuangtong"}, func(o *server.Options) {
			o.Keys, o.Database = second, a.Options.Database
		})
		nodes := []*testkit.Server{a, b}
		const there = recovery.Realm("yichuangtong")
		opened, err := a.Claimant.Open(t.Context(), claimant.Caller{}, claimant.OpenRequest{Realm: there, Intent: recovery.IntentResetPassword, Identifier: phone})
		if err != nil {
			t.Fatal(err)
		}

		var begin sync.WaitGroup // both nodes bring account n at the same time
		rounds, stop := make([]chan int, len(nodes)), make(chan struct{})
		var all sync.WaitGroup
		for i, node := range nodes {
			node.Reseal.Rest = func(context.Context, time.Duration) {}
			rounds[i] = make(chan int)
			all.Go(func() {
				for n := range rounds[i] {
					results, err := node.Accounts.Import(t.Context(), there, []account.Record{{ID: fmt.Sprint("new", n), Phone: fmt.Sprintf("139%08d", n)}})
					if err != nil || results[0].Err != nil {
						t.Errorf("node %d brings account %d: %v, %v", i, n, results, err)
					}
					begin.Done()
				}
			})
			all.Go(func() {
				for {
					if _, err := node.Claimant.View(t.Context(), claimant.Caller{}, opened.Credentials); err != nil {
						t.Errorf("node %d shows the case: %v", i, err)
						return
					}
					select {
					case <-stop:
						return
					default:
					}
				}
			})
		}
		n := 0
		bring := func() {
			for range 10 {
				begin.Add(len(nodes))
				for _, r := range rounds {
					r <- n
				}
				begin.Wait()
				n++
			}
		}
		bring()
		for _, change := range []func([]byte) ([]byte, seal.Version, error){
			seal.Add, func(text []byte) ([]byte, seal.Version, error) { return seal.Promote(text, fixture.Began) },
		} {
			if text, _, err = change(text); err != nil {
				t.Fatal(err)
			}
			for _, node := range nodes {
				next, err := seal.Parse(text)
				if err != nil {
					t.Fatal(err)
				}
				if err := node.Rekey(t.Context(), next); err != nil {
					t.Fatal(err)
				}
				bring() // the other node has the file from before
				if err := node.Reseal.Once(t.Context()); err != nil {
					t.Error(err)
				}
				bring()
			}
		}
		var walks sync.WaitGroup // on both at once
		for _, node := range nodes {
			walks.Go(func() {
				if err := node.Reseal.Once(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		walks.Wait()
		close(stop)
		for _, r := range rounds {
			close(r)
		}
		all.Wait()
		raw := fixture.Raw(t, a.Options.Database)
		for question, want := range map[string]int{
			"SELECT COUNT(*) FROM accounts": n, "SELECT COUNT(*) FROM host_ids": n, "SELECT COUNT(*) FROM identifiers": n,
			"SELECT COUNT(*) FROM host_ids WHERE idx NOT LIKE '00000002%'":    0,
			"SELECT COUNT(*) FROM identifiers WHERE idx NOT LIKE '00000002%'": 0,
		} {
			var got int
			if err := raw.QueryRowContext(t.Context(), question).Scan(&got); err != nil || got != want {
				t.Errorf("%s: %d, want %d, %v", question, got, want, err)
			}
		}
		if err := a.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if report, err := b.Log.Verify(t.Context(), nil); err != nil || len(report.Problems) > 0 {
			t.Errorf("the record: %v, %v", report.Problems, err)
		}
	})
}
