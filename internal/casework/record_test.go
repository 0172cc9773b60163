package casework_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/claimant"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/server"
	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/testkit"
)

// logged keeps what was logged.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// secrets are answers that nothing else in the world reads like.
type secrets map[string]string

// spill names what of them stands in the text.
func (s secrets) spill(text string) []string {
	var out []string
	for name, value := range s {
		if strings.Contains(text, value) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// T15: after a whole recovery, with failures of every kind on the way, no answer
// and nothing personal stands in a log, an error or the database.
func TestT15_AnswersAreNowhereToBeRead(t *testing.T) {
	for _, engine := range testkit.Engines {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			log := &logged{}
			d := newDesk(t, engine, []string{faithful}, func(o *server.Options) {
				o.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}))
				o.Realms[0].Policy = testkit.PolicyWith(t, faithful, "digits: 6", "digits: 8", "digits: 6", "digits: 8")
			})
			who := account.Record{
				ID: "host-ouyang", Phone: "13712349876", Email: "ouyang.biyu@mail.example", Username: "ouyangbiyu88", RealName: "欧阳碧玉",
				ResidentID: "110101199003070011", MoreEmails: []string{"second.box@mail.example"},
			}
			id := d.enrol(who)[0]
			codes := d.backupCodes(id)
			kept := secrets{
				"phone": "13712349876", "email": "ouyang.biyu", "username": "ouyangbiyu88", "name": "欧阳碧玉", "resident ID": "110101199003070011",
				"second box": "second.box", "host ID": "host-ouyang", "wrong name": "司马玄圭", "weak password": "ouyangbiyu88-1A",
				"password": goodPassword, "wrong password": "Not-the-password-314159", "wrong code": "31415926", "backup code": codes[0],
				"backup code in one": strings.ReplaceAll(codes[0], "-", ""),
			}
			var said strings.Builder
			hear := func(err error) {
				if err != nil {
					fmt.Fprintf(&said, "%v %+v %#v\n", err, err, recovery.AsError(err))
				}
			}
			c := d.open(recovery.IntentFindAccount, who.ResidentID).start("resident-id-and-phone", "sms-code")
			hear(c.code(kept["wrong code"]))
			kept["code"] = d.code("+8613712349876")
			hear(c.code(kept["code"]))
			c.start("resident-id-and-phone", "real-name")
			hear(c.answer(c.live(), map[string]string{"name": kept["wrong name"], "resident-id": who.ResidentID}))
			hear(c.answer(c.live(), map[string]string{"name": who.RealName, "resident-id": who.ResidentID}))
			hear(c.outcome(""))
			c = d.reset(who.Username).start("backup-code", "backup-code")
			d.withoutAudit(func() { hear(c.code(codes[0])); _, err := d.tryOpen(recovery.IntentUnlock, who.Phone); hear(err) })
			hear(c.code(codes[0]))
			hear(c.outcome(kept["weak password"]))
			d.withoutAudit(func() { hear(c.outcome(goodPassword)) })
			hear(c.outcome(goodPassword))
			c.atStep(claimant.StepDone)
			_, err := d.Accounts.Verify(ctx, account.SignIn{Realm: d.realm, Identifier: who.Username, Secret: kept["wrong password"]})
			hear(err)
			_, err = d.Accounts.Verify(ctx, account.SignIn{Realm: d.realm, Identifier: who.Username, Secret: goodPassword})
			hear(err)
			d.settle()
			if said.Len() == 0 {
				t.Fatal("no error was heard")
			}
			if spilt := kept.spill(said.String()); len(spilt) > 0 {
				t.Errorf("in errors: %v", spilt)
			}
			if spilt := kept.spill(log.String()); len(spilt) > 0 {
				t.Errorf("in the log: %v", spilt)
			}
			if spilt := kept.spill(d.everything()); len(spilt) > 0 {
				t.Errorf("in the database: %v", spilt)
			}
		})
	}
}

