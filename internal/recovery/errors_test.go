package recovery

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestConstructorsGiveTheirKind(t *testing.T) {
	cause := errors.New("cause")
	for want, err := range map[Kind]*Error{
		KindBadInput: BadInput("k"), KindNotProven: NotProven("k"), KindWithheld: Withheld("k"), KindForbidden: Forbidden("k"),
		KindUnknown: Unknown("k"), KindNotFound: NotFound("k"), KindConflict: Conflict("k"), KindGone: Gone("k"),
		KindLimited: Limited("k", time.Second), KindUnavailable: Unavailable("k", time.Second), KindInternal: Internal(cause),
	} {
		if err.Kind != want || !IsKind(err, want) || err.Key == "" {
			t.Errorf("%s: %#v", want, err)
		}
		wrapped := fmt.Errorf("around: %w", err)
		if !IsKind(wrapped, want) || AsError(wrapped) != err {
			t.Errorf("%s is not found inside another error", want)
		}
		for other := KindInternal; other <= KindUnavailable; other++ {
			if other != want && IsKind(err, other) {
				t.Errorf("%s passes for %s", want, other)
			}
		}
	}
}

func TestKindsHaveOneNameEach(t *testing.T) {
	seen := map[string]Kind{}
	for k := KindInternal; k <= KindUnavailable; k++ {
		name := k.String()
		if other, ok := seen[name]; ok || strings.Contains(name, "(") {
			t.Errorf("kind %d is called %q, as %d is", int(k), name, int(other))
		}
		seen[name] = k
	}
	if got := (KindUnavailable + 1).String(); got != "kind(11)" {
		t.Errorf("a kind that does not exist is called %q", got)
	}
}

func TestAsErrorKeepsWhatItIsGiven(t *testing.T) {
	if AsError(nil) != nil {
		t.Error("no error became one")
	}
	foreign := errors.New("disk on fire")
	got := AsError(foreign)
	if got.Kind != KindInternal || got.Key != "error.internal" || !errors.Is(got, foreign) {
		t.Errorf("a foreign error became %#v", got)
	}
	if IsKind(foreign, KindInternal) || IsKind(nil, KindInternal) {
		t.Error("IsKind sees a kind where there is none")
	}
}

func TestErrorsCarryWhatTheyWereGiven(t *testing.T) {
	cause := errors.New("cause")
	err := Limited("k", time.Minute).At("field").With("n", 1).With("m", "x").RetryIn(time.Hour).Because(cause)
	if err.Field != "field" || err.Args["n"] != 1 || err.Args["m"] != "x" || err.RetryAfter != time.Hour || !errors.Is(err, cause) {
		t.Errorf("%#v", err)
	}
	if got := err.Error(); got != "k: cause" {
		t.Errorf("with a cause it reads %q", got)
	}
	if got := Gone("k").Error(); got != "k" {
		t.Errorf("without a cause it reads %q", got)
	}
}

func TestWhatIsPersonalIsNotPrinted(t *testing.T) {
	const value = "+8613800001234"
	for _, v := range []any{
		Identifier{Kind: IdentifierPhone, Value: value},
		&Identifier{Kind: IdentifierPhone, Value: value},
		Contact{Kind: ContactPhone, Value: value},
		[]Contact{{Kind: ContactPhone, Value: value}},
		map[string]Identifier{"a": {Value: value}},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if got := fmt.Sprintf(verb, v); strings.Contains(got, value) {
				t.Errorf("%s of %T prints %s", verb, v, got)
			}
		}
	}
}
