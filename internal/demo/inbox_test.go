package demo

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/i18n"
	"github.com/wanbi/wanbi/internal/notify"
	"github.com/wanbi/wanbi/internal/recovery"
)

func send(t *testing.T, b *Inbox, m notify.Message) {
	t.Helper()
	if err := b.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

func TestTheInboxKeepsWhatWasSent(t *testing.T) {
	b := NewInbox()
	b.Now = func() time.Time { return began }
	send(t, b, notify.Message{ID: "1", Kind: recovery.ContactPhone, To: "+8613800001001", Text: "first"})
	send(t, b, notify.Message{ID: "2", Kind: recovery.ContactEmail, To: "lilei@example.cn", Subject: "s", Text: "two"})
	send(t, b, notify.Message{ID: "3", Kind: recovery.ContactPhone, To: "+8613800001001", Text: "three"})
	send(t, b, notify.Message{ID: "3", Kind: recovery.ContactPhone, To: "+8613800001001", Text: "three"}) // a repeat is the same message
	texts := func(list []Message) (out []string) {
		for _, m := range list {
			out = append(out, m.Text)
		}
		return out
	}
	if got := texts(b.Messages("+8613800001001")); !slices.Equal(got, []string{"first", "three"}) {
		t.Errorf("the phone got %v", got)
	}
	if got := texts(b.Messages("")); !slices.Equal(got, []string{"first", "two", "three"}) {
		t.Errorf("all got %v", got)
	}
	for want, ask := range map[string][2]string{"three": {"phone", "+8613800001001"}, "two": {"email", ""}} {
		if m, ok := b.Last(recovery.ContactKind(ask[0]), ask[1]); !ok || m.Text != want || !m.At.Equal(began) {
			t.Errorf("last of %v is %v", ask, m.Text)
		}
	}
	if _, ok := b.Last(recovery.ContactEmail, "nobody@example.cn"); ok {
		t.Error("nobody got a message")
	}
	if text := fmt.Sprintf("%v %#v %s", b.Messages("")[0], b.Messages("")[0], b.Messages("")[0]); strings.Contains(text, "first") || strings.Contains(text, "1380") {
		t.Errorf("printing a message tells it: %s", text)
	}
	b.Clear()
	if len(b.Messages("")) != 0 {
		t.Error("a cleared inbox has messages")
	}
}

func TestTheInboxIsBoundedAndSafeForConcurrentUse(t *testing.T) {
	b := NewInbox()
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for n := range mostMessages / 2 {
				send(t, b, notify.Message{ID: fmt.Sprint(i, "-", n), Kind: recovery.ContactPhone, To: "+8613800001001", Text: "x"})
			}
		})
	}
	all.Wait()
	if got := len(b.Messages("")); got != mostMessages || len(b.seen) != mostMessages {
		t.Errorf("%d messages, %d IDs, want %d", got, len(b.seen), mostMessages)
	}
}

// The codes and links of the real messages are found, in both languages, and
// nothing else is taken for a code.
func TestCodesAndLinksAreFoundInRealMessages(t *testing.T) {
	const link = "https://id.example.cn/yichuangtong/cancel/AbC_-123456789"
	args := map[string]any{
		"realm": "一窗通", "code": "123456", "purpose": "重设密码", "what": "重设密码", "minutes": "5", "host": "id.example.cn",
		"link": link, "ref": "7K3MQ-123456", "at": began, "until": began,
	}
	for _, locale := range i18n.Locales {
		for _, key := range i18n.Keys() {
			message := strings.HasPrefix(key, "sms.") || strings.HasPrefix(key, "mail.") && strings.HasSuffix(key, ".text")
			if !message || strings.HasSuffix(key, "other-language") || !known(key, args) {
				continue
			}
			text := i18n.Message(locale, key, args)
			wantCode, wantLinks := "", []string{}
			if key == "sms.code" || key == "mail.code.text" {
				wantCode = "123456"
			}
			if strings.Contains(text, link) {
				wantLinks = []string{link}
			}
			if got := codeIn(text); got != wantCode {
				t.Errorf("%s in %s: code %q in %q", key, locale, got, text)
			}
			if got := linksIn(text); !slices.Equal(got, wantLinks) {
				t.Errorf("%s in %s: links %v in %q", key, locale, got, text)
			}
			whole := ""
			for _, p := range parts(text, linksIn(text)) {
				whole += p.Text
				if p.Link != "" && p.Link != link {
					t.Errorf("%s: link %q", key, p.Link)
				}
			}
			if whole != text {
				t.Errorf("%s in %s: the parts are %q", key, locale, whole)
			}
		}
	}
}

func known(key string, args map[string]any) bool {
	for _, name := range i18n.Placeholders(key) {
		if _, ok := args[name]; !ok {
			return false
		}
	}
	return true
}

func TestAnAddressIsFoundAsItIsTyped(t *testing.T) {
	for typed, want := range map[string]string{
		"13800001001": "+8613800001001", " +86 138 0000 1001 ": "+8613800001001", "LiLei@Example.CN": "lilei@example.cn", "": "", "nobody": "nobody",
	} {
		if got := canonicalAddress(typed); got != want {
			t.Errorf("%q: %q, want %q", typed, got, want)
		}
	}
}

func TestTheClockOnlyGoesForward(t *testing.T) {
	c := NewClock(func() time.Time { return began })
	c.Advance(time.Hour)
	c.NotBefore(began) // it is later already
	if got := c.Now(); !got.Equal(began.Add(time.Hour)) || c.Offset() != time.Hour {
		t.Errorf("%s, offset %s", got, c.Offset())
	}
	c.NotBefore(began.Add(2 * time.Hour))
	if got := c.Now(); !got.Equal(began.Add(2 * time.Hour)) {
		t.Errorf("%s", got)
	}
	defer func() {
		if recover() == nil {
			t.Error("the clock stepped back")
		}
	}()
	c.Advance(-time.Millisecond)
}
