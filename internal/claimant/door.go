// Package claimant is the door of a locked-out person: open a case, prove
// things, wait, take the outcome, or stop.
//
// Trust: everything that comes in here was typed by a stranger. A caller holds
// at most the bearer token of one case; it says which case, never who they are.
package claimant

import (
	"context"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wanbi/wanbi/internal/casework"
	"github.com/wanbi/wanbi/internal/channel"
	"github.com/wanbi/wanbi/internal/i18n"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/seal"
	"github.com/wanbi/wanbi/internal/store/db"
)

// Door lets a claimant act. Safe for concurrent use.
type Door struct {
	Cases *casework.Service
	Keys  *seal.Keyring
}

// The purposes that external IDs and tokens are made for.
const (
	purposeCase      = "case"
	purposeChallenge = "challenge"
	purposeChoice    = "choice"
	purposeToken     = "token"
	purposeDevice    = "device"
	purposeLink      = "link" // as casework makes it
)

// token is the bearer token of a case. It is derived, so that a repeated request
// gives the same one, and a new serial revokes the old.
func (d *Door) token(id recovery.CaseID, serial int64) string {
	return d.Keys.Mac(purposeToken, string(id), strconv.FormatInt(serial, 10))
}

func (d *Door) isToken(token, id string, serial int64) bool {
	return d.Keys.MacEqual(token, purposeToken, id, strconv.FormatInt(serial, 10))
}

// earlierTokens is how many moves back a revoked token is still told where its case went.
const earlierTokens = 8

// wasToken reports whether the token was the case's before it moved to another browser.
func (d *Door) wasToken(token string, row db.Case) bool {
	for serial := row.TokenSerial - 1; serial > 0 && serial >= row.TokenSerial-earlierTokens; serial-- {
		if d.isToken(token, row.ID, serial) {
			return true
		}
	}
	return false
}

// acting opens the credentials.
func (d *Door) acting(from Caller, who Credentials, request ...string) (casework.Acting, error) {
	opened, ok := d.Keys.OpenID(purposeCase, who.Case)
	if !ok {
		return casework.Acting{}, recovery.Unknown("error.case.unknown")
	}
	return casework.Acting{
		Subject: opened.Subject(), ID: recovery.CaseID(opened.ID),
		May: func(row db.Case) error {
			switch {
			case row.TokenSerial > 0 && d.isToken(who.Token, row.ID, row.TokenSerial):
				return nil
			case d.wasToken(who.Token, row):
				return recovery.Unknown("error.case.elsewhere")
			}
			return recovery.Unknown("error.case.unknown")
		},
		Once: d.once(from.Key, who.Token, request...),
	}, nil
}

// once scopes an idempotency key to the caller's own secret.
func (d *Door) once(key, secret string, request ...string) casework.Once {
	if key == "" {
		return casework.Once{}
	}
	return casework.Once{
		Scope: d.Keys.CountKey("once", secret), Key: d.Keys.CountKey("once-key", key),
		Fingerprint: d.Keys.CountKey(append([]string{"once-request"}, request...)...),
	}
}

// device reads a device cookie that was ours; empty for anything else.
func (d *Door) device(cookie string) string {
	id, mac, ok := strings.Cut(cookie, "~")
	if !ok || !d.Keys.MacEqual(mac, purposeDevice, id) {
		return ""
	}
	return id
}

func (d *Door) deviceCookie(id string) string { return id + "~" + d.Keys.Mac(purposeDevice, id) }

func locale(from Caller) string {
	if from.Locale == i18n.English {
		return i18n.English
	}
	return i18n.Chinese
}

// Open starts a case about whoever the identifier names, known or not. It sends nothing.
func (d *Door) Open(ctx context.Context, from Caller, req OpenRequest) (Opened, error) {
	opened, err := d.Cases.Open(ctx, casework.Opening{
		Realm: req.Realm, Intent: req.Intent, Identifier: req.Identifier, Locale: locale(from),
		Device: d.device(from.Device), Network: from.Network,
		Once: d.once(from.Key, from.Key, "open", string(req.Realm), string(req.Intent), req.Identifier),
	})
	if err != nil {
		return Opened{}, err
	}
	return d.opened(opened.Subject, opened.ID, opened.Ref, opened.Serial)
}

