package main

import (
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
	wanbi(t, "keys", "rotate", "--promote", i.keys).want(t, exitOK, "version 2, used for what is new")
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
	left, err := filepath.Glob(filepath.Join(i.folder, "*keys*"))
	if err != nil || len(left) != 1 {
		t.Errorf("in the folder: %v, %v", left, err)
	}
}

func TestARotationInTwoSteps(t *testing.T) {
	i := install(t)
	wanbi(t, "keys", "promote", i.keys).want(t, exitFailure, "no version waits")
	wanbi(t, "keys", "rotate", i.keys).want(t, exitOK, "version 2, which is not used yet", "wanbi keys promote")
	wanbi(t, "keys", "show", i.keys).want(t, exitOK, "1 (used), 2 (waits)")
	wanbi(t, "keys", "rotate", i.keys).want(t, exitFailure, "version 2 is not used yet")
	wanbi(t, "keys", "promote", i.keys).want(t, exitOK, "uses version 2")
	wanbi(t, "keys", "show", i.keys).want(t, exitOK, "1 (old), 2 (used)")
}
