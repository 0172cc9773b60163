package faults

import (
	"strings"
	"testing"

	"github.com/wanbi/wanbi/internal/bench/rig"
)

// sound is a record of one whole recovery with two challenges and one of a mistyped
// address, and what is there when nothing was lost.
func sound() ([]*Recovery, Found) {
	whole := &Recovery{
		Account: 1, Known: true, Ref: "WHOLE", State: "completed", Challenges: []string{"first", "second"},
		Answered: true, Completed: true, Secret: "new",
	}
	mistyped := &Recovery{Account: 2, Ref: "MISTYPED", State: "open", Challenges: []string{"third"}}
	letter := func(to, id, subject, text string) rig.Letter {
		return rig.Letter{To: to, ID: id, Subject: subject, Text: text}
	}
	to, second, nobody := rig.Address(1), secondContact(1), mistyped.identifier()
	return []*Recovery{whole, mistyped}, Found{
		Letters: map[string][]rig.Letter{
			to: {
				letter(to, "a", "Your code", "111111"), letter(to, "b", "Your code", "222222"), letter(to, "b", "Your code", "222222"),
				letter(to, "c", "Recovery began", ""), letter(to, "d", "Password changed", ""),
			},
			second: {letter(second, "e", "Recovery began", ""), letter(second, "f", "Password changed", "")},
			nobody: {letter(nobody, "g", "No account here", "")},
		},
		Events: map[string][]Event{rig.HostID(1): {
			{ID: "x", Type: "secret.changed", Account: rig.HostID(1), Sequence: 1},
			{ID: "x", Type: "secret.changed", Account: rig.HostID(1), Sequence: 1},
			{ID: "y", Type: "sessions.ended", Account: rig.HostID(1), Sequence: 2},
		}},
		Cases: map[string]Case{
			"WHOLE": {State: "completed", Entries: map[string]int{
				"case.opened": 1, "challenge.started": 2, "code.sent": 2, "evidence.accepted": 1, "outcome.taken": 1, "host.confirmed": 1,
			}, Account: map[string]int{"secret.changed": 1, "recovered": 1}},
			"MISTYPED": {State: "open", Entries: map[string]int{"case.opened": 1, "challenge.started": 1, "code.withheld": 1}},
		},
		Secrets: map[int]Secrets{1: {New: "ok", Old: "wrong"}},
	}
}

func TestWhatIsWholeIsNoLoss(t *testing.T) {
	l := Check(sound())
	if len(l.Lines) > 0 || l.Letters != 7 || l.Repeats != 1 {
		t.Errorf("%+v", l)
	}
}

