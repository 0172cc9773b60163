package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

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

// sealAnew serves until everything stands under the current version.
func (i installation) sealAnew() {
	i.t.Helper()
	i.settings("log:\n  level: error", "log:\n  level: info")
	r := begin(i.t, regexp.MustCompile(`(sealing anew is done)`), "serve", "--config", i.config)
	r.end()
}

func (i installation) keysDo(args ...string) told {
	i.t.Helper()
	return wanbi(i.t, append([]string{"keys", args[0], "--config", i.config}, args[1:]...)...)
}

func TestAVersionIsRetiredWhenNothingNeedsIt(t *testing.T) {
	i := recordedAndClosed(t)
	wanbi(t, "api-key", "mint", "--name", "x", "--scope", "secrets:verify", "--config", i.config, "--realm", "yichuangtong").want(t, exitOK)
	wanbi(t, "keys", "rotate", i.keys).want(t, exitOK)
	i.keysDo("status").want(t, exitOK, "version 1  used for what is new: seal index hash ids", "version 2  not used yet: seal index hash ids")
	i.keysDo("retire", "2").want(t, exitFailure, "in use or newer")
	wanbi(t, "keys", "promote", i.keys).want(t, exitOK)
	i.keysDo("status").want(t, exitOK, "version 1  only read with", "seal   accounts.host_id: 2", "index  host_ids.idx: 2",
		"hash   api_keys.hash: 1, until a new API key", "ids    links, tokens and cookies that were sent out, until ")
	i.keysDo("retire", "1").want(t, exitFound, "version 1 is needed and stays whole")
	i.keysDo("retire", "9").want(t, exitFailure, "no version 9")

	i.sealAnew()
	got := i.keysDo("retire", "1").want(t, exitOK, "version 1 is out of", "seal index\n", "keys.json.with-1", "systemctl reload wanbi")
	if strings.Contains(got.out, "accounts.host_id") {
		t.Errorf("something still stands under it: %s", got.out)
	}
	i.keysDo("status").want(t, exitOK, "version 1  only read with: hash ids")
	wanbi(t, "export", "--config", i.config, "--realm", "yichuangtong").want(t, exitOK, `"1001"`, "13800001001")
	wanbi(t, "audit", "verify", "--config", i.config).want(t, exitOK, "everything holds")

	if err := os.Remove(i.keys + ".with-1"); err != nil {
		t.Fatal(err)
	}
	i.keysDo("retire", "--force", "1").want(t, exitFailure, "say --force --lose-rows 1")
	i.keysDo("retire", "--force", "--lose-rows", "1", "1").want(t, exitOK, "restart every node")
	wanbi(t, "keys", "show", i.keys).want(t, exitOK, "versions:         2 (used)\n")
}

// The links live thirty days, to the second.
func TestLinksKeepAVersionForThirtyDays(t *testing.T) {
	i := recordedAndClosed(t)
	wanbi(t, "keys", "rotate", "--promote", i.keys).want(t, exitOK)
	i.sealAnew()
	s := std{ctx: t.Context(), env: noEnv}
	k, err := (settings{Config: i.config}).openKeys(s)
	if err != nil {
		t.Fatal(err)
	}
	defer k.d.Close()
	since := k.keys.Versions()[1].Since
	for at, want := range map[time.Time]int{since.Add(linksLive - time.Second): 2, since.Add(linksLive): 0} {
		if needs, err := k.needs(s, 1, at); err != nil || len(needs) != want {
			t.Errorf("%s after: %v, %v", at.Sub(since), needs, err)
		}
	}
}

// An old copy of the key file would fail request by request; the start says so at once.
func TestAnOldCopyOfTheKeyFileIsFoundAtTheStart(t *testing.T) {
	i := recordedAndClosed(t)
	old, err := os.ReadFile(i.keys)
	if err != nil {
		t.Fatal(err)
	}
	wanbi(t, "keys", "rotate", "--promote", i.keys).want(t, exitOK)
	i.sealAnew()
	i.file("keys.json", string(old))
	wanbi(t, "serve", "--config", i.config).want(t, exitFailure, "lacks a version that this database was written with")
	i.doctor("--offline").want(t, exitFound, "fail  rotation    the key file lacks a version")
	i.keysDo("status").want(t, exitFound, "index  host_ids.idx: 2 values cannot be read", "look for a newer copy")
}
