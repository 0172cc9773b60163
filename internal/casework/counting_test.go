package casework_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/wanbi/wanbi/internal/account"
	"github.com/wanbi/wanbi/internal/claimant"
	"github.com/wanbi/wanbi/internal/limit"
	"github.com/wanbi/wanbi/internal/policy"
	"github.com/wanbi/wanbi/internal/recovery"
	"github.com/wanbi/wanbi/internal/server"
	"github.com/wanbi/wanbi/internal/store/db"
	"github.com/wanbi/wanbi/internal/testkit"
)

// manyCases is the faithful policy with more messages, so that fifty cases can
// each have a live challenge at once. Guesses stay at 5 an hour and 10 a day.
func manyCases(t *testing.T) *policy.Policy {
	return testkit.PolicyWith(t, faithful, "afterward:\n", `limits:
  messages-per-minute: 5
  messages-per-hour: 20
  messages-per-day: 50
afterward:
`)
}

func withPolicy(p func(*testing.T) *policy.Policy, t *testing.T) func(*server.Options) {
	return func(o *server.Options) { o.Realms[0].Policy = p(t) }
}

// liveCases opens n cases about each of the names, each with a live SMS challenge.
func liveCases(d *desk, n int, names ...string) []*claim {
	d.t.Helper()
	var out []*claim
	for round := range n {
		if round > 0 && round%5 == 0 { // five starts a minute for one name
			d.check(d.Advance(time.Minute))
		}
		for i, name := range names {
			out = append(out, d.reset(name, from(round*len(names)+i)).start("phone", "sms-code"))
		}
	}
	return out
}

func from(n int) claimant.Caller { return claimant.Caller{Network: network(n), Locale: "zh-CN"} }

// T5: however many cases, names and connections, one account's guesses are
// counted together and before anything is compared.
func TestT05_500ParallelGuessesCostTheAllowedNumber(t *testing.T) {
	for _, engine := range testkit.Engines {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, engine, []string{faithful}, withPolicy(manyCases, t))
			d.enrol(li())
			owner := d.reset("liwei", from(1)).start("phone", "sms-code")
			right := d.code(liPhone)
			attack := liveCases(d, 17, liPhone, liEmail, "11010519491231002X") // 51 cases
			var tries []func() error
			for i := range 500 {
				c := attack[i%len(attack)]
				challenge := c.live()
				tries = append(tries, func() error { return c.answer(challenge, map[string]string{"code": fmt.Sprintf("%06d", 990000+i)}) })
			}
			got := tally(together(tries...))
			delete(got, recovery.KindUnavailable.String()) // lost every race for the row; nothing was checked
			if got["not-proven"] != 15 || got["ok"] != 0 || len(got) != 2 {
				t.Fatalf("three names, 5 an hour each: want 15 not-proven and the rest limited, got %v", got)
			}
			want(t, owner.code(right), recovery.KindNotProven, "error.code.wrong") // the hidden limit is used up by others' guesses
			d.Restart()
			want(t, owner.code(right), recovery.KindNotProven, "error.code.wrong") // and survives a restart
			owner.start("phone", "sms-code")
			want(t, owner.code(d.code(liPhone)), recovery.KindNotProven, "error.code.wrong") // and a fresh code
		})
	}
}

