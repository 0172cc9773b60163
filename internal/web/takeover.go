package web

import (
	"net/http"

	"github.com/wanbi/wanbi/internal/identifier"
	"github.com/wanbi/wanbi/internal/recovery"
)

// showTakeover asks for a reference number: the way back into a case that was
// begun in another browser.
func (v *visit) showTakeover() error {
	return v.takeoverAt(http.StatusOK, "", nil)
}

func (v *visit) takeoverAt(code int, typed string, problem *problem) error {
	p := v.page(v.path("/takeover"), v.t("page.takeover.heading"))
	p.problem = problem
	return v.show(code, takeoverPage(p, v.t("page.takeover.lead"), typed))
}

// takeOver opens a takeover. Only the form of the number can be wrong; whether
// there is such a case is not known here (T7).
func (v *visit) takeOver() error {
	form, err := v.fields("ref")
	if err != nil {
		return err
	}
	if v.hasCase(form["ref"]) {
		return v.toCase()
	}
	opened, err := v.Claimant.TakeOver(v.r.Context(), v.caller(), v.realm, form["ref"])
	if err != nil {
		e := recovery.AsError(err)
		if e.Kind != recovery.KindBadInput {
			return e
		}
		v.note(e)
		problem := v.problem(e)
		problem.field = "ref"
		return v.takeoverAt(e.Kind.HTTPStatus(), form["ref"], problem)
	}
	v.enterCase(opened.Credentials)
	return v.toCase()
}

// hasCase reports whether this browser acts in the case already, and not only
// asks for it.
func (v *visit) hasCase(typed string) bool {
	ref, ok := identifier.ParseCaseRef(typed)
	who, err := v.credentials()
	if !ok || err != nil {
		return false
	}
	view, err := v.Claimant.View(v.r.Context(), v.caller(), who)
	return err == nil && view.Ref == ref && view.Intent != recovery.IntentTakeover
}

// lost is where a browser without a case ends up: why, and the way back by the
// reference number.
func (v *visit) lost(e *recovery.Error) error {
	p := v.page(v.path("/takeover"), v.t("page.takeover.lost"))
	return v.show(e.Kind.HTTPStatus(), takeoverPage(p, v.t("page.error.sentence", "text", v.problem(e).text), ""))
}
