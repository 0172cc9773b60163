package web

import (
	"net/http"

	"github.com/wanbi/wanbi/internal/claimant"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
)

// service is one realm on the front page.
type service struct{ name, path string }

// showFront asks which service; where there is one, it is the answer.
func (v *visit) showFront() error {
	var services []service
	for _, realm := range v.Realms() {
		if inForce, ok := v.Realm(realm); ok {
			services = append(services, service{realmName(v.locale, realm, inForce), "/" + string(realm) + "/recover"})
		}
	}
	if len(services) == 1 {
		v.seeOther(services[0].path)
		return nil
	}
	return v.show(http.StatusOK, frontPage(v.page("/", v.t("page.front.heading")), services))
}

// toOnlyRealm is where password managers look for the way to a new password:
// https://w3c.github.io/webappsec-change-password-url/.
func (v *visit) toOnlyRealm() error {
	if realms := v.Realms(); len(realms) == 1 {
		v.seeOther("/" + string(realms[0]) + "/recover")
		return nil
	}
	v.seeOther("/")
	return nil
}

func (v *visit) toStart() error {
	v.seeOther(v.path("/recover"))
	return nil
}

// intents lists what the realm's policy can recover, in the order of the page.
func intents(inForce *policy.Policy) []recovery.Intent {
	var out []recovery.Intent
	for _, intent := range recovery.Intents {
		if inForce.Intents[intent] != nil {
			out = append(out, intent)
		}
	}
	return out
}

func (v *visit) showStart() error {
	p := v.page(v.path("/recover"), v.t("page.start.heading"))
	return v.show(http.StatusOK, startPage(p, intents(v.policy), v.cookie(cookieCase(v.realm)) != ""))
}

// intent reads the intent in the address; the policy must have it.
func (v *visit) intent() (recovery.Intent, error) {
	intent := recovery.Intent(v.r.PathValue("intent"))
	if v.policy.Intents[intent] == nil {
		return "", recovery.NotFound("error.intent.unknown")
	}
	return intent, nil
}

func (v *visit) showFind() error {
	intent, err := v.intent()
	if err != nil {
		return err
	}
	return v.find(http.StatusOK, intent, "", nil)
}

func (v *visit) find(code int, intent recovery.Intent, typed string, problem *problem) error {
	here := v.path("/recover/" + string(intent))
	p := v.page(here, v.t("page.find.heading", "identifiers", identifierNames(v.locale, v.policy.Identifiers)))
	p.problem = problem
	return v.show(code, findPage(p, intent, typed))
}

// openCase opens a case about whatever was typed. Only the form of it can be
// wrong; whether anybody has that name is not known here (T7).
func (v *visit) openCase() error {
	intent, err := v.intent()
	if err != nil {
		return err
	}
	form, err := v.fields("identifier")
	if err != nil {
		return err
	}
	opened, err := v.Claimant.Open(v.r.Context(), v.caller(), claimant.OpenRequest{
		Realm: v.realm, Intent: intent, Identifier: form["identifier"],
	})
	if err != nil {
		e := recovery.AsError(err)
		if e.Kind != recovery.KindBadInput {
			return e
		}
		v.note(e)
		problem := v.problem(e)
		problem.field = "identifier"
		return v.find(e.Kind.HTTPStatus(), intent, form["identifier"], problem)
	}
	v.enterCase(opened.Credentials)
	v.seeOther(v.path("/case"))
	return nil
}

func (v *visit) showHelp() error {
	p := v.page(v.path("/help"), v.t("page.help.heading"))
	return v.show(http.StatusOK, helpPage(p, v.cookie(cookieCase(v.realm)) != ""))
}

func (v *visit) showSafety() error {
	return v.show(http.StatusOK, safetyPage(v.page(v.path("/safety"), v.t("page.safety.heading"))))
}
