package main

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/wanbi/wanbi/internal/claimant"
	"github.com/wanbi/wanbi/internal/config"
	"github.com/wanbi/wanbi/internal/host"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

func TestPolicyCheckAcceptsEveryShippedPolicyAndNamesWhatWasAccepted(t *testing.T) {
	got := wanbi(t, "policy", "check").want(t, exitOK, "accepted: text:", "shipped:yichuangtong: realm yichuangtong, loads; ")
	for _, name := range config.Shipped() {
		if !strings.Contains(got.out, name+": realm ") {
			t.Errorf("%s is not checked", name)
		}
	}
	hardened := wanbi(t, "policy", "check", "shipped:hardened/yichuangtong").want(t, exitOK, "weaknesses: 0")
	if strings.Contains(hardened.out, "accepted:") {
		t.Errorf("a hardened policy has something to accept: %s", hardened.out)
	}
}

func TestPolicyCheckRefusesAndGoesOn(t *testing.T) {
	got := wanbi(t, "policy", "check", "../../internal/policy/testdata/busted_unknown_key.yaml", "../../internal/policy/testdata/sound.yaml").
		want(t, exitFound, "busted_unknown_key.yaml: refused", "unknown key", "sound.yaml: realm ", "1 of 2 policies refused")
	if !strings.HasSuffix(got.err, "1 of 2 policies refused\n") {
		t.Errorf("the sum is not the last: %q", got.err)
	}
	wanbi(t, "policy", "check", "nowhere.yaml").want(t, exitFailure, "nowhere.yaml")
	wanbi(t, "policy", "check", "shipped:nowhere").want(t, exitFailure, "shipped:hardened/wechat-pay")
}

