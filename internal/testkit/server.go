// Package testkit runs a whole server for tests: real storage on either engine,
// real HTTP over TLS, a clock that stands still until it is moved, and every
// message kept.
//
// Test-only. Jobs run when a request has been answered and when the clock moves,
// one after another, so that a test never waits and never races.
package testkit

import (
	"context"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/channel"
	"github.com/wanbi/wanbi/internal/demo"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/secret"
	"github.com/wanbi/wanbi/internal/server"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/testkit/clock"
	"github.com/wanbi/wanbi/internal/testkit/fixture"
	"github.com/wanbi/wanbi/policies"
)

// Engines are the database systems that stories run on.
var Engines = fixture.Engines

// Began is when every test's clock starts: 1 March 2026, 09:00 in Beijing.
var Began = fixture.Began

// CheapHash makes Argon2id cost next to nothing, for tests that are not about hashing.
var CheapHash = secret.Params{Memory: 64, Time: 1, Threads: 1}

// Server is a running server under test.
type Server struct {
	*server.Server
	T       testing.TB
	Clock   *clock.Clock
	Inbox   *demo.Inbox
	Keys    *seal.Keyring
	HTTP    *httptest.Server
	Options server.Options
}

// Start runs a server with the named policies, such as "yichuangtong" or
// "hardened/postal-wallet". change, when given, may alter the options.
func Start(t testing.TB, engine store.Engine, names []string, change ...func(*server.Options)) *Server {
	t.Helper()
	s := &Server{T: t, Clock: clock.New(Began), Inbox: demo.NewInbox(), Keys: fixture.Keys(t)}
	s.Inbox.Now = s.Clock.Now
	s.HTTP = httptest.NewUnstartedServer(nil)
	s.HTTP.StartTLS()
	t.Cleanup(s.HTTP.Close)
	s.Options = server.Options{
		Database: fixture.Database(t, engine), Keys: s.Keys, Origin: s.HTTP.URL, Sender: s.Inbox,
		Checkpoint: filepath.Join(t.TempDir(), "checkpoint"), Hash: CheapHash, Now: s.Clock.Now,
		AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Log:          slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	for _, name := range names {
		s.Options.Realms = append(s.Options.Realms, server.Realm{Policy: fixture.Policy(t, name)})
	}
	for _, f := range change {
		f(&s.Options)
	}
	s.open()
	t.Cleanup(func() {
		if s.Server != nil {
			_ = s.Server.Close()
		}
	})
	return s
}

func (s *Server) open() {
	s.T.Helper()
	opened, err := server.New(context.Background(), s.Options)
	if err != nil {
		s.T.Fatal(err)
	}
	s.Server = opened
	s.HTTP.Config.Handler = opened.Handler()
}

// Restart closes the server and opens it anew on the same database.
func (s *Server) Restart() {
	s.T.Helper()
	if err := s.Close(); err != nil {
		s.T.Fatal(err)
	}
	s.open()
}

// Advance moves the clock and does what became due.
func (s *Server) Advance(d time.Duration) error {
	s.Clock.Advance(d)
	return s.Settle(context.Background())
}

// Transport speaks to the server and lets it settle after every answer.
func (s *Server) Transport() http.RoundTripper { return settling{s} }

type settling struct{ s *Server }

// RoundTrip answers a request and then does what it brought.
func (t settling) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.s.HTTP.Client().Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	return response, t.s.Settle(context.Background())
}

// PolicyWith loads a shipped policy with pieces of its text replaced, old and
// new by turns. A piece that is not there fails the test.
func PolicyWith(t testing.TB, name string, replace ...string) *policy.Policy {
	t.Helper()
	raw, err := fs.ReadFile(policies.Files, name+".yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for i := 0; i+1 < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			t.Fatalf("policy %s has no %q", name, replace[i])
		}
		text = strings.Replace(text, replace[i], replace[i+1], 1)
	}
	return LoadPolicy(t, name, text)
}

// LoadPolicy loads a policy's text.
func LoadPolicy(t testing.TB, name, text string) *policy.Policy {
	t.Helper()
	p, err := policy.Load(name, []byte(text), channel.Catalogue())
	if err != nil {
		t.Fatal(err)
	}
	return p
}
