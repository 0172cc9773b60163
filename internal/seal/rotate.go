package seal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/daead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyderivation"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
)

// Rotate gives a key file's content with a new version of the keys seal, index,
// hash and ids in use from now on. The older versions stay, since what they made
// is still read with them. The key subject and the two that sign are as before.
func Rotate(text []byte) ([]byte, error) {
	if _, err := Parse(text); err != nil {
		return nil, err
	}
	var out file
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, errors.New("not a key file of this program")
	}
	derivation, err := keyderivation.CreatePRFBasedKeyTemplate(prf.HKDFSHA256PRFKeyTemplate(), aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, err
	}
	for _, part := range []struct {
		name     string
		of       *json.RawMessage
		template *tinkpb.KeyTemplate
	}{
		{"seal", &out.Seal, derivation},
		{"index", &out.Index, prf.HMACSHA256PRFKeyTemplate()},
		{"hash", &out.Hash, prf.HMACSHA256PRFKeyTemplate()},
		{"ids", &out.IDs, daead.AESSIVKeyTemplate()},
	} {
		if *part.of, err = withNewPrimary(part.name, *part.of, part.template); err != nil {
			return nil, err
		}
	}
	rotated, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return nil, err
	}
	if _, err := Parse(rotated); err != nil {
		return nil, fmt.Errorf("the new keys do not work: %w", err)
	}
	return rotated, nil
}

// withNewPrimary adds a key to a keyset and has it used from now on.
func withNewPrimary(name string, text json.RawMessage, template *tinkpb.KeyTemplate) (json.RawMessage, error) {
	handle, err := readKeyset(name, text)
	if err != nil {
		return nil, err
	}
	keys := keyset.NewManagerFromHandle(handle)
	id, err := keys.Add(template)
	if err != nil {
		return nil, fmt.Errorf("part %s: %w", name, err)
	}
	if err := keys.SetPrimary(id); err != nil {
		return nil, fmt.Errorf("part %s: %w", name, err)
	}
	if handle, err = keys.Handle(); err != nil {
		return nil, fmt.Errorf("part %s: %w", name, err)
	}
	var buf bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&buf)); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}
