package web

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/wanbi/wanbi/internal/claimant"
	"github.com/wanbi/wanbi/internal/i18n"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
)

// visit is one request and its answer.
type visit struct {
	*site
	w      http.ResponseWriter
	r      *http.Request
	now    time.Time
	locale string
	larger bool           // the person asked for larger text
	realm  recovery.Realm // empty outside realms
	policy *policy.Policy // nil outside realms
	key    string         // the Idempotency-Key of a POST, by fields
}

// pickLocale takes the language that the person chose, then the browser's, then
// the realm's.
func (v *visit) pickLocale(fallback string) string {
	if chosen := v.cookie(cookieLanguage); slices.Contains(i18n.Locales, chosen) {
		return chosen
	}
	if read := i18n.Match(v.r.Header.Get("Accept-Language")); read != "" {
		return read
	}
	if slices.Contains(i18n.Locales, fallback) {
		return fallback
	}
	return i18n.Chinese
}

// The sizes of text, as ?text= and its cookie have them.
const (
	textLarger = "larger"
	textUsual  = "usual"
)

// switchDisplay remembers ?lang= and ?text= and shows the same page again
// without them.
func (v *visit) switchDisplay() bool {
	asked := v.r.URL.Query()
	if v.r.Method != http.MethodGet || !asked.Has("lang") && !asked.Has("text") {
		return false
	}
	if chosen := asked.Get("lang"); slices.Contains(i18n.Locales, chosen) {
		v.setCookie(cookieLanguage, chosen, 365*24*time.Hour)
	}
	if chosen := asked.Get("text"); chosen == textLarger || chosen == textUsual {
		v.setCookie(cookieText, chosen, 365*24*time.Hour)
	}
	v.seeOther(v.same())
	return true
}

// same is the address of this request without its query. A path that a browser
// would read as another host, //so or /\so, is the front page's instead.
func (v *visit) same() string {
	path := v.r.URL.EscapedPath()
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.HasPrefix(path, `/\`) {
		return "/"
	}
	return path
}

// caller says where the request comes from, for the doors to count.
func (v *visit) caller() claimant.Caller {
	return claimant.Caller{
		Network: v.Network(v.r),
		Device:  v.cookie(cookieDevice(v.realm)),
		Locale:  v.locale,
		Key:     v.key,
	}
}

// path gives an address inside the realm.
func (v *visit) path(rest string) string { return "/" + string(v.realm) + rest }

// seeOther leads to a GET.
func (v *visit) seeOther(path string) {
	v.w.Header().Set("Location", path)
	v.w.WriteHeader(http.StatusSeeOther)
}

// form reads the form once; a body that is too long or unreadable is refused
// without saying what was in it (T15).
func (v *visit) form() (url.Values, error) {
	if err := v.r.ParseForm(); err != nil {
		return nil, recovery.BadInput("error.request.malformed").Because(errors.New("the form cannot be read"))
	}
	return v.r.PostForm, nil
}

// one gives the single value of a field, empty when it was not sent. Two values
// are refused: nobody downstream should have to choose one (T2).
func one(form url.Values, name string) (string, error) {
	values := form[name]
	if len(values) > 1 {
		return "", recovery.BadInput("error.request.malformed").At(name)
	}
	if len(values) == 0 {
		return "", nil
	}
	return values[0], nil
}

// fields reads several fields, each at most once, and sets the key of the POST.
func (v *visit) fields(names ...string) (map[string]string, error) {
	form, err := v.form()
	if err != nil {
		return nil, err
	}
	nonce, err := one(form, "nonce")
	if err != nil {
		return nil, err
	}
	typed := make([]string, len(names))
	out := make(map[string]string, len(names))
	for i, name := range names {
		if typed[i], err = one(form, name); err != nil {
			return nil, err
		}
		out[name] = typed[i]
	}
	v.key = fillingKey(nonce, v.r.URL.Path, typed)
	return out, nil
}

// fillingKey is the Idempotency-Key of one filling of a form: pressing twice, or
// again after the line broke, is the same request; going back and typing
// something else is another. The doors keep it as a keyed hash only.
func fillingKey(nonce, path string, typed []string) string {
	if nonce == "" {
		nonce = rand.Text() // not from our page: every press is its own
	}
	sum := sha256.New()
	for _, part := range append([]string{nonce, path}, typed...) {
		_ = binary.Write(sum, binary.BigEndian, int64(len(part))) // a hash takes everything
		_, _ = io.WriteString(sum, part)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// page starts a page of this visit. Here is the address that shows it again.
func (v *visit) page(here, heading string) *page {
	return &page{
		locale: v.locale, larger: v.larger, realm: v.realm, policy: v.policy, now: v.now, here: here, heading: heading, nonce: rand.Text(),
	}
}

// t gives a text in the visitor's language; pairs are placeholder names and values.
func (v *visit) t(key string, pairs ...any) string { return translate(v.locale, key, pairs) }

// show renders a page whole before the first byte leaves, so that a failure
// halfway is a failure and not half a page. Rendering reads nothing, so it does not
// stop at the request's deadline: the page that says so is rendered after it.
func (v *visit) show(status int, body templ.Component) error {
	var buffer bytes.Buffer
	if err := body.Render(context.WithoutCancel(v.r.Context()), &buffer); err != nil {
		return recovery.Internal(err)
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.Header().Set("Content-Language", v.locale)
	v.w.WriteHeader(status)
	_, _ = v.w.Write(buffer.Bytes()) // the reader is gone; nobody is left to tell
	return nil
}

// fail shows an error as a page of its own.
func (v *visit) fail(e *recovery.Error) {
	v.note(e)
	if e.Kind == recovery.KindUnknown && v.policy != nil && v.lost(e) == nil {
		return
	}
	p := v.page(v.same(), v.t("page.error."+e.Kind.String()+".heading"))
	if v.r.Method != http.MethodGet && v.policy != nil {
		p.here = v.path("/recover")
	}
	problem := v.problem(e)
	if e.RetryAfter > 0 {
		problem.retryAt = v.now.Add(e.RetryAfter)
	}
	inCase := v.policy != nil && v.cookie(cookieCase(v.realm)) != ""
	if err := v.show(e.Kind.HTTPStatus(), errorPage(p, problem, inCase)); err != nil {
		v.note(recovery.AsError(err))
		v.w.WriteHeader(http.StatusInternalServerError)
	}
}

// note logs what is ours and sets the header of what can be tried again.
func (v *visit) note(e *recovery.Error) {
	if e.Kind.HTTPStatus() >= http.StatusInternalServerError {
		v.Log.ErrorContext(v.r.Context(), "a page failed", "path", v.r.Pattern, "realm", v.realm, "key", e.Key, "err", e)
	}
	if e.RetryAfter > 0 {
		v.w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
}

// problem is an error as a page shows it.
type problem struct {
	text    string
	field   string // the id of the field it is about, empty for none
	retryAt time.Time
}

// problem puts an error into words.
func (v *visit) problem(e *recovery.Error) *problem {
	args := map[string]any{}
	if v.policy != nil {
		args["identifiers"] = identifierNames(v.locale, v.policy.Identifiers)
	}
	for name, value := range e.Args {
		args[name] = value
	}
	return &problem{text: i18n.Problem(v.locale, e.Key, args, e.RetryAfter), field: e.Field}
}

// identifierNames reads 手机号、邮箱或用户名.
func identifierNames(locale string, kinds []recovery.IdentifierKind) string {
	names := make([]string, len(kinds))
	for i, kind := range kinds {
		names[i] = i18n.T(locale, "identifier."+string(kind)+".name", nil)
	}
	return i18n.List(locale, names)
}
