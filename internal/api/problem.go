package api

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"github.com/wanbi/wanbi/internal/i18n"
	"github.com/wanbi/wanbi/internal/recovery"
)

// Problem is an error as RFC 9457 has it.
type Problem struct {
	Type       string  `json:"type" format:"uri-reference" doc:"Where the code is explained" example:"/docs#error.code.wrong"`
	Title      string  `json:"title" doc:"What happened and what to do, in the language of Accept-Language (zh-CN or en)"`
	Status     int     `json:"status" doc:"The HTTP status"`
	Code       string  `json:"code" doc:"What happened, for programs; it never changes" example:"error.code.wrong"`
	RetryAfter int64   `json:"retry_after,omitempty" doc:"Seconds after which trying again makes sense; also in Retry-After"`
	Errors     []Fault `json:"errors,omitempty" doc:"The places that are concerned, at most 20"`
}

// Fault is one place that is wrong. What stands there is not repeated.
type Fault struct {
	Pointer   string `json:"pointer,omitempty" doc:"JSON Pointer (RFC 6901) into the body" example:"/identifier"`
	Parameter string `json:"parameter,omitempty" doc:"A path, query or header parameter" example:"Idempotency-Key"`
	Code      string `json:"code" doc:"What is wrong there" example:"error.field.missing"`
	Title     string `json:"title" doc:"The same in words"`
}

// Error gives the code, for the log.
func (p *Problem) Error() string { return p.Code }

// GetStatus is what huma asks an error for.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is what huma asks an answer for.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// maxFaults bounds the places that one problem lists.
const maxFaults = 20

// The framework's own errors carry what was sent, so each is replaced here. Its
// settings are the process's; this is the only package that uses it.
func init() {
	huma.NewError = func(status int, _ string, _ ...error) huma.StatusError {
		return problem("", &recovery.Error{Key: keyOf(status)}, status)
	}
	huma.NewErrorWithContext = fromFramework
	huma.ValidateStrictCasing = true
	huma.DefaultArrayNullable = false
}

// keyOf words a status that no door gave.
func keyOf(status int) string {
	switch status {
	case http.StatusNotFound:
		return "error.not-found"
	case http.StatusMethodNotAllowed:
		return "error.request.method"
	case http.StatusRequestEntityTooLarge:
		return "error.request.too-large"
	case http.StatusUnsupportedMediaType:
		return "error.request.type"
	case http.StatusUnprocessableEntity:
		return "error.request.fields"
	case http.StatusInternalServerError:
		return "error.internal"
	}
	return "error.request.malformed"
}

// fromFramework makes a problem of what huma found or a handler returned.
func fromFramework(ctx huma.Context, code int, message string, errs ...error) huma.StatusError {
	locale := localeOf(ctx.Header("Accept-Language"))
	var p *Problem
	var ours *recovery.Error
	switch {
	case code == http.StatusInternalServerError && message == "cannot read request body":
		p = problem(locale, &recovery.Error{Key: "error.request.malformed"}, http.StatusBadRequest)
	case len(errs) == 1 && (code == http.StatusInternalServerError || errors.As(errs[0], &ours)):
		ours = recovery.AsError(errs[0])
		report(ctx, ours)
		p = problem(locale, ours, ours.Kind.HTTPStatus())
	default:
		p = problem(locale, &recovery.Error{Key: keyOf(code)}, code)
		p.Errors = aroundOf(ctx.Context()).faults(locale, errs)
	}
	if p.RetryAfter > 0 {
		ctx.SetHeader("Retry-After", strconv.FormatInt(p.RetryAfter, 10))
	}
	if p.Status == http.StatusUnauthorized {
		ctx.SetHeader("WWW-Authenticate", "Bearer")
	}
	return p
}

// report logs what is ours to repair.
func report(ctx huma.Context, e *recovery.Error) {
	log := aroundOf(ctx.Context()).log
	switch {
	case e.Kind == recovery.KindInternal:
		log.ErrorContext(ctx.Context(), "request failed", "operation", ctx.Operation().OperationID, "err", e)
	case e.Kind == recovery.KindUnavailable && e.Cause != nil: // without a cause it only asks to wait
		log.WarnContext(ctx.Context(), "request not served", "operation", ctx.Operation().OperationID, "err", e)
	}
}

