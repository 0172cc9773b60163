package notify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/wanbi/wanbi/internal/recovery"
)

// Defaults of a Kannel sender.
const (
	defaultKannelTimeout    = 10 * time.Second
	defaultKannelConcurrent = 32
)

// KannelConfig says which SMS gateway takes texts. See the "SMS push" chapter
// of Kannel's user guide.
type KannelConfig struct {
	URL      string // of smsbox's sendsms, e.g. http://127.0.0.1:13013/cgi-bin/sendsms
	Username string // of the sendsms-user group
	Password string
	From     string // sender number or name; empty: the gateway's own
	// DLRURL is where the gateway reports what became of a text. Two parameters
	// are added: id, the message's ID, and status, Kannel's number: 1 delivered,
	// 2 not delivered, 4 queued, 8 accepted, 16 refused by the SMS centre. A long
	// text is reported once for each part. Empty: no reports.
	DLRURL        string
	Timeout       time.Duration // for one text; default 10 s
	MaxConcurrent int           // at most so many requests at a time; default 32
	Log           *slog.Logger  // nil: slog.Default; hears of what an operator must repair
}

// String names nothing secret.
func (c KannelConfig) String() string { return "kannel " + withoutQuery(c.URL) }

// GoString is String, for %#v.
func (c KannelConfig) GoString() string { return c.String() }

// LogValue is String, for slog.
func (c KannelConfig) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Kannel is a [Sender] of texts over a Kannel gateway.
//
// Everything travels in a POST's headers and body: of the two forms that smsbox
// takes, the other one writes password, number and code into the URL and with
// it into the access log of whatever stands between.
type Kannel struct {
	cfg    KannelConfig
	client *http.Client
	slots  chan struct{}
}

// NewKannel checks the configuration; it does not connect yet.
func NewKannel(cfg KannelConfig) (*Kannel, error) {
	target, err := url.Parse(cfg.URL)
	if err != nil || (target.Scheme != "http" && target.Scheme != "https") || target.Host == "" ||
		target.User != nil || target.RawQuery != "" {
		return nil, errors.New("kannel: url is no http(s) URL without credentials and query")
	}
	if cfg.DLRURL != "" {
		back, err := url.Parse(cfg.DLRURL)
		// Kannel expands %x codes in it, so it must not bring any of its own.
		if err != nil || (back.Scheme != "http" && back.Scheme != "https") || back.Host == "" ||
			back.Fragment != "" || strings.Contains(cfg.DLRURL, "%") || !oneLine(cfg.DLRURL) {
			return nil, errors.New("kannel: dlr-url is no http(s) URL, or has a percent sign or fragment")
		}
	}
	if cfg.Username == "" || cfg.Password == "" {
		return nil, errors.New("kannel: username and password are needed")
	}
	if !oneLine(cfg.Username) || !oneLine(cfg.Password) || !oneLine(cfg.From) {
		return nil, errors.New("kannel: username, password or from has control characters")
	}
	if cfg.Timeout < 0 || cfg.MaxConcurrent < 0 {
		return nil, errors.New("kannel: timeout and max-concurrent cannot be negative")
	}
	cfg.Timeout = orElse(cfg.Timeout, defaultKannelTimeout)
	cfg.MaxConcurrent = orElse(cfg.MaxConcurrent, defaultKannelConcurrent)
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	transport := &http.Transport{
		MaxIdleConns: cfg.MaxConcurrent, MaxIdleConnsPerHost: cfg.MaxConcurrent,
		IdleConnTimeout: time.Minute, TLSHandshakeTimeout: cfg.Timeout,
	}
	return &Kannel{
		cfg:   cfg,
		slots: make(chan struct{}, cfg.MaxConcurrent),
		client: &http.Client{
			Transport: transport, Timeout: cfg.Timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Send implements [Sender]: it returns once the gateway has taken the text, or
// has queued it for when its SMS centre is back.
func (k *Kannel) Send(ctx context.Context, m Message) error {
	if err := m.check(recovery.ContactPhone); err != nil {
		return refused(err)
	}
	select {
	case k.slots <- struct{}{}:
		defer func() { <-k.slots }()
	case <-ctx.Done():
		return unavailable(ctx.Err())
	}
	request, err := k.request(ctx, m)
	if err != nil {
		return recovery.Internal(errors.New("kannel: the request cannot be built"))
	}
	response, err := k.client.Do(request)
	if err != nil {
		return unavailable(fmt.Errorf("kannel: %w", withoutURL(err)))
	}
	defer response.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(response.Body, 512))
	return k.judge(ctx, response.StatusCode, string(answer))
}

func (k *Kannel) request(ctx context.Context, m Message) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, k.cfg.URL, strings.NewReader(m.Text))
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		"Content-Type":      "text/plain; charset=UTF-8",
		"X-Kannel-Username": k.cfg.Username,
		"X-Kannel-Password": k.cfg.Password,
		"X-Kannel-From":     k.cfg.From,
		"X-Kannel-To":       m.To,
		"X-Kannel-Coding":   "2", // UCS-2, the only one with Chinese
	} {
		if value != "" {
			request.Header.Set(name, value)
		}
	}
	if k.cfg.DLRURL != "" {
		joint := "?"
		if strings.Contains(k.cfg.DLRURL, "?") {
			joint = "&"
		}
		request.Header.Set("X-Kannel-DLR-Mask", "31") // every report there is
		request.Header.Set("X-Kannel-DLR-Url", k.cfg.DLRURL+joint+"id="+m.ID+"&status=%d")
	}
	return request, nil
}

// judge reads the gateway's answer. Its words are looked at and dropped.
func (k *Kannel) judge(ctx context.Context, status int, answer string) error {
	cause := fmt.Errorf("kannel: status %d", status)
	switch status {
	case http.StatusAccepted:
		// "0: Accepted for delivery", "3: Queued for later delivery", or "Sent."
		// where the gateway answers before its own core does.
		if strings.HasPrefix(answer, "0:") || strings.HasPrefix(answer, "3:") || strings.HasPrefix(answer, "Sent.") {
			return nil
		}
		return k.misfit(ctx, fmt.Errorf("%w, with an answer that is not Kannel's", cause))
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return unavailable(cause)
	case http.StatusUnauthorized, http.StatusForbidden:
		return k.misfit(ctx, fmt.Errorf("%w: username, password or our address is not accepted", cause))
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusProxyAuthRequired:
		return k.misfit(ctx, fmt.Errorf("%w: this URL is not sendsms", cause))
	}
	switch {
	case status >= 500:
		return unavailable(cause)
	case status >= 400:
		return refused(cause)
	}
	return k.misfit(ctx, fmt.Errorf("%w: not an answer of sendsms", cause))
}

// misfit is what no repeat mends before somebody repairs a setting; the message
// is kept for that moment.
func (k *Kannel) misfit(ctx context.Context, cause error) error {
	k.cfg.Log.ErrorContext(ctx, "SMS gateway cannot be used as configured",
		"gateway", withoutQuery(k.cfg.URL), "cause", cause.Error())
	return unavailable(cause)
}

// withoutURL drops the URL that net/http puts before its errors.
func withoutURL(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// withoutQuery keeps what a log may show of a URL.
func withoutQuery(raw string) string {
	parsed, err := url.Parse(raw)
	if err != nil {
		return "(no URL)"
	}
	return parsed.Scheme + "://" + parsed.Host + parsed.Path
}
