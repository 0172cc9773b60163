package inbound_test

import (
	"bytes"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/wanbi/wanbi/internal/inbound"
	"github.com/wanbi/wanbi/internal/notify"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/seal"
)

func keyring(t *testing.T) *seal.Keyring {
	t.Helper()
	text, err := seal.Generate("id.example.cn/wanbi")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestReportsAreCountedByFate(t *testing.T) {
	keys := keyring(t)
	var log bytes.Buffer
	d := &inbound.Door{Keys: keys, Log: slog.New(slog.NewTextHandler(&log, nil))}
	address, err := url.Parse(inbound.DLRURL("https://id.example.cn", keys))
	if err != nil || address.Path != inbound.KannelPath {
		t.Fatalf("%v: %v", address, err)
	}
	token := address.Query().Get("token")
	for status, kind := range map[string]recovery.Kind{
		"1": 0, "2": 0, "4": 0, "8": 0, "16": 0, "0": recovery.KindBadInput, "3": recovery.KindBadInput, "": recovery.KindBadInput,
	} {
		err := d.Kannel(t.Context(), inbound.Report{Token: token, ID: "message-7", Status: status})
		if (kind == 0) != (err == nil) || kind != 0 && !recovery.IsKind(err, kind) {
			t.Errorf("status %q: %v", status, err)
		}
	}
	for _, wrong := range []string{"", "x", token + "x", token[:len(token)-1]} {
		if err := d.Kannel(t.Context(), inbound.Report{Token: wrong, ID: "message-7", Status: "1"}); !recovery.IsKind(err, recovery.KindUnknown) {
			t.Errorf("token %q: %v", wrong, err)
		}
	}
	counts := d.Counts()
	if len(counts) != 5 || counts[inbound.FateDelivered] != 1 || counts[inbound.FateRefused] != 1 {
		t.Errorf("counts %v", counts)
	}
	if strings.Contains(log.String(), "message-7") {
		t.Errorf("the log names the message:\n%s", &log)
	}
}

// Kannel expands percent signs in the address, so there must be none.
func TestTheAddressSuitsTheGateway(t *testing.T) {
	_, err := notify.NewKannel(notify.KannelConfig{
		URL: "http://127.0.0.1:13013/cgi-bin/sendsms", Username: "wanbi", Password: "x", DLRURL: inbound.DLRURL("https://id.example.cn", keyring(t)),
	})
	if err != nil {
		t.Error(err)
	}
}
