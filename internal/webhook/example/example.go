// Package example holds what docs/events.md shows: how a host checks that a
// call comes from Wanbi, with nothing but the standard library. A test keeps
// the two alike and runs it.
//
// Trust: key and url are the host's own settings; everything in r and body is
// a stranger's until FromWanbi said yes.
package example

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// FromWanbi reports whether the holder of key signed this call to url, with
// this body, within five minutes of now.
func FromWanbi(r *http.Request, body []byte, url string, key ed25519.PublicKey, now time.Time) bool {
	params, labelled := strings.CutPrefix(r.Header.Get("Signature-Input"), "sig1=")
	const covered = `("@method" "@target-uri" "content-digest" "content-type");created=`
	digest := sha256.Sum256(body)
	base := fmt.Sprintf("\"@method\": %s\n\"@target-uri\": %s\n\"content-digest\": sha-256=:%s:\n\"content-type\": %s\n\"@signature-params\": %s",
		r.Method, url, base64.StdEncoding.EncodeToString(digest[:]), r.Header.Get("Content-Type"), params)
	signature, err := base64.StdEncoding.DecodeString(
		strings.TrimSuffix(strings.TrimPrefix(r.Header.Get("Signature"), "sig1=:"), ":"))
	var created int64
	if _, bad := fmt.Sscanf(strings.TrimPrefix(params, covered), "%d;", &created); bad != nil || err != nil {
		return false
	}
	return labelled && strings.HasPrefix(params, covered) &&
		now.Sub(time.Unix(created, 0)).Abs() <= 5*time.Minute && ed25519.Verify(key, []byte(base), signature)
}