func TestPolicyExplainSaysALineForEachRule(t *testing.T) {
	const facts = "intent: reset-password\nproven: [sms-code]\ncontact-changed: 1d\n"
	wanbiWith(t, facts, "policy", "explain", "shipped:hardened/yichuangtong", "-").
		want(t, exitOK, "way phone: met by sms-code", "result: way phone is met, it waits 3d")
	file := filepath.Join(t.TempDir(), "facts.yaml")
	if err := os.WriteFile(file, []byte("intent: unlock\nlocks: [violation]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wanbi(t, "policy", "explain", "shipped:yichuangtong", file).want(t, exitOK, "lock violation: only a person clears it")
	wanbiWith(t, "intnt: unlock\n", "policy", "explain", "shipped:yichuangtong", "-").want(t, exitFailure, "facts:1: ")
}

func TestPolicySchemaIsJSON(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal([]byte(wanbi(t, "policy", "schema").want(t, exitOK).out), &schema); err != nil || schema["title"] != "Wanbi policy" {
		t.Errorf("%v, %v", schema["title"], err)
	}
}

func TestKeysAreMadeOnceAndForTheirOwnerOnly(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.json")
	wanbi(t, "keys", "init", file, "--origin", "https://id.example.cn").want(t, exitFailure, "without a scheme")
	wanbi(t, "keys", "init", file, "--origin", "id.example.cn/wanbi").want(t, exitOK, "keep a copy")
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	wanbi(t, "keys", "init", file, "--origin", "id.example.cn/wanbi").want(t, exitFailure, "is there already and is not replaced")
	if after, err := os.ReadFile(file); err != nil || string(after) != string(before) {
		t.Error("the key file was touched")
	}
}

func TestKeysShowGivesThePublicParts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.json")
	wanbi(t, "keys", "init", file, "--origin", "id.example.cn/wanbi").want(t, exitOK)
	got := wanbi(t, "keys", "show", file).want(t, exitOK)
	keys, err := seal.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(got.out, keys.LogVerifier()) || !strings.Contains(got.out, keys.HookKeyID()) {
		t.Errorf("it shows %s", got.out)
	}
	block, _ := pem.Decode([]byte(got.out[strings.Index(got.out, "-----BEGIN"):]))
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil || !keys.HookKey().Public().(ed25519.PublicKey).Equal(public) {
		t.Errorf("the hook key is %v, %v", public, err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	wanbi(t, "keys", "show", file).want(t, exitFailure, "chmod 600")
}

func TestAnAPIKeyWorksUntilItIsRevoked(t *testing.T) {
	i := install(t)
	at := []string{"--config", i.config, "--realm", "yichuangtong"}
	call := func(args ...string) told { return wanbi(t, append(append([]string{"api-key"}, args...), at...)...) }
	call("list").want(t, exitOK, "no keys in realm yichuangtong")
	call("mint", "--name", "x", "--scope", "everything").want(t, exitFailure, "the scopes are accounts:read, accounts:write")
	key := strings.TrimSpace(call("mint", "--name", "sign-in", "--scope", "secrets:verify,locks:write").want(t, exitOK, "not shown again").out)
	door := i.open().Host
	if _, err := door.Authenticate(t.Context(), key, host.ScopeSecrets, yichuangtong); err != nil {
		t.Errorf("the key does not work: %v", err)
	}
	if _, err := door.Authenticate(t.Context(), key, host.ScopeAccountsWrite, yichuangtong); !recovery.IsKind(err, recovery.KindForbidden) {
		t.Errorf("it may write accounts: %v", err)
	}
	listed := call("list").want(t, exitOK, "sign-in", "locks:write, secrets:verify", "works")
	if strings.Contains(listed.out, key) {
		t.Error("the list shows the key")
	}
	id := regexp.MustCompile(`^[0-9a-f]{32}`).FindString(listed.out)
	call("revoke", "0123").want(t, exitFailure, `no key "0123" in realm`)
	call("revoke", id).want(t, exitOK, "revoked "+id)
	call("revoke", id).want(t, exitFailure, "was revoked already")
	call("list").want(t, exitOK, "revoked 20")
	if _, err := door.Authenticate(t.Context(), key, host.ScopeSecrets, yichuangtong); !recovery.IsKind(err, recovery.KindUnknown) {
		t.Errorf("the revoked key: %v", err)
	}
}

// recorded is an installation with two accounts in the audit log.
func recorded(t *testing.T) installation {
	t.Helper()
	i := install(t)
	wanbi(t, "import", "--config", i.config, "--realm", "yichuangtong", i.file("accounts.jsonl", jsonLines)).want(t, exitOK)
	wanbi(t, "audit", "receipt", "--config", i.config, "--realm", "yichuangtong", "--account", "1001").
		want(t, exitFailure, "nothing of it is in the log yet")
	opened := i.open()
	for {
		taken, err := opened.Log.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if taken == 0 {
			return i
		}
	}
}

func TestAReceiptIsVerifiedOfflineAndATamperedOneIsNot(t *testing.T) {
	i := recorded(t)
	receipt := filepath.Join(i.folder, "receipt.json")
	at := []string{"--config", i.config, "--realm", "yichuangtong"}
	wanbi(t, append([]string{"audit", "receipt", "--account", "1002", "--output", receipt}, at...)...).want(t, exitOK, "2 entries in")
	keys, err := seal.Load(i.keys)
	if err != nil {
		t.Fatal(err)
	}
	verify := func(key string) told { return wanbi(t, "audit", "verify-receipt", receipt, "--key", key) }
	verify(keys.LogVerifier()).want(t, exitOK, "account.imported", "account.locked", `"reason":"violation"`, "the receipt holds: 2 entries")

	other := filepath.Join(i.folder, "other.json")
	wanbi(t, "keys", "init", other, "--origin", "id.example.cn/wanbi").want(t, exitOK)
	others, err := seal.Load(other)
	if err != nil {
		t.Fatal(err)
	}
	verify(others.LogVerifier()).want(t, exitFound, "another log")
	verify("no key").want(t, exitFound, "another log")
	text, err := os.ReadFile(receipt)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(receipt, []byte(strings.Replace(string(text), "violation", "violatiom", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	verify(keys.LogVerifier()).want(t, exitFound, "is not in the log that was signed")

	for name, c := range map[string]struct{ flag, value, want string }{
		"an unknown account": {"--account", "9999", "no account with that ID"},
		"no reference":       {"--case", "1234", "is no case reference"},
		"an unknown case":    {"--case", "00000-00000", "no case 00000-00000"},
	} {
		t.Run(name, func(t *testing.T) {
			wanbi(t, append([]string{"audit", "receipt", c.flag, c.value}, at...)...).want(t, exitFailure, c.want)
		})
	}
}

func TestACaseHasAReceiptOfItsOwn(t *testing.T) {
	i := recorded(t)
	opened := i.open()
	theirs, err := opened.Claimant.Open(t.Context(), claimant.Caller{}, claimant.OpenRequest{
		Realm: yichuangtong, Intent: recovery.IntentResetPassword, Identifier: "13800001001",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := opened.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	receipt := filepath.Join(i.folder, "receipt.json")
	ask := func(realm string) told {
		return wanbi(t, "audit", "receipt", "--config", i.config, "--realm", realm, "--case", strings.ToLower(string(theirs.Ref)), "--output", receipt)
	}
	ask("hardened-yichuangtong").want(t, exitFailure, "is in another realm")
	ask("yichuangtong").want(t, exitOK, "1 entries in")
	wanbi(t, "audit", "verify-receipt", receipt, "--key", opened.Log.Keys.LogVerifier()).want(t, exitOK, "case.opened")
}

func TestAuditVerifyFindsAnEditedRow(t *testing.T) {
	i := recorded(t)
	verify := func() told { return wanbi(t, "audit", "verify", "--config", i.config) }
	verify().want(t, exitOK, "3 entries in the log, 0 waiting", "everything holds")
	edit(t, i, "UPDATE audit_entries SET event = 'signed-in' WHERE event = 'account.locked'")
	verify().want(t, exitFound, "was edited", "the audit log does not hold")
}

func TestAuditVerifyFindsADatabaseThatWasPutBack(t *testing.T) {
	i := recorded(t)
	edit(t, i, "DELETE FROM log_leaves; DELETE FROM log_hashes; UPDATE log_head SET size = 0, checkpoint = ''")
	wanbi(t, "audit", "verify", "--config", i.config).want(t, exitFound, "problem: the database is older than the checkpoint file")
	wanbi(t, "serve", "--config", i.config).want(t, exitFailure, "the database is older than the checkpoint file")
}

func TestDeadLettersAreListed(t *testing.T) {
	i := install(t)
	wanbi(t, "jobs", "--config", i.config).want(t, exitOK, "no dead letters")
	opened := i.open()
	if err := opened.DB.Write(t.Context(), func(tx *store.Tx) error {
		if err := tx.InsertJob(t.Context(), db.InsertJobParams{Key: "k", ID: "job-1", Kind: "message.deliver", DueAt: 1, Payload: []byte("x")}); err != nil {
			return err
		}
		_, err := tx.BuryJob(t.Context(), db.BuryJobParams{Key: "k", ID: "job-1", DeadAt: 1772326800000, LastError: "error.delivery.refused"})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	wanbi(t, "jobs", "--config", i.config).
		want(t, exitFound, "job-1  message.deliver", "given up 2026-03-01 01:00:00Z: error.delivery.refused", "1 dead letters")
}

func TestDemoWritesEveryPageAndEnds(t *testing.T) {
	dir := t.TempDir()
	wanbi(t, "demo", "--pages", dir).want(t, exitOK, "en, larger text", "pages, ", "open "+filepath.Join(dir, "index.html"))
	if _, err := os.Stat(filepath.Join(dir, "dark", "en", "held.html")); err != nil {
		t.Error(err)
	}
}
