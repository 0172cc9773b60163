package faults_test

import (
	"context"
	"flag"
	"os"
	"sync"
	"testing"

	"github.com/wanbi/wanbi/internal/testkit/faults"
	"github.com/wanbi/wanbi/internal/testkit/postgres"
)

func TestMain(m *testing.M) {
	// Scenarios wait most of their time, for leases to end.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	code := postgres.Main(m)
	if folder != "" {
		_ = os.RemoveAll(folder)
	}
	os.Exit(code)
}

var folder string

// programs builds the servers once.
var programs = sync.OnceValues(func() (p faults.Programs, err error) {
	if folder, err = os.MkdirTemp("", "wanbi-faults-"); err != nil {
		return p, err
	}
	return faults.Build(context.Background(), folder)
})

// T28: each scenario, short. `make faults` runs them for longer.
func TestT28_NothingIsLostAndNothingIsDoneTwice(t *testing.T) {
	built, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range faults.Scenarios {
		if s.Name == "patroni" { // waits for a lease of 20 s, and tests the same of us as standby
			continue
		}
		for _, engine := range s.Engines {
			t.Run(s.Name+"/"+string(engine), func(t *testing.T) {
				if s.CannotRun != nil {
					if why := s.CannotRun(); why != "" {
						t.Skip(why)
					}
				}
				t.Parallel()
				o := faults.Options{Programs: built, Folder: t.TempDir(), Seed: 1, Clients: 3, Accounts: 300, Faults: 3, Say: t.Logf}
				if engine == faults.PostgreSQL {
					o.Postgres = postgres.Database(t)
				}
				r, err := s.Run(t.Context(), o, engine)
				if err != nil {
					t.Fatal(err)
				}
				for _, line := range r.Lines {
					t.Error(line)
				}
				if r.Completed == 0 || r.Faults == 0 {
					t.Errorf("nothing was shown: %+v", r)
				}
				t.Logf("%+v", r)
			})
		}
	}
}
