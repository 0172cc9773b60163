package channel

import (
	"context"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/secret"
)

// code is what sms-code and email-code have in common: a one-time number that is
// sent to a contact on file and compared as a keyed hash.
type code struct {
	info    recovery.ChannelInfo
	message string
}

// Info says what it is.
func (c code) Info() recovery.ChannelInfo { return c.info }

// Start makes a code. Where there is no contact it makes one all the same and
// sends nothing, so that nobody can answer it.
func (c code) Start(_ context.Context, claim Claim) ([]byte, []Delivery, error) {
	number := secret.NewCode(claim.Digits)
	data, err := expected{[]string{claim.Keys.Mac("code", claim.binding(number)...)}}.encode()
	if err != nil {
		return nil, nil, err
	}
	contact, ok := claim.Facts.Contact(c.info.Contact)
	if !ok {
		return data, nil, nil
	}
	return data, []Delivery{{To: contact, Message: c.message, Args: map[string]string{"code": number}}}, nil
}

// Check compares {"code"}.
func (c code) Check(_ context.Context, challenge Challenge, answer Answer) (Proof, error) {
	want, err := decodeExpected(challenge.Data)
	if err != nil {
		return Proof{}, err
	}
	number, ok := secret.CanonicalCode(answer["code"], challenge.Digits)
	if !ok || !challenge.Keys.MacEqual(want.Hashes[0], "code", challenge.binding(number)...) {
		return Proof{}, recovery.NotProven("error.code.wrong").At("code")
	}
	return Proof{}, nil
}
