package host

import (
	"context"

	"github.com/wanbi/wanbi/internal/account"
)

// SignIn is a host's question whether a sign-in secret is right.
type SignIn struct {
	Identifier string // as typed
	Secret     string
	Device     string // the host's own name for the device, may be empty
}

// String discloses nothing.
func (SignIn) String() string { return "sign-in" }

// GoString discloses nothing.
func (SignIn) GoString() string { return "sign-in" }

// VerifySecret says whether the secret is right, and counts the try. A repeat
// under the same Idempotency-Key gets the first answer and counts nothing.
func (d *Door) VerifySecret(ctx context.Context, from Caller, in SignIn) (account.Checked, error) {
	if err := d.allow(ctx, from, ScopeSecrets); err != nil {
		return account.Checked{}, err
	}
	return once(ctx, d, from, func() (account.Checked, error) {
		return d.Accounts.Verify(ctx, account.SignIn{
			Realm: from.Realm, Identifier: in.Identifier, Secret: in.Secret, Device: in.Device,
		})
	}, "verify", in.Identifier, in.Secret, in.Device)
}

// SignIns takes sign-ins that the host saw. Those that are known change nothing.
func (d *Door) SignIns(ctx context.Context, from Caller, batch []account.PastSignIn) ([]Result, error) {
	if err := d.allow(ctx, from, ScopeSignIns); err != nil {
		return nil, err
	}
	if err := size(len(batch), "sign_ins"); err != nil {
		return nil, err
	}
	return once(ctx, d, from, func() ([]Result, error) {
		problems, err := d.Accounts.RecordSignIns(ctx, from.Realm, batch)
		if err != nil {
			return nil, err
		}
		out := make([]Result, len(batch))
		for i, problem := range problems {
			out[i] = Result{ID: batch[i].HostID, Err: public(problem)}
		}
		return out, nil
	}, "sign-ins", batch)
}