// T5: the last number of wrong answers after which the right one counts, and the first after which it does not.
func TestT05_TheRightCodeCountsAfterFourWrongOnesAndNotAfterFive(t *testing.T) {
	bothEngines(t, []string{faithful}, func(t *testing.T, d *desk) {
		for name, c := range map[string]struct {
			wrong int
			ok    bool
		}{"after four": {4, true}, "after five": {5, false}} {
			who := account.Record{ID: name, Phone: fmt.Sprintf("1380000%04d", c.wrong), Email: fmt.Sprintf("w%d@example.cn", c.wrong), Username: fmt.Sprintf("wang%d", c.wrong)}
			d.enrol(who)
			owner := d.reset(who.Username, from(1)).start("phone", "sms-code")
			right := d.code("+86" + who.Phone)
			var tries []func() error
			for i, typed := range []string{who.Phone, who.Email, who.Phone, who.Email, who.Phone}[:c.wrong] {
				stranger := d.reset(typed, from(10+i))
				if i < 2 {
					stranger.start("phone", "sms-code")
				} else { // one start a minute for one name: take the earlier case
					stranger = nil
				}
				if stranger == nil {
					tries = append(tries, tries[i%2])
					continue
				}
				challenge := stranger.live()
				tries = append(tries, func() error { return stranger.answer(challenge, map[string]string{"code": "x"}) })
			}
			if got := tally(together(tries...)); got["not-proven"] != c.wrong {
				t.Fatalf("%s: %v", name, got)
			}
			if err := owner.code(right); (err == nil) != c.ok {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// T5: a right answer is no guess, and a refusal without a look is none either.
func TestT05_OnlyCheckedAnswersCount(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{faithful})
	d.enrol(li())
	c := d.reset(liPhone).start("phone", "sms-code")
	for range 5 {
		want(t, c.code(d.wrongCode(liPhone)), recovery.KindNotProven, "")
	}
	for range 20 { // an impatient owner
		want(t, c.code(d.code(liPhone)), recovery.KindLimited, "error.limited")
	}
	d.check(d.Advance(time.Hour))
	c.start("phone", "sms-code")
	for range 4 {
		want(t, c.code(d.wrongCode(liPhone)), recovery.KindNotProven, "")
	}
	d.check(c.code(d.code(liPhone)))
}

// T5: a known device keeps guesses that strangers cannot use up: three an hour,
// and as many a day as anybody.
func TestT05_AKnownDeviceKeepsAReserveWithAnEnd(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{faithful})
	d.enrol(li())
	c := d.reset(liPhone).prove("phone", "sms-code", liPhone)
	done, err := d.Claimant.TakeOutcome(ctx, c.from, c.who, goodPassword)
	d.check(err)
	d.check(d.Advance(8 * 24 * time.Hour))
	stranger := d.reset(liPhone, from(2)).start("phone", "sms-code")
	for range 5 {
		want(t, stranger.code(d.wrongCode(liPhone)), recovery.KindNotProven, "")
	}
	known := claimant.Caller{Network: network(3), Device: done.Device}
	checked := 0
	for range 6 { // hours
		owner := d.reset(liPhone, known).start("phone", "sms-code")
		for range 5 {
			if recovery.IsKind(owner.code(d.wrongCode(liPhone)), recovery.KindNotProven) {
				checked++
			}
		}
		d.check(d.Advance(time.Hour))
	}
	if checked != 10 {
		t.Errorf("a known device had %d guesses in six hours, want 3 an hour and 10 a day", checked)
	}
}

// T6: five guesses on each of many accounts do not pay from one network.
func TestT06_OneNetworkGuessesOnManyAccountsAndIsLimited(t *testing.T) {
	bothEngines(t, []string{faithful}, func(t *testing.T, d *desk) {
		var guesses, opened int
		for i := 0; ; i++ {
			c, err := d.tryOpen(recovery.IntentResetPassword, fmt.Sprintf("1390000%04d", i), from(7))
			if recovery.IsKind(err, recovery.KindLimited) {
				break
			}
			d.check(err)
			opened++
			c.start("phone", "sms-code")
			for range 5 {
				err := c.code("000000")
				if recovery.IsKind(err, recovery.KindLimited) {
					break
				}
				want(t, err, recovery.KindNotProven, "")
				guesses++
			}
		}
		if opened+guesses != 100 {
			t.Errorf("%d cases and %d guesses, want 100 together", opened, guesses)
		}
		_, err := d.tryOpen(recovery.IntentResetPassword, liPhone, from(8))
		d.check(err) // the next network is not in it
	})
}

// T6: a wave over the whole realm makes holds longer, refuses nobody and never
// lengthens a hold that runs.
func TestT06_ARealmWideWaveLengthensHoldsAndRefusesNobody(t *testing.T) {
	bothEngines(t, []string{hardened}, func(t *testing.T, d *desk) {
		d.enrol(li(), account.Record{ID: "mei", Phone: "13800002222", Email: "mei@example.cn"})
		before := d.reset(liPhone).prove("phone", "sms-code", liPhone)
		until := before.view().HoldUntil
		if got := until.Sub(d.Now()); got != 24*time.Hour {
			t.Fatalf("in peace the hold is %s", got)
		}
		d.wave(1001)
		d.check(d.Advance(time.Second)) // what others count is seen within a second
		during := d.reset("13800002222").prove("phone", "sms-code", "+8613800002222")
		if got := during.view().HoldUntil.Sub(d.Now()); got != 48*time.Hour {
			t.Errorf("during a wave the hold is %s, want 48h", got)
		}
		if got := before.view().HoldUntil; !got.Equal(until) {
			t.Errorf("a hold that ran before the wave until %s runs until %s", until, got)
		}
		d.check(d.Advance(24 * time.Hour))
		d.check(before.outcome(goodPassword))
	})
}

// wave counts n wrong answers in the realm, spread as those of many subjects are.
func (d *desk) wave(n int) {
	d.t.Helper()
	conn := d.raw()
	for bucket := range 8 {
		_, err := conn.ExecContext(ctx, `INSERT INTO counters (key, minute_start, minute_n, hour_start, hour_n, day_start, day_n)
			VALUES ($1, $2, $3, $2, $3, $2, $3)
			ON CONFLICT (key) DO UPDATE SET hour_n = excluded.hour_n, hour_start = excluded.hour_start`,
			d.Keys.CountKey("realm", string(d.realm), fmt.Sprint(bucket)), d.Now().UnixMilli(), n/8+1)
		d.check(err)
	}
}

// T6: a wrong answer counts for the realm in one of its buckets.
func TestT06_EveryWrongAnswerCountsForItsRealm(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{faithful})
	d.enrol(li())
	sum := func() (n int64) {
		for bucket := range 8 {
			d.check(d.DB.Read(ctx, func(q *db.Queries) error {
				const epoch = 0
				key := d.Keys.CountKey("realm", string(d.realm), fmt.Sprint(bucket))
				counted, err := q.SumHour(ctx, db.SumHourParams{Since: epoch, K0: key})
				n += counted
				return err
			}))
		}
		return n
	}
	for i, name := range []string{liPhone, "13900001111", "nobody", "13900002222"} {
		c := d.reset(name).start("phone", "sms-code")
		want(t, c.code("000000"), recovery.KindNotProven, "")
		if got := sum(); got != int64(i+1) {
			t.Errorf("after %d wrong answers the realm counts %d", i+1, got)
		}
	}
}

// T6: no header and no spelling of an address makes another network of it.
func TestT06_NetworksAreWhatOneSubscriberHas(t *testing.T) {
	a := limit.Network(network(3))
	b := limit.Network(network(3).Next())
	if a != b || a == limit.Network(network(4)) {
		t.Errorf("%s %s", a, b)
	}
}

// T27: whatever the flood, a destination gets one message a minute, five an hour
// and ten a day, and as many as that.
func TestT27_AFloodSendsExactlyTheAllowedMessages(t *testing.T) {
	bothEngines(t, []string{faithful}, func(t *testing.T, d *desk) {
		d.enrol(li())
		flood := func() {
			var starts []func() error
			for i, name := range liNames {
				for j, ch := range []string{"sms-code", "email-code"} {
					c := d.reset(name, from(100*i+j))
					starts = append(starts, func() error { return c.tryStart([]string{"phone", "email"}[j], ch) })
				}
			}
			together(starts...)
			d.settle()
		}
		sent := func(after string, n int) {
			t.Helper()
			for _, address := range []string{liPhone, liEmail} {
				if got := len(d.Inbox.Messages(address)); got != n {
					t.Fatalf("%s: %s got %d messages, want %d", after, address, got, n)
				}
			}
			if got := d.Inbox.Messages("li.old@example.cn"); len(got) > 0 {
				t.Fatalf("%s: a further contact was sent codes", after)
			}
		}
		for range 3 {
			flood()
		}
		sent("in the first minute", 1)
		for minute := 2; minute <= 5; minute++ {
			d.check(d.Advance(time.Minute))
			flood()
			sent(fmt.Sprintf("in minute %d", minute), minute)
		}
		for minute := 6; minute <= 59; minute += 9 {
			d.check(d.Advance(9 * time.Minute))
			flood()
		}
		sent("in the first hour", 5)
		d.Clock.Set(testkit.Began.Add(time.Hour))
		for range 5 {
			flood()
			d.check(d.Advance(time.Minute))
		}
		sent("in the second hour", 10)
		for range 22 {
			d.check(d.Advance(time.Hour - time.Minute))
			if d.Now().Sub(testkit.Began) < 24*time.Hour {
				flood()
			}
		}
		sent("in the first day", 10)
		d.Clock.Set(testkit.Began.Add(24*time.Hour - time.Millisecond))
		flood()
		sent("to the last millisecond of the day", 10)
		d.Clock.Set(testkit.Began.Add(25 * time.Hour))
		flood()
		sent("on the next day", 11)
	})
}

// T27: tags of one mailbox are one mailbox, on file or not.
func TestT27_PlusTagsDoNotMultiplyMessages(t *testing.T) {
	bothEngines(t, []string{faithful}, func(t *testing.T, d *desk) {
		d.enrol(account.Record{ID: "tag", Email: "zhao+bank@example.cn"})
		count := func() (n int) {
			for i := range 30 {
				n += len(d.Inbox.Messages(fmt.Sprintf("zhao+%d@example.cn", i)))
			}
			return n + len(d.Inbox.Messages("zhao@example.cn")) + len(d.Inbox.Messages("zhao+bank@example.cn"))
		}
		d.reset("zhao+bank@example.cn", from(1)).start("email", "email-code")
		for i := range 30 {
			d.reset(fmt.Sprintf("zhao+%d@example.cn", i), from(10+i)).start("email", "email-code")
		}
		if got := count(); got != 1 {
			t.Errorf("one mailbox got %d messages in a minute", got)
		}
	})
}

// T27: a mailbox without an account is told so once in 30 days, whatever its tags.
func TestT27_AMailboxWithoutAnAccountIsToldOnce(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{faithful})
	told := func() (n int) {
		for _, tag := range []string{"", "+a", "+b", "+c"} {
			n += len(d.Inbox.Messages("nobody" + tag + "@example.cn"))
		}
		return n
	}
	for i, name := range []string{"nobody+a@example.cn", "nobody+b@example.cn", "nobody@example.cn"} {
		d.reset(name, from(i)).start("email", "email-code")
		d.check(d.Advance(10 * time.Minute))
	}
	if got := told(); got != 1 {
		t.Errorf("told %d times", got)
	}
	d.check(d.Advance(30 * 24 * time.Hour))
	d.reset("nobody+c@example.cn", from(9)).start("email", "email-code")
	if got := told(); got != 2 {
		t.Errorf("a month later told %d times", got)
	}
}

// T27: the whole realm is no engine for mail to strangers.
func TestT27_ARealmTellsOnlySoManyStrangersAnHour(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{faithful})
	total := 0
	for i := range 600 {
		name := fmt.Sprintf("nobody%d@example.cn", i)
		c := d.reset(name, from(i))
		d.check(c.tryStart("email", "email-code"))
		if i%100 == 99 {
			d.settle()
		}
	}
	for i := range 600 {
		total += len(d.Inbox.Messages(fmt.Sprintf("nobody%d@example.cn", i)))
	}
	if total != 500 {
		t.Errorf("%d strangers were written to in an hour, want 500", total)
	}
}

// T27: an unknown phone is sent nothing, whatever is asked.
func TestT27_UnknownPhonesCostNoMessage(t *testing.T) {
	d := newDesk(t, testkit.Engines[0], []string{faithful})
	c := d.reset("13700001111")
	for _, way := range [][2]string{{"phone", "sms-code"}, {"email", "email-code"}, {"email-link", "email-link"}} {
		c.start(way[0], way[1])
	}
	if got := slices.Concat(d.Inbox.Messages("+8613700001111"), d.Inbox.Messages("")); len(got) > 0 {
		t.Errorf("sent %d messages", len(got))
	}
}
