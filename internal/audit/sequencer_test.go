package audit_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/audit"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/testkit/fixture"
)

func TestTheLogTakesEveryEntryOnce(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		k := fixture.New(t, engine)
		if taken, err := k.Log.Step(t.Context()); taken != 0 || err != nil {
			t.Errorf("with nothing to do: %d, %v", taken, err)
		}
		history(t, k)
		taken, err := k.Log.Step(t.Context())
		if err != nil || taken != 1 {
			t.Errorf("took %d, %v", taken, err)
		}
		report := verify(t, k.Log)
		if len(report.Problems) > 0 || report.Pending != 0 || report.Chains != 4 {
			t.Errorf("%+v", report)
		}
		head, high, err := k.Log.Head(t.Context())
		if err != nil || head.Size != report.Leaves || !high.Equal(k.Clock.Now()) {
			t.Errorf("head %d at %s, %v", head.Size, high, err)
		}
		opened, err := audit.OpenCheckpoint(head.Note, k.Keys.LogVerifier())
		if err != nil || opened.Root != head.Root || !strings.HasPrefix(head.Note, "wanbi.test/log\n") {
			t.Errorf("the checkpoint %q opens as %+v, %v", head.Note, opened, err)
		}
	})
}

// A clock that stepped back does not lower the highest time recorded.
func TestTheHighestTimeNeverFalls(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		k := fixture.New(t, engine)
		imported(t, k, "a")
		step(t, k.Log)
		k.Clock.Set(fixture.Began.Add(-time.Hour))
		imported(t, k, "b")
		step(t, k.Log)
		if _, high, err := k.Log.Head(t.Context()); err != nil || !high.Equal(fixture.Began) {
			t.Errorf("it is %s, %v", high, err)
		}
		k.Verified(t)
	})
}

