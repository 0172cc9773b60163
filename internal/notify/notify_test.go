package notify

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/wanbi/wanbi/internal/recovery"
)

func letter() Message {
	return Message{
		ID: "0198c0de-1", Kind: recovery.ContactEmail, To: "li@example.cn",
		From: "完璧演示", Subject: "你的验证码", Text: "验证码 493021，10 分钟内有效。\n", Locale: "zh-CN",
	}
}

func text() Message {
	return Message{ID: "0198c0de-2", Kind: recovery.ContactPhone, To: "+8613800001234", Text: "【完璧】验证码 493021。"}
}

// T15: nothing secret in what people print by accident.
func TestMessageIsNeverPrinted(t *testing.T) {
	m := letter()
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("sending", "message", m)
	slog.New(slog.NewTextHandler(&log, nil)).Info("sending", "message", &m)
	for _, printed := range []string{
		fmt.Sprint(m), fmt.Sprintf("%v %+v %#v %s", m, m, m, &m), log.String(),
	} {
		if strings.Contains(printed, "493021") || strings.Contains(printed, "li@") {
			t.Errorf("printed: %s", printed)
		}
		if !strings.Contains(printed, m.ID) {
			t.Errorf("the ID is missing: %s", printed)
		}
	}
}

// T2: exactly one destination, and no field that ends a header early.
func TestCheckRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		phone  bool
		change func(*Message)
		ok     bool
	}{
		"a plain letter":             {change: func(*Message) {}, ok: true},
		"a plain text":               {phone: true, change: func(*Message) {}, ok: true},
		"15 digits":                  {phone: true, change: func(m *Message) { m.To = "+861380000123456"[:16] }, ok: true},
		"16 digits":                  {phone: true, change: func(m *Message) { m.To = "+8613800001234567"[:17] }},
		"7 digits":                   {phone: true, change: func(m *Message) { m.To = "+2901234" }, ok: true},
		"6 digits":                   {phone: true, change: func(m *Message) { m.To = "+290123" }},
		"two numbers":                {phone: true, change: func(m *Message) { m.To = "+8613800001234 +8613800001235" }},
		"two numbers without space":  {phone: true, change: func(m *Message) { m.To = "+8613800001234+8613800001235" }},
		"a number with a line break": {phone: true, change: func(m *Message) { m.To = "+8613800001234\n" }},
		"an ID of 128":               {change: func(m *Message) { m.ID = strings.Repeat("a", 128) }, ok: true},
		"an ID of 129":               {change: func(m *Message) { m.ID = strings.Repeat("a", 129) }},
		"no ID":                      {change: func(m *Message) { m.ID = "" }},
		"an ID that ends a header":   {change: func(m *Message) { m.ID = "a>\r\nBcc: x" }},
		"two addresses":              {change: func(m *Message) { m.To = "li@example.cn,x@example.org" }},
		"a display name":             {change: func(m *Message) { m.To = "Li <li@example.cn>" }},
		"angle brackets":             {change: func(m *Message) { m.To = "<li@example.cn>" }},
		"a comment":                  {change: func(m *Message) { m.To = "li@example.cn(x)" }},
		"an address literal":         {change: func(m *Message) { m.To = "li@[127.0.0.1]" }},
		"an address with line break": {change: func(m *Message) { m.To = "li@example.cn\r\nRCPT TO:<x@y.z>" }},
		"an address of 254":          {change: func(m *Message) { m.To = "li@" + strings.Repeat("a.", 124) + "com" }, ok: true},
		"an address of 255":          {change: func(m *Message) { m.To = "lii@" + strings.Repeat("a.", 124) + "com" }},
		"no address":                 {change: func(m *Message) { m.To = "" }},
		"a subject of two lines":     {change: func(m *Message) { m.Subject = "a\r\nBcc: x@example.org" }},
		"a bare carriage return":     {change: func(m *Message) { m.Subject = "a\rb" }},
		"a sender of two lines":      {change: func(m *Message) { m.From = "a\nReply-To: x@example.org" }},
		"a subject not in UTF-8":     {change: func(m *Message) { m.Subject = "\xff" }},
		"no text":                    {change: func(m *Message) { m.Text = "" }},
		"a text not in UTF-8":        {change: func(m *Message) { m.Text = "\xff" }},
		"a NUL":                      {change: func(m *Message) { m.Text = "a\x00b" }},
		"a locale of two lines":      {change: func(m *Message) { m.Locale = "zh\nX: y" }},
		"another kind":               {change: func(m *Message) { m.Kind = recovery.ContactPhone }},
	} {
		m := letter()
		kind := recovery.ContactEmail
		if c.phone {
			m, kind = text(), recovery.ContactPhone
		}
		c.change(&m)
		if err := m.check(kind); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type recorder struct{ ids []string }

func (r *recorder) Send(_ context.Context, m Message) error {
	r.ids = append(r.ids, m.ID)
	return nil
}

func TestRouterPicksBySender(t *testing.T) {
	mail, phone := &recorder{}, &recorder{}
	router := Router{recovery.ContactEmail: mail, recovery.ContactPhone: phone}
	if err := router.Send(t.Context(), letter()); err != nil {
		t.Fatal(err)
	}
	if err := router.Send(t.Context(), text()); err != nil {
		t.Fatal(err)
	}
	if len(mail.ids) != 1 || mail.ids[0] != letter().ID || len(phone.ids) != 1 || phone.ids[0] != text().ID {
		t.Errorf("mail %v, phone %v", mail.ids, phone.ids)
	}
	delete(router, recovery.ContactPhone)
	if err := router.Send(t.Context(), text()); !recovery.IsKind(err, recovery.KindBadInput) {
		t.Errorf("a kind without sender: %v", err)
	}
}
