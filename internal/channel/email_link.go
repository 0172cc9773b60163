package channel

import (
	"context"
	"crypto/rand"
	"encoding/hex"

	"github.com/wanbi/wanbi/internal/recovery"
)

func init() { register(emailLink{}) }

// emailLink sends a link to the e-mail on file. Opening it changes nothing; the
// button behind it proves the e-mail and moves the case to that browser.
type emailLink struct{}

// LinkSecretSize is the size of a link's random part in bytes (128 bit).
const LinkSecretSize = 16

// Info says what it is.
func (emailLink) Info() recovery.ChannelInfo {
	return recovery.ChannelInfo{
		Name: "email-link", Factor: recovery.FactorPossession, Strength: 45, Contact: recovery.ContactEmail, Unguessable: true,
		Failures: []string{"error.link.unknown", "error.link.expired"},
	}
}

// Start makes the link's secret; whoever delivers it builds the address.
func (l emailLink) Start(_ context.Context, claim Claim) ([]byte, []Delivery, error) {
	raw := make([]byte, LinkSecretSize)
	if _, err := rand.Read(raw); err != nil {
		return nil, nil, err
	}
	part := hex.EncodeToString(raw)
	data, err := expected{[]string{claim.Keys.Mac("link", claim.binding(part)...)}}.encode()
	if err != nil {
		return nil, nil, err
	}
	contact, ok := claim.Facts.Contact(recovery.ContactEmail)
	if !ok {
		return data, nil, nil
	}
	return data, []Delivery{{To: contact, Message: "mail.link", Args: map[string]string{"secret": part}}}, nil
}

// Check compares {"secret"}, which only the page behind the link can give.
func (emailLink) Check(_ context.Context, challenge Challenge, answer Answer) (Proof, error) {
	want, err := decodeExpected(challenge.Data)
	if err != nil {
		return Proof{}, err
	}
	if !challenge.Keys.MacEqual(want.Hashes[0], "link", challenge.binding(answer["secret"])...) {
		return Proof{}, recovery.NotProven("error.link.unknown")
	}
	return Proof{}, nil
}
