package seal

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/seal/sealtest"
)

func parsed(t testing.TB, text []byte) *Keyring {
	t.Helper()
	k, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func added(t testing.TB, text []byte) []byte {
	t.Helper()
	out, _, err := Add(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func promoted(t testing.TB, text []byte) []byte {
	t.Helper()
	out, _, err := Promote(text, noon)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// made is everything that a keyring makes with keys that can be replaced.
type made struct {
	sealed  []byte
	idx     string
	mac, id string
	pepper  string
}

func makes(t testing.TB, k *Keyring) made {
	t.Helper()
	sealed, err := k.Seal(here, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	id, err := k.SealID("case", subjectText, idText, nil)
	if err != nil {
		t.Fatal(err)
	}
	return made{sealed, k.Index("r", "phone", "v")[0], k.Mac("code", "a"), id, k.CurrentPepper()}
}

// unread says which parts of m a keyring cannot read.
func (m made) unread(k *Keyring) (parts []string) {
	if _, err := k.Open(here, m.sealed); err != nil {
		parts = append(parts, "seal")
	}
	found := false
	for _, idx := range k.Index("r", "phone", "v") {
		found = found || idx == m.idx
	}
	if !found {
		parts = append(parts, "index")
	}
	if !k.MacEqual(m.mac, "code", "a") {
		parts = append(parts, "mac")
	}
	if _, err := k.Pepper(m.pepper, nil); err != nil {
		parts = append(parts, "pepper")
	}
	if _, ok := k.OpenID("case", m.id); !ok {
		parts = append(parts, "ids")
	}
	return parts
}

// The point of two steps: whichever of two neighbouring files a node has, it
// reads what a node with the other one writes.
func TestNodesReadEachOtherAtEveryStepOfARotation(t *testing.T) {
	first := generate(t)
	second := added(t, first)
	third := promoted(t, second)
	fourth := added(t, third)
	files := [][]byte{first, second, third, fourth, promoted(t, fourth)}
	for i := range len(files) - 1 {
		a, b := parsed(t, files[i]), parsed(t, files[i+1])
		if parts := makes(t, a).unread(b); parts != nil {
			t.Errorf("after step %d: what the node before wrote is not read: %v", i+1, parts)
		}
		if parts := makes(t, b).unread(a); parts != nil {
			t.Errorf("after step %d: a node that lacks it does not read: %v", i+1, parts)
		}
	}
	if parts := makes(t, parsed(t, third)).unread(parsed(t, first)); len(parts) != 5 {
		t.Errorf("a node that missed the first step reads what the second made; only %v differ", parts)
	}
}

func TestVersionsAreNumberedAndSayWhatTheyAreFor(t *testing.T) {
	text := promoted(t, added(t, generate(t)))
	text = added(t, text)
	got := parsed(t, text).Versions()
	if len(got) != 3 || got[0].Version != 1 || got[1].Version != 2 || got[2].Version != 3 {
		t.Fatalf("versions %+v", got)
	}
	if len(got[0].Old) != 4 || len(got[1].Current) != 4 || len(got[2].Waiting) != 4 {
		t.Errorf("used so: %+v", got)
	}
	if !got[0].Since.IsZero() || !got[1].Since.Equal(noon) || !got[2].Since.IsZero() {
		t.Errorf("used since %v, %v, %v", got[0].Since, got[1].Since, got[2].Since)
	}
	k := parsed(t, text)
	if k.Current("seal") != 2 || len(k.Older("index")) != 1 || k.Older("index")[0] != 1 {
		t.Errorf("current %v, older %v", k.Current("seal"), k.Older("index"))
	}
	m := makes(t, k)
	sealed, idx, mac, pepper := Version(2).Prefixes()
	if !bytes.HasPrefix(m.sealed, sealed) || !strings.HasPrefix(m.idx, idx) || !strings.HasPrefix(m.mac, mac) || m.pepper != pepper {
		t.Error("what version 2 made does not begin as it says")
	}
}

func TestAFileIsChangedOnlyInWaysThatWork(t *testing.T) {
	first := generate(t)
	if _, _, err := Promote(first, noon); err == nil {
		t.Error("promoted what was not added")
	}
	second := added(t, first)
	if _, _, err := Add(second); err == nil || !strings.Contains(err.Error(), "promote") {
		t.Errorf("added a second that waits: %v", err)
	}
	third := promoted(t, second)
	for name, v := range map[string]Version{"the current": 2, "one that is not there": 9} {
		if _, err := Retire(third, v, Parts); err == nil {
			t.Errorf("retired %s", name)
		}
	}
	if _, err := Retire(second, 2, Parts); err == nil {
		t.Error("retired what waits")
	}
	full := third
	for range MaxVersions - 2 {
		full = promoted(t, added(t, full))
	}
	if _, _, err := Add(full); err == nil || !strings.Contains(err.Error(), "retire version 1 first") {
		t.Errorf("added a version too many: %v", err)
	}
	part, err := Retire(third, 1, []string{"seal", "index"})
	if err != nil {
		t.Fatal(err)
	}
	if parts := makes(t, parsed(t, first)).unread(parsed(t, part)); len(parts) != 2 || parts[0] != "seal" || parts[1] != "index" {
		t.Errorf("retired: %v", parts)
	}
	whole, err := Retire(part, 1, Parts)
	if err != nil {
		t.Fatal(err)
	}
	if got := parsed(t, whole).Versions(); len(got) != 1 || got[0].Version != 2 {
		t.Errorf("left: %+v", got)
	}
	if _, v, err := Add(whole); err != nil || v != 3 {
		t.Errorf("the next version is %v, %v: a number is never given twice", v, err)
	}
}

func TestAFileFromBeforeVersionsWereNumberedRotates(t *testing.T) {
	text, err := sealtest.Rotate(generate(t), "seal", "hash") // numbers by chance, another for each part
	if err != nil {
		t.Fatal(err)
	}
	before := makes(t, parsed(t, text))
	after := promoted(t, added(t, text))
	if parts := before.unread(parsed(t, after)); parts != nil {
		t.Errorf("not read any more: %v", parts)
	}
}

func TestReplaceTakesUpAChangedFileOrNothing(t *testing.T) {
	first := generate(t)
	second := added(t, first)
	third := promoted(t, second)
	twice := promoted(t, added(t, first))
	lacks, err := Retire(third, 1, Parts)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		from, to []byte
		want     string
	}{
		"another installation":      {first, generate(t), "another installation"},
		"without what is in use":    {first, lacks, "lacks version 1"},
		"rotated on two machines":   {third, twice, "on two machines"},
		"an old file after the new": {third, first, "lacks version 2"},
	} {
		k := parsed(t, c.from)
		m := makes(t, k)
		if err := k.Replace(parsed(t, c.to)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if parts := m.unread(k); parts != nil || k.Current("seal") != parsed(t, c.from).Current("seal") {
			t.Errorf("%s: it was refused and something changed: %v", name, parts)
		}
	}
	k := parsed(t, first)
	for _, next := range [][]byte{second, third, lacks} {
		if err := k.Replace(parsed(t, next)); err != nil {
			t.Fatal(err)
		}
	}
	if k.Current("seal") != 2 || len(k.Older("seal")) != 0 {
		t.Errorf("versions %+v", k.Versions())
	}
}

// Whatever happens between two calls, one call uses one file's keys, and what
// was made before is read after.
func TestAKeyringIsReplacedWhileItIsUsed(t *testing.T) {
	text := generate(t)
	k := parsed(t, text)
	done := make(chan struct{})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for {
				m := makes(t, k)
				if parts := m.unread(k); parts != nil {
					t.Errorf("not read: %v", parts)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for range MaxVersions - 1 {
		for _, step := range []func(testing.TB, []byte) []byte{added, promoted} {
			text = step(t, text)
			if err := k.Replace(parsed(t, text)); err != nil {
				t.Error(err)
			}
		}
	}
	close(done)
	all.Wait()
	if k.Current("ids") != MaxVersions {
		t.Errorf("versions %+v", k.Versions())
	}
}
