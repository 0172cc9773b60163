package metrics

import (
	"strings"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/seal"
)

func TestTheKeysOfANodeAreShownByVersionAndUse(t *testing.T) {
	text, err := seal.Generate("wanbi.test/log")
	if err != nil {
		t.Fatal(err)
	}
	if text, _, err = seal.Add(text); err != nil {
		t.Fatal(err)
	}
	keys, err := seal.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	m, remaining := New(time.Now, quiet()), int64(-1)
	if err := m.WatchKeys(keys, func() int64 { return remaining }); err != nil {
		t.Fatal(err)
	}
	before := scrape(t, m)
	want(t, before, `wanbi_key_version{use="current",version="1"} 1`, `wanbi_key_version{use="waits",version="2"} 1`)
	if strings.Contains(before, "\nwanbi_reseal_remaining ") {
		t.Error("it tells what was not counted")
	}
	if text, _, err = seal.Promote(text, time.Now()); err != nil {
		t.Fatal(err)
	}
	next, err := seal.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.Replace(next); err != nil {
		t.Fatal(err)
	}
	remaining = 7
	want(t, scrape(t, m), `wanbi_key_version{use="old",version="1"} 1`, `wanbi_key_version{use="current",version="2"} 1`, "wanbi_reseal_remaining 7")
}
