// Package api is the JSON face of the doors: claimants with the token of one
// case, hosts with a scoped key, systems that report to us, and whoever watches
// over the process. It decodes, calls a door and encodes; the OpenAPI document
// and the page at /docs are made from the same types.
//
// Errors are RFC 9457 problems whose code is a message key. Nothing that was
// sent is ever sent back: not a value, not an unknown field's name (T15).
//
// Trust: everything in a request was written by a stranger until a door has
// looked at its token or key. An attacker who can write here can show false
// answers, but holds no keys and sees no evidence.
package api

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/wanbi/wanbi/internal/audit"
	"github.com/wanbi/wanbi/internal/claimant"
	"github.com/wanbi/wanbi/internal/host"
	"github.com/wanbi/wanbi/internal/inbound"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
)

// Config wires the API. Everything but Log and Network is needed.
type Config struct {
	Claimant *claimant.Door
	Host     *host.Door
	Inbound  *inbound.Door
	Audit    *audit.Log
	// Policy gives the policy in force of a realm, false when there is none.
	Policy func(recovery.Realm) (*policy.Policy, bool)
	// Network gives the caller's address for counting; nil takes the peer's.
	Network func(*http.Request) netip.Addr
	// Log gets failures of ours; nil for none.
	Log *slog.Logger
	// Ready reports whether the database answers.
	Ready func(context.Context) error
}

// version is the API's, in the first segment of its paths.
const version = "1"

// Bounds of a body, in bytes. The longest honest one is a password of a few
// hundred characters; an import brings 500 accounts.
const (
	maxBody   = 64 << 10
	maxImport = 4 << 20
)

// site is the shared state of the handlers; it does not change after Register.
type site struct {
	Config
	api        huma.API
	operations []*huma.Operation // in the order of registration
	fields     map[string]bool   // see around
}

// Register adds the API's paths to mux: everything under /v1/, and /healthz,
// /readyz, /audit/…, /openapi.json and /docs. No realm may be called v1.
func Register(mux *http.ServeMux, cfg Config) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Network == nil {
		cfg.Network = peer
	}
	s := &site{Config: cfg, fields: map[string]bool{}}
	inner := &router{}
	config := settings()
	config.OnAddOperation = append(config.OnAddOperation, func(_ *huma.OpenAPI, op *huma.Operation) {
		s.operations = append(s.operations, op)
	})
	s.api = humago.New(inner, config)
	s.api.UseMiddleware(s.onlyJSON)
	s.claimantOperations()
	s.hostOperations()
	s.hostBatchOperations()
	s.otherOperations()
	for _, schema := range s.api.OpenAPI().Components.Schemas.Map() {
		for name := range schema.Properties {
			s.fields[name] = true
		}
	}
	guarded := s.guard(inner)
	document, err := json.Marshal(s.api.OpenAPI())
	if err != nil {
		panic(err) // the types are compiled in
	}
	inner.HandleFunc("GET /openapi.json", serve("application/openapi+json", document))
	inner.HandleFunc("GET /docs", s.docs())
	inner.HandleFunc("GET /docs/style.css", serve("text/css; charset=utf-8", stylesheet))
	for _, path := range []string{
		"/v1/", "/healthz", "/readyz", "/audit/checkpoint", "/audit/key", "/openapi.json", "/docs", "/docs/style.css",
	} {
		mux.Handle(path, guarded)
	}
}

func settings() huma.Config {
	format := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: readStrictly}
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Wanbi", Version: version,
				Description: "Account recovery. Claimants act with the token of one case, hosts with a scoped API key. " +
					"Errors are RFC 9457 problems; their `code` says what happened and never changes. " +
					"Every POST may carry an `Idempotency-Key`: a repeat with the same key is the same request for 24 hours.",
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					caseToken: {Type: "http", Scheme: "bearer", Description: "The token that came with the case. It works for this case only."},
					linkToken: {Type: "http", Scheme: "bearer", Description: "The last segment of an e-mailed link's address."},
					apiKey:    {Type: "http", Scheme: "bearer", Description: "A host's API key, wk_…, for one realm and certain scopes."},
				},
			},
		},
		Formats:       map[string]huma.Format{"application/json": format, "json": format},
		DefaultFormat: "application/json",
	}
}

// The security schemes.
const (
	caseToken = "case-token"
	linkToken = "link-token"
	apiKey    = "api-key"
)

// router keeps the paths of a realm apart from the fixed ones: /v1/cases/accounts
// would match both /v1/cases/{case} and /v1/{realm}/accounts, which ServeMux
// refuses to decide. The fixed ones come first.
type router struct{ fixed, realm http.ServeMux }

// HandleFunc adds a pattern, as huma's adapter asks.
func (t *router) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	if strings.Contains(pattern, " /v1/{realm}/") {
		t.realm.HandleFunc(pattern, handler)
		return
	}
	t.fixed.HandleFunc(pattern, handler)
}

// ServeHTTP serves the first match.
func (t *router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if mux := t.match(r); mux != nil {
		mux.ServeHTTP(w, r)
		return
	}
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		other := r.Clone(r.Context())
		other.Method = method
		if t.match(other) != nil {
			allowed = append(allowed, method)
		}
	}
	if allowed == nil {
		writeProblem(w, r, http.StatusNotFound, "error.not-found")
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	writeProblem(w, r, http.StatusMethodNotAllowed, "error.request.method")
}

func (t *router) match(r *http.Request) *http.ServeMux {
	for _, mux := range []*http.ServeMux{&t.fixed, &t.realm} {
		if _, pattern := mux.Handler(r); pattern != "" {
			return mux
		}
	}
	return nil
}

// serve answers with fixed bytes.
func serve(contentType string, data []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "public, max-age=60")
		_, _ = w.Write(data) // the reader is gone; nobody is left to tell
	}
}
