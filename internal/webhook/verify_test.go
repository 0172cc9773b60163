package webhook

import (
	"bytes"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	httpsig "github.com/remitly-oss/httpsig-go"
	"github.com/remitly-oss/httpsig-go/keyman"

	"github.com/wanbi/wanbi/internal/recovery"
)

// delivered gives a request as a host gets it.
func delivered(t *testing.T) (*http.Request, []byte) {
	t.Helper()
	h := newHost(t, false, nil)
	if err := newClient().Post(t.Context(), h.URL+"/wanbi/set-secret?v=1", "case-1", question{"李"}, nil); err != nil {
		t.Fatal(err)
	}
	got := h.all()[0]
	return got.request, got.body
}

func TestVerifyRefusesTampering(t *testing.T) {
	for name, change := range map[string]func(r *http.Request, body *[]byte){
		"body": func(_ *http.Request, body *[]byte) { *body = append(*body, ' ') },
		"body and digest": func(r *http.Request, body *[]byte) {
			*body = []byte("{}")
			r.Header.Set("Content-Digest", digestOf(*body))
		},
		"no digest":        func(r *http.Request, _ *[]byte) { r.Header.Del("Content-Digest") },
		"another digest":   func(r *http.Request, _ *[]byte) { r.Header.Set("Content-Digest", "md5=:AAAA:") },
		"digest no octets": func(r *http.Request, _ *[]byte) { r.Header.Set("Content-Digest", `sha-256="x"`) },
		"method":           func(r *http.Request, _ *[]byte) { r.Method = "PUT" },
		"path":             func(r *http.Request, _ *[]byte) { r.URL.Path = "/wanbi/unlock" },
		"query":            func(r *http.Request, _ *[]byte) { r.URL.RawQuery = "v=2" },
		"host":             func(r *http.Request, _ *[]byte) { r.Host = "other.example" },
		"scheme":           func(r *http.Request, _ *[]byte) { r.TLS = &tls.ConnectionState{} },
		"type":             func(r *http.Request, _ *[]byte) { r.Header.Set("Content-Type", "text/plain") },
		"two types":        func(r *http.Request, _ *[]byte) { r.Header.Add("Content-Type", "text/plain") },
		"no signature":     func(r *http.Request, _ *[]byte) { r.Header.Del("Signature") },
		"no input":         func(r *http.Request, _ *[]byte) { r.Header.Del("Signature-Input") },
		"empty signature":  func(r *http.Request, _ *[]byte) { r.Header.Set("Signature", "sig1=::") },
		"other label": func(r *http.Request, _ *[]byte) {
			r.Header.Set("Signature-Input", strings.Replace(r.Header.Get("Signature-Input"), "sig1", "sig2", 1))
		},
		"created":          input("created=", "created=1"),
		"created text":     input("created=", `created="x";was=`),
		"key":              input(`"wanbi-1"`, `"wanbi-2"`),
		"key a number":     input(`"wanbi-1"`, `1`),
		"nonce":            input(`nonce="`, `nonce="A`),
		"nonce a number":   input(`nonce=`, `nonce=1;was=`),
		"algorithm":        input(`"ed25519"`, `"hmac-sha256"`),
		"expires a text":   input(`;keyid`, `;expires="x";keyid`),
		"covers less":      input(`"@target-uri" `, ``),
		"covers twice":     input(`"@method"`, `"@method" "@method"`),
		"covers otherwise": input(`"@target-uri"`, `"@path"`),
		"of a response":    input(`"content-digest"`, `"content-digest";req`),
		"a token":          input(`"@method"`, `method`),
		"no list":          input(`("@method" "@target-uri" "content-digest" "content-type")`, `x`),
		"nonsense":         func(r *http.Request, _ *[]byte) { r.Header.Set("Signature-Input", "((((") },
	} {
		r, body := delivered(t)
		if err := Verify(r, body, testKeys, noon, time.Minute); err != nil {
			t.Fatal(err)
		}
		change(r, &body)
		err := Verify(r, body, testKeys, noon, time.Minute)
		if !recovery.IsKind(err, recovery.KindUnknown) || recovery.AsError(err).Key != "error.webhook.signature" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func input(before, after string) func(*http.Request, *[]byte) {
	return func(r *http.Request, _ *[]byte) {
		was := r.Header.Get("Signature-Input")
		if !strings.Contains(was, before) {
			panic("nothing to change in " + was)
		}
		r.Header.Set("Signature-Input", strings.Replace(was, before, after, 1))
	}
}

func TestVerifyAge(t *testing.T) {
	for name, c := range map[string]struct {
		now time.Time
		ok  bool
	}{
		"the last that is young enough": {noon.Add(time.Minute), true},
		"the first that is too old":     {noon.Add(time.Minute + time.Millisecond), false},
		"the signer's clock is ahead":   {noon.Add(-clockSkew), true},
		"too far ahead":                 {noon.Add(-clockSkew - time.Millisecond), false},
	} {
		r, body := delivered(t)
		if err := Verify(r, body, testKeys, c.now, time.Minute); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Another signer of the same profile may say when its signature ends.
func TestVerifyExpires(t *testing.T) {
	r, body := delivered(t)
	params := strings.TrimPrefix(r.Header.Get("Signature-Input"), "sig1=") + ";expires=1795147230"
	base := signatureBase(covered, map[string]string{
		"@method": "POST", "@target-uri": "http://" + r.Host + "/wanbi/set-secret?v=1",
		"content-digest": r.Header.Get("Content-Digest"), "content-type": "application/json",
	}, params)
	r.Header.Set("Signature-Input", "sig1="+params)
	r.Header.Set("Signature", "sig1=:"+base64.StdEncoding.EncodeToString(ed25519.Sign(testKey, []byte(base)))+":")
	end := time.Unix(1795147230, 0) // noon and 30 s
	if err := Verify(r, body, testKeys, end, time.Minute); err != nil {
		t.Error(err)
	}
	if err := Verify(r, body, testKeys, end.Add(time.Millisecond), time.Minute); err == nil {
		t.Error("accepted past its end")
	}
}

func TestVerifyReplay(t *testing.T) {
	seen := map[string]time.Time{}
	v := Verifier{Keys: testKeys, Now: at(noon), MaxAge: time.Minute, Seen: func(keyID, nonce string, until time.Time) bool {
		_, again := seen[keyID+" "+nonce]
		seen[keyID+" "+nonce] = until
		return again
	}}
	r, body := delivered(t)
	if _, err := v.Verify(r, append(body, ' ')); err == nil || len(seen) != 0 {
		t.Errorf("a forgery spends a nonce: %v, %v", err, seen)
	}
	keyID, err := v.Verify(r, body)
	if err != nil || keyID != "wanbi-1" {
		t.Errorf("%q, %v", keyID, err)
	}
	for _, until := range seen {
		if !until.Equal(noon.Add(time.Minute)) {
			t.Errorf("remembered until %v", until)
		}
	}
	if _, err := v.Verify(r, body); !recovery.IsKind(err, recovery.KindUnknown) {
		t.Errorf("the same again: %v", err)
	}
	other, body := delivered(t)
	if _, err := v.Verify(other, body); err != nil {
		t.Errorf("the same call, signed anew: %v", err)
	}
}

func TestVerifyBehindAProxy(t *testing.T) {
	h := newHost(t, true, nil)
	c := newClient()
	c.RootCAs = h.roots()
	if err := c.Post(t.Context(), h.URL+"/find", "", question{}, nil); err != nil {
		t.Fatal(err)
	}
	got := h.all()[0]
	got.request.TLS, got.request.Host = nil, "10.0.0.7:8080"
	v := Verifier{Keys: testKeys, Now: at(noon), MaxAge: time.Minute}
	if _, err := v.Verify(got.request, got.body); err == nil {
		t.Error("accepted under another origin")
	}
	v.Origin = h.URL
	if _, err := v.Verify(got.request, got.body); err != nil {
		t.Error(err)
	}
}

// An implementation that is not ours agrees. It derives @target-uri from the
// scheme, host, RawPath and RawQuery fields as they are, so it is shown a
// request in which they join to the URI that RFC 9421 §2.2.2 means.
func TestAnotherImplementationAgrees(t *testing.T) {
	r, body := delivered(t)
	shown := r.Clone(t.Context())
	shown.URL = &url.URL{RawPath: r.URL.RequestURI()}
	public := testKey.Public().(ed25519.PublicKey)
	keys := keyman.NewKeyFetchInMemory(map[string]httpsig.KeySpec{
		"wanbi-1": {KeyID: "wanbi-1", Algo: httpsig.Algo_ED25519, PubKey: public},
	})
	profile := httpsig.VerifyProfile{
		SignatureLabel: label, RequiredFields: httpsig.Fields(covered...), DisableTimeEnforcement: true,
		RequiredMetadata: []httpsig.Metadata{httpsig.MetaCreated, httpsig.MetaKeyID, httpsig.MetaNonce},
	}
	shown.Body = io.NopCloser(bytes.NewReader(body))
	if _, err := httpsig.Verify(shown, keys, profile); err != nil {
		t.Error(err)
	}
	shown.Body = io.NopCloser(bytes.NewReader(append(body, ' ')))
	if _, err := httpsig.Verify(shown, keys, profile); err == nil {
		t.Error("it accepts anything")
	}
}

// The example of RFC 9421 appendix B.2.6: its base is ours.
func TestSignatureBaseOfTheRFC(t *testing.T) {
	public, err := base64.RawURLEncoding.DecodeString("JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs")
	if err != nil {
		t.Fatal(err)
	}
	signature, err := base64.StdEncoding.DecodeString(
		"wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==")
	if err != nil {
		t.Fatal(err)
	}
	base := signatureBase([]string{"date", "@method", "@path", "@authority", "content-type", "content-length"}, map[string]string{
		"date": "Tue, 20 Apr 2021 02:07:55 GMT", "@method": "POST", "@path": "/foo", "@authority": "example.com",
		"content-type": "application/json", "content-length": "18",
	}, `("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"`)
	if !ed25519.Verify(public, []byte(base), signature) {
		t.Errorf("the signature of the RFC does not match:\n%s", base)
	}
}

// Nobody without the key makes a signature, however the headers are written.
func FuzzVerify(f *testing.F) {
	f.Add(`sig1=("@method" "@target-uri" "content-digest" "content-type");created=1795147200;keyid="wanbi-1";alg="ed25519";nonce="x"`, "sig1=:AAAA:", "sha-256=:AAAA:", []byte("{}"))
	f.Add("sig1=()", "sig1=::", "", []byte(nil))
	f.Add(`sig1=(`, `sig1=1, sig2=:AA==:`, `sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:`, []byte(nil))
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		f.Fatal(err)
	}
	keys := func(string) (ed25519.PublicKey, bool) { return public, true }
	f.Fuzz(func(t *testing.T, input, signature, digest string, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "https://host.example/events", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header["Signature-Input"], r.Header["Signature"], r.Header["Content-Digest"] = []string{input}, []string{signature}, []string{digest}
		if Verify(r, body, keys, time.Unix(1795147200, 0), time.Hour) == nil {
			t.Errorf("taken: %s %s", input, signature)
		}
	})
}
