package notify

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/notify/kanneltest"
	"github.com/wanbi/wanbi/internal/recovery"
)

func newKannel(t *testing.T, url string, change func(*KannelConfig)) (*Kannel, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	cfg := KannelConfig{
		URL: url, Username: kanneltest.Username, Password: kanneltest.Password,
		Log: slog.New(slog.NewTextHandler(&log, nil)),
	}
	if change != nil {
		change(&cfg)
	}
	k, err := NewKannel(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return k, &log
}

// The contract with the real gateway, step by step over one start.
func TestKannelContract(t *testing.T) {
	gateway := kanneltest.Start(t)
	reports := make(chan string, 64)
	inbound := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		reports <- r.URL.Query().Encode()
	}))
	t.Cleanup(inbound.Close)
	k, log := newKannel(t, gateway.SendURL, func(c *KannelConfig) {
		c.DLRURL, c.From = inbound.URL+"/dlr?realm=demo", "1069123"
	})

	texts := []string{
		"【完璧】验证码 493021，5 分钟内有效。😀",
		strings.Repeat("【完璧】有人正在申请找回你的账号，100% 请核对 & <链接> \"+1\"。", 5),
		" one line\nanother = 1 & 2 ",
	}
	for i, words := range texts {
		m := text()
		m.Text = words
		m.ID = fmt.Sprintf("m-%d", i)
		if err := k.Send(t.Context(), m); err != nil {
			t.Fatalf("%q: %v", words, err)
		}
		got := gateway.Wait(t, i+1)[i]
		if got.Text != words || got.To != m.To || got.From != "1069123" {
			t.Errorf("got %+v, want %q", got, words)
		}
	}
	if parts := gateway.Received()[1].Parts; parts < 2 {
		t.Errorf("the long text came in %d parts", parts)
	}
	awaitReports(t, reports,
		"id=m-2&realm=demo&status=8", // accepted by the SMS centre
		"id=m-2&realm=demo&status=1", // delivered
	)

	wrong, loud := newKannel(t, gateway.SendURL, func(c *KannelConfig) { c.Password = "wrong-word" })
	err := wrong.Send(t.Context(), text())
	if !recovery.IsKind(err, recovery.KindUnavailable) || !strings.Contains(loud.String(), "level=ERROR") {
		t.Errorf("a wrong password: %v, log %q", err, loud)
	}
	if strings.Contains(err.Error()+loud.String(), "wrong-word") {
		t.Errorf("the password is shown: %v %q", err, loud)
	}

	gateway.StopNetwork()
	for {
		// The gateway notices soon; each text is taken meanwhile, and queued after.
		status, answer := raw(t, k)
		if status != http.StatusAccepted {
			t.Fatalf("status %d %q", status, answer)
		}
		if strings.HasPrefix(answer, "3:") {
			break
		}
	}
	if err := k.Send(t.Context(), text()); err != nil {
		t.Errorf("queued is taken: %v", err)
	}
	if log.Len() != 0 {
		t.Errorf("log %q", log)
	}
}

func awaitReports(t *testing.T, reports <-chan string, want ...string) {
	t.Helper()
	timeout := time.NewTimer(10 * time.Second)
	defer timeout.Stop()
	missing := map[string]bool{}
	for _, report := range want {
		missing[report] = true
	}
	for len(missing) > 0 {
		select {
		case report := <-reports:
			delete(missing, report)
		case <-timeout.C:
			t.Fatalf("no delivery report %v", missing)
		}
	}
}

