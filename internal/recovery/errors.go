package recovery

import (
	"errors"
	"fmt"
	"time"
)

// Kind is what went wrong, as far as a caller needs to know to act.
type Kind int

// The kinds of error. Each maps to one HTTP status.
const (
	KindInternal    Kind = iota // 500: ours; the text is for the log
	KindBadInput                // 422: form only, names the place
	KindNotProven               // 422: a wrong answer; cost an attempt
	KindWithheld                // 403: the truth would disclose something
	KindForbidden               // 403: not yours to do
	KindUnknown                 // 401: no such credential, or it is spent
	KindNotFound                // 404
	KindConflict                // 409: somebody else moved first
	KindGone                    // 410: expired
	KindLimited                 // 429: wait
	KindUnavailable             // 503: try again; costs no attempt
)

// Error is a kind, a message key and perhaps a time to retry. A person sees the
// key's text and nothing else; Cause is for the log and never holds an answer.
type Error struct {
	Kind       Kind
	Key        string         // key into i18n, also the problem's code in the API
	Args       map[string]any // placeholders of the text; nothing that was typed in secret
	Field      string         // the form field or JSON pointer concerned, empty for none
	RetryAfter time.Duration  // zero when waiting does not help
	Cause      error
}

// Error gives the key and the cause, for the log.
func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Key + ": " + e.Cause.Error()
	}
	return e.Key
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Because attaches the cause for the log.
func (e *Error) Because(err error) *Error { e.Cause = err; return e }

// At names the field.
func (e *Error) At(field string) *Error { e.Field = field; return e }

// With adds a placeholder of the message's text.
func (e *Error) With(name string, value any) *Error {
	if e.Args == nil {
		e.Args = map[string]any{}
	}
	e.Args[name] = value
	return e
}

// RetryIn says how long to wait.
func (e *Error) RetryIn(d time.Duration) *Error { e.RetryAfter = d; return e }

// BadInput is form-level: anyone may learn it.
func BadInput(key string) *Error { return &Error{Kind: KindBadInput, Key: key} }

// NotProven is a wrong answer; it costs an attempt.
func NotProven(key string) *Error { return &Error{Kind: KindNotProven, Key: key} }

// Withheld hides a truth that would disclose.
func Withheld(key string) *Error { return &Error{Kind: KindWithheld, Key: key} }

// Forbidden is not yours to do.
func Forbidden(key string) *Error { return &Error{Kind: KindForbidden, Key: key} }

// Unknown is a credential that does not exist or is spent.
func Unknown(key string) *Error { return &Error{Kind: KindUnknown, Key: key} }

// NotFound is a thing that is not there.
func NotFound(key string) *Error { return &Error{Kind: KindNotFound, Key: key} }

// Conflict is a lost race or a move the table does not have.
func Conflict(key string) *Error { return &Error{Kind: KindConflict, Key: key} }

// Gone is something whose time is over.
func Gone(key string) *Error { return &Error{Kind: KindGone, Key: key} }

// Limited asks to wait.
func Limited(key string, retry time.Duration) *Error {
	return &Error{Kind: KindLimited, Key: key, RetryAfter: retry}
}

// Unavailable is an outage, ours or somebody's; it costs no attempt.
func Unavailable(key string, retry time.Duration) *Error {
	return &Error{Kind: KindUnavailable, Key: key, RetryAfter: retry}
}

// Internal wraps what should not have happened.
func Internal(err error) *Error { return &Error{Kind: KindInternal, Key: "error.internal", Cause: err} }

// AsError gives the *Error inside err, or wraps it as internal; nil stays nil.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return Internal(err)
}

// IsKind reports whether err carries the kind.
func IsKind(err error, kind Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == kind
}

// String names the kind as the API and the logs do.
func (k Kind) String() string {
	names := [...]string{
		"internal", "bad-input", "not-proven", "withheld", "forbidden",
		"unknown", "not-found", "conflict", "gone", "limited", "unavailable",
	}
	if int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("kind(%d)", int(k))
}

// HTTPStatus is the one HTTP status of a kind, for pages and the API alike.
func (k Kind) HTTPStatus() int {
	switch k {
	case KindBadInput, KindNotProven:
		return 422
	case KindWithheld, KindForbidden:
		return 403
	case KindUnknown:
		return 401
	case KindNotFound:
		return 404
	case KindConflict:
		return 409
	case KindGone:
		return 410
	case KindLimited:
		return 429
	case KindUnavailable:
		return 503
	}
	return 500
}
