package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
)

// untilWritten is a context that ends once a file is there.
type untilWritten struct {
	context.Context
	path string
}

// Err implements [context.Context].
func (c untilWritten) Err() error {
	if _, err := os.Stat(c.path); err == nil {
		return context.Canceled
	}
	return c.Context.Err()
}

// manyAccounts is a CSV file of n accounts.
func manyAccounts(n int) string {
	var b strings.Builder
	b.WriteString("id,phone\n")
	for i := range n {
		fmt.Fprintf(&b, "r%d,+86139%08d\n", i, i)
	}
	return b.String()
}

func TestAnImportThatWasCutOffGoesOn(t *testing.T) {
	i := install(t)
	text := manyAccounts(importBatch + 20)
	file := i.file("many.csv", strings.Replace(text, "r7,+86139", "r7,not", 1))
	at := []string{"import", "--config", i.config, "--realm", "yichuangtong", file}
	wanbi(t, append(at, "--resume")...).want(t, exitFailure, "many.csv.progress to go on from")

	var out, errs bytes.Buffer
	progress := file + ".progress"
	code := run(at, std{ctx: untilWritten{t.Context(), progress}, in: strings.NewReader(""), out: &out, err: &errs, env: noEnv})
	if code != exitFailure || !strings.Contains(errs.String(), "stopped; what was read before is in") {
		t.Fatalf("exit code %d: %s%s", code, out.String(), errs.String())
	}
	if n := number(t, i, `SELECT COUNT(*) FROM accounts`); n != importBatch-1 {
		t.Fatalf("%d accounts are in", n)
	}
	wanbi(t, append(at, "--resume")...).want(t, exitOK, "20 records read: 20 new, 0 brought up to date")
	if n := number(t, i, `SELECT COUNT(*) FROM accounts`); n != importBatch+19 {
		t.Errorf("%d accounts are in", n)
	}
	if _, err := os.Stat(progress); !os.IsNotExist(err) {
		t.Errorf("%s is still there", progress)
	}
	if rejects, err := os.ReadFile(file + ".rejects.jsonl"); err != nil || strings.Count(string(rejects), "\n") != 1 {
		t.Errorf("rejects %q, %v", rejects, err)
	}
}

func TestAnotherFileIsNotResumed(t *testing.T) {
	i := install(t)
	file := i.file("many.csv", manyAccounts(3))
	i.file("many.csv.progress", `{"realm":"yichuangtong","size":1,"line":2}`)
	at := []string{"import", "--config", i.config, "--realm", "yichuangtong", file}
	wanbi(t, append(at, "--resume")...).want(t, exitFailure, "the file changed since")
	i.file("many.csv.progress", "nonsense")
	wanbi(t, append(at, "--resume")...).want(t, exitFailure, "cannot be read")
	wanbi(t, append(at, "--resume", "--dry-run")...).want(t, exitFailure, "--resume is for a file that goes in")
	wanbi(t, at...).want(t, exitOK, "3 new")
}