// everything is the database's content: the raw files of SQLite, every column of PostgreSQL.
func (d *desk) everything() string {
	d.t.Helper()
	var all strings.Builder
	for table, rows := range d.dump() {
		fmt.Fprintln(&all, table, strings.Join(rows, "\n"))
	}
	if d.DB.Engine() == store.SQLite {
		file := strings.TrimPrefix(d.Options.Database, "sqlite:")
		for _, part := range []string{"", "-wal"} {
			raw, err := os.ReadFile(file + part)
			d.check(err)
			all.Write(raw)
		}
	}
	return all.String()
}

// withoutAudit runs something while no audit entry can be written.
func (d *desk) withoutAudit(run func()) {
	d.t.Helper()
	conn := d.raw()
	_, err := conn.ExecContext(ctx, `ALTER TABLE audit_entries RENAME TO audit_entries_away`)
	d.check(err)
	run()
	_, err = conn.ExecContext(ctx, `ALTER TABLE audit_entries_away RENAME TO audit_entries`)
	d.check(err)
}

// T26: what cannot be recorded does not happen.
func TestT26_WithoutAnAuditEntryNothingHappens(t *testing.T) {
	bothEngines(t, []string{hardened}, func(t *testing.T, d *desk) {
		id := d.enrol(li())[0]
		d.setPassword(id, oldPassword)
		opened := d.reset(liPhone, from(1))
		coded := d.reset(liEmail, from(2)).start("email", "email-code")
		mailed := d.code(liEmail)
		d.check(d.Advance(time.Minute))
		linked := d.reset("11010519491231002X", from(3)).start("email-link", "email-link")
		link := d.token(liEmail)
		_ = linked
		held := d.reset("liwei", from(4)).prove("phone", "sms-code", liPhone)
		d.settle()
		stop := d.token(liEmail)
		for name, try := range map[string]func() error{
			"open":         func() error { _, err := d.tryOpen(recovery.IntentUnlock, "somebody"); return err },
			"start":        func() error { return opened.tryStart("phone", "sms-code") },
			"right answer": func() error { return coded.code(mailed) },
			"wrong answer": func() error { return coded.code(d.wrongCode(liEmail)) },
			"link":         func() error { _, err := d.Claimant.ConfirmLink(ctx, from(9), link); return err },
			"cancel":       held.cancel,
			"stop":         func() error { _, err := d.Guest.Act(ctx, stop); return err },
			"lock":         func() error { return d.Accounts.SetLock(ctx, d.realm, "host-li", recovery.LockRiskAlarm, true) },
			"unlock":       func() error { return d.Accounts.SetLock(ctx, d.realm, "host-li", recovery.LockDormant, false) },
		} {
			if name == "unlock" {
				d.check(d.Accounts.SetLock(ctx, d.realm, "host-li", recovery.LockDormant, true))
			}
			before := d.dump()
			d.withoutAudit(func() {
				if err := try(); err == nil {
					t.Errorf("%s succeeded without a record", name)
				}
			})
			if diff := differences(before, d.dump()); len(diff) > 0 {
				t.Errorf("%s changed %v without a record", name, diff)
			}
		}
		d.check(d.Advance(24 * time.Hour))
		before := d.dump()
		d.withoutAudit(func() {
			if err := held.outcome(goodPassword); err == nil {
				t.Error("an outcome succeeded without a record")
			}
		})
		if diff := differences(before, d.dump()); len(diff) > 0 {
			t.Errorf("an outcome changed %v without a record", diff)
		}
		d.check(held.outcome(goodPassword))
	})
}

// T26: whatever people do in whatever order, every move has an entry, a closed
// case stays closed, and the record verifies.
func TestT26_RandomWalksLeaveAWholeRecord(t *testing.T) {
	bothEngines(t, []string{faithful, hardened}, func(t *testing.T, d *desk) {
		walks := 0
		rapid.Check(t, func(rt *rapid.T) {
			walks++
			if walks > 25 { // each is a whole life of an account
				return
			}
			d.walk(rt, walks)
		})
		d.settle()
		report, err := d.Log.Verify(ctx, nil)
		if err != nil || len(report.Problems) > 0 || report.Pending > 0 || report.Leaves == 0 {
			t.Fatalf("%v %+v", err, report)
		}
	})
}

