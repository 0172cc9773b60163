package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"runtime"
	"runtime/debug"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// around is what a handler knows of the request beside its fields.
type around struct {
	network netip.Addr
	log     *slog.Logger
	fields  map[string]bool // the name of every field that the document has
}

type aroundKey struct{}

func aroundOf(ctx context.Context) around {
	out, ok := ctx.Value(aroundKey{}).(around)
	if !ok {
		return around{log: slog.New(slog.DiscardHandler)}
	}
	return out
}

// guard wraps every answer: headers, what handlers need to know, and a problem
// in place of a panic. It gives no CORS header: pages of other sites may not read this.
func (s *site) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		outer := r
		defer func() { outer.Pattern = r.Pattern }() // the route, for figures and traces
		r = r.WithContext(context.WithValue(r.Context(), aroundKey{}, around{network: s.Network(r), log: s.Log, fields: s.fields}))
		answer := &watched{ResponseWriter: w}
		defer func() {
			broken := recover()
			if broken == nil {
				return
			}
			if err, ok := broken.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(broken)
			}
			s.Log.Error("a handler panicked", "path", r.Pattern, "panic", describe(broken), "stack", string(debug.Stack()))
			if answer.begun {
				panic(http.ErrAbortHandler) // half an answer must not look whole
			}
			writeProblem(w, r, http.StatusInternalServerError, "error.internal")
		}()
		for _, name := range []string{"Authorization", "Idempotency-Key", "Content-Type"} {
			if len(r.Header.Values(name)) > 1 { // nobody downstream should have to choose one (T2)
				writeProblem(answer, r, http.StatusBadRequest, "error.request.malformed")
				return
			}
		}
		next.ServeHTTP(answer, r)
	})
}

// describe names a panic without what may have been in the request (T15): only
// the runtime's own words are safe to log.
func describe(broken any) string {
	if err, ok := broken.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("a %T", broken)
}

// watched notes whether the answer has begun.
type watched struct {
	http.ResponseWriter
	begun bool
}

// WriteHeader passes on.
func (w *watched) WriteHeader(code int) {
	w.begun = true
	w.ResponseWriter.WriteHeader(code)
}

// Write passes on.
func (w *watched) Write(data []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(data)
}

// Unwrap is for http.ResponseController.
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// onlyJSON refuses bodies of another kind before they are read. A form of
// another site cannot say application/json without asking the browser first.
func (s *site) onlyJSON(ctx huma.Context, next func(huma.Context)) {
	if op := ctx.Operation(); op.RequestBody != nil {
		kind, _, err := mime.ParseMediaType(ctx.Header("Content-Type"))
		if err != nil || kind != "application/json" {
			_ = huma.WriteErr(s.api, ctx, http.StatusUnsupportedMediaType, "")
			return
		}
	}
	next(ctx)
}

// peer is the address of whoever is connected.
func peer(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap()
}

// flush sends what was written so far.
func flush(ctx huma.Context) error {
	_, w := humago.Unwrap(ctx)
	return http.NewResponseController(w).Flush()
}
