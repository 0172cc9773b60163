package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/wanbi/wanbi/internal/claimant"
	"github.com/wanbi/wanbi/internal/i18n"
	"github.com/wanbi/wanbi/internal/recovery"
)

// Answered is an answer with a body.
type Answered[T any] struct{ Body T }

func answer[T any](body T, err error) (*Answered[T], error) {
	if err != nil {
		return nil, err
	}
	return &Answered[T]{Body: body}, nil
}

// Bearer is the credential of a request.
type Bearer struct {
	Authorization string `header:"Authorization" hidden:"true"`
	Language      string `header:"Accept-Language" doc:"Of titles in problems; zh-CN or en" maxLength:"500"`
}

// token gives what follows Bearer, empty when there is none.
func (b Bearer) token() string {
	scheme, token, ok := strings.Cut(b.Authorization, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// InCase names a case and shows its token.
type InCase struct {
	Bearer
	Case string `path:"case" maxLength:"512" doc:"The case's id"`
}

func (in InCase) who() claimant.Credentials {
	return claimant.Credentials{Case: in.Case, Token: in.token()}
}

// Repeatable is a POST that happens once however often it is sent.
type Repeatable struct {
	Key string `header:"Idempotency-Key" maxLength:"255" doc:"Names the request: a repeat with the same key and body gets the first answer, for 24 hours; the same key with another body is refused"`
}

func caller(ctx context.Context, language, key, device string) claimant.Caller {
	return claimant.Caller{Network: aroundOf(ctx).network, Device: device, Locale: i18n.Match(language), Key: key}
}

// OpenCase opens a case.
type OpenCase struct {
	Bearer
	// It is its own credential while there is no token, so it has to be hard to guess.
	Key   string `header:"Idempotency-Key" minLength:"16" maxLength:"255" doc:"Names the request; at least 16 characters that are hard to guess, since whoever repeats it gets the token"`
	Realm string `path:"realm" maxLength:"40"`
	Body  struct {
		Intent     string `json:"intent" enum:"reset-password,find-account,unlock"`
		Identifier string `json:"identifier" maxLength:"320" doc:"As typed: a phone number, an e-mail address, …"`
		Locale     string `json:"locale,omitempty" enum:"zh-CN,en" doc:"Of the messages that are sent; by default as Accept-Language says, else as the realm does"`
		Device     string `json:"device,omitempty" maxLength:"200" doc:"What an earlier recovery on this device gave as device; it makes a hold shorter where the policy says so"`
	}
}

// TakeOver opens a takeover.
type TakeOver struct {
	Bearer
	// It is its own credential while there is no token, so it has to be hard to guess.
	Key   string `header:"Idempotency-Key" minLength:"16" maxLength:"255" doc:"Names the request; at least 16 characters that are hard to guess, since whoever repeats it gets the token"`
	Realm string `path:"realm" maxLength:"40"`
	Body  struct {
		Ref    string `json:"ref" maxLength:"64" doc:"The reference number as typed"`
		Device string `json:"device,omitempty" maxLength:"200" doc:"What an earlier recovery on this device gave as device"`
	}
}

// OpenedCase is a case that the caller may now act in.
type OpenedCase struct {
	Case  string `json:"case" doc:"The case's id, for paths"`
	Token string `json:"token" doc:"Its token, for Authorization: Bearer. Keep it as you would a password."`
	Ref   string `json:"ref" doc:"The short number that people read out"`
}

// StartChallenge starts a channel.
type StartChallenge struct {
	InCase
	Repeatable
	Body struct {
		Way     string `json:"way" maxLength:"40" doc:"One of the case's ways"`
		Channel string `json:"channel" maxLength:"40" doc:"One of the way's channels"`
	}
}

// Answer is the answer to a challenge.
type Answer struct {
	InCase
	Repeatable
	Challenge string `path:"challenge" maxLength:"512" doc:"The challenge's id"`
	Body      struct {
		Answer struct {
			Code       string `json:"code,omitempty" maxLength:"64" doc:"For sms-code, email-code and backup-code"`
			Name       string `json:"name,omitempty" maxLength:"200" doc:"For real-name"`
			ResidentID string `json:"resident_id,omitempty" maxLength:"64" doc:"For real-name"`
		} `json:"answer"`
	}
}

// Choose binds the case to one account.
type Choose struct {
	InCase
	Repeatable
	Body struct {
		Choice string `json:"choice" maxLength:"512" doc:"The choice of one of the case's accounts"`
	}
}

// TakeOutcome takes what the case is for.
type TakeOutcome struct {
	InCase
	Repeatable
	Body struct {
		Secret string `json:"secret,omitempty" maxLength:"1024" doc:"The new password, for reset-password only"`
		Device string `json:"device,omitempty" maxLength:"200" doc:"What an earlier recovery on this device gave as device"`
	}
}

// Outcome is the case after its outcome was taken.
type Outcome struct {
	Case
	Device string `json:"device,omitempty" doc:"Keep it on this device. Once the recovery stayed undisputed for as long as the policy says, the account knows the device by it."`
}

// ActInCase needs nothing but the token.
type ActInCase struct {
	InCase
	Repeatable
}

// ConfirmLink proves an e-mailed link.
type ConfirmLink struct {
	Bearer
	Repeatable
	Body struct {
		Token  string `json:"token" maxLength:"512" doc:"The last segment of the link's address"`
		Device string `json:"device,omitempty" maxLength:"200" doc:"What an earlier recovery on this device gave as device"`
	}
}

// Link is what an e-mailed proof link would do.
type Link struct {
	Realm     string     `json:"realm"`
	Ref       string     `json:"ref"`
	Intent    string     `json:"intent" enum:"reset-password,find-account,unlock"`
	OpenedAt  time.Time  `json:"opened_at"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	Live      bool       `json:"live" doc:"False: used, expired or replaced"`
}

const tagClaimant = "Claimant"

// inCase are the errors that every operation in a case may end in.
var inCase = []int{http.StatusUnauthorized, http.StatusServiceUnavailable}

// operation describes one; each error list is its own.
func operation(id, method, path, tag, summary, description string, errors ...int) huma.Operation {
	slices.Sort(errors)
	return huma.Operation{
		OperationID: id, Method: method, Path: path, Tags: []string{tag}, Summary: summary, Description: description,
		Errors: slices.Compact(errors),
	}
}

// acting is an operation of a claimant in a case.
func acting(id, path, summary, description string, errors ...int) huma.Operation {
	op := operation(id, http.MethodPost, path, tagClaimant, summary, description, append(errors, inCase...)...)
	op.Security = []map[string][]string{{caseToken: {}}}
	op.MaxBodyBytes = maxBody + 1 // huma refuses the bound itself
	return op
}

func (s *site) claimantOperations() {
	const (
		conflict, gone, limited = http.StatusConflict, http.StatusGone, http.StatusTooManyRequests
		forbidden, notFound     = http.StatusForbidden, http.StatusNotFound
	)
	open := operation("open-case", http.MethodPost, "/v1/{realm}/cases", tagClaimant, "Open a case",
		"Starts a recovery about whoever the identifier names, known or not: the answer is the same for both, and nothing is sent yet. "+
			"Errors are about the form of the identifier only.",
		notFound, limited, http.StatusServiceUnavailable)
	open.DefaultStatus, open.MaxBodyBytes, open.Security = http.StatusCreated, maxBody+1, []map[string][]string{}
	huma.Register(s.api, open, s.openCase)

	takeover := operation("take-over-case", http.MethodPost, "/v1/{realm}/takeovers", tagClaimant, "Take a case over by its reference",
		"Opens a takeover: a case of its own, with a token of its own, that can do nothing but prove again what the case with this "+
			"reference rests on. The answer is the same whether there is such a case or not, and nothing is sent yet. Start one of its "+
			"channels and answer it as in any case. At step `moved` the case is yours: `moved` has its id and a new token, and the one "+
			"from before works no more. Until then its holder keeps it.",
		notFound, limited, http.StatusServiceUnavailable)
	takeover.DefaultStatus, takeover.MaxBodyBytes, takeover.Security = http.StatusCreated, maxBody+1, []map[string][]string{}
	huma.Register(s.api, takeover, func(ctx context.Context, in *TakeOver) (*Answered[OpenedCase], error) {
		opened, err := s.Claimant.TakeOver(ctx, caller(ctx, in.Language, in.Key, in.Body.Device), recovery.Realm(in.Realm), in.Body.Ref)
		return answer(showOpened(opened), err)
	})

	view := operation("get-case", http.MethodGet, "/v1/cases/{case}", tagClaimant, "Read a case",
		"Its state, whose turn it is, until when, and what to do next (`step`). What it holds grows with what was proven. Changes nothing.",
		slices.Clone(inCase)...)
	view.Security = []map[string][]string{{caseToken: {}}}
	huma.Register(s.api, view, func(ctx context.Context, in *InCase) (*Answered[Case], error) {
		v, err := s.Claimant.View(ctx, caller(ctx, in.Language, "", ""), in.who())
		return answer(showCase(v), err)
	})

	huma.Register(s.api, acting("start-challenge", "/v1/cases/{case}/challenges", "Start a challenge",
		"This is what sends: a code or a link goes to the contact on file, if there is one. Starting the same channel again sends again "+
			"and voids what was sent before. Whether anything was sent does not show.",
		conflict, gone, limited), func(ctx context.Context, in *StartChallenge) (*Answered[Case], error) {
		v, err := s.Claimant.StartChallenge(ctx, caller(ctx, in.Language, in.Key, ""), in.who(), in.Body.Way, in.Body.Channel)
		return answer(showCase(v), err)
	})
	huma.Register(s.api, acting("answer-challenge", "/v1/cases/{case}/challenges/{challenge}/answer", "Answer a challenge",
		"A wrong answer (422 `error.code.wrong`, `error.answer.wrong`) costs a try; past the limit (429) even the right one is refused. "+
			"503 `error.answer.preparing` costs none: try again in a second.",
		notFound, conflict, gone, limited), func(ctx context.Context, in *Answer) (*Answered[Case], error) {
		v, err := s.Claimant.Answer(ctx, caller(ctx, in.Language, in.Key, ""), in.who(), in.Challenge, in.given())
		return answer(showCase(v), err)
	})
	huma.Register(s.api, acting("choose-account", "/v1/cases/{case}/choose", "Choose the account",
		"Where several accounts have the proven contact: says which one the case is about. It is final.",
		conflict, gone), func(ctx context.Context, in *Choose) (*Answered[Case], error) {
		v, err := s.Claimant.Choose(ctx, caller(ctx, in.Language, in.Key, ""), in.who(), in.Body.Choice)
		return answer(showCase(v), err)
	})
	huma.Register(s.api, acting("take-outcome", "/v1/cases/{case}/outcome", "Take what the case is for",
		"Sets the new password, shows the account, or unlocks, once the hold is over (before: 403 with the seconds that are left). "+
			"All sessions end, older codes and links are void, every contact on file is told, and nobody is signed in. "+
			"Where the host keeps the accounts the case is `applying` until the host has confirmed.",
		forbidden, conflict, gone), s.takeOutcome)
	huma.Register(s.api, acting("cancel-case", "/v1/cases/{case}/cancel", "Stop a case",
		"Stops the case for good. A case that the host is being told of, or that is closed, cannot be stopped (409).",
		conflict, gone), func(ctx context.Context, in *ActInCase) (*Answered[Case], error) {
		v, err := s.Claimant.Cancel(ctx, caller(ctx, in.Language, in.Key, ""), in.who())
		return answer(showCase(v), err)
	})
	s.linkOperations()
}

// given is the answer by the names that channels know.
func (in *Answer) given() map[string]string {
	out := map[string]string{}
	for name, value := range map[string]string{
		"code": in.Body.Answer.Code, "name": in.Body.Answer.Name, "resident-id": in.Body.Answer.ResidentID,
	} {
		if value != "" {
			out[name] = value
		}
	}
	return out
}

func (s *site) openCase(ctx context.Context, in *OpenCase) (*Answered[OpenedCase], error) {
	from := caller(ctx, in.Language, in.Key, in.Body.Device)
	realm := recovery.Realm(in.Realm)
	inForce, known := s.Policy(realm)
	switch {
	case in.Body.Locale != "":
		from.Locale = in.Body.Locale
	case from.Locale == "" && known:
		from.Locale = inForce.Realm.Locale
	}
	opened, err := s.Claimant.Open(ctx, from, claimant.OpenRequest{
		Realm: realm, Intent: recovery.Intent(in.Body.Intent), Identifier: in.Body.Identifier,
	})
	if e := recovery.AsError(err); e != nil && known && slices.Contains(i18n.Placeholders(fullKey(e.Key)), "identifiers") {
		err = e.With("identifiers", identifierNames(localeOf(in.Language), inForce.Identifiers))
	}
	return answer(showOpened(opened), err)
}

func showOpened(o claimant.Opened) OpenedCase {
	return OpenedCase{Case: o.Case, Token: o.Token, Ref: string(o.Ref)}
}

func (s *site) takeOutcome(ctx context.Context, in *TakeOutcome) (*Answered[Outcome], error) {
	out, err := s.Claimant.TakeOutcome(ctx, caller(ctx, in.Language, in.Key, in.Body.Device), in.who(), in.Body.Secret)
	return answer(Outcome{Case: showCase(out.View), Device: out.Device}, err)
}

func (s *site) linkOperations() {
	show := operation("get-link", http.MethodGet, "/v1/links", tagClaimant, "Read an e-mailed link",
		"What the link would do; the link's token is the bearer token, so that it stands in no log. Changes nothing.",
		http.StatusNotFound, http.StatusUnauthorized, http.StatusServiceUnavailable)
	show.Security = []map[string][]string{{linkToken: {}}}
	huma.Register(s.api, show, func(ctx context.Context, in *Bearer) (*Answered[Link], error) {
		v, err := s.Claimant.Link(ctx, in.token())
		return answer(Link{
			Realm: string(v.Realm), Ref: string(v.Ref), Intent: string(v.Intent), OpenedAt: v.OpenedAt.UTC(),
			ExpiresAt: moment(v.ExpiresAt), Live: v.Live,
		}, err)
	})
	confirm := operation("confirm-link", http.MethodPost, "/v1/links/confirm", tagClaimant, "Confirm an e-mailed link",
		"Proves the e-mail and moves the case to whoever confirms: the answer holds a new token, and the opener's works no more, "+
			"so that a click proves nothing for a stranger who asked for the link.",
		http.StatusNotFound, http.StatusConflict, http.StatusGone, http.StatusTooManyRequests, http.StatusUnauthorized,
		http.StatusServiceUnavailable)
	confirm.MaxBodyBytes, confirm.Security = maxBody+1, []map[string][]string{}
	huma.Register(s.api, confirm, func(ctx context.Context, in *ConfirmLink) (*Answered[OpenedCase], error) {
		opened, err := s.Claimant.ConfirmLink(ctx, caller(ctx, in.Language, in.Key, in.Body.Device), in.Body.Token)
		return answer(showOpened(opened), err)
	})
}
