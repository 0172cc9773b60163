package webhook

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"
)

// label names our signature in the two headers, which could hold several.
const label = "sig1"

// covered are the components that a signature covers, in the order we write them.
var covered = []string{"@method", "@target-uri", "content-digest", "content-type"}

var keyIDForm = regexp.MustCompile(`^[\x21\x23-\x5b\x5d-\x7e]{1,128}$`) // no space, quote, backslash

// signer signs requests as RFC 9421 §3.1 says.
//
// The library that the tests compare with (remitly-oss/httpsig-go v1.2.0) cannot
// write this for us: it leaves path and query mark out of @target-uri, calls
// every outgoing one http, and takes the time from the wall.
type signer struct {
	key   ed25519.PrivateKey
	keyID string
}

// sign adds Content-Digest, Signature-Input and Signature.
func (s signer) sign(r *http.Request, body []byte, now time.Time) error {
	r.Header.Set("Content-Digest", digestOf(body))
	list := httpsfv.InnerList{Params: httpsfv.NewParams()}
	for _, name := range covered {
		list.Items = append(list.Items, httpsfv.NewItem(name))
	}
	list.Params.Add("created", now.Unix())
	list.Params.Add("keyid", s.keyID)
	list.Params.Add("alg", "ed25519")
	list.Params.Add("nonce", rand.Text()) // at least 128 bits
	params, err := httpsfv.Marshal(list)
	if err != nil {
		return fmt.Errorf("webhook: signature parameters: %w", err)
	}
	values := map[string]string{
		"@method": r.Method, "@target-uri": r.URL.String(),
		"content-digest": r.Header.Get("Content-Digest"), "content-type": r.Header.Get("Content-Type"),
	}
	signature := ed25519.Sign(s.key, []byte(signatureBase(covered, values, params)))
	r.Header.Set("Signature-Input", label+"="+params)
	r.Header.Set("Signature", label+"=:"+base64.StdEncoding.EncodeToString(signature)+":")
	return nil
}

// signatureBase writes what is signed (RFC 9421 §2.5): a line for each
// component in the order of names, and one for the parameters.
func signatureBase(names []string, values map[string]string, params string) string {
	var base strings.Builder
	for _, name := range names {
		fmt.Fprintf(&base, "%q: %s\n", name, values[name])
	}
	fmt.Fprintf(&base, "%q: %s", "@signature-params", params)
	return base.String()
}

// digestOf writes the header of RFC 9530 with SHA-256.
func digestOf(body []byte) string {
	sum := sha256.Sum256(body)
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}
