package channel

import (
	"context"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/wanbi/wanbi/internal/identifier"
	"github.com/wanbi/wanbi/internal/recovery"
)

func init() { register(realName{}) }

// realName compares a name and a resident ID with the facts on file. Both can be
// bought, so it helps and never proves alone; it says only whether both agree
// (no feedback by item, T16).
type realName struct{}

// The facts it reads.
const (
	FactRealName   = "real-name"
	FactResidentID = "resident-id"
)

// Info says what it is.
func (realName) Info() recovery.ChannelInfo {
	return recovery.ChannelInfo{
		Name: "real-name", Factor: recovery.FactorHelper, Strength: 20,
		AccountBound: true, Helper: true, Sensitive: true,
		Failures: []string{"error.answer.wrong"},
	}
}

// CanonicalName folds width, case and spaces, and the dots of minority names.
func CanonicalName(name string) string {
	name = strings.ToLower(norm.NFKC.String(name))
	name = strings.NewReplacer("•", "·", "‧", "·", "・", "·", ".", "·").Replace(name)
	return strings.Join(strings.Fields(name), "")
}

// Start hashes the facts; without them the hash is of something nobody can give.
func (realName) Start(_ context.Context, claim Claim) ([]byte, []Delivery, error) {
	name, haveName := claim.Facts.Fact(FactRealName)
	id, haveID := claim.Facts.Fact(FactResidentID)
	hash := claim.Keys.Mac("facts", claim.binding("present", CanonicalName(name), id)...)
	absent := claim.Keys.Mac("facts", claim.binding("absent")...) // made either way
	if !haveName || !haveID {
		hash = absent
	}
	data, err := expected{[]string{hash}}.encode()
	return data, nil, err
}

// Check compares {"name", "resident-id"}.
func (realName) Check(_ context.Context, challenge Challenge, answer Answer) (Proof, error) {
	want, err := decodeExpected(challenge.Data)
	if err != nil {
		return Proof{}, err
	}
	typed := ""
	if id, err := identifier.Parse(recovery.IdentifierResidentID, answer["resident-id"]); err == nil {
		typed = id.Value
	}
	name := CanonicalName(answer["name"])
	equal := challenge.Keys.MacEqual(want.Hashes[0], "facts", challenge.binding("present", name, typed)...)
	if !equal || typed == "" || name == "" {
		return Proof{}, recovery.NotProven("error.answer.wrong")
	}
	return Proof{}, nil
}
