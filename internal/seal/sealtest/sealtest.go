// Package sealtest replaces keys in a key file, as an operator will do who
// rotates them, so that tests can stand on both sides of a rotation.
//
// Trust: none is asked for; only tests import it.
package sealtest

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/daead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyderivation"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
)

// Parts are those of a key file that can hold several keys. The part subject is
// not among them: its key is for ever.
var Parts = []string{"seal", "index", "hash", "ids"}

// Rotate gives a key file in which the named parts have a new key, used from now
// on, beside the old one, which is still read.
func Rotate(file []byte, parts ...string) ([]byte, error) {
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(file, &all); err != nil {
		return nil, err
	}
	for _, part := range parts {
		fresh, err := template(part)
		if err != nil {
			return nil, err
		}
		if all[part], err = add(all[part], fresh); err != nil {
			return nil, fmt.Errorf("part %s: %w", part, err)
		}
	}
	return json.Marshal(all)
}

func template(part string) (*tinkpb.KeyTemplate, error) {
	switch part {
	case "seal":
		return keyderivation.CreatePRFBasedKeyTemplate(prf.HKDFSHA256PRFKeyTemplate(), aead.AES256GCMKeyTemplate())
	case "index", "hash":
		return prf.HMACSHA256PRFKeyTemplate(), nil
	case "ids":
		return daead.AESSIVKeyTemplate(), nil
	}
	return nil, fmt.Errorf("part %q is not replaced", part)
}

func add(old json.RawMessage, fresh *tinkpb.KeyTemplate) (json.RawMessage, error) {
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(old)))
	if err != nil {
		return nil, err
	}
	manager := keyset.NewManagerFromHandle(handle)
	id, err := manager.Add(fresh)
	if err != nil {
		return nil, err
	}
	if err := manager.SetPrimary(id); err != nil {
		return nil, err
	}
	if handle, err = manager.Handle(); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&out))
	return out.Bytes(), err
}
