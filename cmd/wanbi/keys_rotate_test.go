package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wanbi/wanbi/internal/host"
	"github.com/wanbi/wanbi/internal/seal"
)

func TestRotatedKeysReadWhatWasThereAndWriteWithNewOnes(t *testing.T) {
	i := recordedAndClosed(t)
	at := []string{"--config", i.config, "--realm", "yichuangtong"}
	key := strings.TrimSpace(wanbi(t, append([]string{"api-key", "mint", "--name", "x", "--scope", "secrets:verify"}, at...)...).want(t, exitOK).out)
	before, err := seal.Load(i.keys)
	if err != nil {
		t.Fatal(err)
	}
	wanbi(t, "keys", "rotate", i.keys).want(t, exitOK, "keys.json.bak")
	after, err := seal.Load(i.keys)
	if err != nil {
		t.Fatal(err)
	}
	if before.CurrentPepper() == after.CurrentPepper() || before.LogVerifier() != after.LogVerifier() ||
		before.CountKey("a") != after.CountKey("a") || before.HookKeyID() != after.HookKeyID() {
		t.Error("another key was replaced than those that can be")
	}
	if now := after.Index(yichuangtong, "k", "v"); len(now) != 2 || now[1] != before.Index(yichuangtong, "k", "v")[0] {
		t.Errorf("indexes %v", now)
	}
	// Everything is still found, read and verified, and importing again makes no second account.
	wanbi(t, append([]string{"import", i.file("again.jsonl", jsonLines)}, at...)...).want(t, exitOK, "0 new, 2 brought up to date")
	i.settle()
	wanbi(t, append([]string{"export"}, at...)...).want(t, exitOK, `"1001"`, "13800001001")
	wanbi(t, "audit", "verify", "--config", i.config).want(t, exitOK, "everything holds")
	if _, err := i.open().Host.Authenticate(t.Context(), key, host.ScopeSecrets, yichuangtong); err != nil {
		t.Errorf("a key from before: %v", err)
	}

	wanbi(t, "keys", "rotate", i.keys).want(t, exitFailure, "move it to where you keep old keys first")
	if err := os.Remove(i.keys + ".bak"); err != nil {
		t.Fatal(err)
	}
	wanbi(t, "keys", "rotate", i.keys).want(t, exitOK)
	left, err := filepath.Glob(filepath.Join(i.folder, ".keys-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	wanbi(t, "audit", "verify", "--config", i.config).want(t, exitOK, "everything holds")
}
