package webhook

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/dunglas/httpsfv"

	"github.com/wanbi/wanbi/internal/recovery"
)

// clockSkew is how far ahead of ours a signer's clock may run.
const clockSkew = 30 * time.Second

// Verifier checks signed requests as this package makes them. Safe for
// concurrent use when its functions are.
type Verifier struct {
	// Keys gives the public key of a key ID.
	Keys func(keyID string) (ed25519.PublicKey, bool)
	Now  func() time.Time
	// MaxAge is how old a signature may be, its last second included. The nonce
	// is remembered for as long.
	MaxAge time.Duration
	// Seen records a key's nonce and reports whether it was there before; it may
	// forget it after until. It is asked last, of genuine signatures only. Nil:
	// repeats within MaxAge are not noticed.
	Seen func(keyID, nonce string, until time.Time) bool
	// Origin is the scheme and authority that callers see, e.g.
	// https://host.example, where a proxy hides it. Empty: from the request.
	Origin string
}

// Verify checks one request without a memory for repeats; see [Verifier].
func Verify(r *http.Request, body []byte, keys func(keyID string) (ed25519.PublicKey, bool), now time.Time, maxAge time.Duration) error {
	_, err := Verifier{Keys: keys, Now: func() time.Time { return now }, MaxAge: maxAge}.Verify(r, body)
	return err
}

// Verify gives the ID of the key that signed the request. body is the whole
// body as read. Any fault is KindUnknown "error.webhook.signature"; what was
// wrong is for the log, and contains nothing of the request.
func (v Verifier) Verify(r *http.Request, body []byte) (keyID string, err error) {
	signed, err := parse(r)
	if err != nil {
		return "", unsigned(err)
	}
	if err := v.genuine(r, body, signed); err != nil {
		return "", unsigned(err)
	}
	age := v.Now().Sub(signed.created)
	switch {
	case age > v.MaxAge:
		return "", unsigned(errors.New("the signature is too old"))
	case age < -clockSkew:
		return "", unsigned(errors.New("the signature is from the future"))
	case !signed.expires.IsZero() && v.Now().After(signed.expires):
		return "", unsigned(errors.New("the signature has expired"))
	}
	if v.Seen != nil && v.Seen(signed.keyID, signed.nonce, signed.created.Add(v.MaxAge)) {
		return "", unsigned(errors.New("the nonce was used before"))
	}
	return signed.keyID, nil
}

// genuine checks that the key's holder signed exactly this request.
func (v Verifier) genuine(r *http.Request, body []byte, s signedRequest) error {
	if subtle.ConstantTimeCompare([]byte(s.digest), bodyDigest(body)) != 1 {
		return errors.New("the body is not the one signed")
	}
	key, ok := v.Keys(s.keyID)
	if !ok || len(key) != ed25519.PublicKeySize {
		return errors.New("the key is unknown")
	}
	origin := v.Origin
	if origin == "" {
		scheme := "http"
		if r.TLS != nil {
			scheme = "https"
		}
		origin = scheme + "://" + r.Host
	}
	base := signatureBase(s.components, map[string]string{
		"@method": r.Method, "@target-uri": origin + r.URL.RequestURI(),
		"content-digest": r.Header.Get("Content-Digest"), "content-type": r.Header.Get("Content-Type"),
	}, s.params)
	if !ed25519.Verify(key, []byte(base), s.signature) {
		return errors.New("the signature does not match")
	}
	return nil
}

func bodyDigest(body []byte) []byte {
	sum := sha256.Sum256(body)
	return sum[:]
}

// signedRequest is what the headers claim.
type signedRequest struct {
	components []string
	params     string // as signed
	signature  []byte
	digest     []byte
	keyID      string
	nonce      string
	created    time.Time
	expires    time.Time // zero: none
}

func parse(r *http.Request) (signedRequest, error) {
	var s signedRequest
	for _, name := range []string{"Content-Digest", "Content-Type", "Signature", "Signature-Input"} {
		if len(r.Header.Values(name)) != 1 {
			return s, fmt.Errorf("%s is not there exactly once", name)
		}
	}
	var err error
	if s.digest, err = octets(r.Header.Get("Content-Digest"), "sha-256"); err != nil {
		return s, fmt.Errorf("Content-Digest: %w", err)
	}
	if s.signature, err = octets(r.Header.Get("Signature"), label); err != nil {
		return s, fmt.Errorf("header Signature: %w", err)
	}
	inputs, err := httpsfv.UnmarshalDictionary(r.Header.Values("Signature-Input"))
	if err != nil {
		return s, errors.New("Signature-Input is no dictionary")
	}
	member, _ := inputs.Get(label)
	list, ok := member.(httpsfv.InnerList)
	if !ok {
		return s, fmt.Errorf("Signature-Input has no %s", label)
	}
	if s.params, err = httpsfv.Marshal(list); err != nil {
		return s, errors.New("Signature-Input does not read back")
	}
	if s.components, err = components(list.Items); err != nil {
		return s, err
	}
	return s, s.readParams(list.Params)
}

// octets gives the byte sequence under a name of a dictionary header.
func octets(header, name string) ([]byte, error) {
	dictionary, err := httpsfv.UnmarshalDictionary([]string{header})
	if err != nil {
		return nil, errors.New("no dictionary")
	}
	member, _ := dictionary.Get(name)
	item, ok := member.(httpsfv.Item)
	if !ok {
		return nil, fmt.Errorf("no %s", name)
	}
	value, ok := item.Value.([]byte)
	if !ok {
		return nil, fmt.Errorf("%s is no byte sequence", name)
	}
	return value, nil
}

// components wants exactly the covered ones, without parameters, in any order:
// a signature over less proves less, and over more we cannot check.
func components(items []httpsfv.Item) ([]string, error) {
	var names []string
	for _, item := range items {
		name, ok := item.Value.(string)
		if !ok || len(item.Params.Names()) != 0 || !slices.Contains(covered, name) || slices.Contains(names, name) {
			return nil, errors.New("the signature covers something unexpected")
		}
		names = append(names, name)
	}
	if len(names) != len(covered) {
		return nil, errors.New("the signature does not cover enough")
	}
	return names, nil
}

func (s *signedRequest) readParams(params *httpsfv.Params) error {
	var created, expires int64
	var algorithm string
	for name, into := range map[string]any{
		"created": &created, "expires": &expires, "keyid": &s.keyID, "nonce": &s.nonce, "alg": &algorithm,
	} {
		value, there := params.Get(name)
		if !there {
			continue
		}
		fits := false
		switch into := into.(type) {
		case *int64:
			*into, fits = value.(int64)
		case *string:
			*into, fits = value.(string)
		}
		if !fits {
			return fmt.Errorf("the parameter %s is of another type", name)
		}
	}
	switch {
	case created == 0 || s.keyID == "" || s.nonce == "":
		return errors.New("created, keyid or nonce is missing")
	case algorithm != "" && algorithm != "ed25519":
		return errors.New("the algorithm is not ed25519")
	}
	s.created = time.Unix(created, 0)
	if expires != 0 {
		s.expires = time.Unix(expires, 0)
	}
	return nil
}

func unsigned(cause error) error {
	return recovery.Unknown("error.webhook.signature").Because(fmt.Errorf("webhook: %w", cause))
}
