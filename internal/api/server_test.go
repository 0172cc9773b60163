package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/channel"
	"github.com/wanbi/wanbi/internal/host"
	"github.com/wanbi/wanbi/internal/notify"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/secret"
	"github.com/wanbi/wanbi/internal/server"
	"github.com/wanbi/wanbi/internal/testkit/clock"
	"github.com/wanbi/wanbi/policies"
)

// realm is the one that most tests act in.
const realm = "yichuangtong"

// inbox keeps what was sent.
type inbox struct {
	mu   sync.Mutex
	sent []notify.Message
}

// Send keeps it.
func (b *inbox) Send(_ context.Context, m notify.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sent = append(b.sent, m)
	return nil
}

// last is the newest message to an address; it has to be there.
func (b *inbox) last(t *testing.T, to string) notify.Message {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := len(b.sent) - 1; i >= 0; i-- {
		if b.sent[i].To == to {
			return b.sent[i]
		}
	}
	t.Fatalf("nothing was sent to %s", to)
	return notify.Message{}
}

// installation is a whole server with its own database.
type installation struct {
	*testing.T
	*server.Server
	url   string
	keys  *seal.Keyring
	clock *clock.Clock
	inbox *inbox
	log   *bytes.Buffer
	// The API keys: of every scope, and of each alone.
	key string
}

func install(t *testing.T) *installation {
	t.Helper()
	text, err := seal.Generate("id.example.cn/wanbi")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	var realms []server.Realm
	for _, name := range []string{"yichuangtong.yaml", "hardened/yichuangtong.yaml"} {
		source, err := fs.ReadFile(policies.Files, name)
		if err != nil {
			t.Fatal(err)
		}
		p, err := policy.Load(name, source, channel.Catalogue())
		if err != nil {
			t.Fatal(err)
		}
		realms = append(realms, server.Realm{Policy: p})
	}
	in := &installation{
		T: t, keys: keys, inbox: &inbox{}, log: &bytes.Buffer{},
		clock: clock.New(time.Date(2026, 3, 5, 1, 0, 0, 0, time.UTC)),
	}
	in.Server, err = server.New(t.Context(), server.Options{
		Database: "sqlite:" + filepath.Join(t.TempDir(), "wanbi.db"), Migrate: true, Keys: keys, Realms: realms,
		Origin: "https://id.example.cn", Sender: in.inbox, Hash: secret.Params{Memory: 64, Time: 1, Threads: 1},
		Now: in.clock.Now, Log: slog.New(slog.NewTextHandler(in.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(in.Handler())
	t.Cleanup(func() {
		web.Close()
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	})
	in.url = web.URL
	in.key = in.mint(host.Scopes...)
	return in
}

func (in *installation) mint(scopes ...host.Scope) string {
	in.Helper()
	key, err := in.Host.MintKey(in.Context(), realm, "test", scopes)
	if err != nil {
		in.Fatal(err)
	}
	return key
}

// settle does what is due.
func (in *installation) settle() {
	in.Helper()
	if err := in.Settle(in.Context()); err != nil {
		in.Fatal(err)
	}
}

// reply is an answer read to its end.
type reply struct {
	*installation
	status int
	header http.Header
	body   string
}

// call sends a request. bearer may be empty; body is JSON text, or a value to be
// encoded, or nil; headers are name: value.
func (in *installation) call(method, path, bearer string, body any, headers ...string) reply {
	in.Helper()
	var reader io.Reader
	if body != nil {
		text, ok := body.(string)
		if !ok {
			data, err := json.Marshal(body)
			if err != nil {
				in.Fatal(err)
			}
			text = string(data)
		}
		reader = strings.NewReader(text)
	}
	r, err := http.NewRequestWithContext(in.Context(), method, in.url+path, reader)
	if err != nil {
		in.Fatal(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	r.Header.Set("Accept-Language", "en")
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	if err != nil {
		in.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		in.Fatal(err)
	}
	return reply{in, response.StatusCode, response.Header, string(data)}
}

// want checks the status and decodes the answer.
func (r reply) want(status int) map[string]any {
	r.Helper()
	if r.status != status {
		r.Fatalf("status %d, want %d: %s", r.status, status, r.body)
	}
	out := map[string]any{}
	if r.body != "" {
		if err := json.Unmarshal([]byte(r.body), &out); err != nil {
			r.Fatalf("%v: %s", err, r.body)
		}
	}
	return out
}

// problem checks that the answer is a problem with this status and code.
func (r reply) problem(status int, code string) map[string]any {
	r.Helper()
	out := r.want(status)
	if out["code"] != code || out["type"] != "/docs#"+code || out["status"] != float64(status) || out["title"] == "" {
		r.Fatalf("problem %v, want code %s", out, code)
	}
	if kind := r.header.Get("Content-Type"); kind != "application/problem+json" {
		r.Fatalf("content type %q", kind)
	}
	return out
}

// at gives what stands at a path of names and numbers such as errors.0.pointer.
func at(v any, path string) any {
	for _, name := range strings.Split(path, ".") {
		switch inside := v.(type) {
		case map[string]any:
			v = inside[name]
		case []any:
			i := int(name[0] - '0')
			if i >= len(inside) {
				return nil
			}
			v = inside[i]
		default:
			return nil
		}
	}
	return v
}

// li is the account that most tests recover.
func (in *installation) li() {
	in.Helper()
	in.accounts(map[string]any{
		"id": "u-1001", "phone": "13800001234", "email": "li@example.cn", "username": "liwei", "real_name": "李伟",
		"resident_id": "110101199003070054",
	})
}

func (in *installation) accounts(records ...map[string]any) {
	in.Helper()
	got := in.call("POST", "/v1/"+realm+"/accounts", in.key, map[string]any{"accounts": records}).want(200)
	for i := range records {
		if problem := at(got, "results."+string(rune('0'+i))+".error"); problem != nil {
			in.Fatalf("account %d: %v", i, problem)
		}
	}
}

// opened is a case under way.
type opened struct {
	*installation
	id, token, ref string
}

func (in *installation) open(intent, identifier string, headers ...string) opened {
	in.Helper()
	got := in.call("POST", "/v1/"+realm+"/cases", "", map[string]string{"intent": intent, "identifier": identifier}, headers...).want(201)
	return opened{in, got["case"].(string), got["token"].(string), got["ref"].(string)}
}

func (c opened) get() map[string]any {
	c.Helper()
	return c.call("GET", "/v1/cases/"+c.id, c.token, nil).want(200)
}

func (c opened) post(path string, body any, headers ...string) reply {
	c.Helper()
	return c.call("POST", "/v1/cases/"+c.id+path, c.token, body, headers...)
}

// start starts a channel, does what is due, and gives the challenge.
func (c opened) start(way, name string) string {
	c.Helper()
	got := c.post("/challenges", map[string]string{"way": way, "channel": name}).want(200)
	c.settle()
	return at(got, "challenge.id").(string)
}

func (c opened) answer(challenge string, answer map[string]any, headers ...string) reply {
	c.Helper()
	return c.post("/challenges/"+url.PathEscape(challenge)+"/answer", map[string]any{"answer": answer}, headers...)
}

var digits = regexp.MustCompile(`\b\d{6}\b`)

// code reads the code in the newest message to an address.
func (in *installation) code(to string) string {
	in.Helper()
	found := digits.FindString(in.inbox.last(in.T, to).Text)
	if found == "" {
		in.Fatalf("no code in %q", in.inbox.last(in.T, to).Text)
	}
	return found
}

const (
	phone    = "+8613800001234"
	password = "Jade-river7-lamp"
)
