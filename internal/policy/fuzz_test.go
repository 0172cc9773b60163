package policy

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/recovery"
)

// Load never panics and never answers anything but Errors; what loads has no
// unaccepted weakness, decides and explains without panic, and never meets a
// way without all of its proofs.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/*.yaml", "../../policies/*.yaml", "../../policies/hardened/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatal(pattern, err)
		}
		for _, file := range files {
			f.Add(readFile(f, file))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Load("fuzz.yaml", text, catalogue)
		if err != nil {
			var problems Errors
			if !errors.As(err, &problems) || len(problems) == 0 || !strings.HasPrefix(err.Error(), "fuzz.yaml:") {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		for _, finding := range p.Check() {
			if finding.Level == LevelWeak && finding.Accepted == "" {
				t.Fatalf("loads with %+v", finding)
			}
		}
		for _, intent := range recovery.Intents {
			for _, proven := range [][]recovery.Evidence{nil, proved("sms-code"), proved("sms-code", "email-code", "backup-code", "real-name")} {
				decideAndLook(t, p, Facts{Intent: intent, IdentifierKind: recovery.IdentifierPhone, Proven: proven, Now: noon})
				decideAndLook(t, p, Facts{
					Intent: intent, Proven: proven, Now: noon, KnownDevice: true, UnderAttack: true,
					ContactChangedAt: noon.Add(-time.Hour), Locks: recovery.LockReasons,
				})
			}
		}
	})
}

func decideAndLook(t *testing.T, p *Policy, f Facts) {
	d := p.Decide(f)
	if d.Hold < 0 || d.Met && len(f.Proven) == 0 {
		t.Fatalf("%+v for %+v", d, f)
	}
	for _, state := range d.Ways {
		if state.Met != (len(state.Missing) == 0) {
			t.Fatalf("met %v, missing %v", state.Met, state.Missing)
		}
	}
	if len(Explain(p, f)) == 0 {
		t.Fatal("nothing to explain")
	}
}