// T28: the checker itself finds each kind of loss.
func TestEachLossIsFound(t *testing.T) {
	to, second, host := rig.Address(1), secondContact(1), rig.HostID(1)
	for name, c := range map[string]struct {
		doctor func(r []*Recovery, f *Found)
		want   string
	}{
		"a lost code": {func(_ []*Recovery, f *Found) { f.Letters[to] = f.Letters[to][1:] }, "2 challenges were acknowledged, and 1 codes"},
		"a lost notice": {
			func(_ []*Recovery, f *Found) { f.Letters[second] = f.Letters[second][:1] },
			"1 notices were sent to " + second + ", and not 2",
		},
		"a code that the server does not know": {func(_ []*Recovery, f *Found) {
			f.Letters[to] = append(f.Letters[to], rig.Letter{To: to, ID: "h", Subject: "Your code", Text: "333333"})
		}, "3 codes were sent for 2 challenges"},
		"a code for nobody": {func(r []*Recovery, f *Found) {
			nobody := r[1].identifier()
			f.Letters[nobody] = append(f.Letters[nobody], rig.Letter{To: nobody, ID: "h", Subject: "Your code", Text: "333333"})
		}, "1 codes were sent to somebody without an account"},
		"a code whose time was over":           {func(r []*Recovery, _ *Found) { r[0].Overdue = true }, "a code was sent whose time was over"},
		"a repeat that is another message":     {func(_ []*Recovery, f *Found) { f.Letters[to][2].Text = "333333" }, "came again as another"},
		"a repeat under another Message-ID":    {func(_ []*Recovery, f *Found) { f.Letters[to][2].ID = "h" }, "3 codes were sent for 2"},
		"a message without a Message-ID":       {func(_ []*Recovery, f *Found) { f.Letters[second][0].ID = "" }, "has no Message-ID"},
		"a case that is gone":                  {func(_ []*Recovery, f *Found) { delete(f.Cases, "MISTYPED") }, `"open" was acknowledged, and it is ""`},
		"a case that went back":                {set("WHOLE", func(c *Case) { c.State = "held" }), `"completed" was acknowledged, and it is "held"`},
		"a lost challenge":                     {entry("MISTYPED", "challenge.started", 0), "0 entries challenge.started"},
		"a challenge whose message is pending": {entry("WHOLE", "code.sent", 1), "2 challenges were started, and 1 messages decided"},
		"a proof that counted twice":           {entry("WHOLE", "evidence.accepted", 2), "2 entries evidence.accepted"},
		"two completions":                      {entry("WHOLE", "host.confirmed", 2), "2 entries host.confirmed"},
		"a completion without an entry":        {entry("WHOLE", "outcome.taken", 0), "0 entries outcome.taken"},
		"two changes of the secret": {
			set("WHOLE", func(c *Case) { c.Account["secret.changed"] = 2 }),
			"the account has 2 entries secret.changed",
		},
		"a secret that was not set":    {func(_ []*Recovery, f *Found) { f.Secrets[1] = Secrets{"wrong", "ok"} }, `the new secret is "wrong"`},
		"an old secret that works":     {func(_ []*Recovery, f *Found) { f.Secrets[1] = Secrets{"ok", "ok"} }, `the old one "ok"`},
		"an event that was not told":   {func(_ []*Recovery, f *Found) { f.Events[host] = f.Events[host][:2] }, "told of 0 different sessions.ended"},
		"one event under two IDs":      {func(_ []*Recovery, f *Found) { f.Events[host][1].ID = "z" }, "event 1 of " + host + " came as x, and then as z"},
		"an event before its turn":     {func(_ []*Recovery, f *Found) { f.Events[host][2].Sequence = 3 }, "event 3 of " + host + " came after event 1"},
		"a job that waits for ever":    {func(_ []*Recovery, f *Found) { f.Waiting = 1 }, "1 jobs and entries still wait"},
		"a dead letter":                {func(_ []*Recovery, f *Found) { f.Dead = []string{"message.deliver error.internal"} }, "given up: message.deliver"},
		"a record that does not hold":  {func(_ []*Recovery, f *Found) { f.Audit = "problem: leaf 7" }, "does not hold: problem: leaf 7"},
		"what a client saw with alarm": {func(r []*Recovery, _ *Found) { r[0].wrong("a code that was used worked: 200") }, "a code that was used worked"},
	} {
		t.Run(name, func(t *testing.T) {
			r, f := sound()
			c.doctor(r, &f)
			if lines := strings.Join(Check(r, f).Lines, "\n"); !strings.Contains(lines, c.want) {
				t.Errorf("found %q, want %q", lines, c.want)
			}
		})
	}
}

func set(ref string, change func(*Case)) func([]*Recovery, *Found) {
	return func(_ []*Recovery, f *Found) {
		c := f.Cases[ref]
		change(&c)
		f.Cases[ref] = c
	}
}

func entry(ref, event string, count int) func([]*Recovery, *Found) {
	return set(ref, func(c *Case) { c.Entries[event] = count })
}

// What a client did not see the end of may have happened or not.
func TestAnUnknownEndIsNoLoss(t *testing.T) {
	r, f := sound()
	r[0].Completed, r[0].State, r[0].Broken = false, "held", true
	if l := Check(r, f); len(l.Lines) > 0 {
		t.Errorf("it happened: %q", l.Lines)
	}
	set("WHOLE", func(c *Case) {
		c.State = "held"
		c.Entries["outcome.taken"], c.Entries["host.confirmed"], c.Account = 0, 0, nil
	})(nil, &f)
	f.Letters[rig.Address(1)], f.Letters[secondContact(1)] = f.Letters[rig.Address(1)][:4], f.Letters[secondContact(1)][:1]
	if l := Check(r, f); len(l.Lines) > 0 {
		t.Errorf("it did not happen: %q", l.Lines)
	}
}