// raw asks the gateway without judging its answer.
func raw(t *testing.T, k *Kannel) (int, string) {
	t.Helper()
	request, err := k.request(t.Context(), text())
	if err != nil {
		t.Fatal(err)
	}
	response, err := k.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(response.Body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, body.String()
}

// Answers that the real gateway gives only in trouble.
func TestKannelAnswers(t *testing.T) {
	for _, c := range []struct {
		status int
		answer string
		kind   recovery.Kind
		loud   bool
	}{
		{400, "Number(s) has/have been denied by white- and/or black-lists.", recovery.KindBadInput, false},
		{401, "", recovery.KindUnavailable, true},
		{403, "Authorization failed for sendsms", recovery.KindUnavailable, true},
		{404, "Unknown request.", recovery.KindUnavailable, true},
		{410, "", recovery.KindBadInput, false},
		{429, "", recovery.KindUnavailable, false},
		{503, "Temporal failure, try again later.", recovery.KindUnavailable, false},
		{200, "<html>welcome", recovery.KindUnavailable, true},
		{202, "<html>welcome", recovery.KindUnavailable, true},
		{302, "", recovery.KindUnavailable, true},
	} {
		followed := false
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/cgi-bin/sendsms" {
				followed = true
			}
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(c.status)
			_, _ = w.Write([]byte(c.answer + "+8613800001234"))
		}))
		k, log := newKannel(t, server.URL+"/cgi-bin/sendsms", nil)
		err := k.Send(t.Context(), text())
		server.Close()
		if !recovery.IsKind(err, c.kind) || followed {
			t.Errorf("%d: %v, followed %v", c.status, err, followed)
			continue
		}
		if loud := strings.Contains(log.String(), "level=ERROR"); loud != c.loud {
			t.Errorf("%d: log %q", c.status, log)
		}
		if all := err.Error() + log.String(); strings.Contains(all, "138") || strings.Contains(all, kanneltest.Password) {
			t.Errorf("%d: disclosed %q", c.status, all)
		}
	}
}

func TestKannelAwayOrSilent(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	k, _ := newKannel(t, server.URL+"/cgi-bin/sendsms", func(c *KannelConfig) { c.Timeout = 50 * time.Millisecond })
	silent := k.Send(t.Context(), text())
	close(release)
	server.Close()
	away := k.Send(t.Context(), text())
	for name, err := range map[string]error{"silent": silent, "away": away} {
		if !recovery.IsKind(err, recovery.KindUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
		if all := fmt.Sprint(err); strings.Contains(all, "sendsms") || strings.Contains(all, "138") {
			t.Errorf("%s: the error shows the request: %s", name, all)
		}
	}
}

func TestKannelBoundsItsRequests(t *testing.T) {
	const bound, sends = 3, 9
	var mu sync.Mutex
	now, most := 0, 0
	arrived, release := make(chan struct{}, sends), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		arrived <- struct{}{}
		<-release
		mu.Lock()
		now--
		mu.Unlock()
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write([]byte("0: Accepted for delivery"))
	}))
	t.Cleanup(server.Close)
	k, _ := newKannel(t, server.URL, func(c *KannelConfig) { c.MaxConcurrent = bound })
	var all sync.WaitGroup
	for range sends {
		all.Go(func() {
			if err := k.Send(t.Context(), text()); err != nil {
				t.Error(err)
			}
		})
	}
	for range bound {
		<-arrived
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := k.Send(ctx, text()); !recovery.IsKind(err, recovery.KindUnavailable) {
		t.Errorf("a caller who left: %v", err)
	}
	close(release)
	all.Wait()
	if most != bound {
		t.Errorf("%d requests at once, want %d", most, bound)
	}
}

func TestKannelConfigRefusesToGuess(t *testing.T) {
	good := KannelConfig{URL: "http://sms.internal:13013/cgi-bin/sendsms", Username: "u", Password: "s3cret"}
	if _, err := NewKannel(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*KannelConfig){
		"no url":                  func(c *KannelConfig) { c.URL = "" },
		"another scheme":          func(c *KannelConfig) { c.URL = "ftp://sms.internal/x" },
		"a query in the url":      func(c *KannelConfig) { c.URL += "?password=x" },
		"credentials in the url":  func(c *KannelConfig) { c.URL = "http://u:p@sms.internal/x" },
		"no password":             func(c *KannelConfig) { c.Password = "" },
		"a sender of two lines":   func(c *KannelConfig) { c.From = "a\r\nX-Kannel-To: b" },
		"a percent in the report": func(c *KannelConfig) { c.DLRURL = "http://wanbi.internal/dlr?to=%p" },
		"a report to nowhere":     func(c *KannelConfig) { c.DLRURL = "/dlr" },
		"a negative bound":        func(c *KannelConfig) { c.MaxConcurrent = -1 },
	} {
		cfg := good
		change(&cfg)
		if _, err := NewKannel(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if printed := fmt.Sprintf("%v %+v %#v", good, good, good); strings.Contains(printed, "s3cret") {
		t.Errorf("printed %s", printed)
	}
}
