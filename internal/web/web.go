// Package web is the pages of self-service: HTML rendered here, one thing per
// page, over the doors of the claimant and the guest. It works without
// JavaScript and decides nothing: each page shows what a door said.
//
// GET shows, POST acts and leads back to a GET; a token leaves the address at
// once; what was typed as an answer is never shown again.
//
// Trust: everything in a request was written by a stranger, cookies included.
// An attacker who can write here can show false words to a claimant, but holds
// no keys and sees no evidence.
package web

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/wanbi/wanbi/internal/claimant"
	"github.com/wanbi/wanbi/internal/guest"
	"github.com/wanbi/wanbi/internal/i18n"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
)

// maxBody bounds a form, in bytes. The longest honest one is a password of a
// few hundred characters.
const maxBody = 64 << 10

// Config wires the pages. Everything but Log, Network and Insecure is needed.
type Config struct {
	Claimant *claimant.Door
	Guest    *guest.Door
	// Realm gives the policy in force of a realm, false when there is none.
	Realm func(recovery.Realm) (*policy.Policy, bool)
	// Realms lists the realms of the front page, in its order.
	Realms func() []recovery.Realm
	Now    func() time.Time
	// Log gets failures of ours; nil for none.
	Log *slog.Logger
	// Network gives the caller's address for counting; nil takes the peer's.
	Network func(*http.Request) netip.Addr
	// Insecure sends cookies without Secure and the __Host- prefix, for plain
	// http elsewhere than on a loopback address. Never in production.
	Insecure bool
}

// site is the handler's shared state; it does not change after New.
type site struct {
	Config
}

func newSite(cfg Config) *site {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Network == nil {
		cfg.Network = peer
	}
	return &site{Config: cfg}
}

// New gives the pages as one handler for the root of a host. Realm slugs are
// the first segment of a path, so no realm may be called assets.
func New(cfg Config) http.Handler {
	s := newSite(cfg)

	inner := http.NewServeMux()
	for pattern, handle := range map[string]func(*visit) error{
		"GET /{realm}":      (*visit).toStart,
		"GET /{realm}/{$}":  (*visit).toStart,
		"GET /{realm}/help": (*visit).showHelp, "GET /{realm}/safety": (*visit).showSafety,
		"GET /{realm}/.well-known/change-password": (*visit).toStart,

		"GET /{realm}/recover":           (*visit).showStart,
		"GET /{realm}/recover/{intent}":  (*visit).showFind,
		"POST /{realm}/recover/{intent}": (*visit).openCase,

		"GET /{realm}/takeover":  (*visit).showTakeover,
		"POST /{realm}/takeover": (*visit).takeOver,

		"GET /{realm}/case":            (*visit).showCase,
		"GET /{realm}/case/ways":       (*visit).showWays,
		"GET /{realm}/case/cancel":     (*visit).showCancel,
		"GET /{realm}/case/{rest...}":  (*visit).toCase,
		"POST /{realm}/case/challenge": (*visit).startChallenge,
		"POST /{realm}/case/answer":    (*visit).answer,
		"POST /{realm}/case/choose":    (*visit).choose,
		"POST /{realm}/case/outcome":   (*visit).takeOutcome,
		"POST /{realm}/case/cancel":    (*visit).cancelCase,

		"GET /{realm}/link":         (*visit).showLink,
		"POST /{realm}/link":        (*visit).confirmLink,
		"GET /{realm}/link/{token}": (*visit).takeLinkToken,

		"GET /{realm}/cancel":         (*visit).showNotice,
		"POST /{realm}/cancel":        (*visit).actOnNotice,
		"GET /{realm}/cancel/kept":    (*visit).showKept,
		"GET /{realm}/cancel/{token}": (*visit).takeNoticeToken,
	} {
		inner.HandleFunc(pattern, s.inRealm(handle))
	}
	inner.HandleFunc("/", s.anywhere(func(*visit) error { return recovery.NotFound("error.not-found") }))

	outer := http.NewServeMux()
	outer.HandleFunc("GET /{$}", s.anywhere((*visit).showFront))
	outer.HandleFunc("GET /.well-known/change-password", s.anywhere((*visit).toOnlyRealm))
	outer.HandleFunc("GET /favicon.svg", serveAsset("favicon.svg"))
	outer.HandleFunc("GET /assets/{file}", serveHashed)
	outer.HandleFunc("GET /assets/realm/{file}", s.serveOfRealm)
	outer.Handle("/", inner)

	return s.guard(outer)
}

// guard wraps every answer: headers, the cross-origin check, the bound on
// bodies, and a page in place of a panic.
func (s *site) guard(next http.Handler) http.Handler {
	csrf := http.NewCrossOriginProtection()
	csrf.SetDenyHandler(s.anywhere(func(*visit) error { return recovery.Forbidden("error.csrf") }))
	checked := csrf.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setHeaders(w.Header())
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		defer func() {
			broken := recover()
			if broken == nil {
				return
			}
			if err, ok := broken.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(broken)
			}
			s.Log.Error("a page panicked", "path", r.Pattern, "panic", fmt.Sprint(broken), "stack", string(debug.Stack()))
			s.anywhere(func(*visit) error { return recovery.Internal(errors.New("panic")) })(w, r)
		}()
		checked.ServeHTTP(w, r)
	})
}

// setHeaders sets what every answer carries. Same-origin referrers, not none:
// without one, browsers send Origin null and the cross-origin check has less to
// go by; no page has a token in its address anyway.
func setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; "+
		"connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=(), display-capture=()")
	h.Set("Cache-Control", "no-store")
}

// peer is the address of whoever is connected.
func peer(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap()
}

// inRealm handles a request under /{realm}/.
func (s *site) inRealm(handle func(*visit) error) http.HandlerFunc {
	return s.anywhere(func(v *visit) error {
		realm := recovery.Realm(v.r.PathValue("realm"))
		inForce, ok := s.Realm(realm)
		if !ok {
			return recovery.NotFound("error.realm.unknown")
		}
		v.realm, v.policy = realm, inForce
		v.locale = v.pickLocale(inForce.Realm.Locale)
		return handle(v)
	})
}

// anywhere handles a request that may have no realm.
func (s *site) anywhere(handle func(*visit) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := &visit{site: s, w: w, r: r, now: s.Now()}
		v.locale = v.pickLocale(i18n.Chinese)
		v.larger = v.cookie(cookieText) == textLarger
		if v.switchDisplay() {
			return
		}
		if err := handle(v); err != nil {
			v.fail(recovery.AsError(err))
		}
	}
}
