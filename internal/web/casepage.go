package web

import (
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/wanbi/wanbi/internal/claimant"
	"github.com/wanbi/wanbi/internal/i18n"
	"github.com/wanbi/wanbi/internal/recovery"
)

// casePage is a page about one case. It is made from the view alone, so that
// equal views give equal bytes (T7).
type casePage struct {
	*page
	view claimant.CaseView
	step claimant.Step // the view's, unless another page of the case is asked for
}

func newCasePage(v *visit, view claimant.CaseView) *casePage {
	c := &casePage{page: v.page(v.path("/case"), ""), view: view, step: view.Step}
	if c.step == claimant.StepWays && len(c.wayItems()) == 0 {
		c.step = claimant.StepPerson // nothing is left that one could do alone
	}
	c.heading = c.headingOf()
	return c
}

// headingOf names the page by its step; the done page also by what was wanted.
func (c *casePage) headingOf() string {
	switch c.step {
	case claimant.StepProve:
		return c.proveHeading()
	case claimant.StepWays:
		if c.takeover() {
			return c.t("page.takeover.ways.heading")
		}
	case claimant.StepDone:
		if key := "page.done.heading." + string(c.view.Intent); i18n.Has(key) {
			return c.t(key)
		}
	}
	return c.t("page." + string(c.step) + ".heading")
}

// takeover reports whether the page asks for the proofs of another case.
func (c *casePage) takeover() bool { return c.view.Intent == recovery.IntentTakeover }

// takeoverLead says which proofs: before the first one that is not for everybody to know.
func (c *casePage) takeoverLead() string {
	for _, way := range c.view.Ways {
		if way.Name == string(recovery.IntentTakeover) {
			return "page.takeover.ways.rest"
		}
	}
	return "page.takeover.ways.lead"
}

// casePageOf picks the page of the step.
func casePageOf(c *casePage) templ.Component {
	switch c.step {
	case claimant.StepProve:
		if c.view.Challenge != nil {
			return provePage(c)
		}
	case claimant.StepChoose:
		return choosePage(c)
	case claimant.StepWait:
		return waitPage(c)
	case claimant.StepSecret:
		return secretPage(c)
	case claimant.StepAccount:
		return accountPage(c)
	case claimant.StepUnlock:
		return unlockPage(c)
	case claimant.StepPerson:
		return personPage(c)
	case claimant.StepApplying:
		return applyingPage(c)
	case claimant.StepDone:
		return donePage(c)
	case claimant.StepStopped, claimant.StepExpired, claimant.StepDenied:
		return closedPage(c)
	}
	return waysPage(c)
}

// fieldFor gives the id of the input that an error belongs to on this page, or
// nothing when the page has no input for it.
func (c *casePage) fieldFor(named string) string {
	var here []string
	switch {
	case c.step == claimant.StepChoose && len(c.view.Accounts) > 0:
		here = []string{"choice-1"}
	case c.step == claimant.StepSecret:
		here = []string{"password"}
	case (c.step == claimant.StepProve || c.step == claimant.StepWait) && c.answerable():
		here = []string{"code"}
		if c.view.Challenge.Channel == "real-name" {
			here = []string{"name", "resident-id"}
		}
	default:
		return ""
	}
	for _, id := range here {
		if id == named {
			return id
		}
	}
	return here[0]
}

// answerable reports whether the live challenge is answered on the page: a link
// is answered by opening it, an expired challenge not at all.
func (c *casePage) answerable() bool {
	live := c.view.Challenge
	return live != nil && live.Channel != "email-link" && !live.Expired
}

// sends reports whether the channel sends something that can be sent again.
func sends(channel string) bool {
	return channel == "sms-code" || channel == "email-code" || channel == "email-link"
}

func (c *casePage) proveHeading() string {
	live := c.view.Challenge
	if live == nil {
		return c.t("page.ways.heading")
	}
	switch live.Channel {
	case "email-link":
		return c.t("page.prove.link.heading")
	case "backup-code":
		return c.t("page.prove.backup.heading")
	case "real-name":
		return c.t("page.prove.name.heading")
	}
	if live.Digits == 0 {
		return c.t("page.prove.heading")
	}
	return c.t("page.prove.code.heading", "digits", live.Digits)
}

// destination says where a message goes, by what was typed and never by what is
// on file: the typed one when it is of the channel's kind, else the kind alone.
func (c *casePage) destination() string {
	kind, key := recovery.IdentifierEmail, "page.prove.to-email"
	if c.view.Challenge.Channel == "sms-code" {
		kind, key = recovery.IdentifierPhone, "page.prove.to-phone"
	}
	if c.view.IdentifierKind == kind {
		return c.t("page.prove.to-typed", "identifier", c.view.Identifier)
	}
	return c.t(key)
}

// sentText says what was sent, where to, and until when it works.
func (c *casePage) sentText() string {
	said := []string{c.t("page.prove.sent"), c.destination()}
	if c.view.Challenge.Channel == "email-link" {
		said[0] = c.t("page.prove.sent-link")
	}
	if !c.view.Challenge.Expired {
		said = append(said, c.t("page.prove.until", "time", c.clock(c.view.Challenge.ExpiresAt)))
	}
	if c.locale == i18n.English {
		return strings.Join(said, " ")
	}
	return strings.Join(said, "")
}

// resendIn is how long until the message may be sent again, in milliseconds for
// the script, "0" for now.
func (c *casePage) resendIn() string {
	return strconv.FormatInt(max(0, c.view.Challenge.ResendAt.Sub(c.now).Milliseconds()), 10)
}

