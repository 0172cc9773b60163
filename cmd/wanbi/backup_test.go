package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/claimant"
	"github.com/wanbi/wanbi/internal/recovery"
)

// number asks the database for one.
func number(t *testing.T, i installation, question string) (n int64) {
	t.Helper()
	d := sqliteOf(t, i)
	defer d.Close()
	if err := d.QueryRow(question).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func (i installation) backup(file string) told {
	i.t.Helper()
	return wanbi(i.t, "backup", "--config", i.config, file)
}

func (i installation) restore(args ...string) told {
	i.t.Helper()
	return wanbi(i.t, append([]string{"restore", "--config", i.config}, args...)...)
}

func TestABackupIsWholeAndReplacesNothing(t *testing.T) {
	i := recorded(t)
	file := filepath.Join(i.folder, "copy.db")
	i.backup(file).want(t, exitOK, "copy.db", "The keys are not in it")
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	i.backup(file).want(t, exitFailure, "is there already and is not replaced")
	i.backup(filepath.Join(i.folder, "nowhere", "copy.db")).want(t, exitFailure, "nowhere")
	left, err := filepath.Glob(filepath.Join(i.folder, ".copy.db*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	i.settings("sqlite:wanbi.db", "postgres://wanbi@db.example.cn/wanbi")
	i.backup(filepath.Join(i.folder, "other.db")).want(t, exitFailure, "pg_basebackup")
	i.restore(file).want(t, exitFailure, "its own tools")
}

func TestARestoreIsRefusedWhereItWouldHarm(t *testing.T) {
	i := recorded(t)
	file := filepath.Join(i.folder, "copy.db")
	i.backup(file).want(t, exitOK)
	i.restore().want(t, exitFailure, "give a backup to put back, or --accept")
	i.restore(file, "--accept").want(t, exitFailure, "give a backup to put back, or --accept")
	i.restore(file).want(t, exitFailure, "with --force it is moved aside")
	i.restore("--accept").want(t, exitFailure, "nothing to accept")
	i.restore("--force", i.file("nonsense.db", strings.Repeat("no database ", 1000))).want(t, exitFailure, "no SQLite database")
	opened := i.open() // as a running server has
	if _, _, err := opened.Log.Head(t.Context()); err != nil {
		t.Fatal(err)
	}
	i.restore("--force", file).want(t, exitFailure, "stop the server first")
	if n := number(t, i, `SELECT size FROM log_head`); n != 3 {
		t.Errorf("the database has %d entries", n)
	}
}

func TestABackupWithNothingMissingIsServedAtOnce(t *testing.T) {
	i := recordedAndClosed(t)
	file := filepath.Join(i.folder, "copy.db")
	i.backup(file).want(t, exitOK)
	i.restore("--force", file).want(t, exitOK, "nothing that was signed is missing", "what was there is")
	i.doctor("--offline").want(t, exitOK)
}

// recordedAndClosed is recorded with nobody at the database any more.
func recordedAndClosed(t *testing.T) installation {
	t.Helper()
	i := install(t)
	wanbi(t, "import", "--config", i.config, "--realm", "yichuangtong", i.file("accounts.jsonl", jsonLines)).want(t, exitOK)
	i.settle()
	return i
}

// settle does what a server would do now, and ends.
func (i installation) settle() {
	i.t.Helper()
	opened := i.open()
	for {
		taken, err := opened.Log.Step(i.t.Context())
		if err != nil {
			i.t.Fatal(err)
		}
		if taken == 0 {
			break
		}
	}
	if err := opened.Close(); err != nil {
		i.t.Fatal(err)
	}
}

// A restored server gives nothing back: codes, tokens, attempts (T14).
func TestARestoredDatabaseIsServedOnlyAfterItWasAccepted(t *testing.T) {
	i := recordedAndClosed(t)
	opened := i.open()
	theirs, err := opened.Claimant.Open(t.Context(), claimant.Caller{}, claimant.OpenRequest{
		Realm: yichuangtong, Intent: recovery.IntentResetPassword, Identifier: "13800001001",
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := opened.Claimant.View(t.Context(), claimant.Caller{}, theirs.Credentials); err != nil {
		t.Fatal(err)
	}
	if err := opened.Close(); err != nil {
		t.Fatal(err)
	}
	i.settle()
	edit(t, i, `INSERT INTO challenges (subject, case_id, id, channel, way, destination, known_device, created_at, expires_at, resend_at, consumed_at)
		SELECT subject, id, 'c1', 'sms-code', 'phone', 'd', 0, 1, 9999999999999, 1, 0 FROM cases`)
	edit(t, i, `INSERT INTO backup_codes VALUES ('a', 'h1', 1, 0), ('a', 'h2', 1, 5)`)
	edit(t, i, `INSERT INTO account_devices VALUES ('a', 'd', 'c', 1, 0)`)
	file := filepath.Join(i.folder, "copy.db")
	i.backup(file).want(t, exitOK)
	wanbi(t, "import", "--config", i.config, "--realm", "yichuangtong", i.file("more.jsonl", strings.ReplaceAll(jsonLines, "100", "200"))).want(t, exitOK)
	i.settle()

	epoch := number(t, i, `SELECT MAX(epoch) FROM accounts`)
	i.restore("--force", file).want(t, exitOK, "it will not be served as it is", "wanbi restore --accept")
	wanbi(t, "serve", "--config", i.config).want(t, exitFailure, "the database is older than the checkpoint file")
	i.doctor("--offline").want(t, exitFound, "fail  checkpoint")
	begun := time.Now()
	i.restore("--accept").want(t, exitOK, "void: 1 challenges, 1 tokens, 1 backup codes, 1 trusted devices; 2 accounts moved on", "checkpoint of 5 entries; the one of 7 is kept")
	for question, want := range map[string]int64{
		`SELECT COUNT(*) FROM challenges WHERE consumed_at = 0`:                                          0,
		`SELECT COUNT(*) FROM backup_codes WHERE consumed_at = 0`:                                        0,
		`SELECT COUNT(*) FROM account_devices WHERE revoked_at = 0`:                                      0,
		`SELECT MIN(epoch) FROM accounts`:                                                                epoch + 1,
		`SELECT COUNT(*) FROM counters WHERE minute_n < 1000000 OR hour_n < 1000000 OR day_n < 1000000`:  0,
		`SELECT COUNT(*) FROM audit_entries WHERE chain = 'installation' AND event = 'restore.accepted'`: 1,
		`SELECT COUNT(*) FROM audit_entries WHERE leaf IS NULL`:                                          0,
	} {
		if n := number(t, i, question); n != want {
			t.Errorf("%s: %d, want %d", question, n, want)
		}
	}
	if n := number(t, i, `SELECT COUNT(*) FROM counters`); n == 0 || number(t, i, `SELECT MIN(day_start) FROM counters`) < begun.UnixMilli()-1000 {
		t.Errorf("of %d counters, one begins before the restore", n)
	}
	opened = i.open()
	if _, err := opened.Claimant.View(t.Context(), claimant.Caller{}, theirs.Credentials); err == nil {
		t.Error("the token from before the restore still works")
	}
	if err := opened.Close(); err != nil {
		t.Fatal(err)
	}
	wanbi(t, "audit", "verify", "--config", i.config).want(t, exitOK, "5 entries in the log", "everything holds")
	i.restore("--accept").want(t, exitFailure, "nothing to accept")
	edit(t, i, `DELETE FROM audit_entries WHERE chain = 'installation'`)
	wanbi(t, "audit", "verify", "--config", i.config).want(t, exitFound, "the audit log does not hold")
}
