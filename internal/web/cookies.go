package web

import (
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"github.com/wanbi/wanbi/internal/claimant"
	"github.com/wanbi/wanbi/internal/recovery"
)

// Cookie names, without the __Host- prefix that binds them to this host alone.
const (
	cookieLanguage = "wanbi-lang"
	cookieText     = "wanbi-text"   // textLarger, or anything for the usual size
	cookieLink     = "wanbi-link"   // the token of an e-mailed proof, between its GET and its POST
	cookieNotice   = "wanbi-notice" // the token of a notice's link, likewise
)

func cookieCase(realm recovery.Realm) string   { return "wanbi-" + string(realm) }
func cookieDevice(realm recovery.Realm) string { return "wanbi-device-" + string(realm) }

const (
	// A held case may wait for its claimant longer than a week; the server
	// decides when it ends, the cookie only has to outlive it.
	caseCookieAge = 30 * 24 * time.Hour
	// Browsers keep no cookie longer than 400 days.
	deviceCookieAge = 400 * 24 * time.Hour
	// Long enough to read one page.
	linkCookieAge = 15 * time.Minute
)

func (v *visit) cookieName(name string) string {
	if v.Insecure {
		return name
	}
	return "__Host-" + name
}

// cookie reads one, empty when there is none.
func (v *visit) cookie(name string) string {
	cookie, err := v.r.Cookie(v.cookieName(name))
	if err != nil {
		return ""
	}
	return cookie.Value
}

func (v *visit) setCookie(name, value string, age time.Duration) {
	http.SetCookie(v.w, &http.Cookie{
		Name: v.cookieName(name), Value: value, Path: "/", MaxAge: int(age.Seconds()),
		Secure: !v.Insecure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

func (v *visit) dropCookie(name string) {
	http.SetCookie(v.w, &http.Cookie{
		Name: v.cookieName(name), Path: "/", MaxAge: -1,
		Secure: !v.Insecure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// pack joins parts into a cookie's alphabet.
func pack(parts ...string) string {
	encoded := make([]string, len(parts))
	for i, part := range parts {
		encoded[i] = base64.RawURLEncoding.EncodeToString([]byte(part))
	}
	return strings.Join(encoded, ".")
}

// unpack splits what pack joined; false for anything else.
func unpack(value string, into ...*string) bool {
	parts := strings.Split(value, ".")
	if len(parts) != len(into) {
		return false
	}
	for i, part := range parts {
		decoded, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil || len(decoded) == 0 {
			return false
		}
		*into[i] = string(decoded)
	}
	return true
}

// enterCase lets this browser act in a case.
func (v *visit) enterCase(who claimant.Credentials) {
	v.setCookie(cookieCase(v.realm), pack(who.Case, who.Token), caseCookieAge)
}

// credentials give the case that this browser acts in.
func (v *visit) credentials() (claimant.Credentials, error) {
	var who claimant.Credentials
	if !unpack(v.cookie(cookieCase(v.realm)), &who.Case, &who.Token) {
		return claimant.Credentials{}, recovery.Unknown("error.case.unknown")
	}
	return who, nil
}

// keepToken moves a token from the address into a short-lived cookie of its realm.
func (v *visit) keepToken(cookie, next string) error {
	v.setCookie(cookie, pack(string(v.realm), v.r.PathValue("token")), linkCookieAge)
	v.w.Header().Set("Referrer-Policy", "no-referrer")
	v.seeOther(v.path(next))
	return nil
}

// keptToken gives it back.
func (v *visit) keptToken(cookie string) (string, error) {
	var realm, token string
	if !unpack(v.cookie(cookie), &realm, &token) || realm != string(v.realm) {
		return "", recovery.NotFound("error.link.unknown")
	}
	return token, nil
}