func TestTwoSequencersTakeTurns(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		k := fixture.New(t, engine)
		other := &audit.Log{DB: fixture.Open(t, k.DSN), Keys: k.Keys, Now: k.Clock.Now}
		const rounds = 30
		var all sync.WaitGroup
		for _, l := range []*audit.Log{k.Log, other} {
			all.Go(func() {
				for range rounds {
					if _, err := l.Step(context.Background()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for i := range rounds {
			imported(t, k, fmt.Sprint(i))
		}
		all.Wait()
		k.Verified(t)
		if report := verify(t, k.Log); report.Leaves != rounds {
			t.Errorf("%d entries are in the log, want %d", report.Leaves, rounds)
		}
	})
}

func TestALogThatDoesNotAgreeIsNotSigned(t *testing.T) {
	const broke = "the log signed it"
	cases := map[string][]string{
		"a hash of the tree changed":       {"UPDATE log_hashes SET hash = (SELECT hash FROM log_hashes WHERE idx = 1) WHERE idx = 2"},
		"a hash of the tree is gone":       {"DELETE FROM log_hashes WHERE idx = (SELECT MAX(idx) FROM log_hashes)"},
		"the size is smaller":              {"UPDATE log_head SET size = size - 1"},
		"the size is larger":               {"UPDATE log_head SET size = size + 1"},
		"the checkpoint is gone":           {"UPDATE log_head SET checkpoint = ''"},
		"the head says that it is empty":   {"UPDATE log_head SET size = 0, checkpoint = ''"},
		"everything in the log is deleted": {"UPDATE log_head SET size = 0, checkpoint = ''", "DELETE FROM log_leaves", "DELETE FROM log_hashes", "UPDATE audit_entries SET leaf = NULL"},
	}
	for name, statements := range cases {
		fixture.Each(t, func(t *testing.T, engine store.Engine) {
			k := fixture.New(t, engine)
			imported(t, k, "a", "b") // two leaves: the tree's edge is its third hash
			step(t, k.Log)
			raw := fixture.Raw(t, k.DSN)
			for _, s := range statements {
				if _, err := raw.ExecContext(t.Context(), s); err != nil {
					t.Fatal(err)
				}
			}
			imported(t, k, "c")
			before := intruder{t, raw}.read("log_head")[0]
			taken, err := k.Log.Step(t.Context())
			if err == nil || taken != 0 {
				t.Errorf("%s: %s", name, broke)
			}
			if recovery.IsKind(err, recovery.KindUnavailable) {
				t.Errorf("%s: %v would pass for an outage that heals by itself", name, err)
			}
			if after := (intruder{t, raw}.read("log_head")[0]); fmt.Sprint(after) != fmt.Sprint(before) {
				t.Errorf("%s: the head moved from %v to %v", name, before, after)
			}
		})
	}
}

// Somebody who writes the database puts the log back to an earlier checkpoint of
// its own. The process that signed a later one knows better.
func TestAHistoryThatWasSignedIsNotReplaced(t *testing.T) {
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		k := fixture.New(t, engine)
		imported(t, k, "a")
		step(t, k.Log)
		raw := fixture.Raw(t, k.DSN)
		old := intruder{t, raw}.read("log_head")[0]
		hashes := len(intruder{t, raw}.read("log_hashes"))
		imported(t, k, "b")
		step(t, k.Log)
		for _, s := range []string{
			"DELETE FROM log_leaves WHERE leaf >= 1", fmt.Sprintf("DELETE FROM log_hashes WHERE idx >= %d", hashes),
			"UPDATE audit_entries SET leaf = NULL WHERE leaf >= 1",
		} {
			if _, err := raw.ExecContext(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := raw.ExecContext(t.Context(), "UPDATE log_head SET size = $1, checkpoint = $2, high_water = $3", old["size"], old["checkpoint"], old["high_water"]); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Log.Step(t.Context()); err == nil || !strings.Contains(err.Error(), "refusing") {
			t.Errorf("a log that was put back was signed on: %v", err)
		}
		// Who never knew the later checkpoint cannot tell, and signs another history:
		// the first refuses that, too.
		other := &audit.Log{DB: k.DB, Keys: k.Keys, Now: k.Clock.Now}
		if _, err := raw.ExecContext(t.Context(), "DELETE FROM audit_entries WHERE leaf IS NULL"); err != nil {
			t.Fatal(err)
		}
		imported(t, k, "c", "d")
		step(t, other)
		imported(t, k, "e")
		if _, err := k.Log.Step(t.Context()); err == nil || !strings.Contains(err.Error(), "another history") {
			t.Errorf("another history was signed on: %v", err)
		}
	})
}

func TestTheDatabaseIsComparedWithTheFile(t *testing.T) { // T14
	fixture.Each(t, func(t *testing.T, engine store.Engine) {
		ctx := t.Context()
		file := filepath.Join(t.TempDir(), "checkpoint")
		k := fixture.New(t, engine)
		k.Log.File = file
		if err := k.Log.CheckEpoch(ctx); err != nil {
			t.Errorf("without a file, as at the first start: %v", err)
		}
		imported(t, k, "a", "b")
		step(t, k.Log)
		if err := k.Log.CheckEpoch(ctx); err != nil {
			t.Errorf("the same database: %v", err)
		}
		outside, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		head, _, err := k.Log.Head(ctx)
		if err != nil || string(outside) != head.Note {
			t.Errorf("the file holds %q, %v", outside, err)
		}

		older := fixture.New(t, engine)
		older.Log.File = file
		if err := older.Log.CheckEpoch(ctx); err == nil || !strings.Contains(err.Error(), "older") {
			t.Errorf("an empty database: %v", err)
		}
		imported(t, older, "a")
		older.Log.File = ""
		step(t, older.Log)
		older.Log.File = file
		if err := older.Log.CheckEpoch(ctx); err == nil || !strings.Contains(err.Error(), "older") {
			t.Errorf("a database one entry behind: %v", err)
		}
		imported(t, older, "b", "c")
		older.Log.File = ""
		step(t, older.Log)
		older.Log.File = file
		if err := older.Log.CheckEpoch(ctx); err == nil || !strings.Contains(err.Error(), "another history") {
			t.Errorf("a database of another history: %v", err)
		}

		k.Log.File = "" // the file lags, as after a crash between commit and file
		imported(t, k, "c")
		step(t, k.Log)
		k.Log.File = file
		if err := k.Log.CheckEpoch(ctx); err != nil {
			t.Errorf("a database ahead of the file: %v", err)
		}
		for what, text := range map[string]string{"cut": string(outside[:20]), "empty": "", "of another log": otherCheckpoint(t)} {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := k.Log.CheckEpoch(ctx); err == nil {
				t.Errorf("with a file that is %s it serves", what)
			}
		}
	})
}

// otherCheckpoint is signed by somebody else.
func otherCheckpoint(t *testing.T) string {
	t.Helper()
	text, err := seal.Generate("wanbi.test/log")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	k := fixture.New(t, store.SQLite)
	k.Rekey(keys)
	imported(t, k, "a", "b")
	step(t, k.Log)
	head, _, err := k.Log.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return head.Note
}

// A database that was copied, then went on, then was put back: the file knows.
func TestARestoredCopyIsRefused(t *testing.T) { // T14
	k := fixture.New(t, store.SQLite)
	k.Log.File = filepath.Join(t.TempDir(), "checkpoint")
	imported(t, k, "a")
	step(t, k.Log)
	backup := filepath.Join(t.TempDir(), "backup.db")
	if _, err := fixture.Raw(t, k.DSN).ExecContext(t.Context(), "VACUUM INTO $1", backup); err != nil {
		t.Fatal(err)
	}
	restored := fixture.On(t, "sqlite:"+backup)
	restored.Log.File = k.Log.File
	if err := restored.Log.CheckEpoch(t.Context()); err != nil {
		t.Errorf("a copy that is not older: %v", err)
	}
	imported(t, k, "b")
	step(t, k.Log)
	if err := restored.Log.CheckEpoch(t.Context()); err == nil || !strings.Contains(err.Error(), "older") {
		t.Errorf("a copy that is one entry older: %v", err)
	}
}

func TestACheckpointIsReadStrictly(t *testing.T) {
	k := fixture.New(t, store.SQLite)
	imported(t, k, "a")
	step(t, k.Log)
	head, _, err := k.Log.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key := k.Keys.LogVerifier()
	for what, text := range map[string]string{
		"another size": strings.Replace(head.Note, "\n1\n", "\n2\n", 1), "another origin": "x" + head.Note, "no signature": strings.Split(head.Note, "\n\n")[0],
	} {
		if _, err := audit.OpenCheckpoint(text, key); err == nil {
			t.Errorf("%s opens", what)
		}
	}
	if _, err := audit.OpenCheckpoint(head.Note, "no key"); err == nil {
		t.Error("it opens without a key")
	}
}
