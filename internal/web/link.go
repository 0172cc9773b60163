package web

import (
	"net/http"

	"github.com/a-h/templ"

	"github.com/wanbi/wanbi/internal/claimant"
	"github.com/wanbi/wanbi/internal/guest"
	"github.com/wanbi/wanbi/internal/recovery"
)

// takeLinkToken moves the token out of the address. It consumes nothing, so a
// mail scanner that follows the link burns nothing (T4).
func (v *visit) takeLinkToken() error { return v.keepToken(cookieLink, "/link") }

// link reads what the kept token would do.
func (v *visit) link() (string, claimant.LinkView, error) {
	token, err := v.keptToken(cookieLink)
	if err != nil {
		return "", claimant.LinkView{}, err
	}
	view, err := v.Claimant.Link(v.r.Context(), token)
	if err == nil && view.Realm != v.realm {
		err = recovery.NotFound("error.link.unknown")
	}
	return token, view, err
}

func (v *visit) showLink() error {
	_, view, err := v.link()
	if err != nil {
		return err
	}
	return v.linkAt(view)
}

func (v *visit) linkAt(view claimant.LinkView) error {
	if !view.Live {
		p := v.page(v.path("/link"), v.t("page.link.dead"))
		return v.show(http.StatusGone, deadLinkPage(p))
	}
	return v.show(http.StatusOK, linkPage(v.page(v.path("/link"), v.t("page.link.heading")), view))
}

// confirmLink proves the mailbox and moves the case to this browser. The page
// carries the reference it showed: if another link was opened in between, the
// press meant something else and the page is shown anew.
func (v *visit) confirmLink() error {
	form, err := v.fields("ref")
	if err != nil {
		return err
	}
	token, view, err := v.link()
	if recovery.IsKind(err, recovery.KindNotFound) && v.hasCase(form["ref"]) {
		return v.toCase() // pressed again after it has brought the case here
	}
	if err != nil {
		return err
	}
	if form["ref"] != string(view.Ref) {
		return v.linkAt(view)
	}
	opened, err := v.Claimant.ConfirmLink(v.r.Context(), v.caller(), token)
	if err != nil && !view.Live {
		return v.linkAt(view) // not asked before: a second press of the same page still succeeds
	}
	if err != nil {
		return err
	}
	v.dropCookie(cookieLink)
	v.enterCase(opened.Credentials)
	return v.toCase()
}

// takeNoticeToken moves the token of a notice's link out of the address.
func (v *visit) takeNoticeToken() error { return v.keepToken(cookieNotice, "/cancel") }

// notice reads what the kept token would do.
func (v *visit) notice() (string, guest.LinkView, error) {
	token, err := v.keptToken(cookieNotice)
	if err != nil {
		return "", guest.LinkView{}, err
	}
	view, err := v.Guest.Show(v.r.Context(), token)
	if err == nil && view.Realm != v.realm {
		err = recovery.NotFound("error.link.unknown")
	}
	return token, view, err
}

func (v *visit) showNotice() error {
	_, view, err := v.notice()
	if err != nil {
		return err
	}
	return v.noticeAt(view)
}

func (v *visit) noticeAt(view guest.LinkView) error {
	p := v.page(v.path("/cancel"), v.t(noticeHeading(view)))
	if view.Act == "" {
		return v.show(http.StatusOK, noticeOverPage(p, view))
	}
	return v.show(http.StatusOK, noticePage(p, view))
}

// actOnNotice does what the pressed button said; "mine" changes nothing.
func (v *visit) actOnNotice() error {
	form, err := v.fields("answer", "ref")
	if err != nil {
		return err
	}
	token, view, err := v.notice()
	if err != nil {
		return err
	}
	switch {
	case form["answer"] == "mine":
		v.seeOther(v.path("/cancel/kept"))
		return nil
	case form["answer"] != "stop" || form["ref"] != string(view.Ref):
		return v.noticeAt(view)
	}
	if _, err := v.Guest.Act(v.r.Context(), token); err != nil {
		return err
	}
	v.seeOther(v.path("/cancel"))
	return nil
}

func (v *visit) showKept() error {
	return v.show(http.StatusOK, keptPage(v.page(v.path("/cancel/kept"), v.t("page.guest.kept.heading"))))
}

// noticeHeading is the heading of the page by what is left to do. A recovery
// that went through, or is going through, leaves nothing to do once it is frozen.
func noticeHeading(view guest.LinkView) string {
	switch {
	case view.Act != "":
		return "page.guest.heading"
	case view.State == recovery.StateCancelled:
		return "page.stopped.heading"
	case view.State == recovery.StateCompleted, view.State == recovery.StateApplying:
		return "page.guest.frozen.heading"
	}
	return "page.guest.over.heading"
}

// noticeNext says what the button would do.
func noticeNext(view guest.LinkView) string {
	switch {
	case view.Act != "disavow":
		return "page.guest.running"
	case view.State == recovery.StateApplying:
		return "page.guest.applying"
	}
	return "page.guest.completed"
}

// noticeLead says what came of the case once nothing is left to do.
func noticeLead(view guest.LinkView) string {
	switch view.State {
	case recovery.StateCancelled:
		return "page.guest.cancelled.lead"
	case recovery.StateCompleted, recovery.StateApplying:
		return "page.guest.frozen.lead"
	}
	return "page.guest.over.lead"
}

// noticeSign stands over what came of it: a frozen account is not whole yet.
func noticeSign(view guest.LinkView) templ.Component {
	switch view.State {
	case recovery.StateCompleted, recovery.StateApplying:
		return broken()
	}
	return whole()
}
