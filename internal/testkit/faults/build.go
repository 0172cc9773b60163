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
	Now   string // cmd/wanbi as it is
	Next  string // the same with one more migration, which adds (testdata/next.sql)
	Moved string // the same with a clock that can be moved (testdata/moved.go)
}

// Build builds the programs into a folder, from the module that the working
// directory is in.
func Build(ctx context.Context, folder string) (p Programs, err error) {
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return p, err
	}
	root := filepath.Dir(strings.TrimSpace(string(mod)))
	p = Programs{Now: filepath.Join(folder, "wanbi"), Next: filepath.Join(folder, "wanbi-next"), Moved: filepath.Join(folder, "wanbi-moved")}
	for output, more := range map[string]map[string]string{
		p.Now:   {},
		p.Next:  {"internal/store/migrations/09000_next.sql": "next.sql"},
		p.Moved: {"cmd/wanbi/moved.go": "moved.go"},
	} {
		if err := build(ctx, root, output, more); err != nil {
			return p, err
		}
	}
	return p, nil
}

// build builds cmd/wanbi as if it had more files, each of which is in testdata.
func build(ctx context.Context, root, output string, more map[string]string) error {
	replace := map[string]string{}
	for path, from := range more {
		replace[filepath.Join(root, path)] = filepath.Join(root, "internal/testkit/faults/testdata", from)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return err
	}
	laid := output + "-overlay.json"
	if err := os.WriteFile(laid, overlay, 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-overlay", laid, "-o", output, "./cmd/wanbi")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, out)
	}
	return nil
}
