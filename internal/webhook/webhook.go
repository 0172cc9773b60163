// Package webhook makes signed HTTP calls to host systems, and checks such calls
// on the receiving side. Signatures follow RFC 9421 with Ed25519 and cover the
// method, the whole target URI, the body's SHA-256 digest and its type; each has
// a time and a nonce.
//
// A call goes to the address that was configured and nowhere else: redirects are
// not followed, and every address is looked at when it is dialled, after the
// name was resolved, so that no name can lead inside (T19).
//
// Trust: a URL here may have been typed by a tenant's administrator, and what
// answers is not ours. Nothing that it says reaches a log, except a short code.
package webhook

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/span"
)

const (
	defaultTimeout = 10 * time.Second
	retryDelay     = 30 * time.Second
	maxRetryDelay  = time.Hour // a host's Retry-After beyond it is cut
	maxAnswer      = 1 << 20   // bytes of an answer's body
	contentType    = "application/json"
)

// Client posts to host systems. Set its fields before the first use and do not
// copy it. Safe for concurrent use.
type Client struct {
	Key   ed25519.PrivateKey // signs every request
	KeyID string             // what the host finds our public key by: printable ASCII
	Now   func() time.Time   // the time in the signature
	// AllowPrivate lists the networks that may be called although they are not
	// public, and without https: a host beside this server.
	AllowPrivate []netip.Prefix
	Timeout      time.Duration  // from dialling to the last byte of the answer; default 10 s
	RootCAs      *x509.CertPool // nil: the system's

	once   sync.Once
	https  *http.Client // public addresses and AllowPrivate
	plain  *http.Client // AllowPrivate only
	signer signer
	broken error // why the fields above cannot work
}

// Refusal is a host's considered no: 409 or 422. It is the cause of the
// *recovery.Error that Post returns; find it with errors.As.
type Refusal struct {
	Status int
	// Code is the "code" of the host's problem document (RFC 9457), empty where
	// it gave none in the form a-z, 0-9, dot, hyphen, underscore, at most 64.
	Code string
}

// Error names the status and the code.
func (r *Refusal) Error() string { return fmt.Sprintf("the host refused: %d %s", r.Status, r.Code) }

// Post sends body as JSON and reads the answer into out, unless out is nil. A
// key that is not empty goes along as Idempotency-Key.
//
// Errors are *recovery.Error. KindUnavailable "error.webhook.unavailable" is
// worth a repeat with the same key: no answer, 401, 403, 404, 408, 425, 429, 5xx,
// or an answer that cannot be read; what is set up wrong on either side is
// mended while the outbox repeats. 422 is KindBadInput and 409 KindConflict,
// both "error.webhook.refused" with a [Refusal]. KindForbidden
// "error.webhook.address" is an address that must not be called. KindInternal
// "error.webhook.rejected" is any other answer: a repeat will not help.
func (c *Client) Post(ctx context.Context, target, idempotencyKey string, body, out any) error {
	ctx, mark := span.Begin(ctx, "hook call")
	err := c.post(ctx, target, idempotencyKey, body, out)
	mark.End(err)
	return err
}