// TakeOver opens a takeover: a case of its own that proves again what the case
// with the reference rests on, and moves that case here. It sends nothing, and
// the answer is the same whether there is such a case or not.
func (d *Door) TakeOver(ctx context.Context, from Caller, realm recovery.Realm, ref string) (Opened, error) {
	opened, err := d.Cases.TakeOver(ctx, casework.TakingOver{
		Realm: realm, Ref: ref, Locale: locale(from), Device: d.device(from.Device), Network: from.Network,
		Once: d.once(from.Key, from.Key, "take-over", string(realm), ref),
	})
	if err != nil {
		return Opened{}, err
	}
	return d.opened(opened.Subject, opened.ID, opened.Ref, opened.Serial)
}

func (d *Door) opened(subject recovery.Subject, id recovery.CaseID, ref recovery.CaseRef, serial int64) (Opened, error) {
	external, err := d.Keys.SealID(purposeCase, string(subject), string(id), nil)
	if err != nil {
		return Opened{}, recovery.Internal(err)
	}
	return Opened{Credentials: Credentials{Case: external, Token: d.token(id, serial)}, Ref: ref}, nil
}

// View shows the case as it stands now.
func (d *Door) View(ctx context.Context, from Caller, who Credentials) (CaseView, error) {
	a, err := d.acting(from, who)
	if err != nil {
		return CaseView{}, err
	}
	return d.shown(ctx, who.Case)(d.Cases.Snapshot(ctx, a))
}

// StartChallenge starts, or sends again, one channel of a way. This is what sends.
func (d *Door) StartChallenge(ctx context.Context, from Caller, who Credentials, way, name string) (CaseView, error) {
	a, err := d.acting(from, who, "challenge", way, name)
	if err != nil {
		return CaseView{}, err
	}
	return d.shown(ctx, who.Case)(d.Cases.StartChallenge(ctx, a, way, name))
}

// Answer checks the answer to a live challenge. Codes are {"code": …}; real-name
// is {"name": …, "resident-id": …}.
func (d *Door) Answer(ctx context.Context, from Caller, who Credentials, challenge string, answer map[string]string) (CaseView, error) {
	request := []string{"answer", challenge}
	for _, field := range []string{"code", "name", "resident-id"} {
		request = append(request, answer[field])
	}
	a, err := d.acting(from, who, request...)
	if err != nil {
		return CaseView{}, err
	}
	opened, ok := d.Keys.OpenID(purposeChallenge, challenge)
	if !ok || opened.Subject() != a.Subject {
		return CaseView{}, recovery.NotFound("error.challenge.unknown")
	}
	return d.shown(ctx, who.Case)(d.Cases.Answer(ctx, casework.Answering{
		Acting: a, Challenge: recovery.ChallengeID(opened.ID), Answer: channel.Answer(answer), Network: from.Network,
	}))
}

// Choose binds the case to one of the accounts of a proven contact. It is final.
func (d *Door) Choose(ctx context.Context, from Caller, who Credentials, choice string) (CaseView, error) {
	a, err := d.acting(from, who, "choose", choice)
	if err != nil {
		return CaseView{}, err
	}
	opened, ok := d.Keys.OpenID(purposeChoice, choice)
	if !ok || opened.Subject() != a.Subject {
		return CaseView{}, recovery.Conflict("error.choice.unknown")
	}
	return d.shown(ctx, who.Case)(d.Cases.Choose(ctx, a, recovery.AccountID(opened.ID)))
}

// Outcome is a case after its outcome was taken.
type Outcome struct {
	View CaseView
	// Device is the new value of the device cookie; it is trusted once the
	// recovery stayed undisputed for as long as the policy asks.
	Device string
}

