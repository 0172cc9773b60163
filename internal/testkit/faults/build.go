package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Programs are the servers that scenarios run.
type Programs struct {
	Now  string // cmd/wanbi as it is
	Next string // the same with one more migration, which adds (testdata/next.sql)
}

// Build builds the programs into a folder, from the module that the working
// directory is in.
func Build(ctx context.Context, folder string) (p Programs, err error) {
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return p, err
	}
	root := filepath.Dir(strings.TrimSpace(string(mod)))
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {
		filepath.Join(root, "internal/store/migrations/09000_next.sql"): filepath.Join(root, "internal/testkit/faults/testdata/next.sql"),
	}})
	if err != nil {
		return p, err
	}
	laid := filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(laid, overlay, 0o600); err != nil {
		return p, err
	}
	p = Programs{Now: filepath.Join(folder, "wanbi"), Next: filepath.Join(folder, "wanbi-next")}
	for output, flags := range map[string][]string{p.Now: nil, p.Next: {"-overlay", laid}} {
		build := exec.CommandContext(ctx, "go", append(append([]string{"build", "-o", output}, flags...), "./cmd/wanbi")...)
		build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return p, fmt.Errorf("go build: %w: %s", err, out)
		}
	}
	return p, nil
}
