package channel

import (
	"context"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/secret"
)

func init() { register(backupCode{}) }

// backupCode checks a code that the owner wrote down: 128 bit, single use. It
// says by itself which account it belongs to.
type backupCode struct{}

// BackupCodes is how many codes an account has. A challenge always compares
// with this many hashes, so that accounts with fewer look alike.
const BackupCodes = 10

// Info says what it is. Strength: 128 bit cannot be guessed; what remains is theft of the paper.
func (backupCode) Info() recovery.ChannelInfo {
	return recovery.ChannelInfo{
		Name: "backup-code", Factor: recovery.FactorPossession, Strength: 80, Unguessable: true,
		Failures: []string{"error.backup-code.wrong"},
	}
}

// HashBackupCode is the stored form of a canonical backup code.
func HashBackupCode(keys Keys, account recovery.AccountID, canonical string) string {
	return keys.Mac("backup-code", string(account), canonical)
}

// Start takes the hashes of the account's codes and fills up with random ones,
// all of which are made, however many are needed.
func (backupCode) Start(_ context.Context, claim Claim) ([]byte, []Delivery, error) {
	hashes := make([]string, BackupCodes)
	for i := range hashes {
		hashes[i] = claim.Keys.Mac("backup-code", "nobody", secret.NewBackupCode())
	}
	copy(hashes, claim.Facts.BackupCodes())
	data, err := expected{hashes}.encode()
	return data, nil, err
}

// Check compares {"code"} with every hash and names the one it uses up.
func (backupCode) Check(_ context.Context, challenge Challenge, answer Answer) (Proof, error) {
	want, err := decodeExpected(challenge.Data)
	if err != nil {
		return Proof{}, err
	}
	canonical, ok := secret.CanonicalBackupCode(answer["code"])
	found := ""
	for _, hash := range want.Hashes {
		if challenge.Keys.MacEqual(hash, "backup-code", string(challenge.Facts.Account()), canonical) && ok {
			found = hash
		}
	}
	if found == "" {
		return Proof{}, recovery.NotProven("error.backup-code.wrong").At("code")
	}
	return Proof{BackupCode: found}, nil
}