// walk lets two people and a guest act on one account at random.
func (d *desk) walk(rt *rapid.T, n int) {
	realm := rapid.SampledFrom(d.Options.Realms).Draw(rt, "realm")
	in := &desk{Server: d.Server, t: d.t, realm: realm.Policy.Realm.ID, creep: d.creep}
	phone, email := fmt.Sprintf("+86138%08d", n), fmt.Sprintf("walk%d@example.cn", n)
	in.enrol(account.Record{ID: fmt.Sprint("walk", n), Phone: phone, Email: email, Username: fmt.Sprint("walker", n)})
	var cases []*claim
	states := map[int]string{}
	for range rapid.IntRange(5, 25).Draw(rt, "steps") {
		if len(cases) == 0 || rapid.IntRange(0, 9).Draw(rt, "again") == 0 {
			name := rapid.SampledFrom([]string{phone, email, fmt.Sprint("walker", n), "+8613900009999"}).Draw(rt, "name")
			cases = append(cases, in.open(rapid.SampledFrom(recovery.Intents).Draw(rt, "intent"), name, from(n*40+len(cases))))
		}
		c := rapid.SampledFrom(cases).Draw(rt, "case")
		switch rapid.IntRange(0, 9).Draw(rt, "act") {
		case 0, 1:
			_ = c.startAny("sms-code", "phone")
		case 2:
			_ = c.startAny("email-code", "email")
		case 3, 4:
			if v, err := d.Claimant.View(ctx, c.from, c.who); err == nil && v.Challenge != nil {
				address := map[string]string{"sms-code": phone, "email-code": email}[v.Challenge.Channel]
				if all := d.Inbox.Messages(address); len(all) > 0 {
					_ = c.answer(v.Challenge.ID, map[string]string{"code": in.lastCode(address, rapid.Bool().Draw(rt, "right"))})
				}
			}
		case 5:
			_ = c.outcome(fmt.Sprint(goodPassword, n))
		case 6:
			if rapid.IntRange(0, 3).Draw(rt, "sure") == 0 {
				_ = c.cancel()
			}
		case 7:
			if token := in.lastToken(email); token != "" && rapid.IntRange(0, 3).Draw(rt, "sure") == 0 {
				_, _ = d.Guest.Act(ctx, token)
			}
		case 8:
			span := rapid.SampledFrom([]time.Duration{time.Minute, time.Hour, 24 * time.Hour}).Draw(rt, "span")
			d.check(d.Advance(span))
		case 9:
			cases = append(cases, in.takeOver(c.ref, from(n*40+len(cases))))
		}
		d.settle()
		for i, c := range cases {
			row := c.row()
			if before := states[i]; before != row.State && recovery.State(before).Closed() {
				d.t.Fatalf("a case went from %s to %s", before, row.State)
			}
			states[i] = row.State
		}
	}
}

// startAny starts a channel by the way of that name, or as a takeover has it.
func (c *claim) startAny(channel, way string) (err error) {
	for _, way := range []string{way, channel, "takeover"} {
		if err = c.tryStart(way, channel); err == nil {
			return nil
		}
	}
	return err
}

// lastCode is the newest code sent there, or one that was not.
func (d *desk) lastCode(address string, right bool) string {
	for _, m := range slices.Backward(d.Inbox.Messages(address)) {
		if m.Code != "" && right {
			return m.Code
		}
	}
	return "000000"
}

// lastToken is the newest link's token, empty for none.
func (d *desk) lastToken(address string) string {
	for _, m := range slices.Backward(d.Inbox.Messages(address)) {
		if len(m.Links) > 0 {
			return d.token(address)
		}
	}
	return ""
}
