package stories

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/claimant"
	"github.com/wanbi/wanbi/internal/notify"
	"github.com/wanbi/wanbi/internal/notify/kanneltest"
	"github.com/wanbi/wanbi/internal/notify/smtptest"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/server"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/testkit"
)

// Ten thousand accounts come in from a CSV file; ten of their owners forgot the
// password. Five get a code through Kannel (Debian's, with its fakesmsc), five
// through an SMTP server with STARTTLS and AUTH; all ten sign in afterwards, and
// each contact on file was told.
func TestTenOfTenThousandComeBackThroughKannelAndSMTP(t *testing.T) {
	for _, engine := range testkit.Engines {
		t.Run(string(engine), func(t *testing.T) {
			gateway := kanneltest.Start(t)
			mail := smtptest.Start(t, smtptest.Options{TLS: notify.TLSStart, Username: "wanbi", Password: "letter-box"})
			s := startWithDelivery(t, engine, gateway, mail)
			importTenThousand(t, s)
			for i := range 10 {
				comeBack(t, s, i, func() string {
					if i%2 == 0 {
						// Before this code came 3 texts to each owner by phone and 2 to each by mail.
						texts := gateway.Wait(t, 5*(i/2)+1)
						return newestCode(t, len(texts), func(k int) (string, string) { return texts[k].To, texts[k].Text }, phone(i))
					}
					letters := mail.Wait(t, 1)
					return newestCode(t, len(letters), func(k int) (string, string) { return letters[k].To[0], letters[k].Text }, email(i))
				})
			}
			told := map[string]bool{}
			for _, m := range mail.Messages() {
				if strings.Contains(m.Text, "/cancel/") {
					told[m.To[0]] = true
				}
			}
			for i := range 10 {
				if !told[email(i)] {
					t.Errorf("%s was not told", email(i))
				}
			}
		})
	}
}

func phone(i int) string { return fmt.Sprintf("+86138%08d", i) }
func email(i int) string { return fmt.Sprintf("owner%d@example.cn", i) }

func startWithDelivery(t *testing.T, engine store.Engine, gateway *kanneltest.Gateway, mail *smtptest.Server) *testkit.Server {
	t.Helper()
	s := testkit.Start(t, engine, []string{"yichuangtong"}, func(o *server.Options) {
		letters, err := notify.NewSMTP(notify.SMTPConfig{
			Addr: mail.Addr, TLS: notify.TLSStart, Username: "wanbi", Password: "letter-box",
			From: "recovery@id.example.cn", HELO: "id.example.cn", RootCAs: mail.RootCAs, Connections: 4,
		}, o.Now)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = letters.Close() })
		texts, err := notify.NewKannel(notify.KannelConfig{
			URL: gateway.SendURL, Username: kanneltest.Username, Password: kanneltest.Password, From: kanneltest.Sender,
		})
		if err != nil {
			t.Fatal(err)
		}
		o.Sender = notify.Router{recovery.ContactEmail: letters, recovery.ContactPhone: texts}
	})
	return s
}

func importTenThousand(t *testing.T, s *testkit.Server) {
	t.Helper()
	var file strings.Builder
	file.WriteString("id,phone,email,username,locale\n")
	for i := range 10_000 {
		fmt.Fprintf(&file, "host-%d,%s,%s,owner-%d,zh-CN\n", i, phone(i), email(i), i)
	}
	var batch []account.Record
	flush := func() {
		results, err := s.Accounts.Import(t.Context(), "yichuangtong", batch)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
		}
		batch = batch[:0]
	}
	for line, err := range account.ReadCSV(strings.NewReader(file.String())) {
		if err != nil || line.Err != nil {
			t.Fatal(err, line.Err)
		}
		if batch = append(batch, line.Record); len(batch) == 500 {
			flush()
		}
	}
	flush()
}

// comeBack walks one owner from the identifier to the new password.
func comeBack(t *testing.T, s *testkit.Server, i int, code func() string) {
	t.Helper()
	ctx := t.Context()
	from := claimant.Caller{Locale: "zh-CN"}
	identifier, way, channel := phone(i), "phone", "sms-code"
	if i%2 == 1 {
		identifier, way, channel = email(i), "email", "email-code"
	}
	must := func(err error) {
		t.Helper()
		if err == nil {
			err = s.Settle(ctx)
		}
		if err != nil {
			t.Fatalf("owner %d: %v", i, err)
		}
	}
	opened, err := s.Claimant.Open(ctx, from, claimant.OpenRequest{
		Realm: "yichuangtong", Intent: recovery.IntentResetPassword, Identifier: identifier,
	})
	must(err)
	view, err := s.Claimant.StartChallenge(ctx, from, opened.Credentials, way, channel)
	must(err)
	_, err = s.Claimant.Answer(ctx, from, opened.Credentials, view.Challenge.ID, map[string]string{"code": code()})
	must(err)
	_, err = s.Claimant.TakeOutcome(ctx, from, opened.Credentials, "New-jade-2026")
	must(err)
	got, err := s.Accounts.Verify(ctx, account.SignIn{Realm: "yichuangtong", Identifier: identifier, Secret: "New-jade-2026"})
	must(err)
	if got.Result != account.ResultOK {
		t.Fatalf("owner %d signs in: %s", i, got.Result)
	}
}

var sixDigits = regexp.MustCompile(`\b\d{6}\b`)

// newestCode gives the code of the newest message to an address.
func newestCode(t *testing.T, n int, message func(int) (to, text string), address string) string {
	t.Helper()
	for k := n - 1; k >= 0; k-- {
		to, text := message(k)
		if strings.TrimPrefix(to, "00") == strings.TrimPrefix(address, "+") || to == address {
			if code := sixDigits.FindString(text); code != "" {
				return code
			}
		}
	}
	t.Fatalf("no code came to %s among %d messages", address, n)
	return ""
}
