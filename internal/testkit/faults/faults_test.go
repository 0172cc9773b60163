package faults_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

// program builds the server once.
var program = sync.OnceValues(func() (path string, err error) {
	if folder, err = os.MkdirTemp("", "wanbi-faults-"); err != nil {
		return "", err
	}
	path = filepath.Join(folder, "wanbi")
	if out, err := exec.Command("go", "build", "-o", path, "github.com/wanbi/wanbi/cmd/wanbi").CombinedOutput(); err != nil {
		return "", errors.Join(err, fmt.Errorf("%s", out))
	}
	return path, nil
})

// T28: each scenario, short. `make faults` runs them for longer.
func TestT28_NothingIsLostAndNothingIsDoneTwice(t *testing.T) {
	binary, err := program()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range faults.Scenarios {
		for _, engine := range s.Engines {
			t.Run(s.Name+"/"+string(engine), func(t *testing.T) {
				t.Parallel()
				o := faults.Options{Program: binary, Folder: t.TempDir(), Seed: 1, Clients: 4, Accounts: 500, Faults: 3, Say: t.Logf}
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