func (c *Client) post(ctx context.Context, target, idempotencyKey string, body, out any) error {
	c.once.Do(c.prepare)
	if c.broken != nil {
		return recovery.Internal(c.broken)
	}
	payload, err := json.Marshal(body)
	if err != nil {
		return recovery.Internal(fmt.Errorf("webhook: %T does not marshal", body))
	}
	request, err := c.request(ctx, target, idempotencyKey, payload)
	if err != nil {
		return err
	}
	client := c.https
	if request.URL.Scheme == "http" {
		client = c.plain
	}
	response, err := client.Do(request)
	if err != nil {
		return dialError(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return unavailable(retryDelay, fmt.Errorf("status %d, then the answer broke off", response.StatusCode))
	}
	return judge(response, answer, out)
}

// prepare builds the two HTTP clients. Neither asks the environment for a proxy:
// through one, the address dialled would not be the address called.
func (c *Client) prepare() {
	if len(c.Key) != ed25519.PrivateKeySize || c.Now == nil {
		c.broken = errors.New("webhook: the client has no key or no clock")
		return
	}
	if !keyIDForm.MatchString(c.KeyID) {
		c.broken = errors.New("webhook: the key ID is empty or not printable ASCII")
		return
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	c.signer = signer{key: c.Key, keyID: c.KeyID}
	build := func(allowed func(netip.Addr) bool) *http.Client {
		return &http.Client{
			Timeout:       c.Timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				DialContext:         guardedDialer(allowed).DialContext,
				TLSClientConfig:     &tls.Config{RootCAs: c.RootCAs, MinVersion: tls.VersionTLS12},
				TLSHandshakeTimeout: c.Timeout,
				MaxIdleConnsPerHost: 16,
				IdleConnTimeout:     time.Minute,
			},
		}
	}
	private := func(addr netip.Addr) bool { return inside(c.AllowPrivate, addr) }
	c.https = build(func(addr netip.Addr) bool { return public(addr) || private(addr) })
	c.plain = build(private)
}

func (c *Client) request(ctx context.Context, target, idempotencyKey string, payload []byte) (*http.Request, error) {
	parsed, err := url.Parse(target)
	if err != nil || (parsed.Scheme != "https" && parsed.Scheme != "http") || parsed.Host == "" ||
		parsed.User != nil || !hostForm.MatchString(parsed.Host) {
		return nil, forbidden(errors.New("not an http(s) URL without credentials and with an ASCII host"))
	}
	parsed.Fragment, parsed.RawFragment = "", ""
	if parsed.Path == "" {
		parsed.Path = "/"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, parsed.String(), bytes.NewReader(payload))
	if err != nil {
		return nil, forbidden(errors.New("not a URL that can be called"))
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Accept", contentType+", application/problem+json")
	request.Header.Set("User-Agent", "wanbi")
	if idempotencyKey != "" {
		request.Header.Set("Idempotency-Key", idempotencyKey)
	}
	if err := c.signer.sign(request, payload, c.Now()); err != nil {
		return nil, recovery.Internal(err)
	}
	return request, nil
}

// judge reads an answer. See Post for what becomes of which status.
func judge(response *http.Response, answer []byte, out any) error {
	status := response.StatusCode
	switch {
	case status >= 200 && status <= 299:
		if out == nil {
			return nil
		}
		if len(answer) > maxAnswer {
			return unavailable(retryDelay, fmt.Errorf("status %d with more than %d bytes", status, maxAnswer))
		}
		if err := json.Unmarshal(answer, out); err != nil {
			// The decoder's words quote the answer.
			return unavailable(retryDelay, fmt.Errorf("status %d with a body that is not the JSON expected", status))
		}
		return nil
	case status == http.StatusConflict, status == http.StatusUnprocessableEntity:
		refusal := &Refusal{Status: status, Code: codeOf(response, answer)}
		if status == http.StatusConflict {
			return recovery.Conflict("error.webhook.refused").Because(refusal)
		}
		return recovery.BadInput("error.webhook.refused").Because(refusal)
	case status >= 500, status == http.StatusUnauthorized, status == http.StatusForbidden,
		status == http.StatusNotFound, status == http.StatusRequestTimeout,
		status == http.StatusTooEarly, status == http.StatusTooManyRequests:
		return unavailable(retryAfter(response), fmt.Errorf("status %d", status))
	case status >= 300 && status <= 399:
		return rejected(fmt.Errorf("status %d: redirects are not followed", status))
	}
	return rejected(fmt.Errorf("status %d", status))
}

// hostForm keeps the signed URI and the Host header the same: other names are
// rewritten on their way out.
var hostForm = regexp.MustCompile(`^[\x21-\x7e]+$`)

var codeForm = regexp.MustCompile(`^[a-z0-9._-]{1,64}$`)

func codeOf(response *http.Response, answer []byte) string {
	kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil || (kind != contentType && kind != "application/problem+json") || len(answer) > maxAnswer {
		return ""
	}
	var problem struct {
		Code string `json:"code"`
	}
	if json.Unmarshal(answer, &problem) != nil || !codeForm.MatchString(problem.Code) {
		return ""
	}
	return problem.Code
}

// retryAfter reads Retry-After in seconds; its other form, a date, is ignored.
func retryAfter(response *http.Response) time.Duration {
	seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
	if err != nil || seconds <= 0 {
		return retryDelay
	}
	if seconds > int(maxRetryDelay/time.Second) {
		return maxRetryDelay
	}
	return time.Duration(seconds) * time.Second
}

// dialError says why there is no answer, without the URL that net/http puts in front.
func dialError(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if errors.Is(err, errAddress) {
		return forbidden(err)
	}
	return unavailable(retryDelay, err)
}

func unavailable(wait time.Duration, cause error) error {
	return recovery.Unavailable("error.webhook.unavailable", wait).Because(fmt.Errorf("webhook: %w", cause))
}

func forbidden(cause error) error {
	return recovery.Forbidden("error.webhook.address").Because(fmt.Errorf("webhook: %w", cause))
}

func rejected(cause error) error {
	return &recovery.Error{
		Kind: recovery.KindInternal, Key: "error.webhook.rejected", Cause: fmt.Errorf("webhook: %w", cause),
	}
}