// TakeOutcome takes what the case is for: secret is the new password for
// reset-password and empty for the other intents.
func (d *Door) TakeOutcome(ctx context.Context, from Caller, who Credentials, secret string) (Outcome, error) {
	a, err := d.acting(from, who, "outcome", secret)
	if err != nil {
		return Outcome{}, err
	}
	device := d.device(from.Device)
	if device == "" {
		// From the case, so that a repeat after a lost answer gives the browser the
		// same one that was noted.
		device = d.Keys.CountKey("device", string(a.ID), who.Token)
	}
	view, err := d.shown(ctx, who.Case)(d.Cases.TakeOutcome(ctx, casework.Taking{Acting: a, Secret: secret, Device: device}))
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{View: view, Device: d.deviceCookie(device)}, nil
}

// Cancel stops the case.
func (d *Door) Cancel(ctx context.Context, from Caller, who Credentials) (CaseView, error) {
	a, err := d.acting(from, who, "cancel")
	if err != nil {
		return CaseView{}, err
	}
	return d.shown(ctx, who.Case)(d.Cases.Cancel(ctx, a))
}

// LinkView is what the page behind an e-mailed proof link shows.
type LinkView struct {
	Realm     recovery.Realm
	Ref       recovery.CaseRef
	Intent    recovery.Intent
	OpenedAt  time.Time
	ExpiresAt time.Time
	Live      bool // false: used, expired or replaced
}

// openedLink is what an e-mailed link's token carries.
type openedLink struct {
	acting    casework.Acting
	challenge recovery.ChallengeID
	secret    string
}

func (d *Door) openLink(token string) (openedLink, error) {
	opened, ok := d.Keys.OpenID(purposeLink, token)
	if !ok || len(opened.Extra) != 16+channel.LinkSecretSize {
		return openedLink{}, recovery.NotFound("error.link.unknown")
	}
	return openedLink{
		acting: casework.Acting{
			Subject: opened.Subject(), ID: recovery.CaseID(opened.ID), May: func(db.Case) error { return nil },
		},
		challenge: recovery.ChallengeID(uuid.UUID(opened.Extra[:16]).String()),
		secret:    hex.EncodeToString(opened.Extra[16:]),
	}, nil
}

// Link shows what an e-mailed link would do. It changes nothing (T4).
func (d *Door) Link(ctx context.Context, token string) (LinkView, error) {
	link, err := d.openLink(token)
	if err != nil {
		return LinkView{}, err
	}
	s, err := d.Cases.Snapshot(ctx, link.acting)
	if err != nil {
		return LinkView{}, err
	}
	out := LinkView{Realm: s.Case.Realm, Ref: s.Case.Ref, Intent: s.Case.Intent, OpenedAt: s.Case.OpenedAt}
	if s.Live != nil && s.Live.ID == string(link.challenge) && !s.State.Closed() {
		out.ExpiresAt = time.UnixMilli(s.Live.ExpiresAt).UTC()
		out.Live = s.Now.Before(out.ExpiresAt)
	}
	return out, nil
}

// ConfirmLink proves the e-mail and moves the case to this browser: the opener's
// token is revoked, so that a click proves nothing for a stranger who asked.
func (d *Door) ConfirmLink(ctx context.Context, from Caller, token string) (Opened, error) {
	link, err := d.openLink(token)
	if err != nil {
		return Opened{}, err
	}
	link.acting.Once = d.once(from.Key, token, "confirm-link", token)
	s, err := d.Cases.Answer(ctx, casework.Answering{
		Acting: link.acting, Challenge: link.challenge, Answer: channel.Answer{"secret": link.secret}, Network: from.Network,
		Move: true, Device: d.device(from.Device),
	})
	if err != nil {
		return Opened{}, linkError(err)
	}
	if s.Moved != nil {
		return d.opened(s.Case.Subject, s.Moved.Case, s.Case.Ref, s.Moved.Serial)
	}
	return d.opened(s.Case.Subject, s.Case.ID, s.Case.Ref, s.Row.TokenSerial)
}

// linkError words the errors of a code as those of a link.
func linkError(err error) error {
	if e := recovery.AsError(err); e.Key == "error.code.expired" {
		return recovery.Gone("error.link.expired")
	}
	return err
}
