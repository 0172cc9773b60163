package webhook

import (
	"crypto/ed25519"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/webhook/example"
)

// What docs/events.md shows to hosts is what this runs.
func TestDocumentedExample(t *testing.T) {
	source, err := os.ReadFile("example/example.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(source), "// FromWanbi reports")
	if !strings.Contains(string(page), "```go\n// FromWanbi reports"+code+"```") {
		t.Error("docs/events.md does not show example/example.go as it is")
	}

	public := testKey.Public().(ed25519.PublicKey)
	for name, c := range map[string]struct {
		change func(r *http.Request, body *[]byte)
		now    time.Time
		ok     bool
	}{
		"genuine":       {nil, noon, true},
		"five minutes":  {nil, noon.Add(5 * time.Minute), true},
		"older":         {nil, noon.Add(5*time.Minute + time.Millisecond), false},
		"body":          {func(_ *http.Request, body *[]byte) { *body = append(*body, ' ') }, noon, false},
		"method":        {func(r *http.Request, _ *[]byte) { r.Method = "PUT" }, noon, false},
		"type":          {func(r *http.Request, _ *[]byte) { r.Header.Set("Content-Type", "text/plain") }, noon, false},
		"created":       {input("created=", "created=9"), noon, false},
		"covers less":   {input(`"@target-uri" `, ""), noon, false},
		"label":         {input("sig1=", "sig2="), noon, false},
		"nothing":       {func(r *http.Request, _ *[]byte) { r.Header = http.Header{} }, noon, false},
		"bad signature": {func(r *http.Request, _ *[]byte) { r.Header.Set("Signature", "sig1=:AAAA:") }, noon, false},
	} {
		r, body := delivered(t)
		url := "http://" + r.Host + r.URL.RequestURI()
		if c.change != nil {
			c.change(r, &body)
		}
		if example.FromWanbi(r, body, url, public, c.now) != c.ok {
			t.Errorf("%s: not %v", name, c.ok)
		}
		if example.FromWanbi(r, body, url+"x", public, c.now) {
			t.Errorf("%s: accepted for another URL", name)
		}
	}
}