// problem words an error. A key may come without its error. prefix.
func problem(locale string, e *recovery.Error, code int) *Problem {
	key := fullKey(e.Key)
	p := &Problem{
		Type: "/docs#" + key, Title: i18n.Problem(locale, key, arguments(locale, key, e.Args), e.RetryAfter), Status: code, Code: key,
		RetryAfter: seconds(e.RetryAfter),
	}
	if e.Field != "" {
		at, ok := elsewhere[e.Field]
		if !ok {
			at = pointer(e.Field)
		}
		p.Errors = []Fault{{Pointer: at, Code: key, Title: p.Title}}
	}
	return p
}

func fullKey(key string) string {
	if !i18n.Has(key) && i18n.Has("error."+key) {
		return "error." + key
	}
	return key
}

// arguments adds what a text wants and no door knows: how identifiers are called.
func arguments(locale, key string, given map[string]any) map[string]any {
	args := map[string]any{}
	for name, value := range given {
		args[name] = value
	}
	if args["identifiers"] == nil && slices.Contains(i18n.Placeholders(key), "identifiers") {
		args["identifiers"] = identifierNames(locale, []recovery.IdentifierKind{
			recovery.IdentifierPhone, recovery.IdentifierEmail, recovery.IdentifierUsername,
		})
	}
	return args
}

func identifierNames(locale string, kinds []recovery.IdentifierKind) string {
	names := make([]string, len(kinds))
	for i, kind := range kinds {
		names[i] = i18n.T(locale, "identifier."+string(kind)+".name", nil)
	}
	return i18n.List(locale, names)
}

// seconds rounds up, so that whoever comes then is not too early.
func seconds(d time.Duration) int64 { return int64(math.Ceil(d.Seconds())) }

func localeOf(header string) string {
	if locale := i18n.Match(header); locale != "" {
		return locale
	}
	return i18n.Chinese
}

// elsewhere are the places of fields that doors call otherwise.
var elsewhere = map[string]string{
	"code": "/answer/code", "name": "/answer/name", "resident-id": "/answer/resident_id", "password": "/secret",
}

// pointer makes a JSON Pointer of a place such as accounts[3].more_phones[1].
func pointer(place string) string {
	return "/" + strings.NewReplacer(".", "/", "[", "/", "]", "").Replace(place)
}

// ours reports whether a place is made of names that the document has, and so
// repeats nothing that the sender chose.
func (a around) ours(place string) bool {
	for _, name := range strings.Split(pointer(place), "/")[1:] {
		if _, err := strconv.Atoi(name); err != nil && !a.fields[name] {
			return false
		}
	}
	return true
}

// faults words the places that the framework found. Its messages and values are
// dropped, and so is a place whose name the sender chose.
func (a around) faults(locale string, errs []error) []Fault {
	var out []Fault
	for _, err := range errs {
		var detail *huma.ErrorDetail
		if !errors.As(err, &detail) || len(out) == maxFaults {
			continue
		}
		at, code := detail.Location, "error.field.form"
		switch {
		case detail.Message == validation.MsgUnexpectedProperty:
			at, code = at[:max(strings.LastIndexByte(at, '.'), 0)], "error.field.unknown"
		case strings.HasPrefix(detail.Message, "expected required property"):
			code = "error.field.missing"
			at += "." + strings.Fields(detail.Message)[3]
		case strings.HasPrefix(detail.Message, "required "):
			code = "error.field.missing"
		}
		fault := Fault{Code: code, Title: i18n.Problem(locale, code, nil, 0)}
		place, rest, _ := strings.Cut(at, ".")
		switch {
		case place == "body" && rest != "" && a.ours(rest):
			fault.Pointer = pointer(rest)
		case place == "path" || place == "header":
			fault.Parameter = rest
		}
		if !slices.Contains(out, fault) {
			out = append(out, fault)
		}
	}
	return out
}

// writeProblem answers outside the framework.
func writeProblem(w http.ResponseWriter, r *http.Request, code int, key string) {
	p := problem(localeOf(r.Header.Get("Accept-Language")), &recovery.Error{Key: key}, code)
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(code)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(p) // the reader is gone; nobody is left to tell
}