// codeClass lays out the field of a code: a place for each digit, for the lengths
// that the sheet knows.
func codeClass(digits int) string {
	switch digits {
	case 6, 8:
		return "code code-" + strconv.Itoa(digits)
	}
	return "code"
}

// resendKey is the button that starts the same challenge again.
func resendKey(channel string) string {
	switch channel {
	case "sms-code", "email-code":
		return "action.resend.code"
	case "email-link":
		return "action.resend.link"
	}
	return "action.resend.other"
}

// wayItem is one way as the page lists it.
type wayItem struct {
	id, name, label string
	steps           []stepItem
	hold            string
	next            string // the channel that the button starts, empty when it must wait
	button          string
}

// stepItem is one channel of a way.
type stepItem struct {
	channel, label, need, time, suits string
	proven, later                     bool
}

// wayItems lists the ways that a person can do without us; the help line is
// always listed after them.
func (c *casePage) wayItems() []wayItem {
	var items []wayItem
	for i, way := range c.view.Ways {
		if way.Person {
			continue
		}
		item := wayItem{
			id: "way-" + strconv.Itoa(i+1), name: way.Name,
			label: in(c.locale, way.Label), hold: c.holdText(way.Hold),
		}
		var joined string
		for _, channel := range way.Channels {
			step := c.stepItem(channel)
			if joined == "" {
				joined = step.label
			} else {
				joined = c.t("page.ways.and", "first", joined, "second", step.label)
			}
			if item.button == "" && !channel.Proven {
				item.button = c.sendText(channel.Name)
				if channel.Open {
					item.next = channel.Name
				}
			}
			item.steps = append(item.steps, step)
		}
		if item.label == "" {
			item.label = joined
		}
		items = append(items, item)
	}
	return items
}

func (c *casePage) stepItem(channel claimant.ChannelView) stepItem {
	step := stepItem{channel: channel.Name, label: channel.Name, proven: channel.Proven, later: !channel.Proven && !channel.Open}
	if key := "channel." + channel.Name; i18n.Has(key + ".name") {
		step.label = c.t(key + ".name")
		step.need, step.time, step.suits = c.t(key+".need"), c.t(key+".time"), c.t(key+".suits")
	}
	return step
}

func (c *casePage) holdText(hold time.Duration) string {
	if c.takeover() {
		return "" // taking a case over changes no wait for the better
	}
	if hold <= 0 {
		return c.t("page.ways.hold.none")
	}
	return c.t("page.ways.hold.some", "hold", hold)
}

func (c *casePage) sendText(channel string) string {
	if key := "action.send." + channel; i18n.Has(key) {
		return c.t(key)
	}
	return c.t("action.send.other")
}

// doneLead says what to do now, by what was wanted.
func (c *casePage) doneLead() string {
	if key := "page.done.lead." + string(c.view.Intent); i18n.Has(key) {
		return c.t(key)
	}
	return c.t("page.done.lead")
}

// taskText reads the task; a key that is not written shows nothing rather than itself.
func (c *casePage) taskText(key string) string {
	if !i18n.Has(key) && i18n.Has("task."+key) {
		key = "task." + key
	}
	return c.t(key)
}

// todo says who does what is left: the host is still being told to end sessions,
// the rest is for the person.
func todo(key string) string {
	if key == "task.sessions-ended" {
		return "task.status.under-way"
	}
	return "task.status.todo"
}

// identifierLabel names the kind of an identifier: 手机号, Phone number.
func (c *casePage) identifierLabel(kind recovery.IdentifierKind) string {
	return c.t("identifier." + string(kind) + ".label")
}

// waits reports whether the case has a wait of any length.
func (c *casePage) waits() bool { return c.view.HoldUntil.After(c.view.HoldBegan) }

// stage is where the page stands among the stages of its intent, false for pages
// that end the case.
func (c *casePage) stage() (at int, shown bool) {
	if c.takeover() {
		return 0, false
	}
	switch c.step {
	case claimant.StepWays, claimant.StepProve, claimant.StepChoose:
		return 1, true
	case claimant.StepWait:
		return 2, true
	case claimant.StepSecret, claimant.StepAccount, claimant.StepUnlock, claimant.StepApplying:
		return len(c.stages(c.view.Intent, c.waits())) - 1, true
	}
	return 0, false
}

// waited is how much of the hold is over, in per cent from 0 to 100.
func (c *casePage) waited() string {
	whole := c.view.HoldUntil.Sub(c.view.HoldBegan)
	if whole <= 0 {
		return "100"
	}
	return strconv.Itoa(int(min(100, max(0, 100*c.now.Sub(c.view.HoldBegan)/whole))))
}

// sign is what stands over the heading of a page that ends the case.
func (c *casePage) sign() templ.Component {
	if c.step == claimant.StepDone {
		return whole()
	}
	return broken()
}

// glyph is the icon of a way: that of the first channel still to prove.
func (w wayItem) glyph() string {
	for _, step := range w.steps {
		if !step.proven {
			return step.channel
		}
	}
	return "shield"
}

// cancellable reports whether the case can still be stopped from here. The held
// page has its own button.
func (c *casePage) cancellable() bool {
	if c.takeover() {
		return false
	}
	switch c.view.State {
	case recovery.StateOpen, recovery.StateInReview, recovery.StateHeld:
		return c.step != claimant.StepWait && c.here != c.path("/case/cancel")
	}
	return false
}
