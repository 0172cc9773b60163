package web

import (
	"net/http"

	"github.com/wanbi/wanbi/internal/claimant"
	"github.com/wanbi/wanbi/internal/recovery"
)

// view reads the case of this browser.
func (v *visit) view() (claimant.CaseView, error) {
	who, err := v.credentials()
	if err != nil {
		return claimant.CaseView{}, err
	}
	view, err := v.Claimant.View(v.r.Context(), v.caller(), who)
	if err == nil && view.Moved != nil { // the answer that said so was lost
		v.enterCase(view.Moved.Credentials)
		return v.Claimant.View(v.r.Context(), v.caller(), view.Moved.Credentials)
	}
	if err == nil && view.Intent == recovery.IntentTakeover && view.State.Closed() {
		err = recovery.Unknown("error.takeover.over")
	}
	if recovery.IsKind(err, recovery.KindUnknown) {
		v.dropCookie(cookieCase(v.realm))
	}
	return view, err
}

func (v *visit) showCase() error {
	view, err := v.view()
	if err != nil {
		return err
	}
	return v.caseAt(http.StatusOK, view, nil)
}

// showWays is "try another way" while a challenge is live.
func (v *visit) showWays() error {
	view, err := v.view()
	if err != nil {
		return err
	}
	if view.Step != claimant.StepProve {
		return v.toCase()
	}
	return v.waysOf(view)
}

func (v *visit) waysOf(view claimant.CaseView) error {
	c := newCasePage(v, view)
	c.step = claimant.StepWays
	c.here, c.heading = v.path("/case/ways"), c.headingOf()
	return v.show(http.StatusOK, casePageOf(c))
}

func (v *visit) toCase() error {
	v.seeOther(v.path("/case"))
	return nil
}

func (v *visit) caseAt(code int, view claimant.CaseView, problem *problem) error {
	c := newCasePage(v, view)
	if problem != nil {
		problem.field = c.fieldFor(problem.field)
		c.problem = problem
	}
	return v.show(code, casePageOf(c))
}

// again shows the case as it stands now with what went wrong on top. Outages,
// limits and lost cases are pages of their own.
func (v *visit) again(err error) error {
	e := recovery.AsError(err)
	switch e.Kind {
	case recovery.KindInternal, recovery.KindUnknown, recovery.KindLimited:
		return e
	case recovery.KindUnavailable:
		if e.Key != "error.answer.preparing" { // this one passes while the page is read
			return e
		}
	}
	view, viewErr := v.view()
	if viewErr != nil {
		return viewErr
	}
	if (e.Key == "error.code.expired" || e.Key == "error.challenge.unknown") && view.Challenge == nil {
		// It was answered right already, in another tab, before a reply was lost, or
		// in the takeover that brought the case here: nothing else leaves no
		// challenge. The page says what is next.
		return v.toCase()
	}
	v.note(e)
	if view.Challenge != nil && e.Args["digits"] == nil {
		e.With("digits", view.Challenge.Digits)
	}
	return v.caseAt(e.Kind.HTTPStatus(), view, v.problem(e))
}

// act runs one POST on the case of this browser and leads back to it.
func (v *visit) act(names []string, do func(claimant.Credentials, map[string]string) error) error {
	who, err := v.credentials()
	if err != nil {
		return err
	}
	form, err := v.fields(names...)
	if err != nil {
		return err
	}
	if err := do(who, form); err != nil {
		return v.again(err)
	}
	return v.toCase()
}

func (v *visit) startChallenge() error {
	return v.act([]string{"way", "channel"}, func(who claimant.Credentials, form map[string]string) error {
		_, err := v.Claimant.StartChallenge(v.r.Context(), v.caller(), who, form["way"], form["channel"])
		return err
	})
}

func (v *visit) answer() error {
	names := []string{"challenge", "code", "name", "resident-id"}
	return v.act(names, func(who claimant.Credentials, form map[string]string) error {
		posted, err := v.form()
		if err != nil {
			return err
		}
		answer := map[string]string{}
		for _, name := range names[1:] {
			if posted.Has(name) {
				answer[name] = form[name]
			}
		}
		view, err := v.Claimant.Answer(v.r.Context(), v.caller(), who, form["challenge"], answer)
		if err == nil && view.Moved != nil {
			v.enterCase(view.Moved.Credentials)
		}
		return err
	})
}

func (v *visit) choose() error {
	return v.act([]string{"choice"}, func(who claimant.Credentials, form map[string]string) error {
		_, err := v.Claimant.Choose(v.r.Context(), v.caller(), who, form["choice"])
		return err
	})
}

func (v *visit) takeOutcome() error {
	return v.act([]string{"password"}, func(who claimant.Credentials, form map[string]string) error {
		outcome, err := v.Claimant.TakeOutcome(v.r.Context(), v.caller(), who, form["password"])
		if err == nil && outcome.Device != "" {
			v.setCookie(cookieDevice(v.realm), outcome.Device, deviceCookieAge)
		}
		return err
	})
}

func (v *visit) showCancel() error {
	view, err := v.view()
	if err != nil {
		return err
	}
	if view.State.Closed() || view.State == recovery.StateApplying {
		return v.toCase()
	}
	return v.cancelOf(view)
}

func (v *visit) cancelOf(view claimant.CaseView) error {
	c := newCasePage(v, view)
	c.here, c.heading = v.path("/case/cancel"), v.t("page.cancel.heading")
	return v.show(http.StatusOK, cancelPage(c))
}

func (v *visit) cancelCase() error {
	return v.act(nil, func(who claimant.Credentials, _ map[string]string) error {
		_, err := v.Claimant.Cancel(v.r.Context(), v.caller(), who)
		return err
	})
}
