package web

import (
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/wanbi/wanbi/internal/i18n"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
)

// page is what every page knows: its language, realm, heading and address.
type page struct {
	locale  string
	larger  bool
	realm   recovery.Realm
	policy  *policy.Policy // nil outside realms
	now     time.Time
	here    string // the GET address that shows this page again
	heading string
	problem *problem // what went wrong, nil for nothing
	nonce   string   // goes into the page's forms, so that pressing twice is one request
}

// translate gives a text; pairs are placeholder names and values.
func translate(locale, key string, pairs []any) string {
	args := make(map[string]any, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		args[pairs[i].(string)] = pairs[i+1]
	}
	return i18n.T(locale, key, args)
}

func (p *page) t(key string, pairs ...any) string { return translate(p.locale, key, pairs) }

// in picks the text of the page's language, or the only one there is.
func in(locale string, text map[string]string) string {
	if s := text[locale]; s != "" {
		return s
	}
	for _, other := range i18n.Locales {
		if s := text[other]; s != "" {
			return s
		}
	}
	return ""
}

func realmName(locale string, realm recovery.Realm, inForce *policy.Policy) string {
	if name := in(locale, inForce.Realm.Name); name != "" {
		return name
	}
	return string(realm)
}

// brand is the realm's name, and Wanbi's own where there is no realm.
func (p *page) brand() string {
	if p.policy == nil {
		return p.t("brand.name")
	}
	return realmName(p.locale, p.realm, p.policy)
}

// ownLogo reports whether the realm has a logo in place of the mark.
func (p *page) ownLogo() bool { return p.policy != nil && p.policy.Realm.Logo != "" }

func (p *page) title() string {
	key := "layout.title"
	if p.problem != nil {
		key = "layout.title-error"
	}
	return p.t(key, "heading", p.heading, "realm", p.brand())
}

func (p *page) path(rest string) string { return "/" + string(p.realm) + rest }

// otherText is the size of text that the page does not have.
func (p *page) otherText() string {
	if p.larger {
		return textUsual
	}
	return textLarger
}

// home is where the mark leads.
func (p *page) home() string {
	if p.policy == nil {
		return "/"
	}
	return p.path("/recover")
}

// clock writes a moment that is at most an hour away as a time of day, any
// other in full.
func (p *page) clock(at time.Time) string {
	if d := at.Sub(p.now); d > -time.Hour && d < time.Hour {
		return i18n.FormatClock(at)
	}
	return i18n.FormatTime(p.locale, at)
}

// day writes a moment in full, with its zone.
func (p *page) day(at time.Time) string { return i18n.FormatTime(p.locale, at) }

// wrong reports whether the problem is about the field.
func (p *page) wrong(field string) bool { return p.problem != nil && p.problem.field == field }

// callable turns a phone number as written into a tel: address; empty when it
// has no digits.
func callable(phone string) string {
	digits := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == '+' {
			return r
		}
		return -1
	}, phone)
	if digits == "" {
		return ""
	}
	return "tel:" + digits
}

// field is one input with its label.
type field struct {
	id, label, hint string
	kind            string // text, email, password
	autocomplete    string
	inputmode       string
	class           string
	value           string // never an answer
	words           bool   // spelling help makes sense
	describedBy     string // id of more text about it
}

// described lists what a screen reader reads after the label.
func (f field) described(wrong bool) string {
	var ids []string
	if f.hint != "" {
		ids = append(ids, f.id+"-hint")
	}
	if f.describedBy != "" {
		ids = append(ids, f.describedBy)
	}
	if wrong {
		ids = append(ids, f.id+"-error")
	}
	return strings.Join(ids, " ")
}

// identifiers reads 手机号、邮箱或用户名, as the realm's policy has them.
func (p *page) identifiers() string {
	names := identifierNames(p.locale, p.policy.Identifiers)
	if p.locale == i18n.English && names != "" {
		return strings.ToUpper(names[:1]) + names[1:]
	}
	return names
}

// purpose says what an intent is for, inside a sentence: 重设密码, resetting your password.
func (p *page) purpose(intent recovery.Intent) string {
	return p.t("intent." + string(intent) + ".purpose")
}

// helpRail is whom to call, beside pages that do not say it; nil outside realms.
func helpRail(p *page) templ.Component {
	if p.policy == nil {
		return nil
	}
	return callCard(p)
}

// stages are what one goes through for an intent, with the wait where there is one.
func (p *page) stages(intent recovery.Intent, wait bool) []string {
	names := []string{p.t("page.progress.find"), p.t("page.progress.prove")}
	if wait {
		names = append(names, p.t("page.progress.wait"))
	}
	last := "page.progress.reset-password"
	switch intent {
	case recovery.IntentFindAccount:
		last = "page.progress.find-account"
	case recovery.IntentUnlock:
		last = "page.progress.unlock"
	}
	return append(names, p.t(last))
}

// stamp writes a time for machines.
func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339) }
