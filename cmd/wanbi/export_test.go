package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// exportable are accounts with everything that an account can have.
func exportable() string {
	var all strings.Builder
	all.WriteString(strings.ReplaceAll(jsonLines, `,"locale"`, `,"last_sign_in_at":"2026-03-01T01:00:00Z","locale"`))
	for n := range 30 {
		fmt.Fprintf(&all, `{"id":"=1+%d","username":"name%02d","phone":"138%08d","password_hash":"$2b$04$UvDnDoGiiLRJzWo3pXXUXuCW3NcTfY3BPKSkbQpTWMAQc6fKfYjPG","last_sign_in_at":"2026-03-01T01:00:00Z"}`+"\n", n, n, n)
	}
	return all.String()
}

// exported gives what an export writes.
func exported(t *testing.T, i installation, args ...string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "accounts.jsonl")
	wanbi(t, append([]string{"export", "--config", i.config, "--realm", "yichuangtong", "--output", file}, args...)...).
		want(t, exitOK, "32 accounts", "personal data in the clear")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Accounts that move to another installation, with keys of its own, are the same there.
func TestAnExportIntoAnEmptyInstallationExportsTheSame(t *testing.T) {
	from, to := install(t), install(t)
	wanbi(t, "import", "--config", from.config, "--realm", "yichuangtong", from.file("accounts.jsonl", exportable())).want(t, exitOK, "32 new")
	first := exported(t, from)
	wanbi(t, "import", "--config", to.config, "--realm", "yichuangtong", to.file("accounts.jsonl", string(first))).want(t, exitOK, "32 new", "0 rejected")
	if second := exported(t, to); !bytes.Equal(first, second) {
		t.Errorf("\n%s\nbecame\n%s", first, second)
	}
	if got := bytes.Count(first, []byte(`"password_hash":"$2b$04$`)); got != 30 {
		t.Errorf("%d hashes that a host brought", got)
	}
}

// A hash of ours opens nothing elsewhere and would be refused there, so it stays.
func TestAnExportLeavesOutHashesOfThisInstallation(t *testing.T) {
	i := install(t)
	wanbi(t, "import", "--config", i.config, "--realm", "yichuangtong", i.file("accounts.jsonl", exportable())).want(t, exitOK, "32 new")
	edit(t, i, `UPDATE account_secrets SET hash = '$argon2id$v=19$m=7168,t=5,p=1,k=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g'`)
	if text := exported(t, i); bytes.Contains(text, []byte("password_hash")) || bytes.Contains(text, []byte("argon2id")) {
		t.Errorf("exported %s", text)
	}
}

func TestAnExportThatWasCutOffIsGoneOnWith(t *testing.T) {
	i := install(t)
	wanbi(t, "import", "--config", i.config, "--realm", "yichuangtong", i.file("accounts.jsonl", exportable())).want(t, exitOK, "32 new")
	whole := exported(t, i)
	lines := bytes.SplitAfter(whole, []byte("\n"))
	again := []string{"export", "--config", i.config, "--realm", "yichuangtong", "--resume", "--output"}
	for name, cut := range map[string]int{
		"nothing":         0,
		"half a line":     len(lines[0]) / 2,
		"a line":          len(lines[0]),
		"a line and half": len(lines[0]) + len(lines[1])/2,
		"all":             len(whole),
	} {
		file := i.file("cut.jsonl", string(whole[:cut]))
		wanbi(t, append(again, file)...).want(t, exitOK, "32 accounts")
		if text, err := os.ReadFile(file); err != nil || !bytes.Equal(text, whole) {
			t.Errorf("%s: it became %d bytes of %d, %v", name, len(text), len(whole), err)
		}
	}
	wanbi(t, append(again, i.file("other.jsonl", "{\"colour\":\"green\"}\n"))...).want(t, exitFailure, "is it an export?")
	wanbi(t, append(again, i.file("other.jsonl", "{\"id\":\"nobody\"}\n"))...).want(t, exitFailure, "is no account of realm")
	wanbi(t, append(again, filepath.Join(i.folder, "none.jsonl"))...).want(t, exitFailure, "no such file")
	readable := i.file("readable.jsonl", "")
	if err := os.Chmod(readable, 0o644); err != nil {
		t.Fatal(err)
	}
	wanbi(t, append(again, readable)...).want(t, exitFailure, "chmod 600")
	wanbi(t, "export", "--config", i.config, "--realm", "yichuangtong", "--resume").want(t, exitFailure, "--output")
}
